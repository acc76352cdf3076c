/* Header rewriting: see rewrite.h.  The header is hostile; what is not an address list stays as it is.  The new header is the old
 * one with spans replaced: octets between the spans are copied and never interpreted again, so display names, comments, folds
 * and encoded words cannot change.  RFC 5322 3.4, 3.6; linear in the header. */
#include "fixup/rewrite.h"
#include "lib/addrlist.h"
#include "lib/header.h"
#include "lib/log.h"

#define LINE_MAX_OCTETS 998 /* RFC 5322 2.1.1 */

static const char *const names[] = {
	"To", "Cc", "Bcc", "From", "Sender", "Reply-To", "Mail-Reply-To", "Mail-Followup-To", "Notice-Requested-Upon-Delivery-To",
};

static bool has_addresses(struct slice name)
{
	if (slice_case_starts(name, "Resent-"))
		name = slice_from(name, strlen("Resent-"));
	for (size_t i = 0; i < sizeof names / sizeof *names; i++)
		if (slice_case_eq_str(name, names[i]))
			return true;
	return false;
}

/* The header being rewritten: its first DONE octets have their new form in OUT. */
struct work {
	struct buf *out;
	struct slice header;
	size_t done;
	bool changed; /* OUT differs from what it was made of */
	struct rules *rules;
	const char *id;
	struct changes *n;
};

static void copy_to(struct work *w, const char *p)
{
	size_t at = (size_t)(p - w->header.p);
	buf_add(w->out, w->header.p + w->done, at - w->done);
	w->done = at;
}

static void replace(struct work *w, struct slice old, struct slice new)
{
	if (old.p == new.p)
		return;
	copy_to(w, old.p);
	buf_add_slice(w->out, new);
	w->done += old.n;
}

/* One address: 1 rewritten, 0 left alone, E_SYS. */
static int rewrite_address(struct work *w, const struct addrlist_item *item)
{
	char text[ADDRESS_MAX];
	struct addr a;
	struct rewrite new;
	size_t n = item->local.n + 1 + item->domain.n;
	if (!item->plain || n > sizeof text)
		return 0;
	memcpy(text, item->local.p, item->local.n);
	text[item->local.n] = '@';
	memcpy(text + item->local.n + 1, item->domain.p, item->domain.n);
	if (addr_parse_mailbox(&a, slice_make(text, n), true))
		return 0;
	a = (struct addr){item->local, item->domain};
	int rc = rules_apply(&new, w->rules, &a);
	if (rc <= 0)
		return rc;
	replace(w, item->local, new.local);
	replace(w, item->domain, new.domain);
	return 1;
}

static size_t longest_line(struct slice s)
{
	struct slice line;
	size_t most = 0;
	while (slice_cut(&line, &s, '\n'))
		if (line.n > most)
			most = line.n;
	return most;
}

/* All addresses of a field: how many were rewritten, or E_SYNTAX, E_TOO_LONG with *WHY, E_SYS. */
static int rewrite_addresses(struct work *w, const struct header_field *f, const char **why)
{
	struct addrlist list;
	struct addrlist_item item;
	int rc, count = 0;
	addrlist_start(&list, f->value);
	while ((rc = addrlist_next(&item, &list)) > 0) {
		int one = rewrite_address(w, &item);
		if (one < 0)
			return one;
		count += one;
	}
	*why = list.why;
	return rc < 0 ? rc : count;
}

/* 0, E_SYS. */
static int rewrite_field(struct work *w, const struct header_field *f)
{
	size_t done = w->done, at = (size_t)(f->whole.p - w->header.p), start = w->out->n + at - done;
	const char *why = NULL;
	int count = rewrite_addresses(w, f, &why);
	if (count == 0 || count == E_SYS)
		return count;
	if (count > 0) {
		copy_to(w, f->whole.p + f->whole.n);
		if (w->out->overflow)
			return 0; /* told at the end */
		size_t longest = longest_line(slice_from(buf_slice(w->out), start));
		if (longest > LINE_MAX_OCTETS && longest > longest_line(f->whole)) {
			count = E_TOO_LONG;
			why = "a line would become longer than 998 octets";
		}
	}
	if (count > 0) {
		w->changed = true;
		w->n->fields++;
		w->n->addresses += (unsigned)count;
		return 0;
	}
	if (w->done != done && !w->out->overflow) { /* take the field back, but not what was copied before it: that would be quadratic */
		w->out->n = start;
		w->done = at;
	}
	w->n->left++;
	LOG(EV_fixup_left, w->id, F_SLICE("field", f->name), F_STR("reason", why));
	return 0;
}

static bool is_bcc(struct slice name)
{
	return slice_case_eq_str(name, "Bcc") || slice_case_eq_str(name, "Resent-Bcc");
}

static void drop_field(struct work *w, const struct header_field *f)
{
	copy_to(w, f->whole.p);
	w->done += f->whole.n;
	w->changed = true;
	w->n->dropped++;
}

struct present {
	bool from, date, message_id;
};

static void complete(struct work *w, const char *end, const struct present *has, const struct completion *c)
{
	bool from = c->from.n && !has->from;
	if (!from && has->date && has->message_id)
		return;
	w->changed = true;
	copy_to(w, end);
	if (from)
		buf_add_format(w->out, "From: %.*s\n", SLICE_FMT(c->from));
	if (!has->date) {
		buf_add_str(w->out, "Date: ");
		header_date(w->out, c->wall_usec);
		buf_add_char(w->out, '\n');
	}
	if (!has->message_id)
		buf_add_format(w->out, "Message-ID: <%s@%.*s>\n", w->id, SLICE_FMT(c->me));
	w->n->added += (unsigned)from + (unsigned)!has->date + (unsigned)!has->message_id;
}

int rewrite_header(struct buf *out, struct slice header, struct rules *r, const struct completion *missing, struct changes *n)
{
	char id_text[ID_LEN + 1];
	struct work w = {.out = out, .header = header, .rules = r, .id = id_text, .n = n};
	struct slice rest = header;
	struct header_field f;
	struct present has = {0};
	if (slice_copy(id_text, sizeof id_text, missing->id))
		return E_SYNTAX;
	while (header_next(&f, &rest)) {
		has.from |= slice_case_eq_str(f.name, "From");
		has.date |= slice_case_eq_str(f.name, "Date");
		has.message_id |= slice_case_eq_str(f.name, "Message-ID");
		if (missing->drop_bcc && is_bcc(f.name))
			drop_field(&w, &f);
		else if (has_addresses(f.name) && rewrite_field(&w, &f))
			return E_SYS;
	}
	if (rest.n && rest.p[0] == '\n')
		complete(&w, rest.p, &has, missing);
	if (!w.changed && !out->overflow)
		return 0;
	copy_to(&w, header.p + header.n);
	return out->overflow ? E_TOO_LONG : 1;
}
