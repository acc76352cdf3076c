/* The numbers that a rule of tcp.smtp or tcp.submission may set for a session, and their limits: what the door (and postern check) refuses in a
 * file and the session takes. */
#ifndef POSTERN_SMTPD_SESSION_VARS_H
#define POSTERN_SMTPD_SESSION_VARS_H
#include "lib/slice.h"

#define RELAY_SUFFIX_MAX 255 /* octets of RELAYCLIENT */
#define GREETING_MAX 200     /* octets of SMTPGREETING */

/* The most that NAME may be (the least is 0), or -1: no such number. */
long long session_var_most(struct slice name);
#endif
