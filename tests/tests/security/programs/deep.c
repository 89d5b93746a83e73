/* Makes 1200 folders in each other below argv[1]. */
#include <sys/stat.h>
#include <unistd.h>

int main(int argc, char **argv)
{
	int i;

	if (argc != 2 || chdir(argv[1]))
		return 1;
	for (i = 0; i < 1200; i++)
		if (mkdir("d", 0755) || chdir("d"))
			return 1;
	return 0;
}
