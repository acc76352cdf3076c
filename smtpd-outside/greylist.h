/* Networks that have called before: who is new is asked to come back later, who came back is let in from then on.
 *
 * A table in a file of fixed size, mapped: it is there again after a restart, and a crash of the machine costs some networks one more wait. */
#ifndef POSTERN_SMTPD_GREYLIST_H
#define POSTERN_SMTPD_GREYLIST_H
#include <stdint.h>

#include "lib/addr.h"
#include "lib/err.h"

#define GREYLIST_ENTRIES 65536u
#define GREYLIST_WINDOW_SEC 86400u        /* who comes back later than that is new again */
#define GREYLIST_LIFE_SEC (36u * 86400u)  /* and who was let in, but did not come for so long */

struct greylist;
/* Map the file PATH; it is made where it is not there or not of this form.  0; E_SYS, also when the disk has no room for all of it. */
MUST_CHECK int greylist_open(struct greylist **out, const char *path, struct err *e);
void greylist_close(struct greylist *g);
/* CLIENT calls at NOW (seconds since 1970), with its network (/24, /64): 0 let it in; else the seconds that it has still to wait, of DELAY_SEC. */
unsigned greylist_call(struct greylist *g, const struct ip *client, uint32_t now, unsigned delay_sec);
#endif
