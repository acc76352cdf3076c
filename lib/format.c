/* Text from formats: see buf.h.  What the suite's formats use is done here, everything else by vsnprintf().
 *
 * A session makes a few dozen short lines, and in the C library's stream machinery that was two thirds of its instructions and a third of the pages
 * that it touched, each of which costs a fresh process a page fault (docs/decisions.md). */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "lib/buf.h"

#define WIDTH_MAX 20     /* and with it the digits of every number */
#define DIGITS_MAX 24

/* One conversion: %[0WIDTH][l|ll|z](d|u|x|X), %s, %.*s, %c, %%. */
struct conversion {
	int width, longs; /* .longs 1 for z too, which is as long as l here */
	bool precise;
	char type;
};
_Static_assert(sizeof(size_t) <= sizeof(long long) && sizeof(long) == sizeof(size_t), "z is l");

/* What stands at P, behind the %; NULL when it is none of these. */
static const char *conversion_at(struct conversion *c, const char *p)
{
	*c = (struct conversion){0};
	if (*p == '0')
		for (p++; *p >= '0' && *p <= '9' && c->width <= WIDTH_MAX; p++)
			c->width = c->width * 10 + (*p - '0');
	if (p[0] == '.' && p[1] == '*') {
		c->precise = true;
		p += 2;
	}
	for (; *p == 'l' || *p == 'z'; p++)
		c->longs++;
	c->type = *p;
	bool number = c->type == 'd' || c->type == 'u' || c->type == 'x' || c->type == 'X';
	bool other = c->type == 's' || c->type == 'c' || c->type == '%';
	if (c->width > WIDTH_MAX || c->longs > 2 || (c->precise && c->type != 's') || (other && (c->width || c->longs)))
		return NULL;
	return number || other ? p + 1 : NULL;
}

static void add_digits(struct buf *b, unsigned long long v, bool negative, const struct conversion *c)
{
	char text[DIGITS_MAX];
	const char *hex = c->type == 'X' ? "0123456789ABCDEF" : "0123456789abcdef";
	int at = DIGITS_MAX;
	if (c->type == 'x' || c->type == 'X')
		do
			text[--at] = hex[v % 16];
		while (v /= 16);
	else
		do
			text[--at] = (char)('0' + v % 10);
		while (v /= 10);
	while (DIGITS_MAX - at < c->width - negative)
		text[--at] = '0';
	if (negative)
		text[--at] = '-';
	buf_add(b, text + at, (size_t)(DIGITS_MAX - at));
}

void buf_add_number(struct buf *b, long long v)
{
	add_digits(b, v < 0 ? 0 - (unsigned long long)v : (unsigned long long)v, v < 0, &(struct conversion){.type = 'd'});
}

static void add_number(struct buf *b, const struct conversion *c, va_list *ap)
{
	if (c->type == 'd') {
		long long v = c->longs == 0 ? va_arg(*ap, int) : c->longs == 1 ? va_arg(*ap, long) : va_arg(*ap, long long);
		add_digits(b, v < 0 ? 0 - (unsigned long long)v : (unsigned long long)v, v < 0, c);
	} else {
		add_digits(b, c->longs == 0 ? va_arg(*ap, unsigned) : c->longs == 1 ? va_arg(*ap, unsigned long) : va_arg(*ap, unsigned long long), false, c);
	}
}

static void add_text(struct buf *b, const struct conversion *c, va_list *ap)
{
	int most = c->precise ? va_arg(*ap, int) : -1;
	const char *s = va_arg(*ap, const char *);
	buf_add(b, s, most < 0 ? strlen(s) : strnlen(s, (size_t)most));
}

static void add_one(struct buf *b, const struct conversion *c, va_list *ap)
{
	if (c->type == 's')
		add_text(b, c, ap);
	else if (c->type == 'c')
		buf_add_char(b, (char)va_arg(*ap, int));
	else if (c->type == '%')
		buf_add_char(b, '%');
	else
		add_number(b, c, ap);
}

/* False, with something of it added, when a conversion is none of ours. */
static bool add_all(struct buf *b, const char *format, va_list *ap)
{
	struct conversion c;
	while (*format) {
		const char *plain = format;
		while (*format && *format != '%')
			format++;
		buf_add(b, plain, (size_t)(format - plain));
		if (!*format)
			break;
		format = conversion_at(&c, format + 1);
		if (!format)
			return false;
		add_one(b, &c, ap);
	}
	return true;
}

static void add_by_library(struct buf *b, const char *format, va_list ap)
{
	char *text;
	int n = vasprintf(&text, format, ap);
	if (n < 0) {
		b->overflow = true;
		return;
	}
	buf_add(b, text, (size_t)n);
	free(text);
}

void buf_add_format(struct buf *b, const char *format, ...)
{
	size_t before = b->n;
	va_list ap, again;
	va_start(ap, format);
	va_copy(again, ap);
	if (!add_all(b, format, &ap)) {
		b->n = before;
		if (!b->overflow)
			add_by_library(b, format, again);
	}
	if (b->overflow)
		b->n = before;
	va_end(again);
	va_end(ap);
}
