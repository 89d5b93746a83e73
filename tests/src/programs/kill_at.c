/*
 * kill_at N PROGRAM [ARGUMENT]...: kills the program, and not its children, right before its N-th system call.
 * Exits with 99 if it was killed there, and otherwise as the program did.
 */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/ptrace.h>
#include <sys/wait.h>
#include <unistd.h>

int main(int argc, char **argv)
{
	long left = argc > 2 ? atol(argv[1]) : 0;
	int status, signal, entering = 1;
	pid_t child = fork();

	if (child < 0 || left < 1)
		return 98;
	if (child == 0) {
		ptrace(PTRACE_TRACEME, 0, 0, 0);
		raise(SIGSTOP);
		execvp(argv[2], argv + 2);
		_exit(98);
	}
	if (waitpid(child, &status, 0) != child)
		return 98;
	/* The first call that counts is the one after execve, of which a trap tells. */
	ptrace(PTRACE_SETOPTIONS, child, 0, PTRACE_O_TRACESYSGOOD | PTRACE_O_TRACEEXEC | PTRACE_O_EXITKILL);
	ptrace(PTRACE_CONT, child, 0, 0);
	if (waitpid(child, &status, 0) != child || status >> 8 != (SIGTRAP | PTRACE_EVENT_EXEC << 8))
		return 98;
	/* Its leaving is the next stop. */
	entering = 0;
	for (signal = 0;;) {
		ptrace(PTRACE_SYSCALL, child, 0, signal);
		if (waitpid(child, &status, 0) != child)
			return 98;
		if (WIFEXITED(status))
			return WEXITSTATUS(status);
		if (WIFSIGNALED(status))
			return 128 + WTERMSIG(status);
		signal = WSTOPSIG(status);
		if (signal == (SIGTRAP | 0x80)) {
			signal = 0;
			if (entering && --left == 0) {
				kill(child, SIGKILL);
				if (waitpid(child, &status, 0) != child || !WIFSIGNALED(status))
					return 98;
				return 99;
			}
			entering = !entering;
		} else if (status >> 8 == (SIGTRAP | PTRACE_EVENT_EXEC << 8)) {
			/* In the middle of a further execve. */
			signal = 0;
		}
	}
}
