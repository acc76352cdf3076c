/* One message looked at: see examine.h.  Input is hostile.  What could not be looked at is told (.incomplete, VIRUS_ERROR), so that the
 * policy decides and nothing passes as clean by accident. */
#include "scanner-bridge/examine.h"
#include "scanner-bridge/mime.h"

#include <stdio.h>

#define TEXTS_MAX ((size_t)INSPECT_BANNED_MAX * 3 * (INSPECT_TEXT_MAX + 1) + 1024)
#define DECODED_FACTOR 4 /* decoded octets of all parts together, in messages of .octets_max */

/* The end is what tells a name's kind. */
static struct slice keep(struct examiner *x, struct slice s)
{
	size_t at = x->texts.n;
	buf_add_slice(&x->texts, s.n > INSPECT_TEXT_MAX ? slice_from(s, s.n - INSPECT_TEXT_MAX) : s);
	return x->texts.overflow ? (struct slice){0} : slice_make(x->texts.p + at, x->texts.n - at);
}

static void incomplete(struct examiner *x, const char *why)
{
	if (!x->result.incomplete.n)
		x->result.incomplete = slice_str(why);
}

static void add_banned(struct examiner *x, struct slice pattern, struct slice name, const struct mime_part *part)
{
	struct inspection *r = &x->result;
	if (r->banned_count == INSPECT_BANNED_MAX)
		return;
	r->banned[r->banned_count++] = (struct banned_part){
		.pattern = pattern, .name = keep(x, name), .type = keep(x, slice_str(part->type)), .octets = (long long)part->content.n,
	};
}

static void check_banned(struct examiner *x, const struct mime_part *part)
{
	struct slice hit = banned_type(x->banned, slice_str(part->type));
	if (hit.n) {
		add_banned(x, hit, part->name_count ? part->names[0] : (struct slice){0}, part);
		return;
	}
	for (size_t i = 0; i < part->name_count; i++) {
		hit = banned_name(x->banned, part->names[i]);
		if (hit.n) {
			add_banned(x, hit, part->names[i], part);
			return;
		}
	}
}

/* A virus beats an error beats clean. */
static void scan(struct examiner *x, struct slice content)
{
	char text[INSPECT_TEXT_MAX + 1];
	enum virus_verdict v;
	if (!x->engine || x->result.virus == VIRUS_FOUND)
		return;
	v = engine_scan(x->engine, content, text);
	if (v == VIRUS_FOUND || (v == VIRUS_ERROR && x->result.virus != VIRUS_ERROR)) {
		memcpy(x->virus_text, text, sizeof text);
		x->result.text = slice_str(x->virus_text);
	}
	if (v == VIRUS_FOUND || v == VIRUS_ERROR)
		x->result.virus = v;
}

static void see_part(void *arg, const struct mime_part *part);

static void see_nested(struct examiner *x, struct slice message)
{
	x->result.malformed |= MALFORMED_ENCODING;
	if (x->nested == EXAMINE_NESTED_MAX) {
		incomplete(x, "encoded messages within encoded messages");
		return;
	}
	x->nested++;
	mime_walk(message, &x->result.malformed, see_part, x);
	x->nested--;
}

/* Plain text that is not encoded was seen with the whole message, as it is. */
static bool seen_already(const struct mime_part *part)
{
	return part->encoding == ENCODING_IDENTITY && strcmp(part->type, "text/plain") == 0;
}

static void decode(struct examiner *x, const struct mime_part *part)
{
	struct buf b = BUF_INIT(x->octets_max + 16);
	struct slice content = part->content;
	if (part->encoding == ENCODING_BASE64 || part->encoding == ENCODING_QP) {
		mime_decode(&b, part->encoding, &x->result.malformed, content);
		content = buf_slice(&b);
		x->decoded += b.n;
	}
	if (b.overflow || x->decoded > DECODED_FACTOR * x->octets_max)
		incomplete(x, "too much to decode");
	else if (strncmp(part->type, "message/", 8) == 0 && part->encoding != ENCODING_IDENTITY)
		see_nested(x, content);
	if (!seen_already(part) && !b.overflow)
		scan(x, content);
	buf_free(&b);
}

static void see_part(void *arg, const struct mime_part *part)
{
	struct examiner *x = arg;
	if (x->banned)
		check_banned(x, part);
	if (!part->container)
		decode(x, part);
}

static void begin(struct examiner *x)
{
	memset(&x->result, 0, sizeof x->result);
	x->result.virus = x->engine ? VIRUS_CLEAN : VIRUS_UNCHECKED;
	x->texts.max = TEXTS_MAX;
	buf_reset(&x->texts);
	x->decoded = 0;
	x->nested = 0;
}

void examine(struct examiner *x, struct slice message)
{
	begin(x);
	scan(x, message);
	mime_walk(slice_from(message, strlen(EXAMINE_PREFIX)), &x->result.malformed, see_part, x);
	if (x->result.malformed & MALFORMED_LIMIT)
		incomplete(x, "MIME structure over a limit (64 levels, 1000 parts, 100 parameters, 8 KiB fields)");
}

void examine_too_long(struct examiner *x, size_t octets)
{
	char text[100];
	begin(x);
	snprintf(text, sizeof text, "message of %zu octets is over scanbytes", octets);
	x->result.incomplete = keep(x, slice_str(text));
	if (x->engine) {
		x->result.virus = VIRUS_ERROR;
		x->result.text = x->result.incomplete;
	}
}
