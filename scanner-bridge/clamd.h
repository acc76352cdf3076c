/* clamd over its socket: clamd(8), command zINSTREAM. */
#ifndef POSTERN_SCAN_CLAMD_H
#define POSTERN_SCAN_CLAMD_H
#include "scanner-bridge/dial.h"
#include "scanner-bridge/inspect.h"

#define CLAMD_REPLY_MAX 1024
/* Send the pieces one after the other and read the verdict.  VIRUS_CLEAN only for the whole message sent and the one reply "stream: OK".
 * TEXT gets the virus's name or what went wrong. */
enum virus_verdict clamd_scan(const struct endpoint *clamd, const struct slice *pieces, size_t count,
	char text[INSPECT_TEXT_MAX + 1], int64_t deadline);
/* All that clamd said, up to the end of the connection. */
enum virus_verdict clamd_parse(char text[INSPECT_TEXT_MAX + 1], struct slice reply);
#endif
