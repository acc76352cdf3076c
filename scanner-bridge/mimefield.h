/* The fields that give a MIME part its shape and name: Content-Type, Content-Disposition, Content-Transfer-Encoding (RFC 2045 5,
 * RFC 2183), their parameters (RFC 2231), encoded words in names (RFC 2047, which does not allow them there; everybody sends
 * them).  Broken fields are read as readers of mail do, and flagged.  Linear, bounded, allocates only what the caller's buf allows. */
#ifndef POSTERN_SCAN_MIMEFIELD_H
#define POSTERN_SCAN_MIMEFIELD_H
#include "lib/buf.h"
#include "scanner-bridge/inspect.h"

#define MIME_FIELD_MAX 8192  /* octets of one field that are looked at */
#define MIME_PARAMS_MAX 100  /* of one field */
#define MIME_TYPE_MAX 128    /* octets of type/subtype */
#define MIME_NAME_MAX 1024   /* octets of a name; of a longer one the end is looked at */

enum mime_encoding { ENCODING_IDENTITY, ENCODING_BASE64, ENCODING_QP, ENCODING_OTHER };

struct mime_param {
	struct slice name;  /* without "*" and section number */
	struct slice value; /* without its quotes, escapes still in */
	int section;        /* -1: whole */
	bool extended;      /* percent-encoded */
	bool quoted;
};
struct mime_params {
	struct mime_param at[MIME_PARAMS_MAX];
	size_t count;
};

/* The parameters after the first ";" of an unfolded field value; VALUE must outlive OUT.  Sets bits in *MALFORMED. */
void mime_params_parse(struct mime_params *out, unsigned *malformed, struct slice value);
/* The type in lower case, NUL-ended; "text/plain" for an unusable one (RFC 2045 5.2). */
void mime_type_parse(char type[MIME_TYPE_MAX + 1], unsigned *malformed, struct slice value);
enum mime_encoding mime_encoding_parse(unsigned *malformed, struct slice value);

/* Every value that a reader of mail may see for parameter NAME: each as given, unescaped, percent-decoded, joined from its
 * sections, with encoded words decoded; octets stay in the sender's charset (ASCII is ASCII in all that are let pass, others are
 * flagged).  Calls EACH for each; the slices live only during the call.  Returns how many. */
typedef void mime_value(void *arg, struct slice value);
size_t mime_param_values(const struct mime_params *p, const char *name, unsigned *malformed, mime_value *each, void *arg);

/* Flags a charset in which ASCII does not stand for itself. */
void mime_check_charset(unsigned *malformed, struct slice charset);
/* Decode base64 (RFC 2045 6.8) or quoted-printable (6.7) as lenient readers do.  Appends to B (whose max bounds it). */
void mime_decode(struct buf *b, enum mime_encoding encoding, unsigned *malformed, struct slice raw);
/* Encoded words decoded, all else as it is, appended to B. */
void mime_decode_words(struct buf *b, unsigned *malformed, struct slice text);
#endif
