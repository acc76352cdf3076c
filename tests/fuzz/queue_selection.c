/* Operators' selections: any argument is taken, refused with a reason or left to others; values lie inside the argument. */
#include <stdint.h>
#include <stdlib.h>

#include "queue/selection.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check(const struct selection *s, struct slice all)
{
	for (size_t i = 0; i < s->count; i++) {
		struct slice v = s->condition[i].value;
		if (s->count > COMMAND_ARGS_MAX || v.p < all.p || v.p + v.n > all.p + all.n)
			abort();
	}
	struct slice rest = s->ids, id;
	while (s->ids.p && slice_cut(&id, &rest, ','))
		if (id.n != ID_LEN)
			abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct slice all = slice_make(data, size), rest = all, arg;
	struct selection s = {0};
	int64_t sec;
	while (slice_cut(&arg, &rest, '\0')) {
		struct err e = {0};
		int rc = selection_take(&s, arg, 1800000000, &e);
		if ((rc < 0) != (e.text[0] != 0))
			abort();
		if (selection_span(&sec, arg) == 0 && sec < 0)
			abort();
	}
	check(&s, all);
	return 0;
}
