/* The door's blocks: see door_blocks.h.  Part of postern-door.  What comes is from postern-respond and checked like anything from another program.  Sorted by
 * address: a look-up is a binary search, which costs every connection less than a microsecond and nothing that a stranger could make worse. */
#include "smtpd-outside/door_blocks.h"

#include <stdlib.h>

#include "lib/fields.h"

struct block {
	struct ip ip;
	int64_t until;
};
struct door_blocks {
	size_t n;
	struct block at[DOOR_BLOCKS_MAX];
};

void door_block_encode(struct buf *b, const struct ip *ip, int64_t seconds)
{
	char text[INET6_ADDRSTRLEN];
	ip_text(text, ip);
	netstring_add_str(b, text);
	netstring_add_number(b, seconds < DOOR_BLOCK_SEC_MAX ? seconds : DOOR_BLOCK_SEC_MAX);
}

int door_block_decode(struct ip *ip, int64_t *seconds, struct slice text, struct err *e)
{
	struct fields f = {.rest = text};
	struct slice address = fields_take_text(&f, INET6_ADDRSTRLEN);
	*seconds = fields_take_number(&f, 0, DOOR_BLOCK_SEC_MAX);
	return fields_done(&f) && ip_parse(ip, address) == 0 ? 0 : err_set(e, E_PEER, "a block is not an address and seconds");
}

struct door_blocks *door_blocks_make(void)
{
	return calloc(1, sizeof(struct door_blocks));
}

void door_blocks_free(struct door_blocks *b)
{
	free(b);
}

/* Who has one IPv6 address has a network of them. */
static struct ip key(const struct ip *ip)
{
	return ip_is4(ip) ? *ip : ip_network(ip, 64);
}

/* Where it is, or belongs. */
static size_t place(const struct door_blocks *b, const struct ip *ip)
{
	size_t low = 0, high = b->n;
	while (low < high) {
		size_t middle = (low + high) / 2;
		if (memcmp(&b->at[middle].ip, ip, sizeof *ip) < 0)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

static bool is_at(const struct door_blocks *b, size_t i, const struct ip *ip)
{
	return i < b->n && memcmp(&b->at[i].ip, ip, sizeof *ip) == 0;
}

static void take_out(struct door_blocks *b, size_t i)
{
	memmove(&b->at[i], &b->at[i + 1], (--b->n - i) * sizeof *b->at);
}

static void drop_first_to_end(struct door_blocks *b)
{
	size_t first = 0;
	for (size_t i = 1; i < b->n; i++)
		if (b->at[i].until < b->at[first].until)
			first = i;
	take_out(b, first);
}

void door_blocks_set(struct door_blocks *b, const struct ip *address, int64_t seconds, int64_t now)
{
	struct ip ip = key(address);
	size_t i = place(b, &ip);
	if (is_at(b, i, &ip)) {
		if (seconds == 0)
			take_out(b, i);
		else
			b->at[i].until = now + seconds * 1000;
		return;
	}
	if (seconds == 0)
		return;
	if (b->n == DOOR_BLOCKS_MAX) {
		drop_first_to_end(b);
		i = place(b, &ip);
	}
	memmove(&b->at[i + 1], &b->at[i], (b->n++ - i) * sizeof *b->at);
	b->at[i] = (struct block){ip, now + seconds * 1000};
}

bool door_blocks_has(const struct door_blocks *b, const struct ip *address, int64_t now)
{
	struct ip ip = key(address);
	size_t i = place(b, &ip);
	return is_at(b, i, &ip) && b->at[i].until > now;
}

size_t door_blocks_count(const struct door_blocks *b, int64_t now)
{
	size_t n = 0;
	for (size_t i = 0; i < b->n; i++)
		n += b->at[i].until > now;
	return n;
}
