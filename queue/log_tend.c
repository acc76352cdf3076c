/* Opening, new segments, housekeeping of the log: see store.h.  As postern-queue.
 *
 * A segment is emptied when no live message lies in it and none of its notes speaks of a message in another segment that still stands.  Where that
 * does not come by itself, its survivors are moved to the end of the log.  While any segment may hold copies that were superseded, what ends a message is
 * kept for it too (log_pin()). */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/file.h>
#include <time.h>
#include <unistd.h>

#include "lib/io.h"
#include "queue/crc32c.h"
#include "queue/log.h"

#define ZERO_SLICE (1u << 20)
#define MOVE_SLICE (1u << 20)
#define REST_MSEC 1000
#define RESTS_MOST 10
#define LOCK_TRIES 50 /* of 100 ms: the instance before may just be ending */

/* A queue that starts meanwhile waits, and says so if it takes too long. */
static int lock_to_look(struct store *s, struct err *e)
{
	s->lock_fd = openat(s->seg.dir_fd, "lock", O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
	if (s->lock_fd < 0)
		return errno == ENOENT ? 0 : err_sys(e, "the spool's lock");
	if (flock(s->lock_fd, LOCK_SH | LOCK_NB) == 0)
		return 0;
	return errno == EWOULDBLOCK ? err_set(e, E_REFUSED, "postern-queue runs on this folder; stop the suite first") : err_sys(e, "the spool's lock");
}

static int lock_folder(struct store *s, struct err *e)
{
	if (s->o.look_only)
		return lock_to_look(s, e);
	s->lock_fd = openat(s->seg.dir_fd, "lock", O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (s->lock_fd < 0)
		return err_sys(e, "the spool's lock");
	for (int i = 0; i < LOCK_TRIES; i++) {
		if (flock(s->lock_fd, LOCK_EX | LOCK_NB) == 0)
			return 0;
		if (errno != EWOULDBLOCK)
			return err_sys(e, "the spool's lock");
		nanosleep(&(struct timespec){.tv_nsec = 100000000}, NULL);
	}
	return err_set(e, E_REFUSED, "another postern-queue has this spool; stop it first");
}

/* Go on at the end of the last segment if all in it is sound; an empty one that was prepared is the next. */
static void resume(struct store *s, const struct store_report *report)
{
	struct segments *all = &s->seg;
	struct segment *last = all->count ? all->of[all->count - 1] : NULL;
	if (last && last->end == LOG_BLOCK && !last->evacuate && last->size == s->o.segment_octets) {
		s->ready = last;
		segments_remove(all, last);
		last = all->count ? all->of[all->count - 1] : NULL;
	}
	if (last && !last->evacuate && !report->torn_octets && last->size == s->o.segment_octets) {
		s->cur = last;
		s->base = last->end;
		s->batch = last->batch + 1;
	}
}

/* What was read from the cache may not be on the disk yet: the program before us may have been killed between write and sync. */
static int sync_all(struct store *s, struct err *e)
{
	for (size_t i = 0; i < s->seg.count; i++)
		if (s->o.sys->fdatasync(s->seg.of[i]->fd) < 0)
			return err_sys(e, "sync segment.%08x", s->seg.of[i]->number);
	return 0;
}

int store_open(struct store **out, int dir_fd, const struct store_options *o, struct store_report *report, struct err *e)
{
	struct store *s = calloc(1, sizeof *s);
	*report = (struct store_report){0};
	if (!s)
		return err_sys(e, "store");
	*s = (struct store){
		.o = *o, .seg = {.dir_fd = dir_fd, .sys = o->sys, .look_only = o->look_only}, .lock_fd = -1, .batch = 1, .keep = BUF_INIT(KEEP_MAX),
		.batch_octets = malloc(LOG_BUFFER), .window = malloc(SCAN_WINDOW)};
	*out = s;
	int rc = s->batch_octets && s->window ? lock_folder(s, e) : err_sys(e, "store");
	if (rc == 0)
		rc = segments_open(&s->seg, e);
	if (rc == 0)
		rc = log_scan(s, report, e);
	if (rc == 0 && !o->look_only)
		rc = sync_all(s, e);
	if (rc < 0) {
		*out = NULL;
		store_close(s);
		return rc;
	}
	if (!o->look_only)
		resume(s, report);
	return 0;
}

void store_close(struct store *s)
{
	if (s->ready && segments_insert(&s->seg, s->ready, NULL) < 0)
		close(s->ready->fd);
	if (s->preparing)
		segment_forget(&s->seg, s->preparing, true);
	segments_close(&s->seg);
	if (s->lock_fd >= 0)
		close(s->lock_fd);
	buf_free(&s->keep);
	free(s->pending);
	free(s->batch_octets);
	free(s->window);
	free(s);
}

static int begin_spare(struct store *s, struct err *e)
{
	struct segment *g = s->seg.spare[s->seg.spares - 1];
	s->seg.spares--;
	int rc = g->size == s->o.segment_octets ? segment_begin(&s->seg, g, e) : E_SYS;
	if (rc < 0)
		segment_forget(&s->seg, g, true);
	else
		s->ready = g;
	return rc;
}

int log_prepare(struct store *s, uint64_t most, struct err *e)
{
	while (!s->ready && s->seg.spares)
		if (begin_spare(s, e) == 0)
			break;
	if (s->ready)
		return 0;
	if (!s->preparing && !(s->preparing = segment_create(&s->seg, s->o.segment_octets, e)))
		return E_SYS;
	int rc = segment_zero(&s->seg, s->preparing, most, e);
	if (rc == 1)
		return 1;
	struct segment *g = s->preparing;
	s->preparing = NULL;
	if (rc == 0)
		rc = segment_begin(&s->seg, g, e);
	if (rc < 0)
		segment_forget(&s->seg, g, true);
	else
		s->ready = g;
	return rc;
}

int log_prepare_now(struct store *s, struct err *e)
{
	int rc;
	do
		rc = log_prepare(s, s->o.segment_octets, e);
	while (rc == 1);
	return rc;
}

/* A segment of its own for what is larger than a segment; written once, so without zeros first. */
static struct segment *oversized(struct store *s, uint64_t octets, struct err *e)
{
	struct segment *g = segment_create(&s->seg, LOG_BLOCK + block_up(octets), e);
	if (g && segment_begin(&s->seg, g, e) < 0) {
		segment_forget(&s->seg, g, true);
		return NULL;
	}
	return g;
}

/* Once taken into use, a segment must come after all others: one that was prepared before an oversized one gets a new sequence. */
static int in_order(struct store *s, struct segment *g, struct err *e)
{
	return g->seq + 1 == s->seg.next_seq ? 0 : segment_begin(&s->seg, g, e);
}

int log_begin(struct store *s, uint64_t octets, struct err *e)
{
	struct segment *g;
	if (LOG_BLOCK + block_up(octets) > s->o.segment_octets) {
		if (!(g = oversized(s, octets, e)))
			return E_SYS;
	} else {
		int rc = log_prepare_now(s, e);
		if (rc < 0)
			return rc;
		g = s->ready;
		s->ready = NULL;
		if (in_order(s, g, e) < 0) {
			segment_forget(&s->seg, g, true);
			return E_SYS;
		}
	}
	if (segments_insert(&s->seg, g, e) < 0) {
		segment_forget(&s->seg, g, true);
		return E_SYS;
	}
	s->cur = g;
	s->base = g->end;
	s->batch = 1;
	return 0;
}

int log_roll(struct store *s, uint64_t octets, struct err *e)
{
	if (s->cur && block_up(s->base + s->used + octets) <= s->cur->size)
		return 0;
	int rc = s->cur && s->count ? store_commit(s, e) : 0;
	uint32_t seq = s->cur ? s->cur->seq : 0;
	uint64_t end = s->cur ? s->cur->end : 0;
	if (rc == 0)
		rc = log_begin(s, octets + (seq ? record_size(SEAL_OCTETS) : 0), e);
	return rc < 0 || !seq ? rc : log_seal(s, seq, end, e);
}

int store_room(struct store *s, uint64_t octets, struct err *e)
{
	uint64_t reserve = s->o.segment_octets / 8, need = record_size(octets);
	if (s->cur && s->base + s->used + need + (s->ready ? LOG_BLOCK : reserve) <= s->cur->size)
		return 0;
	if (LOG_BLOCK + block_up(need) > s->o.segment_octets)
		return 0; /* a file of its own, made when it is added */
	return log_prepare_now(s, e);
}

void store_space(const struct store *s, struct store_space *space)
{
	*space = (struct store_space){.segments = (unsigned)s->seg.count, .spares = s->seg.spares};
	for (size_t i = 0; i < s->seg.count; i++) {
		space->octets += s->seg.of[i]->size;
		space->live_octets += s->seg.of[i]->live;
	}
}

static int retire(struct store *s, struct segment *g, struct err *e)
{
	uint32_t seq = g->seq;
	int rc = segment_retire(&s->seg, g, s->o.spares_most, s->o.segment_octets, e);
	for (size_t i = 0; i < s->seg.count; i++)
		segment_unpin(s->seg.of[i], seq);
	return rc;
}

/* The oldest segment that is dead by itself.  Not one that is kept, though nothing lives in it and nothing pins it: a start without memory for its pins may have made it so. */
static struct segment *find_dead(const struct store *s)
{
	struct segment *dead = NULL;
	for (size_t i = 0; i < s->seg.count; i++) {
		struct segment *g = s->seg.of[i];
		if (g->evacuate && g != s->cur)
			return NULL;
		if (g != s->cur && g != s->victim && !g->live && !g->pin_count && !g->kept && !dead)
			dead = g;
	}
	return dead;
}

/* The newest that must be evacuated: copies that a failed sync left are written anew before the older ones they supersede are given up. */
static struct segment *find_evacuate(const struct store *s)
{
	for (size_t i = s->seg.count; i > 0; i--)
		if (s->seg.of[i - 1]->evacuate && s->seg.of[i - 1] != s->cur)
			return s->seg.of[i - 1];
	return NULL;
}

static struct segment *find_victim(const struct store *s)
{
	struct store_space space;
	struct segment *best = find_evacuate(s);
	store_space(s, &space);
	if (best || s->seg.count <= 3 + 2 * space.live_octets / s->o.segment_octets)
		return best;
	for (size_t i = 0; i < s->seg.count; i++) {
		struct segment *g = s->seg.of[i];
		if (g != s->cur && !g->kept && g->live * 4 < g->size && (!best || g->live < best->live))
			best = g;
	}
	return best;
}

/* What the owner of the store has no memory for, or what cannot be read, stays where it is: nothing is moved for a while, and then others are. */
static int rest(struct store *s, const char *id, struct err *e)
{
	bool enough = ++s->rests > RESTS_MOST;
	s->victim->kept |= enough;
	s->rest_until = enough ? 0 : deadline_in(REST_MSEC);
	int rc = err_set(e, E_SYS, "what is known of message %.13s could not be copied%s", id, enough ? "; its segment is kept until the next start" : "");
	return enough ? 0 : rc;
}

static int move_message(struct store *s, const struct record_header *h, uint64_t at, struct err *e)
{
	struct store_record group[2] = {
		{.kind = RECORD_MESSAGE, .flags = h->flags & RECORD_LAST_BOUNCE, .id = h->id,
		 .piece[0] = {.fd = s->victim->fd, .at = (off_t)(at + RECORD_HEADER), .n = h->octets}, .pieces = 1}};
	int note = s->o.on.moving(s->o.on.ctx, h->id, &group[1]);
	if (note < 0)
		return rest(s, h->id, e);
	s->victim->evacuate = s->victim->stale = true;
	return store_add(s, group, note ? 2 : 1, true, e);
}

static bool sound(struct scan *c, const struct record_header *h, uint64_t at)
{
	uint32_t crc = 0;
	for (uint64_t done = 0; done < h->octets;) {
		size_t n = h->octets - done < SCAN_WINDOW / 2 ? (size_t)(h->octets - done) : SCAN_WINDOW / 2;
		const unsigned char *p = scan_octets(c, at + RECORD_HEADER + done, n, NULL);
		if (!p)
			return false;
		crc = crc32c(crc, p, n);
		done += n;
	}
	return crc == h->payload_crc;
}

/* Of one whose payload is not SOUND the place itself is the bound: what has finished stays so. */
static int move_finish(struct store *s, struct scan *c, const struct record_header *h, uint64_t at, bool sound, struct err *e)
{
	bool copies = false;
	for (size_t i = 0; i < s->seg.count; i++)
		copies |= s->seg.of[i]->stale && s->seg.of[i]->seq < s->victim->seq;
	if (!copies && (h->target == s->victim->seq || !segment_of(&s->seg, (uint32_t)h->target)))
		return 0;
	const unsigned char *p = sound && h->octets >= 8 ? scan_octets(c, at + RECORD_HEADER, 8, e) : NULL;
	struct store_record note = {
		.kind = RECORD_FINISH, .id = h->id, .target = (uint32_t)h->target, .bound = p ? (struct store_at){get32(p), get32(p + 4)} : (struct store_at){s->victim->seq, (uint32_t)(at / 8)}};
	return store_add(s, &note, 1, false, e);
}

/* A message that rotted is passed over: it lives, so its segment is kept.  A note that did is asked about, as its owner may know it, or finds that it cannot be read. */
static int move_record(struct store *s, struct scan *c, const struct record_header *h, uint64_t at, struct err *e)
{
	struct store_found f = {
		.kind = (enum record_kind)h->kind, .flags = h->flags, .id = h->id, .target = (uint32_t)h->target,
		.at = {s->victim->seq, (uint32_t)(at / 8)}, .octets = h->octets};
	const bool whole = sound(c, h, at);
	if (h->kind == RECORD_CLEAN || h->kind == RECORD_VOID || (h->kind == RECORD_MESSAGE && !whole))
		return 0;
	if (h->kind == RECORD_FINISH)
		return move_finish(s, c, h, at, whole, e);
	int rc = s->o.on.wanted(s->o.on.ctx, &f);
	if (rc < 0)
		return rest(s, h->id, e);
	return rc && h->kind == RECORD_MESSAGE ? move_message(s, h, at, e) : 0;
}

/* All that is wanted was copied and is durable.  What could not be read keeps the segment. */
static int end_victim(struct store *s, struct err *e)
{
	struct segment *g = s->victim;
	s->victim = NULL;
	s->rests = 0;
	g->kept |= g->live > 0;
	if (g->kept) {
		g->evacuate = false; /* and stays stale, for the pins */
		return 0;
	}
	g->pin_count = 0;
	return retire(s, g, e);
}

/* One slice of moving.  Copies are committed here and now: no note may be written between a copy and its being placed. */
static int move_slice(struct store *s, struct err *e)
{
	struct scan c = {.s = s, .g = s->victim, .window = s->window};
	struct record_header h;
	uint64_t moved = 0;
	int rc = 0;
	s->moving = true;
	while (rc == 0 && moved < MOVE_SLICE && s->victim_at < s->victim->size) {
		uint64_t at = scan_next(&c, s->victim_at);
		s->victim_at = at;
		if (at == s->victim->size || !scan_header(&c, &h, at, e))
			break;
		rc = move_record(s, &c, &h, at, e);
		s->victim_at = at + record_size(h.octets);
		moved += record_size(h.octets);
	}
	bool end = rc == 0 && moved < MOVE_SLICE;
	if (store_commit(s, e) < 0)
		rc = E_SYS;
	s->moving = false;
	if (rc < 0)
		s->victim = NULL;
	return rc == 0 && end ? end_victim(s, e) : rc;
}

bool store_tend(struct store *s, struct err *e)
{
	e->code = 0;
	struct segment *dead = find_dead(s);
	if (dead)
		return retire(s, dead, e) == 0;
	bool half = !s->cur || (s->cur->end > s->cur->size / 2);
	if (half && !s->ready) {
		int rc = log_prepare(s, ZERO_SLICE, e);
		if (rc != 0)
			return rc == 1;
	}
	if (s->rest_until && clock_msec() < s->rest_until)
		return false;
	s->rest_until = 0;
	if (!s->victim) {
		s->victim = find_victim(s);
		s->victim_at = LOG_BLOCK;
	}
	/* After a start that found damage nothing takes records yet, and perhaps nothing will come for hours. */
	if (s->victim && !s->cur && log_begin(s, LOG_BLOCK, e) < 0)
		return false;
	return s->victim && s->cur && move_slice(s, e) == 0;
}
