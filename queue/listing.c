/* list and show: see caller.h.  What is shown of a message comes from outside; who prints it makes it fit for a terminal. */
#include <stdio.h>

#include "lib/addr.h"
#include "queue/caller.h"
#include "queue/pause.h"

#define ROWS_A_ROUND 64
#define LISTED_RCPTS 20

static const char *then_name(char then)
{
	return then == 'r' ? "release" : then == 'b' ? "bounce" : then == 'd' ? "delete" : "";
}

static void hold_pairs(struct buf *b, const struct note_state *s)
{
	pair(b, "hold", s->held ? (s->hold_reason.n ? s->hold_reason : slice_str("held")) : slice_str(""));
	pair(b, "hold_owner", s->held ? s->hold_owner : slice_str(""));
	pair_number(b, "hold_until", s->held ? s->hold_until_sec : 0);
	pair(b, "hold_then", slice_str(s->held ? then_name(s->hold_then) : ""));
}

static void message_row(struct buf *b, const struct work *w, bool busy)
{
	const struct envelope *env = &w->job.env;
	const struct message *m = w->m;
	long long open = 0;
	for (uint32_t i = 0; i < w->rcpts; i++)
		open += work_is_open(&w->rcpt[i]);
	pair(b, "kind", slice_str("message"));
	pair(b, "id", slice_str(w->job.id));
	pair_number(b, "time", env->wall_usec / 1000000);
	pair(b, "sender", env->sender);
	pair(b, "user", env->user);
	pair(b, "class", slice_str(class_name(env->class)));
	pair(b, "client", env->client_ip);
	pair_number(b, "size", (long long)m->octets - PROLOGUE - (long long)(w->job.head.octets - w->job.header.n));
	pair_number(b, "attempts", m->attempts);
	pair_number(b, "next", m->heap_at && !pause_delays(m) ? m->next_sec : 0);
	pair(b, "state", slice_str(message_state(w, busy)));
	hold_pairs(b, &w->state);
	pair_number(b, "waiting", open);
	pair(b, "reason", last_reason(w));
}

static void destination(struct buf *b, const struct work_rcpt *r)
{
	struct slice to;
	const char *way = rcpt_way(&to, r);
	if (!way)
		return;
	buf_add_str(b, way);
	buf_add_char(b, ' ');
	buf_add_slice(b, to);
}

static void recipient_row(struct buf *b, const struct work *w, const struct work_rcpt *r)
{
	struct buf to = BUF_INIT(1024);
	destination(&to, r);
	pair(b, "kind", slice_str("recipient"));
	pair_number(b, "number", r->number);
	pair(b, "address", work_address(w, r));
	pair(b, "state", slice_str(!work_is_open(r) ? "done" : r->state == RCPT_SENT ? "delivering" : "waiting"));
	pair(b, "destination", buf_slice(&to));
	pair(b, "side", slice_str(control_is_local(program_control(), addr_domain_of(work_address(w, r))) ? "local" : "remote"));
	pair(b, "reason", slice_str(r->text));
	buf_free(&to);
}

static bool send_message(struct caller *c, const struct work *w, bool busy, uint32_t most, bool all)
{
	struct buf b = BUF_INIT(COMMAND_MAX);
	message_row(&b, w, busy);
	bool ok = caller_row(c, &b);
	for (uint32_t i = 0; i < w->rcpts && ok && most; i++)
		if (all || work_is_open(&w->rcpt[i])) {
			recipient_row(&b, w, &w->rcpt[i]);
			ok = caller_row(c, &b);
			most--;
		}
	buf_free(&b);
	return ok;
}

/* What the index knows of one that cannot be read, and why it cannot. */
static bool send_unreadable(struct caller *c, const struct message *m)
{
	struct buf b = BUF_INIT(COMMAND_MAX);
	static const char *const empty[] = {"sender", "user", "class", "client"};
	const bool held = m->flags & MESSAGE_HELD;
	pair(&b, "kind", slice_str("message"));
	pair(&b, "id", slice_make(m->id, ID_LEN));
	pair_number(&b, "time", id_wall_usec(slice_make(m->id, ID_LEN)) / 1000000);
	for (size_t i = 0; i < sizeof empty / sizeof *empty; i++)
		pair(&b, empty[i], slice_str(""));
	pair_number(&b, "size", m->octets);
	pair_number(&b, "attempts", m->attempts);
	pair_number(&b, "next", m->heap_at && !held && !pause_delays(m) ? m->next_sec : 0);
	pair(&b, "state", slice_str("unreadable"));
	hold_pairs(&b, &(struct note_state){.held = held, .hold_until_sec = held && m->heap_at ? m->next_sec : 0});
	pair_number(&b, "waiting", m->open);
	pair(&b, "reason", slice_str(c->why.text));
	bool ok = caller_row(c, &b);
	buf_free(&b);
	return ok;
}

/* A message in hand that waits for its first attempt has its recipients, but no state of a hold. */
static void list_more(struct caller *c)
{
	char text[64];
	struct message *m;
	struct work *w;
	bool own, end = false, ok = true;
	for (int i = 0; i < ROWS_A_ROUND && ok && caller_can_take(c) && (m = walk_next(c, true, &w, &own, &end)); i++) {
		ok = w ? send_message(c, w, !own, c->every_rcpt ? UINT32_MAX : LISTED_RCPTS, c->every_rcpt) : send_unreadable(c, m);
		if (w && own)
			work_free(c->q, w);
	}
	snprintf(text, sizeof text, "%u messages", c->matched);
	if (end)
		caller_end(c, 0, text);
	else
		walk_progress(c);
}

static int take_list(struct caller *c, struct slice arg, struct err *e)
{
	(void)e;
	c->every_rcpt = slice_eq_str(arg, "recipients=all");
	return c->every_rcpt;
}

void verb_list(struct caller *c)
{
	if (!walk_arguments(c, take_list))
		return;
	c->unreadable = true;
	walk_begin(c);
	caller_later(c, list_more);
}

static bool send_header(struct caller *c, struct slice header)
{
	struct buf b = BUF_INIT(COMMAND_MAX);
	struct slice line;
	bool ok = true;
	while (ok && slice_cut(&line, &header, '\n')) {
		if (!line.n)
			continue;
		pair(&b, "kind", slice_str("header"));
		pair(&b, "text", slice_upto(line, COMMAND_MAX / 2));
		ok = caller_row(c, &b);
	}
	buf_free(&b);
	return ok;
}

void verb_show(struct caller *c)
{
	struct err e;
	struct slice id = c->cmd.args == 2 ? c->cmd.arg[1] : slice_make("", 0);
	struct message *m = id.n == ID_LEN ? index_find(&c->q->index, id.p) : NULL;
	m = m && !(m->flags & MESSAGE_PENDING) ? m : NULL;
	bool own = m && !m->work;
	struct work *w = m && m->work ? m->work : m ? work_load(c->q, m, false, &e) : NULL;
	if (!w) {
		caller_end(c, m ? 111 : id.n ? 1 : 100, m ? e.text : id.n ? "there is no such message in the queue" : "use: show ID");
		return;
	}
	bool ok = send_message(c, w, !own, UINT32_MAX, true) && send_header(c, w->job.header);
	if (own)
		work_free(c->q, w);
	if (ok)
		caller_end(c, 0, "");
}
