/* See serve.h.  Runs in postern-inject.  A caller is any local user: the kernel says who (SO_PEERCRED), that goes into the trace field; nothing
 * else that it says is believed.  It hands over sealed memfds, so it can neither change what was checked nor make a read block.
 * Any user may give any sender address, as with every sendmail; user (who logged in) stays empty in the envelope. */
#include "inject/serve.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "inject/message.h"
#include "lib/header.h"
#include "lib/job.h"
#include "lib/log.h"

#define REQUEST_MSEC 5000  /* the front ends connect when all is ready */
#define RECEIVED_ROOM 4096 /* of HEADER_MAX, for our own field */

struct caller {
	const struct serve *s;
	int fd;
	unsigned uid;
	int fds[PASS_FDS_MAX]; /* message, envelope */
	size_t count;
	char id[ID_LEN + 1];
};

static void reply(const struct caller *c, struct slice text)
{
	(void)!pass_send(c->fd, text, NULL, 0, deadline_in(REQUEST_MSEC), NULL);
}

static void refuse(const struct caller *c, const char *code, const struct err *e)
{
	char space[ANSWER_MAX];
	struct buf b = BUF_OVER(space);
	buf_add_format(&b, "%s %s", code, e->text);
	LOG(EV_inject_refused, c->id, F_NUM("uid", c->uid), F_SLICE("reply", buf_slice(&b)));
	reply(c, buf_slice(&b));
}

static const char *code_for(int rc)
{
	return rc == E_SYNTAX ? "554 5.6.0" : rc == E_TOO_LONG ? "552 5.3.4" : rc == E_REFUSED ? "553 5.1.3" : rc == E_PEER ? "554 5.5.2" : "451 4.3.0";
}

static void add_received(struct buf *b, const struct caller *c, int64_t wall_usec)
{
	buf_add_format(b, "Received: by %.*s (Postern, from userid %u)\n  id %s;\n  ", SLICE_FMT(c->s->me), c->uid, c->id);
	header_date(b, wall_usec);
	buf_add_char(b, '\n');
}

static int make_head(struct job *job, const struct caller *c, struct envelope *env, struct slice header, struct err *e)
{
	char space[1024];
	struct buf received = {space, 0, sizeof space, sizeof space, false};
	env->id = slice_str(c->id);
	env->class = CLASS_LOCAL;
	env->wall_usec = clock_wall_usec();
	add_received(&received, c, env->wall_usec);
	return job_make_head(job, env, (const struct slice[]){buf_slice(&received), header}, 2, e);
}

/* Header and body of the message: the head and body of JOB. */
static int make_job(struct job *job, const struct caller *c, struct envelope *env, struct slice message, struct err *e)
{
	struct buf header = BUF_INIT(HEADER_MAX - RECEIVED_ROOM);
	unsigned hops = 0;
	memcpy(job->id, c->id, sizeof job->id);
	int fd = memfd_make("body", e), rc = fd < 0 ? E_SYS : message_split(&header, &hops, fd, message, e);
	if (rc == 0 && hops > c->s->maxhops)
		rc = err_set(e, E_SYNTAX, "more than %u Received fields: the message goes round in a loop", c->s->maxhops);
	if (rc == 0)
		rc = make_head(job, c, env, buf_slice(&header), e);
	buf_free(&header);
	if (rc == 0)
		return content_of_own_file(&job->body, fd, e);
	close_fd(&fd);
	return rc;
}

/* Pass the job on and tell the caller what the line says. */
static void hand_over(const struct caller *c, struct job *job)
{
	struct err e = {0};
	char text[ANSWER_MAX + 1], space[ANSWER_MAX + 8];
	struct buf b = {space, 0, sizeof space, sizeof space, false};
	int mine = -1, code = 451;
	int64_t begin = clock_msec(), deadline = deadline_in(c->s->answer_msec);
	int rc = answer_pair(&mine, &job->reply_fd, &e);
	if (rc == 0)
		rc = job_send(c->s->next_fd, job, deadline, &e);
	job_close(job); /* our copy of the reply's far end: else no end of file would tell that a stage died */
	if (rc == 0)
		rc = answer_wait(&code, text, mine, deadline, &e);
	buf_add_format(&b, "%d %s", rc ? 451 : code, rc ? "4.3.0 the message was not taken, try again later" : text);
	LOG(EV_inject_answered, c->id, F_NUM("uid", c->uid), F_NUM("code", rc ? 451 : code), F_STR("answer", rc ? e.text : text),
		F_NUM("msec", clock_msec() - begin));
	reply(c, buf_slice(&b));
	close_fd(&mine);
}

static void send_mapped(const struct caller *c, struct slice message, struct slice envelope)
{
	struct envelope env = {0};
	struct arena a = {0};
	struct job job = JOB_INIT;
	struct err e = {0};
	int rc = request_envelope(&env, &a, envelope, c->s->names.host, &e);
	if (rc == E_TOO_LONG)
		rc = E_REFUSED; /* an address, not the message */
	if (rc == 0)
		rc = make_job(&job, c, &env, message, &e);
	if (rc == 0) {
		LOG(EV_inject_handed, c->id, F_NUM("uid", c->uid), F_SLICE("sender", env.sender), F_NUM("octets", message.n), F_NUM("rcpts", env.rcpts),
			F_SLICE("rcpt", env.rcpt[0].address));
		hand_over(c, &job);
	} else {
		refuse(c, code_for(rc), &e);
	}
	job_close(&job);
	free(env.rcpt);
	arena_free(&a);
}

/* A caller's file, then C's. */
static int look(struct content *c, int *fd, size_t most, struct err *e)
{
	int rc = content_of_file(c, *fd, BODY_MAX, e);
	*fd = -1;
	if (rc == 0 && c->octets > most)
		rc = err_set(e, E_TOO_LONG, "larger than %zu octets", most);
	return rc < 0 ? rc : content_look(c, e);
}

static void do_send(struct caller *c)
{
	struct content message = CONTENT_INIT, envelope = CONTENT_INIT;
	struct err e = {0};
	id_make(c->id);
	int rc = c->count == 2 ? look(&message, &c->fds[0], c->s->databytes, &e) : err_set(&e, E_PEER, "send goes with two descriptors");
	if (rc == 0)
		rc = look(&envelope, &c->fds[1], ENVELOPE_MAX, &e);
	if (rc == 0)
		send_mapped(c, content_slice(&message), content_slice(&envelope));
	else
		refuse(c, code_for(rc), &e);
	content_close(&message);
	content_close(&envelope);
}

static int decode(struct job *job, struct err *e)
{
	int rc = envelope_decode(&job->env, &job->header, content_slice(&job->head), e);
	if (rc == 0)
		(void)!slice_copy(job->id, sizeof job->id, job->env.id);
	return rc;
}

/* A message of another host's queue, as that had it: head and body (postern-export(5)).  Who may speak for the suite may say what an envelope says. */
static void do_import(struct caller *c)
{
	struct err e = {0};
	struct job job = JOB_INIT;
	int rc = c->uid != 0 && c->uid != geteuid() ? err_set(&e, E_REFUSED, "only root and the suite's user may import") :
		c->count == 2 ? look(&job.head, &c->fds[0], HEAD_MAX, &e) : err_set(&e, E_PEER, "import goes with two descriptors");
	if (rc == 0) {
		rc = content_of_file(&job.body, c->fds[1], BODY_MAX, &e);
		c->fds[1] = -1;
	}
	if (rc == 0)
		rc = decode(&job, &e);
	if (rc == 0) {
		memcpy(c->id, job.id, sizeof c->id);
		LOG(EV_inject_handed, c->id, F_NUM("uid", c->uid), F_SLICE("sender", job.env.sender), F_NUM("octets", job.header.n + job.body.octets),
			F_NUM("rcpts", job.env.rcpts), F_SLICE("rcpt", job.env.rcpt[0].address));
		hand_over(c, &job);
	} else {
		refuse(c, rc == E_REFUSED ? "550 5.7.1" : code_for(rc), &e);
	}
	job_close(&job);
}

static void do_names(const struct caller *c)
{
	char space[REQUEST_PACKET_MAX];
	struct buf b = {space, 0, sizeof space, sizeof space, false};
	names_encode(&b, &c->s->names);
	reply(c, buf_slice(&b));
}

static int read_request(struct caller *c, struct err *e)
{
	char verb[16];
	size_t n = 0;
	int rc = pass_recv(c->fd, verb, sizeof verb, &n, c->fds, &c->count, deadline_in(REQUEST_MSEC), e);
	if (rc < 0)
		return rc;
	if (slice_eq_str(slice_make(verb, n), "send"))
		do_send(c);
	else if (slice_eq_str(slice_make(verb, n), "import"))
		do_import(c);
	else if (slice_eq_str(slice_make(verb, n), "names"))
		do_names(c);
	else
		rc = err_set(e, E_PEER, "a request is send, import or names");
	close_fds(c->fds, c->count);
	return rc;
}

static int take_caller(struct caller *c, struct err *e)
{
	struct ucred who;
	socklen_t size = sizeof who;
	int rc = io_wait(c->s->listen_fd, POLLIN, DEADLINE_NEVER, e);
	if (rc < 0)
		return rc;
	c->fd = accept4(c->s->listen_fd, NULL, NULL, SOCK_CLOEXEC);
	if (c->fd < 0) /* another worker was quicker, or the caller has gone */
		return errno == EAGAIN || errno == ECONNABORTED || errno == EINTR ? E_TIMEOUT : err_sys(e, "accept");
	if (getsockopt(c->fd, SOL_SOCKET, SO_PEERCRED, &who, &size) < 0) {
		close_fd(&c->fd);
		return err_sys(e, "SO_PEERCRED");
	}
	c->uid = who.uid;
	return 0;
}

void serve_one(const struct serve *s)
{
	struct caller c = {.s = s, .fd = -1};
	struct err e = {0};
	int rc = take_caller(&c, &e);
	if (rc == 0 && read_request(&c, &e) < 0)
		LOG(EV_inject_bad_caller, NULL, F_NUM("uid", c.uid), F_ERR(&e));
	if (rc == E_SYS) {
		LOG(EV_fault, NULL, F_ERR(&e));
		poll(NULL, 0, 100); /* out of memory or descriptors: not in a hurry */
	}
	close_fd(&c.fd);
}
