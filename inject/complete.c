/* See complete.h.  Runs in sendmail and qmail-inject, as the user who sends; the message is the user's, or came from the network by way of a
 * program of theirs.  Linear; nothing is copied but into the one result. */
#include "inject/complete.h"

#include "lib/addrlist.h"
#include "lib/fields.h"
#include "lib/header.h"
#include "lib/id.h"

enum { ADDRESSES = 1, DROP = 2, RESENT = 4, TO = 8, FROM = 16, DATE = 32, MESSAGE_ID = 64, BCC = 128 };

static const struct known {
	const char *name;
	unsigned flags;
} known[] = {
	{"To", ADDRESSES | TO}, {"Cc", ADDRESSES | TO}, {"Bcc", DROP | BCC}, {"From", ADDRESSES | FROM}, {"Sender", ADDRESSES},
	{"Reply-To", ADDRESSES}, {"Mail-Reply-To", ADDRESSES}, {"Mail-Followup-To", ADDRESSES}, {"Notice-Requested-Upon-Delivery-To", ADDRESSES},
	{"Date", DATE}, {"Message-ID", MESSAGE_ID}, {"Return-Path", DROP}, {"Apparently-To", DROP}, {"Content-Length", DROP},
	{"Resent-To", ADDRESSES | RESENT | TO}, {"Resent-Cc", ADDRESSES | RESENT | TO}, {"Resent-Bcc", DROP | RESENT | BCC},
	{"Resent-From", ADDRESSES | RESENT | FROM}, {"Resent-Sender", ADDRESSES | RESENT}, {"Resent-Reply-To", ADDRESSES | RESENT},
	{"Resent-Date", RESENT | DATE}, {"Resent-Message-ID", RESENT | MESSAGE_ID},
};

static unsigned flags_of(struct slice name)
{
	for (size_t i = 0; i < sizeof known / sizeof *known; i++)
		if (slice_case_eq_str(name, known[i].name))
			return known[i].flags;
	return 0;
}

/* The flags of all fields; those of Resent- fields in *RESENT. */
static unsigned survey(unsigned *resent, struct slice header)
{
	struct header_field f;
	unsigned all = 0;
	*resent = 0;
	while (header_next(&f, &header)) {
		unsigned flags = flags_of(f.name);
		if (flags & RESENT)
			*resent |= flags;
		else
			all |= flags;
	}
	return all;
}

static void complete_domain(struct buf *b, const struct names *n, struct slice domain)
{
	if (domain.n && domain.p[0] != '[' && slice_find(domain, '.') == domain.n && n->domain.n) {
		buf_add_char(b, '.');
		buf_add_slice(b, n->domain);
	}
}

void complete_address(struct buf *b, const struct names *n, struct slice local, struct slice domain)
{
	buf_add_slice(b, local);
	buf_add_char(b, '@');
	buf_add_slice(b, domain.n ? domain : n->host);
	complete_domain(b, n, domain);
}

static int add(struct recipients *r, const struct names *n, const struct addrlist_item *item)
{
	char space[REQUEST_ADDRESS_MAX];
	struct buf b = {space, 0, sizeof space, sizeof space, false};
	complete_address(&b, n, item->local, item->domain);
	netstring_add(&r->list, buf_slice(&b));
	return b.overflow || r->list.overflow || ++r->count > RECIPIENTS_MAX ? E_TOO_LONG : 0;
}

int complete_list(struct recipients *r, const struct names *n, struct slice list, struct err *e)
{
	struct addrlist l;
	struct addrlist_item item;
	int found;
	addrlist_start(&l, list);
	l.bare = true;
	while ((found = addrlist_next(&item, &l)) > 0) {
		if (!item.plain)
			return err_set(e, E_SYNTAX, "an address with a blank or comment inside");
		if (add(r, n, &item) < 0)
			return err_set(e, E_TOO_LONG, "an address is too long, or there are more than %d", RECIPIENTS_MAX);
	}
	return found < 0 ? err_set(e, (enum err_code)found, "%s", l.why) : 0;
}

int complete_recipients(struct recipients *r, const struct names *n, struct slice header, struct err *e)
{
	struct header_field f;
	unsigned resent;
	int rc = 0;
	survey(&resent, header);
	while (rc == 0 && header_next(&f, &header)) {
		unsigned flags = flags_of(f.name);
		if (flags & (TO | BCC) && !(flags & RESENT) == !resent)
			rc = complete_list(r, n, f.value, e);
	}
	return rc;
}

/* Is the value a list of addresses, and not too long a one? */
static bool readable(struct slice value)
{
	struct addrlist l;
	struct addrlist_item item;
	int found;
	addrlist_start(&l, value);
	l.bare = true;
	while ((found = addrlist_next(&item, &l)) > 0)
		;
	return found == 0;
}

/* FIELD with its addresses completed. */
static void rewrite(struct buf *out, const struct names *n, const struct header_field *f)
{
	struct addrlist l;
	struct addrlist_item item;
	const char *from = f->whole.p;
	addrlist_start(&l, f->value);
	l.bare = true;
	while (addrlist_next(&item, &l) > 0) {
		struct slice last = item.domain.n ? item.domain : item.local;
		buf_add(out, from, (size_t)(last.p + last.n - from));
		from = last.p + last.n;
		if (!item.domain.n) {
			buf_add_char(out, '@');
			buf_add_slice(out, n->host);
		}
		complete_domain(out, n, item.domain);
	}
	buf_add(out, from, (size_t)(f->whole.p + f->whole.n - from));
}

static bool dropped(const struct author *a, unsigned flags)
{
	return flags & DROP || (a->drop_from && flags & FROM && !(flags & RESENT)) || (a->drop_message_id && flags & MESSAGE_ID && !(flags & RESENT));
}

/* What RFC 2047 5 (3) allows in a word that is not a quoted string. */
static void add_encoded(struct buf *b, struct slice text)
{
	size_t in_word = 0;
	for (size_t i = 0; i < text.n; i++) {
		unsigned char c = (unsigned char)text.p[i];
		bool alnum = (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
		if (in_word > 45 && (c & 0xc0) != 0x80) { /* a word ends between characters */
			buf_add_str(b, "?=\n ");
			in_word = 0;
		}
		if (in_word == 0)
			buf_add_str(b, "=?utf-8?Q?");
		buf_add_format(b, alnum ? "%c" : "=%02X", c);
		in_word += alnum ? 1 : 3;
	}
	buf_add_str(b, "?=");
}

static void add_display_name(struct buf *b, struct slice name)
{
	if (!slice_printable(name)) {
		add_encoded(b, name);
		return;
	}
	buf_add_char(b, '"');
	for (size_t i = 0; i < name.n; i++) {
		if (name.p[i] == '"' || name.p[i] == '\\')
			buf_add_char(b, '\\');
		buf_add_char(b, name.p[i]);
	}
	buf_add_char(b, '"');
}

static void add_from(struct buf *b, const char *resent, const struct names *n, const struct author *a)
{
	size_t at = slice_rfind(a->user, '@');
	struct slice domain = at < a->user.n ? slice_from(a->user, at + 1) : a->host;
	buf_add_format(b, "%sFrom: ", resent);
	if (a->full_name.n) {
		add_display_name(b, slice_upto(a->full_name, 200));
		buf_add_char(b, ' ');
	}
	buf_add_char(b, '<');
	complete_address(b, n, slice_upto(a->user, at), domain);
	buf_add_str(b, ">\n");
}

static void add_missing(struct buf *b, unsigned have, const char *resent, const struct names *n, const struct author *a, int64_t wall_usec)
{
	char id[ID_LEN + 1];
	if (!(have & DATE)) {
		buf_add_format(b, "%sDate: ", resent);
		header_date(b, wall_usec);
		buf_add_char(b, '\n');
	}
	if (!(have & MESSAGE_ID)) {
		id_make(id);
		buf_add_format(b, "%sMessage-ID: <%s@%.*s>\n", resent, id, SLICE_FMT(n->idhost));
	}
	if (!(have & FROM))
		add_from(b, resent, n, a);
}

void complete_header(struct buf *out, const struct names *n, const struct author *a, struct slice header, int64_t wall_usec)
{
	struct header_field f;
	unsigned resent, have = survey(&resent, header);
	if (a->drop_from)
		have &= ~(unsigned)FROM;
	if (a->drop_message_id)
		have &= ~(unsigned)MESSAGE_ID;
	if (resent)
		add_missing(out, resent, "Resent-", n, a, wall_usec);
	while (header_next(&f, &header)) {
		unsigned flags = flags_of(f.name);
		if (dropped(a, flags))
			continue;
		if (flags & ADDRESSES && readable(f.value))
			rewrite(out, n, &f);
		else
			buf_add_slice(out, f.whole);
		if (f.whole.p[f.whole.n - 1] != '\n')
			buf_add_char(out, '\n');
	}
	add_missing(out, have, "", n, a, wall_usec);
	if (!(have & TO))
		buf_add_str(out, "To: undisclosed-recipients:;\n");
	buf_add_char(out, '\n');
}

void complete_return_path(struct buf *b, bool *present, const struct names *n, struct slice header)
{
	struct header_field f;
	struct addrlist l;
	struct addrlist_item item;
	*present = header_find(&f, header, "return-path");
	if (!*present)
		return;
	addrlist_start(&l, f.value);
	l.bare = true;
	if (addrlist_next(&item, &l) > 0 && item.plain)
		complete_address(b, n, item.local, item.domain);
}
