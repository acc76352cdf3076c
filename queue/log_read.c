/* Reading one record back: see store.h.  The disk may have changed it: header and payload are checked against their checksums. */
#include "queue/crc32c.h"
#include "queue/log.h"

int store_read(struct store_reader *r, struct store *s, struct store_at at, struct err *e)
{
	unsigned char octets[RECORD_HEADER];
	const struct segment *g = at.seq ? segment_of(&s->seg, at.seq) : NULL;
	if (!g)
		return err_set(e, E_NOT_FOUND, "there is no segment %u", at.seq);
	*r = (struct store_reader){.s = s, .fd = g->fd, .at = (uint64_t)at.offset * 8 + RECORD_HEADER};
	int rc = segment_pread(&s->seg, g, octets, sizeof octets, (uint64_t)at.offset * 8, e);
	if (rc < 0)
		return rc;
	if (record_header_get(&r->h, octets) < 0 || r->h.key != g->key)
		return err_set(e, E_NOT_FOUND, "the record at %llu of segment.%08x is damaged", (unsigned long long)at.offset * 8, g->number);
	r->left = r->h.octets;
	return 0;
}

int store_read_next(struct store_reader *r, void *p, size_t n, struct err *e)
{
	const struct segment g = {.fd = r->fd};
	if (n > r->left)
		return err_set(e, E_PEER, "the record is shorter than it should be");
	int rc = segment_pread(&r->s->seg, &g, p, n, r->at, e);
	if (rc < 0)
		return rc;
	r->crc = crc32c(r->crc, p, n);
	r->at += n;
	r->left -= n;
	return 0;
}

int store_read_end(struct store_reader *r, struct err *e)
{
	if (r->left || r->crc != r->h.payload_crc)
		return err_set(e, E_PEER, "the record's checksum is wrong");
	return 0;
}
