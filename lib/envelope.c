/* Envelope records: see envelope.h and postern-job(5).
 *
 * Every program decodes what it is given as if the sender had been taken over: each record has a limit, a place and a
 * character set; anything else is E_PEER.  Records of the message come in any order after the version, each at most once; those of a
 * recipient follow its address. */
#include "lib/envelope.h"

#include <stdlib.h>

#include "lib/netstring.h"

enum { TEXT, FLAG, NUMBER, CLASS, LETTER, VERSION, RECIPIENT, ORCPT, NOTIFY };

static const struct kind {
	char key;
	int type;
	size_t max; /* octets of the value */
	size_t offset;
} kinds[] = {
	{'V', VERSION, 1, 0},
	{'I', TEXT, ID_LEN, offsetof(struct envelope, id)},
	{'C', CLASS, 1, offsetof(struct envelope, class)},
	{'T', NUMBER, 20, offsetof(struct envelope, wall_usec)},
	{'S', TEXT, ADDRESS_MAX, offsetof(struct envelope, sender)},
	{'U', TEXT, ADDRESS_MAX, offsetof(struct envelope, user)},
	{'A', TEXT, 46, offsetof(struct envelope, client_ip)},
	{'P', TEXT, 255, offsetof(struct envelope, client_host)},
	{'H', TEXT, 255, offsetof(struct envelope, helo)},
	{'X', TEXT, 128, offsetof(struct envelope, tls)},
	{'E', TEXT, 100, offsetof(struct envelope, envid)},
	{'D', LETTER, 1, offsetof(struct envelope, ret)},
	{'8', FLAG, 0, offsetof(struct envelope, eightbit)},
	{'6', FLAG, 0, offsetof(struct envelope, smtputf8)},
	{'Y', FLAG, 0, offsetof(struct envelope, require_tls)},
	{'K', TEXT, ID_LEN, offsetof(struct envelope, origin)},
	{'M', FLAG, 0, offsetof(struct envelope, origin_again)},
	{'F', FLAG, 0, offsetof(struct envelope, foreign_sender)},
	{'G', FLAG, 0, offsetof(struct envelope, foreign_from)},
	{'Q', TEXT, 200, offsetof(struct envelope, hold_reason)},
	{'W', TEXT, ADDRESS_MAX, offsetof(struct envelope, hold_owner)},
	{'L', NUMBER, 20, offsetof(struct envelope, hold_until_sec)},
	{'Z', LETTER, 1, offsetof(struct envelope, hold_then)},
	{'R', RECIPIENT, ADDRESS_MAX, 0},
	{'O', ORCPT, 500, 0},
	{'N', NOTIFY, 3, 0},
};
#define KINDS (sizeof kinds / sizeof *kinds)
#define VALUE_MAX 512

static void add(struct buf *b, char key, struct slice value)
{
	char text[VALUE_MAX + 1];
	if (value.n > VALUE_MAX) {
		b->overflow = true;
		return;
	}
	text[0] = key;
	if (value.n)
		memcpy(text + 1, value.p, value.n);
	netstring_add(b, slice_make(text, value.n + 1));
}

static void add_number(struct buf *b, char key, long long v)
{
	char space[24];
	struct buf text = BUF_OVER(space);
	buf_add_number(&text, v);
	add(b, key, buf_slice(&text));
}

static void encode_field(struct buf *b, const struct kind *k, const void *at)
{
	switch (k->type) {
	case VERSION:
		add(b, 'V', slice_str("1"));
		break;
	case TEXT: {
		struct slice s = *(const struct slice *)at;
		if (s.n || k->key == 'S')
			add(b, k->key, s);
		break;
	}
	case CLASS: {
		char c = (char)*(const enum envelope_class *)at;
		add(b, k->key, slice_make(&c, 1));
		break;
	}
	case NUMBER:
		if (*(const int64_t *)at)
			add_number(b, k->key, *(const int64_t *)at);
		break;
	case LETTER:
		if (*(const char *)at)
			add(b, k->key, slice_make(at, 1));
		break;
	case FLAG:
		if (*(const bool *)at)
			add(b, k->key, slice_make("", 0));
		break;
	}
}

void envelope_encode(struct buf *b, const struct envelope *env)
{
	for (size_t i = 0; i < KINDS; i++)
		encode_field(b, &kinds[i], (const char *)env + kinds[i].offset);
	for (size_t i = 0; i < env->rcpts; i++) {
		const struct recipient *r = &env->rcpt[i];
		add(b, 'R', r->address);
		if (r->orcpt.n)
			add(b, 'O', r->orcpt);
		if (r->notify[0])
			add(b, 'N', slice_str(r->notify));
	}
	netstring_add(b, slice_make("", 0));
}

/* No control characters in any value: nothing that could end a line in a header, a log or a reply. */
static bool clean(struct slice s)
{
	for (size_t i = 0; i < s.n; i++)
		if ((unsigned char)s.p[i] < 0x20 || s.p[i] == 0x7f)
			return false;
	return true;
}

static int bad(struct err *e, const char *what, char key)
{
	return err_set(e, E_PEER, "envelope record %c: %s", key >= ' ' && key <= '~' ? key : '?', what);
}

struct decoding {
	struct envelope *env;
	size_t room; /* recipients that .rcpt has room for */
	unsigned long seen;
};

static int add_recipient(struct decoding *d, struct slice value, struct err *e)
{
	struct envelope *env = d->env;
	if (value.n == 0)
		return bad(e, "empty address", 'R');
	if (env->rcpts == RECIPIENTS_MAX)
		return bad(e, "too many recipients", 'R');
	if (env->rcpts == d->room) {
		size_t room = d->room ? d->room * 4 : 8;
		struct recipient *r = reallocarray(env->memory, room, sizeof *r);
		if (!r)
			return err_sys(e, "envelope");
		env->memory = env->rcpt = r;
		d->room = room;
	}
	env->rcpt[env->rcpts++] = (struct recipient){.address = value};
	return 0;
}

static int of_recipient(struct decoding *d, const struct kind *k, struct slice value, struct err *e)
{
	if (d->env->rcpts == 0)
		return bad(e, "before any recipient", k->key);
	struct recipient *r = &d->env->rcpt[d->env->rcpts - 1];
	if (k->type == ORCPT) {
		if (r->orcpt.p || value.n == 0)
			return bad(e, "given twice or empty", k->key);
		r->orcpt = value;
		return 0;
	}
	for (size_t i = 0; i < value.n; i++)
		if (!strchr("SFDN", value.p[i]))
			return bad(e, "unknown letter", k->key);
	if (r->notify[0] || value.n == 0)
		return bad(e, "given twice or empty", k->key);
	return slice_copy(r->notify, sizeof r->notify, value);
}

static int decode_letter(void *at, const struct kind *k, struct slice value, struct err *e)
{
	const char *allowed = k->key == 'D' ? "FH" : "rbd";
	if (value.n != 1 || !strchr(allowed, value.p[0]))
		return bad(e, "unknown letter", k->key);
	*(char *)at = value.p[0];
	return 0;
}

static int decode_field(struct decoding *d, const struct kind *k, struct slice value, struct err *e)
{
	void *at = (char *)d->env + k->offset;
	long long number;
	switch (k->type) {
	case VERSION:
		return slice_eq_str(value, "1") ? 0 : bad(e, "unknown version", k->key);
	case TEXT:
		*(struct slice *)at = value;
		return 0;
	case NUMBER:
		if (slice_number(&number, value, 0, INT64_MAX) < 0)
			return bad(e, "not a number", k->key);
		*(int64_t *)at = number;
		return 0;
	case CLASS:
		if (value.n != 1 || !strchr("osqlb", value.p[0]))
			return bad(e, "unknown class", k->key);
		*(enum envelope_class *)at = (enum envelope_class)value.p[0];
		return 0;
	case FLAG:
		*(bool *)at = true;
		return 0;
	default:
		return decode_letter(at, k, value, e);
	}
}

static int decode_record(struct decoding *d, struct slice record, struct err *e)
{
	char key = record.p[0];
	struct slice value = slice_from(record, 1);
	size_t i = 0;
	while (i < KINDS && kinds[i].key != key)
		i++;
	if (i == KINDS)
		return bad(e, "unknown kind", key);
	if (value.n > kinds[i].max || !clean(value))
		return bad(e, "too long or with control characters", key);
	if (!(d->seen & 1) && kinds[i].type != VERSION)
		return bad(e, "before the version", key);
	if (kinds[i].type == RECIPIENT)
		return add_recipient(d, value, e);
	if (kinds[i].type == ORCPT || kinds[i].type == NOTIFY)
		return of_recipient(d, &kinds[i], value, e);
	if (d->seen & 1ul << i)
		return bad(e, "given twice", key);
	d->seen |= 1ul << i;
	return decode_field(d, &kinds[i], value, e);
}

static int decode_all(struct decoding *d, struct slice *head, struct err *e)
{
	for (;;) {
		struct slice record;
		if (netstring_take(&record, head, VALUE_MAX + 1) < 0)
			return err_set(e, E_PEER, "the envelope is cut off or not netstrings");
		if (record.n == 0)
			break;
		int rc = decode_record(d, record, e);
		if (rc < 0)
			return rc;
	}
	if (!id_valid(d->env->id) || !d->env->class || d->env->rcpts == 0 || !d->env->sender.p)
		return err_set(e, E_PEER, "the envelope lacks its id, class, sender or recipients");
	return 0;
}

int envelope_decode(struct envelope *env, struct slice *header, struct slice head, struct err *e)
{
	struct decoding d = {env, 0, 0};
	*env = (struct envelope){0};
	int rc = decode_all(&d, &head, e);
	if (rc < 0) {
		envelope_free(env);
		return rc;
	}
	if (head.n > HEADER_MAX) {
		envelope_free(env);
		return err_set(e, E_PEER, "the header is larger than %d octets", HEADER_MAX);
	}
	*header = head;
	return 0;
}

void envelope_free(struct envelope *env)
{
	free(env->memory);
	env->memory = env->rcpt = NULL;
	env->rcpts = 0;
}

int envelope_copy(struct envelope *dst, const struct envelope *src, size_t count, struct err *e)
{
	struct recipient *r = calloc(count ? count : 1, sizeof *r);
	if (!r)
		return err_sys(e, "envelope");
	*dst = *src;
	dst->memory = dst->rcpt = r;
	dst->rcpts = count;
	return 0;
}
