/* Envelope records: whatever a taken-over program sends; what is accepted must survive a round trip. */
#include <stdint.h>
#include <stdlib.h>

#include "lib/envelope.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct envelope env, again;
	struct slice header, rest;
	if (envelope_decode(&env, &header, slice_make(data, size), NULL) < 0)
		return 0;
	struct buf b = BUF_INIT(ENVELOPE_MAX);
	envelope_encode(&b, &env);
	if (b.overflow || envelope_decode(&again, &rest, buf_slice(&b), NULL) < 0 || again.rcpts != env.rcpts ||
	    !slice_eq(again.sender, env.sender) || !slice_eq(again.id, env.id) || again.class != env.class)
		abort();
	envelope_free(&again);
	envelope_free(&env);
	buf_free(&b);
	return 0;
}
