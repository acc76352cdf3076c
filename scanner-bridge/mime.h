/* The structure of a message as RFC 2045 to 2049 give it: parts, their types, names and content, in one pass over its lines, without
 * recursion.  Where readers of mail may see another structure than this, *MALFORMED says so (enum malformed). */
#ifndef POSTERN_SCAN_MIME_H
#define POSTERN_SCAN_MIME_H
#include "scanner-bridge/mimefield.h"

#define MIME_DEPTH_MAX 64     /* multiparts and messages within each other */
#define MIME_PARTS_MAX 1000   /* of one message */
#define MIME_NAMES_MAX 32     /* values of names of one part */

struct mime_part {
	const char *type;          /* lower case */
	enum mime_encoding encoding;
	struct slice content;      /* as encoded; empty for a multipart or message that is taken apart */
	bool container;            /* its parts follow */
	struct slice names[MIME_NAMES_MAX]; /* all values that readers may show as its name */
	size_t name_count;
};
/* PART is called for each part, containers included, in the order in which they end (containers: begin).  Its slices live during the
 * call only, but for .content, which points into MESSAGE. */
typedef void mime_part_seen(void *arg, const struct mime_part *part);

/* Lines end with LF or CR LF.  Linear in MESSAGE (times MIME_DEPTH_MAX for lines that begin with "--"), memory bounded by constants. */
void mime_walk(struct slice message, unsigned *malformed, mime_part_seen *part, void *arg);
#endif
