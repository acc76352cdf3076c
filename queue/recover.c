/* Start-up and the store's questions: see queue.h.  The index is built from the records in the order of the log; notes after a message's last STATE are
 * kept aside and become one STATE at the end, so that while the queue runs a STATE is all that is known. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "lib/log.h"
#include "queue/comeback.h"
#include "queue/export.h"
#include "queue/pause.h"

#define SPARES 2

/* A note after the last STATE, during start-up. */
struct replay {
	struct replay *next;
	enum record_kind kind;
	size_t n;
	char payload[];
};

const struct store_sys *queue_sys = &store_sys_real;

static void forget_replay(struct message *m)
{
	while (m->replay) {
		struct replay *r = m->replay;
		m->replay = r->next;
		free(r);
	}
	m->flags &= (unsigned char)~MESSAGE_NOTES;
}

/* A later copy of the same id stands for itself: what is to be known of a moved message comes in the same group. */
static struct message *fresh_entry(struct queue *q, const char *id, struct store_at at)
{
	struct message *m = index_find(&q->index, id);
	struct err e;
	if (m) {
		forget_replay(m);
		store_superseded(q->store, m->at);
		store_superseded(q->store, at);
		store_dead(q->store, m->at, m->octets);
		m->state.seq = 0;
		m->attempts = 0;
		return m;
	}
	if (!(m = index_add(&q->index, id))) {
		err_sys(&e, "%zu messages do not fit into memory", (size_t)q->index.count);
		program_fatal(&e);
	}
	return m;
}

static void found_message(struct queue *q, const struct store_found *f)
{
	struct prologue p;
	if (prologue_get(&p, f->payload) < 0)
		return;
	struct message *m = fresh_entry(q, f->id, f->at);
	m->flags = (unsigned char)((p.held ? MESSAGE_HELD : 0) | (f->flags & RECORD_LAST_BOUNCE ? MESSAGE_LAST_BOUNCE : 0));
	m->next_sec = p.held ? (uint32_t)p.hold_until_sec : 0;
	m->open = p.rcpts;
	m->at = f->at;
	m->octets = f->octets;
	store_live(q->store, f->at, f->octets);
}

/* Who has had the message already cannot be known: to go on would deliver it twice. */
static void unknown_state(struct message *m, const struct store_found *f, int rc)
{
	struct err e;
	err_set(&e, (enum err_code)rc, "the state of message %.13s %s", f->id, rc == E_REFUSED ? "was written by a later version of postern-queue; start that one" :
		"breaks its grammar; the message is held");
	if (rc == E_REFUSED)
		program_fatal(&e);
	LOG(EV_fault, NULL, F_ERR(&e));
	forget_replay(m);
	m->state = f->at;
	m->flags = (unsigned char)((m->flags & ~MESSAGE_PAUSED) | MESSAGE_HELD);
	m->next_sec = 0;
}

static void found_state(struct message *m, const struct store_found *f)
{
	struct note_state s;
	struct fields fields;
	int rc = note_state_get(&s, &fields, f->payload);
	if (rc < 0) {
		unknown_state(m, f, rc);
		return;
	}
	forget_replay(m);
	m->state = f->at;
	m->attempts = (unsigned short)s.attempts;
	m->open = (uint32_t)s.open;
	m->flags = (unsigned char)((m->flags & ~(MESSAGE_HELD | MESSAGE_UNROUTED | MESSAGE_PAUSED)) | (s.held ? MESSAGE_HELD : 0) | (s.unrouted ? MESSAGE_UNROUTED : 0) |
		(s.paused && !s.held ? MESSAGE_PAUSED : 0));
	m->next_sec = (uint32_t)(s.held ? s.hold_until_sec : s.next_sec || !s.paused ? s.next_sec : s.paused);
}

/* M waits for the end of a pause and for nothing else: no attempt began since. */
static bool parked(const struct message *m)
{
	return m->flags & MESSAGE_PAUSED && m->next_sec <= PAUSE_ALL;
}

static void found_note(struct message *m, const struct store_found *f)
{
	struct replay *r = malloc(sizeof *r + f->payload.n), **last = &m->replay;
	m->next_sec = parked(m) ? 0 : m->next_sec;
	m->flags &= (unsigned char)~MESSAGE_PAUSED;
	if (!r) {
		struct err e;
		err_sys(&e, "notes");
		program_fatal(&e);
	}
	r->next = NULL;
	r->kind = f->kind;
	r->n = f->payload.n;
	if (r->n)
		memcpy(r->payload, f->payload.p, r->n);
	while (*last)
		last = &(*last)->next;
	*last = r;
	m->flags |= MESSAGE_NOTES;
}

static void found(void *ctx, const struct store_found *f)
{
	struct queue *q = ctx;
	if (f->kind == RECORD_MESSAGE) {
		found_message(q, f);
		return;
	}
	struct message *m = index_find(&q->index, f->id);
	if (!m)
		return;
	if (f->kind == RECORD_STATE) {
		found_state(m, f);
	} else if (f->kind == RECORD_RESULT || f->kind == RECORD_EXPAND) {
		found_note(m, f);
	} else if (f->kind == RECORD_FINISH && store_before(m->at, f->bound)) {
		forget_replay(m);
		store_dead(q->store, m->at, m->octets);
		index_remove(&q->index, m);
	}
}

static void placed(void *ctx, const struct store_found *f)
{
	struct queue *q = ctx;
	struct message *m = f->kind == RECORD_MESSAGE || f->kind == RECORD_STATE ? index_find(&q->index, f->id) : NULL;
	if (!m)
		return;
	if (f->kind == RECORD_STATE) {
		m->state = f->at;
		m->flags &= (unsigned char)~MESSAGE_UNPLACED;
		return;
	}
	if (m->at.seq)
		store_dead(q->store, m->at, m->octets);
	m->at = f->at;
	m->octets = f->octets;
	if (m->flags & MESSAGE_PENDING && !m->work)
		index_wait(&q->index, m, m->next_sec ? m->next_sec : (uint32_t)queue_now_sec());
	m->flags &= (unsigned char)~MESSAGE_PENDING;
}

static void dropped(void *ctx, const char *id)
{
	struct queue *q = ctx;
	struct message *m = index_find(&q->index, id);
	if (m && m->work)
		m->work->dropped = true;
}

/* What must be known of M beside the message itself, into B: 1; 0: nothing; or what is known cannot be had (logged), and must not be lost for that. */
static int snapshot(struct queue *q, struct message *m, struct buf *b)
{
	struct err e;
	struct store_reader r;
	char id[ID_LEN + 1] = {0};
	if (m->work && !(m->work->in_hand && !m->state.seq && !m->attempts))
		return work_state(b, m->work, m->next_sec, false) == 0 ? 1 : E_SYS;
	if (!m->state.seq)
		return 0;
	int rc = store_read(&r, q->store, m->state, &e);
	size_t n = rc == 0 ? (size_t)r.left : 0;
	char *p = rc == 0 ? buf_room(b, n) : NULL;
	if (rc == 0 && !p)
		rc = err_sys(&e, "state");
	if (rc == 0)
		rc = store_read_next(&r, p, n, &e);
	if (rc == 0)
		rc = store_read_end(&r, &e);
	b->n += rc == 0 ? n : 0;
	memcpy(id, m->id, ID_LEN);
	if (rc < 0)
		LOG(EV_fault, id, F_ERR(&e));
	return rc < 0 ? rc : 1;
}

static struct buf *snapshot_space(void)
{
	static struct buf b = BUF_INIT(STORE_NOTE_MAX);
	buf_reset(&b);
	return &b;
}

static int wanted(void *ctx, const struct store_found *f)
{
	struct queue *q = ctx;
	struct message *m = index_find(&q->index, f->id);
	if (!m)
		return 0;
	if (f->kind == RECORD_MESSAGE)
		return store_at_eq(m->at, f->at);
	struct buf *b = snapshot_space();
	int rc = m->work || store_at_eq(m->state, f->at) ? snapshot(q, m, b) : 0;
	if (rc == 1)
		rc = queue_note(q, m, RECORD_STATE, buf_slice(b), false) ? 0 : E_SYS;
	return rc;
}

static int moving(void *ctx, const char *id, struct store_record *note)
{
	struct queue *q = ctx;
	struct message *m = index_find(&q->index, id);
	struct buf *b = snapshot_space();
	int rc = m ? snapshot(q, m, b) : 0;
	if (rc == 1)
		*note = (struct store_record){.kind = RECORD_STATE, .id = id, .piece[0] = {.p = b->p, .n = b->n}, .pieces = 1};
	return rc;
}

static void alarm_log(void *ctx, const struct err *e)
{
	struct queue *q = ctx;
	q->counts.alarms++;
	LOG(EV_queue_alarm, NULL, F_ERR(e));
}

void recover_handlers(struct store_handlers *on, struct queue *q)
{
	*on = (struct store_handlers){
		.ctx = q, .found = found, .placed = placed, .dropped = dropped, .wanted = wanted, .moving = moving, .alarm = alarm_log};
}

/* The file is called damaged.* as soon as its sound messages were moved. */
static void log_place(const struct store_damage *d)
{
	char file[24], kept[24];
	snprintf(file, sizeof file, "segment.%08x", d->number);
	snprintf(kept, sizeof kept, "damaged.%08x", d->number);
	LOG(EV_queue_damage, d->id, F_STR("file", file), F_NUM("offset", d->offset), F_NUM("octets", d->octets), F_NUM("segment", d->seq), F_STR("kept", kept));
}

static void log_damage(const struct store_report *r)
{
	unsigned named = sizeof r->damage / sizeof *r->damage;
	for (unsigned i = 0; i < r->damaged && i < named; i++)
		log_place(&r->damage[i]);
}

static int apply_notes(struct work *w, const struct replay *notes, struct err *e)
{
	int rc = 0;
	for (const struct replay *r = notes; r && rc == 0; r = r->next)
		rc = work_apply_note(w, r->kind, slice_make(r->payload, r->n), e);
	return rc;
}

/* A STATE that is too long is not made: who has had the message is known no more, so somebody must look at it. */
static int settle(struct queue *q, struct message *m, struct work *w, struct err *e)
{
	struct buf b = BUF_INIT(STORE_NOTE_MAX);
	w->state.paused = 0;
	int rc = work_state(&b, w, m->next_sec, false);
	if (rc == E_TOO_LONG) {
		m->flags = (unsigned char)((m->flags & ~MESSAGE_PAUSED) | MESSAGE_HELD);
		m->next_sec = 0;
	} else if (rc < 0 || !queue_note(q, m, RECORD_STATE, buf_slice(&b), false)) {
		errno = ENOMEM;
		rc = err_sys(e, "what is known of message %s", w->job.id);
	}
	buf_free(&b);
	return rc == E_SYS ? rc : 0;
}

/* The notes after the last STATE become a STATE.  Where the message itself cannot be read, it waits and says so when its turn comes; without memory nothing
 * starts, as to go on without the notes would deliver again what they say was delivered. */
static void settle_notes(struct queue *q, struct message *m)
{
	struct err e;
	struct replay *notes = m->replay;
	m->replay = NULL;
	struct work *w = work_load(q, m, false, &e);
	int rc = w ? apply_notes(w, notes, &e) : e.code;
	if (rc == 0)
		rc = settle(q, m, w, &e);
	if (rc == E_SYS && e.sys == ENOMEM)
		program_fatal(&e);
	if (rc < 0)
		LOG(EV_fault, w ? w->job.id : NULL, F_ERR(&e));
	m->replay = notes;
	forget_replay(m);
	if (w)
		work_free(q, w);
}

/* What waited for a pause that is over goes at once; so does what was never tried.  In order of age. */
static void wait_for_time(struct queue *q, struct message *m)
{
	if (parked(m) && pause_keeps(m->next_sec))
		return;
	if (parked(m) || (m->flags & MESSAGE_PAUSED && !pause_now())) {
		m->flags &= (unsigned char)~MESSAGE_PAUSED;
		m->next_sec = 0;
	}
	if (!(m->flags & MESSAGE_HELD) || m->next_sec)
		index_wait(&q->index, m, m->next_sec ? m->next_sec : pause_birth(m));
}

static void begin_waiting(struct queue *q, bool doubt)
{
	for (uint32_t i = 0; i < q->index.used; i++) {
		struct message *m = index_nth(&q->index, i);
		if (!m)
			continue;
		m->flags |= doubt ? MESSAGE_DOUBT : 0;
		if (m->flags & MESSAGE_NOTES)
			settle_notes(q, m);
		wait_for_time(q, m);
		if (m->flags & MESSAGE_UNROUTED)
			comeback_waits(q);
	}
}

int recover_open(struct queue *q, uint64_t segment_octets, struct err *e)
{
	struct store_options o = {.segment_octets = segment_octets, .spares_most = SPARES, .sys = queue_sys};
	struct store_report report;
	struct err space;
	recover_handlers(&o.on, q);
	int rc = store_open(&q->store, q->dir_fd, &o, &report, e);
	if (rc < 0)
		return rc;
	log_damage(&report);
	LOG(EV_queue_recovered, NULL, F_NUM("messages", q->index.count), F_NUM("segments", report.segments), F_NUM("records", report.records),
		F_NUM("octets", report.octets), F_NUM("torn", report.torn_octets), F_NUM("damaged", report.damaged), F_NUM("clean", report.clean));
	q->counts.damaged = report.damaged;
	begin_waiting(q, (!report.clean || report.damaged) && report.records > 0);
	rc = store_commit(q->store, e);
	/* The first segment is written with zeros now, not while the first client waits; a full disk is said with each refusal. */
	if (store_room(q->store, 1, &space) < 0)
		LOG(EV_fault, NULL, F_ERR(&space));
	return rc;
}

int recover_look(struct queue *q, struct err *e)
{
	struct store_options o = {.segment_octets = LOG_BLOCK, .sys = &store_sys_real, .look_only = true};
	struct store_report report;
	recover_handlers(&o.on, q);
	return store_open(&q->store, q->dir_fd, &o, &report, e);
}

struct work *recover_work(struct queue *q, struct message *m, struct err *e)
{
	struct replay *notes = m->flags & MESSAGE_NOTES ? m->replay : NULL;
	m->replay = NULL; /* shares its place with .work */
	struct work *w = work_load(q, m, true, e);
	if (w && apply_notes(w, notes, e) < 0) {
		work_free(q, w);
		w = NULL;
	}
	m->replay = notes;
	return w;
}
