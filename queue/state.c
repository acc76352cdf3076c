/* The STATE of a message while an attempt is made: see queue.h; note.h has its octets.  work.c reads it back. */
#include "lib/log.h"
#include "queue/report.h"

#define RCPT_OCTETS (2u * QUESTION_MAX) /* more than a STATE says of one recipient */

bool work_is_open(const struct work_rcpt *r)
{
	return r->state != RCPT_DONE && r->state != RCPT_OWED && r->state != RCPT_REPLACED && r->state != RCPT_FAILED;
}

/* Still to be tried, by a STATE.  Who failed is tried again where his sender was not told: else nobody ever would be. */
static bool stays_open(const struct work_rcpt *r, bool told)
{
	return work_is_open(r) || (!told && r->state == RCPT_FAILED);
}

/* What a STATE says of R, or 0: nothing. */
static enum note_kind kind_of(const struct work *w, const struct work_rcpt *r, bool told)
{
	if (stays_open(r, told))
		return r->target_holds ? NOTE_HOLDS : NOTE_OPEN;
	return told ? 0 : report_owed(w, r);
}

/* BRIEF: without what the next attempt finds out anew. */
static void put_recipient(struct buf *b, const struct work_rcpt *r, enum note_kind kind, bool brief)
{
	bool open = kind == NOTE_OPEN || kind == NOTE_HOLDS, target = open && (!brief || r->target_holds);
	struct note_recipient n = {
		.number = r->number, .kind = kind, .origin = r->origin, .doubt = open && (r->doubt || r->state == RCPT_SENT || r->state == RCPT_UNKNOWN),
		.address = slice_str(r->address), .target = target ? slice_make(r->target, r->target_octets) : slice_make(NULL, 0),
		.host = slice_str(brief ? NULL : r->host), .text = slice_str(brief ? NULL : r->text)};
	memcpy(n.enhanced, r->enhanced, sizeof n.enhanced);
	note_recipient_put(b, &n);
}

static bool put_state(struct buf *b, const struct work *w, int64_t next_sec, bool told, bool brief)
{
	buf_reset(b);
	struct note_state s = w->state;
	if (w->bounce_then) /* until its report is made */
		hold_as_given_up(&s, w);
	s.attempts = w->m->attempts;
	s.next_sec = next_sec;
	s.next_number = w->next_number;
	s.open = s.owed = 0;
	for (uint32_t i = 0; i < w->rcpts; i++) {
		bool open = stays_open(&w->rcpt[i], told);
		s.open += open;
		s.owed += !open && kind_of(w, &w->rcpt[i], told);
	}
	note_state_put(b, &s);
	for (uint32_t i = 0; i < w->rcpts; i++) {
		enum note_kind kind = kind_of(w, &w->rcpt[i], told);
		if (kind)
			put_recipient(b, &w->rcpt[i], kind, brief);
	}
	return !b->overflow;
}

int work_state(struct buf *b, const struct work *w, int64_t next_sec, bool told)
{
	struct err e;
	if (put_state(b, w, next_sec, told, false) || put_state(b, w, next_sec, told, true))
		return 0;
	bool full = b->n + RCPT_OCTETS > b->max;
	err_set(&e, full ? E_TOO_LONG : E_SYS, full ? "the state of %u recipients does not fit into %zu octets: not stored, the one before counts" :
		"no memory for the state of %u recipients (at most %zu octets): not stored, the one before counts", w->rcpts, b->max);
	LOG(EV_fault, w->job.id, F_ERR(&e));
	return e.code;
}
