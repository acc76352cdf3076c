/* The parent of postern-tls: takes questions from sessions (tls_client.h) and forks a process for each connection.
 *
 * User postern-tls, empty root.  It reads nothing but the sessions' questions and never touches a client's octets, so a bad client ends its own
 * process alone.  The process of a connection gives up everything but reading, writing and memory before it reads the first octet
 * of its client. */
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <signal.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "lib/addr.h"
#include "lib/log.h"
#include "lib/program.h"
#include "smtpd-outside/tls.h"

#define HANDSHAKE_MSEC 60000
#define REAP_MSEC 1000
#define FULL_LOG_MSEC 60000
#define TICKET_KEYS_MSEC (6 * 3600 * 1000) /* in TLS 1.2 whoever has these reads what they resumed */
#define TICKET_KEYS_OCTETS 80              /* name, HMAC and AES-256 keys */

static const char *const narrow[] = {
	"read", "write", "readv", "writev", "recvfrom", "sendto", "recvmsg", "sendmsg", "poll", "ppoll", "close", "shutdown", "futex", "brk", "mmap",
	"munmap", "mremap", "mprotect", "madvise", "getrandom", "getpid", "gettid", "clock_gettime", "gettimeofday", "time", "restart_syscall",
	"rt_sigreturn", "rt_sigprocmask", "tgkill", "exit_group", NULL,
};

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

static void refuse(struct question *q, const char *why)
{
	struct buf b = BUF_INIT(512);
	tls_answer_failed(&b, why);
	(void)question_answer(q, buf_slice(&b), NULL, 0);
	buf_free(&b);
}

/* The session gets its end of the clear octets with the facts.  0, or E_EOF when it does not wait any more. */
static int answer_ok(struct question *q, SSL *ssl, int session_fd, const char *ip)
{
	struct buf b = BUF_INIT(1024);
	struct tls_facts facts;
	tls_facts_of(&facts, ssl);
	tls_answer_ok(&b, &facts);
	LOG(EV_tls_started, NULL, F_STR("ip", ip), F_STR("version", facts.version), F_STR("cipher", facts.cipher), F_STR("sni", facts.sni),
		F_NUM("resumed", SSL_session_reused(ssl)));
	int r = question_answer(q, buf_slice(&b), &session_fd, 1);
	buf_free(&b);
	return r;
}

static void connection(struct tls *t, struct question *q, int client_fd, int64_t msec)
{
	char ip[INET6_ADDRSTRLEN];
	int pair[2];
	struct err e = {0};
	SSL *ssl = SSL_new(t->ctx);
	peer_text(ip, client_fd);
	fcntl(client_fd, F_SETFL, fcntl(client_fd, F_GETFL) | O_NONBLOCK);
	if (!ssl || SSL_set_fd(ssl, client_fd) != 1 || socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) < 0) {
		LOG(EV_tls_failed, NULL, F_STR("ip", ip), F_STR("error", "no memory or descriptors"));
		refuse(q, "no memory for TLS");
		return;
	}
	if (program_narrow(narrow, &e) < 0) {
		LOG(EV_fault, NULL, F_ERR(&e));
		return;
	}
	if (tls_handshake(ssl, deadline_in(msec < HANDSHAKE_MSEC ? msec : HANDSHAKE_MSEC), &e) < 0) {
		LOG(EV_tls_failed, NULL, F_STR("ip", ip), F_ERR(&e));
		refuse(q, e.text);
		return;
	}
	int r = answer_ok(q, ssl, pair[1], ip);
	close(pair[1]);
	if (r == 0)
		tls_pump(ssl, pair[0]);
}

/* SIGTERM stays blocked: a connection ends with its session, not before. */
_Noreturn static void child(struct tls *t, struct question *q, int64_t msec)
{
	int client_fd = q->fds[0];
	q->count = 0;
	close(t->in_fd);
	close(t->lifeline_fd);
	connection(t, q, client_fd, msec);
	_exit(0);
}

static void mask_sigterm(int how)
{
	sigset_t set;
	sigemptyset(&set);
	sigaddset(&set, SIGTERM);
	sigprocmask(how, &set, NULL);
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

static void serve(struct tls *t, struct question *q)
{
	int64_t msec;
	struct err e;
	if (tls_question_decode(&msec, q->text) < 0 || q->count != 1) {
		LOG(EV_bad_question, NULL, F_STR("error", "a session asked for TLS in a wrong form"));
		question_drop(q);
		return;
	}
	if (t->live >= t->most) {
		full(t, q);
		return;
	}
	renew_ticket_keys(t);
	mask_sigterm(SIG_BLOCK);
	pid_t pid = fork();
	if (pid == 0)
		child(t, q, msec);
	mask_sigterm(SIG_UNBLOCK);
	if (pid < 0) {
		err_sys(&e, "fork");
		LOG(EV_fault, NULL, F_ERR(&e));
		refuse(q, "no process for TLS");
		return;
	}
	t->live++;
	question_drop(q);
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

int tls_prepare(struct err *e)
{
	return program_narrow_prepare(narrow, e);
}

void tls_run(SSL_CTX *ctx, int in_fd, int lifeline_fd, unsigned most)
{
	struct tls t = {.ctx = ctx, .in_fd = in_fd, .lifeline_fd = lifeline_fd, .most = most, .full_logged = -FULL_LOG_MSEC};
	char space[64];
	struct err e;
	while (!program_stopping()) {
		struct question q;
		int r = question_receive(&q, in_fd, space, sizeof space, t.live ? deadline_in(REAP_MSEC) : DEADLINE_NEVER, &e);
		reap(&t);
		if (r == 0)
			serve(&t, &q);
		else if (r != E_TIMEOUT && r != E_EOF)
			LOG(EV_bad_question, NULL, F_ERR(&e));
	}
	LOG(EV_stopping, NULL);
}
