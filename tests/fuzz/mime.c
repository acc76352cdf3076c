/* The MIME walker: parts lie in the message, in their order, and limits hold. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "scanner-bridge/mime.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct seen {
	struct slice message;
	const char *last;
	unsigned parts;
};

static void see(void *arg, const struct mime_part *part)
{
	struct seen *s = arg;
	struct buf b = BUF_INIT(1 << 20);
	unsigned malformed = 0;
	if (++s->parts > MIME_PARTS_MAX || part->name_count > MIME_NAMES_MAX || strlen(part->type) > MIME_TYPE_MAX)
		abort();
	if (!part->container && part->content.n) {
		if (part->content.p < s->last || part->content.p + part->content.n > s->message.p + s->message.n)
			abort();
		s->last = part->content.p + part->content.n;
		mime_decode(&b, part->encoding, &malformed, part->content);
		if (b.overflow || b.n > part->content.n)
			abort();
	}
	for (size_t i = 0; i < part->name_count; i++)
		if (part->names[i].n > MIME_NAME_MAX || !memchr(part->names[i].p, part->names[i].p[0], part->names[i].n))
			abort();
	buf_free(&b);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct seen s = {.message = slice_make(data, size), .last = (const char *)data};
	unsigned malformed = 0;
	mime_walk(s.message, &malformed, see, &s);
	if (malformed >> MALFORMED_KINDS)
		abort();
	return 0;
}
