/* Operators' commands: see queue.h; postern-queue(8) has verbs, arguments and rows.  Callers were checked by lib/command.h; what they send is text to be compared.
 *
 * A listing is made in slices, a row when the caller can take one, so that neither a million messages nor a caller that does not read holds up the queue. */
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>

#include "lib/addr.h"
#include "lib/command.h"
#include "lib/header.h"
#include "lib/log.h"
#include "lib/netstring.h"
#include "queue/queue.h"

#define ROWS_A_ROUND 64
#define SCANNED_A_ROUND 2000
#define LISTED_RCPTS 20
#define CALLERS_MOST 16

struct caller {
	struct watch watch;
	struct queue *q;
	struct command cmd;
	void (*more)(struct caller *c); /* makes the next rows */
	uint32_t cursor;
	unsigned matched;
	bool writing;
};
static unsigned callers;

static void end(struct caller *c, int code, const char *text)
{
	loop_remove(&c->q->loop, &c->watch);
	command_end(&c->cmd, code, text);
	callers--;
	free(c);
}

static void cut_off(struct caller *c)
{
	loop_remove(&c->q->loop, &c->watch);
	close_fd(&c->cmd.fd);
	callers--;
	free(c);
}

static void pair(struct buf *b, const char *key, struct slice value)
{
	netstring_add_str(b, key);
	netstring_add(b, value);
}

static void pair_number(struct buf *b, const char *key, long long value)
{
	netstring_add_str(b, key);
	netstring_add_number(b, value);
}

static bool send_row(struct caller *c, struct buf *b)
{
	int rc = command_row(&c->cmd, b);
	buf_reset(b);
	return rc == 0;
}

static const char *class_name(enum envelope_class class)
{
	switch (class) {
	case CLASS_OUTSIDE: return "outside";
	case CLASS_SUBMISSION: return "submission";
	case CLASS_CLUSTER: return "cluster";
	case CLASS_LOCAL: return "local";
	default: return "bounce";
	}
}

static const char *then_name(char then)
{
	return then == 'r' ? "release" : then == 'b' ? "bounce" : then == 'd' ? "delete" : "";
}

static bool rcpt_open(const struct work_rcpt *r)
{
	return r->state != RCPT_DONE && r->state != RCPT_REPLACED && r->state != RCPT_FAILED;
}

static struct slice last_reason(const struct work *w)
{
	for (uint32_t i = 0; i < w->rcpts; i++)
		if (rcpt_open(&w->rcpt[i]) && w->rcpt[i].text)
			return slice_str(w->rcpt[i].text);
	return slice_str("");
}

static void message_row(struct buf *b, const struct work *w, bool busy)
{
	const struct envelope *env = &w->job.env;
	const struct message *m = w->m;
	bool held = w->state.held;
	long long open = 0;
	for (uint32_t i = 0; i < w->rcpts; i++)
		open += rcpt_open(&w->rcpt[i]);
	pair(b, "kind", slice_str("message"));
	pair(b, "id", slice_str(w->job.id));
	pair_number(b, "time", env->wall_usec / 1000000);
	pair(b, "sender", env->sender);
	pair(b, "user", env->user);
	pair(b, "class", slice_str(class_name(env->class)));
	pair_number(b, "size", (long long)m->octets - PROLOGUE - (long long)(w->job.head_octets - w->job.header.n));
	pair_number(b, "attempts", m->attempts);
	pair_number(b, "next", m->heap_at ? m->next_sec : 0);
	pair(b, "state", slice_str(busy ? "delivering" : held ? "held" : "waiting"));
	pair(b, "hold", held ? (w->state.hold_reason.n ? w->state.hold_reason : slice_str("held")) : slice_str(""));
	pair(b, "hold_owner", held ? w->state.hold_owner : slice_str(""));
	pair_number(b, "hold_until", held ? w->state.hold_until_sec : 0);
	pair(b, "hold_then", slice_str(held ? then_name(w->state.hold_then) : ""));
	pair_number(b, "waiting", open);
	pair(b, "reason", last_reason(w));
}

static void destination(struct buf *b, const struct work_rcpt *r)
{
	struct target t;
	struct slice rest = slice_make(r->target, r->target_octets);
	if (!r->target || target_decode(&t, &rest) < 0 || t.agent == AGENT_NONE)
		return;
	const char *by = t.agent == AGENT_LOCAL ? "local" : t.agent == AGENT_LMTP ? "lmtp" : t.agent == AGENT_QMQP ? "qmqp" : "smtp";
	buf_add_str(b, by);
	buf_add_char(b, ' ');
	buf_add_slice(b, t.destination);
}

static void recipient_row(struct buf *b, const struct work *w, const struct work_rcpt *r)
{
	struct buf to = BUF_INIT(1024);
	destination(&to, r);
	pair(b, "kind", slice_str("recipient"));
	pair_number(b, "number", r->number);
	pair(b, "address", work_address(w, r));
	pair(b, "state", slice_str(!rcpt_open(r) ? "done" : r->state == RCPT_SENT ? "delivering" : "waiting"));
	pair(b, "destination", buf_slice(&to));
	pair(b, "reason", slice_str(r->text));
	buf_free(&to);
}

static bool send_message(struct caller *c, const struct work *w, bool busy, uint32_t most, bool all)
{
	struct buf b = BUF_INIT(COMMAND_MAX);
	message_row(&b, w, busy);
	bool ok = send_row(c, &b);
	for (uint32_t i = 0; i < w->rcpts && ok && most; i++)
		if (all || rcpt_open(&w->rcpt[i])) {
			recipient_row(&b, w, &w->rcpt[i]);
			ok = send_row(c, &b);
			most--;
		}
	buf_free(&b);
	return ok;
}

static bool matches_rcpt(const struct work *w, struct slice value, bool domain)
{
	for (uint32_t i = 0; i < w->rcpts; i++) {
		struct slice address = work_address(w, &w->rcpt[i]);
		if (slice_case_eq(domain ? addr_domain_of(address) : address, value))
			return true;
	}
	return false;
}

/* 1 yes, 0 no, -1 there is no such condition. */
static int matches(const struct work *w, struct slice condition)
{
	struct slice value = condition, key;
	if (!slice_cut(&key, &value, '=') || !value.p)
		return -1;
	if (slice_eq_str(key, "id"))
		return slice_eq(value, slice_str(w->job.id));
	if (slice_eq_str(key, "sender"))
		return slice_case_eq(value, w->job.env.sender);
	if (slice_eq_str(key, "user"))
		return slice_case_eq(value, w->job.env.user);
	if (slice_eq_str(key, "hold"))
		return w->state.held && (!value.n || slice_eq(value, w->state.hold_reason));
	if (slice_eq_str(key, "owner"))
		return w->state.held && slice_case_eq(value, w->state.hold_owner);
	if (slice_eq_str(key, "recipient") || slice_eq_str(key, "domain"))
		return matches_rcpt(w, value, slice_eq_str(key, "domain"));
	return -1;
}

static int matches_all(const struct caller *c, const struct work *w)
{
	int all = 1;
	for (size_t i = 1; i < c->cmd.args && all == 1; i++)
		all = matches(w, c->cmd.arg[i]);
	return all;
}

/* The message as it is now: its attempt, or read for this alone (then *OWN). */
static struct work *look(struct queue *q, struct message *m, bool *own, struct err *e)
{
	*own = !m->work;
	return m->work ? m->work : work_load(q, m, false, e);
}

/* 0 go on, -1 the listing has ended. */
static int list_one(struct caller *c, struct message *m)
{
	struct err e;
	bool own;
	struct work *w = look(c->q, m, &own, &e);
	if (!w)
		return 0;
	/* A message in hand that waits for its first attempt has its recipients, but no state of a hold. */
	int match = matches_all(c, w);
	bool ok = match != 1 || send_message(c, w, !own, LISTED_RCPTS, false);
	c->matched += match == 1;
	if (own)
		work_free(c->q, w);
	if (match < 0)
		end(c, 100, "conditions are id=, sender=, user=, recipient=, domain=, hold=, owner=");
	else if (!ok)
		cut_off(c);
	return match < 0 || !ok ? -1 : 0;
}

static void list_more(struct caller *c)
{
	struct queue *q = c->q;
	char text[64];
	unsigned before = c->matched;
	for (int i = 0; i < SCANNED_A_ROUND && c->matched - before < ROWS_A_ROUND && c->cursor < q->index.used; i++) {
		struct message *m = index_nth(&q->index, c->cursor++);
		struct pollfd p = {c->cmd.fd, POLLOUT, 0};
		if (!m || m->flags & MESSAGE_PENDING)
			continue;
		if (poll(&p, 1, 0) < 1) {
			c->cursor--;
			return;
		}
		if (list_one(c, m) < 0)
			return;
	}
	if (c->cursor < q->index.used)
		return;
	snprintf(text, sizeof text, "%u messages", c->matched);
	end(c, 0, text);
}

static struct message *named(struct caller *c)
{
	struct message *m = c->cmd.args > 1 && c->cmd.arg[1].n == ID_LEN ? index_find(&c->q->index, c->cmd.arg[1].p) : NULL;
	return m && !(m->flags & MESSAGE_PENDING) ? m : NULL;
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
		ok = send_row(c, &b);
	}
	buf_free(&b);
	return ok;
}

static void show(struct caller *c)
{
	struct err e;
	bool own;
	struct message *m = named(c);
	struct work *w = m ? look(c->q, m, &own, &e) : NULL;
	if (!w) {
		end(c, m ? 111 : 1, m ? e.text : "there is no such message in the queue");
		return;
	}
	bool ok = send_message(c, w, !own, UINT32_MAX, true) && send_header(c, w->job.header);
	if (own)
		work_free(c->q, w);
	if (ok)
		end(c, 0, "");
	else
		cut_off(c);
}

static bool retry_one(struct queue *q, struct message *m)
{
	if (m->work || m->flags & (MESSAGE_HELD | MESSAGE_PENDING) || !m->heap_at)
		return false;
	index_wait(&q->index, m, 0);
	return true;
}

static void for_all(struct caller *c, bool (*act)(struct queue *q, struct message *m), const char *what)
{
	char text[80];
	unsigned count = 0;
	for (uint32_t i = 0; i < c->q->index.used; i++) {
		struct message *m = index_nth(&c->q->index, i);
		count += m && act(c->q, m);
	}
	snprintf(text, sizeof text, "%u messages %s", count, what);
	queue_commit(c->q);
	end(c, 0, text);
}

static void for_named(struct caller *c, bool (*act)(struct queue *q, struct message *m), const char *done, const char *not_now)
{
	struct message *m = named(c);
	if (!m) {
		end(c, 1, "there is no such message in the queue");
		return;
	}
	bool ok = act(c->q, m);
	queue_commit(c->q); /* what an operator was told is done survives a crash */
	end(c, ok ? 0 : 1, ok ? done : not_now);
}

static bool is_all(const struct caller *c)
{
	return c->cmd.args > 1 && slice_eq_str(c->cmd.arg[1], "all");
}

static void retry(struct caller *c)
{
	dispatch_open(c->q);
	if (is_all(c))
		for_all(c, retry_one, "are tried now");
	else
		for_named(c, retry_one, "is tried now", "it is held or being delivered right now");
}

/* Write what W's hold is now as a STATE.  Own: W was read for this alone. */
static void write_state(struct queue *q, struct work *w, int64_t next)
{
	struct buf b = BUF_INIT((size_t)64 << 20);
	work_state(&b, w, next);
	queue_note(q, w->m, RECORD_STATE, buf_slice(&b), true);
	buf_free(&b);
}

static bool release_one(struct queue *q, struct message *m)
{
	struct err e;
	if (!(m->flags & MESSAGE_HELD) || m->work || m->flags & MESSAGE_PENDING)
		return false;
	struct work *w = work_load(q, m, false, &e);
	if (!w)
		return false;
	w->state.held = false;
	write_state(q, w, queue_now_sec());
	LOG(EV_queue_released, w->job.id, F_SLICE("reason", w->state.hold_reason));
	m->flags &= (unsigned char)~MESSAGE_HELD;
	index_wait(&q->index, m, (uint32_t)queue_now_sec());
	work_free(q, w);
	return true;
}

static void release(struct caller *c)
{
	if (is_all(c))
		for_all(c, release_one, "are released");
	else
		for_named(c, release_one, "is released", "it is not held");
}

static void set_hold(struct work *w, struct slice reason)
{
	w->state.held = true;
	w->state.hold_reason = reason;
	w->state.hold_owner = slice_make("", 0);
	w->state.hold_until_sec = 0;
	w->state.hold_then = 0;
}

/* A message that is being delivered is held when what is under way has ended; its reason is then the default. */
static void hold(struct caller *c)
{
	struct err e;
	struct message *m = named(c);
	struct slice reason = c->cmd.args > 2 ? slice_upto(c->cmd.arg[2], HOLD_REASON_MAX) : slice_str("held by the operator");
	bool own = false;
	struct work *w = m ? look(c->q, m, &own, &e) : NULL;
	if (!w || !slice_printable(reason)) {
		if (own && w)
			work_free(c->q, w);
		end(c, !m ? 1 : w ? 100 : 111, !m ? "there is no such message in the queue" : w ? "the reason must be printable" : e.text);
		return;
	}
	set_hold(w, own ? reason : slice_str("held by the operator"));
	LOG(EV_queue_held, w->job.id, F_SLICE("reason", reason), F_STR("owner", ""));
	if (own) {
		write_state(c->q, w, queue_now_sec());
		m->flags |= MESSAGE_HELD;
		index_stop_waiting(&c->q->index, m);
		work_free(c->q, w);
	} else {
		w->cancelled = true;
	}
	queue_commit(c->q);
	end(c, 0, own ? "is held" : "is held as soon as what is being delivered now has ended");
}

static bool delete_one(struct queue *q, struct message *m)
{
	char id[ID_LEN + 1] = {0};
	memcpy(id, m->id, ID_LEN);
	LOG(EV_queue_deleted, id);
	if (m->work) {
		m->work->cancelled = m->work->delete_then = true;
		return true;
	}
	queue_finish(q, m, true);
	return true;
}

static void delete(struct caller *c)
{
	for_named(c, delete_one, "is deleted", "");
}

static void status(struct caller *c)
{
	struct queue *q = c->q;
	struct store_space space;
	struct buf b = BUF_INIT(COMMAND_MAX);
	long long held = 0, busy = 0;
	for (uint32_t i = 0; i < q->index.used; i++) {
		const struct message *m = index_nth(&q->index, i);
		held += m && m->flags & MESSAGE_HELD;
		busy += m && m->work;
	}
	store_space(q->store, &space);
	pair_number(&b, "messages", q->index.count);
	pair_number(&b, "held", held);
	pair_number(&b, "delivering", busy);
	pair_number(&b, "waiting", (long long)q->index.count - held - busy);
	pair_number(&b, "segments", space.segments);
	pair_number(&b, "octets", (long long)space.octets);
	pair_number(&b, "live_octets", (long long)space.live_octets);
	pair_number(&b, "index_octets", (long long)index_octets(&q->index));
	pair_number(&b, "accepted", (long long)q->counts.accepted);
	pair_number(&b, "refused", (long long)q->counts.refused);
	pair_number(&b, "delivered", (long long)q->counts.delivered);
	pair_number(&b, "deferred", (long long)q->counts.deferred);
	pair_number(&b, "bounced", (long long)q->counts.bounced);
	pair_number(&b, "commits", (long long)q->counts.commits);
	bool ok = send_row(c, &b);
	buf_free(&b);
	if (ok)
		end(c, 0, "");
	else
		cut_off(c);
}

static void list(struct caller *c)
{
	struct err e;
	c->more = list_more;
	c->writing = true;
	if (loop_want_write(&c->q->loop, &c->watch, true, &e) < 0)
		cut_off(c);
}

static const struct verb {
	const char *name;
	size_t least, most; /* arguments */
	void (*run)(struct caller *c);
} verbs[] = {
	{"list", 0, COMMAND_ARGS_MAX, list}, {"show", 1, 1, show}, {"retry", 1, 1, retry}, {"hold", 1, 2, hold},
	{"release", 1, 1, release}, {"delete", 1, 1, delete}, {"status", 0, 0, status},
};

static void caller_ready(struct watch *watch)
{
	struct caller *c = watch->ctx;
	struct err e;
	if (c->writing) {
		c->more(c);
		return;
	}
	int rc = command_read(&c->cmd, &e);
	if (rc == E_TIMEOUT)
		return;
	if (rc < 0) {
		cut_off(c);
		return;
	}
	for (size_t i = 0; i < sizeof verbs / sizeof *verbs; i++)
		if (slice_eq_str(c->cmd.arg[0], verbs[i].name) && c->cmd.args - 1 >= verbs[i].least && c->cmd.args - 1 <= verbs[i].most) {
			verbs[i].run(c);
			return;
		}
	end(c, 100, "use: list [KEY=VALUE...], show ID, retry ID|all, hold ID [REASON], release ID|all, delete ID, status");
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
