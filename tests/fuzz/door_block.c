/* Fuzz target: what postern-respond tells the door (smtpd-outside/door_blocks.c). */
#include <stdint.h>
#include <stdlib.h>

#include "smtpd-outside/door_blocks.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct door_blocks *blocks;
	struct ip ip;
	int64_t seconds;
	if (!blocks && !(blocks = door_blocks_make()))
		abort();
	if (door_block_decode(&ip, &seconds, slice_make((const char *)data, size), NULL) < 0)
		return 0;
	door_blocks_set(blocks, &ip, seconds, 1000);
	if (door_blocks_has(blocks, &ip, 1000) != (seconds > 0))
		abort();
	return 0;
}
