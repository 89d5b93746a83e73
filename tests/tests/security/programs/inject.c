/* Types into the terminal that it has for standard files (TIOCSTI). */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

int main(void)
{
	int fd;

	for (fd = 0; fd <= 2; fd++) {
		if (!isatty(fd))
			printf("%d: no terminal\n", fd);
		else if (ioctl(fd, TIOCSTI, "#") == 0)
			printf("%d: INJECTED\n", fd);
		else
			printf("%d: denied: %s\n", fd, strerror(errno));
	}
	return 0;
}
