/* Local delivery: what is put into a Maildir: once, whole, or refused (tests/harness/local_worker.h). */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lib/io.h"
#include "lib/netstring.h"
#include "tests/harness/local_worker.h"
#include "tests/unit/unit.h"

START_TEST(plain)
{
	char one[300];
	struct stat st;
	struct delivery_result r = deliver(&(struct order){.maildir = maildir("u1"), .number = 7, .files = _i});
	WANT(r, DELIVERY_DONE, "2.0.0", box);
	ck_assert_int_eq(r.number, 7);
	ck_assert_int_eq(names(box, "new", one), 1);
	ck_assert_str_eq(strrchr(one, '/') + 1, ID ".7.mx.test,S=69");
	holds(one, TRACE HEADER BODY);
	ck_assert_int_eq(stat(one, &st), 0);
	ck_assert_int_eq(st.st_size, 69);
	ck_assert_int_eq(st.st_mode & 07777, 0600);
	ck_assert_int_eq(stat(box, &st), 0);
	ck_assert_int_eq(st.st_mode & 07777, 0700);
	ck_assert_int_eq(names(box, "tmp", NULL), 0);
}
END_TEST

START_TEST(hundred_recipients_in_one_delivery)
{
	size_t count;
	struct delivery_result r = take(post(&(struct order){.maildir = maildir("u1"), .count = 100}), &count);
	WANT(r, DELIVERY_DONE, "2.0.0", "");
	ck_assert_uint_eq(count, 100);
	ck_assert_int_eq(names(box, "new", NULL), 100);
}
END_TEST

START_TEST(hundred_deliveries_waiting)
{
	int reply[100];
	char user[16];
	kill(worker, SIGSTOP);
	for (int i = 0; i < 100; i++) {
		join(user, sizeof user, "u%d", i % 10);
		reply[i] = post(&(struct order){.maildir = maildir(user), .number = i});
	}
	kill(worker, SIGCONT);
	for (int i = 0; i < 100; i++) {
		struct delivery_result r = take(reply[i], NULL);
		WANT(r, DELIVERY_DONE, "2.0.0", "");
	}
	ck_assert_int_eq(names(maildir("u3"), "new", NULL), 10);
}
END_TEST

/* Repeated deliveries, as after a crash: what is there already, and what must come of it. */
static const struct {
	const char *spec, *sub, *file, *content; /* NULL content: the whole message */
	bool doubt;
	int in_new, in_cur;
	const char *text;
} again[] = {
	{"whole in new", "new", ID ".0.mx.test,S=69", NULL, true, 1, 0, "lies already in"},
	{"whole in new, not in doubt", "new", ID ".0.mx.test,S=69", NULL, false, 1, 0, ""},
	{"whole in new, under a former host name", "new", ID ".0.old.test,S=69", NULL, true, 1, 0, "lies already in"},
	{"read and flagged", "cur", ID ".0.mx.test,S=69:2,RS", NULL, true, 0, 1, "lies already in"},
	{"moved by a reader that adds to the name", "cur", ID ".0.mx.test,S=69,W=70:2,", NULL, true, 0, 1, "lies already in"},
	{"empty in new after a power cut", "new", ID ".0.mx.test,S=69", "", true, 1, 0, "delivered to"},
	{"zeros in new after a power cut", "new", ID ".0.mx.test,S=69", "000000000000000000000000000000000000000000000000000000000000000000000", true, 1, 0, "delivered to"},
	{"torn in new, not in doubt", "new", ID ".0.mx.test,S=69", "x", false, 1, 0, "delivered to"},
	{"torn in cur", "cur", ID ".0.mx.test,S=69:2,", "x", true, 1, 1, "delivered to"},
	{"stray in tmp", "tmp", ID ".0.mx.test,S=69.12", "x", true, 1, 0, "delivered to"},
	{"another message's name that begins alike", "new", ID ".00.mx.test,S=69", NULL, true, 2, 0, "delivered to"},
	{"another recipient's", "new", ID ".1.mx.test,S=69", NULL, true, 2, 0, "delivered to"},
};

static void put(const char *path, const char *text, uid_t owner)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	ck_assert_msg(fd >= 0, "%s: %s", path, strerror(errno));
	ck_assert_int_eq(write(fd, text, strlen(text)), (ssize_t)strlen(text));
	if (root())
		ck_assert_int_eq(fchown(fd, owner, owner), 0);
	close(fd);
}

START_TEST(repeated)
{
	char path[400];
	deliver(&(struct order){.maildir = maildir("u1"), .number = 99});
	names(box, "new", path);
	unlink(path);
	join(path, sizeof path, "%s/%s/%s", box, again[_i].sub, again[_i].file);
	put(path, again[_i].content ? again[_i].content : TRACE HEADER BODY, MAIL);
	struct delivery_result r = deliver(&(struct order){.maildir = box, .doubt = again[_i].doubt});
	WANT(r, DELIVERY_DONE, "2.0.0", again[_i].text);
	ck_assert_msg(names(box, "new", NULL) == again[_i].in_new && names(box, "cur", NULL) == again[_i].in_cur, "%s", again[_i].spec);
	ck_assert_int_eq(names(box, "tmp", NULL), 0);
	if (again[_i].in_new) {
		join(path, sizeof path, "%s/new/%s", box, strstr(again[_i].spec, "former") ? again[_i].file : ID ".0.mx.test,S=69");
		holds(path, TRACE HEADER BODY);
	}
}
END_TEST

START_TEST(refused_by_the_message)
{
	struct delivery_result r = deliver(&(struct order){.maildir = maildir("u1"), .size_most = 17});
	WANT(r, DELIVERY_FAILED, "5.2.3", "18 octets");
	r = deliver(&(struct order){.maildir = maildir("u1"), .size_most = 18});
	WANT(r, DELIVERY_DONE, "2.0.0", "");
	r = deliver(&(struct order){.maildir = maildir("u1"), .header = "Delivered-To: other@b.test\ndelivered-to:  TO@b.test \n\n"});
	WANT(r, DELIVERY_FAILED, "5.4.6", "loop");
	r = deliver(&(struct order){.maildir = maildir("u1"), .number = 2, .header = "Delivered-To: other@b.test\nX: Delivered-To: to@b.test\n\n"});
	WANT(r, DELIVERY_DONE, "2.0.0", "");
}
END_TEST

START_TEST(quota)
{
	char path[300];
	struct delivery_result r;
	for (int i = 0; i < 2; i++) {
		r = deliver(&(struct order){.maildir = maildir("u1"), .number = i, .quota_octets = 150});
		WANT(r, DELIVERY_DONE, "2.0.0", "");
	}
	r = deliver(&(struct order){.maildir = box, .number = 3, .quota_octets = 150});
	WANT(r, DELIVERY_FAILED, "5.2.2", "138 octets in 2 messages");
	ck_assert_int_eq(names(box, "new", NULL), 2);
	r = deliver(&(struct order){.maildir = box, .number = 3, .quota_count = 2});
	WANT(r, DELIVERY_FAILED, "5.2.2", "full");
	/* what lies there already is not over the limit by itself */
	r = deliver(&(struct order){.maildir = box, .number = 1, .quota_octets = 150, .doubt = true});
	WANT(r, DELIVERY_DONE, "2.0.0", "lies already in");
	/* the user reads one and throws it away: counted anew, since the file has more than one line */
	names(box, "new", path);
	unlink(path);
	put(in(path, box, "maildirsize"), "150S,0C\n100 1\n50 1\n", MAIL);
	r = deliver(&(struct order){.maildir = box, .number = 3, .quota_octets = 150});
	WANT(r, DELIVERY_DONE, "2.0.0", "");
	holds(in(path, box, "maildirsize"), "150S,0C\n69 1\n69 1\n");
}
END_TEST

START_TEST(nobody_waits)
{
	kill(worker, SIGSTOP);
	close(post(&(struct order){.maildir = maildir("u1")}));
	kill(worker, SIGCONT);
	struct delivery_result r = deliver(&(struct order){.maildir = maildir("u1"), .number = 1});
	WANT(r, DELIVERY_DONE, "2.0.0", "");
	ck_assert_int_eq(names(box, "new", NULL), 1);
	ck_assert_int_eq(names(box, "tmp", NULL), 0);
}
END_TEST

START_TEST(bad_datagrams)
{
	struct err e;
	int null = open("/dev/null", O_RDWR | O_CLOEXEC), fds[4] = {null, null, null, null};
	ck_assert_int_eq(pass_send(port, slice_str("x"), NULL, 0, deadline_in(1000), &e), 0);
	ck_assert_int_eq(pass_send(port, slice_str("x"), fds, 3, deadline_in(1000), &e), 0);
	ck_assert_int_eq(pass_send(port, slice_str("x"), fds, 4, deadline_in(1000), &e), 0);
	struct buf b = BUF_INIT(DELIVERY_DATAGRAM_MAX);
	delivery_encode(&b, delivery_of(&(struct order){.maildir = maildir("u1")}));
	ck_assert_int_eq(pass_send(port, buf_slice(&b), fds, 3, deadline_in(1000), &e), 0);
	netstring_add_str(&b, "1:h,");
	netstring_add_str(&b, BODY);
	ck_assert_int_eq(pass_send(port, buf_slice(&b), fds, 2, deadline_in(1000), &e), 0);
	ck_assert_int_eq(pass_send(port, buf_slice(&b), fds, 0, deadline_in(1000), &e), 0);
	netstring_add_str(&b, BODY);
	ck_assert_int_eq(pass_send(port, buf_slice(&b), fds, 1, deadline_in(1000), &e), 0);
	buf_free(&b);
	struct delivery_result r = deliver(&(struct order){.maildir = maildir("u1")});
	WANT(r, DELIVERY_DONE, "2.0.0", "");
	close(null);
}
END_TEST

START_TEST(large_body)
{
	size_t n = 20 << 20;
	char *body = malloc(n + 1), one[300];
	memset(body, 'x', n);
	body[n] = 0;
	struct delivery_result r = deliver(&(struct order){.maildir = maildir("u1"), .body = body});
	WANT(r, DELIVERY_DONE, "2.0.0", "");
	names(box, "new", one);
	struct stat st;
	ck_assert_int_eq(stat(one, &st), 0);
	ck_assert_int_eq(st.st_size, (off_t)(n + strlen(TRACE HEADER)));
	free(body);
}
END_TEST

/* The same message from another host of the cluster, taken in here a second time, with a Received field of its own. */
#define FIRST "Received: from [192.0.2.9]\n  by mx.test with QMQP id 0000000000001;\n  now\n"
#define SECOND "Received: from [192.0.2.9]\n  by mx.test with QMQP id 0000000000002;\n  later than that\n"
static const struct {
	const char *spec;
	struct order second;
	bool read; /* a reader moved the first copy */
	int copies;
} sent_twice[] = {
	{"again", {.peer = "192.0.2.9", .again = true, .header = SECOND HEADER}, false, 1},
	{"again, read meanwhile", {.peer = "192.0.2.9", .again = true, .header = SECOND HEADER}, true, 1},
	{"a second attempt here", {.peer = "192.0.2.9", .attempt = 2, .header = SECOND HEADER}, true, 1},
	{"in doubt here", {.peer = "192.0.2.9", .doubt = true, .header = SECOND HEADER}, true, 1},
	{"not in doubt, the same name", {.peer = "192.0.2.9", .header = FIRST HEADER}, false, 1},
	{"a recipient number that means nothing", {.peer = "192.0.2.9", .number = 3, .again = true, .header = SECOND HEADER}, false, 1},
	{"for another address", {.peer = "192.0.2.9", .again = true, .address = "alias@b.test", .header = SECOND HEADER}, false, 2},
	{"from another host with the same id", {.peer = "192.0.2.8", .again = true, .header = SECOND HEADER}, false, 2},
	{"not from another host", {.doubt = true, .header = SECOND HEADER}, false, 2},
	{"read, and other octets", {.peer = "192.0.2.9", .again = true, .header = SECOND HEADER, .body = "other\n"}, true, 2},
};

START_TEST(sent_twice_by_another_host)
{
	char one[300], cur[400];
	struct order first = {.maildir = maildir("u1"), .peer = "192.0.2.9", .header = FIRST HEADER}, second = sent_twice[_i].second;
	struct delivery_result r = deliver(&first);
	WANT(r, DELIVERY_DONE, "2.0.0", "");
	ck_assert_int_eq(names(box, "new", one), 1);
	ck_assert_msg(strstr(one, "/" ORIGIN ".q") && strlen(strstr(one, ".q")) > 18, "%s", one);
	holds(one, TRACE FIRST HEADER BODY);
	join(cur, sizeof cur, "%s/cur/%s:2,S", box, strrchr(one, '/') + 1);
	if (sent_twice[_i].read)
		ck_assert_int_eq(rename(one, cur), 0);
	second.maildir = box;
	r = deliver(&second);
	WANT(r, DELIVERY_DONE, "2.0.0", "");
	ck_assert_msg(names(box, "new", NULL) + names(box, "cur", NULL) == sent_twice[_i].copies, "%s", sent_twice[_i].spec);
	ck_assert_int_eq(names(box, "tmp", NULL), 0);
}
END_TEST

START_TEST(host_in_the_name)
{
	struct maildir_message m = {.part = {slice_str("abc"), slice_str(""), slice_str("")}};
	maildir_name(&m, slice_str(ID), "12", slice_str("a/b:c,d e"));
	ck_assert_str_eq(m.name, ID ".12.a\\057b\\072c_d_e,S=3");
	ck_assert_uint_eq(m.stem, strlen(ID ".12."));
}
END_TEST

UNIT_MAIN("local", tcase_add_checked_fixture(t, setup, teardown); tcase_set_timeout(t, 60); tcase_add_loop_test(t, plain, 0, 2); tcase_add_test(t, hundred_recipients_in_one_delivery);
	tcase_add_test(t, hundred_deliveries_waiting); tcase_add_loop_test(t, repeated, 0, (int)(sizeof again / sizeof *again));
	tcase_add_test(t, refused_by_the_message); tcase_add_test(t, quota); tcase_add_test(t, nobody_waits); tcase_add_test(t, bad_datagrams);
	tcase_add_test(t, large_body); tcase_add_loop_test(t, sent_twice_by_another_host, 0, sizeof sent_twice / sizeof *sent_twice);
	tcase_add_test(t, host_in_the_name);)
