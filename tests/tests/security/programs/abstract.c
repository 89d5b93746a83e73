/* Connects to the abstract socket argv[1]. */
#include <errno.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>

int main(int argc, char **argv)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_STREAM, 0);

	if (argc != 2)
		return 1;
	strncpy(address.sun_path + 1, argv[1], sizeof(address.sun_path) - 2);
	if (connect(fd, (void *)&address, offsetof(struct sockaddr_un, sun_path) + 1 + strlen(argv[1])))
		printf("refused: %s\n", strerror(errno));
	else
		puts("CONNECTED");
	return 0;
}
