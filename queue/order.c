/* A delivery as its agent reads it: see dispatch.h.  Who and what comes from the envelope, whose parameters strangers wrote: what the grammar does not take is left out. */
#include "queue/dispatch.h"
#include "queue/verp.h"

static struct slice passable(struct slice s, size_t most)
{
	return s.n <= most && slice_printable(s) ? s : slice_make("", 0);
}

/* A member of a group is not whom the sender asked about: nobody is told of its success (RFC 3461 5.2.7.3). */
static void describe_notify(struct delivery *d, const struct work_rcpt *r, const struct recipient *given)
{
	size_t n = 0;
	char *to = d->rcpt[d->count].notify;
	d->rcpt[d->count].orcpt = passable(given->orcpt, ORCPT_MAX);
	for (const char *p = given->notify; *p; p++)
		if (*p != 'S' || !r->address)
			to[n++] = *p;
	if (n == 0 && given->notify[0])
		to[n++] = 'N';
	to[n] = 0;
}

/* With the sender that goes out in SENDER. */
static void describe(struct delivery *d, struct buf *sender, const struct unit *u)
{
	const struct work *w = u->w;
	const struct envelope *env = &w->job.env;
	verp_expand(sender, env->sender, work_address(w, &w->rcpt[u->rcpt[0]]));
	*d = (struct delivery){
		.sender = buf_slice(sender), .attempt = w->m->attempts, .smtputf8 = env->smtputf8, .requiretls = env->require_tls, .ret = env->ret,
		.envid = passable(env->envid, ENVID_MAX),
		.size_octets = (long long)(w->job.header.n + w->job.body.octets)};
	memcpy(d->id, w->job.id, sizeof d->id);
	for (size_t i = 0; i < u->n; i++) {
		const struct work_rcpt *r = &w->rcpt[u->rcpt[i]];
		struct slice rest = slice_make(r->target, r->target_octets);
		if (target_decode(&d->rcpt[d->count].target, &rest) < 0)
			continue;
		d->rcpt[d->count].number = r->number;
		d->rcpt[d->count].original = w->job.env.rcpt[r->origin].address;
		d->doubt |= r->doubt;
		describe_notify(d, r, &w->job.env.rcpt[r->origin]);
		d->count++;
	}
}

void order_put(struct buf *b, const struct unit *u)
{
	static struct delivery d;
	char space[ADDRESS_MAX + 1];
	struct buf sender = {space, 0, sizeof space, sizeof space, false};
	describe(&d, &sender, u);
	delivery_encode(b, &d);
}
