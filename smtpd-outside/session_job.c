/* A whole message: adds the Received field, makes the job, passes it on, waits for the line's answer and gives it to the client.
 * RFC 5321 4.4 (Received), 4.2.5 (what the 250 means), postern-job(5).  Whoever answers is a stage of the line or the queue; an answer is
 * believed to be one, its text is checked before it goes out. */
#include "smtpd-outside/session.h"

#include <stdlib.h>

#include "lib/header.h"
#include "lib/io.h"
#include "lib/job.h"
#include "lib/log.h"
#include "skim/feed.h"

/* The client's words inside our own field: only what can stand in an atom, a domain or a literal. */
static void add_safe(struct buf *b, const char *s)
{
	for (; *s; s++) {
		bool safe = (*s >= '0' && *s <= '9') || (*s >= 'a' && *s <= 'z') || (*s >= 'A' && *s <= 'Z') || strchr(".-_:[]", *s);
		buf_add_char(b, safe ? *s : '?');
	}
}

void session_received(struct buf *b, const struct session *s, int64_t wall_usec)
{
	buf_add_str(b, "Received: from ");
	add_safe(b, s->helo);
	buf_add_str(b, " (");
	if (s->client_host[0]) {
		add_safe(b, s->client_host);
		buf_add_char(b, ' ');
	}
	/* RFC 3848, RFC 6531 4.3; who logged in did so inside TLS */
	const char *protocol = s->smtputf8 ? "UTF8SMTP" : s->esmtp || s->user ? "ESMTP" : "SMTP";
	buf_add_format(b, "[%s%s])\n  by %.*s with %s%s id %s", strchr(s->client_ip, ':') ? "IPv6:" : "", s->client_ip, SLICE_FMT(s->set.me),
		protocol, s->user ? "SA" : s->tls[0] ? "S" : "", s->id);
	if (s->user && s->set.receiveduser) {
		buf_add_str(b, "\n  (user ");
		add_safe(b, s->user);
		buf_add_char(b, ')');
	}
	if (s->tls[0])
		buf_add_format(b, "\n  (%s)", s->tls);
	if (s->rcpts == 1)
		buf_add_format(b, "\n  for <%.*s>", SLICE_FMT(session_rcpt(s, 0)));
	buf_add_str(b, ";\n  ");
	header_date(b, wall_usec);
	buf_add_char(b, '\n');
}

static int make_head(struct job *job, const struct session *s, struct slice header, struct err *e)
{
	struct envelope env = {
		.id = slice_str(s->id), .class = s->submission ? CLASS_SUBMISSION : CLASS_OUTSIDE, .user = slice_str(s->user ? s->user : ""),
		.foreign_sender = s->claims.sender, .foreign_from = s->claims.from, .wall_usec = clock_wall_usec(), .sender = session_sender(s),
		.client_ip = slice_str(s->client_ip), .client_host = slice_str(s->client_host), .helo = slice_str(s->helo),
		.tls = slice_str(s->tls), .eightbit = s->eightbit, .smtputf8 = s->smtputf8, .require_tls = s->require_tls,
		.envid = slice_str(s->envid), .ret = s->ret, .rcpts = s->rcpts,
	};
	struct buf received = BUF_INIT(2048);
	env.rcpt = calloc(s->rcpts, sizeof *env.rcpt);
	if (!env.rcpt)
		return err_set(e, E_SYS, "no memory for the recipients");
	for (size_t i = 0; i < s->rcpts; i++) {
		env.rcpt[i] = (struct recipient){.address = session_rcpt(s, i), .orcpt = session_orcpt(s, i)};
		memcpy(env.rcpt[i].notify, s->rcpt[i].notify, sizeof env.rcpt[i].notify);
	}
	session_received(&received, s, env.wall_usec);
	int rc = received.overflow ? err_set(e, E_SYS, "no memory for the Received field") :
		job_make_head(job, &env, (const struct slice[]){buf_slice(&received), header}, 2, e);
	buf_free(&received);
	free(env.rcpt);
	return rc;
}

/* Pass the job on.  0 with *MINE the descriptor on which the answer comes. */
static int send_job(int *mine, const struct session *s, struct job *job, struct slice header, int64_t deadline, struct err *e)
{
	memcpy(job->id, s->id, sizeof job->id);
	int r = make_head(job, s, header, e);
	if (!r)
		r = answer_pair(mine, &job->reply_fd, e);
	return r ? r : job_send(s->next_port, job, deadline, e);
}

/* The answer as the client gets it; every refusal has the message's id. */
static void tell(struct session *s, int code, const char *text)
{
	struct buf b = BUF_INIT(ANSWER_MAX + ID_LEN + 16);
	buf_add_format(&b, "%d %s", code, text);
	if (!memmem(text, strlen(text), s->id, strlen(s->id)))
		buf_add_format(&b, " %s", s->id);
	buf_add_str(&b, "\r\n");
	session_write(&s->io, buf_slice(&b));
	buf_free(&b);
}

/* What skim counted and a later program refused does not count.  Said before the client hears of it, who may try again at once. */
static void tell_returned(const struct session *s)
{
	if (s->user)
		feed_send(s->skim_port, &(struct feed){.kind = FEED_RETURNED, .user = slice_str(s->user), .service = slice_str(s->id)});
}

static void unanswered(struct session *s, const struct err *e, int64_t begin)
{
	LOG(EV_smtpd_unanswered, s->id, F_STR("error", e->text), F_NUM("msec", clock_msec() - begin));
	tell_returned(s);
	session_reply(s, REPLY_unanswered, slice_str(""));
}

static void answered(struct session *s, int code, const char *text, int64_t begin)
{
	LOG(EV_smtpd_answered, s->id, F_NUM("code", code), F_STR("answer", text), F_NUM("msec", clock_msec() - begin));
	if (code >= 300)
		tell_returned(s);
	tell(s, code, text);
	s->messages += code < 300;
	if (code < 300)
		s->junk = 0;
}

static void log_handed(const struct session *s, unsigned long long octets)
{
	LOG(EV_smtpd_handed, s->id, F_STR("ip", s->client_ip), F_STR("helo", s->helo), F_STR("user", s->user ? s->user : ""), F_SLICE("sender", session_sender(s)),
		F_NUM("octets", octets), F_NUM("rcpts", s->rcpts), F_SLICE("rcpt", session_rcpt(s, 0)), F_STR("tls", s->tls));
}

void session_job(struct session *s, struct slice header, struct content *body, unsigned long long octets)
{
	struct job job = JOB_INIT;
	struct err e = {0};
	int mine = -1, code = 0;
	char text[ANSWER_MAX + 1];
	int64_t begin = clock_msec(), deadline = deadline_in(s->set.answer_msec);
	job.body = *body;
	*body = CONTENT_INIT;
	session_tell_unknown(s); /* before skim judges the message */
	int r = send_job(&mine, s, &job, header, deadline, &e);
	/* our copy of the reply's far end goes before we wait: its end of file is how we learn that a stage died */
	job_close(&job);
	if (!r) {
		log_handed(s, octets);
		r = answer_wait(&code, text, mine, deadline, &e);
	}
	if (!r && code >= 300 && code < 400)
		r = err_set(&e, E_PEER, "the answer's code is %d", code);
	if (r)
		unanswered(s, &e, begin);
	else
		answered(s, code, text, begin);
	close_fd(&mine);
}
