/* Octets of the log: see record.h.  Read at start-up from files that a crash, a dying disk or a person may have changed: nothing in them is
 * believed before its checksum and range are right. */
#include "queue/record.h"

#include <endian.h>

#include "lib/envelope.h"
#include "queue/crc32c.h"

void put32(unsigned char *p, uint32_t v)
{
	v = htole32(v);
	memcpy(p, &v, sizeof v);
}

void put64(unsigned char *p, uint64_t v)
{
	v = htole64(v);
	memcpy(p, &v, sizeof v);
}

uint32_t get32(const unsigned char *p)
{
	uint32_t v;
	memcpy(&v, p, sizeof v);
	return le32toh(v);
}

uint64_t get64(const unsigned char *p)
{
	uint64_t v;
	memcpy(&v, p, sizeof v);
	return le64toh(v);
}

void record_header_put(unsigned char p[RECORD_HEADER], const struct record_header *h)
{
	put64(p, h->key);
	put64(p + 8, h->seq);
	put64(p + 16, h->target);
	put32(p + 24, h->octets);
	put32(p + 28, h->batch);
	memcpy(p + 32, h->id, ID_LEN);
	p[45] = h->kind;
	p[46] = h->flags;
	p[47] = 0;
	put32(p + 48, h->payload_crc);
	put32(p + 52, crc32c(0, p, 52));
}

int record_header_get(struct record_header *h, const unsigned char p[RECORD_HEADER])
{
	if (get32(p + 52) != crc32c(0, p, 52))
		return E_SYNTAX;
	h->key = get64(p);
	h->seq = get64(p + 8);
	h->target = get64(p + 16);
	h->octets = get32(p + 24);
	h->batch = get32(p + 28);
	memcpy(h->id, p + 32, ID_LEN);
	h->kind = p[45];
	h->flags = p[46];
	h->payload_crc = get32(p + 48);
	if (p[47] || !h->seq || h->octets > RECORD_OCTETS_MAX || !h->kind || !strchr("MSRXFCV", h->kind) ||
	    h->flags & ~(RECORD_MORE | RECORD_LAST_BOUNCE))
		return E_SYNTAX;
	return 0;
}

static const char magic[16] = "postern-queue\r\n\032";

static void segment_copy_put(unsigned char p[SEGMENT_HEADER], const struct segment_header *h)
{
	memcpy(p, magic, sizeof magic);
	put32(p + 16, LOG_VERSION);
	put64(p + 24, h->seq);
	put64(p + 32, h->key);
	put64(p + 40, h->size);
	put32(p + 60, crc32c(0, p, 60));
}

void segment_header_put(unsigned char block[LOG_BLOCK], const struct segment_header *h)
{
	memset(block, 0, LOG_BLOCK);
	segment_copy_put(block, h);
	segment_copy_put(block + SEGMENT_COPY_AT, h);
}

int segment_copy_get(struct segment_header *h, const unsigned char p[SEGMENT_HEADER])
{
	if (memcmp(p, magic, sizeof magic) != 0 || get32(p + 60) != crc32c(0, p, 60))
		return E_SYNTAX;
	*h = (struct segment_header){.version = get32(p + 16)};
	if (h->version != LOG_VERSION)
		return E_REFUSED;
	*h = (struct segment_header){.seq = get64(p + 24), .key = get64(p + 32), .size = get64(p + 40), .version = LOG_VERSION};
	return h->seq > UINT32_MAX ? E_SYNTAX : 0;
}

int segment_header_get(struct segment_header *h, const unsigned char block[LOG_BLOCK])
{
	int rc = segment_copy_get(h, block);
	return rc == E_SYNTAX ? segment_copy_get(h, block + SEGMENT_COPY_AT) : rc;
}

void prologue_put(unsigned char p[PROLOGUE], const struct prologue *m)
{
	put64(p, m->body_octets);
	put64(p + 8, (uint64_t)m->hold_until_sec);
	put32(p + 16, m->head_octets);
	put32(p + 20, m->rcpts);
	put32(p + 24, m->held);
	put32(p + 28, 0);
}

int prologue_get(struct prologue *m, struct slice payload)
{
	const unsigned char *p = (const unsigned char *)payload.p;
	if (payload.n < PROLOGUE)
		return E_SYNTAX;
	*m = (struct prologue){
		.body_octets = get64(p), .hold_until_sec = (int64_t)get64(p + 8), .head_octets = get32(p + 16), .rcpts = get32(p + 20),
		.held = get32(p + 24) & 1};
	bool sane = m->rcpts > 0 && m->rcpts <= RECIPIENTS_MAX && m->head_octets > 0 && m->head_octets <= HEAD_MAX && m->hold_until_sec >= 0;
	return sane ? 0 : E_SYNTAX;
}
