/* A pattern and a name, divided by the first line feed: the matcher ends and reads nothing outside. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "lib/glob.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct slice text = slice_make(data, size), pattern;
	if (!slice_cut(&pattern, &text, '\n') || !text.p)
		return 0;
	bool match = glob_match(pattern, text);
	if (!match && slice_eq_str(pattern, "*"))
		abort();
	if (match && text.n && !pattern.n)
		abort();
	return 0;
}
