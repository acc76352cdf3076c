/* Buffers: growing runs of octets with a hard maximum and a sticky overflow flag. */
#ifndef POSTERN_LIB_BUF_H
#define POSTERN_LIB_BUF_H
#include "lib/slice.h"

/* Start with BUF_INIT(max).  Adding past MAX (or without memory) sets .overflow and adds nothing; every later
 * addition is then dropped too, so one check at the end is enough.  Free with buf_free(). */
struct buf {
	char *p;
	size_t n, size, max;
	bool overflow;
};
#define BUF_INIT(limit) ((struct buf){NULL, 0, 0, (limit), false})
/* An empty buffer over an array of the caller's, without malloc; not to be freed. */
#define BUF_OVER(space) ((struct buf){(space), 0, sizeof(space), sizeof(space), false})

void buf_add(struct buf *b, const void *p, size_t n);
void buf_add_slice(struct buf *b, struct slice s);
void buf_add_str(struct buf *b, const char *s);
void buf_add_char(struct buf *b, char c);
/* format.c: V in decimal; as printf() would put it.  All of a format is added, or nothing (.overflow). */
void buf_add_number(struct buf *b, long long v);
void buf_add_format(struct buf *b, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* Room for N more octets at the end, to be counted with .n += used; NULL on overflow. */
char *buf_room(struct buf *b, size_t n);
/* Drop the first N octets (all where N is larger). */
void buf_drop(struct buf *b, size_t n);
/* Empty it, clear .overflow, keep the memory. */
void buf_reset(struct buf *b);
void buf_free(struct buf *b);
static inline struct slice buf_slice(const struct buf *b) { return slice_make(b->p, b->n); }
#endif
