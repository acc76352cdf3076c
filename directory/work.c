/* Threads for slow work: see work.h.  Pointers go through pipes (a write of 8 octets is whole), so that there is no lock to forget. */
#include "directory/work.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <unistd.h>

#define WAITING_MAX 1024 /* pieces handed over and not done; a pipe holds 8,192 pointers */

static int todo[2] = {-1, -1}, ready[2] = {-1, -1};
static unsigned waiting; /* of the loop alone */

static void *worker(void *arg)
{
	struct work *w;
	ssize_t n;
	while ((n = read(todo[0], &w, sizeof w)) == (ssize_t)sizeof w || (n < 0 && errno == EINTR)) {
		if (n < 0)
			continue;
		w->run(w);
		while (write(ready[1], &w, sizeof w) < 0 && errno == EINTR)
			;
	}
	return arg;
}

int work_start(unsigned threads, struct err *e)
{
	sigset_t all, before;
	pthread_t t;
	int rc = 0;
	if (pipe2(todo, O_CLOEXEC) < 0 || pipe2(ready, O_CLOEXEC) < 0 || fcntl(ready[0], F_SETFL, O_NONBLOCK) < 0)
		return err_sys(e, "pipe for threads");
	sigfillset(&all);
	pthread_sigmask(SIG_BLOCK, &all, &before); /* signals are the loop's */
	for (unsigned i = 0; i < threads && rc == 0; i++)
		rc = pthread_create(&t, NULL, worker, NULL);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	errno = rc;
	return rc ? err_sys(e, "thread") : 0;
}

bool work_submit(struct work *w)
{
	if (waiting >= WAITING_MAX || write(todo[1], &w, sizeof w) != (ssize_t)sizeof w)
		return false;
	waiting++;
	return true;
}

int work_fd(void)
{
	return ready[0];
}

void work_finish(void)
{
	struct work *w;
	while (read(ready[0], &w, sizeof w) == (ssize_t)sizeof w) {
		waiting--;
		w->done(w);
	}
}
