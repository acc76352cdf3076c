/* Questions to answers: takes a question apart, walks through the keys of its address, has passwords checked.  postern-directory(8). */
#ifndef POSTERN_DIRECTORY_ANSWER_H
#define POSTERN_DIRECTORY_ANSWER_H
#include "directory/backend.h"
#include "lib/control.h"

#define QUESTIONS_MAX 2000 /* in hand at once; more wait in the socket */

/* 0, or E_SYNTAX, E_SYS as rules_read(). */
MUST_CHECK int answer_start(const struct control *c, const struct backend *b, struct err *e);
/* Take charge of Q (whose text need not stay): it is answered within control/ldaptimeout, if answer_late() is called in time. */
void answer_question(struct question *q);
/* Answer "temporary" what is over its deadline, whatever the back end and its threads still do for it.  The next deadline. */
int64_t answer_late(void);
/* Questions in hand, with those that were late. */
size_t answer_waiting(void);
#endif
