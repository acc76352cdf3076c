/* See log_model.h. */
#include "tests/harness/log_model.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <check.h>

struct log_fault fault;

void id_of(char id[ID_LEN + 1], int n)
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

int open_model(struct model *m)
{
	struct err e;
	struct store_options o = {
		.segment_octets = SEGMENT, .spares_most = 2, .sys = &faulty,
		.on = {.ctx = m, .found = on_found, .placed = on_placed, .dropped = on_dropped, .wanted = on_wanted, .moving = on_moving}};
	for (int i = 0; i < IDS; i++)
		m->of[i] = (struct entry){.value = -1};
	m->store = NULL;
	return store_open(&m->store, m->dir_fd, &o, &m->report, &e);
}

void make_model(struct model *m)
{
	memset(m, 0, sizeof *m);
	fault.at = 0;
	snprintf(m->folder, sizeof m->folder, "/tmp/postern-log.XXXXXX");
	ck_assert_ptr_nonnull(mkdtemp(m->folder));
	m->dir_fd = open(m->folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	ck_assert_int_eq(open_model(m), 0);
}

void each_file(struct model *m, void (*act)(const char *path))
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

void end_model(struct model *m)
{
	store_close(m->store);
	each_file(m, unlink_path);
	rmdir(m->folder);
	close(m->dir_fd);
}

int add_message(struct model *m, int n, size_t body)
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

void add_note(struct model *m, int n, enum record_kind kind, int value)
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

void commit(struct model *m)
{
	struct err e;
	ck_assert_int_eq(store_commit(m->store, &e), 0);
}

void reopen(struct model *m)
{
	store_close(m->store);
	ck_assert_int_eq(open_model(m), 0);
}

void tend(struct model *m)
{
	struct err e;
	for (int i = 0; i < 1000 && store_tend(m->store, &e); i++)
		;
}

bool reads_back(struct model *m, int n)
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
