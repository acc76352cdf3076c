/* The quarantine's storage: messages with their reason, in a database, their octets compressed in pieces.
 *
 *	kept ──▶ doubt ──▶ released      doubt: handed to the queue, whose answer is not known
 *	  ▲────────┘ (the queue refused)
 *	kept, doubt ──▶ deleted          released and deleted have no octets any more, only what they were
 *
 * All functions may wait for the disk; each that changes something has it on the disk when it returns 0. */
#ifndef POSTERN_SCAN_QUARANTINE_H
#define POSTERN_SCAN_QUARANTINE_H
#include "lib/db.h"
#include "lib/job.h"
#include "scanner-bridge/quarantine_note.h"

#define QUARANTINE_PIECE ((size_t)1 << 20) /* octets compressed at a time */

struct quarantine {
	struct db *db;
	long long octets_most, days; /* of compressed octets; how long messages are kept */
	long long stored;            /* compressed octets, not less than what there is */
};
/* 0, or what db_open() returns. */
MUST_CHECK int quarantine_open(struct quarantine *q, const char *file, long long octets_most, long long days, struct err *e);
void quarantine_close(struct quarantine *q);

/* Keep JOB with HEADER in place of its own.  0; E_TOO_LONG: no room, nothing kept; E_TIMEOUT, E_SYS. */
MUST_CHECK int quarantine_keep(struct quarantine *q, struct job *job, struct slice header, const struct quarantine_note *note, struct err *e);
/* As if it had never come: nobody was told that it is kept. */
MUST_CHECK int quarantine_forget(struct quarantine *q, const char *id, struct err *e);
/* Remove what is older than .days at NOW_USEC; *GONE counts.  0, E_TIMEOUT, E_SYS. */
MUST_CHECK int quarantine_tend(struct quarantine *q, int64_t now_usec, long long *gone, struct err *e);
/* 0, E_NOT_FOUND, E_REFUSED (released already), E_TIMEOUT, E_SYS. */
MUST_CHECK int quarantine_delete(struct quarantine *q, struct slice id, struct err *e);

struct kept {
	long long number, head_octets, body_octets;
	bool malware;
	char state[16], release_id[ID_LEN + 1];
};
/* 0, E_NOT_FOUND, E_TIMEOUT, E_SYS. */
MUST_CHECK int quarantine_find(struct quarantine *q, struct kept *k, struct slice id, struct err *e);
/* The octets of K: its head (envelope records and header) into HEAD, its body into BODY (a file) unless that is NULL.  0, E_PEER (damaged), E_SYS. */
MUST_CHECK int quarantine_restore(struct quarantine *q, const struct kept *k, struct buf *head, struct content *body, struct err *e);

/* Give the message ID to the queue behind QUEUE_SOCK as a new one, NEW_ID.  0 when the queue has it, durable, and it is marked so.  Otherwise the text
 * says what to do: E_NOT_FOUND; E_REFUSED: its state, or malware, or doubt, without FORCE; E_PEER: the queue refused, it stays kept; E_EOF: in doubt;
 * E_TIMEOUT, E_SYS. */
MUST_CHECK int quarantine_release(struct quarantine *q, char new_id[ID_LEN + 1], struct slice id, bool force, int queue_sock, struct err *e);

/* One operator's connection, waiting on LISTEN_FD: read, done and answered. */
void quarantine_command(struct quarantine *q, int listen_fd, int queue_sock);
#endif
