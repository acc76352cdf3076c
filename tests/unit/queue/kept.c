/* queue/log_tend: a segment whose notes cannot be copied is not lost: at a start without memory for what it knows of them (its pins), and where the disk has damaged one.
 *
 * The pins and the clock are wrapped by the linker (Makefile). */
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "lib/io.h"
#include "queue/segment.h"
#include "tests/unit/unit.h"

#define SEGMENT 65536
#define RESTS 20 /* more than the store takes before it gives up copying */

static bool no_pins, no_copies, living;
static int64_t later_msec;

int __real_segment_pin(struct segment *g, uint32_t target, struct err *e);
int __wrap_segment_pin(struct segment *g, uint32_t target, struct err *e);
int __wrap_segment_pin(struct segment *g, uint32_t target, struct err *e)
{
	return no_pins ? E_SYS : __real_segment_pin(g, target, e);
}

int64_t __real_clock_msec(void);
int64_t __wrap_clock_msec(void);
int64_t __wrap_clock_msec(void)
{
	return __real_clock_msec() + later_msec;
}

/* One message that matters, "first", and what is known of it. */
struct known {
	struct store *store;
	struct store_at at, state;
	uint32_t octets;
	char value; /* of its last STATE, 0: none */
	unsigned wanted;
};
static const char first[ID_LEN + 1] = "first00000000", other[ID_LEN + 1] = "other00000000";

static bool is_first(const char *id)
{
	return memcmp(id, first, ID_LEN) == 0;
}

static void on_found(void *ctx, const struct store_found *f)
{
	struct known *k = ctx;
	if (!is_first(f->id))
		return;
	if (f->kind == RECORD_MESSAGE) {
		*k = (struct known){.store = k->store, .at = f->at, .octets = f->octets};
		store_live(k->store, f->at, f->octets);
	} else {
		k->value = f->payload.p[0];
		k->state = f->at;
	}
}

static void on_placed(void *ctx, const struct store_found *f)
{
	struct known *k = ctx;
	if (living && f->kind == RECORD_MESSAGE)
		store_live(k->store, f->at, f->octets);
	if (!is_first(f->id))
		return;
	if (f->kind == RECORD_MESSAGE) {
		k->at = f->at;
		k->octets = f->octets;
	} else {
		k->state = f->at;
	}
}

static bool readable(struct known *k, struct store_at at)
{
	struct store_reader r;
	struct err e;
	char octets[64];
	return store_read(&r, k->store, at, &e) == 0 && store_read_next(&r, octets, (size_t)r.left, &e) == 0 && store_read_end(&r, &e) == 0;
}

static int on_wanted(void *ctx, const struct store_found *f)
{
	struct known *k = ctx;
	if (f->kind != RECORD_STATE || !store_at_eq(k->state, f->at))
		return f->kind == RECORD_MESSAGE && store_at_eq(k->at, f->at);
	k->wanted++;
	return no_copies || (living && !readable(k, f->at)) ? E_SYS : 0;
}

static int on_moving(void *ctx, const char *id, struct store_record *note)
{
	(void)ctx;
	(void)id;
	(void)note;
	return E_SYS;
}

static void open_store(struct known *k, int dir_fd)
{
	struct err e;
	struct store_report report;
	struct store_options o = {.segment_octets = SEGMENT, .spares_most = 2, .sys = &store_sys_real,
		.on = {.ctx = k, .found = on_found, .placed = on_placed, .wanted = on_wanted, .moving = on_moving}};
	*k = (struct known){0};
	ck_assert_int_eq(store_open(&k->store, dir_fd, &o, &report, &e), 0);
	ck_assert_uint_eq(report.damaged, 0);
}

static void add(struct known *k, const char *id, enum record_kind kind, struct slice payload)
{
	struct err e;
	const struct store_record r = {.kind = kind, .id = id, .target = kind == RECORD_STATE ? k->at.seq : 0, .piece[0] = {.p = payload.p, .n = payload.n}, .pieces = 1};
	ck_assert_int_eq(store_add(k->store, &r, 1, false, &e), 0);
	ck_assert_int_eq(store_commit(k->store, &e), 0);
}

/* So much, which nobody wants, that the next record begins another segment. */
static void next_segment(struct known *k)
{
	static char octets[SEGMENT - 2 * LOG_BLOCK];
	add(k, other, RECORD_RESULT, slice_make(octets, sizeof octets));
}

static void tend_long(struct known *k)
{
	struct err e;
	for (int i = 0; i < RESTS; i++, later_msec += 2000)
		while (store_tend(k->store, &e))
			;
}

static void remove_folder(const char *folder)
{
	pid_t pid = fork();
	if (pid == 0)
		execlp("rm", "rm", "-rf", folder, (char *)NULL);
	waitpid(pid, NULL, 0);
}

START_TEST(state_alone)
{
	char folder[] = "/tmp/postern-kept.XXXXXX", octets[PROLOGUE + 100] = {0};
	struct known k = {0};
	ck_assert_ptr_nonnull(mkdtemp(folder));
	int dir_fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	open_store(&k, dir_fd);
	add(&k, first, RECORD_MESSAGE, slice_make(octets, sizeof octets));
	next_segment(&k);
	add(&k, first, RECORD_STATE, slice_str("s"));
	next_segment(&k);
	add(&k, other, RECORD_RESULT, slice_str("x"));
	ck_assert(k.at.seq < k.state.seq);
	store_close(k.store);
	no_pins = no_copies = true;
	open_store(&k, dir_fd);
	no_pins = false;
	tend_long(&k);
	ck_assert_uint_gt(k.wanted, 1); /* it was to be copied, and could not */
	ck_assert_uint_lt(k.wanted, RESTS); /* and is left alone */
	store_close(k.store);
	no_copies = false;
	open_store(&k, dir_fd);
	ck_assert_int_eq(k.value, 's');
	store_close(k.store);
	close(dir_fd);
	remove_folder(folder);
}
END_TEST

#define STATE "what is known of it"

/* Flip a bit of the STATE, wherever it lies below DIR_FD. */
static void rot(int dir_fd)
{
	static char octets[SEGMENT];
	int flipped = 0;
	for (unsigned n = 1; n < 20; n++) {
		char name[32];
		snprintf(name, sizeof name, "segment.%08x", n);
		int fd = openat(dir_fd, name, O_RDWR | O_CLOEXEC);
		ssize_t got = fd < 0 ? 0 : pread(fd, octets, sizeof octets, 0);
		char *p = got > 0 ? memmem(octets, (size_t)got, STATE, strlen(STATE)) : NULL;
		flipped += p && pwrite(fd, "W", 1, p - octets) == 1;
		close_fd(&fd);
	}
	ck_assert_int_eq(flipped, 1);
}

/* The disk changes a bit of the only STATE while the store runs, and its segment is next to be emptied: it stays. */
START_TEST(rotten_state)
{
	char folder[] = "/tmp/postern-kept.XXXXXX", octets[PROLOGUE + 100] = {0};
	struct known k = {0};
	struct store_reader r;
	struct err e;
	ck_assert_ptr_nonnull(mkdtemp(folder));
	int dir_fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	open_store(&k, dir_fd);
	living = true;
	add(&k, first, RECORD_MESSAGE, slice_make(octets, sizeof octets));
	next_segment(&k);
	add(&k, first, RECORD_STATE, slice_str(STATE));
	for (int i = 0; i < 4; i++) {
		next_segment(&k);
		add(&k, other, RECORD_MESSAGE, slice_make(octets, sizeof octets)); /* none but the STATE's is without life */
	}
	ck_assert(readable(&k, k.state));
	rot(dir_fd);
	ck_assert(!readable(&k, k.state));
	tend_long(&k);
	ck_assert_uint_gt(k.wanted, 1);
	ck_assert_uint_lt(k.wanted, RESTS);
	ck_assert_msg(store_read(&r, k.store, k.state, &e) == 0, "its segment is gone: %s", e.text);
	store_close(k.store);
	close(dir_fd);
	remove_folder(folder);
}
END_TEST

UNIT_MAIN("queue-kept", tcase_add_test(t, state_alone); tcase_add_test(t, rotten_state);)
