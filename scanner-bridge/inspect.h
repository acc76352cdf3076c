/* What postern-scan asks postern-scanworker and what it is told.  postern-scanworker(8) has the wire form.
 *
 * The question (lib/ask.h): netstrings "inspect", message id, offset of the header in the head; descriptors head and body (sealed
 * memfds).  The answer: netstrings, the first octet of each is its kind:
 *	C            no virus          U  no engine looked           V NAME  virus          E TEXT  the engine failed: unknown
 *	M WORD       a malformed[] word: parsers may disagree about this message; each at most once
 *	I TEXT       why part of the message was not looked at (over a limit); at most once
 *	B            followed by four netstrings: pattern, name, type, size in octets; at most INSPECT_BANNED_MAX times
 *	.            the end
 * One of C U V E comes first.  The worker parses hostile octets and may be taken over: nothing in its answer is believed to be more
 * than a text, and it can do no more than move mail to the policy's actions. */
#ifndef POSTERN_SCAN_INSPECT_H
#define POSTERN_SCAN_INSPECT_H
#include "lib/buf.h"
#include "lib/err.h"

#define INSPECT_BANNED_MAX 16
#define INSPECT_TEXT_MAX 255 /* octets of any text in an answer */

/* Why two parsers may see different messages (bits). */
enum malformed {
	MALFORMED_FIELD_TWICE = 1 << 0,     /* Content-Type, -Transfer-Encoding or -Disposition stands twice in one part */
	MALFORMED_PARAMETER_TWICE = 1 << 1, /* boundary, name or filename given twice, or its RFC 2231 sections leave gaps or repeat */
	MALFORMED_TYPE = 1 << 2,            /* Content-Type breaks its grammar: comment, quote without end, no slash */
	MALFORMED_BOUNDARY = 1 << 3,        /* multipart without boundary, or with text but no part, or a line that only begins like the boundary */
	MALFORMED_ENCODING = 1 << 4,        /* unknown Content-Transfer-Encoding, or base64 of a whole multipart */
	MALFORMED_BASE64 = 1 << 5,          /* octets outside the alphabet, or data after the padding */
	MALFORMED_HEADER = 1 << 6,          /* a part's header does not end with an empty line */
	MALFORMED_NUL = 1 << 7,
	MALFORMED_PARTIAL = 1 << 8,         /* message/partial: a piece of a message, the whole is never seen here */
	MALFORMED_NAME = 1 << 9,            /* attachment name with control or direction-changing characters, or not decodable */
	MALFORMED_LIMIT = 1 << 10,          /* deeper, or with more parts, fields, parameters or longer names than is looked at */
};
#define MALFORMED_KINDS 11
extern const char *const malformed_words[MALFORMED_KINDS]; /* in the order of the bits */

enum virus_verdict { VIRUS_UNCHECKED = 'U', VIRUS_CLEAN = 'C', VIRUS_FOUND = 'V', VIRUS_ERROR = 'E' };

/* libclamav's and clamd's "Heuristics.Limits.Exceeded…": no virus, but not looked at whole. */
bool virus_name_is_limit(struct slice name);

struct banned_part {
	struct slice pattern; /* the line of control/banned */
	struct slice name;    /* decoded to UTF-8; may be empty, may hold any octet */
	struct slice type;    /* MIME type in lower case */
	long long octets;     /* as encoded */
};
struct inspection {
	enum virus_verdict virus;
	struct slice text;       /* V: the virus's name; E: what failed; may hold any octet */
	unsigned malformed;      /* bits of enum malformed */
	struct slice incomplete; /* empty: all was looked at */
	struct banned_part banned[INSPECT_BANNED_MAX];
	size_t banned_count;
};

void inspect_question(struct buf *b, struct slice id, size_t header_offset);
/* 0 or E_SYNTAX. */
MUST_CHECK int inspect_question_decode(struct slice *id, size_t *header_offset, struct slice text);
/* Texts longer than INSPECT_TEXT_MAX are cut. */
void inspect_encode(struct buf *b, const struct inspection *in);
/* 0, or E_PEER with OUT in an unknown state.  OUT borrows from TEXT. */
MUST_CHECK int inspect_decode(struct inspection *out, struct slice text, struct err *e);
#endif
