/* queue/log*: segments used again, random work against a model with faults injected into every call, a full disk, a sync that fails. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "tests/harness/log_model.h"
#include "tests/unit/unit.h"

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

UNIT_MAIN("queue-log-work", tcase_add_test(t, segments_are_used_again); tcase_add_loop_test(t, random_work, 0, 60); tcase_add_test(t, full_disk);
	tcase_add_loop_test(t, failed_sync, 0, 3);)
