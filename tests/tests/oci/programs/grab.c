/*
 * Looks for folders other than the root that other processes have open, by way of /proc/PID/fd, and says so: what
 * enters a container has no business with any.
 */
#define _GNU_SOURCE
#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

int main(void)
{
	struct stat root, its;
	DIR *proc = opendir("/proc");
	struct dirent *entry;
	char path[64], link[512];
	int self = getpid(), fd;

	stat("/", &root);
	puts("waiting");
	fflush(stdout);
	for (;;) {
		rewinddir(proc);
		while ((entry = readdir(proc))) {
			int pid = atoi(entry->d_name);

			if (pid <= 0 || pid == self)
				continue;
			for (fd = 3; fd < 32; fd++) {
				ssize_t length;

				snprintf(path, sizeof(path), "/proc/%d/fd/%d", pid, fd);
				if (stat(path, &its) || !S_ISDIR(its.st_mode) ||
				    (its.st_dev == root.st_dev && its.st_ino == root.st_ino))
					continue;
				length = readlink(path, link, sizeof(link) - 1);
				link[length < 0 ? 0 : length] = 0;
				printf("GRABBED %s\n", link);
				fflush(stdout);
			}
		}
	}
}
