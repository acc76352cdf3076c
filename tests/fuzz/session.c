/* A whole SMTP session on port 25, from greeting to end: commands, DATA and BDAT in any order.  The input is what the client sends; behind an octet 0xfe it
 * waits until all replies are there (as a client must at EHLO and DATA), so that groups and single commands are both tried.
 *
 * recv() on the client's socket is played here; all else is real.  There is no directory (451 for local recipients), the next stage takes jobs and does not
 * answer (451).  Replies are lines of at most 512 octets that begin with a code; a job is a message with neither CR nor NUL, header and body apart. */
#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "lib/id.h"
#include "lib/job.h"
#include "lib/log.h"
#include "smtpd-outside/message.h"

#define PAUSE 0xfe
#define JOBS_MAX 64

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct slice input, piece;
static int client_fd = -1;

ssize_t recv(int fd, void *p, size_t n, int flags)
{
	if (fd != client_fd)
		return syscall(SYS_recvfrom, fd, p, n, flags, NULL, NULL);
	if (flags & MSG_PEEK && !piece.n)
		return errno = EAGAIN, -1;
	while (!piece.n && slice_cut(&piece, &input, (char)PAUSE))
		;
	struct slice now = slice_upto(piece, n);
	memcpy(p, now.p, now.n);
	if (!(flags & MSG_PEEK))
		piece = slice_from(piece, now.n);
	return (ssize_t)now.n;
}

static void check_replies(int fd)
{
	static char space[1 << 20];
	size_t n = 0;
	for (ssize_t got; n < sizeof space && (got = syscall(SYS_recvfrom, fd, space + n, sizeof space - n, MSG_DONTWAIT, NULL, NULL)) > 0; )
		n += (size_t)got;
	struct slice all = slice_make(space, n), line;
	while (all.n) {
		size_t end = slice_find(all, '\n');
		if (end == all.n || end > 511 || !end || all.p[end - 1] != '\r')
			abort();
		line = slice_upto(all, end - 1);
		all = slice_from(all, end + 1);
		if (line.n < 4 || line.p[0] < '2' || line.p[0] > '5' || (line.p[3] != ' ' && line.p[3] != '-') || !slice_printable(line))
			abort();
	}
}

static void clean(const char *p, size_t n)
{
	if (n && (memchr(p, '\r', n) || memchr(p, 0, n)))
		abort();
}

static void check_jobs(int port)
{
	struct err e;
	struct job job;
	while (job_receive(&job, port, deadline_in(0), &e) == 0) {
		if (content_look(&job.body, &e) < 0 || !job.header.n || job.header.p[job.header.n - 1] != '\n' || !job.env.rcpts)
			abort();
		clean(job.header.p, job.header.n);
		clean(job.body.p, job.body.octets);
		job_close(&job);
	}
}

/* As the parent prepares it, with the defaults of the control files. */
static void prepare(struct smtpd_settings *set)
{
	static struct control c;
	static char text[] = "campus.test", far[] = "relayed.test\n.below.test";
	struct err e;
	for (size_t i = 0; i < C_COUNT; i++)
		if (control_files[i].kind == CONTROL_NUMBER && control_files[i].def)
			c.value[i].number = atoll(control_files[i].def);
	c.value[C_me] = (struct control_value){.content = slice_str("mx1.campus.test"), .present = true};
	c.value[C_smtpgreeting] = c.value[C_me];
	c.value[C_locals] = (struct control_value){.content = slice_str(text), .present = true};
	c.value[C_rcpthosts] = (struct control_value){.content = slice_str(far), .present = true};
	c.value[C_sendasothers] = (struct control_value){.content = slice_str("record")};
	c.value[C_databytes].number = 20000;
	c.value[C_maxrcpt].number = 5;
	c.value[C_tarpitdelay].number = 0;
	c.value[C_answerseconds].number = 0;
	if (smtpd_settings_read(set, &c, &e))
		abort();
	set->messages.left = set->recipients.left = -1;
	id_set_host(set->me);
	log_to(open("/dev/null", O_WRONLY | O_CLOEXEC));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct smtpd_settings set;
	static struct slots slots;
	static char in[SESSION_IN_OCTETS];
	static int next[2] = {-1, -1};
	int client[2], token[2];
	if (next[0] < 0) {
		prepare(&set);
		if (slots_make(&slots, NULL) || socketpair(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0, next))
			abort();
	}
	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, client) || pipe2(token, O_CLOEXEC | O_NONBLOCK))
		abort();
	(void)!write(client[1], "", 1); /* there is always something to read */
	static struct message message;
	struct session *s = calloc(1, sizeof *s);
	if (!s)
		abort();
	*s = (struct session){.io = {.fd = client[0], .in = in}, .message_space = &message, .set = set, .next_port = next[0], .directory_port = -1, .tls_port = -1, .skim_port = -1,
		.token_fd = token[1], .slots = slots.shared, .client_ip = "192.0.2.7"};
	input = slice_make(data, size);
	piece = slice_make("", 0);
	client_fd = client[0];
	session_run(s);
	client_fd = -1;
	check_replies(client[1]);
	check_jobs(next[1]);
	if (s->message || s->rcpts || slots.shared->octets[0])
		abort();
	free(s->user);
	buf_free(&s->own);
	free(s);
	close(client[1]);
	close(token[0]);
	close(token[1]);
	return 0;
}
