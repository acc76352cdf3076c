/* A log (queue/store.h) in a temporary folder, and what a queue knows of the messages in it, kept the way recover.c keeps it.  Each call that the store makes of the system
 * can fail.  What goes wrong otherwise ends the test. */
#ifndef POSTERN_TESTS_HARNESS_LOG_MODEL_H
#define POSTERN_TESTS_HARNESS_LOG_MODEL_H
#include "queue/store.h"

#define SEGMENT 65536
#define IDS 400

struct model {
	struct store *store;
	struct entry {
		bool live, pending, dropped;
		bool touched; /* since all was durable */
		struct store_at at, state;
		uint32_t octets;
		int value; /* of the last STATE, -1: none */
	} of[IDS];
	unsigned moved; /* messages that were given another place */
	struct store_report report;
	char folder[64];
	int dir_fd;
};

/* Faults: the call number .at fails with .error; .lasting: and all after it; at 0: none does. */
extern struct log_fault {
	long calls, at;
	int error;
	bool lasting;
} fault;

/* Message N has this id. */
void id_of(char id[ID_LEN + 1], int n);

/* A new log, open. */
void make_model(struct model *m);
/* Close it, and find all that the model knows in it anew. */
void reopen(struct model *m);
/* Close it; log and folder are gone. */
void end_model(struct model *m);
/* Open the log in dir_fd; as store_open(). */
int open_model(struct model *m);

/* Message N, with a body of BODY octets that follow from N; as store_add(). */
int add_message(struct model *m, int n, size_t body);
/* STATE with VALUE, or FINISH, of message N. */
void add_note(struct model *m, int n, enum record_kind kind, int value);
void commit(struct model *m);
/* Clean until there is nothing to do. */
void tend(struct model *m);
/* Message N reads back whole. */
bool reads_back(struct model *m, int n);
void each_file(struct model *m, void (*act)(const char *path));
#endif
