/* Fuzz target: control/directory.ldif (directory/ldif.c, account.c, embedded.c).  A file that is accepted is asked for some
 * of its own text. */
#include <stdint.h>
#include <stdlib.h>

#include "directory/embedded.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct account a;
	static const enum embedded_key kinds[] = {KEY_ADDRESS, KEY_LOGIN, KEY_DN};
	struct embedded d;
	struct account_defaults defaults = {.message_store = slice_str("/m")};
	struct slice text = slice_make((const char *)data, size), word, rest = text;
	struct err e;
	if (embedded_load(&d, text, &defaults, &e) < 0)
		return 0;
	for (int i = 0; i < 30 && slice_word(&word, &rest); i++)
		for (size_t k = 0; k < 3; k++)
			if (embedded_find(&a, &d, kinds[k], word) && a.entry.forward_count > DIRECTORY_ADDRESSES_MAX)
				abort();
	embedded_free(&d);
	return 0;
}
