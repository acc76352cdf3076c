/* Fuzz target: the order to postern-respond (skim/respond_order.c).  What the decoder accepts must come through the encoder and the decoder again. */
#include <stdint.h>
#include <stdlib.h>

#include "skim/respond.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct respond_order o, back;
	struct buf once = BUF_INIT(1 << 20), twice = BUF_INIT(1 << 20);
	if (respond_order_decode(&o, slice_make((const char *)data, size), NULL) == 0) {
		respond_order_encode(&once, &o);
		if (once.n > RESPOND_ORDER_MAX || respond_order_decode(&back, buf_slice(&once), NULL) < 0)
			abort();
		respond_order_encode(&twice, &back);
		if (!slice_eq(buf_slice(&once), buf_slice(&twice)))
			abort();
	}
	buf_free(&once);
	buf_free(&twice);
	return 0;
}
