/* queue/log*: round trips, torn writes at every octet, flipped bits, segments used again, and random work against a model with faults injected into every call. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "queue/store.h"
#include "tests/unit/unit.h"

#define SEGMENT 65536
#define IDS 400

/* What a queue knows of its messages, kept the way recover.c keeps it. */
struct model {
	struct store *store;
	struct entry {
		bool live, pending, dropped;
		bool touched; /* since all was durable */
		struct store_at at, state;
		uint32_t octets;
		int value; /* of the last STATE, -1: none */
	} of[IDS];
	unsigned found, moved, twice;
	struct store_report report;
	char folder[64];
	int dir_fd;
};

static void id_of(char id[ID_LEN + 1], int n)
{
	snprintf(id, ID_LEN + 1, "m%012d", n);
}

static int number_of(const char *id)
{
	char text[ID_LEN + 1] = {0};
	memcpy(text, id, ID_LEN);
	return (int)strtol(text + 1, NULL, 10);
}

static int value_of(struct slice payload)
{
	return payload.n == 4 ? (int)get32((const unsigned char *)payload.p) : -1;
}

static void on_found(void *ctx, const struct store_found *f)
{
	struct model *m = ctx;
	struct entry *x = &m->of[number_of(f->id)];
	m->found++;
	if (f->kind == RECORD_MESSAGE) {
		if (x->live) {
			store_superseded(m->store, x->at);
			store_superseded(m->store, f->at);
			store_dead(m->store, x->at, x->octets);
		}
		x->value = -1;
		x->state.seq = 0;
		x->live = true;
		x->at = f->at;
		x->octets = f->octets;
		store_live(m->store, f->at, f->octets);
	} else if (f->kind == RECORD_STATE && x->live) {
		x->value = value_of(f->payload);
		x->state = f->at;
	} else if (f->kind == RECORD_FINISH && x->live && store_before(x->at, f->bound)) {
		store_dead(m->store, x->at, x->octets);
		x->live = false;
	}
}

static void on_placed(void *ctx, const struct store_found *f)
{
	struct model *m = ctx;
	struct entry *x = &m->of[number_of(f->id)];
	if (f->kind == RECORD_MESSAGE) {
		if (!x->pending) {
			store_dead(m->store, x->at, x->octets);
			m->moved++;
		}
		x->at = f->at;
		x->octets = f->octets;
		x->live = true;
		x->pending = false;
	} else if (f->kind == RECORD_STATE) {
		x->state = f->at;
	}
}

static void on_dropped(void *ctx, const char *id)
{
	struct model *m = ctx;
	struct entry *x = &m->of[number_of(id)];
	ck_assert(x->pending);
	x->pending = x->live = false;
	x->dropped = true;
}

static unsigned char state_octets[4];

static bool state_note(struct model *m, int n, struct store_record *note)
{
	static char id[ID_LEN + 1];
	if (m->of[n].value < 0)
		return false;
	id_of(id, n);
	put32(state_octets, (uint32_t)m->of[n].value);
	*note = (struct store_record){.kind = RECORD_STATE, .id = id, .target = m->of[n].at.seq, .piece[0] = {.p = state_octets, .n = 4}, .pieces = 1};
	return true;
}

static int on_wanted(void *ctx, const struct store_found *f)
{
	struct model *m = ctx;
	int n = number_of(f->id);
	struct store_record note;
	if (!m->of[n].live)
		return false;
	if (f->kind == RECORD_MESSAGE)
		return store_at_eq(m->of[n].at, f->at);
	if (store_at_eq(m->of[n].state, f->at) && state_note(m, n, &note))
		ck_assert_int_eq(store_add(m->store, &note, 1, false, NULL), 0);
	return false;
}

static int on_moving(void *ctx, const char *id, struct store_record *note)
{
	return state_note(ctx, number_of(id), note);
}

/* Faults: the call number .at fails with .error; .lasting: and all after it. */
static struct {
	long calls, at;
	int error;
	bool lasting;
} fault;

static bool failing(void)
{
	fault.calls++;
	if (!fault.at || fault.calls < fault.at || (!fault.lasting && fault.calls > fault.at))
		return false;
	errno = fault.error;
	return true;
}

static ssize_t bad_pwrite(int fd, const void *p, size_t n, off_t at)
{
	return failing() ? -1 : pwrite(fd, p, n, at);
}

static int bad_fdatasync(int fd)
{
	(void)fd;
	return failing() ? -1 : 0; /* speed: what is written is read back from the cache */
}

static int bad_fsync(int fd)
{
	return bad_fdatasync(fd);
}

static int bad_create(int dir_fd, const char *name)
{
	return failing() ? -1 : store_sys_real.create(dir_fd, name);
}

static int bad_allocate(int fd, off_t octets)
{
	return failing() ? -1 : ftruncate(fd, octets);
}

static const struct store_sys faulty = {bad_pwrite, pread, bad_fdatasync, bad_fsync, bad_create, bad_allocate};

static int open_model(struct model *m)
{
	struct err e;
	struct store_options o = {
		.segment_octets = SEGMENT, .spares_most = 2, .sys = &faulty,
		.on = {.ctx = m, .found = on_found, .placed = on_placed, .dropped = on_dropped, .wanted = on_wanted, .moving = on_moving}};
	for (int i = 0; i < IDS; i++)
		m->of[i] = (struct entry){.value = -1};
	m->found = 0;
	m->store = NULL;
	return store_open(&m->store, m->dir_fd, &o, &m->report, &e);
}

static void make_model(struct model *m)
{
	memset(m, 0, sizeof *m);
	fault.at = 0;
	snprintf(m->folder, sizeof m->folder, "/tmp/postern-log.XXXXXX");
	ck_assert_ptr_nonnull(mkdtemp(m->folder));
	m->dir_fd = open(m->folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	ck_assert_int_eq(open_model(m), 0);
}

static void each_file(struct model *m, void (*act)(const char *path))
{
	DIR *d = opendir(m->folder);
	char path[400];
	for (struct dirent *x; (x = readdir(d));)
		if (x->d_name[0] != '.') {
			snprintf(path, sizeof path, "%s/%s", m->folder, x->d_name);
			act(path);
		}
	closedir(d);
}

static void unlink_path(const char *path)
{
	unlink(path);
}

static void end_model(struct model *m)
{
	store_close(m->store);
	each_file(m, unlink_path);
	rmdir(m->folder);
	close(m->dir_fd);
}

static int add_message(struct model *m, int n, size_t body)
{
	static char octets[200000];
	unsigned char prologue[PROLOGUE];
	char id[ID_LEN + 1];
	struct err e;
	id_of(id, n);
	memset(octets, 'a' + n % 26, body);
	prologue_put(prologue, &(struct prologue){.body_octets = body, .head_octets = 1, .rcpts = 1});
	m->of[n] = (struct entry){.pending = true, .touched = true, .value = -1};
	int rc = store_add(m->store, &(struct store_record){
		.kind = RECORD_MESSAGE, .id = id, .pieces = 2, .piece = {{.p = prologue, .n = PROLOGUE}, {.p = octets, .n = body}}}, 1, true, &e);
	if (rc < 0)
		m->of[n].pending = false;
	return rc;
}

static void add_note(struct model *m, int n, enum record_kind kind, int value)
{
	char id[ID_LEN + 1];
	unsigned char octets[4];
	struct err e;
	id_of(id, n);
	m->of[n].touched = true;
	put32(octets, (uint32_t)value);
	struct store_record r = {.kind = kind, .id = id, .target = m->of[n].at.seq};
	if (kind == RECORD_STATE) {
		r.piece[0] = (struct store_piece){.p = octets, .n = 4};
		r.pieces = 1;
		m->of[n].value = value;
	}
	ck_assert_int_eq(store_add(m->store, &r, 1, false, &e), 0);
	if (kind == RECORD_FINISH) {
		store_dead(m->store, m->of[n].at, m->of[n].octets);
		m->of[n].live = false;
	}
}

static void commit(struct model *m)
{
	struct err e;
	ck_assert_int_eq(store_commit(m->store, &e), 0);
}

static void reopen(struct model *m)
{
	store_close(m->store);
	ck_assert_int_eq(open_model(m), 0);
}

static void tend(struct model *m)
{
	struct err e;
	for (int i = 0; i < 1000 && store_tend(m->store, &e); i++)
		;
}

/* The message reads back whole. */
static bool reads_back(struct model *m, int n)
{
	struct store_reader r;
	struct err e;
	static char octets[200000 + PROLOGUE];
	if (store_read(&r, m->store, m->of[n].at, &e) < 0 || number_of(r.h.id) != n)
		return false;
	size_t octets_left = (size_t)r.left;
	if (store_read_next(&r, octets, octets_left, &e) < 0 || store_read_end(&r, &e) < 0)
		return false;
	for (size_t i = PROLOGUE; i < octets_left; i++)
		if (octets[i] != 'a' + n % 26)
			return false;
	return true;
}

START_TEST(round_trip)
{
	static const size_t sizes[] = {0, 1, 7, 8, 100, 4040, 4096, 60000, 150000};
	struct model m;
	make_model(&m);
	for (int i = 0; i < 9; i++) {
		ck_assert_int_eq(add_message(&m, i, sizes[i]), 0);
		if (i % 2)
			commit(&m);
	}
	commit(&m);
	add_note(&m, 3, RECORD_STATE, 42);
	add_note(&m, 4, RECORD_FINISH, 0);
	commit(&m);
	reopen(&m);
	for (int i = 0; i < 9; i++) {
		ck_assert_int_eq(m.of[i].live, i != 4);
		ck_assert(i == 4 || reads_back(&m, i));
	}
	ck_assert_int_eq(m.of[3].value, 42);
	ck_assert_uint_eq(m.report.damaged, 0);
	ck_assert_uint_eq(m.report.torn_octets, 0);
	end_model(&m);
}
END_TEST

START_TEST(second_instance_is_refused)
{
	struct model m, other = {0};
	make_model(&m);
	other.dir_fd = m.dir_fd;
	ck_assert_int_eq(open_model(&other), E_REFUSED);
	end_model(&m);
}
END_TEST

static char segment_path[512];
static void find_segment(const char *path)
{
	if (strstr(path, "segment."))
		snprintf(segment_path, sizeof segment_path, "%s", path);
}

static unsigned char *map_segment(struct model *m)
{
	each_file(m, find_segment);
	int fd = open(segment_path, O_RDWR);
	unsigned char *p = mmap(NULL, SEGMENT, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	close(fd);
	ck_assert(p != MAP_FAILED);
	return p;
}

/* Two batches: messages 0 and 1, then the group 2 with the end of 0, and 3. */
static void two_batches(struct model *m, size_t *from, size_t *to)
{
	char id0[ID_LEN + 1], id2[ID_LEN + 1];
	struct err e;
	unsigned char prologue[PROLOGUE];
	add_message(m, 0, 300);
	add_message(m, 1, 300);
	commit(m);
	*from = 2 * LOG_BLOCK;
	id_of(id0, 0);
	id_of(id2, 2);
	prologue_put(prologue, &(struct prologue){.head_octets = 1, .rcpts = 1});
	m->of[2] = (struct entry){.pending = true, .value = -1};
	struct store_record group[2] = {
		{.kind = RECORD_FINISH, .id = id0, .target = m->of[0].at.seq},
		{.kind = RECORD_MESSAGE, .id = id2, .piece[0] = {.p = prologue, .n = PROLOGUE}, .pieces = 1}};
	ck_assert_int_eq(store_add(m->store, group, 2, false, &e), 0);
	add_message(m, 3, 200);
	commit(m);
	*to = *from + 64 + 88 + 88 + 256;
}

/* The second write stopped after each octet in turn, with zeros or with old octets behind it. */
START_TEST(torn_at_every_octet)
{
	struct model m;
	size_t from, to;
	make_model(&m);
	two_batches(&m, &from, &to);
	unsigned char *p = map_segment(&m), whole[SEGMENT];
	memcpy(whole, p, SEGMENT);
	for (size_t at = from; at < to; at++) {
		memset(p + at, _i ? 0x5a : 0, SEGMENT - at);
		reopen(&m);
		ck_assert_msg(m.of[1].live && reads_back(&m, 1), "cut at %zu", at);
		ck_assert_msg(m.of[0].live != m.of[2].live, "cut at %zu: half a group", at);
		ck_assert_msg(m.report.damaged == 0, "cut at %zu: called damage", at);
		ck_assert(!m.of[3].live || reads_back(&m, 3));
		memcpy(p, whole, SEGMENT);
	}
	reopen(&m);
	ck_assert(m.of[3].live && m.of[2].live && !m.of[0].live);
	munmap(p, SEGMENT);
	end_model(&m);
}
END_TEST

/* Each octet of a log of three batches changed in turn: what is not hit is found, what is lost is told. */
START_TEST(flipped_octets)
{
	struct model m;
	size_t from, to;
	make_model(&m);
	two_batches(&m, &from, &to);
	add_message(&m, 5, 50);
	commit(&m);
	unsigned char *p = map_segment(&m);
	for (size_t at = _i ? LOG_BLOCK : 0; at < (_i ? 3 * LOG_BLOCK + 200 : LOG_BLOCK); at++) {
		p[at] ^= 0x10;
		reopen(&m);
		unsigned live = 0;
		for (int i = 0; i < 6; i++)
			live += m.of[i].live;
		ck_assert_msg(live >= 3, "octet %zu: %u live", at, live);
		ck_assert_msg((live == 4 && !m.of[0].live) || m.report.damaged || m.report.torn_octets, "octet %zu: silent", at);
		p[at] ^= 0x10;
	}
	reopen(&m);
	ck_assert(!m.of[0].live && m.of[1].live && m.of[2].live && m.of[3].live && m.of[5].live);
	munmap(p, SEGMENT);
	end_model(&m);
}
END_TEST

/* A batch of three, of which a power cut kept the third alone, or the second's payload and half a header behind it: torn, however the parts lie to each other. */
START_TEST(torn_in_parts)
{
	struct model m;
	make_model(&m);
	add_message(&m, 0, 300);
	commit(&m);
	for (int i = 1; i < 4; i++)
		add_message(&m, i, 6000);
	commit(&m);
	unsigned char *p = map_segment(&m);
	size_t first = 2 * LOG_BLOCK, size = 6000 + PROLOGUE + RECORD_HEADER;
	if (_i == 0) {
		memset(p + first, 0, 2 * size);
	} else {
		memset(p + first + size - 1000, 0, 500);
		memset(p + first + size + 30, 0, SEGMENT - first - size - 30);
	}
	reopen(&m);
	ck_assert(m.of[0].live && reads_back(&m, 0));
	ck_assert_uint_eq(m.report.damaged, 0);
	ck_assert_uint_gt(m.report.torn_octets, 0);
	munmap(p, SEGMENT);
	end_model(&m);
}
END_TEST

/* The end of a batch that was synced, with a whole one behind it: damage. */
START_TEST(damage_before_the_last_batch)
{
	struct model m;
	make_model(&m);
	add_message(&m, 0, 300);
	add_message(&m, 1, 300);
	commit(&m);
	add_message(&m, 2, 300);
	commit(&m);
	unsigned char *p = map_segment(&m);
	memset(p + LOG_BLOCK + 388, 0, 388);
	reopen(&m);
	ck_assert(m.of[0].live && !m.of[1].live && m.of[2].live);
	ck_assert_uint_eq(m.report.damaged, 1);
	ck_assert_uint_eq(m.report.torn_octets, 0);
	munmap(p, SEGMENT);
	end_model(&m);
}
END_TEST

/* A message that contains a whole record, even one with the right sequence, does not become one when its own header is damaged. */
START_TEST(a_message_cannot_contain_a_record)
{
	struct model m;
	struct err e;
	unsigned char body[600] = {0}, prologue[PROLOGUE];
	char id[ID_LEN + 1], fake[ID_LEN + 1];
	make_model(&m);
	id_of(id, 1);
	id_of(fake, 7);
	prologue_put(prologue, &(struct prologue){.body_octets = sizeof body, .head_octets = 1, .rcpts = 1});
	struct record_header h = {.key = 12345, .seq = 1, .octets = 40, .batch = 1, .kind = RECORD_MESSAGE};
	memcpy(h.id, fake, ID_LEN);
	record_header_put(body + 8, &h);
	m.of[1].pending = true;
	ck_assert_int_eq(store_add(m.store, &(struct store_record){.kind = RECORD_MESSAGE, .id = id, .pieces = 2,
		.piece = {{.p = prologue, .n = PROLOGUE}, {.p = body, .n = sizeof body}}}, 1, true, &e), 0);
	commit(&m);
	add_message(&m, 2, 10);
	commit(&m);
	unsigned char *p = map_segment(&m);
	p[LOG_BLOCK + 30] ^= 1;
	reopen(&m);
	ck_assert(!m.of[1].live && !m.of[7].live && m.of[2].live);
	ck_assert_uint_eq(m.report.damaged, 1);
	munmap(p, SEGMENT);
	end_model(&m);
}
END_TEST

static unsigned segment_files;
static void count_segment(const char *path)
{
	segment_files += strstr(path, "segment.") != NULL;
}

/* Much more goes through than there is space for: dead segments are used again, one survivor is moved along. */
START_TEST(segments_are_used_again)
{
	struct model m;
	make_model(&m);
	add_message(&m, 0, 3000);
	commit(&m);
	for (int round = 0; round < 400; round++) {
		int n = 1 + round % 100;
		ck_assert_int_eq(add_message(&m, n, 4000), 0);
		commit(&m);
		/* What ends a message lies in a later segment. */
		int old = 1 + (round + 80) % 100;
		if (m.of[old].live)
			add_note(&m, old, RECORD_FINISH, 0);
		commit(&m);
		tend(&m);
		if (round % 37 == 0)
			reopen(&m);
	}
	ck_assert(m.of[0].live && reads_back(&m, 0));
	ck_assert_uint_gt(m.moved, 0);
	segment_files = 0;
	each_file(&m, count_segment);
	ck_assert_uint_le(segment_files, 12);
	for (int i = 1; i < 101; i++)
		if (m.of[i].live)
			add_note(&m, i, RECORD_FINISH, 0);
	commit(&m);
	reopen(&m);
	for (int i = 1; i < 101; i++)
		ck_assert_msg(!m.of[i].live, "%d came back", i);
	ck_assert(m.of[0].live && reads_back(&m, 0));
	end_model(&m);
}
END_TEST

/* Random work against the model.  After each crash: what was durable is there with its state, what was finished is not. */
struct durable {
	bool live, unknown;
	int value;
};

static void random_step(struct model *m, unsigned r)
{
	int n = (int)(r >> 8) % IDS;
	struct entry *x = &m->of[n];
	if (r % 10 < 4 && !x->live && !x->pending)
		(void)!add_message(m, n, (r >> 4) % 9000);
	else if (r % 10 < 6 && x->live && !x->pending)
		add_note(m, n, RECORD_STATE, (int)(r >> 4) & 0xffff);
	else if (x->live && !x->pending)
		add_note(m, n, RECORD_FINISH, 0);
}

static void check_against(struct model *m, const struct durable *d, unsigned seed)
{
	for (int i = 0; i < IDS; i++) {
		if (d[i].unknown)
			continue;
		ck_assert_msg(m->of[i].live == d[i].live, "seed %u: message %d is %s", seed, i, d[i].live ? "lost" : "back");
		if (d[i].live) {
			ck_assert_msg(m->of[i].value == d[i].value, "seed %u: message %d has state %d, not %d", seed, i, m->of[i].value, d[i].value);
			ck_assert_msg(reads_back(m, i), "seed %u: message %d cannot be read", seed, i);
		}
	}
}

static void remember(struct model *m, struct durable *d, bool all)
{
	for (int i = 0; i < IDS; i++) {
		if (all)
			d[i] = (struct durable){m->of[i].live, false, m->of[i].value};
		else
			d[i].unknown |= m->of[i].touched;
		m->of[i].touched &= !all;
	}
}

START_TEST(random_work)
{
	static struct model m;
	static struct durable d[IDS];
	struct err e;
	unsigned seed = (unsigned)_i * 7919 + 1;
	srandom(seed);
	make_model(&m);
	memset(d, 0, sizeof d);
	for (int i = 0; i < IDS; i++)
		d[i].value = -1;
	for (int step = 0; step < 1500; step++) {
		/* Half of the runs have a fault now and then. */
		if (_i % 2 && step % 50 == 0) {
			fault.at = fault.calls + 1 + random() % 60;
			fault.error = random() % 2 ? EIO : ENOSPC;
			fault.lasting = random() % 4 == 0;
		}
		if (step % 50 == 30)
			fault.lasting = false;
		random_step(&m, (unsigned)random());
		if (random() % 6 == 0) {
			int rc = store_commit(m.store, &e);
			remember(&m, d, rc == 0 && store_pending(m.store) == 0);
		}
		if (random() % 8 == 0 && !store_pending(m.store)) {
			store_tend(m.store, &e);
			if (store_pending(m.store) == 0)
				remember(&m, d, true);
		}
		if (random() % 120 == 0) {
			fault.at = 0;
			remember(&m, d, store_pending(m.store) == 0);
			reopen(&m);
			check_against(&m, d, seed);
			remember(&m, d, true);
		}
	}
	end_model(&m);
}
END_TEST

/* A full disk: refused with ENOSPC while it lasts, notes still go into the reserve, and all is well afterwards. */
START_TEST(full_disk)
{
	struct model m;
	struct err e = {0};
	int n = 0, rc = 0;
	make_model(&m);
	add_message(&m, 0, 1000);
	commit(&m);
	/* Creating files fails from now on. */
	fault.at = 1;
	fault.error = ENOSPC;
	fault.lasting = true;
	fault.calls = 0;
	for (n = 1; n < 100 && rc == 0; n++) {
		fault.at = 1;
		rc = store_room(m.store, 5000, &e);
		fault.at = 0;
		if (rc == 0) {
			ck_assert_int_eq(add_message(&m, n, 5000), 0);
			commit(&m);
		}
	}
	ck_assert_int_eq(rc, E_SYS);
	ck_assert_int_eq(e.sys, ENOSPC);
	for (int i = 0; i < n - 1; i++)
		if (m.of[i].live)
			add_note(&m, i, RECORD_FINISH, 0);
	commit(&m);
	ck_assert_int_eq(store_room(m.store, 5000, &e), 0);
	ck_assert_int_eq(add_message(&m, 200, 5000), 0);
	commit(&m);
	reopen(&m);
	ck_assert(m.of[200].live && !m.of[1].live);
	end_model(&m);
}
END_TEST

/* A failed sync is final: the messages of that batch are dropped, the notes are kept, the segment is never written again. */
START_TEST(failed_sync)
{
	struct model m;
	struct err e;
	make_model(&m);
	add_message(&m, 0, 1000);
	add_message(&m, 1, 1000);
	commit(&m);
	uint32_t seq = m.of[0].at.seq;
	add_message(&m, 2, 1000);
	add_note(&m, 0, RECORD_FINISH, 0);
	fault.calls = 0;
	fault.at = _i == 1 ? 1 : 2; /* the write or the sync */
	fault.error = EIO;
	fault.lasting = false;
	ck_assert_int_eq(store_commit(m.store, &e), 0);
	fault.at = 0;
	ck_assert(m.of[2].dropped && !m.of[2].live);
	add_message(&m, 3, 1000);
	commit(&m);
	ck_assert_uint_gt(m.of[3].at.seq, seq);
	if (_i == 2) {
		reopen(&m);
		ck_assert(!m.of[0].live && m.of[1].live && !m.of[2].live && m.of[3].live);
		end_model(&m);
		return;
	}
	tend(&m);
	ck_assert_uint_gt(m.of[1].at.seq, seq);
	reopen(&m);
	ck_assert(!m.of[0].live && m.of[1].live && !m.of[2].live && m.of[3].live && reads_back(&m, 1));
	end_model(&m);
}
END_TEST

UNIT_MAIN("queue-log", tcase_add_test(t, round_trip); tcase_add_test(t, second_instance_is_refused); tcase_add_loop_test(t, torn_at_every_octet, 0, 2);
	tcase_add_loop_test(t, flipped_octets, 0, 2); tcase_add_loop_test(t, torn_in_parts, 0, 2); tcase_add_test(t, damage_before_the_last_batch);
	tcase_add_test(t, a_message_cannot_contain_a_record); tcase_add_test(t, segments_are_used_again);
	tcase_add_loop_test(t, random_work, 0, 60); tcase_add_test(t, full_disk); tcase_add_loop_test(t, failed_sync, 0, 3);)
