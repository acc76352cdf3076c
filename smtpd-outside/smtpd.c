/* See smtpd.h.  The parent reads nothing but the door's datagrams and touches as little memory as it can: what it has touched, each
 * fork copies.  Runs as postern-smtpd in an empty root directory.
 *
 * SIGTERM: no more connections are taken; each session is told (again and again, since a signal between two calls is lost) and leaves
 * when its command in progress is done.  Where a replacement is ready (a reload) sessions are left alone, and the parent waits for their end. */
#include "smtpd-outside/smtpd.h"

#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "lib/heap.h"
#include "lib/log.h"
#include "lib/program.h"

#define IDLE_MSEC 5000 /* a wait without end would be restarted after SIGTERM (program_restart_calls()) */
#define REAP_MSEC 1000 /* how late a child's end may be seen while no connection comes */
#define REAP_EVERY 16  /* connections, while they come: each look walks over all children */
#define NUDGE_MSEC 200
#define HEAP_OCTETS (64 * 1024)

/* The session's input; before the fork the door's datagram, which is used up when the session begins. */
static char space[SESSION_IN_OCTETS] __attribute__((aligned(4096)));
_Static_assert(HANDOVER_MAX <= SESSION_IN_OCTETS, "the datagram fits");

static void reap(struct smtpd *d)
{
	int status;
	for (pid_t pid; (pid = waitpid(-1, &status, WNOHANG)) > 0; ) {
		int64_t octets = slots_gone(&d->slots, pid);
		if (WIFSIGNALED(status))
			LOG(EV_smtpd_killed, "", F_NUM("child", pid), F_NUM("signal", WTERMSIG(status)), F_NUM("octets", octets));
	}
}

/* A rule that cannot be obeyed: serve nobody under it rather than in another way.  Other faults of rules than this one the door finds when it reads them. */
static void wrong_rule(struct session *s, const struct err *e)
{
	LOG(EV_smtpd_refused, "", F_STR("error", e->text));
	if (s->tls_first) /* a clear line means nothing there */
		return;
	session_reply(s, REPLY_tls_missing, slice_str(""));
	session_flush(&s->io);
}

static void copy_host(struct session *s, const struct handover *h)
{
	struct slice host;
	if (!handover_var(h, "TCPREMOTEHOST", &host) || !slice_printable(host) || slice_copy(s->client_host, sizeof s->client_host, host))
		s->client_host[0] = 0;
}

_Noreturn static void child(struct smtpd *d, const struct handover *h, int client_fd, int token_fd, int slot)
{
	struct err e = {0};
	struct session *s = &d->session;
	/* whoever takes a session over must not be handed other clients, nor speak to the supervisor */
	close(d->in_port);
	close(program_lifeline());
	prctl(PR_SET_PDEATHSIG, SIGTERM); /* without a parent nobody would tell it to stop */
	s->io.fd = client_fd;
	s->io.in = space;
	s->message_space = &d->message;
	s->token_fd = token_fd;
	s->slots = d->slots.shared;
	s->slot = slot;
	s->set = d->set;
	s->next_port = d->next_port;
	s->directory_port = d->directory_port;
	s->tls_port = d->tls_port;
	s->skim_port = d->skim_port;
	s->dns_port = d->dns_port;
	s->tls_first = slice_eq_str(h->listener, "submissions");
	s->submission = s->tls_first || slice_eq_str(h->listener, "submission");
	copy_host(s, h);
	if (slice_copy(s->client_ip, sizeof s->client_ip, h->client_ip) || ip_parse(&s->local_ip, h->local_ip))
		_exit(EXIT_TEMPORARY);
	LOG(EV_smtpd_session, "", F_SLICE("ip", h->client_ip), F_NUM("port", h->client_port), F_STR("host", s->client_host));
	if (smtpd_settings_session(&s->set, h, &e))
		session_run(s);
	else
		wrong_rule(s, &e);
	_exit(0);
}

/* No process can be had: the client is told so by the parent, in one write that cannot block. */
static void no_room(int client_fd, const struct err *e)
{
	char text[512];
	struct buf b = BUF_OVER(text);
	LOG(EV_smtpd_refused, "", F_ERR(e));
	reply_line(&b, REPLY_no_room, slice_str(""), "");
	buf_add_str(&b, "\r\n");
	(void)!io_write_all(client_fd, b.p, b.n, deadline_in(0), NULL);
}

static void serve(struct smtpd *d, const struct handover *h, int client_fd, int token_fd)
{
	struct err e;
	int slot = slots_free(&d->slots);
	if (slot < 0) {
		err_set(&e, E_SYS, "%d sessions are running", SLOTS_MAX);
		no_room(client_fd, &e);
		return;
	}
	pid_t pid = _Fork(); /* without fork()'s locks and handlers: there is one thread, and each would be a page to copy */
	if (pid == 0)
		child(d, h, client_fd, token_fd, slot);
	if (pid > 0) {
		slots_set(&d->slots, slot, pid);
		return;
	}
	err_sys(&e, "fork");
	no_room(client_fd, &e);
}

static void stop_sessions(struct smtpd *d)
{
	const struct timespec pause = {0, NUDGE_MSEC * 1000000l};
	for (reap(d); d->slots.own->live; reap(d)) {
		bool hurry = !program_replaced();
		for (unsigned i = 0; hurry && i < d->slots.own->used; i++)
			if (d->slots.own->pid[i])
				kill(d->slots.own->pid[i], SIGTERM);
		nanosleep(&pause, NULL);
	}
}

void smtpd_run(struct smtpd *d)
{
	unsigned served = 0;
	(void)heap_settle(HEAP_OCTETS);
	program_restart_calls();
	while (!program_stopping()) {
		struct handover h;
		struct err e;
		int client_fd = -1, token_fd = -1;
		int64_t deadline = deadline_in(d->slots.own->live ? REAP_MSEC : IDLE_MSEC);
		int r = handover_receive(&h, &client_fd, &token_fd, space, d->in_port, deadline, &e);
		if (d->slots.own->live && (r != 0 || ++served % REAP_EVERY == 0))
			reap(d);
		if (r == 0)
			serve(d, &h, client_fd, token_fd);
		else if (r != E_TIMEOUT && r != E_EOF)
			LOG(EV_bad_question, "", F_ERR(&e));
		close_fd(&client_fd);
		close_fd(&token_fd);
		if (r == E_EOF)
			break;
	}
	stop_sessions(d);
}
