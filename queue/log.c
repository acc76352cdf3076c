/* Append and commit: see store.h.  As postern-queue; the folder is its own.
 *
 * Order: all that is pending is written at the end of the current segment (one pwrite where it fits the buffer), then one fdatasync, then the
 * handlers hear where each record lies.  A failed write or sync is final for the segment: nothing is tried again on that descriptor, what may be
 * dropped is dropped, the notes go into a new segment (a new file, a new inode). */
#include "queue/log.h"

#include <errno.h>
#include <stdlib.h>

#include "queue/crc32c.h"

#define TRIES 3

static int flush(struct store *s, struct err *e)
{
	int rc = s->used ? segment_write(&s->seg, s->cur, s->batch_octets, s->used, s->base, e) : 0;
	if (rc < 0) {
		s->broken = true;
		return rc;
	}
	s->base += s->used;
	s->used = 0;
	return 0;
}

/* Room for N octets at the end of the buffer, N at most LOG_BUFFER. */
static unsigned char *room(struct store *s, size_t n, struct err *e)
{
	if (s->used + n > LOG_BUFFER && flush(s, e) < 0)
		return NULL;
	return s->batch_octets + s->used;
}

static int put(struct store *s, const void *p, size_t n, uint32_t *crc, struct err *e)
{
	for (const char *from = p; n;) {
		size_t part = n < LOG_BUFFER / 4 ? n : LOG_BUFFER / 4;
		unsigned char *to = room(s, part, e);
		if (!to)
			return E_SYS;
		memcpy(to, from, part);
		*crc = crc32c(*crc, to, part);
		s->used += part;
		from += part;
		n -= part;
	}
	return 0;
}

static int put_file(struct store *s, const struct store_piece *p, uint32_t *crc, struct err *e)
{
	for (size_t done = 0; done < p->n;) {
		size_t part = p->n - done < LOG_BUFFER / 4 ? p->n - done : LOG_BUFFER / 4;
		unsigned char *to = room(s, part, e);
		if (!to)
			return E_SYS;
		ssize_t got = s->o.sys->pread(p->fd, to, part, p->at + (off_t)done);
		if (got < 0 && errno == EINTR)
			continue;
		if (got <= 0)
			return got < 0 ? err_sys(e, "read a message") : err_set(e, E_SYS, "a message is shorter than it was");
		*crc = crc32c(*crc, to, (size_t)got);
		s->used += (size_t)got;
		done += (size_t)got;
	}
	return 0;
}

static uint64_t payload_octets(const struct store_record *r)
{
	uint64_t n = r->kind == RECORD_FINISH ? 8 : 0;
	for (size_t i = 0; i < r->pieces; i++)
		n += r->piece[i].n;
	return n;
}

static int put_payload(struct store *s, const struct store_record *r, uint32_t offset, uint32_t *crc, struct err *e)
{
	unsigned char bound[8];
	int rc = 0;
	if (r->kind == RECORD_FINISH) {
		put32(bound, r->bound.seq ? r->bound.seq : s->cur->seq);
		put32(bound + 4, r->bound.seq ? r->bound.offset : offset);
		rc = put(s, bound, sizeof bound, crc, e);
	}
	for (size_t i = 0; i < r->pieces && rc == 0; i++) {
		const struct store_piece *p = &r->piece[i];
		rc = p->p ? put(s, p->p, p->n, crc, e) : put_file(s, p, crc, e);
	}
	return rc;
}

/* The header goes in last, when the checksum is known: into the buffer, or into the file where the buffer was already written. */
static int put_header(struct store *s, const struct record_header *h, uint64_t at, struct err *e)
{
	unsigned char octets[RECORD_HEADER];
	record_header_put(octets, h);
	if (at >= s->base) {
		memcpy(s->batch_octets + (at - s->base), octets, sizeof octets);
		return 0;
	}
	int rc = segment_write(&s->seg, s->cur, octets, sizeof octets, at, e);
	s->broken |= rc < 0;
	return rc;
}

static int put_record(struct store *s, const struct store_record *r, uint32_t octets, bool more, uint32_t *offset, struct err *e)
{
	static const unsigned char zeros[RECORD_HEADER];
	struct record_header h = {
		.key = s->cur->key, .seq = s->cur->seq, .target = r->target, .octets = octets, .batch = s->batch,
		.kind = (unsigned char)r->kind, .flags = (unsigned char)((r->flags & ~RECORD_MORE) | (more ? RECORD_MORE : 0))};
	uint32_t ignored = 0;
	uint64_t at;
	memcpy(h.id, r->id, ID_LEN);
	/* Keep the header's room in one buffer with the position it is counted from. */
	if (!room(s, RECORD_HEADER, e))
		return E_SYS;
	at = s->base + s->used;
	*offset = (uint32_t)(at / 8);
	int rc = put(s, zeros, RECORD_HEADER, &ignored, e);
	if (rc == 0)
		rc = put_payload(s, r, *offset, &h.payload_crc, e);
	if (rc == 0)
		rc = put(s, zeros, (size_t)(record_size(octets) - RECORD_HEADER - octets), &ignored, e);
	return rc == 0 ? put_header(s, &h, at, e) : rc;
}

static struct pending *new_pending(struct store *s, size_t n, struct err *e)
{
	if (s->count + n > s->room) {
		size_t more = s->room ? s->room * 2 : 512;
		struct pending *p = reallocarray(s->pending, more, sizeof *p);
		if (!p) {
			err_sys(e, "pending records");
			return NULL;
		}
		s->pending = p;
		s->room = more;
	}
	return s->pending + s->count;
}

/* Copy what must survive a failed commit; the record then reads from the copy. */
static int keep(struct store *s, const struct store_record *r, size_t *at, struct err *e)
{
	*at = s->keep.n;
	for (size_t i = 0; i < r->pieces; i++) {
		const struct store_piece *p = &r->piece[i];
		if (!p->n)
			continue;
		char *to = buf_room(&s->keep, p->n);
		if (!to)
			return err_set(e, E_SYS, "too many records wait for a segment that can be written");
		if (p->p)
			memcpy(to, p->p, p->n);
		else if (s->o.sys->pread(p->fd, to, p->n, p->at) != (ssize_t)p->n)
			return err_sys(e, "read a message");
		s->keep.n += p->n;
	}
	return 0;
}

static int note_pending(struct store *s, const struct store_record *group, size_t n, bool droppable, struct err *e)
{
	struct pending *p = new_pending(s, n, e);
	size_t kept = s->keep.n;
	if (!p)
		return E_SYS;
	for (size_t i = 0; i < n; i++) {
		const struct store_record *r = &group[i];
		p[i] = (struct pending){
			.kind = (unsigned char)r->kind, .flags = r->flags, .droppable = droppable, .moving = s->moving, .first = i == 0, .target = r->target,
			.bound = r->bound, .octets = (uint32_t)payload_octets(r)};
		memcpy(p[i].id, r->id, ID_LEN);
		if (!droppable && keep(s, r, &p[i].keep, e) < 0) {
			s->keep.n = kept;
			s->keep.overflow = false; /* what is shorter may find memory */
			return E_SYS;
		}
	}
	s->count += n;
	s->groups++;
	return 0;
}

/* Write pending group FIRST..FIRST+N; the payloads come from GROUP or, where that is NULL, from the copy. */
static int write_group(struct store *s, const struct store_record *group, size_t first, size_t n, struct err *e)
{
	int rc = s->cur ? 0 : E_SYS;
	for (size_t i = 0; i < n && rc == 0 && !s->broken; i++) {
		struct pending *p = &s->pending[first + i];
		struct store_record copy = {
			.kind = p->kind, .flags = p->flags, .id = p->id, .target = p->target, .bound = p->bound,
			.piece[0] = {.p = s->keep.p + p->keep, .n = p->octets - (p->kind == RECORD_FINISH ? 8u : 0u)}, .pieces = 1};
		rc = put_record(s, group ? &group[i] : &copy, p->octets, i + 1 < n, &p->offset, e);
	}
	if (rc < 0 || s->broken)
		s->why = *e;
	return s->broken ? E_SYS : rc;
}

/* A write that fails is told by the commit. */
int log_seal(struct store *s, uint32_t seq, uint64_t end, struct err *e)
{
	static const char nobody[] = "0000000000000";
	unsigned char p[SEAL_OCTETS];
	const struct store_record r = {.kind = RECORD_VOID, .id = nobody, .piece[0] = {.p = p, .n = sizeof p}, .pieces = 1};
	size_t first = s->count;
	put32(p, seq);
	put32(p + 4, (uint32_t)(end / LOG_BLOCK));
	int rc = note_pending(s, &r, 1, false, e);
	return rc < 0 ? rc : write_group(s, &r, first, 1, e) < 0 && !s->broken ? E_SYS : 0;
}

static size_t group_end(const struct store *s, size_t first)
{
	size_t i = first + 1;
	while (i < s->count && !s->pending[i].first)
		i++;
	return i;
}

/* Groups that wait because there was no segment, or whose segment failed: they go into a new one. */
static int write_homeless(struct store *s, struct err *e)
{
	uint64_t octets = 0;
	if (s->cur || !s->count)
		return 0;
	for (size_t i = 0; i < s->count; i++)
		octets += record_size(s->pending[i].octets);
	int rc = log_begin(s, octets, e);
	for (size_t i = 0; i < s->count && rc == 0; i = group_end(s, i))
		rc = write_group(s, NULL, i, group_end(s, i) - i, e);
	return rc;
}

int store_add(struct store *s, const struct store_record *group, size_t n, bool droppable, struct err *e)
{
	uint64_t octets = 0;
	for (size_t i = 0; i < n; i++) {
		if (payload_octets(&group[i]) > RECORD_OCTETS_MAX)
			return err_set(e, E_TOO_LONG, "a record is too large");
		octets += record_size(payload_octets(&group[i]));
	}
	int rc = write_homeless(s, e);
	if (rc == 0 && !s->broken)
		rc = log_roll(s, octets, e);
	if (rc < 0 && droppable)
		return rc;
	size_t first = s->count, used = s->used;
	uint64_t base = s->base;
	rc = note_pending(s, group, n, droppable, e);
	if (rc < 0 || !s->cur || s->broken)
		return rc;
	rc = write_group(s, group, first, n, e);
	if (rc == 0 || s->broken)
		return 0; /* a failed write is told by the commit */
	/* A piece could not be read: as if the group had never been.  What was already written of it lies behind the end of the batch. */
	s->count = first;
	s->groups--;
	if (s->base != base) {
		s->broken = true;
		return rc;
	}
	s->used = used;
	return rc;
}

static void placed(struct store *s, struct segment *g)
{
	for (size_t i = 0; i < s->count; i++) {
		const struct pending *p = &s->pending[i];
		struct store_found r = {
			.kind = p->kind, .flags = p->flags, .id = p->id, .target = p->target, .at = {g->seq, p->offset}, .octets = p->octets};
		if (p->kind == RECORD_MESSAGE)
			g->live += record_size(p->octets);
		s->o.on.placed(s->o.on.ctx, &r);
	}
}

static void forget_pending(struct store *s)
{
	s->count = s->groups = s->used = 0;
	buf_reset(&s->keep);
	if (s->cur)
		s->base = s->cur->end;
}

/* A note must outlive the message it speaks of, and what ends a message all its copies. */
int log_pin(struct store *s, struct segment *g, enum record_kind kind, uint32_t target, struct err *e)
{
	int rc = segment_of(&s->seg, target) ? segment_pin(g, target, e) : 0;
	for (size_t i = 0; kind == RECORD_FINISH && i < s->seg.count && rc == 0; i++)
		if (s->seg.of[i]->stale && s->seg.of[i]->seq < g->seq)
			rc = segment_pin(g, s->seg.of[i]->seq, e);
	return rc;
}

static int pin_all(struct store *s, struct err *e)
{
	int rc = 0;
	for (size_t i = 0; i < s->count && rc == 0; i++)
		if (s->pending[i].kind != RECORD_MESSAGE)
			rc = log_pin(s, s->cur, (enum record_kind)s->pending[i].kind, s->pending[i].target, e);
	return rc;
}

/* Zeros up to the next block, write, sync. */
static int write_and_sync(struct store *s, struct err *e)
{
	if (s->broken) {
		*e = s->why;
		return E_SYS;
	}
	size_t fill = (size_t)(block_up(s->base + s->used) - (s->base + s->used));
	unsigned char *to = room(s, fill, e);
	if (!to)
		return E_SYS;
	memset(to, 0, fill);
	s->used += fill;
	int rc = pin_all(s, e);
	if (rc == 0)
		rc = flush(s, e);
	if (rc == 0 && s->o.sys->fdatasync(s->cur->fd) < 0)
		rc = err_sys(e, "sync segment.%08x", s->cur->number);
	return rc;
}

/* Droppable groups end here; what they left in the dead segment is declared dead.  The others stay pending. */
static void drop_pending(struct store *s)
{
	size_t kept = 0;
	for (size_t i = 0; i < s->count; i++) {
		struct pending *p = &s->pending[i];
		if (p->droppable && p->moving)
			continue;
		if (p->droppable) {
			if (p->kind != RECORD_MESSAGE)
				continue;
			s->o.on.dropped(s->o.on.ctx, p->id);
			p->first = true;
			p->kind = RECORD_FINISH;
			p->flags = 0;
			p->octets = 8;
			p->keep = 0;
			p->droppable = false;
			p->target = s->cur ? s->cur->seq : 0;
		}
		p->offset = 0;
		s->pending[kept++] = *p;
	}
	s->count = kept;
}

/* Never touch this descriptor again. */
static void give_up_segment(struct store *s, const struct err *e)
{
	if (s->o.on.alarm)
		s->o.on.alarm(s->o.on.ctx, e);
	s->cur->evacuate = s->cur->stale = s->cur->failed = true;
	drop_pending(s);
	s->cur = NULL;
	s->used = 0;
	s->broken = false;
}

int store_commit(struct store *s, struct err *e)
{
	struct err first = {0};
	for (int i = 0; i < TRIES && s->count; i++) {
		int rc = write_homeless(s, e);
		if (!s->cur)
			return rc;
		if (rc == 0)
			rc = write_and_sync(s, e);
		if (rc == 0) {
			s->cur->end = s->base;
			s->batch++;
			placed(s, s->cur);
			forget_pending(s);
			return 0;
		}
		if (!first.code)
			first = *e;
		give_up_segment(s, e);
	}
	if (first.code)
		*e = first;
	return s->count ? E_SYS : 0;
}

size_t store_pending(const struct store *s)
{
	return s->count;
}

void store_live(struct store *s, struct store_at at, uint32_t octets)
{
	struct segment *g = segment_of(&s->seg, at.seq);
	if (g)
		g->live += record_size(octets);
}

void store_dead(struct store *s, struct store_at at, uint32_t octets)
{
	struct segment *g = segment_of(&s->seg, at.seq);
	if (g)
		g->live -= record_size(octets) < g->live ? record_size(octets) : g->live;
}

void store_superseded(struct store *s, struct store_at at)
{
	struct segment *g = segment_of(&s->seg, at.seq);
	if (g)
		g->evacuate = g->stale = true;
}
