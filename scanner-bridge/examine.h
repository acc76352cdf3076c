/* One message looked at by a scan worker: MIME structure, names, types, viruses; the message as a whole and each of its decoded parts. */
#ifndef POSTERN_SCAN_EXAMINE_H
#define POSTERN_SCAN_EXAMINE_H
#include "scanner-bridge/banned.h"
#include "scanner-bridge/engine.h"

#define EXAMINE_NESTED_MAX 3 /* messages that are themselves base64 or quoted-printable, within each other */

/* All that one message needs; made once in a worker, used for one message after the other. */
struct examiner {
	const struct banned *banned; /* NULL: none */
	struct engine *engine;       /* NULL: no virus scan */
	size_t octets_max;           /* longer messages are not looked at */
	/* of the message at hand */
	struct inspection result;
	struct buf texts;            /* what .result's slices point to */
	char virus_text[INSPECT_TEXT_MAX + 1];
	size_t decoded;              /* octets of decoded parts so far */
	unsigned nested;
};
/* MESSAGE is EXAMINE_PREFIX, header and body.  X->result is valid until the next call. */
#define EXAMINE_PREFIX "Return-Path: <>\n" /* by which libclamav knows that this is mail, whatever the first field is */
void examine(struct examiner *x, struct slice message);
/* A message that was too long to be looked at. */
void examine_too_long(struct examiner *x, size_t octets);
#endif
