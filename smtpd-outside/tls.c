/* The parent of postern-tls: takes questions from sessions (tls_client.h) and forks a process for each connection.
 *
 * User postern-tls, empty root.  It reads nothing but the sessions' questions and never touches a client's octets, so a bad client ends its own
 * process alone.  Parent and connections have a short list of system calls; the process of a connection makes no other process, and has
 * neither the questions nor the supervisor's line, before it reads the first octet of its client. */
#include <netinet/in.h>
#include <stdlib.h>
#include <sys/random.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "lib/addr.h"
#include "lib/heap.h"
#include "lib/log.h"
#include "lib/program.h"
#include "smtpd-outside/tls.h"

#define HANDSHAKE_MSEC 60000
#define REAP_MSEC 1000 /* how late a child's end may be seen while nobody asks */
#define REAP_EACH 16   /* connections */
#define FULL_LOG_MSEC 60000
#define TICKET_KEYS_MSEC (6 * 3600 * 1000) /* in TLS 1.2 whoever has these reads what they resumed */
#define TICKET_KEYS_OCTETS 80              /* name, HMAC and AES-256 keys */
#define HEAP_OCTETS (256u << 10)
#define AHEAD_OCTETS (88u << 10) /* of the heap: what a connection takes of it */

/* What parent and connections may do once all is prepared; a connection cannot make a process any more either (alone()). */
static const char *const narrow[] = {
	"read", "write", "readv", "writev", "recvfrom", "sendto", "recvmsg", "sendmsg", "poll", "ppoll", "close", "shutdown", "getpeername", "futex", "brk",
	"mmap", "munmap", "mremap", "mprotect", "madvise", "getrandom", "getpid", "gettid", "clock_gettime", "gettimeofday", "time", "restart_syscall",
	"rt_sigreturn", "rt_sigprocmask", "tgkill", "exit_group", "clone", "set_robust_list", "wait4", "prlimit64", NULL,
};

struct link {
	struct pump pump;
	struct wire wire;
};
static uintptr_t heap;       /* where a connection's memory begins */
static struct link *begun; /* up to where the client's first octets are read: each process goes on from here in its own copy */

struct tls {
	SSL_CTX *ctx;
	int in_fd, lifeline_fd;
	unsigned live, most;
	int64_t full_logged, fresh_keys;
};

static void peer_text(char text[INET6_ADDRSTRLEN], int fd)
{
	struct sockaddr_storage a = {0};
	socklen_t size = sizeof a;
	struct ip ip = {{[10] = 0xff, [11] = 0xff}};
	if (getpeername(fd, (struct sockaddr *)&a, &size) == 0 && a.ss_family == AF_INET6)
		memcpy(ip.a, &((const struct sockaddr_in6 *)(const void *)&a)->sin6_addr, 16);
	else if (a.ss_family == AF_INET)
		memcpy(ip.a + 12, &((const struct sockaddr_in *)(const void *)&a)->sin_addr, 4);
	ip_text(text, &ip);
}

/* Said by the parent too: what a session gave for its reply may be anything, so it is sent and never written, which could block. */
static void refuse(struct question *q, const char *why)
{
	char record[TLS_ANSWER_OCTETS] = {0};
	struct buf b = BUF_OVER(record);
	tls_answer_failed(&b, why);
	(void)question_answer(q, slice_make(record, sizeof record), NULL, 0);
}

/* The answer is the first that the session gets of this connection. */
static void answer_ok(struct pump *p)
{
	struct buf b = {p->in.octet, 0, TLS_ANSWER_OCTETS, TLS_ANSWER_OCTETS, false};
	struct tls_facts facts;
	tls_facts_of(&facts, p->ssl, program_lane() != LANE_OUTSIDE);
	tls_answer_ok(&b, &facts);
	p->in.n = TLS_ANSWER_OCTETS; /* zeroed behind what was added */
}

/* No process and no thread from here on: for any user but root, whom program_confine() has left behind. */
static int alone(struct err *e)
{
	const struct rlimit none = {0, 0};
	return setrlimit(RLIMIT_NPROC, &none) < 0 ? err_sys(e, "setrlimit") : 0;
}

static void failed(struct question *q, int client_fd, const struct err *e)
{
	char ip[INET6_ADDRSTRLEN];
	peer_text(ip, client_fd);
	LOG(EV_tls_failed, NULL, F_STR("ip", ip), F_ERR(e));
	refuse(q, e->text);
	tls_linger(client_fd);
}

static void carry(struct pump *p)
{
	answer_ok(p);
	tls_pump(p);
}

/* SIGTERM ends the parent alone: a connection ends with its session, not before. */
_Noreturn static void child(struct tls *t, struct question *q, int64_t msec)
{
	struct err e = {0};
	struct pump *p = &begun->pump;
	int client_fd = q->fds[0];
	q->count = 0; /* not to be closed with the question */
	close(t->in_fd);
	close(t->lifeline_fd);
	heap_ahead(heap, AHEAD_OCTETS);
	p->wire->fd = client_fd;
	p->wire->readable = true;
	p->clear_fd = q->reply_fd;
	if (alone(&e) < 0 || tls_handshake(p->ssl, p->wire, deadline_in(msec < HANDSHAKE_MSEC ? msec : HANDSHAKE_MSEC), &e) < 0)
		failed(q, client_fd, &e);
	else
		carry(p);
	_exit(0);
}

static void full(struct tls *t, struct question *q)
{
	int64_t now = clock_msec();
	if (now >= t->full_logged + FULL_LOG_MSEC) {
		t->full_logged = now;
		LOG(EV_tls_full, NULL, F_NUM("connections", t->live));
	}
	refuse(q, "too many TLS connections");
}

/* New keys for session tickets now and then: older tickets cost their clients a whole handshake, no more. */
static void renew_ticket_keys(struct tls *t)
{
	unsigned char keys[TICKET_KEYS_OCTETS];
	int64_t now = clock_msec();
	if (now < t->fresh_keys)
		return;
	if (getrandom(keys, sizeof keys, 0) == (ssize_t)sizeof keys)
		SSL_CTX_set_tlsext_ticket_keys(t->ctx, keys, (long)sizeof keys);
	OPENSSL_cleanse(keys, sizeof keys);
	t->fresh_keys = now + TICKET_KEYS_MSEC;
}

static void reap(struct tls *t)
{
	int status;
	struct err e;
	while (t->live && waitpid(-1, &status, WNOHANG) > 0) {
		t->live--;
		if (!WIFSIGNALED(status))
			continue;
		err_set(&e, E_PEER, "a connection's process was ended by signal %d", WTERMSIG(status));
		LOG(EV_fault, NULL, F_ERR(&e));
	}
}

static void serve(struct tls *t, struct question *q)
{
	int64_t msec;
	struct err e;
	if (tls_question_decode(&msec, q->text) < 0 || q->count != 1) {
		LOG(EV_bad_question, NULL, F_STR("error", "a session asked for TLS in a wrong form"));
		question_drop(q);
		return;
	}
	if (t->live % REAP_EACH == 0 || t->live >= t->most)
		reap(t);
	if (t->live >= t->most) {
		full(t, q);
		return;
	}
	renew_ticket_keys(t);
	pid_t pid = _Fork(); /* without fork()'s locks and handlers for threads, of which there is one */
	if (pid == 0)
		child(t, q, msec);
	if (pid < 0) {
		err_sys(&e, "fork");
		LOG(EV_fault, NULL, F_ERR(&e));
		refuse(q, "no process for TLS");
		return;
	}
	t->live++;
	question_drop(q);
}

int tls_prepare(struct err *e)
{
	return program_narrow_prepare(narrow, e);
}

/* All that does not depend on the client is done here once, before any fork; nothing random is drawn yet. */
int tls_begin(SSL_CTX *ctx, struct err *e)
{
	heap = heap_settle(HEAP_OCTETS);
	struct link *l = begun = calloc(1, sizeof *l);
	BIO *bio = l ? wire_bio(&l->wire) : NULL;
	SSL *ssl = bio ? SSL_new(ctx) : NULL;
	if (!ssl)
		return err_set(e, E_SYS, "no memory for TLS");
	SSL_set_bio(ssl, bio, bio);
	l->pump.ssl = ssl;
	l->pump.wire = &l->wire;
	int rc = SSL_accept(ssl);
	if (rc == 1 || SSL_get_error(ssl, rc) != SSL_ERROR_WANT_READ)
		return err_set(e, E_SYS, "TLS cannot be begun");
	return program_narrow(narrow, e);
}

void tls_run(SSL_CTX *ctx, int in_fd, int lifeline_fd, unsigned most)
{
	struct tls t = {.ctx = ctx, .in_fd = in_fd, .lifeline_fd = lifeline_fd, .most = most, .full_logged = -FULL_LOG_MSEC};
	char space[64];
	struct err e;
	while (!program_stopping()) {
		struct question q;
		int r = question_receive(&q, in_fd, space, sizeof space, t.live ? deadline_in(REAP_MSEC) : DEADLINE_NEVER, &e);
		if (r == 0)
			serve(&t, &q);
		else
			reap(&t);
		if (r < 0 && r != E_TIMEOUT && r != E_EOF)
			LOG(EV_bad_question, NULL, F_ERR(&e));
	}
	LOG(EV_stopping, NULL);
}
