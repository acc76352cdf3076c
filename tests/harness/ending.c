/* See ending.h. */
#include "tests/harness/ending.h"

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <check.h>

#include "tests/harness/process.h"

static char folder[] = "/tmp/postern-ending.XXXXXX", log_file[64];

static void open_quiet(struct harness *h, const char *const settings[][2])
{
	memcpy(folder + sizeof folder - 7, "XXXXXX", 6);
	if (!mkdtemp(folder) || chmod(folder, 0755) < 0)
		die("log");
	snprintf(log_file, sizeof log_file, "%s/log", folder);
	int fd = open(log_file, O_RDWR | O_CREAT | O_EXCL, 0666);
	if (fd < 0 || fchmod(fd, 0666) < 0)
		die("log");
	close(fd);
	setenv("HARNESS_LOG", log_file, 1);
	harness_quiet = true;
	harness_open(h, settings);
}

void begin(struct harness *h, char text[ANSWER_MAX + 1], const struct opening *o)
{
	size_t count = 0;
	while (o->to && o->to[count])
		count++;
	open_quiet(h, o->settings);
	h->shared->no_ending = (int)o->place;
	h->shared->stall_from = o->stall_from;
	harness_notify = o->notify ? o->notify : "";
	if (count)
		ck_assert_int_eq(send_one(h, o->sender ? o->sender : "sender@here.test", o->to, count, 1, text), 250);
	harness_notify = "";
}

void finish(struct harness *h)
{
	ck_assert_int_eq(queue_end(h, SIGTERM), 0);
	harness_close(h);
	unlink(log_file);
	rmdir(folder);
}

unsigned lines_with(const char *a, const char *b)
{
	static char line[8192];
	FILE *f = fopen(log_file, "r");
	unsigned n = 0;
	while (f && fgets(line, sizeof line, f))
		n += strstr(line, a) && strstr(line, b);
	if (f)
		fclose(f);
	return n;
}

bool listed(struct harness *h, const char *with)
{
	return command(h, rows, sizeof rows, "list", NULL, NULL) == 0 && strstr(rows, with);
}

bool is_waiting(struct harness *h)
{
	return listed(h, "state=waiting;hold=");
}

bool stalls(struct harness *h)
{
	return listed(h, "state=delivering;destination=");
}

bool two_tries(struct harness *h)
{
	return h->shared->no_endings >= 3;
}

bool reported(struct harness *h)
{
	return h->shared->reports > 0;
}

void try_again(struct harness *h)
{
	const unsigned questions = h->shared->questions;
	ck_assert_int_eq(command(h, rows, sizeof rows, "retry", "all", NULL), 0);
	for (int i = 0; i < 2000 && h->shared->questions == questions; i++)
		usleep(5000);
	ck_assert(until(is_waiting, h));
}
