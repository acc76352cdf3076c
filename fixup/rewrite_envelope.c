/* Envelope rewriting: see rewrite.h.  The envelope has been decoded; its addresses are those that smtpd's parser let through, but are
 * parsed again, as the stage before may have been taken over.  RFC 3461 4.2 (ORCPT), 4.1 (NOTIFY). */
#include <stdlib.h>

#include "fixup/rewrite.h"

#define ORCPT_MAX 500

/* What ADDRESS becomes.  1 with *OUT, 0, E_SYS. */
static int rewrite_one(struct slice *out, struct arena *a, struct rules *r, struct slice address)
{
	struct addr old;
	struct rewrite w;
	struct buf b = BUF_INIT(2 * ADDRESS_MAX);
	if (address.n == 0 || addr_parse_mailbox(&old, address, true))
		return 0;
	int rc = rules_apply(&w, r, &old);
	if (rc <= 0)
		return rc;
	addr_canonical(&b, &(struct addr){w.local, w.domain});
	rc = b.overflow || arena_copy(out, a, buf_slice(&b)) ? E_SYS : 1;
	buf_free(&b);
	return rc;
}

/* "rfc822;" and ADDRESS in xtext; empty where that cannot be said (octets over 0x7f, too long). */
static int make_orcpt(struct slice *out, struct arena *a, struct slice address)
{
	char text[ORCPT_MAX] = "rfc822;";
	size_t n = strlen(text);
	for (size_t i = 0; i < address.n; i++) {
		unsigned char c = (unsigned char)address.p[i];
		bool plain = c > 0x20 && c < 0x7f && c != '+' && c != '=';
		if (c >= 0x7f || n + 3 > sizeof text)
			return 0;
		if (!plain)
			text[n++] = '+';
		if (!plain)
			text[n++] = "0123456789ABCDEF"[c >> 4];
		text[n++] = plain ? (char)c : "0123456789ABCDEF"[c & 15];
	}
	return arena_copy(out, a, slice_make(text, n)) ? E_SYS : 0;
}

static int rewrite_recipients(struct envelope *env, bool *changed, struct arena *a, struct rules *r, struct changes *n)
{
	for (size_t i = 0; i < env->rcpts; i++) {
		struct recipient *to = &env->rcpt[i];
		struct slice old = to->address;
		int rc = rewrite_one(&to->address, a, r, old);
		if (rc > 0 && !to->orcpt.n && make_orcpt(&to->orcpt, a, old))
			rc = E_SYS;
		if (rc < 0)
			return rc;
		changed[i] = rc;
		n->recipients += (unsigned)rc;
	}
	return 0;
}

/* Notices that either wants.  Not given means failures and, perhaps, delays. */
static void join_notify(char into[4], const char other[4])
{
	char all[4] = "";
	size_t n = 0;
	if (strcmp(into, other) == 0)
		return;
	for (const char *c = "SFD"; *c; c++)
		if (strchr(into[0] ? into : "FD", *c) || strchr(other[0] ? other : "FD", *c))
			all[n++] = *c;
	memcpy(into, all, sizeof all);
}

static int merge(struct envelope *env, bool *changed, struct changes *n)
{
	struct map seen = MAP_INIT;
	const struct map_entry *old;
	size_t kept = 0;
	int rc = 0;
	for (size_t i = 0; i < env->rcpts && rc == 0; i++) {
		struct recipient *to = &env->rcpt[i];
		rc = map_add(&seen, &old, to->address, slice_make(NULL, 0), (int)kept);
		if (rc == 0 && old && (changed[i] || changed[old->line])) {
			join_notify(env->rcpt[old->line].notify, to->notify);
			changed[old->line] = true;
			n->merged++;
			continue;
		}
		changed[kept] = changed[i];
		env->rcpt[kept++] = *to;
	}
	env->rcpts = kept;
	map_free(&seen);
	return rc;
}

int rewrite_envelope(struct envelope *env, struct arena *a, struct rules *r, struct changes *n)
{
	int rc = rewrite_one(&env->sender, a, r, env->sender);
	if (rc < 0)
		return rc;
	n->sender = (unsigned)rc;
	bool *changed = calloc(env->rcpts ? env->rcpts : 1, sizeof *changed);
	if (!changed)
		return E_SYS;
	rc = rewrite_recipients(env, changed, a, r, n);
	if (rc == 0 && n->recipients && env->rcpts > 1)
		rc = merge(env, changed, n);
	free(changed);
	return rc;
}
