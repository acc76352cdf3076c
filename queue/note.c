/* Notes on a message: see note.h.  Read from the spool, whose checksums were right; a wrong value is refused all the same. */
#include "queue/note.h"

#define STATE_VERSION 4 /* written where something waits for the end of a pause; else 3, which earlier programs read */

static const char then_letters[] = "rbd-", kind_letters[] = "ohdre", done_letters[] = "dr";

void note_state_put(struct buf *b, const struct note_state *s)
{
	netstring_add_number(b, s->paused ? STATE_VERSION : STATE_VERSION - 1);
	netstring_add_number(b, s->attempts);
	netstring_add_number(b, s->next_sec);
	netstring_add_number(b, s->next_number);
	netstring_add_number(b, s->held);
	netstring_add(b, s->hold_reason);
	netstring_add(b, s->hold_owner);
	netstring_add_number(b, s->hold_until_sec);
	netstring_add(b, slice_make(s->hold_then ? &s->hold_then : "-", 1));
	netstring_add_number(b, s->told);
	netstring_add_number(b, s->unrouted + 2 * s->paused);
	netstring_add_number(b, s->open);
	netstring_add_number(b, s->owed);
}

int note_state_get(struct note_state *s, struct fields *f, struct slice payload)
{
	*f = (struct fields){.rest = payload};
	long long version = fields_take_number(f, 1, INT32_MAX);
	if (version > STATE_VERSION)
		return E_REFUSED;
	s->version = version;
	s->attempts = fields_take_number(f, 0, UINT16_MAX);
	s->next_sec = fields_take_number(f, 0, UINT32_MAX);
	s->next_number = fields_take_number(f, 1, NUMBERS_MAX);
	s->held = fields_take_number(f, 0, 1);
	s->hold_reason = fields_take(f, HOLD_REASON_MAX);
	s->hold_owner = fields_take(f, ADDRESS_MAX);
	s->hold_until_sec = fields_take_number(f, 0, UINT32_MAX);
	s->hold_then = fields_take_letter(f, then_letters);
	if (s->hold_then == '-')
		s->hold_then = 0;
	s->told = version >= 2 && fields_take_number(f, 0, 1);
	long long waits = version >= 3 ? fields_take_number(f, 0, version >= 4 ? 7 : 1) : 0;
	s->unrouted = waits & 1;
	s->paused = (unsigned char)(waits >> 1);
	s->open = fields_take_number(f, 0, NUMBERS_MAX);
	s->owed = version >= 3 ? fields_take_number(f, 0, NUMBERS_MAX) : 0;
	return f->bad ? E_SYNTAX : 0;
}

void note_recipient_put(struct buf *b, const struct note_recipient *r)
{
	const char kind = (char)r->kind;
	netstring_add(b, slice_make(&kind, 1));
	netstring_add_number(b, r->number);
	netstring_add_number(b, r->origin);
	netstring_add_number(b, r->doubt);
	netstring_add(b, r->address);
	netstring_add(b, r->target);
	netstring_add_str(b, r->enhanced);
	netstring_add(b, r->host);
	netstring_add(b, r->text);
}

int note_recipient_get(struct note_recipient *r, const struct note_state *s, struct fields *f)
{
	r->kind = s->version >= 3 ? (enum note_kind)fields_take_letter(f, kind_letters) : NOTE_OPEN;
	r->number = fields_take_number(f, 0, NUMBERS_MAX);
	r->origin = fields_take_number(f, 0, RECIPIENTS_MAX);
	r->doubt = fields_take_number(f, 0, 1);
	r->address = fields_take(f, ADDRESS_MAX);
	r->target = fields_take(f, QUESTION_MAX);
	fields_take_copy(f, r->enhanced, sizeof r->enhanced);
	r->host = fields_take(f, DELIVERY_TEXT_MAX);
	r->text = fields_take(f, DELIVERY_TEXT_MAX);
	if (s->version < 3 && r->target.n)
		r->kind = NOTE_HOLDS;
	return f->bad ? E_SYNTAX : 0;
}

void note_done_put(struct buf *b, const struct note_done *d)
{
	const char kind = (char)d->kind;
	if (kind)
		netstring_add(b, slice_make(&kind, 1));
	netstring_add_number(b, d->number);
	if (!kind)
		return;
	netstring_add_str(b, d->enhanced);
	netstring_add(b, d->host);
	netstring_add(b, d->text);
}

/* A number alone, or a letter and more. */
int note_done_get(struct note_done *d, struct fields *f)
{
	struct fields next = *f;
	struct slice first = fields_take(&next, 20);
	*d = (struct note_done){0};
	if (first.n == 1 && memchr(done_letters, first.p[0], 2))
		d->kind = (enum note_kind)fields_take_letter(f, done_letters);
	d->number = fields_take_number(f, 0, NUMBERS_MAX);
	if (d->kind) {
		fields_take_copy(f, d->enhanced, sizeof d->enhanced);
		d->host = fields_take(f, DELIVERY_TEXT_MAX);
		d->text = fields_take(f, DELIVERY_TEXT_MAX);
	}
	return f->bad ? E_SYNTAX : 0;
}

void note_expand_put(struct buf *b, const struct note_expand *x)
{
	netstring_add_number(b, x->number);
	netstring_add_number(b, x->origin);
	netstring_add_number(b, x->first);
	netstring_add_number(b, x->count);
	netstring_add_number(b, x->kept);
}

int note_expand_get(struct note_expand *x, struct fields *f, struct slice payload)
{
	*f = (struct fields){.rest = payload};
	x->number = fields_take_number(f, 0, NUMBERS_MAX);
	x->origin = fields_take_number(f, 0, RECIPIENTS_MAX);
	x->first = fields_take_number(f, 1, NUMBERS_MAX);
	x->count = fields_take_number(f, 1, ROUTE_TARGETS_MAX);
	x->kept = fields_take_number(f, -1, x->count - 1);
	return f->bad ? E_SYNTAX : 0;
}
