/* Operators' commands: see caller.h; postern-queue(8) has verbs, arguments and rows.  Callers were checked by lib/command.h; what they send is text to be
 * compared. */
#include <poll.h>
#include <stdlib.h>

#include "lib/netstring.h"
#include "queue/caller.h"
#include "queue/export.h"

#define CALLERS_MOST 16
#define LATE_MOST ((size_t)64 << 20) /* what show says of 20,000 recipients, several times */

static unsigned callers;

static void gone(struct caller *c)
{
	loop_remove(&c->q->loop, &c->watch);
	c->ended = true;
}

void caller_cut_off(struct caller *c)
{
	if (c->ended)
		return;
	gone(c);
	close_fd(&c->cmd.fd);
}

void pair(struct buf *b, const char *key, struct slice value)
{
	netstring_add_str(b, key);
	netstring_add(b, value);
}

void pair_number(struct buf *b, const char *key, long long value)
{
	netstring_add_str(b, key);
	netstring_add_number(b, value);
}

/* False: it is more than may be kept. */
static bool keep_late(struct caller *c, struct slice row)
{
	struct err e;
	if (!c->late.n && loop_want_write(&c->q->loop, &c->watch, true, &e) < 0)
		return false;
	netstring_add(&c->late, row);
	return !c->late.overflow;
}

bool caller_row(struct caller *c, struct buf *b)
{
	int rc = c->ended || b->overflow || !b->n || b->n > COMMAND_MAX ? E_EOF : c->late.n ? E_TIMEOUT : command_row_now(&c->cmd, buf_slice(b));
	bool ok = rc == 0 || (rc == E_TIMEOUT && keep_late(c, buf_slice(b)));
	buf_reset(b);
	if (!ok)
		caller_cut_off(c);
	return ok;
}

void caller_end(struct caller *c, int code, const char *text)
{
	struct buf b = BUF_INIT(COMMAND_MAX);
	if (c->ended || c->ending)
		return;
	c->ending = true;
	command_end_row(&b, code, text);
	if (caller_row(c, &b) && !c->late.n)
		caller_cut_off(c);
	buf_free(&b);
}

/* As much as the caller can take of what is late. */
static void send_late(struct caller *c)
{
	struct slice row, rest = slice_from(buf_slice(&c->late), c->late_at);
	int rc = 0;
	while (rest.n && rc == 0 && netstring_take(&row, &rest, COMMAND_MAX) == 0 && (rc = command_row_now(&c->cmd, row)) == 0)
		c->late_at = c->late.n - rest.n;
	if (rc != 0 && rc != E_TIMEOUT)
		caller_cut_off(c);
	if (rc != 0 || c->ended)
		return;
	buf_free(&c->late);
	c->late = BUF_INIT(LATE_MOST);
	c->late_at = 0;
	if (c->ending)
		caller_cut_off(c);
}

void caller_later(struct caller *c, void (*more)(struct caller *c))
{
	struct err e;
	c->more = more;
	if (loop_want_write(&c->q->loop, &c->watch, true, &e) < 0)
		caller_cut_off(c);
}

bool caller_can_take(const struct caller *c)
{
	struct pollfd p = {c->cmd.fd, POLLOUT, 0};
	return !c->ended && !c->late.n && poll(&p, 1, 0) == 1;
}

static const struct verb {
	const char *name;
	void (*run)(struct caller *c);
} verbs[] = {
	{"list", verb_list}, {"show", verb_show}, {"retry", verb_act}, {"hold", verb_act}, {"release", verb_act}, {"bounce", verb_act}, {"delete", verb_act},
	{"status", verb_status}, {"top", verb_top}, {"export", verb_export},
};

static void run_verb(struct caller *c)
{
	for (size_t i = 0; i < sizeof verbs / sizeof *verbs; i++)
		if (slice_eq_str(c->cmd.arg[0], verbs[i].name)) {
			verbs[i].run(c);
			return;
		}
	caller_end(c, 100, "the verbs are list, show, retry, hold, release, bounce, delete, status, top, export");
}

static void caller_ready(struct watch *watch)
{
	struct caller *c = watch->ctx;
	struct err e;
	if (c->late.n) {
		send_late(c);
	} else if (c->more) {
		c->slice_end = clock_msec() + SLICE_MSEC;
		c->more(c);
	} else {
		int rc = command_read(&c->cmd, &e);
		if (rc == 0)
			run_verb(c);
		else if (rc != E_TIMEOUT)
			caller_cut_off(c);
	}
	if (!c->ended)
		return;
	top_free(c->top);
	export_free(c->q, c->export);
	buf_free(&c->late);
	callers--;
	free(c);
}

void commands_ready(struct watch *watch)
{
	struct err e;
	struct caller *c = calloc(1, sizeof *c);
	if (!c)
		return;
	c->q = watch->ctx;
	c->late = BUF_INIT(LATE_MOST);
	if (command_accept(&c->cmd, watch->fd, &e) < 0) {
		free(c);
		return;
	}
	c->watch = (struct watch){caller_ready, c, c->cmd.fd};
	if (callers == CALLERS_MOST || loop_add(&c->q->loop, &c->watch, &e) < 0) {
		command_end(&c->cmd, 111, "too many commands at once, try again");
		free(c);
		return;
	}
	callers++;
}
