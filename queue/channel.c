/* Channels and destinations: see channel.h.  Runs in postern-queue.  Names of destinations come from addresses that strangers wrote; who fills one bucket
 * makes his own mail slow to queue and is bounded by the messages being attempted. */
#include "queue/channel.h"

#include <stdlib.h>

#define SWEEP_MSEC 60000
#define PASS 8
#define LOCAL_RCPTS 4 /* recipients of mass mail under way to Maildirs, for each delivery of the limit: a full delivery for each worker */

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
	return !d->listed && !d->first && !d->in_flight && !d->ready && (!d->failures || now - d->closed_until > FORGET_MSEC)
		&& (!d->proven || now - d->reached_at > PROVEN_MSEC);
}

/* Destinations without mail are dropped once a minute; those that failed are remembered for an hour, those that were reached for ten minutes. */
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
	d->last = d->persons = &d->first;
	d->proven = c->agent == AGENT_LOCAL;
	d->window = WINDOW_FIRST;
	d->next = *head;
	*head = d;
	c->destinations++;
	return d;
}

static unsigned cap(const struct channel *c, const struct destination *d)
{
	unsigned most = c->limit < 2 ? c->limit : c->limit / 2;
	if (c->agent == AGENT_LOCAL)
		return c->limit;
	return d->failures || !d->proven ? 1 : d->window < most ? d->window : most;
}

/* Every PASS-th that goes before mass mail lets one of it pass. */
static bool passes(unsigned *passed)
{
	return ++*passed % PASS == 0;
}

/* Those who have mail of persons before the others. */
static void list(struct channel *c, struct destination *d)
{
	struct turns *t = &c->turns[d->proven];
	if (d->listed || !d->first || d->in_flight >= cap(c, d))
		return;
	if (!t->first)
		t->last = t->persons = &t->first;
	d->listed = true;
	d->listed_proven = d->proven;
	d->listed_bulk = d->first->bulk;
	if (!d->listed_bulk && *t->persons && passes(&t->passed))
		t->persons = &(*t->persons)->next_turn;
	struct destination **at = d->listed_bulk ? t->last : t->persons;
	d->next_turn = *at;
	*at = d;
	if (at == t->last)
		t->last = &d->next_turn;
	if (!d->listed_bulk)
		t->persons = &d->next_turn;
}

static void unlist(struct turns *t)
{
	struct destination *d = t->first;
	if (t->persons == &d->next_turn)
		t->persons = &t->first;
	t->first = d->next_turn;
	if (!t->first)
		t->last = t->persons = &t->first;
	d->listed = false;
}

/* Mail of a person came for a destination that waits behind such. */
static void list_again(struct channel *c, struct destination *d)
{
	struct turns *t = &c->turns[d->listed_proven];
	struct destination **at = &t->first;
	while (*at && *at != d)
		at = &(*at)->next_turn;
	if (!*at)
		return;
	*at = d->next_turn;
	if (t->last == &d->next_turn)
		t->last = at;
	if (t->persons == &d->next_turn)
		t->persons = at;
	d->listed = false;
	list(c, d);
}

static void insert(struct destination *d, struct unit *u)
{
	if (!u->bulk && *d->persons && passes(&d->passed))
		d->persons = &(*d->persons)->next;
	struct unit **at = u->bulk ? d->last : d->persons;
	u->next = *at;
	*at = u;
	if (at == d->last)
		d->last = &u->next;
	if (!u->bulk)
		d->persons = &u->next;
}

void channel_add(struct channel *c, struct destination *to, struct unit *u)
{
	u->channel = c;
	u->to = to;
	u->unanswered = false;
	insert(to, u);
	if (to->listed && to->listed_bulk && !to->first->bulk)
		list_again(c, to);
	list(c, to);
}

bool channel_closed(const struct destination *d)
{
	return d->closed_until > clock_msec();
}

/* Who comes next in a list; what was listed before a failure may have lost its place. */
static struct destination *first_of(const struct channel *c, struct turns *t)
{
	while (t->first && (!t->first->first || (t->first->in_flight >= cap(c, t->first) && !channel_closed(t->first))))
		unlist(t);
	return t->first;
}

/* D, unless it has mass mail alone and that has enough. */
static struct destination *unless_enough(const struct channel *c, struct destination *d)
{
	if (!d || !d->first->bulk || channel_closed(d))
		return d;
	if (c->agent == AGENT_LOCAL)
		return c->bulk_rcpts && c->bulk_rcpts + d->first->n > LOCAL_RCPTS * (size_t)c->limit ? NULL : d;
	return c->busy[false] + c->busy[true] >= c->limit - c->limit / 4 ? NULL : d;
}

struct destination *channel_turn(struct channel *c)
{
	struct destination *other = unless_enough(c, first_of(c, &c->turns[false])), *proven = unless_enough(c, first_of(c, &c->turns[true]));
	unsigned share = c->limit - c->limit / 4;
	if (c->busy[false] + c->busy[true] >= c->limit)
		return NULL;
	if (other && c->busy[false] >= share)
		other = NULL;
	else if (other && c->busy[true] >= share)
		proven = NULL;
	bool differ = other && proven && other->first->bulk != proven->first->bulk;
	c->last_proven = differ && !passes(&c->passed) ? !proven->first->bulk : proven && (!other || !c->last_proven);
	return c->last_proven ? proven : other;
}

bool channel_others_wait(const struct channel *c, const struct destination *d)
{
	for (int i = 0; i < 2; i++)
		if (c->turns[i].first && (c->turns[i].first != d || d->next_turn))
			return true;
	return false;
}

bool channel_may_go_on(const struct channel *c, const struct destination *d)
{
	return d->first && d->in_flight < cap(c, d) && !channel_closed(d);
}

struct unit *channel_take(struct channel *c, struct destination *d, bool sent)
{
	struct turns *t = &c->turns[d->listed_proven];
	struct unit *u = d->first;
	if (d->listed && t->first == d)
		unlist(t);
	if (d->persons == &u->next)
		d->persons = &d->first;
	d->first = u->next;
	if (!d->first)
		d->last = d->persons = &d->first;
	if (sent) {
		c->bulk_rcpts += u->bulk ? u->n : 0;
		d->in_flight++;
		c->in_flight++;
		u->proven = d->proven;
		u->unanswered = false;
		c->busy[u->proven]++;
	}
	list(c, d);
	return u;
}

void channel_unanswered(struct channel *c, struct unit *u)
{
	if (u->unanswered || c->unanswered >= c->unanswered_most)
		return;
	u->unanswered = true;
	c->unanswered++;
	c->busy[u->proven]--;
}

void channel_answered(struct channel *c, struct unit *u)
{
	if (!u->unanswered)
		return;
	u->unanswered = false;
	c->unanswered--;
	c->busy[u->proven]++;
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
	d->proven = false;
}

static void was_reached(const struct channel *c, struct destination *d)
{
	d->failures = 0;
	d->closed_until = 0;
	d->reached_at = clock_msec();
	if (!d->proven)
		d->window = WINDOW_FIRST;
	else if (d->calm)
		d->calm--;
	else if (d->in_flight + 1 >= d->window && d->window < c->limit)
		d->window++;
	d->proven = true;
}

/* Too much at once; alone it is too much altogether. */
static void too_much(struct destination *d, const char *why)
{
	if (!d->in_flight && !d->ready) {
		failed(d, why);
		return;
	}
	d->window = d->window > 2 ? d->window / 2 : 1;
	d->calm = CALM;
	d->with_failed = d->in_flight;
}

void channel_ended(struct channel *c, struct unit *u, enum reached reached, const char *why)
{
	struct destination *d = u->to;
	channel_answered(c, u);
	c->busy[u->proven]--;
	c->bulk_rcpts -= u->bulk ? u->n : 0;
	c->in_flight--;
	d->in_flight--;
	bool counts = d->with_failed == 0;
	d->with_failed -= !counts;
	if (reached == REACHED_NOT && counts)
		failed(d, why);
	else if (reached == REACHED_BUSY && counts)
		too_much(d, why);
	else if (reached == REACHED_YES)
		was_reached(c, d);
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
