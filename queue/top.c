/* top: who has most waiting, and status: how the queue is.  See caller.h.  Keys come from outside; their number and length are bounded, and a secret hash keeps
 * them from being chosen to collide. */
#include <stdio.h>
#include <stdlib.h>

#include "lib/addr.h"
#include "lib/hash.h"
#include "queue/caller.h"
#include "queue/relay.h"

#define KEYS_MOST 200000
#define KEY_MAX ADDRESS_MAX
#define REASON_MAX 200
#define SHOWN 20

struct sum {
	char *key, *reason;
	uint32_t last; /* number of the message counted last, + 1 */
	uint32_t messages, recipients;
	uint64_t octets;
	int64_t oldest_sec;
};
struct top {
	enum { BY_SENDER, BY_USER, BY_DESTINATION, BY_DOMAIN, BY_CLIENT } by;
	struct hash_key secret;
	struct sum *table;
	uint32_t room, count;
	unsigned shown;
	bool full;
};

void top_free(struct top *t)
{
	for (uint32_t i = 0; t && i < t->room; i++) {
		free(t->table[i].key);
		free(t->table[i].reason);
	}
	if (t)
		free(t->table);
	free(t);
}

static char *copy(struct slice s)
{
	char *p = malloc(s.n + 1);
	if (p) {
		memcpy(p, s.p, s.n);
		p[s.n] = 0;
	}
	return p;
}

static struct sum *place(const struct top *t, struct slice key)
{
	uint32_t at = (uint32_t)hash_of(&t->secret, 't', key) & (t->room - 1);
	while (t->table[at].key && !slice_case_eq_str(key, t->table[at].key))
		at = (at + 1) & (t->room - 1);
	return &t->table[at];
}

static bool grow(struct top *t)
{
	if (t->count * 2 < t->room)
		return true;
	struct top bigger = {.secret = t->secret, .room = t->room * 2};
	bigger.table = calloc(bigger.room, sizeof *bigger.table);
	if (!bigger.table)
		return false;
	for (uint32_t i = 0; i < t->room; i++)
		if (t->table[i].key)
			*place(&bigger, slice_str(t->table[i].key)) = t->table[i];
	free(t->table);
	t->table = bigger.table;
	t->room = bigger.room;
	return true;
}

/* The sum for KEY, or NULL: too many different ones. */
static struct sum *sum_of(struct top *t, struct slice key)
{
	char lower[KEY_MAX];
	key = slice_upto(key, KEY_MAX);
	for (size_t i = 0; i < key.n; i++)
		lower[i] = key.p[i] >= 'A' && key.p[i] <= 'Z' ? (char)(key.p[i] + 32) : key.p[i];
	key.p = lower;
	struct sum *s = place(t, key);
	if (s->key)
		return s;
	if (t->count == KEYS_MOST || !grow(t) || !(s = place(t, key)) || !(s->key = copy(key))) {
		t->full = true;
		return NULL;
	}
	t->count++;
	return s;
}

static void count(struct sum *s, const struct work *w, const struct work_rcpt *r)
{
	int64_t born = w->job.env.wall_usec / 1000000;
	if (!s)
		return;
	s->recipients++;
	if (!s->reason && r->text)
		s->reason = copy(slice_upto(slice_str(r->text), REASON_MAX));
	if (s->last == w->m->self + 1)
		return;
	s->last = w->m->self + 1;
	s->messages++;
	s->octets += w->m->octets;
	s->oldest_sec = s->oldest_sec && s->oldest_sec < born ? s->oldest_sec : born;
}

static struct slice key_of(const struct top *t, const struct work *w, const struct work_rcpt *r)
{
	struct target to;
	struct slice rest = slice_make(r->target, r->target_octets);
	switch (t->by) {
	case BY_SENDER: return w->job.env.sender;
	case BY_USER: return w->job.env.user;
	case BY_CLIENT: return w->job.env.client_ip;
	case BY_DOMAIN: return addr_domain_of(work_address(w, r));
	default: break;
	}
	if (r->target && target_decode(&to, &rest) == 0 && to.agent != AGENT_NONE)
		return to.agent == AGENT_LOCAL ? slice_str("local") : relay_of(&to);
	return r->host ? slice_str(r->host) : addr_domain_of(work_address(w, r));
}

static int busier(const void *a, const void *b)
{
	const struct sum *x = a, *y = b;
	return x->messages != y->messages ? (x->messages < y->messages ? 1 : -1) : x->octets != y->octets ? (x->octets < y->octets ? 1 : -1) : 0;
}

static bool send_sum(struct caller *c, const struct sum *s)
{
	struct buf b = BUF_INIT(4000);
	pair(&b, "kind", slice_str("top"));
	pair(&b, "key", slice_str(s->key));
	pair_number(&b, "messages", s->messages);
	pair_number(&b, "recipients", s->recipients);
	pair_number(&b, "octets", (long long)s->octets);
	pair_number(&b, "oldest", s->oldest_sec);
	pair(&b, "reason", slice_str(s->reason));
	bool ok = caller_row(c, &b);
	buf_free(&b);
	return ok;
}

static void send_sums(struct caller *c)
{
	struct top *t = c->top;
	char text[100];
	uint32_t n = 0;
	for (uint32_t i = 0; i < t->room; i++)
		if (t->table[i].key) {
			struct sum s = t->table[i];
			t->table[i] = (struct sum){0};
			t->table[n++] = s;
		}
	qsort(t->table, n, sizeof *t->table, busier);
	for (uint32_t i = 0; i < n && i < t->shown; i++)
		if (!send_sum(c, &t->table[i]))
			return;
	snprintf(text, sizeof text, "%u of %u%s, %u messages", n < t->shown ? n : t->shown, n, t->full ? " or more" : "", c->matched);
	caller_end(c, 0, text);
}

static void top_more(struct caller *c)
{
	struct work *w;
	bool own, end = false;
	while (walk_next(c, true, &w, &own, &end)) {
		for (uint32_t i = 0; i < w->rcpts; i++)
			if (work_is_open(&w->rcpt[i]))
				count(sum_of(c->top, key_of(c->top, w, &w->rcpt[i])), w, &w->rcpt[i]);
		if (own)
			work_free(c->q, w);
	}
	if (end)
		send_sums(c);
	else
		walk_progress(c);
}

static int take_top(struct caller *c, struct slice arg, struct err *e)
{
	static const char *const names[] = {"by=sender", "by=user", "by=destination", "by=domain", "by=client"};
	long long n;
	for (unsigned i = 0; i < sizeof names / sizeof *names; i++)
		if (slice_eq_str(arg, names[i])) {
			c->top->by = i;
			return 1;
		}
	if (slice_starts(arg, "by="))
		return err_set(e, E_SYNTAX, "by is sender, user, destination, domain or client");
	if (!slice_starts(arg, "limit="))
		return 0;
	if (slice_number(&n, slice_from(arg, 6), 1, KEYS_MOST) < 0)
		return err_set(e, E_SYNTAX, "limit is a number");
	c->top->shown = (unsigned)n;
	return 1;
}

void verb_top(struct caller *c)
{
	c->top = calloc(1, sizeof *c->top);
	if (c->top) {
		*c->top = (struct top){.by = BY_SENDER, .secret = hash_key_make(), .room = 1024, .shown = SHOWN};
		c->top->table = calloc(c->top->room, sizeof *c->top->table);
	}
	if (!c->top || !c->top->table) {
		if (c->top)
			c->top->room = 0;
		caller_end(c, 111, "out of memory");
		return;
	}
	if (!walk_arguments(c, take_top))
		return;
	walk_begin(c);
	caller_later(c, top_more);
}
