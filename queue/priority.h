/* Whose mail yields: a message to many recipients, and those of a sender who has many under way at once (mass mail, a phished account, bounces to a forged sender).
 * Everybody else's goes first wherever messages wait: for their first attempt, for route, for a delivery.  Mass mail gets every PRIORITY_SHARE-th turn all the same. */
#ifndef POSTERN_QUEUE_PRIORITY_H
#define POSTERN_QUEUE_PRIORITY_H
#include "queue/queue.h"

#define PRIORITY_RCPTS 100  /* more recipients make a message mass mail */
#define PRIORITY_CROWD 100  /* more messages of one sender under way make the later ones mass mail */
#define PRIORITY_SHARE 8

/* W is in hand from now on: counts for its sender (the authenticated user, where there is one); sets .bulk. */
void priority_begin(struct queue *q, struct work *w);
/* Its recipients became more. */
void priority_grown(struct queue *q, struct work *w);
void priority_end(struct queue *q, struct work *w);
/* Two lists, that of persons first; but every PRIORITY_SHARE-th is of mass mail. */
void work_lists_push(struct work_lists *l, struct work *w);
struct work *work_lists_pop(struct work_lists *l);
bool work_lists_any(const struct work_lists *l);
#endif
