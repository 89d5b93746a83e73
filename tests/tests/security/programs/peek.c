/* Looks into every other process until it finds the text argv[1] in one's environment. */
#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

int main(int argc, char **argv)
{
	static char text[1 << 17];
	DIR *proc = opendir("/proc");
	struct dirent *entry;
	char path[64];

	if (argc != 2)
		return 1;
	puts("waiting");
	fflush(stdout);
	for (;;) {
		rewinddir(proc);
		while ((entry = readdir(proc))) {
			ssize_t n, at;
			int fd, pid = atoi(entry->d_name);

			if (pid <= 1)
				continue;
			snprintf(path, sizeof(path), "/proc/%d/environ", pid);
			fd = open(path, O_RDONLY);
			if (fd < 0)
				continue;
			n = read(fd, text, sizeof(text) - 1);
			close(fd);
			for (at = 0; at < n; at += strlen(text + at) + 1) {
				if (strstr(text + at, argv[1])) {
					printf("SEEN %s\n", text + at);
					fflush(stdout);
				}
			}
			memset(text, 0, sizeof(text));
		}
	}
}
