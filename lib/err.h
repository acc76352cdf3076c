/* Errors: a code to decide by, a text to show.  Filled at the lowest level that knows. */
#ifndef POSTERN_LIB_ERR_H
#define POSTERN_LIB_ERR_H
#include "lib/slice.h"

enum err_code {
	E_OK = 0,
	E_SYNTAX = -1,    /* input breaks its grammar */
	E_TOO_LONG = -2,  /* input is over a limit */
	E_NOT_FOUND = -3, /* there is no such thing */
	E_TIMEOUT = -4,   /* the deadline passed */
	E_EOF = -5,       /* the peer is gone */
	E_PEER = -6,      /* the peer broke the protocol */
	E_SYS = -7,       /* a system call failed; errno is in .sys */
	E_REFUSED = -8,   /* not allowed */
};

struct err {
	enum err_code code;
	int sys;        /* errno, for E_SYS */
	char text[252]; /* one line, printable, without a final full stop */
};

/* Fill *E (may be NULL) and return CODE.  A text too long is cut. */
int err_set(struct err *e, enum err_code code, const char *format, ...) __attribute__((format(printf, 3, 4)));
/* The same for a failed system call: the text is WHAT, ": " and strerror of errno; code E_SYS. */
int err_sys(struct err *e, const char *format, ...) __attribute__((format(printf, 2, 3)));
#endif
