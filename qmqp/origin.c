/* The field X-Postern-Origin: see origin.h.  What comes in is believed as far as its grammar goes: it can only name a message that the same
 * host has sent before (deliver/local.c). */
#include "qmqp/origin.h"

#define FIELD "X-Postern-Origin: "
#define AGAIN " again"

void origin_add(struct buf *b, const char *id, bool again)
{
	buf_add_format(b, FIELD "%s%s\n", id, again ? AGAIN : "");
}

bool origin_take(struct slice *id, bool *again, struct slice *header)
{
	struct slice line, rest = *header;
	if (!slice_starts(rest, FIELD) || !slice_cut(&line, &rest, '\n') || !rest.p)
		return false;
	line = slice_from(line, sizeof FIELD - 1);
	struct slice word = slice_upto(line, ID_LEN), end = slice_from(line, word.n);
	bool more = slice_eq_str(end, AGAIN);
	if (!id_valid(word) || (end.n && !more) || (rest.n && (rest.p[0] == ' ' || rest.p[0] == '\t')))
		return false;
	*id = word;
	*again = more;
	*header = rest;
	return true;
}
