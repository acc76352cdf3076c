/* What a session may still do of what the door counts for its client's address and network: messages and recipients.  The door says it in a variable
 * of the handover, LEFT_MESSAGES or LEFT_RECIPIENTS: "12 messagesperip 100 3600", twelve left of a hundred in an hour. */
#ifndef POSTERN_SMTPD_ALLOWANCE_H
#define POSTERN_SMTPD_ALLOWANCE_H
#include "smtpd-outside/rates.h"

#define ALLOWANCE_MESSAGES "LEFT_MESSAGES"
#define ALLOWANCE_RECIPIENTS "LEFT_RECIPIENTS"
#define ALLOWANCE_TEXT_MAX 64

struct allowance {
	long left;     /* -1: no limit */
	char text[128]; /* for the refusal: "messagesperip 100 of 100 in 3600 s, again in 36 s" */
};
/* The variable's value. */
void allowance_encode(char out[ALLOWANCE_TEXT_MAX], long left, const char *name, const struct rate_limit *limit);
/* Out of H's variable NAME; without it, or where it is not of this form, there is no limit. */
void allowance_of(struct allowance *out, const struct handover *h, const char *name);
/* Is all used up when DONE happened in this session? */
static inline bool allowance_spent(const struct allowance *a, unsigned long done) { return a->left >= 0 && done >= (unsigned long)a->left; }
#endif
