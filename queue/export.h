/* Messages as a stream of octets, to be carried to another host: postern-export(5).  What is exported is the message to the recipients that still wait, with its
 * id, its age and its hold. */
#ifndef POSTERN_QUEUE_EXPORT_H
#define POSTERN_QUEUE_EXPORT_H
#include "queue/queue.h"

#define EXPORT_MAGIC "postern-export 1"

/* Append what comes before the body of W: id, head, and the length of the body; after the body comes ",".
 * 0; E_NOT_FOUND: no recipient waits; E_SYS. */
MUST_CHECK int export_head(struct buf *b, const struct work *w, struct err *e);

/* The verb export of the running queue (export_verb.c). */
struct caller;
struct export;
void verb_export(struct caller *c);
void export_free(struct queue *q, struct export *x);

/* recover.c: the queue in Q->dir_fd as a start would find it, read only.  0, E_REFUSED, E_SYS. */
MUST_CHECK int recover_look(struct queue *q, struct err *e);
/* M with its body and its recipients as they are; NULL with *E. */
struct work *recover_work(struct queue *q, struct message *m, struct err *e);
#endif
