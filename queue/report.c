/* Who is told what of an attempt: see report.h.  RFC 3461 4.1 (NOTIFY), 5.2 (who reports), 6; RFC 5321 6.1 (no report to a null sender).
 *
 * Envelope and header come from outside: a sender that was forged must not get mail from here (backscatter), nor its host more than control/bouncerate of it. */
#include "queue/report.h"

#include "lib/addr.h"
#include "lib/hash.h"
#include "lib/header.h"
#include "lib/log.h"
#include "queue/age.h"
#include "queue/bounce.h"
#include "queue/verp.h"

#include <stdlib.h>

#define BOUNCE_MOST ((size_t)4 << 20)
#define HOUR_SEC 3600
#define RATE_SLOTS 4096

/* What NOTIFY asks for; without it a sender is told of failures, and of long delays (RFC 3461 4.1: our choice). */
static bool wants(const struct recipient *r, char letter)
{
	return !r->notify[0] ? letter != 'S' : strchr(r->notify, letter) != NULL;
}

/* A stage of the line has marked it, here or on the host of the cluster that let it in: such senders are forged. */
static const char *marked(const struct work *w)
{
	static const struct {
		const char *field, *value, *why;
	} marks[] = {{"X-Spam-Flag", "yes", "it is tagged as spam"}, {"X-Virus-Status", "infected", "it is tagged as infected"}};
	struct header_field f;
	if (w->job.env.class != CLASS_OUTSIDE && w->job.env.class != CLASS_CLUSTER)
		return NULL;
	for (size_t i = 0; i < sizeof marks / sizeof *marks; i++)
		if (header_find(&f, w->job.header, marks[i].field) && slice_case_starts(slice_trim(f.value), marks[i].value))
			return marks[i].why;
	return NULL;
}

/* Why the sender, who may not be who sent it, is not told: NULL: is told.  Where somebody decided on a held message, its reason is empty (hold.c, verbs.c). */
static const char *backscatter(const struct work *w)
{
	const struct envelope *env = &w->job.env;
	if (w->bounce_then)
		return NULL;
	const char *mark = marked(w);
	if (mark)
		return mark;
	if (env->foreign_sender && env->hold_reason.n && w->state.hold_reason.n)
		return "it was held, and its sender is not the account that sent it";
	return NULL;
}

/* Delays are told once, after control/delaynotice. */
static bool tells_delay(const struct queue *q, const struct work *w, bool finished)
{
	const struct envelope *env = &w->job.env;
	return !finished && q->set.delay_sec && !w->state.told && !w->state.held && env->sender.n && env->class != CLASS_BOUNCE &&
	       queue_now_sec() - env->wall_usec / 1000000 >= q->set.delay_sec;
}

/* What of a success is told: members of a list never are, the list itself is (RFC 3461 5.2.7). */
enum note_kind report_owed(const struct work *w, const struct work_rcpt *r)
{
	struct slice to;
	if (r->state == RCPT_OWED)
		return r->owed;
	if (!wants(&w->job.env.rcpt[r->origin], 'S') || !w->job.env.sender.n)
		return 0;
	if (r->group)
		return NOTE_EXPANDED;
	if (r->state != RCPT_DONE || r->number >= w->job.env.rcpts || r->relay == RELAY_DSN) /* then the far side tells */
		return 0;
	const char *way = rcpt_way(&to, r);
	return way && (strcmp(way, "smtp") == 0 || strcmp(way, "qmqp") == 0) ? NOTE_RELAYED : NOTE_DELIVERED;
}

static int success(const struct work *w, const struct work_rcpt *r)
{
	switch (report_owed(w, r)) {
	case NOTE_EXPANDED: return BOUNCE_EXPANDED;
	case NOTE_RELAYED: return BOUNCE_RELAYED;
	case NOTE_DELIVERED: return BOUNCE_DELIVERED;
	default: return -1;
	}
}

/* The action that R is reported with, or -1. */
static int action_of(const struct work *w, const struct work_rcpt *r, bool delays)
{
	const struct recipient *given = &w->job.env.rcpt[r->origin];
	if (r->state == RCPT_FAILED)
		return wants(given, 'F') ? BOUNCE_FAILED : -1;
	if (r->state == RCPT_DEFERRED || r->state == RCPT_UNKNOWN)
		return delays && wants(given, 'D') ? BOUNCE_DELAYED : -1;
	return success(w, r);
}

/* Recipients to be reported, in a fresh array. */
static struct bounce_rcpt *reported(const struct work *w, bool delays, size_t *count)
{
	struct bounce_rcpt *list = calloc(w->rcpts, sizeof *list);
	*count = 0;
	for (uint32_t i = 0; list && i < w->rcpts; i++) {
		const struct work_rcpt *r = &w->rcpt[i];
		const struct recipient *given = &w->job.env.rcpt[r->origin];
		int action = action_of(w, r, delays);
		if (action >= 0)
			list[(*count)++] = (struct bounce_rcpt){
				.address = work_address(w, r), .original = given->address, .orcpt = given->orcpt, .action = (enum bounce_action)action,
				.enhanced = action == BOUNCE_EXPANDED ? "2.0.0" : r->enhanced, .host = slice_str(r->host), .text = slice_str(r->text)};
	}
	return list;
}

static size_t count_of(const struct bounce_rcpt *list, size_t count, enum bounce_action action)
{
	size_t n = 0;
	for (size_t i = 0; i < count; i++)
		n += list[i].action == action;
	return n;
}

static bool report_octets(struct report *b, const struct envelope *env)
{
	struct buf envelope = BUF_INIT(ENVELOPE_MAX);
	envelope_encode(&envelope, env);
	buf_add_slice(&envelope, buf_slice(&b->head));
	bool ok = !envelope.overflow && !b->head.overflow && !b->body.overflow;
	buf_free(&b->head);
	b->head = envelope;
	prologue_put(b->prologue, &(struct prologue){.body_octets = b->body.n, .head_octets = (uint32_t)envelope.n, .rcpts = 1});
	return ok;
}

/* Who is told. */
static struct slice told(const struct queue *q, const struct envelope *env)
{
	if (!env->sender.n)
		return slice_str(q->set.double_to);
	return verp_plain(env->sender);
}

/* When the next report to TO's domain may go: at once, or in a later hour.  Domains that share a slot share its count; a restart begins anew. */
static uint32_t send_at(const struct queue *q, struct slice to)
{
	static struct hash_key secret;
	static struct slot {
		int64_t hour;
		uint32_t count;
	} slot[RATE_SLOTS];
	static bool drawn;
	int64_t now = queue_now_sec();
	char domain[ADDRESS_MAX + 1];
	if (!q->set.bounce_rate || slice_copy(domain, sizeof domain, addr_domain_of(to)) < 0)
		return (uint32_t)now;
	if (!drawn)
		secret = hash_key_make();
	drawn = true;
	struct slot *s = &slot[hash_of(&secret, 'b', slice_str(domain)) % RATE_SLOTS];
	int64_t hours = s->count / q->set.bounce_rate;
	if (now < s->hour || now - s->hour >= HOUR_SEC * (hours + 1)) {
		*s = (struct slot){.hour = now};
		hours = 0;
	}
	s->count++;
	return (uint32_t)(hours ? s->hour + HOUR_SEC * hours : now);
}

static bool place(struct queue *q, const struct report *b, const struct work *w)
{
	struct message *m = index_add(&q->index, b->id);
	if (!m) {
		LOG(EV_fault, w->job.id, F_STR("error", "the bounce could not be made: out of memory"));
		return false;
	}
	m->flags = (unsigned char)(MESSAGE_PENDING | (b->last ? MESSAGE_LAST_BOUNCE : 0));
	m->open = 1;
	return true;
}

static bool make(struct report *b, struct queue *q, struct work *w, const struct bounce_rcpt *list, size_t count)
{
	const struct envelope *env = &w->job.env;
	struct slice to = told(q, env);
	struct recipient rcpt = {.address = to};
	*b = (struct report){.head = BUF_INIT(HEADER_MAX), .body = BUF_INIT(BOUNCE_MOST), .last = env->sender.n == 0, .count = count};
	id_make(b->id);
	bounce_make(&b->head, &b->body, &(struct bounce){
		.id = b->id, .me = q->set.me, .from = q->set.bounce_from, .to = to, .wall_usec = clock_wall_usec(), .env = env, .header = w->job.header,
		.until_usec = age_until_sec(q, w) * 1000000, .body = &w->job.body, .rcpt = list, .rcpts = count, .most = q->set.bounce_octets, .to_postmaster = b->last});
	struct envelope own = {
		.id = slice_make(b->id, ID_LEN), .class = CLASS_BOUNCE, .wall_usec = clock_wall_usec(), .sender = slice_make("", 0),
		.eightbit = true, .smtputf8 = env->smtputf8, .rcpt = &rcpt, .rcpts = 1};
	if (report_octets(b, &own) && place(q, b, w))
		return true;
	report_free(b);
	*b = (struct report){0};
	return false;
}

int report_make(struct report *b, struct queue *q, struct work *w, bool finished)
{
	size_t count;
	bool delays = tells_delay(q, w, finished);
	int rc = 0;
	*b = (struct report){0};
	struct bounce_rcpt *list = reported(w, delays, &count);
	const char *why_not = list && count ? backscatter(w) : NULL;
	if (!list)
		LOG(EV_fault, w->job.id, F_STR("error", "the report could not be made: out of memory"));
	if (!list || !count) {
		free(list);
		return list ? 0 : E_SYS;
	}
	if (w->m->flags & MESSAGE_LAST_BOUNCE) {
		b->lost = list[0].address;
	} else if (why_not) {
		b->count = count;
		b->why_not = why_not;
	} else {
		rc = make(b, q, w, list, count) ? 1 : E_SYS;
		w->state.told |= rc == 1 && count_of(list, count, BOUNCE_DELAYED) > 0;
	}
	free(list);
	return rc;
}

void report_record(struct store_record *r, const struct report *b)
{
	*r = (struct store_record){
		.kind = RECORD_MESSAGE, .flags = b->last ? RECORD_LAST_BOUNCE : 0, .id = b->id, .pieces = 3,
		.piece = {{.p = b->prologue, .n = PROLOGUE}, {.p = b->head.p, .n = b->head.n}, {.p = b->body.p, .n = b->body.n}}};
}

bool report_sends(const struct report *b)
{
	return b->id[0];
}

void report_added(struct queue *q, const struct work *w, const struct report *b)
{
	struct slice to = told(q, &w->job.env);
	if (b->lost.n)
		LOG(EV_queue_bounce_lost, w->job.id, F_SLICE("rcpt", b->lost));
	else if (b->why_not)
		LOG(EV_queue_not_bounced, w->job.id, F_SLICE("to", w->job.env.sender), F_NUM("rcpts", b->count), F_STR("why", b->why_not));
	if (!report_sends(b))
		return;
	index_find(&q->index, b->id)->next_sec = send_at(q, to);
	LOG(EV_queue_bounced, w->job.id, F_STR("bounce", b->id), F_SLICE("to", to), F_NUM("rcpts", b->count));
	q->counts.bounced++;
}

void report_undo(struct queue *q, const struct report *b)
{
	if (report_sends(b))
		index_remove(&q->index, index_find(&q->index, b->id));
}

void report_free(struct report *b)
{
	buf_free(&b->head);
	buf_free(&b->body);
}
