/* What queue, route and agents say to each other: see delivery.h; postern-delivery(5) is the grammar.
 *
 * Runs in postern-queue, postern-route and the agents.  Each side may have been taken over: a decoder believes a field only
 * when its length, its kind and its sense with the other fields are right, and a message must end where its last field does. */
#include "deliver/delivery.h"

#include <limits.h>

#include "lib/envelope.h"
#include "lib/fields.h"

#define NUMBER_MOST LLONG_MAX
#define ID_NUMBER_MOST 4294967294LL /* (uid_t)-1 is no user */
#define DESTINATION_MAX 320         /* host and port, or a uid */
#define MAILDIR_MAX 4095            /* PATH_MAX with its NUL */

/* Text for people, made printable and cut, so that what is encoded can always be decoded. */
static void add_text(struct buf *b, struct slice text, size_t most)
{
	char clean[DELIVERY_TEXT_MAX];
	size_t n = text.n < most ? text.n : most;
	for (size_t i = 0; i < n; i++)
		clean[i] = text.p[i] >= 0x20 && text.p[i] <= 0x7e ? text.p[i] : '?';
	netstring_add(b, slice_make(clean, n));
}

static void add_letter(struct buf *b, char letter)
{
	netstring_add(b, slice_make(letter ? &letter : "-", 1));
}

/* RFC 3463: class "." subject "." detail. */
static bool enhanced_valid(const char *s)
{
	struct slice part, rest = slice_str(s);
	long long v;
	int parts = 0;
	if (s[0] != '2' && s[0] != '4' && s[0] != '5')
		return false;
	while (slice_cut(&part, &rest, '.'))
		if (++parts > 3 || slice_number(&v, part, 0, 999) < 0)
			return false;
	return parts == 3 && s[1] == '.';
}

static bool no_nul(struct slice s)
{
	return s.n == 0 || !memchr(s.p, 0, s.n);
}

void route_question(struct buf *b, struct slice id, struct slice sender, struct slice address)
{
	netstring_add_str(b, "route");
	netstring_add(b, id);
	netstring_add(b, sender);
	netstring_add(b, address);
}

int route_question_decode(struct slice *id, struct slice *sender, struct slice *address, struct slice text)
{
	struct fields f = {.rest = text};
	struct slice verb = fields_take(&f, 5), i = fields_take(&f, ID_LEN), s = fields_take(&f, ADDRESS_MAX), a = fields_take(&f, ADDRESS_MAX);
	if (!fields_done(&f) || !slice_eq_str(verb, "route") || !id_valid(i) || a.n == 0 || !no_nul(s) || !no_nul(a))
		return E_PEER;
	*id = i;
	*sender = s;
	*address = a;
	return 0;
}

static void add_target(struct buf *b, const struct target *t)
{
	add_letter(b, (char)t->agent);
	netstring_add(b, t->address);
	netstring_add(b, t->destination);
	netstring_add(b, t->maildir);
	netstring_add_number(b, t->uid_number);
	netstring_add_number(b, t->gid_number);
	netstring_add_number(b, t->quota_octets);
	netstring_add_number(b, t->quota_count);
	netstring_add_number(b, t->size_most);
	add_letter(b, t->agent == AGENT_NONE ? (char)t->status : 0);
	netstring_add_str(b, t->agent == AGENT_NONE ? t->enhanced : "");
	add_text(b, t->agent == AGENT_NONE ? t->text : slice_make(NULL, 0), DELIVERY_TEXT_MAX);
}

static void take_target(struct target *t, struct fields *f)
{
	char letter = fields_take_letter(f, "lmrq-");
	*t = (struct target){.agent = letter == '-' ? AGENT_NONE : (enum agent)letter};
	t->address = fields_take(f, ADDRESS_MAX);
	t->destination = fields_take_text(f, DESTINATION_MAX);
	t->maildir = fields_take(f, MAILDIR_MAX);
	t->uid_number = fields_take_number(f, -1, ID_NUMBER_MOST);
	t->gid_number = fields_take_number(f, -1, ID_NUMBER_MOST);
	t->quota_octets = fields_take_number(f, 0, NUMBER_MOST);
	t->quota_count = fields_take_number(f, 0, NUMBER_MOST);
	t->size_most = fields_take_number(f, 0, NUMBER_MOST);
	letter = fields_take_letter(f, "ZD-");
	t->status = letter == '-' ? 0 : (enum delivery_status)letter;
	fields_take_copy(f, t->enhanced, sizeof t->enhanced);
	t->text = fields_take_text(f, DELIVERY_TEXT_MAX);
}

/* The fields make sense together. */
static bool target_valid(const struct target *t)
{
	if (t->address.n == 0 || !no_nul(t->address) || !no_nul(t->maildir))
		return false;
	if (t->agent == AGENT_NONE)
		return t->status && enhanced_valid(t->enhanced) && t->enhanced[0] == (t->status == DELIVERY_FAILED ? '5' : '4');
	if (t->status || t->enhanced[0] || t->text.n || t->destination.n == 0)
		return false;
	return t->agent != AGENT_LOCAL || slice_starts(t->maildir, "/");
}

void target_encode(struct buf *b, const struct target *t)
{
	struct buf one = BUF_INIT(QUESTION_MAX);
	add_target(&one, t);
	if (one.overflow)
		b->overflow = true;
	else
		netstring_add(b, buf_slice(&one));
	buf_free(&one);
}

int target_decode(struct target *t, struct slice *rest)
{
	struct fields f;
	struct target one;
	if (rest->n == 0)
		return E_EOF;
	if (netstring_take(&f.rest, rest, QUESTION_MAX) < 0)
		return E_PEER;
	f.bad = false;
	take_target(&one, &f);
	if (!fields_done(&f) || !target_valid(&one))
		return E_PEER;
	*t = one;
	return 0;
}

void delivery_encode(struct buf *b, const struct delivery *d)
{
	netstring_add_str(b, d->id);
	netstring_add(b, d->sender);
	netstring_add_number(b, d->attempt);
	netstring_add_number(b, d->doubt);
	netstring_add_number(b, d->size_octets);
	netstring_add_number(b, d->smtputf8);
	netstring_add_number(b, d->requiretls);
	add_letter(b, d->ret);
	netstring_add(b, d->envid);
	netstring_add_number(b, (long long)d->count);
	for (size_t i = 0; i < d->count; i++) {
		netstring_add_number(b, d->rcpt[i].number);
		target_encode(b, &d->rcpt[i].target);
		netstring_add(b, d->rcpt[i].original);
		netstring_add_str(b, d->rcpt[i].notify);
		netstring_add(b, d->rcpt[i].orcpt);
	}
}

/* A recipient whose target has no agent is not for an agent to deliver. */
static void take_recipient(struct delivery *d, struct fields *f)
{
	size_t i = d->count;
	d->rcpt[i].number = fields_take_number(f, 0, RECIPIENTS_MAX * (long long)ROUTE_TARGETS_MAX);
	if (!f->bad && (target_decode(&d->rcpt[i].target, &f->rest) < 0 || d->rcpt[i].target.agent == AGENT_NONE))
		f->bad = true;
	d->rcpt[i].original = fields_take(f, ADDRESS_MAX);
	fields_take_copy(f, d->rcpt[i].notify, sizeof d->rcpt[i].notify);
	d->rcpt[i].orcpt = fields_take_text(f, ORCPT_MAX);
	f->bad |= d->rcpt[i].notify[strspn(d->rcpt[i].notify, "SFDN")] != 0;
	d->count++;
}

int delivery_decode(struct delivery *d, struct slice *rest, struct slice text, struct err *e)
{
	struct fields f = {.rest = text};
	fields_take_copy(&f, d->id, sizeof d->id);
	d->sender = fields_take(&f, ADDRESS_MAX);
	d->attempt = fields_take_number(&f, 1, NUMBER_MOST);
	d->doubt = fields_take_number(&f, 0, 1);
	d->size_octets = fields_take_number(&f, 0, NUMBER_MOST);
	d->smtputf8 = fields_take_number(&f, 0, 1);
	d->requiretls = fields_take_number(&f, 0, 1);
	char ret = fields_take_letter(&f, "FH-");
	d->ret = ret == '-' ? 0 : ret;
	d->envid = fields_take_text(&f, ENVID_MAX);
	size_t count = (size_t)fields_take_number(&f, 1, DELIVERY_RECIPIENTS_MAX);
	d->count = 0;
	while (!f.bad && d->count < count)
		take_recipient(d, &f);
	if (f.bad || !id_valid(slice_str(d->id)) || !no_nul(d->sender))
		return err_set(e, E_PEER, "a delivery breaks its grammar at recipient %zu of %zu", d->count, count);
	*rest = f.rest;
	return 0;
}

void result_encode(struct buf *b, const struct delivery_result *r)
{
	struct buf one = BUF_INIT(2 * DELIVERY_TEXT_MAX + DESTINATION_MAX);
	netstring_add_number(&one, r->number);
	add_letter(&one, (char)r->status);
	netstring_add_str(&one, r->enhanced);
	add_text(&one, r->host, DESTINATION_MAX);
	add_text(&one, r->text, DELIVERY_TEXT_MAX);
	add_letter(&one, (char)r->relay);
	netstring_add(b, buf_slice(&one));
	b->overflow = b->overflow || one.overflow;
	buf_free(&one);
}

static bool result_valid(const struct delivery_result *r)
{
	char first = r->status == DELIVERY_DONE ? '2' : r->status == DELIVERY_FAILED ? '5' : '4';
	return enhanced_valid(r->enhanced) && r->enhanced[0] == first && (r->relay == RELAY_NO || r->status == (r->relay == RELAY_DOUBT ? DELIVERY_DEFERRED : DELIVERY_DONE));
}

int result_decode(struct delivery_result *r, struct slice *rest)
{
	struct fields f = {.bad = false};
	struct delivery_result one = {0};
	if (rest->n == 0)
		return E_EOF;
	if (netstring_take(&f.rest, rest, QUESTION_MAX) < 0)
		return E_PEER;
	one.number = fields_take_number(&f, 0, RECIPIENTS_MAX * (long long)ROUTE_TARGETS_MAX);
	one.status = (enum delivery_status)fields_take_letter(&f, "KZD");
	fields_take_copy(&f, one.enhanced, sizeof one.enhanced);
	one.host = fields_take_text(&f, DESTINATION_MAX);
	one.text = fields_take_text(&f, DELIVERY_TEXT_MAX);
	one.relay = (enum delivery_relay)fields_take_letter(&f, "-rnd");
	if (!fields_done(&f) || !result_valid(&one))
		return E_PEER;
	*r = one;
	return 0;
}

void mark_encode(struct buf *b, enum delivery_mark mark)
{
	if (mark != MARK_NONE)
		add_letter(b, (char)mark);
}

enum delivery_mark mark_decode(struct slice *rest)
{
	if (rest->n != 4 || !slice_starts(*rest, "1:") || rest->p[3] != ',' || !rest->p[2] || !strchr("CRB", rest->p[2]))
		return MARK_NONE;
	enum delivery_mark mark = (enum delivery_mark)rest->p[2];
	*rest = slice_from(*rest, 4);
	return mark;
}
