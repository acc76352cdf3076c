/* qmail's variable envelope return paths: the sender owner-@host-@[] leaves as owner-user=domain@host for each recipient user@domain, and is told of failures as
 * owner-@host. */
#ifndef POSTERN_QUEUE_VERP_H
#define POSTERN_QUEUE_VERP_H
#include "lib/buf.h"

bool verp_is(struct slice sender);
/* Append the sender that goes out with RECIPIENT: SENDER itself where it is none of these.  Where it would be longer than an address may be, as verp_plain(). */
void verp_expand(struct buf *b, struct slice sender, struct slice recipient);
struct slice verp_plain(struct slice sender);
#endif
