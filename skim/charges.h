/* What was counted a moment ago, by message id, so that a message which a later program refuses is counted out again: once, and only if it was counted. */
#ifndef POSTERN_SKIM_CHARGES_H
#define POSTERN_SKIM_CHARGES_H
#include "skim/history.h"

#define CHARGES_MAX 4096 /* the newest; an older one stays counted */
struct charges;
struct charges *charges_make(void); /* NULL without memory: then nothing is counted out */
void charges_free(struct charges *c);
/* ID of ID_LEN octets.  C may be NULL. */
void charges_put(struct charges *c, struct slice id, const struct user *u, uint32_t rcpts);
/* The recipients that message ID of U was counted with, and forget it; 0: it was not counted. */
uint32_t charges_take(struct charges *c, struct slice id, const struct user *u);
#endif
