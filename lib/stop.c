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

void program_catch_stop(void)
{
	struct sigaction stop = {.sa_handler = on_sigterm};
	struct sigaction ignore = {.sa_handler = SIG_IGN};
	sigaction(SIGTERM, &stop, NULL);
	sigaction(SIGPIPE, &ignore, NULL);
}
