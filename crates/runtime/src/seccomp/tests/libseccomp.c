/*
 * Compiles a profile with libseccomp: standard input to a BPF program on standard output.
 *
 *   default ACTION            first; actions are SECCOMP_RET_* as decimal numbers
 *   arch TOKEN                SCMP_ARCH_* as a decimal number
 *   rule ACTION NAME COUNT    followed by COUNT times: INDEX OPERATOR A B
 *
 * Standard error has for each rule and architecture the number of the call, negative if there is none: "TOKEN NAME NUMBER".
 */
#include <inttypes.h>
#include <seccomp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void fail(const char *what, int code)
{
	fprintf(stderr, "! %s: %s\n", what, strerror(-code));
	exit(1);
}

int main(void)
{
	scmp_filter_ctx filter = NULL;
	char word[64], name[64];
	uint32_t number, arches[8];
	unsigned int arch_count = 0;
	int code;

	/* Actions are not to depend on this machine's kernel. */
	if ((code = seccomp_api_set(5)) < 0)
		fail("seccomp_api_set", code);
	while (scanf("%63s %" SCNu32, word, &number) == 2) {
		if (!strcmp(word, "default")) {
			if (!(filter = seccomp_init(number)))
				fail("seccomp_init", 0);
			if ((code = seccomp_attr_set(filter, SCMP_FLTATR_ACT_BADARCH, SCMP_ACT_KILL_PROCESS)) < 0)
				fail("SCMP_FLTATR_ACT_BADARCH", code);
			if ((code = seccomp_arch_remove(filter, SCMP_ARCH_NATIVE)) < 0)
				fail("seccomp_arch_remove", code);
		} else if (!strcmp(word, "arch")) {
			if ((code = seccomp_arch_add(filter, number)) < 0)
				fail("seccomp_arch_add", code);
			arches[arch_count++ % 8] = number;
		} else {
			struct scmp_arg_cmp args[6];
			unsigned int count, i, index;
			int op, call;

			if (scanf("%63s %u", name, &count) != 2 || count > 6)
				fail("rule", 0);
			for (i = 0; i < count; i++) {
				uint64_t a, b;

				if (scanf("%u %d %" SCNu64 " %" SCNu64, &index, &op, &a, &b) != 4)
					fail("argument", 0);
				args[i] = SCMP_CMP(index, op, a, b);
			}
			call = seccomp_syscall_resolve_name(name);
			for (i = 0; i < arch_count; i++)
				fprintf(stderr, "%" PRIu32 " %s %d\n", arches[i], name,
					seccomp_syscall_resolve_name_arch(arches[i], name));
			if (call == __NR_SCMP_ERROR)
				continue;
			if ((code = seccomp_rule_add_array(filter, number, call, count, args)) < 0)
				fail(name, code);
		}
	}
	if ((code = seccomp_export_bpf(filter, 1)) < 0)
		fail("seccomp_export_bpf", code);
	return 0;
}
