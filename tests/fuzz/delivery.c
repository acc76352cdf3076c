/* Fuzz target: the messages between queue, route and agents (deliver/delivery.c).  The first octet picks the decoder.  What a
 * decoder accepts must come through the encoder and the decoder again unchanged. */
#include <stdint.h>
#include <stdlib.h>

#include "deliver/delivery.h"
#include "lib/content.h"
#include "lib/netstring.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static bool question(struct buf *out, struct slice in)
{
	struct slice id, sender, address;
	if (route_question_decode(&id, &sender, &address, in) < 0)
		return false;
	route_question(out, id, sender, address);
	return true;
}

static bool targets(struct buf *out, struct slice in)
{
	struct target t;
	while (target_decode(&t, &in) == 0)
		target_encode(out, &t);
	return out->n > 0;
}

/* With the message behind it, where there is one. */
static bool delivery(struct buf *out, struct slice in)
{
	static struct delivery d;
	struct content head, body;
	struct slice rest;
	struct err e;
	if (delivery_decode(&d, &rest, in, &e) < 0)
		return false;
	delivery_encode(out, &d);
	if (!rest.n)
		return true;
	int used = content_take(&head, &body, rest, NULL, 0, &e);
	if (used > 0)
		abort();
	if (used == 0) {
		netstring_add(out, content_slice(&head));
		netstring_add(out, content_slice(&body));
	}
	content_close(&head);
	content_close(&body);
	return used == 0;
}

static bool results(struct buf *out, struct slice in)
{
	struct delivery_result r;
	while (result_decode(&r, &in) == 0)
		result_encode(out, &r);
	return out->n > 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static bool (*const pass[])(struct buf *out, struct slice in) = {question, targets, delivery, results};
	struct buf once = BUF_INIT(1 << 20), twice = BUF_INIT(1 << 20);
	if (size == 0)
		return 0;
	if (pass[data[0] % 4](&once, slice_make((const char *)data + 1, size - 1)))
		if (!pass[data[0] % 4](&twice, buf_slice(&once)) || !slice_eq(buf_slice(&once), buf_slice(&twice)))
			abort();
	buf_free(&once);
	buf_free(&twice);
	return 0;
}
