/* Start-up: reads the segments in the order of their sequence and reports each record that counts.  As postern-queue.
 *
 * A record counts when its two checksums are right and it carries its segment's key; a group counts when all of it does.  What cannot be read is passed
 * over by its length where its header is whole, else up to the next header with the key, which no message can contain.  In the last batch of the last
 * segment that is a torn write, never acknowledged; anywhere else it is damage and reported as such. */
#include <errno.h>
#include <stdlib.h>

#include "queue/crc32c.h"
#include "queue/log.h"


struct group {
	struct store_found of[STORE_GROUP_MAX];
	size_t payload_at[STORE_GROUP_MAX], payload_n[STORE_GROUP_MAX];
	char id[STORE_GROUP_MAX][ID_LEN];
	size_t n;
	struct buf payload;
	bool broken;
};
struct reading {
	struct scan c;
	struct group group;
	struct store_report *report;
	uint64_t end;        /* behind the last record or damage */
	uint32_t last_batch;
	struct last_bad {
		uint32_t batch;
		uint64_t octets;
		unsigned damaged;
	} last_bad;          /* damage in the newest batch seen: torn, if no later batch follows */
	unsigned elsewhere;  /* damage found in other segments than that which is being read */
};

const unsigned char *scan_octets(struct scan *c, uint64_t at, size_t n, struct err *e)
{
	if (at + n > c->g->size) {
		err_set(e, E_NOT_FOUND, "segment.%08x ends", c->g->number);
		return NULL;
	}
	if (at < c->window_at || at + n > c->window_at + c->window_octets) {
		uint64_t from = at & ~(uint64_t)(LOG_BLOCK - 1);
		size_t octets = c->g->size - from < SCAN_WINDOW ? (size_t)(c->g->size - from) : SCAN_WINDOW;
		c->window_octets = 0;
		int rc = segment_pread(&c->s->seg, c->g, c->window, octets, from, e);
		if (rc < 0) {
			/* One bad block must not hide its neighbours. */
			octets = LOG_BLOCK;
			rc = n <= LOG_BLOCK - (at - from) ? segment_pread(&c->s->seg, c->g, c->window, octets, from, e) : rc;
		}
		if (rc < 0)
			return NULL;
		c->window_at = from;
		c->window_octets = octets;
	}
	return at + n <= c->window_at + c->window_octets ? c->window + (at - c->window_at) : NULL;
}

int scan_header(struct scan *c, struct record_header *h, uint64_t at, struct err *e)
{
	const unsigned char *p = scan_octets(c, at, RECORD_HEADER, e);
	if (!p || (c->g->key && get64(p) != c->g->key))
		return 0;
	return record_header_get(h, p) == 0 && (!c->g->seq || h->seq == c->g->seq) && at + record_size(h->octets) <= c->g->size;
}

uint64_t scan_next(struct scan *c, uint64_t at)
{
	struct record_header h;
	while (at + RECORD_HEADER <= c->g->size) {
		size_t n = c->g->size - at < SCAN_WINDOW / 2 ? (size_t)(c->g->size - at) : SCAN_WINDOW / 2;
		const unsigned char *p = scan_octets(c, at, n, NULL);
		if (!p) {
			p = scan_octets(c, at, LOG_BLOCK - at % LOG_BLOCK, NULL);
			n = LOG_BLOCK - at % LOG_BLOCK;
		}
		for (size_t i = 0; p && i + 8 <= n; i += 8)
			if ((c->g->key ? get64(p + i) == c->g->key : get64(p + i) != 0)) {
				if (scan_header(c, &h, at + i, NULL))
					return at + i;
				if (!(p = scan_octets(c, at, n, NULL)))
					break;
			}
		at += n & ~(size_t)7;
	}
	return c->g->size;
}

/* The payload's checksum; what the caller wants of it goes into the group. */
static bool payload_whole(struct scan *c, const struct record_header *h, uint64_t at, struct buf *into)
{
	uint32_t crc = 0;
	size_t want = h->kind == RECORD_MESSAGE ? PROLOGUE : STORE_NOTE_MAX;
	for (uint64_t done = 0; done < h->octets;) {
		size_t n = h->octets - done < SCAN_WINDOW / 2 ? (size_t)(h->octets - done) : SCAN_WINDOW / 2;
		const unsigned char *p = scan_octets(c, at + RECORD_HEADER + done, n, NULL);
		if (!p)
			return false;
		crc = crc32c(crc, p, n);
		if (done < want)
			buf_add(into, p, n < want - done ? n : (size_t)(want - done));
		done += n;
	}
	return crc == h->payload_crc && !into->overflow;
}

static void report_damage(struct reading *r, uint64_t at, uint64_t octets, const char *id, uint32_t batch)
{
	struct store_report *p = r->report;
	if (p->damaged < sizeof p->damage / sizeof *p->damage) {
		struct store_damage *d = &p->damage[p->damaged];
		*d = (struct store_damage){.seq = r->c.g->seq, .number = r->c.g->number, .offset = at, .octets = octets};
		if (id)
			memcpy(d->id, id, ID_LEN);
	}
	p->damaged++;
	if (r->c.s->watch)
		r->c.s->watch->damage(r->c.s->watch->ctx, r->c.g, at, octets, id);
	r->c.g->evacuate = r->c.g->failed = true;
	if (batch != r->last_bad.batch) {
		r->last_bad.batch = batch;
		r->last_bad.octets = 0;
		r->last_bad.damaged = 0;
	}
	r->last_bad.octets += octets;
	r->last_bad.damaged++;
}

static void group_reset(struct group *g)
{
	g->n = 0;
	g->broken = false;
	buf_reset(&g->payload);
}

static struct store_at bound_of(const struct store_found *f)
{
	const unsigned char *p = (const unsigned char *)f->payload.p;
	return f->payload.n == 8 ? (struct store_at){get32(p), get32(p + 4)} : f->at;
}

/* A seal: the segment SEQ was full up to END when this one was begun.  What is missing there was durable and is not what it was. */
static void check_seal(struct reading *r, struct slice payload)
{
	const unsigned char *p = (const unsigned char *)payload.p;
	struct segment *here = r->c.g, *g = payload.n == SEAL_OCTETS ? segment_of(&r->c.s->seg, get32(p)) : NULL;
	uint64_t end = g ? (uint64_t)get32(p + 4) * LOG_BLOCK : 0;
	if (!g || g == here || g->seq > here->seq || g->end >= end)
		return;
	const struct last_bad kept = r->last_bad;
	r->c.g = g;
	report_damage(r, g->end, end - g->end, NULL, UINT32_MAX);
	g->damaged = true;
	r->elsewhere++;
	r->c.g = here;
	r->last_bad = kept;
}

static void group_report(struct reading *r)
{
	struct group *g = &r->group;
	struct store *s = r->c.s;
	for (size_t i = 0; i < g->n && !g->broken; i++) {
		struct store_found *f = &g->of[i];
		f->id = g->id[i];
		f->payload = slice_make(g->payload.p ? g->payload.p + g->payload_at[i] : NULL, g->payload_n[i]);
		if (f->kind == RECORD_FINISH)
			f->bound = bound_of(f);
		r->report->clean = f->kind == RECORD_CLEAN;
		r->report->records++;
		if (f->kind == RECORD_VOID)
			check_seal(r, f->payload);
		if (f->kind != RECORD_MESSAGE && log_pin(s, r->c.g, f->kind, f->target, NULL) < 0)
			r->c.g->evacuate = true;
		s->o.on.found(s->o.on.ctx, f);
	}
	group_reset(g);
}

static void take_record(struct reading *r, const struct record_header *h, uint64_t at)
{
	struct group *g = &r->group;
	size_t i = g->n;
	if (i == STORE_GROUP_MAX) { /* nothing writes such a group */
		report_damage(r, at, record_size(h->octets), h->id, h->batch);
		g->broken = true;
		if (!(h->flags & RECORD_MORE))
			group_reset(g);
		return;
	}
	g->payload_at[i] = g->payload.n;
	bool whole = payload_whole(&r->c, h, at, &g->payload);
	if (r->c.s->watch)
		r->c.s->watch->record(r->c.s->watch->ctx, r->c.g, h, at, whole);
	if (!whole) {
		report_damage(r, at, record_size(h->octets), h->id, h->batch);
		g->broken = true;
	}
	memcpy(g->id[i], h->id, ID_LEN);
	g->payload_n[i] = g->payload.n - g->payload_at[i];
	g->of[i] = (struct store_found){
		.kind = (enum record_kind)h->kind, .flags = h->flags, .target = (uint32_t)h->target,
		.at = {r->c.g->seq, (uint32_t)(at / 8)}, .octets = h->octets};
	g->n++;
	if (!(h->flags & RECORD_MORE))
		group_report(r);
}

static bool all_zero(struct scan *c, uint64_t at, uint64_t to)
{
	for (; at < to; at += 8) {
		const unsigned char *p = scan_octets(c, at, 8, NULL);
		if (!p || get64(p))
			return false;
	}
	return true;
}

/* Which batch a gap belonged to, the record behind it being NEXT at NEXT_AT.  That one does not begin its batch where it is not at the beginning of a
 * block: then what is missing is the first part of its own batch.  Else it is the end of the batch before, or a whole one. */
static uint32_t batch_of_gap(const struct reading *r, uint64_t next_at, const struct record_header *next)
{
	if (next->batch <= r->last_batch || (next->batch == r->last_batch + 1 && (next_at % LOG_BLOCK || !r->last_batch)))
		return next->batch;
	return next->batch == r->last_batch + 1 ? r->last_batch : r->last_batch + 1;
}

/* Behind the last record: a header of this segment that is not whole, and not what an earlier use of the file left. */
static bool begun(struct scan *c, uint64_t at)
{
	const unsigned char *p = scan_octets(c, at, RECORD_HEADER, NULL);
	return p && (get64(p) == c->g->key || get64(p + 8) == c->g->seq);
}

static void read_segment(struct reading *r)
{
	struct record_header h;
	uint64_t at = LOG_BLOCK;
	r->c.window_octets = 0;
	r->last_batch = 0;
	r->last_bad.batch = 0;
	r->last_bad.damaged = 0;
	while (at < r->c.g->size) {
		uint64_t next = scan_header(&r->c, &h, at, NULL) ? at : scan_next(&r->c, at);
		if (next == r->c.g->size)
			break;
		bool padding = next != at && next % LOG_BLOCK == 0 && next - at < LOG_BLOCK && all_zero(&r->c, at, next);
		if (!scan_header(&r->c, &h, next, NULL))
			break;
		if (next != at && !padding)
			report_damage(r, at, next - at, NULL, batch_of_gap(r, next, &h));
		if (next != at)
			group_reset(&r->group); /* a group never spans a gap */
		take_record(r, &h, next);
		r->last_batch = h.batch > r->last_batch ? h.batch : r->last_batch;
		at = next + record_size(h.octets);
		r->report->octets += record_size(h.octets);
	}
	/* Nothing was written behind a batch that is not whole, so what is begun there belongs to it. */
	bool of_last = r->group.n || (r->last_bad.damaged && r->last_bad.batch >= r->last_batch);
	if (r->group.n || begun(&r->c, at) || begun(&r->c, block_up(at)))
		report_damage(r, at, LOG_BLOCK, NULL, of_last ? (r->last_bad.batch > r->last_batch ? r->last_bad.batch : r->last_batch) : r->last_batch + 1);
	group_reset(&r->group);
	r->c.g->end = block_up(at) < r->c.g->size ? block_up(at) : r->c.g->size;
	r->c.g->batch = r->last_batch;
}

/* Neither copy of the header is whole: its records say who it is.  None there: all of it is lost, as a file gets its name after its header. */
static int name_segment(struct reading *r, struct segment *g, struct err *e)
{
	struct record_header h;
	r->c.g = g;
	r->c.window_octets = 0;
	uint64_t at = scan_next(&r->c, LOG_BLOCK);
	bool found = at < g->size && scan_header(&r->c, &h, at, NULL) && !segment_of(&r->c.s->seg, (uint32_t)h.seq);
	if (!found) {
		report_damage(r, 0, g->size > LOG_BLOCK ? g->size : LOG_BLOCK + 1, NULL, UINT32_MAX);
		if (!r->c.s->seg.look_only)
			return segment_put_aside(&r->c.s->seg, g, e);
		segment_forget(&r->c.s->seg, g, false);
		return 0;
	}
	segments_remove(&r->c.s->seg, g);
	g->seq = (uint32_t)h.seq;
	g->key = h.key;
	if (g->seq >= r->c.s->seg.next_seq)
		r->c.s->seg.next_seq = g->seq + 1;
	int rc = segments_insert(&r->c.s->seg, g, e);
	if (rc == 0)
		report_damage(r, 0, LOG_BLOCK, NULL, UINT32_MAX);
	return rc;
}

/* The newest batch of the newest segment was cut off by a crash, not damaged. */
static void forgive_torn(struct reading *r)
{
	struct store_report *p = r->report;
	if (!r->last_bad.damaged || r->last_bad.batch < r->last_batch || r->last_bad.batch == UINT32_MAX)
		return;
	p->torn_octets = r->last_bad.octets;
	if (r->c.s->watch)
		r->c.s->watch->torn(r->c.s->watch->ctx, r->c.g, r->last_bad.damaged, r->last_bad.octets);
	p->damaged -= r->last_bad.damaged;
	if (p->damaged < sizeof p->damage / sizeof *p->damage)
		memset(&p->damage[p->damaged], 0, sizeof p->damage[0]);
}

/* The last one with records: only a segment that was prepared and not used may follow. */
static bool is_newest(struct store *s, size_t i)
{
	struct scan next = {.s = s, .window = s->window};
	struct record_header h;
	for (i++; i < s->seg.count; i++) {
		next.g = s->seg.of[i];
		next.window_octets = 0;
		if (scan_header(&next, &h, LOG_BLOCK, NULL))
			return false;
	}
	return true;
}

int log_scan(struct store *s, struct store_report *report, struct err *e)
{
	struct reading r = {.c = {.s = s, .window = s->window}, .report = report, .group.payload = BUF_INIT(STORE_GROUP_MAX * STORE_NOTE_MAX)};
	int rc = 0;
	while (rc == 0 && s->seg.count && s->seg.of[0]->seq == 0)
		rc = name_segment(&r, s->seg.of[0], e);
	for (size_t i = 0; i < s->seg.count && rc == 0; i++) {
		unsigned damaged = report->damaged;
		r.elsewhere = 0;
		r.c.g = s->seg.of[i];
		read_segment(&r);
		if (is_newest(s, i))
			forgive_torn(&r);
		s->seg.of[i]->damaged |= report->damaged > damaged + r.elsewhere;
	}
	report->segments = (unsigned)s->seg.count;
	report->spares = s->seg.spares;
	buf_free(&r.group.payload);
	return rc;
}
