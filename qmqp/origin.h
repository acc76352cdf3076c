/* What keeps a message that is sent twice from being delivered twice: QMQP's sender cannot know whether a message whose answer never came was
 * taken, and sends it again.  So the id that it has in the sender's queue goes with it, as its first field
 *
 *	X-Postern-Origin: 0fdxkwb3m2q7a
 *	X-Postern-Origin: 0fdxkwb3m2q7a again      an earlier copy may have arrived
 *
 * which the receiver takes off again and puts into the envelope; postern-local makes the file's name from it.  To any other QMQP server it is
 * a field of the message. */
#ifndef POSTERN_QMQP_ORIGIN_H
#define POSTERN_QMQP_ORIGIN_H
#include "lib/buf.h"
#include "lib/id.h"

void origin_add(struct buf *b, const char *id, bool again);
/* Take the field off the start of HEADER; *ID borrows from it.  False: HEADER does not begin with one, and nothing is changed. */
bool origin_take(struct slice *id, bool *again, struct slice *header);
#endif
