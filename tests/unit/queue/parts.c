/* queue: checksums, record headers, the curve, the index, notes. */
#include <stdio.h>
#include <stdlib.h>

#include "queue/crc32c.h"
#include "queue/index.h"
#include "queue/note.h"
#include "queue/queue.h"
#include "queue/verp.h"
#include "queue/record.h"
#include "queue/schedule.h"
#include "tests/unit/unit.h"

static const struct crc_row {
	const char *spec, *octets;
	size_t n;
	uint32_t crc;
} crcs[] = {
	{"RFC 3720 B.4: 32 zeros", "\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0", 32, 0x8a9136aa},
	{"32 ones", "\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff", 32, 0x62a8ab43},
	{"check value", "123456789", 9, 0xe3069283},
	{"nothing", "", 0, 0},
};

START_TEST(crc)
{
	const struct crc_row *r = &crcs[_i];
	ck_assert_uint_eq(crc32c(0, r->octets, r->n), r->crc);
	ck_assert_uint_eq(crc32c_table(0, r->octets, r->n), r->crc);
	for (size_t cut = 0; cut <= r->n; cut++)
		ck_assert_uint_eq(crc32c(crc32c(0, r->octets, cut), r->octets + cut, r->n - cut), r->crc);
}
END_TEST

enum { MANY = 500, REASON_OCTETS = 400 };

/* A work of MANY open recipients, each with a long reason, the last with a way that is kept. */
static struct work *long_work(struct message *m)
{
	static char reason[REASON_OCTETS + 1];
	memset(reason, 'r', REASON_OCTETS);
	struct work *w = calloc(1, sizeof *w);
	*w = (struct work){.m = m, .rcpt = calloc(MANY, sizeof *w->rcpt), .rcpts = MANY, .next_number = MANY, .job = JOB_INIT};
	for (uint32_t i = 0; i < MANY; i++) {
		w->rcpt[i] = (struct work_rcpt){.number = i, .origin = i};
		rcpt_text(&w->rcpt[i], RCPT_DEFERRED, "4.2.1", reason);
	}
	w->rcpt[MANY - 1].target = strdup("the way");
	w->rcpt[MANY - 1].target_octets = 7;
	w->rcpt[MANY - 1].target_holds = true;
	return w;
}

static void free_work(struct work *w)
{
	for (uint32_t i = 0; i < w->rcpts; i++) {
		free(w->rcpt[i].text);
		free(w->rcpt[i].host);
		free(w->rcpt[i].target);
	}
	free(w->rcpt);
	free(w);
}

/* Every recipient of the STATE, whole; the octets of all reasons. */
static size_t reasons_in(struct slice payload)
{
	struct note_state s;
	struct note_recipient r = {0};
	struct fields f;
	size_t octets = 0;
	long long n = 0;
	ck_assert_int_eq(note_state_get(&s, &f, payload), 0);
	for (; f.rest.n; n++) {
		ck_assert_int_eq(note_recipient_get(&r, &s, &f), 0);
		ck_assert(r.number == n);
		octets += r.text.n;
	}
	ck_assert_int_eq(n, MANY);
	ck_assert(s.open == MANY && slice_eq_str(r.target, "the way"));
	return octets;
}

START_TEST(state_that_is_too_long)
{
	struct message m = {0};
	struct work *w = long_work(&m);
	struct buf full = BUF_INIT(STORE_NOTE_MAX), small = BUF_INIT(MANY * REASON_OCTETS), none = BUF_INIT(1000);
	ck_assert_int_eq(work_state(&full, w, 1, false), 0);
	ck_assert_uint_eq(reasons_in(buf_slice(&full)), MANY * REASON_OCTETS);
	ck_assert_int_eq(work_state(&small, w, 1, false), 0); /* the reasons go before the recipients */
	ck_assert_uint_eq(reasons_in(buf_slice(&small)), 0);
	ck_assert_int_eq(work_state(&none, w, 1, false), E_TOO_LONG);
	buf_free(&full);
	buf_free(&small);
	buf_free(&none);
	free_work(w);
}
END_TEST

START_TEST(record_header)
{
	unsigned char p[RECORD_HEADER];
	struct record_header h = {.key = 1ull << 63, .seq = 7, .target = 3, .octets = 99, .batch = 5, .kind = RECORD_STATE, .flags = RECORD_MORE, .payload_crc = 42}, g;
	memcpy(h.id, "0123456789abc", ID_LEN);
	record_header_put(p, &h);
	ck_assert_int_eq(record_header_get(&g, p), 0);
	ck_assert(g.key == h.key && g.seq == 7 && g.target == 3 && g.octets == 99 && g.batch == 5 && g.kind == 'S' && g.flags == 1 && g.payload_crc == 42);
	for (size_t i = 0; i < sizeof p * 8; i++) {
		p[i / 8] ^= (unsigned char)(1u << i % 8);
		ck_assert_int_eq(record_header_get(&g, p), E_SYNTAX);
		p[i / 8] ^= (unsigned char)(1u << i % 8);
	}
	h.octets = RECORD_OCTETS_MAX + 1;
	record_header_put(p, &h);
	ck_assert_int_eq(record_header_get(&g, p), E_SYNTAX);
}
END_TEST

START_TEST(segment_header)
{
	static unsigned char block[LOG_BLOCK];
	struct segment_header h = {.seq = 9, .key = 8, .size = 7}, g;
	segment_header_put(block, &h);
	for (size_t i = 0; i < SEGMENT_HEADER; i++) {
		block[i] ^= 1; /* the first copy damaged: the second counts */
		ck_assert_int_eq(segment_header_get(&g, block), 0);
		ck_assert(g.seq == 9 && g.key == 8 && g.size == 7);
		block[i] ^= 1;
	}
	block[3] ^= 1;
	block[SEGMENT_COPY_AT + 3] ^= 1;
	ck_assert_int_eq(segment_header_get(&g, block), E_SYNTAX);
	segment_header_put(block, &h);
	put32(block + 16, LOG_VERSION + 1);
	put32(block + 60, crc32c(0, block, 60));
	ck_assert_int_eq(segment_header_get(&g, block), E_REFUSED);
}
END_TEST

/* birth + (floor(sqrt(age)) + 10 or 20)^2; MIX 0 is without spread. */
static const struct curve_row {
	const char *spec;
	int64_t birth, now;
	bool remote;
	int64_t next;
} curve[] = {
	{"first, local: 100 s", 1000, 1000, false, 1100},
	{"first, remote: 400 s", 1000, 1000, true, 1400},
	{"after 100 s, local", 1000, 1100, false, 1400},
	{"after 400 s, remote", 1000, 1400, true, 2600},
	{"not a square", 1000, 1099, false, 1361},
	{"a week, remote", 0, 604800, true, 797 * 797},
	{"clock went back", 1000, 500, false, 600},
};

START_TEST(next_attempt)
{
	const struct curve_row *r = &curve[_i];
	ck_assert_int_eq(schedule_next(r->birth, r->now, r->remote, 0), r->next);
	for (uint32_t mix = 0; mix < 5000; mix += 7) {
		int64_t next = schedule_next(r->birth, r->now, r->remote, mix);
		ck_assert(next >= r->next && next <= r->next + (r->next - r->now) / 16 && next > r->now);
	}
}
END_TEST

START_TEST(lifetime)
{
	ck_assert(!schedule_over(1000, 1060, 60));
	ck_assert(schedule_over(1000, 1061, 60));
	ck_assert(!schedule_over(1000, 10, 60));
}
END_TEST

static void name(char id[ID_LEN + 1], unsigned n)
{
	snprintf(id, ID_LEN + 1, "%013u", n);
}

/* Many come, wait and go in another order; the earliest is always first. */
START_TEST(index_work)
{
	enum { N = 20000 };
	static struct message *m[N];
	struct index x = {0};
	char id[ID_LEN + 1];
	ck_assert_ptr_null(index_find(&x, "0000000000000"));
	for (unsigned i = 0; i < N; i++) {
		name(id, i);
		m[i] = index_add(&x, id);
		ck_assert_ptr_nonnull(m[i]);
		index_wait(&x, m[i], (i * 7919u) % N);
	}
	ck_assert_uint_le(sizeof(struct message), 64);
	ck_assert_uint_le(index_octets(&x) / N, 100);
	for (unsigned i = 0; i < N; i += 3) {
		index_remove(&x, m[i]);
		m[i] = NULL;
	}
	for (unsigned i = 0; i < N; i++) {
		name(id, i);
		ck_assert_ptr_eq(index_find(&x, id), m[i]);
	}
	for (unsigned i = 1; i < N; i += 3)
		index_wait(&x, m[i], (i * 31u) % 1000);
	uint32_t last = 0, seen = 0;
	for (struct message *f; (f = index_first(&x)); seen++) {
		ck_assert_uint_ge(f->next_sec, last);
		last = f->next_sec;
		index_stop_waiting(&x, f);
	}
	ck_assert_uint_eq(seen, x.count);
	index_free(&x);
}
END_TEST

/* COMPAT: owner-@host-@[] leaves as owner-user=domain@host. */
static const struct verp_row {
	const char *sender, *recipient, *expanded, *plain;
} verps[] = {
	{"owner-@host.test-@[]", "u@d.test", "owner-u=d.test@host.test", "owner-@host.test"},
	{"owner-@host.test-@[]", "\"a@b\"@d.test", "owner-\"a@b\"=d.test@host.test", "owner-@host.test"},
	{"a@b@host.test-@[]", "u@d.test", "a@bu=d.test@host.test", "a@b@host.test"},
	{"owner@host.test", "u@d.test", "owner@host.test", "owner@host.test"},
	{"owner-@[]", "u@d.test", "owner-@[]", "owner-@[]"},
	{"-@[]", "u@d.test", "-@[]", "-@[]"},
	{"owner-@host.test-@[]", "nowhere", "owner-@host.test", "owner-@host.test"},
	{"", "u@d.test", "", ""},
};

START_TEST(verp)
{
	const struct verp_row *r = &verps[_i];
	struct buf b = BUF_INIT(1000);
	verp_expand(&b, slice_str(r->sender), slice_str(r->recipient));
	ck_assert_msg(slice_eq_str(buf_slice(&b), r->expanded), "%s: %.*s", r->sender, SLICE_FMT(buf_slice(&b)));
	ck_assert(slice_eq_str(verp_plain(slice_str(r->sender)), r->plain));
	/* never longer than an address */
	char name[ADDRESS_MAX + 1];
	memset(name, 'x', ADDRESS_MAX);
	name[ADDRESS_MAX - 7] = '@';
	name[ADDRESS_MAX] = 0;
	buf_reset(&b);
	verp_expand(&b, slice_str(r->sender), slice_str(name));
	ck_assert_uint_le(b.n, ADDRESS_MAX);
	ck_assert(slice_eq_str(buf_slice(&b), r->plain));
	buf_free(&b);
}
END_TEST

START_TEST(notes)
{
	struct buf b = BUF_INIT(1 << 20);
	struct note_state s = {
		.attempts = 3, .next_sec = 1800000000, .next_number = 7, .held = true, .hold_reason = slice_str("why"), .hold_owner = slice_str("u@x"),
		.hold_until_sec = 5, .hold_then = 'b', .told = true, .unrouted = true, .paused = 2, .open = 1, .owed = 1}, t;
	struct note_recipient r = {
		.number = 6, .kind = NOTE_HOLDS, .origin = 2, .doubt = true, .address = slice_str("m@x"), .target = slice_str("anything"), .enhanced = "4.4.1",
		.host = slice_str("h"), .text = slice_str("t \r\n")}, u;
	struct fields f;
	note_state_put(&b, &s);
	note_recipient_put(&b, &r);
	r.number = 7;
	r.kind = NOTE_RELAYED;
	note_recipient_put(&b, &r);
	ck_assert_int_eq(note_state_get(&t, &f, buf_slice(&b)), 0);
	ck_assert_int_eq(note_state_get(&t, &f, slice_str("1:5,what comes then is not known")), E_REFUSED);
	ck_assert_int_eq(note_state_get(&t, &f, slice_str("1:0,")), E_SYNTAX);
	ck_assert_int_eq(note_state_get(&t, &f, buf_slice(&b)), 0);
	ck_assert(t.attempts == 3 && t.next_sec == 1800000000 && t.next_number == 7 && t.held && t.hold_then == 'b' && t.told && t.unrouted && t.paused == 2 && t.open == 1 && t.owed == 1 && t.hold_until_sec == 5);
	ck_assert(slice_eq_str(t.hold_reason, "why") && slice_eq_str(t.hold_owner, "u@x"));
	ck_assert_int_eq(note_recipient_get(&u, &t, &f), 0);
	ck_assert(u.number == 6 && u.kind == NOTE_HOLDS && u.origin == 2 && u.doubt && slice_eq_str(u.address, "m@x") && slice_eq_str(u.text, "t \r\n"));
	ck_assert_int_eq(note_recipient_get(&u, &t, &f), 0);
	ck_assert(fields_done(&f) && u.number == 7 && u.kind == NOTE_RELAYED);
	for (size_t cut = 0; cut < b.n; cut++)
		ck_assert(note_state_get(&t, &f, slice_upto(buf_slice(&b), cut)) < 0 || note_recipient_get(&u, &t, &f) < 0 || note_recipient_get(&u, &t, &f) < 0);
	buf_free(&b);
}
END_TEST

/* STATEs that earlier versions wrote: without and with the mark of a delay told; a target there is one that holds. */
static const struct {
	const char *payload;
	bool told, unrouted;
} earlier[] = {
	{"1:1,1:3,2:99,1:7,1:0,0:,0:,1:0,1:-,1:2," "1:0,1:0,1:1,0:,0:,5:4.2.1,1:h,1:t," "1:5,1:0,1:0,3:m@x,1:T,0:,0:,0:,", false, false},
	{"1:2,1:3,2:99,1:7,1:0,0:,0:,1:0,1:-,1:1,1:2," "1:0,1:0,1:1,0:,0:,5:4.2.1,1:h,1:t," "1:5,1:0,1:0,3:m@x,1:T,0:,0:,0:,", true, false},
	{"1:3,1:3,2:99,1:7,1:0,0:,0:,1:0,1:-,1:1,1:1,1:2,1:0," "1:o,1:0,1:0,1:1,0:,0:,5:4.2.1,1:h,1:t," "1:h,1:5,1:0,1:0,3:m@x,1:T,0:,0:,0:,", true, true},
};

START_TEST(earlier_notes)
{
	struct note_state s;
	struct note_recipient r;
	struct fields f;
	ck_assert_int_eq(note_state_get(&s, &f, slice_str(earlier[_i].payload)), 0);
	ck_assert(s.attempts == 3 && s.next_sec == 99 && s.told == earlier[_i].told && s.unrouted == earlier[_i].unrouted && !s.paused && s.open == 2 && s.owed == 0);
	ck_assert_int_eq(note_recipient_get(&r, &s, &f), 0);
	ck_assert(r.number == 0 && r.kind == NOTE_OPEN && r.doubt && slice_eq_str(r.host, "h"));
	ck_assert_int_eq(note_recipient_get(&r, &s, &f), 0);
	ck_assert(r.number == 5 && r.kind == NOTE_HOLDS && slice_eq_str(r.target, "T") && fields_done(&f));
}
END_TEST

/* RESULT: numbers, and with what is to be told. */
static const struct {
	const char *payload;
	int numbers; /* -1: refused */
} dones[] = {
	{"", 0}, {"1:5,", 1}, {"1:5,2:17,", 2}, {"1:d,1:5,5:2.1.5,1:h,2:ok,", 1}, {"1:3,1:r,1:5,5:2.0.0,0:,0:,1:9,", 3}, {"1:e,1:5,0:,0:,0:,", -1}, {"1:x,", -1},
	{"1:d,", -1}, {"1:d,1:5,5:2.1.5,1:h,", -1}, {"1:d,1:d,5:2.1.5,1:h,2:ok,", -1}, {"9:999999999,", -1}, {"1:5", -1},
};

START_TEST(results)
{
	struct fields f = {.rest = slice_str(dones[_i].payload)};
	struct note_done d;
	struct buf b = BUF_INIT(1000);
	int n = 0, rc = 0;
	while (f.rest.n && (rc = note_done_get(&d, &f)) == 0) {
		note_done_put(&b, &d);
		n++;
	}
	ck_assert_msg((rc < 0 ? -1 : n) == dones[_i].numbers, "%s", dones[_i].payload);
	ck_assert(rc < 0 || slice_eq_str(buf_slice(&b), dones[_i].payload));
	buf_free(&b);
}
END_TEST

UNIT_MAIN("queue-parts",
	tcase_add_test(t, state_that_is_too_long); tcase_add_loop_test(t, crc, 0, sizeof crcs / sizeof *crcs); tcase_add_test(t, record_header); tcase_add_test(t, segment_header);
	tcase_add_loop_test(t, next_attempt, 0, sizeof curve / sizeof *curve); tcase_add_test(t, lifetime); tcase_add_test(t, index_work);
	tcase_add_test(t, notes);
	tcase_add_loop_test(t, earlier_notes, 0, sizeof earlier / sizeof *earlier); tcase_add_loop_test(t, results, 0, sizeof dones / sizeof *dones); tcase_add_loop_test(t, verp, 0, sizeof verps / sizeof *verps);)
