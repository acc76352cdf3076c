/* See scram.h.  Runs in each session process on octets that the client chose. */
#include "smtpd-outside/scram.h"

#include "lib/base64.h"
#include "lib/err.h"

static bool letter(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

/* PART is LETTER, "=" and at least one octet, which *VALUE is then. */
static bool is_attribute(struct slice *value, struct slice part, char which)
{
	*value = slice_from(part, 2);
	return part.n > 2 && part.p[0] == which && part.p[1] == '=';
}

/* The next attribute of *REST must be WHICH. */
static bool take(struct slice *value, struct slice *rest, char which)
{
	struct slice part;
	return slice_cut(&part, rest, ',') && is_attribute(value, part, which);
}

/* An attribute that RFC 5802 does not have, and that may be passed over. */
static bool optional(struct slice part)
{
	struct slice value;
	return part.n && letter(part.p[0]) && !memchr("amnrcsipve", part.p[0], 10) && is_attribute(&value, part, part.p[0]);
}

static bool is_nonce(struct slice nonce)
{
	for (size_t i = 0; i < nonce.n; i++)
		if (nonce.p[i] < 0x21 || nonce.p[i] > 0x7e)
			return false;
	return nonce.n <= DIRECTORY_NONCE_MAX;
}

/* cb-name */
static bool is_binding(struct slice name)
{
	for (size_t i = 0; i < name.n; i++)
		if (!letter(name.p[i]) && !(name.p[i] >= '0' && name.p[i] <= '9') && name.p[i] != '.' && name.p[i] != '-')
			return false;
	return true;
}

/* gs2-header: flag, authzid.  What is left of *REST is client-first-message-bare. */
static bool take_header(struct scram_first *f, struct slice *rest)
{
	struct slice part;
	f->binding = f->whom = slice_make("", 0);
	if (!slice_cut(&part, rest, ',') || !rest->p || !part.n)
		return false;
	f->flag = part.p[0];
	if (is_attribute(&f->binding, part, 'p') ? !is_binding(f->binding) : part.n != 1 || (f->flag != 'n' && f->flag != 'y'))
		return false;
	if (!slice_cut(&part, rest, ',') || !rest->p)
		return false;
	return !part.n || is_attribute(&f->whom, part, 'a');
}

int scram_parse_first(struct scram_first *f, struct slice message)
{
	struct slice rest = message, part;
	if (slice_find(message, 0) < message.n || !take_header(f, &rest))
		return E_SYNTAX;
	f->bare = rest;
	f->header = slice_upto(message, message.n - rest.n);
	if (!take(&f->user, &rest, 'n') || !take(&f->nonce, &rest, 'r') || !is_nonce(f->nonce))
		return E_SYNTAX;
	while (slice_cut(&part, &rest, ','))
		if (!optional(part))
			return E_SYNTAX;
	return 0;
}

static bool take_proof(struct scram_final *f, struct slice text)
{
	size_t used;
	return base64_decode(f->proof, sizeof f->proof, &used, text) == 0 && used == sizeof f->proof;
}

int scram_parse_final(struct scram_final *f, struct slice message)
{
	struct slice rest = message, part, proof;
	if (slice_find(message, 0) < message.n || !take(&f->binding, &rest, 'c') || !take(&f->nonce, &rest, 'r'))
		return E_SYNTAX;
	while (slice_cut(&part, &rest, ',')) {
		if (!is_attribute(&proof, part, 'p')) {
			if (!optional(part))
				return E_SYNTAX;
			continue;
		}
		f->without_proof = slice_upto(message, (size_t)(part.p - 1 - message.p));
		return !rest.p && take_proof(f, proof) ? 0 : E_SYNTAX;
	}
	return E_SYNTAX;
}

int scram_name(char *out, size_t *used, struct slice encoded)
{
	size_t n = 0;
	for (size_t i = 0; i < encoded.n; i++) {
		struct slice rest = slice_from(encoded, i);
		out[n] = encoded.p[i];
		if (encoded.p[i] == '=') {
			if (!slice_starts(rest, "=2C") && !slice_starts(rest, "=3D"))
				return E_SYNTAX;
			out[n] = rest.p[1] == '2' ? ',' : '=';
			i += 2;
		}
		n++;
	}
	*used = n;
	return 0;
}
