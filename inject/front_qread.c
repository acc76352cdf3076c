/* qmail-qstat and qmail-qread: the queue in qmail's words, for scripts that read them.  They ask STATE/run/queue.sock, which answers root and the queue's own user
 * alone.  What comes from outside is shown as qmail shows it: octets that are not printable as "_". */
#include <stdio.h>
#include <time.h>
#include <unistd.h>

#include "inject/front.h"
#include "lib/command.h"

#define FATAL 111
#define ANSWER_MSEC 30000
#define CELLS 128
#define OUTPUT_MOST ((size_t)1 << 30)

struct row {
	struct slice cell[CELLS]; /* key, value, key, value … */
	size_t count;
};

static struct slice get(const struct row *r, const char *key)
{
	for (size_t i = 0; i + 1 < r->count; i += 2)
		if (slice_eq_str(r->cell[i], key))
			return r->cell[i + 1];
	return slice_make("", 0);
}

/* EACH row of the answer.  All is read before anything is printed: the queue cuts off who reads slowly. */
static int ask(const char *name, const struct slice *args, size_t count, void (*each)(struct buf *out, const struct row *r))
{
	static char space[COMMAND_MAX];
	char path[512];
	struct buf out = BUF_INIT(OUTPUT_MOST);
	struct row r;
	struct err e = {0};
	int fd, code = FATAL, rc;
	snprintf(path, sizeof path, "%.400s/run/queue.sock", client_state());
	if ((rc = command_call(&fd, path, args, count, &e)) < 0)
		return front_fail(name, FATAL, e.text);
	while ((rc = command_next(fd, space, r.cell, CELLS, &r.count, &code, deadline_in(ANSWER_MSEC), &e)) == 0)
		each(&out, &r);
	close(fd);
	bool ok = rc == 1 && code == 0 && !out.overflow;
	if (ok && io_write_all(STDOUT_FILENO, out.p, out.n, DEADLINE_NEVER, &e) < 0)
		ok = false;
	buf_free(&out);
	return ok ? 0 : front_fail(name, FATAL, rc == 1 && code ? "the queue refused" : e.text[0] ? e.text : "the answer is too long");
}

static void add_clean(struct buf *b, struct slice s)
{
	for (size_t i = 0; i < s.n; i++)
		buf_add_char(b, s.p[i] >= ' ' && s.p[i] <= '~' ? s.p[i] : '_');
}

static void stat_row(struct buf *out, const struct row *r)
{
	if (!slice_eq_str(get(r, "kind"), "status"))
		return;
	buf_add_format(out, "messages in queue: %.*s\nmessages in queue but not yet preprocessed: %.*s\n", SLICE_FMT(get(r, "messages")),
		SLICE_FMT(get(r, "fresh")));
}

int front_qstat(int argc, char **argv)
{
	struct slice args[1] = {slice_str("status")};
	(void)argc;
	(void)argv;
	return ask("qmail-qstat", args, 1, stat_row);
}

static void message(struct buf *out, const struct row *r)
{
	static const char month[] = "JanFebMarAprMayJunJulAugSepOctNovDec";
	long long sec;
	struct tm tm;
	time_t when = slice_number(&sec, get(r, "time"), 0, 1ll << 40) == 0 ? (time_t)sec : 0;
	if (!gmtime_r(&when, &tm))
		tm = (struct tm){.tm_mday = 1, .tm_year = 70};
	buf_add_format(out, "%d %.3s %d %02d:%02d:%02d GMT  #", tm.tm_mday, month + 3 * tm.tm_mon, tm.tm_year + 1900, tm.tm_hour, tm.tm_min, tm.tm_sec);
	add_clean(out, get(r, "id"));
	buf_add_str(out, "  ");
	add_clean(out, get(r, "size"));
	buf_add_str(out, "  <");
	add_clean(out, get(r, "sender"));
	buf_add_str(out, "> \n");
}

static void read_row(struct buf *out, const struct row *r)
{
	if (slice_eq_str(get(r, "kind"), "message"))
		message(out, r);
	if (!slice_eq_str(get(r, "kind"), "recipient"))
		return;
	buf_add_str(out, slice_eq_str(get(r, "state"), "done") ? "  done" : "");
	buf_add_str(out, slice_eq_str(get(r, "side"), "local") ? "\tlocal\t" : "\tremote\t");
	add_clean(out, get(r, "address"));
	buf_add_char(out, '\n');
}

int front_qread(int argc, char **argv)
{
	struct slice args[2] = {slice_str("list"), slice_str("recipients=all")};
	(void)argc;
	(void)argv;
	return ask("qmail-qread", args, 2, read_row);
}
