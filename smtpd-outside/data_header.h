/* Splits a stream of message text (line ends LF) into header and body, as header_length() of lib/header.h would split the whole. */
#ifndef POSTERN_SMTPD_DATA_HEADER_H
#define POSTERN_SMTPD_DATA_HEADER_H
#include "lib/buf.h"

struct data_header {
	struct buf text;  /* the header so far; after .done without blank line, the first octets of the body follow it */
	size_t line;      /* where the unfinished line begins; after .done the header's length */
	unsigned fields, hops; /* hops: Received and Delivered-To fields */
	bool done, no_blank;
};
#define DATA_HEADER_INIT(most) ((struct data_header){.text = BUF_INIT(most)})

/* Take header lines from IN; returns the octets taken (all, unless .done).  A header over the limit sets .text.overflow;
 * everything is then taken and dropped. */
size_t data_header_feed(struct data_header *h, struct slice in);
/* The message ended: sets .done. */
void data_header_end(struct data_header *h);
static inline struct slice data_header_header(const struct data_header *h) { return slice_make(h->text.p, h->line); }
/* Octets of the body that came with the header. */
static inline struct slice data_header_spill(const struct data_header *h) { return slice_from(buf_slice(&h->text), h->line); }
#endif
