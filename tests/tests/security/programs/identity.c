/* Says who it is. */
#include <stdio.h>
#include <unistd.h>

int main(void)
{
	printf("real %d effective %d\n", (int)getuid(), (int)geteuid());
	return 0;
}
