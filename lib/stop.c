/* The flag that SIGTERM sets; apart from lib/program.c so that what only waits does not link start-up code. */
#include <signal.h>

#include "lib/program.h"

static volatile sig_atomic_t stopping;

static void on_sigterm(int sig)
{
	(void)sig;
	stopping = 1;
}

bool program_stopping(void)
{
	return stopping;
}

static void catch_stop(int flags)
{
	struct sigaction stop = {.sa_handler = on_sigterm, .sa_flags = flags};
	sigaction(SIGTERM, &stop, NULL);
}

void program_catch_stop(void)
{
	struct sigaction ignore = {.sa_handler = SIG_IGN};
	catch_stop(0);
	sigaction(SIGPIPE, &ignore, NULL);
}

void program_restart_calls(void)
{
	catch_stop(SA_RESTART);
}
