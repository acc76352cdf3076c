/* sendmail, qmail-queue, qmail-inject, mailq, qmail-qstat, qmail-qread: one program, named by its links.  Runs as whoever calls it, set-uid nowhere; all it can do is speak to
 * STATE/run/inject.sock (the last three to queue.sock), where the kernel says who it is. */
#include <signal.h>

#include "inject/front.h"

static const struct name {
	const char *name;
	int (*run)(int argc, char **argv);
} names[] = {
	{"qmail-queue", front_qmail_queue}, {"qmail-inject", front_qmail_inject}, {"mailq", front_mailq}, {"qmail-qstat", front_qstat}, {"qmail-qread", front_qread}, {"sendmail", front_sendmail},
};

int main(int argc, char **argv)
{
	const char *base = argc > 0 ? strrchr(argv[0], '/') : NULL;
	base = base ? base + 1 : argc > 0 ? argv[0] : "";
	signal(SIGPIPE, SIG_IGN);
	for (size_t i = 0; i < sizeof names / sizeof *names; i++)
		if (strcmp(base, names[i].name) == 0)
			return names[i].run(argc, argv);
	return front_sendmail(argc, argv);
}
