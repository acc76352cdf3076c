/* The log folder: rotation, what is kept, a disk that takes nothing or half (RLIMIT_FSIZE makes one of any disk). */
#include "supervise/logfile.h"

#include <dirent.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tests/unit/unit.h"

static char folder[64];
static struct logfile l;
static struct err e;

static void start(long long size_most, long long files_most)
{
	snprintf(folder, sizeof folder, "/tmp/postern-logfile-XXXXXX");
	ck_assert_ptr_nonnull(mkdtemp(folder));
	ck_assert_msg(logfile_open(&l, folder, size_most, files_most, &e) == 0, "%s", e.text);
}

static int count_files(void)
{
	int n = 0;
	DIR *d = opendir(folder);
	struct dirent *entry;
	while ((entry = readdir(d)))
		n += entry->d_name[0] != '.';
	closedir(d);
	return n;
}

static void stop(void)
{
	char path[400];
	logfile_close(&l);
	DIR *d = opendir(folder);
	struct dirent *entry;
	while ((entry = readdir(d))) {
		snprintf(path, sizeof path, "%s/%s", folder, entry->d_name);
		unlink(path);
	}
	closedir(d);
	rmdir(folder);
}

static size_t read_current(char *space, size_t size)
{
	char path[128];
	snprintf(path, sizeof path, "%s/current", folder);
	int fd = open(path, O_RDONLY);
	ssize_t n = read(fd, space, size - 1);
	close(fd);
	ck_assert_int_ge(n, 0);
	space[n] = 0;
	return (size_t)n;
}

static void add(const char *line)
{
	logfile_add(&l, slice_str(line));
	logfile_flush(&l);
}

START_TEST(goes_on)
{
	char text[256];
	start(4096, 3);
	add("one\n");
	logfile_close(&l);
	ck_assert_int_eq(logfile_open(&l, folder, 4096, 3, &e), 0);
	ck_assert_int_eq(l.size, 4);
	add("two\n");
	read_current(text, sizeof text);
	ck_assert_str_eq(text, "one\ntwo\n");
	stop();
}
END_TEST

START_TEST(torn_line_is_ended)
{
	char text[256];
	start(4096, 3);
	ck_assert_int_eq(write(l.fd, "torn", 4), 4);
	logfile_close(&l);
	ck_assert_int_eq(logfile_open(&l, folder, 4096, 3, &e), 0);
	add("two\n");
	read_current(text, sizeof text);
	ck_assert_str_eq(text, "torn\ntwo\n");
	stop();
}
END_TEST

/* Each full file is renamed; of the renamed ones the newest stay, other files are let be. */
START_TEST(rotates)
{
	char path[128], text[4096];
	start(100, 3);
	snprintf(path, sizeof path, "%s/other", folder);
	close(open(path, O_CREAT | O_WRONLY, 0600));
	for (int i = 0; i < 100; i++) {
		add("twenty octets long.\n");
		ck_assert_int_le(l.size, 100);
		ck_assert_int_le(count_files(), 5);
	}
	ck_assert_int_eq(count_files(), 5);
	ck_assert_uint_eq(l.lost, 0);
	ck_assert_uint_eq(read_current(text, sizeof text), 100);
	ck_assert_int_eq(access(path, F_OK), 0);
	stop();
}
END_TEST

static void disk(rlim_t octets)
{
	struct rlimit r = {octets, RLIM_INFINITY};
	ck_assert_int_eq(setrlimit(RLIMIT_FSIZE, &r), 0);
}

/* Five lines of ten octets where the disk takes N more: whole lines alone are kept, the others are counted. */
START_TEST(full_disk)
{
	char text[256];
	signal(SIGXFSZ, SIG_IGN);
	start(4096, 3);
	add("0123456789\n");
	disk(11 + (rlim_t)_i);
	logfile_add(&l, slice_str("a........\nb........\nc........\nd........\ne........\n"));
	logfile_flush(&l);
	size_t n = read_current(text, sizeof text);
	ck_assert_uint_eq(n, 11 + (size_t)_i / 10 * 10);
	ck_assert_uint_eq(l.lost, 5 - (unsigned)_i / 10);
	ck_assert_int_eq(text[n - 1], '\n');
	ck_assert_int_eq(l.size, (long long)n);
	disk(RLIM_INFINITY);
	add("again\n");
	ck_assert_uint_eq(read_current(text, sizeof text), n + 6);
	ck_assert_uint_eq(l.lost, 5 - (unsigned)_i / 10);
	stop();
}
END_TEST

/* Much at once is written in pieces and nothing is lost. */
START_TEST(much)
{
	start(1 << 30, 3);
	char line[1001];
	memset(line, 'x', 1000);
	line[999] = '\n';
	line[1000] = 0;
	for (int i = 0; i < 1000; i++)
		logfile_add(&l, slice_str(line));
	logfile_flush(&l);
	ck_assert_int_eq(l.size, 1000000);
	ck_assert_uint_eq(l.lost, 0);
	stop();
}
END_TEST

START_TEST(no_folder)
{
	ck_assert_int_eq(logfile_open(&l, "/no/such/folder", 4096, 3, &e), E_SYS);
	ck_assert_ptr_nonnull(strstr(e.text, "/no/such/folder"));
}
END_TEST

UNIT_MAIN("logfile",
	tcase_add_test(t, goes_on);
	tcase_add_test(t, torn_line_is_ended);
	tcase_add_test(t, rotates);
	tcase_add_loop_test(t, full_disk, 0, 50);
	tcase_add_test(t, much);
	tcase_add_test(t, no_folder);)
