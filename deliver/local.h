/* postern-local's work: deliveries taken in batches, each recipient's copy written into its Maildir, the batch made durable at once, then
 * reported.  postern-local(8). */
#ifndef POSTERN_DELIVER_LOCAL_H
#define POSTERN_DELIVER_LOCAL_H
#include "deliver/delivery.h"
#include "deliver/maildir.h"
#include "lib/content.h"
#include "lib/control.h"

#define BATCH_DELIVERIES 64
#define BATCH_RECIPIENTS 512
#define BATCH_OCTETS (64LL * 1024 * 1024)
#define BATCH_DISKS 16
#define DELIVERY_DATAGRAM_MAX (256 * 1024)

/* What is fixed for the worker's life. */
struct local {
	struct slice host; /* control/me, for names of files */
	const char *base;  /* STATE/mail */
	const struct control *control; /* mailroots; NULL: anywhere */
};

/* One recipient's fate, kept until the batch is durable. */
struct outcome {
	long long number;
	enum delivery_status status;
	char enhanced[12];
	char text[DELIVERY_TEXT_MAX + 1];
	int disk;                /* whose sync it waits for; -1: none */
	struct local_user user;  /* to take it back when the sync fails */
	char *path, *name;       /* owned; the file in new/ */
};

struct batch {
	struct {
		int reply_fd;
		size_t first, count; /* outcomes */
	} delivery[BATCH_DELIVERIES];
	size_t deliveries;
	struct outcome outcome[BATCH_RECIPIENTS];
	size_t outcomes;
	struct {
		dev_t dev;
		int fd;              /* opened before the first write, so that syncfs() tells every error since */
	} disk[BATCH_DISKS];
	size_t disks;
	long long octets;
};

/* The message of a delivery, its header found. */
struct local_message {
	struct content came[2];  /* head, body */
	struct slice header, body;
	bool delivered_to;       /* the header has such fields */
	struct slice origin, peer; /* sent here by a host of the cluster: the message's id there and that host's address */
	bool again;              /* that host sent it before and had no answer */
	size_t received;         /* octets at the start of .header that were made here for this copy of such a message */
};
/* Is PATH below .base or a folder of control/mailroots (or is that absent)? */
bool local_path_allowed(const struct local *l, const char *path);
/* The delivery that a datagram with TEXT and the COUNT descriptors in FDS is: what is wanted into D, which borrows from TEXT as MSG does; its reply socket into
 * *REPLY_FD, unless that is NULL and none is to come.  Descriptors that were taken are -1 in FDS then.  0; or, with nothing kept, E_PEER (grammar, descriptors,
 * no head), E_SYS. */
MUST_CHECK int local_message_take(struct local_message *msg, struct delivery *d, int *reply_fd, struct slice text, int *fds, size_t count, struct err *e);
void local_message_close(struct local_message *msg);

/* One recipient, number I of D, into *O; the file is in new/ then but not yet durable.  Never fails otherwise. */
void local_deliver(struct outcome *o, struct batch *b, const struct local *l, const struct delivery *d, size_t i,
	const struct local_message *msg, int reply_fd);
/* The index of the file system that M lies on, noted in B; -1 when B has no room (sync at once then). */
int batch_disk(struct batch *b, const struct maildir *m);

/* Take what waits on PORT (blocks for the first), deliver, make durable, report.  0, or E_EOF when told to stop, E_SYS. */
MUST_CHECK int local_batch(struct batch *b, const struct local *l, int port, struct err *e);
#endif
