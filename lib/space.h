/* Whether there is space for more mail, said in a page of shared memory: the queue writes it, sessions read it before they answer MAIL.  The supervisor makes
 * the page (a sealed memfd) and gives the queue a descriptor that may write, the sessions one that may only read. */
#ifndef POSTERN_LIB_SPACE_H
#define POSTERN_LIB_SPACE_H
#include <stdbool.h>
#include <stddef.h>

#include "lib/err.h"

struct space_page;
/* A fresh page: *WRITER and *READER, descriptors.  0 or E_SYS. */
int space_make(int *writer, int *reader, struct err *e);
/* Map it; NULL when FD is -1 or cannot be mapped so: nothing is known then, and nothing is refused for want of space. */
struct space_page *space_map(int fd, bool write);
void space_say(struct space_page *p, bool full);
bool space_full(const struct space_page *p);
#endif
