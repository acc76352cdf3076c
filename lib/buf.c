/* Buffers: see buf.h.  Growth doubles, checked against overflow and the maximum. */
#include "lib/buf.h"

#include <stdlib.h>

/* Is there room for N more already? */
static inline bool fits(const struct buf *b, size_t n)
{
	return !b->overflow && n <= b->size - b->n;
}

char *buf_room(struct buf *b, size_t n)
{
	size_t need;
	if (fits(b, n) && b->p)
		return b->p + b->n;
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
	char *to = fits(b, n) ? b->p + b->n : buf_room(b, n);
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
	if (fits(b, 1))
		b->p[b->n++] = c;
	else
		buf_add(b, &c, 1);
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
