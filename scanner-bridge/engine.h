/* libclamav, with its ways of failing open closed.  What it does not say clearly is "error", never "clean":
 *	- a temporary folder that cannot be written: libclamav prints an error and says clean; here any error message makes it VIRUS_ERROR
 *	- its cache of clean content remembers scans that went wrong: it is off
 *	- over a size or time limit it says clean: the "exceeds max" heuristics are on, and are VIRUS_ERROR here
 *	- a virus may come without a name */
#ifndef POSTERN_SCAN_ENGINE_H
#define POSTERN_SCAN_ENGINE_H
#include "lib/buf.h"
#include "lib/err.h"
#include "scanner-bridge/inspect.h"

struct engine;
struct engine_limits {
	long long octets;       /* of one message; what unpacks to more than eight times that is not looked at to its end */
	long long seconds;
	const char *tmp;        /* folder for temporary files, writable */
};
/* Once in a process, before confinement: libclamav looks for its modules (unrar).  0 or E_SYS. */
MUST_CHECK int engine_begin(struct err *e);
/* Load all signatures in DIR.  *SIGNATURES: how many.  NULL with the reason in *E.  Blocks for seconds with a full database. */
struct engine *engine_load(const char *dir, const struct engine_limits *limits, unsigned *signatures, struct err *e);
/* Has DIR changed since engine_load()? */
bool engine_stale(const struct engine *engine);
/* Another temporary folder, for a process forked with the engine.  0 or E_SYS. */
MUST_CHECK int engine_set_tmp(struct engine *engine, const char *tmp, struct err *e);
/* Scan CONTENT; as mail where it looks like mail.  TEXT gets the virus's name or what failed. */
enum virus_verdict engine_scan(struct engine *engine, struct slice content, char text[INSPECT_TEXT_MAX + 1]);
/* Scan the EICAR test file wrapped in base64 in a multipart.  It must be found when the signatures know the bare file; and whatever
 * they know, nothing may fail.  0 or E_SYS: the engine must not be used. */
MUST_CHECK int engine_prove(struct engine *engine, bool *eicar_known, struct err *e);
void engine_free(struct engine *engine);
#endif
