/* The parent of an agent's workers: see pool.h.  Runs as the agent's user, confined as its workers are; it reads nothing but octets that say nothing and one
 * octet of each worker, so it has what it was started with and no more.
 *
 * SIGTERM: no more workers; each is told again and again, as a signal between two calls is lost, and leaves when its work in hand is done. */
#include "deliver/pool.h"

#include <poll.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "deliver/delivery.h"
#include "lib/io.h"
#include "lib/log.h"
#include "lib/program.h"

#define NUDGE_MSEC 100
#define PAUSE_MSEC 200 /* after a fork that failed, and after a worker that died */

enum { NONE, FREE, BUSY };

unsigned pool_size(const struct control *c)
{
	unsigned n = (unsigned)control_number(c, C_concurrencyremote);
	return n + deliveries_unanswered(n);
}

int pool_open(struct pool *p, struct err *e)
{
	int pair[2];
	void *page = mmap(NULL, POOL_MOST, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (page == MAP_FAILED)
		return err_sys(e, "shared memory");
	if (socketpair(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, pair) < 0)
		return err_sys(e, "socketpair");
	p->state = page;
	p->parent_fd = pair[0];
	p->worker_fd = pair[1];
	return 0;
}

static unsigned count(const struct pool *p, unsigned char state)
{
	unsigned n = 0;
	for (unsigned i = 0; i < p->most; i++)
		n += p->state[i] == state;
	return n;
}

void pool_busy(struct pool *p)
{
	p->state[p->self] = BUSY;
	if (count(p, FREE) == 0)
		(void)!send(p->worker_fd, "", 1, MSG_NOSIGNAL);
}

void pool_free(struct pool *p)
{
	p->state[p->self] = FREE;
}

static _Noreturn void worker(struct pool *p, unsigned self, pid_t parent, const sigset_t *before)
{
	prctl(PR_SET_PDEATHSIG, SIGTERM);
	if (getppid() != parent)
		_exit(0);
	signal(SIGCHLD, SIG_DFL);
	sigprocmask(SIG_SETMASK, before, NULL);
	close(program_lifeline());
	close_fd(&p->parent_fd);
	p->self = self;
	p->work(p->ctx);
	_exit(0);
}

/* False: no process can be had now. */
static bool start(struct pool *p, const sigset_t *before)
{
	struct err e;
	unsigned i = 0;
	pid_t parent = getpid();
	while (i < p->most && p->pid[i])
		i++;
	if (i == p->most)
		return true;
	p->state[i] = FREE;
	pid_t pid = fork();
	if (pid == 0)
		worker(p, i, parent, before);
	if (pid > 0) {
		p->pid[i] = pid;
		return true;
	}
	err_sys(&e, "fork");
	p->state[i] = NONE;
	LOG(EV_fault, NULL, F_ERR(&e));
	return false;
}

/* False: one of them died. */
static bool reap(struct pool *p)
{
	int status;
	bool well = true;
	for (pid_t pid; (pid = waitpid(-1, &status, WNOHANG)) > 0; ) {
		for (unsigned i = 0; i < p->most; i++)
			if (p->pid[i] == pid) {
				p->pid[i] = 0;
				p->state[i] = NONE;
			}
		if (!WIFSIGNALED(status) && WEXITSTATUS(status) == 0)
			continue;
		LOG(EV_worker_died, NULL, F_NUM("worker", pid), F_NUM("signal", WIFSIGNALED(status) ? WTERMSIG(status) : 0));
		well = false;
	}
	return well;
}

static unsigned live(const struct pool *p)
{
	unsigned n = 0;
	for (unsigned i = 0; i < p->most; i++)
		n += p->pid[i] != 0;
	return n;
}

/* Half of those that wait for work beyond the one that is kept; whoever has taken some meanwhile leaves after it. */
static void trim(const struct pool *p)
{
	unsigned leave = count(p, FREE);
	leave = leave > 1 ? leave / 2 : 0;
	for (unsigned i = p->most; i-- > 0 && leave; )
		if (p->pid[i] && p->state[i] == FREE) {
			kill(p->pid[i], SIGTERM);
			leave--;
		}
}

static void tell_all(const struct pool *p)
{
	for (unsigned i = 0; i < p->most; i++)
		if (p->pid[i])
			kill(p->pid[i], SIGTERM);
}

/* Signals are let in here alone. */
static void wait_for_news(const struct pool *p, int msec, const sigset_t *before)
{
	char space[64];
	struct pollfd fd = {.fd = p->parent_fd, .events = POLLIN};
	struct timespec t = {msec / 1000, msec % 1000 * 1000000L};
	ppoll(&fd, 1, msec < 0 ? NULL : &t, before);
	while (recv(p->parent_fd, space, sizeof space, 0) > 0)
		;
}

static void on_sigchld(int sig)
{
	(void)sig;
}

static void block(sigset_t *before)
{
	struct sigaction chld = {.sa_handler = on_sigchld};
	sigset_t set;
	sigaction(SIGCHLD, &chld, NULL);
	sigemptyset(&set);
	sigaddset(&set, SIGCHLD);
	sigaddset(&set, SIGTERM);
	sigprocmask(SIG_BLOCK, &set, before);
}

void pool_run(struct pool *p)
{
	sigset_t before;
	int64_t look = 0, pause = 0;
	block(&before);
	while (!program_stopping()) {
		if (!reap(p))
			pause = deadline_in(PAUSE_MSEC);
		while (clock_msec() >= pause && count(p, FREE) == 0 && live(p) < p->most)
			if (!start(p, &before))
				pause = deadline_in(PAUSE_MSEC);
		bool surplus = count(p, FREE) > 1;
		if (surplus && clock_msec() >= look) {
			trim(p);
			look = deadline_in(POOL_LOOK_MSEC);
		}
		wait_for_news(p, clock_msec() < pause ? PAUSE_MSEC : live(p) > 1 ? POOL_LOOK_MSEC : -1, &before);
	}
	for (reap(p); live(p); reap(p)) {
		tell_all(p);
		wait_for_news(p, NUDGE_MSEC, &before);
	}
}
