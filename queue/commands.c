/* Operators' commands: see caller.h; postern-queue(8) has verbs, arguments and rows.  Callers were checked by lib/command.h; what they send is text to be
 * compared. */
#include <poll.h>
#include <stdlib.h>

#include "lib/netstring.h"
#include "queue/caller.h"
#include "queue/export.h"

#define CALLERS_MOST 16

static unsigned callers;

static void gone(struct caller *c)
{
	loop_remove(&c->q->loop, &c->watch);
	c->ended = true;
}

void caller_end(struct caller *c, int code, const char *text)
{
	if (c->ended)
		return;
	gone(c);
	command_end(&c->cmd, code, text);
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

bool caller_row(struct caller *c, struct buf *b)
{
	bool ok = !c->ended && command_row(&c->cmd, b) == 0;
	buf_reset(b);
	if (!ok)
		caller_cut_off(c);
	return ok;
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
	return !c->ended && poll(&p, 1, 0) == 1;
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
	if (c->more) {
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
