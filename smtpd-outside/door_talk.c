/* The conversation with a client that RBLSMTPD blocks: it may say who it is and whom it wants to write to, which is logged, and gets a
 * refusal for each recipient.  As rblsmtpd(1): MAIL is answered 250, or else most clients would never name a recipient; all
 * else but HELO, EHLO, RSET, NOOP and QUIT is refused.
 *
 * The client is hostile.  It has one line buffer, a hundred commands and sixty seconds; what it says is logged (quoted) and otherwise
 * not used.  It is answered without waiting, and dropped when it does not read. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/socket.h>

#include "smtpd-outside/door.h"

#define TALK_MSEC 60000
#define TALK_LINE_MAX 1000
#define TALK_COMMANDS_MAX 100
#define KEPT_MAX 320

struct talk {
	size_t n;
	bool too_long;          /* the line that is being read; its rest is passed over */
	unsigned commands, rcpts;
	char refusal[400];      /* "451 4.7.1 text" */
	char helo[KEPT_MAX], sender[KEPT_MAX];
	char line[TALK_LINE_MAX];
};

/* TEXT with %IP% replaced, all that is not printable ASCII shown as "?". */
static void make_refusal(char *out, size_t size, struct slice text, const struct ip *client)
{
	char ip[INET6_ADDRSTRLEN];
	struct buf b = BUF_INIT(size - 1);
	bool permanent = slice_starts(text, "-");
	ip_text(ip, client);
	buf_add_str(&b, permanent ? "553 5.7.1 " : "451 4.7.1 ");
	for (text = slice_from(text, permanent); text.n && b.n < size - 1; ) {
		bool place = slice_starts(text, "%IP%");
		if (place)
			buf_add_str(&b, ip);
		else
			buf_add_char(&b, text.p[0] >= 0x20 && text.p[0] < 0x7f ? text.p[0] : '?');
		text = slice_from(text, place ? strlen("%IP%") : 1);
	}
	(void)!slice_copy(out, size, buf_slice(&b));
	buf_free(&b);
}

void door_talk_begin(struct door *d, struct client *c, struct slice text)
{
	struct talk *t = calloc(1, sizeof *t);
	c->state = CLIENT_BLOCKED;
	c->talk = t;
	if (!t || door_watch(d, &c->watch, EPOLLIN) < 0 || door_timer_set(d, c, d->now + TALK_MSEC) < 0) {
		door_client_refuse(d, c, "421 4.3.2 out of memory, try again later");
		return;
	}
	make_refusal(t->refusal, sizeof t->refusal, text, &c->ip);
	if (!door_say(c->watch.fd, "220 %s", d->set.greeting))
		door_client_close(d, c);
}

static void log_blocked(struct door *d, const struct client *c, struct slice rcpt)
{
	char ip[INET6_ADDRSTRLEN];
	const struct talk *t = c->talk;
	ip_text(ip, &c->ip);
	if (door_may_log(d))
		LOG(EV_door_blocked, NULL, F_STR("ip", ip), F_STR("text", t->refusal), F_STR("helo", t->helo), F_STR("sender", t->sender),
			F_SLICE("rcpt", rcpt));
}

void door_talk_end(struct door *d, struct client *c)
{
	if (c->talk && c->talk->rcpts == 0)
		log_blocked(d, c, slice_str(""));
	free(c->talk);
	c->talk = NULL;
}

static void keep(char *out, struct slice s)
{
	for (size_t i = 0; i < s.n; i++)
		if (s.p[i] == '\0')
			s.n = i;
	(void)!slice_copy(out, KEPT_MAX, slice_upto(s, KEPT_MAX - 1));
}

/* What each command does; returns false when the conversation is over.  ARG: what follows the verb. */
typedef bool talk_command(struct door *d, struct client *c, struct slice arg);

static bool on_helo(struct door *d, struct client *c, struct slice arg)
{
	keep(c->talk->helo, arg);
	c->talk->sender[0] = '\0';
	return door_say(c->watch.fd, "250 %s", d->set.greeting);
}

static bool on_mail(struct door *d, struct client *c, struct slice arg)
{
	(void)d;
	keep(c->talk->sender, slice_trim(slice_from(arg, slice_case_starts(arg, "FROM:") ? strlen("FROM:") : 0)));
	return door_say(c->watch.fd, "250 2.1.0 ok");
}

static bool on_rcpt(struct door *d, struct client *c, struct slice arg)
{
	struct slice rcpt = slice_trim(slice_from(arg, slice_case_starts(arg, "TO:") ? strlen("TO:") : 0));
	c->talk->rcpts++;
	log_blocked(d, c, slice_upto(rcpt, KEPT_MAX));
	return door_say(c->watch.fd, "%s", c->talk->refusal);
}

static bool on_rset(struct door *d, struct client *c, struct slice arg)
{
	(void)d;
	(void)arg;
	c->talk->sender[0] = '\0';
	return door_say(c->watch.fd, "250 2.0.0 ok");
}

static bool on_noop(struct door *d, struct client *c, struct slice arg)
{
	(void)d;
	(void)arg;
	return door_say(c->watch.fd, "250 2.0.0 ok");
}

static bool on_quit(struct door *d, struct client *c, struct slice arg)
{
	(void)arg;
	(void)door_say(c->watch.fd, "221 2.0.0 %s", d->set.greeting);
	return false;
}

static const struct {
	const char *verb;
	talk_command *run;
} commands[] = {
	{"HELO", on_helo}, {"EHLO", on_helo}, {"MAIL", on_mail}, {"RCPT", on_rcpt}, {"RSET", on_rset}, {"NOOP", on_noop}, {"QUIT", on_quit},
};

/* One whole line.  Returns false when the conversation is over. */
static bool on_line(struct door *d, struct client *c, struct slice line)
{
	struct slice arg = slice_trim(line), verb;
	if (++c->talk->commands > TALK_COMMANDS_MAX)
		return door_say(c->watch.fd, "421 4.7.0 too many commands") && false;
	if (!slice_word(&verb, &arg))
		verb = slice_str("");
	for (size_t i = 0; i < sizeof commands / sizeof *commands; i++)
		if (slice_case_eq_str(verb, commands[i].verb))
			return commands[i].run(d, c, slice_trim(arg));
	return door_say(c->watch.fd, "%s", c->talk->refusal);
}

/* The lines in the buffer; what is left begins it. */
static bool on_lines(struct door *d, struct client *c)
{
	struct talk *t = c->talk;
	struct slice rest = slice_make(t->line, t->n);
	for (size_t end; (end = slice_find(rest, '\n')) < rest.n; rest = slice_from(rest, end + 1)) {
		bool go_on = t->too_long ? door_say(c->watch.fd, "500 5.5.2 line too long") : on_line(d, c, slice_upto(rest, end));
		t->too_long = false;
		if (!go_on)
			return false;
	}
	if (rest.n == sizeof t->line) {
		t->too_long = true;
		rest.n = 0;
	}
	memmove(t->line, rest.p, rest.n);
	t->n = rest.n;
	return true;
}

void door_talk_event(struct door *d, struct client *c)
{
	struct talk *t = c->talk;
	ssize_t n = recv(c->watch.fd, t->line + t->n, sizeof t->line - t->n, MSG_DONTWAIT);
	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	t->n += n > 0 ? (size_t)n : 0;
	if (n <= 0 || !on_lines(d, c))
		door_client_close(d, c);
}
