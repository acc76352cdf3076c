/* The conversation with a client that is refused, by RBLSMTPD in its rule or by DNS lists: it may say who it is and whom it wants to write to,
 * which is logged in one line at the end, and gets the refusal for each recipient.  As rblsmtpd(1): MAIL is answered 250, or else most clients would
 * never name a recipient; all else but HELO, EHLO, RSET, NOOP and QUIT is refused.
 *
 * The client is hostile.  It has a hundred commands and sixty seconds; what it says is kept short, logged (quoted) and otherwise not used.  It costs
 * its struct and what it said.  It is answered without waiting, and dropped when it does not read. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/socket.h>

#include "smtpd-outside/door.h"

#define TALK_MSEC 60000
#define TALK_LINE_MAX 1000
#define TALK_COMMANDS_MAX 100
#define HELO_MAX 255
#define SENDER_MAX 320
#define RCPTS_MAX 480       /* octets of all recipients together */

struct talk {
	bool too_long;          /* the line that is being read; its rest is passed over */
	unsigned commands, rcpts;
	unsigned partial_n;
	char *partial;          /* the beginning of a line */
	char *refusal;          /* "451 4.7.1 text" */
	char *helo, *sender, *rcpt; /* NULL: none */
};

/* TEXT with %IP% replaced, all that is not printable ASCII shown as "?". */
static char *make_refusal(const char *code, struct slice text, const struct ip *client)
{
	char ip[INET6_ADDRSTRLEN];
	struct buf b = BUF_INIT(400);
	ip_text(ip, client);
	for (buf_add_str(&b, code); text.n && !b.overflow; ) {
		bool place = slice_starts(text, "%IP%");
		if (place)
			buf_add_str(&b, ip);
		else
			buf_add_char(&b, text.p[0] >= 0x20 && text.p[0] < 0x7f ? text.p[0] : '?');
		text = slice_from(text, place ? strlen("%IP%") : 1);
	}
	char *out = b.n ? strndup(b.p, b.n) : NULL;
	buf_free(&b);
	return out;
}

static void begin(struct door *d, struct client *c, const char *code, struct slice text)
{
	struct talk *t = calloc(1, sizeof *t);
	c->state = CLIENT_BLOCKED;
	c->talk = t;
	if (t)
		t->refusal = make_refusal(code, text, &c->ip);
	if (!t || !t->refusal || door_watch(d, &c->watch, EPOLLIN) < 0 || door_timer_set(d, c, d->now + TALK_MSEC) < 0) {
		door_client_refuse(d, c, "421 4.3.2 out of memory, try again later");
		return;
	}
	if (!door_say(c->watch.fd, "220 %s", d->set.greeting))
		door_client_close(d, c);
}

void door_talk_begin(struct door *d, struct client *c, struct slice text)
{
	bool permanent = slice_starts(text, "-");
	begin(d, c, permanent ? "553 5.7.1 " : "451 4.7.1 ", slice_from(text, permanent));
}

void door_talk_refuse(struct door *d, struct client *c, int reply, struct slice text)
{
	char code[32];
	snprintf(code, sizeof code, "%d %d.7.1 ", reply, reply / 100);
	begin(d, c, code, text);
}

static const char *or_nothing(const char *s)
{
	return s ? s : "";
}

void door_talk_end(struct door *d, struct client *c)
{
	char ip[INET6_ADDRSTRLEN];
	struct talk *t = c->talk;
	if (!t)
		return;
	ip_text(ip, &c->ip);
	if (door_may_log(d))
		LOG(EV_door_blocked, NULL, F_STR("ip", ip), F_STR("text", or_nothing(t->refusal)), F_STR("helo", or_nothing(t->helo)),
			F_STR("sender", or_nothing(t->sender)), F_STR("rcpt", or_nothing(t->rcpt)), F_NUM("rcpts", t->rcpts), F_NUM("commands", t->commands));
	free(t->partial);
	free(t->refusal);
	free(t->helo);
	free(t->sender);
	free(t->rcpt);
	free(t);
	c->talk = NULL;
}

static void keep(char **out, struct slice s, size_t most)
{
	free(*out);
	s = slice_upto(s, slice_find(s, '\0'));
	*out = s.n ? strndup(s.p, s.n < most ? s.n : most) : NULL;
}

/* One more recipient, as long as there is room for it. */
static void keep_rcpt(struct talk *t, struct slice s)
{
	size_t have = t->rcpt ? strlen(t->rcpt) : 0;
	s = slice_upto(s, slice_find(s, '\0'));
	char *more = have + s.n + 1 <= RCPTS_MAX ? realloc(t->rcpt, have + s.n + 2) : NULL;
	if (!more)
		return;
	if (have)
		more[have++] = ' ';
	memcpy(more + have, s.p, s.n);
	more[have + s.n] = '\0';
	t->rcpt = more;
}

/* What each command does; returns false when the conversation is over.  ARG: what follows the verb. */
typedef bool talk_command(struct door *d, struct client *c, struct slice arg);

static bool on_helo(struct door *d, struct client *c, struct slice arg)
{
	keep(&c->talk->helo, arg, HELO_MAX);
	return door_say(c->watch.fd, "250 %s", d->set.greeting);
}

/* The path in "FROM:<path> parameters": it ends at the first ">" that is not in quotes. */
static struct slice path_of(struct slice arg, const char *keyword)
{
	bool quoted = false;
	arg = slice_trim(slice_from(arg, slice_case_starts(arg, keyword) ? strlen(keyword) : 0));
	for (size_t i = 0; slice_starts(arg, "<") && i < arg.n; i++) {
		if (arg.p[i] == '\\' && quoted)
			i++;
		else if (arg.p[i] == '"')
			quoted = !quoted;
		else if (arg.p[i] == '>' && !quoted)
			return slice_upto(arg, i + 1);
	}
	return arg;
}

static bool on_mail(struct door *d, struct client *c, struct slice arg)
{
	(void)d;
	keep(&c->talk->sender, path_of(arg, "FROM:"), SENDER_MAX);
	return door_say(c->watch.fd, "250 2.1.0 ok");
}

static bool on_rcpt(struct door *d, struct client *c, struct slice arg)
{
	(void)d;
	c->talk->rcpts++;
	keep_rcpt(c->talk, path_of(arg, "TO:"));
	return door_say(c->watch.fd, "%s", c->talk->refusal);
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
	door_say_last(c->watch.fd, "221 2.0.0 %s", d->set.greeting);
	return false;
}

static const struct {
	const char *verb;
	talk_command *run;
} commands[] = {
	{"HELO", on_helo}, {"EHLO", on_helo}, {"MAIL", on_mail}, {"RCPT", on_rcpt}, {"RSET", on_noop}, {"NOOP", on_noop}, {"QUIT", on_quit},
};

/* One whole line.  Returns false when the conversation is over. */
static bool on_line(struct door *d, struct client *c, struct slice line)
{
	struct slice arg = slice_trim(line), verb;
	if (++c->talk->commands > TALK_COMMANDS_MAX) {
		door_say_last(c->watch.fd, "421 4.7.0 too many commands");
		return false;
	}
	if (!slice_word(&verb, &arg))
		verb = slice_str("");
	for (size_t i = 0; i < sizeof commands / sizeof *commands; i++)
		if (slice_case_eq_str(verb, commands[i].verb))
			return commands[i].run(d, c, slice_trim(arg));
	return door_say(c->watch.fd, "%s", c->talk->refusal);
}

/* What is left of the input begins the next line. */
static bool keep_partial(struct talk *t, struct slice rest)
{
	if (rest.n >= TALK_LINE_MAX) {
		t->too_long = true;
		rest.n = 0;
	}
	char *more = rest.n ? malloc(rest.n) : NULL;
	if (rest.n && !more)
		return false;
	if (rest.n)
		memcpy(more, rest.p, rest.n);
	free(t->partial);
	t->partial = more;
	t->partial_n = (unsigned)rest.n;
	return true;
}

static bool on_lines(struct door *d, struct client *c, struct slice rest)
{
	struct talk *t = c->talk;
	for (size_t end; (end = slice_find(rest, '\n')) < rest.n; rest = slice_from(rest, end + 1)) {
		bool too_long = t->too_long || end >= TALK_LINE_MAX;
		bool go_on = too_long ? door_say(c->watch.fd, "500 5.5.2 line too long") : on_line(d, c, slice_upto(rest, end));
		t->too_long = false;
		if (!go_on)
			return false;
	}
	return keep_partial(t, rest);
}

void door_talk_event(struct door *d, struct client *c)
{
	static char space[4 * TALK_LINE_MAX];
	struct talk *t = c->talk;
	ssize_t n = recv(c->watch.fd, space + t->partial_n, sizeof space - t->partial_n, MSG_DONTWAIT);
	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	if (t->partial_n)
		memcpy(space, t->partial, t->partial_n);
	if (n <= 0 || !on_lines(d, c, slice_make(space, t->partial_n + (size_t)n)))
		door_client_close(d, c);
}
