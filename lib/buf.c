/* Buffers: see buf.h.  Growth doubles, checked against overflow and the maximum. */
#include "lib/buf.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

char *buf_room(struct buf *b, size_t n)
{
	size_t need;
	if (b->overflow || __builtin_add_overflow(b->n, n, &need) || need > b->max) {
		b->overflow = true;
		return NULL;
	}
	if (need > b->size) {
		size_t size = b->size ? b->size : 256;
		while (size < need)
			if (__builtin_mul_overflow(size, 2, &size))
				size = need;
		if (size > b->max)
			size = b->max;
		char *p = realloc(b->p, size);
		if (!p) {
			b->overflow = true;
			return NULL;
		}
		b->p = p;
		b->size = size;
	}
	return b->p ? b->p + b->n : NULL;
}

void buf_add(struct buf *b, const void *p, size_t n)
{
	if (n == 0)
		return;
	char *to = buf_room(b, n);
	if (to) {
		memcpy(to, p, n);
		b->n += n;
	}
}

void buf_add_slice(struct buf *b, struct slice s)
{
	buf_add(b, s.p, s.n);
}

void buf_add_str(struct buf *b, const char *s)
{
	buf_add(b, s, strlen(s));
}

void buf_add_char(struct buf *b, char c)
{
	buf_add(b, &c, 1);
}

void buf_add_format(struct buf *b, const char *format, ...)
{
	char text[1024];
	va_list ap;
	va_start(ap, format);
	int n = vsnprintf(text, sizeof text, format, ap);
	va_end(ap);
	if (n < 0) {
		b->overflow = true;
	} else if ((size_t)n < sizeof text) {
		buf_add(b, text, (size_t)n);
	} else {
		char *to = buf_room(b, (size_t)n + 1);
		if (!to)
			return;
		va_start(ap, format);
		vsnprintf(to, (size_t)n + 1, format, ap);
		va_end(ap);
		b->n += (size_t)n;
	}
}

void buf_drop(struct buf *b, size_t n)
{
	if (n >= b->n) {
		b->n = 0;
		return;
	}
	memmove(b->p, b->p + n, b->n - n);
	b->n -= n;
}

void buf_reset(struct buf *b)
{
	b->n = 0;
	b->overflow = false;
}

void buf_free(struct buf *b)
{
	free(b->p);
	*b = BUF_INIT(b->max);
}
