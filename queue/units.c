/* Recipients that were routed become units, which wait in their channels: see dispatch.h.  Targets come from postern-route; one that cannot be read defers its
 * recipient.  Those of one window that go to the same place in one go are one unit. */
#include <stdio.h>
#include <stdlib.h>

#include "queue/dispatch.h"
#include "queue/pause.h"
#include "queue/relay.h"
#include "queue/verp.h"

#define UNIT_OCTETS (40u * 1024) /* of targets in one delivery; the datagram stays below QUESTION_MAX */

static const char *agent_text(enum agent agent)
{
	return agent == AGENT_LOCAL ? "Maildir" : agent == AGENT_QMQP ? "QMQP" : agent == AGENT_LMTP ? "LMTP" : "SMTP";
}

/* A recipient without a target that an agent could serve. */
static void no_target(struct work_rcpt *r, const struct target *t)
{
	char text[DELIVERY_TEXT_MAX + 1];
	if (t->agent == AGENT_NONE) {
		rcpt_result(r, t->status == DELIVERY_FAILED ? RCPT_FAILED : RCPT_DEFERRED, t->enhanced, slice_make(NULL, 0), t->text);
		return;
	}
	snprintf(text, sizeof text, "no program for delivery by %s to %.*s yet", agent_text(t->agent), (int)(t->destination.n < 300 ? t->destination.n : 300), t->destination.p);
	r->remote = true;
	rcpt_text(r, RCPT_DEFERRED, "4.3.5", text);
}

static struct channel *channel_of(struct queue *q, enum agent agent)
{
	for (size_t i = 0; i < CHANNELS; i++)
		if (q->channel[i].agent == agent && q->channel[i].port >= 0)
			return &q->channel[i];
	return NULL;
}

static struct channel *take_target(struct queue *q, struct work_rcpt *r, struct target *t)
{
	struct slice rest = slice_make(r->target, r->target_octets);
	if (!r->target || target_decode(t, &rest) < 0) {
		rcpt_text(r, RCPT_DEFERRED, "4.3.0", "route gave no usable target");
		return NULL;
	}
	unsigned side = pause_side(t->agent) & pause_now();
	struct channel *c = side ? NULL : channel_of(q, t->agent);
	if (side)
		pause_rcpt(r, side);
	else if (!c)
		no_target(r, t);
	return c;
}

/* postern-remote looks up the relay of each domain itself; for the other agents a delivery has one destination. */
static bool same_way(const struct work *w, const struct unit *u, const struct target *t)
{
	struct target first;
	struct slice rest = slice_make(w->rcpt[u->rcpt[0]].target, w->rcpt[u->rcpt[0]].target_octets);
	if (t->agent != AGENT_QMQP)
		return true;
	return target_decode(&first, &rest) == 0 && slice_case_eq(first.destination, t->destination);
}

/* A unit of this window with room, or a fresh one.  Those that are new count from *N on in UNITS. */
static struct unit *unit_for(struct unit **units, size_t *n, struct channel *c, struct work *w, const struct target *t, size_t octets)
{
	struct destination *to = channel_destination(c, relay_of(t));
	for (size_t i = 0; i < *n && !verp_is(w->job.env.sender); i++) /* each of these has a sender of its own */
		if (units[i]->channel == c && units[i]->to == to && same_way(w, units[i], t) && units[i]->n < DELIVERY_RECIPIENTS_MAX &&
		    units[i]->octets + octets <= UNIT_OCTETS)
			return units[i];
	struct unit *u = to ? calloc(1, sizeof *u) : NULL;
	if (u) {
		*u = (struct unit){.w = w, .channel = c, .to = to, .bulk = w->bulk};
		units[(*n)++] = u;
	}
	return u;
}

/* The recipients that were routed and are not in a unit yet go into units. */
void units_make(struct queue *q, struct work *w)
{
	struct unit *units[DELIVERY_RECIPIENTS_MAX];
	size_t n = 0;
	for (uint32_t i = w->window; i < w->cursor; i++) {
		struct work_rcpt *r = &w->rcpt[i];
		struct target t;
		struct channel *c = r->state == RCPT_OPEN ? take_target(q, r, &t) : NULL;
		if (!c)
			continue;
		size_t octets = r->target_octets + ADDRESS_MAX + w->job.env.rcpt[r->origin].orcpt.n;
		struct unit *u = unit_for(units, &n, c, w, &t, octets);
		if (!u) {
			rcpt_text(r, RCPT_DEFERRED, "4.3.0", "out of memory");
			continue;
		}
		u->octets += octets;
		u->rcpt[u->n++] = i;
		r->state = RCPT_READY;
	}
	for (size_t i = 0; i < n; i++)
		channel_add(units[i]->channel, units[i]->to, units[i]);
	w->units += (uint32_t)n;
	w->window = w->cursor;
}
