/* Lines that programs write into their log pipes. */
#include <stdint.h>

#include "supervise/logs.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct slice line = slice_make(data, size);
	long long number = -1;
	if (log_line_of(line, "fixup") && (!slice_printable(line) || slice_find(line, '\n') != size))
		__builtin_trap();
	if (log_line_refused(&number, line) && (number < 0 || number > 100000))
		__builtin_trap();
	return 0;
}
