/* Channels and destinations: see channel.h.  Runs in postern-queue.  Names of destinations come from addresses that strangers wrote; who fills one bucket
 * makes his own mail slow to queue and is bounded by the messages being attempted. */
#include "queue/channel.h"

#include <stdlib.h>

#define SWEEP_MSEC 60000

static char lower(char c)
{
	return c >= 'A' && c <= 'Z' ? (char)(c + 32) : c;
}

static size_t bucket_of(struct slice name)
{
	uint32_t h = 2166136261u;
	for (size_t i = 0; i < name.n; i++)
		h = (h ^ (unsigned char)lower(name.p[i])) * 16777619u;
	return (h ^ h >> 15) % DESTINATION_BUCKETS;
}

static bool forgettable(const struct destination *d, int64_t now)
{
	return !d->listed && !d->first && !d->in_flight && (!d->failures || now - d->closed_until > FORGET_MSEC);
}

/* Destinations without mail are dropped once a minute; those that failed are remembered for an hour. */
void channel_tend(struct channel *c)
{
	int64_t now = clock_msec();
	if (now - c->swept < SWEEP_MSEC)
		return;
	c->swept = now;
	for (size_t i = 0; i < DESTINATION_BUCKETS; i++)
		for (struct destination **at = &c->bucket[i], *d; (d = *at);) {
			if (!forgettable(d, now)) {
				at = &d->next;
				continue;
			}
			*at = d->next;
			free(d->why);
			free(d);
			c->destinations--;
		}
}

struct destination *channel_destination(struct channel *c, struct slice name)
{
	struct destination **head = &c->bucket[bucket_of(name)];
	for (struct destination *d = *head; d; d = d->next)
		if (slice_case_eq_str(name, d->name))
			return d;
	struct destination *d = calloc(1, sizeof *d + name.n + 1);
	if (!d)
		return NULL;
	for (size_t i = 0; i < name.n; i++)
		d->name[i] = lower(name.p[i]);
	d->last = &d->first;
	d->next = *head;
	*head = d;
	c->destinations++;
	return d;
}

static unsigned cap(const struct channel *c, const struct destination *d)
{
	if (d->failures)
		return 1;
	return c->agent == AGENT_LOCAL || c->limit < 2 ? c->limit : c->limit / 2;
}

static void list(struct channel *c, struct destination *d)
{
	if (d->listed || !d->first || d->in_flight >= cap(c, d))
		return;
	if (!c->turn)
		c->turn_last = &c->turn;
	d->listed = true;
	d->next_turn = NULL;
	*c->turn_last = d;
	c->turn_last = &d->next_turn;
}

static struct destination *unlist(struct channel *c)
{
	struct destination *d = c->turn;
	c->turn = d->next_turn;
	d->listed = false;
	return d;
}

void channel_add(struct channel *c, struct destination *to, struct unit *u)
{
	u->next = NULL;
	u->channel = c;
	u->to = to;
	*to->last = u;
	to->last = &u->next;
	list(c, to);
}

bool channel_closed(const struct destination *d)
{
	return d->closed_until > clock_msec();
}

/* What was listed before a failure may have lost its place. */
struct destination *channel_turn(struct channel *c)
{
	while (c->turn && c->turn->in_flight >= cap(c, c->turn) && !channel_closed(c->turn))
		unlist(c);
	return c->turn;
}

struct unit *channel_take(struct channel *c, bool sent)
{
	struct destination *d = unlist(c);
	struct unit *u = d->first;
	d->first = u->next;
	if (!d->first)
		d->last = &d->first;
	if (sent) {
		d->in_flight++;
		c->in_flight++;
	}
	list(c, d);
	return u;
}

static void failed(struct destination *d, const char *why)
{
	int64_t msec = CLOSED_FIRST_MSEC;
	for (unsigned i = 2; i < d->failures + 1 && msec < CLOSED_MOST_MSEC; i++)
		msec *= 2;
	d->failures += d->failures < 1000;
	d->closed_until = clock_msec() + (d->failures > 1 ? msec : 0);
	free(d->why);
	d->why = why ? strdup(why) : NULL;
	d->with_failed = d->in_flight;
}

void channel_ended(struct channel *c, struct destination *d, int reached, const char *why)
{
	c->in_flight--;
	d->in_flight--;
	bool counts = d->with_failed == 0;
	d->with_failed -= !counts;
	if (reached == 0 && counts) {
		failed(d, why);
	} else if (reached > 0) {
		d->failures = 0;
		d->closed_until = 0;
	}
	list(c, d);
}

void channel_open(struct channel *c)
{
	for (size_t i = 0; i < DESTINATION_BUCKETS; i++)
		for (struct destination *d = c->bucket[i]; d; d = d->next) {
			d->failures = 0;
			d->closed_until = 0;
			list(c, d);
		}
}
