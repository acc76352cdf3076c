/* status: numbers, and what is wrong.  See caller.h.  Reasons come from other hosts. */
#include <stdio.h>

#include "queue/caller.h"
#include "queue/pause.h"

#define SHOWN_DESTINATIONS 50
#define OLD_SEC 86400

struct counted {
	long long held, busy, fresh, waiting_rcpts, unrouted, paused;
	int64_t oldest_sec, next_sec;
	unsigned problems;
};

static struct counted count_all(const struct index *x)
{
	struct counted n = {0};
	const char *oldest = NULL;
	for (uint32_t i = 0; i < x->used; i++) {
		const struct message *m = index_nth(x, i);
		if (!m)
			continue;
		n.held += (m->flags & MESSAGE_HELD) != 0;
		n.busy += m->work != NULL;
		n.unrouted += (m->flags & MESSAGE_UNROUTED) != 0;
		n.paused += (m->flags & MESSAGE_PAUSED) != 0 || pause_delays(m);
		n.fresh += !m->attempts && !(m->flags & MESSAGE_HELD);
		n.waiting_rcpts += m->open;
		if (m->heap_at && !(m->flags & MESSAGE_HELD) && !pause_all() && (!n.next_sec || m->next_sec < n.next_sec))
			n.next_sec = m->next_sec;
		if (!oldest || memcmp(m->id, oldest, ID_LEN) < 0)
			oldest = m->id;
	}
	n.oldest_sec = oldest ? id_wall_usec(slice_make(oldest, ID_LEN)) / 1000000 : 0;
	return n;
}

static bool send_numbers(struct caller *c, const struct counted *n)
{
	struct queue *q = c->q;
	struct store_space space;
	struct buf b = BUF_INIT(COMMAND_MAX);
	store_space(q->store, &space);
	pair(&b, "kind", slice_str("status"));
	pair_number(&b, "messages", q->index.count);
	pair_number(&b, "held", n->held);
	pair_number(&b, "delivering", n->busy);
	pair_number(&b, "waiting", (long long)q->index.count - n->held - n->busy);
	pair_number(&b, "fresh", n->fresh);
	pair_number(&b, "recipients", n->waiting_rcpts);
	pair_number(&b, "oldest", n->oldest_sec);
	pair_number(&b, "next", n->next_sec);
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
	bool ok = caller_row(c, &b);
	buf_free(&b);
	return ok;
}

static bool send_problem(struct caller *c, struct counted *n, const char *text)
{
	struct buf b = BUF_INIT(COMMAND_MAX);
	n->problems++;
	pair(&b, "kind", slice_str("problem"));
	pair(&b, "text", slice_str(text));
	bool ok = caller_row(c, &b);
	buf_free(&b);
	return ok;
}

static bool send_destination(struct caller *c, const struct channel *way, const struct destination *d)
{
	struct buf b = BUF_INIT(COMMAND_MAX);
	int64_t closed = deadline_left(d->closed_until);
	pair(&b, "kind", slice_str("destination"));
	pair(&b, "agent", slice_str(way->agent == AGENT_LMTP ? "lmtp" : way->agent == AGENT_QMQP ? "qmqp" : way->agent == AGENT_LOCAL ? "local" : "smtp"));
	pair(&b, "name", slice_str(d->name));
	pair_number(&b, "failures", d->failures);
	pair_number(&b, "again", d->closed_until && closed > 0 ? queue_now_sec() + closed / 1000 : 0);
	pair(&b, "reason", slice_str(d->why));
	bool ok = caller_row(c, &b);
	buf_free(&b);
	return ok;
}

/* Destinations that could not be reached, the first of them. */
static bool send_destinations(struct caller *c)
{
	unsigned shown = 0;
	for (size_t i = 0; i < CHANNELS; i++)
		for (size_t k = 0; k < DESTINATION_BUCKETS; k++)
			for (const struct destination *d = c->q->channel[i].bucket[k]; d && shown < SHOWN_DESTINATIONS; d = d->next)
				if (d->failures) {
					shown++;
					if (!send_destination(c, &c->q->channel[i], d))
						return false;
				}
	return true;
}

/* Those that are still there. */
static bool send_unreadable(struct caller *c, struct counted *n)
{
	struct queue *q = c->q;
	char text[600], ids[UNREADABLE_MOST * (ID_LEN + 2) + 1] = "";
	unsigned count = 0;
	for (unsigned i = 0; i < q->unreadables; i++)
		if (index_find(&q->index, q->unreadable[i]))
			snprintf(ids + strlen(ids), sizeof ids - strlen(ids), "%s%.13s", count++ ? ", " : "", q->unreadable[i]);
	snprintf(text, sizeof text, "messages that could not be read: %s%s; look at the disk, and at queue-unreadable in the log; have sent again what stays so", ids,
		q->unreadables == UNREADABLE_MOST ? " and perhaps more" : "");
	return !count || send_problem(c, n, text);
}

static bool send_problems(struct caller *c, struct counted *n)
{
	const struct queue *q = c->q;
	char text[400];
	int64_t age = queue_now_sec() - n->oldest_sec;
	if (q->space.full && !send_problem(c, n, "the disk is nearly full (control/queuereserve, or inodes): new mail is answered 452 until there is space; deliveries go on"))
		return false;
	if (q->counts.alarms) {
		snprintf(text, sizeof text, "%llu writes or syncs of the log have failed since the start: look at the disk, and at queue-alarm in the log",
			(unsigned long long)q->counts.alarms);
		if (!send_problem(c, n, text))
			return false;
	}
	if (q->counts.damaged) {
		snprintf(text, sizeof text, "%u places in the log could not be read at the start; queue-damage in the log of this start names file, octets and, where known, messages. "
			"Look at the disk; messages with queue-accepted and no queue-done that are not in the list are lost: have them sent again", q->counts.damaged);
		if (!send_problem(c, n, text))
			return false;
	}
	if (!send_unreadable(c, n))
		return false;
	if (pause_now()) {
		snprintf(text, sizeof text, "%s: %lld messages wait for that; write 0 and reload when it is over", pause_text(pause_now()), n->paused);
		if (!send_problem(c, n, text))
			return false;
	}
	if (n->unrouted) {
		snprintf(text, sizeof text, "%lld messages wait because the directory gives no answer: they are tried by themselves when it does", n->unrouted);
		if (!send_problem(c, n, text))
			return false;
	}
	if (q->index.count && n->oldest_sec && age > OLD_SEC) {
		snprintf(text, sizeof text, "the oldest message has been here for %lld hours", (long long)(age / 3600));
		return send_problem(c, n, text);
	}
	return true;
}

void verb_status(struct caller *c)
{
	struct counted n = count_all(&c->q->index);
	if (c->cmd.args > 1)
		caller_end(c, 100, "status takes no arguments");
	else if (send_numbers(c, &n) && send_problems(c, &n) && send_destinations(c))
		caller_end(c, n.problems ? 1 : 0, "");
}
