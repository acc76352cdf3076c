/* Load for bench/run: SMTP sessions with TLS and without mail, as many as told, by several processes at once.
 *
 *	tls PORT COUNT PROCESSES plain|starttls|resumed
 *
 * One session: connect, greeting, EHLO, but for "plain" STARTTLS, handshake, EHLO, then QUIT until the server closes.  "resumed" keeps the ticket of
 * the connection before; the first of each process is a whole handshake.  Prints how many sessions succeeded and how many were resumed. */
#include <arpa/inet.h>
#include <netinet/tcp.h>
#include <openssl/ssl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

struct counts {
	_Atomic long left, good, resumed;
};

struct link {
	int fd;
	SSL *ssl; /* NULL: in clear */
};

static SSL_SESSION *kept;

static int keep(SSL *ssl, SSL_SESSION *session)
{
	(void)ssl;
	SSL_SESSION_free(kept);
	kept = session;
	return 1;
}

static int take(struct link *l, char *p, int room)
{
	return l->ssl ? SSL_read(l->ssl, p, room) : (int)read(l->fd, p, (size_t)room);
}

/* A whole reply that begins with CODE. */
static int reply(struct link *l, const char *code)
{
	char text[4096];
	int n = 0;
	for (;;) {
		int got = take(l, text + n, (int)sizeof text - 1 - n);
		if (got <= 0)
			return 0;
		n += got;
		text[n] = 0;
		char *last = n > 1 && text[n - 1] == '\n' ? text + n - 1 : NULL;
		while (last && last > text && last[-1] != '\n')
			last--;
		if (last && !strncmp(text, code, 3) && last[3] == ' ')
			return 1;
	}
}

static int say(struct link *l, const char *text, const char *code)
{
	int n = (int)strlen(text);
	int sent = l->ssl ? SSL_write(l->ssl, text, n) : (int)write(l->fd, text, (size_t)n);
	return sent == n && reply(l, code);
}

static int session(struct link *l, int port, SSL_CTX *ctx, int resume)
{
	struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons((unsigned short)port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	int on = 1;
	l->fd = socket(AF_INET, SOCK_STREAM, 0);
	setsockopt(l->fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
	if (connect(l->fd, (struct sockaddr *)&to, sizeof to) || !reply(l, "220") || !say(l, "EHLO client.test\r\n", "250"))
		return 0;
	if (ctx) {
		if (!say(l, "STARTTLS\r\n", "220"))
			return 0;
		SSL *ssl = SSL_new(ctx);
		SSL_set_fd(ssl, l->fd);
		if (resume && kept)
			SSL_set_session(ssl, kept);
		l->ssl = ssl;
		if (SSL_connect(ssl) != 1 || !say(l, "EHLO client.test\r\n", "250"))
			return 0;
	}
	return say(l, "QUIT\r\n", "221");
}

static void work(struct counts *c, int port, SSL_CTX *ctx, int resume)
{
	while (c->left-- > 0) {
		struct link l = {-1, NULL};
		char rest[256];
		c->good += session(&l, port, ctx, resume);
		while (take(&l, rest, sizeof rest) > 0)
			;
		if (l.ssl) {
			c->resumed += SSL_session_reused(l.ssl);
			SSL_set_shutdown(l.ssl, SSL_SENT_SHUTDOWN | SSL_RECEIVED_SHUTDOWN); /* else the session counts as broken */
			SSL_free(l.ssl);
		}
		close(l.fd);
	}
}

int main(int argc, char **argv)
{
	if (argc != 5)
		return 100;
	struct counts *c = mmap(NULL, sizeof *c, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	int port = (int)strtol(argv[1], NULL, 10), processes = (int)strtol(argv[3], NULL, 10), resume = !strcmp(argv[4], "resumed");
	SSL_CTX *ctx = strcmp(argv[4], "plain") ? SSL_CTX_new(TLS_client_method()) : NULL;
	c->left = strtol(argv[2], NULL, 10);
	if (ctx && resume) {
		SSL_CTX_set_session_cache_mode(ctx, SSL_SESS_CACHE_CLIENT | SSL_SESS_CACHE_NO_INTERNAL);
		SSL_CTX_sess_set_new_cb(ctx, keep);
	}
	for (int i = 0; i < processes; i++)
		if (fork() == 0) {
			work(c, port, ctx, resume);
			_exit(0);
		}
	while (wait(NULL) > 0)
		;
	printf("%ld %ld\n", (long)c->good, (long)c->resumed);
	return 0;
}
