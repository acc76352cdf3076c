/* smtpd-outside/greylist: who waits, who is let in, what a restart and a damaged file leave. */
#include "smtpd-outside/greylist.h"

#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mount.h>
#include <unistd.h>

#include "tests/unit/unit.h"

static char path[64];

static struct greylist *opened(void)
{
	struct greylist *g = NULL;
	struct err e;
	ck_assert_msg(greylist_open(&g, path, &e) == 0, "%s", e.text);
	return g;
}

static void fresh(void)
{
	snprintf(path, sizeof path, "/tmp/greylist-test-%d", (int)getpid());
	unlink(path);
}

static void gone(void)
{
	unlink(path);
}

static struct ip address(const char *text)
{
	struct ip ip;
	ck_assert_int_eq(ip_parse(&ip, slice_str(text)), 0);
	return ip;
}

#define DAY 86400u
static const struct {
	const char *ip;
	uint32_t at;
	unsigned wait;
	const char *spec;
} calls[] = {
	{"192.0.2.1", 1000, 60, "new"},
	{"192.0.2.1", 1030, 30, "too early: what is left"},
	{"192.0.2.9", 1059, 1, "its network counts, as large senders retry from other hosts"},
	{"192.0.3.1", 1060, 60, "another network is new"},
	{"192.0.2.7", 1060, 0, "came back"},
	{"192.0.2.8", 1061, 0, "known from then on"},
	{"192.0.2.1", 1061 + 36 * DAY, 0, "for 36 days after the last call"},
	{"192.0.2.1", 1062 + 72 * DAY, 60, "then it is new"},
	{"192.0.3.1", 1061 + 73 * DAY, 60, "who comes back later than a day is new"},
	{"2001:db8::1", 2000, 60, "IPv6"},
	{"2001:db8::ffff:1", 2060, 0, "its /64"},
	{"2001:db8:0:1::1", 2060, 60, "not the next one"},
	{"198.51.100.1", 5000, 60, "the clock …"},
	{"198.51.100.1", 100, 60, "… set back: the wait begins anew"},
	{"198.51.100.1", 160, 0, "and ends"},
	{"198.51.100.1", 90, 0, "set back once more: who is known stays so"},
	{"198.51.100.1", 90 + 36 * DAY, 0, "for 36 days from then on"},
	{"198.51.100.1", 89, 60, "set back by more than that: new"},
};

START_TEST(call)
{
	struct greylist *g = opened();
	for (size_t i = 0; i < sizeof calls / sizeof *calls; i++) {
		struct ip ip = address(calls[i].ip);
		unsigned got = greylist_call(g, &ip, calls[i].at, 60);
		ck_assert_msg(got == calls[i].wait, "%s: %u", calls[i].spec, got);
	}
	greylist_close(g);
}
END_TEST

START_TEST(survives)
{
	struct ip ip = address("192.0.2.1"), half = address("192.0.3.1");
	struct greylist *g = opened();
	ck_assert_uint_eq(greylist_call(g, &ip, 1000, 60), 60);
	ck_assert_uint_eq(greylist_call(g, &ip, 1060, 60), 0);
	ck_assert_uint_eq(greylist_call(g, &half, 1060, 60), 60);
	greylist_close(g);
	g = opened();
	ck_assert_uint_eq(greylist_call(g, &ip, 1061, 60), 0);
	ck_assert_uint_eq(greylist_call(g, &half, 1061, 60), 59);
	greylist_close(g);
}
END_TEST

/* A flood of new networks pushes out others that wait, none that came back. */
START_TEST(flood)
{
	struct ip known = address("192.0.2.1");
	struct greylist *g = opened();
	(void)greylist_call(g, &known, 1000, 60);
	ck_assert_uint_eq(greylist_call(g, &known, 1060, 60), 0);
	for (unsigned i = 0; i < 10 * GREYLIST_ENTRIES; i++) {
		struct ip ip = {{0x20, 0x01, 0x0d, 0xb8, (unsigned char)(i >> 16), (unsigned char)(i >> 8), (unsigned char)i, 0}};
		ck_assert_uint_eq(greylist_call(g, &ip, 1061, 60), 60);
	}
	ck_assert_uint_eq(greylist_call(g, &known, 1062, 60), 0);
	greylist_close(g);
}
END_TEST

/* Cut, of another form, or filled with anything: it opens, and says 0 to 60. */
START_TEST(damaged)
{
	static const off_t sizes[] = {0, 1, 31, 32, 5000, 32 + (off_t)GREYLIST_ENTRIES * 32, 40000000};
	struct ip ip = address("192.0.2.1");
	for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++)
		for (int keep_form = 0; keep_form < 2; keep_form++) {
			greylist_close(opened());
			int fd = open(path, O_RDWR);
			char junk[4096];
			memset(junk, 0xa5 + (int)i, sizeof junk);
			ck_assert_int_eq(ftruncate(fd, sizes[i]), 0);
			for (off_t at = keep_form ? 32 : 0; at < sizes[i] && at < 3000000; at += (off_t)sizeof junk)
				ck_assert(pwrite(fd, junk, sizes[i] - at < (off_t)sizeof junk ? (size_t)(sizes[i] - at) : sizeof junk, at) > 0);
			close(fd);
			struct greylist *g = opened();
			ck_assert_uint_le(greylist_call(g, &ip, 1000, 60), 60);
			greylist_close(g);
		}
}
END_TEST

START_TEST(links)
{
	struct greylist *g = NULL;
	struct err e;
	ck_assert_int_eq(symlink("/tmp/elsewhere", path), 0);
	ck_assert_int_eq(greylist_open(&g, path, &e), E_SYS);
	ck_assert_ptr_null(g);
}
END_TEST

START_TEST(full_disk)
{
	char folder[64] = "/tmp/greylist-disk-XXXXXX", file[80];
	struct greylist *g = NULL;
	struct err e;
	ck_assert_ptr_nonnull(mkdtemp(folder));
	snprintf(file, sizeof file, "%s/greylist", folder);
	/* a name space of its own, so that nothing is left mounted; a container may forbid it */
	if (unshare(geteuid() == 0 ? CLONE_NEWNS : CLONE_NEWUSER | CLONE_NEWNS) == 0 && mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL) == 0 &&
	    mount("tmpfs", folder, "tmpfs", 0, "size=1m") == 0) {
		ck_assert_int_eq(greylist_open(&g, file, &e), E_SYS);
		ck_assert_ptr_null(g);
		ck_assert_msg(strstr(e.text, "greylist"), "%s", e.text);
		umount(folder);
	}
	rmdir(folder);
}
END_TEST

UNIT_MAIN("greylist",
	tcase_add_checked_fixture(t, fresh, gone);
	tcase_add_test(t, call);
	tcase_add_test(t, survives);
	tcase_add_test(t, flood);
	tcase_add_test(t, damaged);
	tcase_add_test(t, links);
	tcase_add_test(t, full_disk);)
