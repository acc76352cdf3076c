/* maildirsize, which belongs to the user: whatever stands in it, sums neither wrap nor go below zero; and sizes in file names. */
#include <stdint.h>
#include <stdlib.h>

#include "deliver/maildir_quota.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const struct maildir_quota quota[] = {{1000, 20}, {1000, 0}, {0, 20}};
	struct maildir_usage u;
	for (int i = 0; i < 3; i++)
		if (maildir_quota_parse(&u, &quota[i], slice_make(data, size)) == 0 && (u.octets < 0 || u.count < 0))
			abort();
	if (maildir_quota_size_in_name(slice_make(data, size)) < -1)
		abort();
	return 0;
}
