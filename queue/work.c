/* A message while an attempt is made: see queue.h.  Loaded from the store, whose octets are checked on the way; the head is decoded as if it came from
 * outside. */
#include <stdlib.h>
#include <unistd.h>

#include "lib/log.h"
#include "queue/priority.h"
#include "queue/report.h"

#define COPY (128u * 1024)

struct slice work_address(const struct work *w, const struct work_rcpt *r)
{
	return r->address ? slice_str(r->address) : w->job.env.rcpt[r->origin].address;
}

static char *copy(struct slice s)
{
	char *p = s.n ? malloc(s.n + 1) : NULL;
	if (p) {
		memcpy(p, s.p, s.n);
		p[s.n] = 0;
	}
	return p;
}

void rcpt_result(struct work_rcpt *r, enum rcpt_state state, const char *enhanced, struct slice host, struct slice text)
{
	r->state = state;
	if (slice_copy(r->enhanced, sizeof r->enhanced, slice_str(enhanced)) < 0)
		r->enhanced[0] = 0;
	free(r->host);
	free(r->text);
	r->host = copy(slice_upto(host, DELIVERY_TEXT_MAX));
	r->text = copy(slice_upto(text, DELIVERY_TEXT_MAX));
}

void rcpt_text(struct work_rcpt *r, enum rcpt_state state, const char *enhanced, const char *text)
{
	rcpt_result(r, state, enhanced, slice_make(NULL, 0), slice_str(text));
}

static struct work_rcpt *add_rcpt(struct work *w, struct err *e)
{
	if (w->rcpts == w->room) {
		uint32_t room = w->room * 2 + 8;
		struct work_rcpt *r = reallocarray(w->rcpt, room, sizeof *r);
		if (!r) {
			err_sys(e, "recipients");
			return NULL;
		}
		w->rcpt = r;
		w->room = room;
	}
	w->rcpt[w->rcpts] = (struct work_rcpt){.number = w->rcpts};
	return &w->rcpt[w->rcpts++];
}

int work_recipients(struct work *w, struct err *e)
{
	uint32_t n = (uint32_t)w->job.env.rcpts;
	w->rcpt = calloc(n, sizeof *w->rcpt);
	if (!w->rcpt)
		return err_sys(e, "recipients");
	for (uint32_t i = 0; i < n; i++)
		w->rcpt[i] = (struct work_rcpt){.number = i, .origin = i};
	w->rcpts = w->room = w->next_number = n;
	return 0;
}

struct work_rcpt *work_find(struct work *w, long long number)
{
	uint32_t from = 0, to = w->rcpts;
	while (from < to) {
		uint32_t mid = (from + to) / 2;
		if (w->rcpt[mid].number < number)
			from = mid + 1;
		else
			to = mid;
	}
	return from < w->rcpts && w->rcpt[from].number == number ? &w->rcpt[from] : NULL;
}

/* R's address and way become copies of these; or, without memory, R is as it was: without them the mail would go to somebody else. */
static int set_way(struct work_rcpt *r, struct slice address, struct slice encoded, bool holds, struct err *e)
{
	char *a = copy(address), *t = copy(encoded);
	if ((address.n && !a) || (encoded.n && !t)) {
		int rc = err_sys(e, "recipients");
		free(a);
		free(t);
		return rc;
	}
	free(r->address);
	free(r->target);
	r->address = a;
	r->target = t;
	r->target_octets = (uint32_t)encoded.n;
	r->target_holds = holds && t;
	return 0;
}

static int apply_recipient(struct work *w, const struct note_recipient *n, struct err *e)
{
	struct work_rcpt *r = work_find(w, n->number);
	if (n->origin >= (long long)w->job.env.rcpts || (n->number < (long long)w->job.env.rcpts && !r))
		return err_set(e, E_PEER, "a note speaks of a recipient that is not there");
	if (!r && !(r = add_rcpt(w, e)))
		return E_SYS;
	r->number = (uint32_t)n->number;
	r->origin = (uint32_t)n->origin;
	r->doubt = n->doubt;
	int rc = set_way(r, n->address, n->target, n->kind == NOTE_HOLDS, e);
	if (rc < 0)
		return rc;
	r->owed = n->kind == NOTE_OPEN || n->kind == NOTE_HOLDS ? 0 : n->kind;
	rcpt_result(r, r->owed ? RCPT_OWED : RCPT_OPEN, n->enhanced, n->host, n->text);
	return 0;
}

int work_apply_state(struct work *w, struct slice payload, struct err *e)
{
	struct fields f;
	struct note_recipient n;
	long long last = -1;
	free(w->kept);
	w->kept = copy(payload);
	if (!w->kept)
		return err_sys(e, "state");
	if (note_state_get(&w->state, &f, slice_make(w->kept, payload.n)) < 0)
		return err_set(e, E_PEER, "a STATE record breaks its grammar");
	for (uint32_t i = 0; i < w->rcpts; i++)
		w->rcpt[i].state = RCPT_REPLACED;
	for (long long i = 0; i < w->state.open + w->state.owed; i++) {
		if (note_recipient_get(&n, &w->state, &f) < 0 || n.number <= last)
			return err_set(e, E_PEER, "a STATE record breaks its grammar");
		int rc = apply_recipient(w, &n, e);
		if (rc < 0)
			return rc;
		last = n.number;
	}
	w->next_number = (uint32_t)w->state.next_number;
	return 0;
}

/* A member of an expansion: where it goes holds for all attempts, unless it goes nowhere yet. */
static int set_member(struct work_rcpt *r, const struct target *t, struct slice encoded, struct err *e)
{
	bool known = t->agent != AGENT_NONE;
	return set_way(r, t->address, known ? encoded : slice_make(r->target, r->target_octets), known || r->target_holds, e);
}

/* A member beside recipient AT. */
static int add_member(struct work *w, uint32_t at, uint32_t number, const struct target *t, struct slice encoded, struct err *e)
{
	struct work_rcpt *r = add_rcpt(w, e);
	if (!r)
		return E_SYS;
	r->number = number;
	r->origin = w->rcpt[at].origin;
	r->doubt = w->rcpt[at].doubt;
	return set_member(r, t, encoded, e);
}

/* All or none of them: a group of which some are known would be asked for again, and those get a second copy. */
static int add_members(struct work *w, uint32_t at, struct slice targets, const struct note_expand *x, uint32_t *number, struct err *e)
{
	struct target kept = {0};
	struct slice kept_encoded = {0};
	*number = (uint32_t)x->first;
	for (long long i = 0; i < x->count; i++) {
		struct target t;
		struct slice before = targets;
		if (target_decode(&t, &targets) < 0)
			return err_set(e, E_PEER, "an expansion breaks its grammar");
		struct slice encoded = slice_upto(before, before.n - targets.n);
		int rc = i == x->kept ? 0 : add_member(w, at, (*number)++, &t, encoded, e);
		if (rc < 0)
			return rc;
		if (i == x->kept) {
			kept = t;
			kept_encoded = encoded;
		}
	}
	return x->kept < 0 ? 0 : set_member(&w->rcpt[at], &kept, kept_encoded, e);
}

int work_expand(struct work *w, uint32_t rcpt, struct slice targets, const struct note_expand *x, struct err *e)
{
	uint32_t number, before = w->rcpts;
	int rc = add_members(w, rcpt, targets, x, &number, e);
	if (rc < 0) {
		while (w->rcpts > before) {
			struct work_rcpt *r = &w->rcpt[--w->rcpts];
			free(r->address);
			free(r->target);
		}
		return rc;
	}
	if (x->kept < 0) {
		w->rcpt[rcpt].state = RCPT_REPLACED;
		w->rcpt[rcpt].group = true;
	}
	w->next_number = number > w->next_number ? number : w->next_number;
	return 0;
}

static int apply_expand(struct work *w, struct slice payload, struct err *e)
{
	struct note_expand x;
	struct fields f;
	if (note_expand_get(&x, &f, payload) < 0)
		return err_set(e, E_PEER, "an EXPAND record breaks its grammar");
	/* A note that was written again after a failed sync may stand in the log twice. */
	struct work_rcpt *r = x.first < w->next_number ? NULL : work_find(w, x.number);
	return r ? work_expand(w, (uint32_t)(r - w->rcpt), f.rest, &x, e) : 0;
}

int work_apply_note(struct work *w, enum record_kind kind, struct slice payload, struct err *e)
{
	struct fields f = {.rest = payload};
	if (kind == RECORD_EXPAND)
		return apply_expand(w, payload, e);
	while (f.rest.n) {
		struct note_done d;
		if (note_done_get(&d, &f) < 0)
			return err_set(e, E_PEER, "a RESULT record breaks its grammar");
		struct work_rcpt *r = work_find(w, d.number);
		if (r && d.kind) {
			r->owed = d.kind;
			rcpt_result(r, RCPT_OWED, d.enhanced, d.host, d.text);
		} else if (r) {
			r->state = RCPT_REPLACED;
		}
	}
	return 0;
}

static int read_few(struct content *c, struct store_reader *r, size_t n, struct err *e)
{
	void *p = malloc(n ? n : 1);
	if (!p)
		return err_sys(e, "message");
	content_own(c, p, n);
	return store_read_next(r, p, n, e);
}

static int read_file(struct content *c, struct store_reader *r, uint64_t n, struct err *e)
{
	static char space[COPY];
	int fd = memfd_make("body", e);
	int rc = fd < 0 ? fd : 0;
	for (uint64_t at = 0; at < n && rc == 0;) {
		size_t part = n - at < COPY ? (size_t)(n - at) : COPY;
		rc = store_read_next(r, space, part, e);
		if (rc == 0)
			rc = io_pwrite_all(fd, space, part, (off_t)at, e);
		at += part;
	}
	if (rc == 0)
		return content_of_own_file(c, fd, e);
	close_fd(&fd);
	return rc;
}

static int load_message(struct work *w, struct queue *q, bool body, struct err *e)
{
	unsigned char octets[PROLOGUE];
	struct store_reader r;
	struct prologue p = {0};
	int rc = store_read(&r, q->store, w->m->at, e);
	if (rc == 0)
		rc = store_read_next(&r, octets, sizeof octets, e);
	if (rc == 0 && prologue_get(&p, slice_make(octets, sizeof octets)) < 0)
		rc = err_set(e, E_PEER, "a message record breaks its grammar");
	if (rc == 0)
		rc = read_few(&w->job.head, &r, p.head_octets, e);
	if (rc == 0)
		rc = job_use_head(&w->job, e);
	if (rc < 0 || !body)
		return rc;
	rc = p.body_octets <= CONTENT_FEW ? read_few(&w->job.body, &r, (size_t)p.body_octets, e) : read_file(&w->job.body, &r, p.body_octets, e);
	return rc < 0 ? rc : store_read_end(&r, e);
}

static int load_state(struct work *w, struct queue *q, struct err *e)
{
	struct store_reader r;
	struct envelope *env = &w->job.env;
	if (!w->m->state.seq) {
		w->state = (struct note_state){
			.held = env->hold_reason.n > 0, .hold_reason = env->hold_reason, .hold_owner = env->hold_owner,
			.hold_until_sec = env->hold_until_sec, .hold_then = env->hold_then};
		return 0;
	}
	int rc = store_read(&r, q->store, w->m->state, e);
	if (rc < 0)
		return rc;
	if (r.left > STORE_NOTE_MAX)
		return err_set(e, E_PEER, "a STATE record is too large");
	struct slice payload = {NULL, (size_t)r.left};
	char *p = malloc(payload.n + 1);
	if (!p)
		return err_sys(e, "state");
	payload.p = p;
	rc = store_read_next(&r, p, payload.n, e);
	if (rc == 0)
		rc = store_read_end(&r, e);
	if (rc == 0)
		rc = work_apply_state(w, payload, e);
	free(p);
	return rc;
}

/* What was noted of M in this process must be there to be read: a stale STATE would make recipients that are done open again. */
static bool settled(struct queue *q, struct message *m, struct err *e)
{
	if (m->flags & MESSAGE_UNPLACED)
		queue_commit(q);
	if (m->flags & MESSAGE_UNPLACED)
		err_set(e, E_SYS, "its last state could not be stored yet");
	return !(m->flags & MESSAGE_UNPLACED);
}

struct work *work_load(struct queue *q, struct message *m, bool body, struct err *e)
{
	if (!settled(q, m, e))
		return NULL;
	struct work *w = calloc(1, sizeof *w);
	if (!w) {
		err_sys(e, "work");
		return NULL;
	}
	w->job = JOB_INIT;
	w->m = m;
	memcpy(w->job.id, m->id, ID_LEN);
	int rc = load_message(w, q, body, e);
	if (rc == 0)
		rc = work_recipients(w, e);
	if (rc == 0)
		rc = load_state(w, q, e);
	if (rc == 0)
		return w;
	work_free(q, w);
	return NULL;
}

void work_free(struct queue *q, struct work *w)
{
	if (w->in_hand) {
		q->hands--;
		q->hand_octets -= w->job.head.octets + w->job.body.octets;
	}
	priority_end(q, w);
	job_close(&w->job);
	for (uint32_t i = 0; i < w->rcpts; i++) {
		struct work_rcpt *r = &w->rcpt[i];
		free(r->address);
		free(r->target);
		free(r->host);
		free(r->text);
	}
	free(w->rcpt);
	free(w->kept);
	free(w->because);
	free(w);
}
