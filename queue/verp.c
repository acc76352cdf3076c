/* Variable envelope return paths: see verp.h.  Addresses come from outside; nothing is assumed of them but their length. */
#include "queue/verp.h"

#include "lib/envelope.h"

#define MARK "-@[]"
#define MARK_OCTETS 4

bool verp_is(struct slice sender)
{
	return slice_ends(sender, MARK) && slice_find(slice_upto(sender, sender.n - MARK_OCTETS), '@') < sender.n - MARK_OCTETS;
}

struct slice verp_plain(struct slice sender)
{
	return verp_is(sender) ? slice_upto(sender, sender.n - MARK_OCTETS) : sender;
}

void verp_expand(struct buf *b, struct slice sender, struct slice recipient)
{
	struct slice plain = verp_plain(sender);
	size_t at = slice_rfind(plain, '@'), to = slice_rfind(recipient, '@');
	if (!verp_is(sender) || to == recipient.n || plain.n + 1 + recipient.n > ADDRESS_MAX) {
		buf_add_slice(b, plain);
		return;
	}
	buf_add_slice(b, slice_upto(plain, at));
	buf_add_slice(b, slice_upto(recipient, to));
	buf_add_char(b, '=');
	buf_add_slice(b, slice_from(recipient, to + 1));
	buf_add_slice(b, slice_from(plain, at));
}
