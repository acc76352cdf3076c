/* Maildirs: writing one message so that a crash at any moment loses nothing and makes no second copy.
 * https://cr.yp.to/proto/maildir.html, with two differences: the name is made from the queue's id instead of time and process, so that a
 * delivery repeated after a crash lands on the same name; and the sync is left to the caller, who makes a whole batch durable at once.
 *
 *	state                         after a crash                       repeated with .doubt
 *	1 tmp/NAME.PID being written  a stray file in tmp                 stray removed, written again
 *	2 renamed into new/NAME       there or not, whole or torn         whole: kept; torn: written again
 *	3 moved to cur/NAME:2,FLAGS   by a reader, the same               the same: zeros and missing ends alone count as torn
 *	4 synced, reported            there                               not repeated
 */
#ifndef POSTERN_DELIVER_MAILDIR_H
#define POSTERN_DELIVER_MAILDIR_H
#include "deliver/maildir_path.h"
#include "lib/slice.h"

#define MAILDIR_NAME_MAX 200
#define MAILDIR_PARTS 4

struct maildir {
	int fd, tmp, new; /* folders, owned by the delivering user */
	dev_t disk;
	const char *path; /* for messages; borrowed from the place */
};
#define MAILDIR_INIT ((struct maildir){.fd = -1, .tmp = -1, .new = -1})

struct maildir_message {
	struct slice part[MAILDIR_PARTS]; /* one after the other they are the file */
	size_t own;                       /* of the parts: made here for this copy, and others in another copy of the message */
	long long octets;
	char name[MAILDIR_NAME_MAX];      /* in new/ */
	size_t stem;                      /* octets of the name that stay whatever a reader adds: "ID.NUMBER." */
};

/* Open the Maildir, made when it is not there.  The file-system user is place->user.  Maildir, tmp and new must be real folders that
 * belong to that user and that not everybody may write.  0; E_REFUSED (they are not), E_SYS. */
MUST_CHECK int maildir_open(struct maildir *m, const struct maildir_place *place, struct err *e);
void maildir_close(struct maildir *m);
/* Fill .octets, .name and .stem: "ID.NUMBER.HOST,S=OCTETS"; "/" and ":" in HOST become \057 and \072.  NUMBER is digits, or for a message that
 * was sent here by another host what maildir_number() makes. */
void maildir_name(struct maildir_message *msg, struct slice id, const char *number, struct slice host);
/* "q" and 16 hexadecimal digits: the same for each copy that the host PEER sends for ADDRESS. */
void maildir_number(char number[20], struct slice peer, struct slice address);
/* Is the message in new/ or cur/ already, whole?  Torn copies are removed.  Looks at every name there: only for deliveries in
 * doubt.  1 yes, 0 no, E_SYS. */
MUST_CHECK int maildir_present(const struct maildir *m, const struct maildir_message *msg, struct err *e);
/* Remove what earlier attempts at this message left in tmp/; also stops an attempt that is still under way. */
void maildir_clean(const struct maildir *m, const struct maildir_message *msg);
/* Write the file into tmp/.  On failure nothing is left there.  0 or E_SYS. */
MUST_CHECK int maildir_write(const struct maildir *m, const struct maildir_message *msg, struct err *e);
/* Rename it into new/.  Not durable yet.  0, E_SYS (the file in tmp/ is removed). */
MUST_CHECK int maildir_land(const struct maildir *m, const struct maildir_message *msg, struct err *e);
/* Remove from new/ what could not be made durable. */
void maildir_remove(const struct maildir *m, const char *name);
#endif
