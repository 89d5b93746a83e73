/*
 * "keyring give PROGRAM ARG...": executes PROGRAM with a session keyring that holds a key.
 * "keyring take": looks for that key and tells what it says.
 */
#include <errno.h>
#include <linux/keyctl.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

int main(int argc, char **argv)
{
	const char *name = "soute-test-key";
	char text[64] = "";
	long key;

	if (argc > 2 && !strcmp(argv[1], "give")) {
		if (syscall(SYS_keyctl, KEYCTL_JOIN_SESSION_KEYRING, NULL) < 0 ||
		    syscall(SYS_add_key, "user", name, "SECRET", 6, KEY_SPEC_SESSION_KEYRING) < 0) {
			perror("keyring");
			return 1;
		}
		execvp(argv[2], argv + 2);
		perror(argv[2]);
		return 1;
	}
	key = syscall(SYS_keyctl, KEYCTL_SEARCH, KEY_SPEC_SESSION_KEYRING, "user", name, 0);
	if (key < 0) {
		printf("no key: %s\n", strerror(errno));
		return 0;
	}
	syscall(SYS_keyctl, KEYCTL_READ, key, text, sizeof(text) - 1);
	printf("key: %s\n", text);
	return 0;
}
