/* Looking at a log: see verify.h.  As whoever may read the folder; nothing in it is believed before its checksum and range are right. */
#include "queue/verify.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "queue/index.h"
#include "queue/note.h"

static struct verify_segment *segment_by(struct verify *v, uint32_t number)
{
	for (size_t i = 0; i < v->segments; i++) {
		size_t at = (v->last + i) % v->segments; /* mostly the one before */
		if (v->segment[at].number == number) {
			v->last = at;
			return &v->segment[at];
		}
	}
	return NULL;
}

static void fault(struct verify *v, struct verify_segment *g, uint64_t at, uint64_t octets, const char *id, const char *what)
{
	v->faults++;
	g->faults++;
	if (v->described == VERIFY_FAULTS)
		return;
	struct verify_fault *f = &v->fault[v->described++];
	*f = (struct verify_fault){.number = g->number, .seq = g->seq, .at = at, .octets = octets};
	if (id)
		memcpy(f->id, id, ID_LEN);
	(void)!slice_copy(f->what, sizeof f->what, slice_str(what));
}

/* The files of the folder and their headers. */

static enum verify_header header_of(struct segment_header *h, const unsigned char block[LOG_BLOCK])
{
	struct segment_header other;
	int rc = segment_header_get(h, block);
	if (rc < 0)
		return rc == E_REFUSED ? VERIFY_HEADER_VERSION : VERIFY_HEADER_NONE;
	bool both = segment_copy_get(&other, block) == 0 && segment_copy_get(&other, block + SEGMENT_COPY_AT) == 0;
	return both && other.seq == h->seq && other.key == h->key ? VERIFY_HEADER_WHOLE : VERIFY_HEADER_ONE_COPY;
}

static int add_segment(struct verify *v, int dir_fd, const char *name, uint32_t number, struct err *e)
{
	unsigned char block[LOG_BLOCK] = {0};
	struct segment_header h = {0};
	struct stat st;
	if (v->segments == v->room) {
		size_t room = v->room ? v->room * 2 : 64;
		struct verify_segment *more = reallocarray(v->segment, room, sizeof *more);
		if (!more)
			return err_sys(e, "segments");
		v->segment = more;
		v->room = room;
	}
	int fd = openat(dir_fd, name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
	int rc = fd < 0 || fstat(fd, &st) < 0 || pread(fd, block, sizeof block, 0) < 0 ? err_sys(e, "%s", name) : 0;
	if (fd >= 0)
		close(fd);
	if (rc < 0)
		return rc;
	struct verify_segment *g = &v->segment[v->segments++];
	*g = (struct verify_segment){.number = number, .size = (uint64_t)st.st_size};
	g->header = header_of(&h, block);
	g->seq = (uint32_t)h.seq;
	g->version = h.version;
	if (g->header == VERIFY_HEADER_VERSION)
		fault(v, g, 0, LOG_BLOCK, NULL, "a format version that this program does not read");
	return 0;
}

static int read_folder(struct verify *v, int dir_fd, struct err *e)
{
	int fd = openat(dir_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC), rc = 0;
	DIR *d = fd < 0 ? NULL : fdopendir(fd);
	uint32_t number;
	if (!d)
		return err_sys(e, "the folder");
	for (struct dirent *entry; rc == 0 && (entry = readdir(d));) {
		if (segment_number(&number, entry->d_name))
			rc = add_segment(v, dir_fd, entry->d_name, number, e);
		v->put_aside += strncmp(entry->d_name, "damaged.", 8) == 0;
	}
	closedir(d);
	return rc;
}

/* A queue that starts meanwhile waits for this to end, and says so if it takes too long. */
static int lock_folder(struct verify *v, int dir_fd, struct err *e)
{
	v->store->lock_fd = openat(dir_fd, "lock", O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
	if (v->store->lock_fd < 0)
		return errno == ENOENT ? 0 : err_sys(e, "lock");
	if (flock(v->store->lock_fd, LOCK_SH | LOCK_NB) == 0)
		return 0;
	return errno == EWOULDBLOCK ? err_set(e, E_REFUSED, "postern-queue runs on this folder; stop the suite first") : err_sys(e, "lock");
}

/* What the records say. */

static bool state_sound(struct slice payload)
{
	struct note_state s;
	struct note_recipient r;
	struct fields f;
	if (note_state_get(&s, &f, payload) < 0)
		return false;
	for (long long i = 0; i < s.open + s.owed; i++)
		if (note_recipient_get(&r, &s, &f) < 0)
			return false;
	return fields_done(&f);
}

static bool result_sound(struct slice payload)
{
	struct fields f = {.rest = payload};
	struct note_done d;
	while (f.rest.n)
		if (note_done_get(&d, &f) < 0)
			return false;
	return true;
}

static bool expand_sound(struct slice payload)
{
	struct note_expand x;
	struct fields f;
	struct target t;
	int rc = note_expand_get(&x, &f, payload);
	for (long long i = 0; rc == 0 && i < x.count; i++)
		rc = target_decode(&t, &f.rest);
	return rc == 0 && fields_done(&f);
}

static const char *envelope_fault(struct slice head, const struct prologue *p, const char *id)
{
	struct envelope env;
	struct slice header;
	struct err e;
	if (envelope_decode(&env, &header, head, &e) < 0)
		return "the message's envelope breaks its grammar";
	bool same = slice_eq(env.id, slice_make(id, ID_LEN)) && env.rcpts == p->rcpts;
	envelope_free(&env);
	return same ? NULL : "the message's envelope is not that of its record";
}

/* NULL, or what is wrong with it. */
static const char *message_fault(struct verify *v, const struct store_found *f)
{
	struct prologue p;
	struct store_reader r;
	struct err e;
	unsigned char first[PROLOGUE];
	if (prologue_get(&p, f->payload) < 0 || PROLOGUE + p.head_octets + p.body_octets != f->octets)
		return "the message's lengths make no sense";
	char *head = malloc(p.head_octets);
	if (!head)
		return "no memory to read the message";
	const char *what = store_read(&r, v->store, f->at, &e) < 0 || store_read_next(&r, first, sizeof first, &e) < 0 ||
		store_read_next(&r, head, p.head_octets, &e) < 0 ? "the message cannot be read" : envelope_fault(slice_make(head, p.head_octets), &p, f->id);
	free(head);
	return what;
}

static const char *record_fault(struct verify *v, const struct store_found *f)
{
	switch (f->kind) {
	case RECORD_MESSAGE: return message_fault(v, f);
	case RECORD_STATE: return state_sound(f->payload) ? NULL : "the state breaks its grammar";
	case RECORD_RESULT: return result_sound(f->payload) ? NULL : "the result breaks its grammar";
	case RECORD_EXPAND: return expand_sound(f->payload) ? NULL : "the expansion breaks its grammar";
	case RECORD_FINISH: return f->payload.n == 8 ? NULL : "the end of a message breaks its grammar";
	default: return NULL;
	}
}

/* Which messages are alive, as recover.c finds it. */
static void follow(struct verify *v, const struct store_found *f)
{
	struct message *m = index_find(v->index, f->id);
	if (f->kind == RECORD_MESSAGE) {
		if (!m)
			m = index_add(v->index, f->id);
		if (m) {
			m->at = f->at;
			m->octets = f->octets;
			m->state.seq = 0;
		}
	} else if (m && f->kind == RECORD_STATE) {
		m->state = f->at;
	} else if (m && f->kind == RECORD_FINISH && store_before(m->at, f->bound)) {
		index_remove(v->index, m);
	}
}

static void on_found(void *ctx, const struct store_found *f)
{
	struct verify *v = ctx;
	const struct segment *in = segment_of(&v->store->seg, f->at.seq);
	struct verify_segment *g = in ? segment_by(v, in->number) : NULL;
	const char *what = g ? record_fault(v, f) : NULL;
	if (what)
		fault(v, g, (uint64_t)f->at.offset * 8, record_size(f->octets), f->id, what);
	follow(v, f);
}

/* What start-up sees. */

static void on_record(void *ctx, const struct segment *in, const struct record_header *h, uint64_t at, bool whole)
{
	struct verify *v = ctx;
	struct verify_segment *g = segment_by(v, in->number);
	const char *kind = strchr(VERIFY_KINDS, h->kind);
	if (!g || !kind)
		return;
	g->seq = in->seq;
	if (whole) {
		g->records[kind - VERIFY_KINDS]++;
		g->record_octets += record_size(h->octets);
	}
	if (v->each)
		v->each(v->ctx, g, in->fd, h, at, record_size(h->octets), whole);
}

static void on_damage(void *ctx, const struct segment *in, uint64_t at, uint64_t octets, const char *id)
{
	struct verify *v = ctx;
	struct verify_segment *g = segment_by(v, in->number);
	if (!g)
		return;
	g->seq = in->seq;
	g->unclaimed_octets += octets;
	fault(v, g, at, octets, id, !at ? (octets > LOG_BLOCK ? "neither a header nor a record can be read" : "the header of the segment is damaged") : id ? "the record's checksum is wrong" : "octets that no record claims");
	if (v->each && !id)
		v->each(v->ctx, g, in->fd, NULL, at, octets, false);
}

static void on_torn(void *ctx, const struct segment *in, unsigned damaged, uint64_t octets)
{
	struct verify *v = ctx;
	struct verify_segment *g = segment_by(v, in->number);
	if (!g)
		return;
	g->torn_octets = octets;
	g->unclaimed_octets -= octets;
	g->faults -= damaged;
	if (v->faults <= VERIFY_FAULTS)
		v->described -= damaged;
	v->faults -= damaged;
}

static int by_sequence(const void *a, const void *b)
{
	const struct verify_segment *x = a, *y = b;
	return x->seq != y->seq ? (x->seq > y->seq) - (x->seq < y->seq) : (x->number > y->number) - (x->number < y->number);
}

static void count_messages(struct verify *v)
{
	for (uint32_t i = 0; i < v->index->used; i++) {
		const struct message *m = index_nth(v->index, i);
		const struct segment *in = m ? segment_of(&v->store->seg, m->at.seq) : NULL;
		struct verify_segment *g = in ? segment_by(v, in->number) : NULL;
		if (g)
			g->live++;
	}
	for (size_t i = 0; i < v->segments; i++)
		v->segment[i].dead = v->segment[i].records[0] > v->segment[i].live ? v->segment[i].records[0] - v->segment[i].live : 0;
	v->messages = v->index->count;
}

static int scan(struct verify *v, struct err *e)
{
	struct store_report report = {0};
	const struct log_watch watch = {v, on_record, on_damage, on_torn};
	v->store->watch = &watch;
	int rc = segments_open(&v->store->seg, e);
	if (rc == 0)
		rc = log_scan(v->store, &report, e);
	v->store->watch = NULL;
	v->records = report.records;
	v->torn_octets = report.torn_octets;
	v->clean = report.clean;
	if (rc == 0)
		count_messages(v);
	return rc;
}

int verify_folder(struct verify *v, int dir_fd, struct err *e)
{
	v->store = calloc(1, sizeof *v->store);
	v->index = calloc(1, sizeof *v->index);
	if (!v->store || !v->index)
		return err_sys(e, "verify");
	*v->store = (struct store){
		.o = {.sys = &store_sys_real, .on = {.ctx = v, .found = on_found}},
		.seg = {.dir_fd = dir_fd, .sys = &store_sys_real, .look_only = true}, .lock_fd = -1, .window = malloc(SCAN_WINDOW)};
	int rc = v->store->window ? lock_folder(v, dir_fd, e) : err_sys(e, "verify");
	if (rc == 0)
		rc = read_folder(v, dir_fd, e);
	if (rc == 0 && !v->faults)
		rc = scan(v, e);
	if (v->segments)
		qsort(v->segment, v->segments, sizeof *v->segment, by_sequence);
	return rc;
}

void verify_free(struct verify *v)
{
	if (v->index)
		index_free(v->index);
	free(v->index);
	if (v->store)
		store_close(v->store);
	free(v->segment);
	v->index = NULL;
	v->store = NULL;
	v->segment = NULL;
}
