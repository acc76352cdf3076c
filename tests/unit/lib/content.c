/* Head and body of a message in one datagram: what goes as text and what as a file, on both sides of each limit, and what fails. */
#include "lib/content.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lib/netstring.h"
#include "tests/harness/process.h"
#include "tests/unit/unit.h"

static char octets[4 * CONTENT_FEW];

enum how { MEMORY, FILE_ALONE, FILE_LOOKED_AT };
static struct content make(enum how how, size_t n)
{
	struct content c = CONTENT_INIT;
	struct err e;
	for (size_t i = 0; i < sizeof octets; i++)
		octets[i] = (char)(i * 7 + i / 256);
	if (how == MEMORY)
		content_borrow(&c, slice_make(octets, n));
	else
		ck_assert_int_eq(content_of_file(&c, memfd_with("t", slice_make(octets, n), &e), BODY_MAX, &e), 0);
	if (how == FILE_LOOKED_AT)
		ck_assert_int_eq(content_look(&c, &e), 0);
	return c;
}

static const struct {
	const char *spec;
	enum how head_how, body_how;
	size_t head, body;
	int files; /* descriptors besides the reply */
} rows[] = {
	{"both few", MEMORY, MEMORY, 300, 4000, 0},
	{"no body", MEMORY, MEMORY, 300, 0, 0},
	{"together just few", MEMORY, MEMORY, 384, CONTENT_FEW - 384, 0},
	{"together one too many", MEMORY, MEMORY, 384, CONTENT_FEW - 383, 1},
	{"a head just few", MEMORY, MEMORY, CONTENT_FEW, 1, 1},
	{"a head just few, no body", MEMORY, MEMORY, CONTENT_FEW, 0, 0},
	{"a head one too large", MEMORY, MEMORY, CONTENT_FEW + 1, 1, 2},
	{"a head too large, no body", MEMORY, MEMORY, CONTENT_FEW + 1, 0, 2},
	{"a large body", MEMORY, MEMORY, 300, 3 * CONTENT_FEW, 1},
	{"both large", MEMORY, MEMORY, 2 * CONTENT_FEW, 3 * CONTENT_FEW, 2},
	{"files that nobody looked at", FILE_ALONE, FILE_ALONE, 300, 4000, 2},
	{"a file as head that nobody looked at", FILE_ALONE, MEMORY, 300, 4000, 2},
	{"a head that was looked at", FILE_LOOKED_AT, FILE_ALONE, 300, 4000, 1},
	{"files that were looked at", FILE_LOOKED_AT, FILE_LOOKED_AT, 300, 4000, 0},
	{"large files that were looked at", FILE_LOOKED_AT, FILE_LOOKED_AT, 2 * CONTENT_FEW, 3 * CONTENT_FEW, 2},
	{"an empty file as body", MEMORY, FILE_ALONE, 300, 0, 1},
};

/* Through a socket and out of it as it went in, to the octet, and no descriptor left. */
START_TEST(round_trip)
{
	static char space[CONTENT_TEXT_MAX + 4];
	int before = open_fds(), pair[2], fds[PASS_FDS_MAX], reply[2];
	struct content head = make(rows[_i].head_how, rows[_i].head), body = make(rows[_i].body_how, rows[_i].body), h, b;
	size_t n, count;
	struct err e = {0};
	ck_assert(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) == 0 && socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, reply) == 0);
	ck_assert_msg(content_send(pair[0], slice_str("own:"), &head, &body, reply[0], deadline_in(0), &e) == 0, "%s", e.text);
	content_close(&head);
	content_close(&body);
	ck_assert_msg(pass_recv(pair[1], space, sizeof space, &n, fds, &count, deadline_in(0), &e) == 0, "%s", e.text);
	ck_assert_msg(count == (size_t)rows[_i].files + 1, "%s: %zu descriptors", rows[_i].spec, count);
	ck_assert(slice_starts(slice_make(space, n), "own:"));
	ck_assert_msg(content_take(&h, &b, slice_make(space + 4, n - 4), fds, count, &e) == rows[_i].files, "%s: %s", rows[_i].spec, e.text);
	for (int i = 0; i < rows[_i].files; i++)
		ck_assert_int_eq(fds[i], -1);
	struct stat one, other;
	ck_assert(fstat(fds[count - 1], &one) == 0 && fstat(reply[0], &other) == 0 && one.st_ino == other.st_ino);
	ck_assert(content_look(&h, &e) == 0 && content_look(&b, &e) == 0);
	ck_assert(slice_eq(content_slice(&h), slice_make(octets, rows[_i].head)) && slice_eq(content_slice(&b), slice_make(octets, rows[_i].body)));
	content_close(&h);
	content_close(&b);
	close_fds(fds, count);
	close_fds(pair, 2);
	close_fds(reply, 2);
	ck_assert_int_eq(open_fds(), before);
}
END_TEST

static const struct {
	const char *spec, *rest;
	int files; /* sealed ones that come with it */
	int taken; /* or E_PEER */
} texts[] = {
	{"nothing at all", "", 0, E_PEER},
	{"one file", "", 1, E_PEER},
	{"two files", "", 2, 2},
	{"three files: one is somebody else's", "", 3, 2},
	{"a head and one file", "1:h,", 1, 1},
	{"a head and nothing", "1:h,", 0, E_PEER},
	{"both", "1:h,1:b,", 0, 0},
	{"both, and a file that is somebody else's", "1:h,1:b,", 1, 0},
	{"both, and more", "1:h,1:b,1:x,", 0, E_PEER},
	{"both, and an octet", "1:h,1:b,x", 0, E_PEER},
	{"no netstring", "h", 1, E_PEER},
	{"cut off", "1:h,3:bo", 0, E_PEER},
	{"a leading zero", "01:h,", 1, E_PEER},
	{"a length of many digits", "99999999999999999999:h,", 1, E_PEER},
	{"a negative length", "-1:h,", 1, E_PEER},
};

START_TEST(text)
{
	int before = open_fds(), fds[3] = {-1, -1, -1};
	struct content h, b;
	struct err e;
	for (int i = 0; i < texts[_i].files; i++)
		fds[i] = memfd_with("t", slice_str("x"), &e);
	ck_assert_msg(content_take(&h, &b, slice_str(texts[_i].rest), fds, (size_t)texts[_i].files, &e) == texts[_i].taken, "%s", texts[_i].spec);
	content_close(&h);
	content_close(&b);
	close_fds(fds, 3);
	ck_assert_int_eq(open_fds(), before);
}
END_TEST

/* More than CONTENT_FEW is never read from a datagram's text, whatever it says. */
START_TEST(too_much_text)
{
	struct buf t = BUF_INIT(4 * CONTENT_FEW);
	struct content h, b;
	struct err e;
	netstring_add(&t, slice_make(octets, CONTENT_FEW + 1));
	netstring_add_str(&t, "b");
	ck_assert_int_eq(content_take(&h, &b, buf_slice(&t), NULL, 0, &e), E_PEER);
	content_close(&h);
	content_close(&b);
	buf_free(&t);
}
END_TEST

START_TEST(bad_files)
{
	int before = open_fds(), pair[2], open_one = memfd_make("open", NULL);
	struct content c = CONTENT_INIT;
	struct err e;
	ck_assert_int_eq(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair), 0);
	ck_assert_int_eq(content_of_file(&c, open_one, BODY_MAX, &e), E_PEER);
	ck_assert_int_eq(content_of_file(&c, pair[0], BODY_MAX, &e), E_PEER);
	ck_assert_int_eq(content_of_file(&c, pair[1], BODY_MAX, &e), E_PEER);
	ck_assert_int_eq(content_of_file(&c, memfd_with("t", slice_str("four"), &e), 3, &e), E_PEER);
	ck_assert_int_eq(content_of_file(&c, memfd_with("t", slice_str("four"), &e), 4, &e), 0);
	content_close(&c);
	ck_assert_int_eq(open_fds(), before);
}
END_TEST

/* No memory to map it: said so, and later it is there. */
START_TEST(no_memory)
{
#ifndef __SANITIZE_ADDRESS__ /* which ends a program without memory */
	struct content c = make(FILE_ALONE, 3 * CONTENT_FEW);
	struct rlimit before, none;
	struct err e = {0};
	ck_assert_int_eq(getrlimit(RLIMIT_AS, &before), 0);
	none = before;
	none.rlim_cur = 0;
	ck_assert_int_eq(setrlimit(RLIMIT_AS, &none), 0);
	int rc = content_look(&c, &e);
	ck_assert_int_eq(setrlimit(RLIMIT_AS, &before), 0);
	ck_assert_int_eq(rc, E_SYS);
	ck_assert(!c.p && content_slice(&c).n == 0);
	ck_assert(content_look(&c, &e) == 0 && slice_eq(content_slice(&c), slice_make(octets, 3 * CONTENT_FEW)));
	content_close(&c);
#endif
}
END_TEST

/* Of its own making: sealed here; nothing to seal is a failure, with the descriptor in its hands. */
START_TEST(own_files)
{
	int before = open_fds();
	struct content c = CONTENT_INIT;
	struct err e;
	size_t n;
	int fd = memfd_make("own", NULL);
	ck_assert(write(fd, "four", 4) == 4 && content_of_own_file(&c, fd, &e) == 0);
	ck_assert(c.octets == 4 && memfd_check(&n, c.fd, BODY_MAX, &e) == 0 && content_look(&c, &e) == 0 && slice_eq_str(content_slice(&c), "four"));
	ck_assert_int_eq(content_of_own_file(&c, open("/dev/null", O_RDONLY | O_CLOEXEC), &e), E_SYS);
	content_close(&c);
	ck_assert_int_eq(open_fds(), before);
}
END_TEST

/* Kernels before Linux 6.7 refuse a shared mapping of a sealed file, those after it do not: so the kernel is asked how it is mapped. */
START_TEST(mapped_privately)
{
	struct content c = make(FILE_LOOKED_AT, 2 * CONTENT_FEW);
	FILE *maps = fopen("/proc/self/maps", "re");
	char line[512], how[5] = "";
	ck_assert_ptr_nonnull(maps);
	while (!how[0] && fgets(line, sizeof line, maps))
		if (strstr(line, "/memfd:t"))
			ck_assert_int_eq(sscanf(line, "%*s %4s", how), 1);
	ck_assert_str_eq(how, "r--p");
	fclose(maps);
	content_close(&c);
}
END_TEST

/* A buffer that overflowed has no whole message. */
START_TEST(of_a_buffer)
{
	struct content c = CONTENT_INIT;
	struct buf b = BUF_INIT(3);
	struct err e;
	buf_add_str(&b, "abc");
	ck_assert_int_eq(content_of_buf(&c, &b, &e), 0);
	ck_assert(slice_eq_str(content_slice(&c), "abc") && !b.p && !b.n);
	buf_add_str(&b, "abcd");
	ck_assert_int_eq(content_of_buf(&c, &b, &e), E_SYS);
	ck_assert_msg(slice_eq_str(content_slice(&c), "abc"), "what was there stays");
	content_close(&c);
	buf_free(&b);
}
END_TEST

/* No descriptor is left for the file that is wanted: nothing is sent, and it goes later. */
START_TEST(no_descriptor)
{
	int pair[2], top;
	struct content head = make(MEMORY, 300), body = make(MEMORY, 2 * CONTENT_FEW);
	struct rlimit before, none;
	struct err e = {0};
	char space[64];
	ck_assert_int_eq(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair), 0);
	ck_assert_int_eq(getrlimit(RLIMIT_NOFILE, &before), 0);
	top = dup(0);
	close(top);
	none = before;
	none.rlim_cur = (rlim_t)top;
	ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &none), 0);
	int rc = content_send(pair[0], slice_str(""), &head, &body, -1, deadline_in(0), &e);
	ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &before), 0);
	ck_assert_int_eq(rc, E_SYS);
	ck_assert_msg(recv(pair[1], space, sizeof space, MSG_DONTWAIT) < 0, "nothing came");
	ck_assert_int_eq(content_send(pair[0], slice_str(""), &head, &body, -1, deadline_in(0), &e), 0);
	content_close(&head);
	content_close(&body);
	close_fds(pair, 2);
}
END_TEST

UNIT_MAIN("content",
	tcase_add_loop_test(t, round_trip, 0, sizeof rows / sizeof *rows);
	tcase_add_loop_test(t, text, 0, sizeof texts / sizeof *texts);
	tcase_add_test(t, too_much_text);
	tcase_add_test(t, bad_files);
	tcase_add_test(t, no_memory);
	tcase_add_test(t, own_files);
	tcase_add_test(t, mapped_privately);
	tcase_add_test(t, of_a_buffer);
	tcase_add_test(t, no_descriptor);)
