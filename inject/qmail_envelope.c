/* See qmail_envelope.h.  Runs in qmail-queue, as its caller; the octets may come from the network by way of some other program. */
#include "inject/qmail_envelope.h"

#include "lib/envelope.h"
#include "lib/netstring.h"

/* LETTER address NUL. */
static int take(struct slice *address, struct slice *rest, char letter)
{
	size_t end = slice_find(*rest, '\0');
	if (!rest->n || rest->p[0] != letter || end == rest->n)
		return E_SYNTAX;
	*address = slice_upto(slice_from(*rest, 1), end - 1);
	*rest = slice_from(*rest, end + 1);
	return address->n > QMAIL_ADDRESS_MAX ? E_TOO_LONG : 0;
}

int qmail_envelope(struct buf *out, struct slice in)
{
	struct slice address;
	size_t count = 0;
	int rc = take(&address, &in, 'F');
	if (rc == 0)
		netstring_add(out, address);
	while (rc == 0 && in.n && in.p[0] == 'T') {
		rc = take(&address, &in, 'T');
		if (rc == 0 && (!address.n || ++count > RECIPIENTS_MAX))
			rc = address.n ? E_TOO_LONG : E_SYNTAX;
		if (rc == 0)
			netstring_add(out, address);
	}
	if (rc == 0 && (in.n != 1 || in.p[0] || count == 0))
		rc = E_SYNTAX;
	return rc == 0 && out->overflow ? E_TOO_LONG : rc;
}
