/* Lists its own open descriptors beyond the standard three. */
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

int main(void)
{
	DIR *folder = opendir("/proc/self/fd");
	struct dirent *entry;
	char link[512];

	if (!folder)
		return 1;
	while ((entry = readdir(folder))) {
		int fd = atoi(entry->d_name);
		ssize_t n;

		if (entry->d_name[0] == '.' || fd <= 2 || fd == dirfd(folder))
			continue;
		n = readlinkat(dirfd(folder), entry->d_name, link, sizeof(link) - 1);
		link[n < 0 ? 0 : n] = 0;
		printf("open: %d %s\n", fd, link);
	}
	puts("listed");
	return 0;
}
