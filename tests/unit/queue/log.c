/* queue/log*: round trips, torn writes at every octet, flipped bits: what is read of a log after a power cut, or from a bad disk. */
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "tests/harness/log_model.h"
#include "tests/unit/unit.h"

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

UNIT_MAIN("queue-log", tcase_add_test(t, round_trip); tcase_add_test(t, second_instance_is_refused); tcase_add_loop_test(t, torn_at_every_octet, 0, 2);
	tcase_add_loop_test(t, flipped_octets, 0, 2); tcase_add_loop_test(t, torn_in_parts, 0, 2); tcase_add_test(t, damage_before_the_last_batch);
	tcase_add_test(t, a_message_cannot_contain_a_record);)
