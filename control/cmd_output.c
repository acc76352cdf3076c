/* What the subcommands print: tables, spans of time in words, JSON.  What is printed may come from anybody (senders, remote hosts), so
 * nothing that a terminal obeys gets through. */
#include <jansson.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "control/cmd.h"

/* Places of a column on a narrow terminal; an id has 13. */
#define COLUMN_LEAST 16
#define LAST_LEAST 20

static bool tty(FILE *out)
{
	return isatty(fileno(out)) == 1 && !getenv("NO_COLOR");
}

const char *tty_bold(FILE *out) { return tty(out) ? "\033[1m" : ""; }
const char *tty_red(FILE *out) { return tty(out) ? "\033[1;31m" : ""; }
const char *tty_plain(FILE *out) { return tty(out) ? "\033[0m" : ""; }

/* C0, DEL and the C1 controls that UTF-8 can carry (0xc2 0x80 to 0x9f) have no place in a line. */
static bool harmful(const struct slice s, size_t i)
{
	unsigned char c = (unsigned char)s.p[i];
	return c < 0x20 || c == 0x7f || (c >= 0x80 && c < 0xa0 && i > 0 && (unsigned char)s.p[i - 1] == 0xc2);
}

void print_clean(FILE *out, struct slice text)
{
	for (size_t i = 0; i < text.n; i++)
		fputc(harmful(text, i) ? '?' : text.p[i], out);
}

void table_column(struct table *t, const char *title, bool right)
{
	if (t->columns == TABLE_COLUMNS_MAX)
		return;
	t->title[t->columns] = title;
	t->right[t->columns++] = right;
}

void table_cell(struct table *t, struct slice text)
{
	for (size_t i = 0; i < text.n; i++)
		buf_add_char(&t->cells, harmful(text, i) ? '?' : text.p[i]);
	if (text.n == 0)
		buf_add_char(&t->cells, '-');
	buf_add_char(&t->cells, 0);
	t->count++;
}

void table_cell_format(struct table *t, const char *format, ...)
{
	char text[256];
	va_list ap;
	va_start(ap, format);
	vsnprintf(text, sizeof text, format, ap);
	va_end(ap);
	table_cell(t, slice_str(text));
}

size_t table_rows(const struct table *t)
{
	return t->columns ? t->count / (size_t)t->columns : 0;
}

/* Places that S takes: code points, which is near enough for addresses and reasons. */
static size_t width(const char *s)
{
	size_t n = 0;
	for (; *s; s++)
		n += ((unsigned char)*s & 0xc0) != 0x80;
	return n;
}

static void print_cell(FILE *out, const char *text, size_t wide, bool right, bool last, size_t most)
{
	size_t n = width(text), room = last ? most : wide;
	if (right)
		fprintf(out, "%*s", (int)(n < wide ? wide - n : 0), "");
	if (n > room) {
		size_t places = 0;
		for (; *text && (places += ((unsigned char)*text & 0xc0) != 0x80) < room; text++)
			fputc(*text, out);
		fputs("…", out);
		n = room;
	} else {
		fputs(text, out);
	}
	if (last)
		fputc('\n', out);
	else
		fprintf(out, "%*s", (int)((right || n >= wide ? 0 : wide - n) + 2), "");
}

static size_t terminal_width(FILE *out)
{
	struct winsize w;
	return isatty(fileno(out)) == 1 && ioctl(fileno(out), TIOCGWINSZ, &w) == 0 && w.ws_col >= 40 ? w.ws_col : 0;
}

static void measure(const struct table *t, size_t wide[TABLE_COLUMNS_MAX])
{
	const char *cell = t->cells.p;
	for (int k = 0; k < t->columns; k++)
		wide[k] = width(t->title[k]);
	for (size_t i = 0; i < t->count; i++, cell += strlen(cell) + 1) {
		size_t n = width(cell), k = i % (size_t)t->columns;
		if (n > wide[k])
			wide[k] = n;
	}
}

/* On a terminal that is too narrow the widest columns get narrower, as the addresses of lists are long.  Returns the places left for the last column. */
static size_t fit(const struct table *t, size_t *wide, FILE *out)
{
	size_t whole = terminal_width(out), used = 0, widest = 0;
	for (int k = 0; k + 1 < t->columns; k++)
		used += wide[k] + 2;
	while (whole && used + LAST_LEAST > whole) {
		for (int k = 0; k + 1 < t->columns; k++)
			widest = wide[k] > wide[widest] ? (size_t)k : widest;
		if (t->columns < 2 || wide[widest] <= COLUMN_LEAST)
			break;
		wide[widest]--;
		used--;
	}
	return whole == 0 ? (size_t)-1 : whole > used + LAST_LEAST ? whole - used : LAST_LEAST;
}

void table_print(struct table *t, FILE *out)
{
	size_t wide[TABLE_COLUMNS_MAX];
	if (t->columns && !t->cells.overflow) {
		measure(t, wide);
		size_t most = fit(t, wide, out), columns = (size_t)t->columns;
		const char *cell = t->cells.p;
		fputs(tty_bold(out), out);
		for (size_t k = 0; k < columns; k++)
			print_cell(out, t->title[k], wide[k], t->right[k], k + 1 == columns, most);
		fputs(tty_plain(out), out);
		for (size_t i = 0; i < t->count; i++, cell += strlen(cell) + 1)
			print_cell(out, cell, wide[i % columns], t->right[i % columns], i % columns + 1 == columns, most);
	}
	buf_free(&t->cells);
}

void words_span(char text[32], long long sec)
{
	static const struct {
		long long from, unit;
		const char *name;
	} units[] = {{2 * 86400, 86400, "d"}, {2 * 3600, 3600, "h"}, {120, 60, "min"}, {0, 1, "s"}};
	if (sec < 0)
		sec = 0;
	for (size_t i = 0; i < sizeof units / sizeof *units; i++)
		if (sec >= units[i].from) {
			snprintf(text, 32, "%lld %s", sec / units[i].unit, units[i].name);
			return;
		}
}

void words_when(char text[32], long long wall_sec, long long now_sec)
{
	char span[32];
	words_span(span, wall_sec > now_sec ? wall_sec - now_sec : now_sec - wall_sec);
	if (wall_sec > now_sec)
		snprintf(text, 32, "in %.20s", span);
	else if (now_sec - wall_sec < 2)
		snprintf(text, 32, "now");
	else
		snprintf(text, 32, "%.20s ago", span);
}

void words_octets(char text[32], long long octets)
{
	static const char *const unit[] = {"", " KiB", " MiB", " GiB", " TiB"};
	size_t u = 0;
	long long tenths = octets * 10;
	while (tenths >= 10240 && u + 1 < sizeof unit / sizeof *unit) {
		tenths /= 1024;
		u++;
	}
	if (u == 0 || tenths >= 1000)
		snprintf(text, 32, "%lld%s", tenths / 10, unit[u]);
	else
		snprintf(text, 32, "%lld.%lld%s", tenths / 10, tenths % 10, unit[u]);
}

int json_print(json_t *j)
{
	int rc = j ? json_dumpf(j, stdout, JSON_INDENT(2) | JSON_ENSURE_ASCII) : -1;
	putchar('\n');
	json_decref(j);
	return rc == 0 ? 0 : EXIT_TEMPORARY;
}

json_t *json_slice(struct slice s)
{
	json_t *j = json_stringn(s.p ? s.p : "", s.n);
	char *copy = j ? NULL : malloc(s.n);
	for (size_t i = 0; copy && i < s.n; i++)
		copy[i] = s.p[i] >= 0x20 && s.p[i] < 0x7f ? s.p[i] : '?';
	if (copy)
		j = json_stringn(copy, s.n);
	free(copy);
	return j;
}
