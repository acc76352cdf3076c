/* The log pipes: one per row of the graph, read here, checked line by line, written to STATE/log and standard error.
 * A program is trusted with nothing here: a line that does not begin with a time and its own name, or is not printable, is logged as its
 * `stray`, quoted; so no program can write lines in another's name. */
#include "supervise/logs.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "lib/confine.h"
#include "lib/log.h"
#include "supervise/suite.h"

#define READ_OCTETS (64 * 1024)
#define STDERR_OCTETS 4096 /* a pipe that polls writable takes so much without blocking */
#define PIPE_OCTETS (256 * 1024)

bool log_line_of(struct slice line, const char *program)
{
	static const char time[] = "0000-00-00T00:00:00.000000Z ";
	size_t n = sizeof time - 1, name = strlen(program), at;
	if (line.n < n + name + 4 || !slice_printable(line))
		return false;
	for (size_t i = 0; i < n; i++)
		if (time[i] == '0' ? line.p[i] < '0' || line.p[i] > '9' : line.p[i] != time[i])
			return false;
	if (memcmp(line.p + n, program, name) != 0 || line.p[n + name] != '[')
		return false;
	for (at = n + name + 1; at < line.n && line.p[at] >= '0' && line.p[at] <= '9'; at++)
		;
	return at > n + name + 1 && at + 1 < line.n && line.p[at] == ']' && line.p[at + 1] == ' ';
}

bool log_line_refused(long long *number, struct slice line)
{
	return slice_starts(line, "syscall-refused ") && slice_number(number, slice_from(line, 16), 0, 100000) == 0;
}

static int make_pipe(struct row_state *r, struct err *e)
{
	int pair[2];
	if (pipe2(pair, O_CLOEXEC) < 0 || fcntl(pair[0], F_SETFL, O_NONBLOCK) < 0)
		return err_sys(e, "log pipe");
	(void)fcntl(pair[1], F_SETPIPE_SZ, PIPE_OCTETS);
	r->log_fd = pair[0];
	r->log_write_fd = pair[1];
	return 0;
}

/* The supervisor logs through a pipe to itself, never blocking on it. */
int suite_logs(struct suite *s, struct err *e)
{
	int rc = make_pipe(&s->own, e);
	for (unsigned i = 0; rc == 0 && i < graph_rows; i++)
		rc = make_pipe(&s->row[i], e);
	if (rc == 0 && fcntl(s->own.log_write_fd, F_SETFL, O_NONBLOCK) < 0)
		rc = err_sys(e, "log pipe");
	if (rc == 0)
		log_to(s->own.log_write_fd);
	return rc;
}

/* What standard error does not take at once is not waited for: the log folder has it. */
static void to_stderr(struct slice text)
{
	while (text.n) {
		struct pollfd p = {.fd = 2, .events = POLLOUT};
		ssize_t put = poll(&p, 1, 0) == 1 && p.revents & POLLOUT ? write(2, text.p, text.n < STDERR_OCTETS ? text.n : STDERR_OCTETS) : -1;
		if (put <= 0)
			return;
		text = slice_from(text, (size_t)put);
	}
}

/* Losses are told by the first batch that the disk takes again: a line about each failure would only be lost too. */
void suite_log_flush(struct suite *s)
{
	unsigned long long before = s->log.lost;
	if (s->log.waiting.n == 0)
		return;
	to_stderr(buf_slice(&s->log.waiting));
	logfile_flush(&s->log);
	if (before == 0 || s->log.lost != before)
		return;
	s->log.lost = 0;
	LOG(EV_log_lost, NULL, F_NUM("lines", before), F_ERR(&s->log.lost_why));
}

static void log_refused(const char *program, long long number)
{
	char *name = filter_call_name((int)number);
	LOG(EV_syscall_refused, NULL, F_STR("program", program), F_STR("syscall", name ? name : "unknown"));
	free(name);
}

static void take_line(struct suite *s, const char *program, struct slice line)
{
	long long number;
	if (log_line_of(line, program)) {
		if (logfile_full(&s->log, line.n + 1))
			suite_log_flush(s);
		logfile_add(&s->log, slice_make(line.p, line.n + 1)); /* with its LF */
		return;
	}
	if (log_line_refused(&number, line))
		log_refused(program, number);
	else
		LOG(EV_stray, NULL, F_STR("program", program), F_SLICE("text", line));
	(void)suite_log_input(s, NULL);
}

/* A line too long for the rules is cut: the piece becomes a line of its own, stray at worst. */
static void take_lines(struct suite *s, const char *program, struct buf *b)
{
	size_t used = 0;
	for (;;) {
		struct slice rest = slice_from(buf_slice(b), used);
		size_t n = slice_find(rest, '\n');
		if (n == rest.n)
			break;
		take_line(s, program, slice_upto(rest, n));
		used += n + 1;
	}
	buf_drop(b, used);
}

static void take_text(struct suite *s, const char *program, struct buf *partial, struct slice text)
{
	while (text.n) {
		size_t room = partial->max - 1 - partial->n, n = text.n < room ? text.n : room;
		buf_add(partial, text.p, n);
		text = slice_from(text, n);
		if (partial->n == partial->max - 1 && slice_find(buf_slice(partial), '\n') == partial->n)
			buf_add_char(partial, '\n');
		if (partial->overflow)
			buf_reset(partial); /* no memory for a line */
		take_lines(s, program, partial);
	}
}

bool suite_log_input(struct suite *s, const struct graph_row *row)
{
	static char space[READ_OCTETS], own_space[READ_OCTETS];
	struct row_state *r = row ? &s->row[row - graph] : &s->own;
	char *p = row ? space : own_space; /* a stray line of a program makes one of our own */
	ssize_t n;
	size_t total = 0;
	do {
		n = read(r->log_fd, p, READ_OCTETS);
		if (n > 0)
			take_text(s, row ? row->name : "supervise", &r->partial, slice_make(p, (size_t)n));
		total += n > 0 ? (size_t)n : 0;
	} while (n == READ_OCTETS && total < PIPE_OCTETS);
	return total > 0;
}

