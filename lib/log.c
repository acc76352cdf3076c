/* Log lines: see log.h.  No allocation; one write(2) a line. */
#include "lib/log.h"

#include <time.h>
#include <unistd.h>

#include "lib/calendar.h"

const struct log_event_info log_events[EV_COUNT] = {
#define EVENT(name, program, keys, meaning) {#name, program, keys, meaning},
#include "lib/events.def"
#undef EVENT
};

#define LOG_SHORT 384 /* octets, of most lines */

static char program[32] = "postern"; /* a copy: the text's own page is one that a fresh process would not touch otherwise */
static int log_fd = 2;

void log_program(const char *name)
{
	(void)!slice_copy(program, sizeof program, slice_str(name));
}

void log_to(int fd)
{
	log_fd = fd;
}

static bool plain(struct slice v)
{
	if (v.n == 0)
		return false;
	for (size_t i = 0; i < v.n; i++)
		if (v.p[i] <= ' ' || v.p[i] > '~' || v.p[i] == '"' || v.p[i] == '\\' || v.p[i] == '=')
			return false;
	return true;
}

void log_quote(struct buf *b, struct slice v)
{
	static const char hex[] = "0123456789abcdef";
	v = slice_upto(v, LOG_VALUE_MAX);
	if (plain(v)) {
		buf_add_slice(b, v);
		return;
	}
	buf_add_char(b, '"');
	for (size_t i = 0; i < v.n; i++) {
		unsigned char c = (unsigned char)v.p[i];
		if (c < 0x20 || c > 0x7e) {
			const char x[4] = {'\\', 'x', hex[c >> 4], hex[c & 15]};
			buf_add(b, x, 4);
		} else {
			if (c == '"' || c == '\\')
				buf_add_char(b, '\\');
			buf_add_char(b, (char)c);
		}
	}
	buf_add_char(b, '"');
}

static void add_head(struct buf *b, enum log_event event, const char *id)
{
	struct timespec t;
	struct calendar c;
	clock_gettime(CLOCK_REALTIME, &t);
	calendar_of(&c, t.tv_sec);
	buf_add_format(b, "%04lld-%02d-%02dT%02d:%02d:%02d.%06ldZ %s[%d] %s ", c.year, c.month, c.day, c.hour, c.minute, c.second, t.tv_nsec / 1000,
		program, (int)getpid(), id && *id ? id : "-");
	for (const char *p = log_events[event].name; *p; p++)
		buf_add_char(b, *p == '_' ? '-' : *p);
}

/* False: not all of it fits, and nothing was written.  CUTS: what does not fit is left out instead. */
static bool write_line(char *space, size_t size, bool cuts, enum log_event event, const char *id, const struct log_field *f)
{
	struct buf b = {space, 0, size - 1, size - 1, false}; /* room for the LF */
	add_head(&b, event, id);
	for (; f->key && !b.overflow; f++) {
		size_t before = b.n;
		buf_add_char(&b, ' ');
		buf_add_str(&b, f->key);
		buf_add_char(&b, '=');
		if (f->is_number)
			buf_add_number(&b, f->number);
		else
			log_quote(&b, f->text);
		if (b.overflow)
			b.n = before;
	}
	if (b.overflow && !cuts)
		return false;
	space[b.n++] = '\n';
	ssize_t put = write(log_fd, space, b.n);
	(void)put; /* nowhere to tell */
	return true;
}

/* Fields that no longer fit are left out: the value of one at the limit is cut by the quoting. */
static __attribute__((noinline)) void write_long(enum log_event event, const char *id, const struct log_field *f)
{
	char space[LOG_LINE_MAX];
	(void)write_line(space, sizeof space, true, event, id, f);
}

/* Most lines are short, and a fresh process pays for each page of its stack. */
void log_write(enum log_event event, const char *id, const struct log_field *f)
{
	char space[LOG_SHORT];
	if (!write_line(space, sizeof space, false, event, id, f))
		write_long(event, id, f);
}
