/* In the folder argv[1], exchanges the folder "d" and the link "l" (to argv[2]) as fast as it can. */
#define _GNU_SOURCE
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

int main(int argc, char **argv)
{
	if (argc != 3 || chdir(argv[1]) || mkdir("d", 0755) || symlink(argv[2], "l"))
		return 1;
	puts("exchanging");
	fflush(stdout);
	for (;;)
		renameat2(AT_FDCWD, "d", AT_FDCWD, "l", RENAME_EXCHANGE);
}
