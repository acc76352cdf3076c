/* The embedded directory: see embedded.h.
 *
 * Runs in postern-directory (user postern-directory) and in the lint.  The text is the administrator's; keys come from strangers,
 * hence the keyed hash.  A find trusts the index only for where to look: the entry itself must then have the key. */
#include "directory/embedded.h"

#include <stdlib.h>

#include "directory/ldif.h"
#include "lib/envelope.h"

#define SLOTS_FIRST 1024
#define KEY_MAX 1024

/* The entry at AT into A, values into SPACE.  0 or E_SYNTAX. */
static int parse(struct account *a, struct ldif_entry at, char *space, const struct account_defaults *defaults, struct err *e)
{
	struct ldif_line line = {0};
	struct slice value;
	struct err why;
	size_t used = 0, n;
	int rc, first = at.line;
	bool dn = true;
	account_begin(a, slice_make("", 0));
	while ((rc = ldif_attribute(&line, &at, e)) == 0) {
		if ((rc = ldif_value(&value, &n, space + used, &line, e)) < 0)
			return rc;
		used += n;
		if (dn)
			a->dn = value;
		else if (account_add(a, line.name, value, &why) < 0)
			return ldif_fault(e, line.number, "%s", why.text);
		dn = false;
	}
	if (rc != E_EOF)
		return rc;
	if (account_finish(a, defaults, &why) < 0)
		return ldif_fault(e, first, "%s", why.text);
	return 0;
}

static struct ldif_entry entry_at(const struct embedded *d, size_t offset)
{
	struct ldif l = {.rest = slice_from(d->text, offset), .begun = true};
	struct ldif_entry entry = {0};
	return ldif_next(&entry, &l, NULL) == 0 ? entry : (struct ldif_entry){0};
}

static bool has_key(const struct account *a, enum embedded_key kind, struct slice key)
{
	struct buf b = BUF_INIT(KEY_MAX);
	if (kind == KEY_ADDRESS)
		return account_has_address(a, key);
	if (kind == KEY_LOGIN)
		return account_has_login(a, key);
	account_dn_key(&b, a->dn);
	bool same = !b.overflow && slice_eq(buf_slice(&b), key);
	buf_free(&b);
	return same;
}

/* Find the slot of KEY: *SLOT is where it is (true, the account parsed into A) or where it would go (false). */
static bool find_slot(size_t *slot, struct account *a, char *space, const struct embedded *d, enum embedded_key kind, uint64_t hash, struct slice key)
{
	size_t i = hash & (d->slots - 1);
	for (; d->at[i]; i = (i + 1) & (d->slots - 1)) {
		if (d->hash[i] != hash || parse(a, entry_at(d, d->at[i] - 1), space, &d->defaults, NULL) < 0 || !has_key(a, kind, key))
			continue;
		*slot = i;
		return true;
	}
	*slot = i;
	return false;
}

static int make_slots(struct embedded *d, size_t slots, struct err *e)
{
	d->hash = calloc(slots, sizeof *d->hash);
	d->at = calloc(slots, sizeof *d->at);
	d->slots = slots;
	return d->hash && d->at ? 0 : err_sys(e, "memory for directory.ldif");
}

static int grow(struct embedded *d, struct err *e)
{
	struct embedded old = *d;
	int rc = make_slots(d, old.slots * 2, e);
	for (size_t i = 0; rc == 0 && i < old.slots; i++) {
		size_t k = old.hash[i] & (d->slots - 1);
		if (!old.at[i])
			continue;
		while (d->at[k])
			k = (k + 1) & (d->slots - 1);
		d->at[k] = old.at[i];
		d->hash[k] = old.hash[i];
	}
	free(old.hash);
	free(old.at);
	return rc;
}

static int line_of(struct slice text, size_t offset)
{
	int line = 1;
	for (size_t i = 0; i < offset; i++)
		line += text.p[i] == '\n';
	return line;
}

/* The line of ENTRY whose value makes KEY, for a message: a second walk, on this path only. */
static int line_of_key(struct embedded *d, struct ldif_entry entry, struct slice key, void (*make)(struct buf *b, struct slice value))
{
	struct ldif_line line = {0};
	struct slice value;
	size_t used;
	int found = entry.line;
	while (ldif_attribute(&line, &entry, NULL) == 0 && ldif_value(&value, &used, d->spare_space, &line, NULL) == 0) {
		struct buf b = BUF_INIT(KEY_MAX);
		make(&b, value);
		if (!b.overflow && slice_eq(buf_slice(&b), key))
			found = line.number;
		buf_free(&b);
	}
	return found;
}

typedef void make_key(struct buf *b, struct slice value);

static int insert(struct embedded *d, enum embedded_key kind, struct slice value, make_key *make, struct ldif_entry entry, struct err *e)
{
	static const char *const what[128] = {[KEY_ADDRESS] = "address", [KEY_LOGIN] = "uid", [KEY_DN] = "dn"};
	struct buf key = BUF_INIT(KEY_MAX);
	uint32_t at = (uint32_t)(entry.text.p - d->text.p) + 1;
	size_t slot;
	int rc = 0;
	make(&key, value);
	uint64_t hash = hash_of(&d->secret, (char)kind, buf_slice(&key));
	if (key.overflow)
		rc = ldif_fault(e, entry.line, "a %s of more than %d octets", what[kind], KEY_MAX);
	else if (find_slot(&slot, d->spare, d->spare_space, d, kind, hash, buf_slice(&key))) {
		if (d->at[slot] != at) {
			struct ldif_entry other = entry_at(d, d->at[slot] - 1);
			other.line = line_of(d->text, d->at[slot] - 1);
			rc = ldif_fault(e, line_of_key(d, entry, buf_slice(&key), make), "the %s %.*s is also at line %d: it can belong to one entry alone",
				what[kind], SLICE_FMT(slice_upto(value, 100)), line_of_key(d, other, buf_slice(&key), make));
		}
	} else {
		d->at[slot] = at;
		d->hash[slot] = hash;
		if (++d->used * 2 > d->slots)
			rc = grow(d, e);
	}
	buf_free(&key);
	return rc;
}

static int insert_all(struct embedded *d, const struct account *a, struct ldif_entry entry, struct err *e)
{
	const struct directory_entry *n = &a->entry;
	int rc = insert(d, KEY_DN, a->dn, account_dn_key, entry, e);
	if (rc == 0 && n->mail.n)
		rc = insert(d, KEY_ADDRESS, n->mail, account_address_key, entry, e);
	for (size_t i = 0; rc == 0 && i < n->alternate_count; i++)
		rc = insert(d, KEY_ADDRESS, n->alternates[i], account_address_key, entry, e);
	for (size_t i = 0; rc == 0 && i < a->login_count; i++)
		rc = insert(d, KEY_LOGIN, a->logins[i], account_login_key, entry, e);
	return rc;
}

/* An answer must fit into a datagram. */
static int check_size(const struct account *a, struct ldif_entry entry, struct err *e)
{
	struct buf b = BUF_INIT(QUESTION_MAX - 1024);
	directory_encode(&b, DIRECTORY_YES, "", &a->entry);
	bool fits = !b.overflow;
	buf_free(&b);
	return fits ? 0 : ldif_fault(e, entry.line, "an entry with more addresses than an answer can hold (64 KiB)");
}

static void note_password(struct embedded *d, const struct account *a)
{
	for (size_t i = 0; !d->password[0] && i < a->password_count; i++)
		if (password_scheme_known(a->passwords[i]))
			(void)!slice_copy(d->password, sizeof d->password, a->passwords[i]);
}

static int load_entry(struct embedded *d, struct account *a, struct ldif_entry entry, struct err *e)
{
	int rc = parse(a, entry, d->space, &d->defaults, e);
	if (rc < 0 || !a->counts)
		return rc;
	d->entries++;
	note_password(d, a);
	if (entry.text.n > QUESTION_MAX / 2 && (rc = check_size(a, entry, e)) < 0)
		return rc;
	return insert_all(d, a, entry, e);
}

/* The first walk, over lines alone: how much room the largest entry needs. */
static int measure(struct embedded *d, struct err *e)
{
	struct ldif l = {.rest = d->text};
	struct ldif_entry entry;
	int rc;
	while ((rc = ldif_next(&entry, &l, e)) == 0)
		if (entry.text.n > d->entry_octets_most)
			d->entry_octets_most = entry.text.n;
	return rc == E_EOF ? 0 : rc;
}

static int prepare(struct embedded *d, struct err *e)
{
	size_t octets = d->entry_octets_most + 1;
	d->space = malloc(octets);
	d->spare_space = malloc(octets);
	d->member_space = malloc(DIRECTORY_ADDRESSES_MAX * ADDRESS_MAX);
	d->spare = malloc(sizeof *d->spare);
	if (!d->space || !d->spare_space || !d->member_space || !d->spare)
		return err_sys(e, "memory for directory.ldif");
	return make_slots(d, SLOTS_FIRST, e);
}

static int load(struct embedded *d, struct err *e)
{
	struct ldif l = {.rest = d->text};
	struct ldif_entry entry;
	struct account *a = malloc(sizeof *a);
	int rc = a ? 0 : err_sys(e, "memory for directory.ldif");
	while (rc == 0 && (rc = ldif_next(&entry, &l, e)) == 0)
		rc = load_entry(d, a, entry, e);
	free(a);
	return rc == E_EOF ? 0 : rc;
}

int embedded_load(struct embedded *d, struct slice text, const struct account_defaults *defaults, struct err *e)
{
	*d = (struct embedded){.text = text, .defaults = *defaults, .secret = hash_key_make()};
	if (text.n > UINT32_MAX - 1)
		return err_set(e, E_TOO_LONG, "directory.ldif:1: larger than 4 GiB");
	int rc = measure(d, e);
	if (rc == 0)
		rc = prepare(d, e);
	if (rc == 0)
		rc = load(d, e);
	if (rc < 0)
		embedded_free(d);
	return rc;
}

void embedded_free(struct embedded *d)
{
	free(d->hash);
	free(d->at);
	free(d->space);
	free(d->spare_space);
	free(d->member_space);
	free(d->spare);
	*d = (struct embedded){0};
}

/* The members' addresses; a DN that no entry has, or whose entry has no mail, is passed over. */
static void resolve_members(struct account *a, struct embedded *d)
{
	struct directory_entry *e = &a->entry;
	size_t slot, used = 0;
	for (size_t i = 0; i < a->member_count && e->forward_count < DIRECTORY_ADDRESSES_MAX; i++) {
		struct buf key = BUF_INIT(KEY_MAX);
		account_dn_key(&key, a->members[i]);
		uint64_t hash = hash_of(&d->secret, KEY_DN, buf_slice(&key));
		struct slice mail = slice_make(NULL, 0);
		if (!key.overflow && find_slot(&slot, d->spare, d->spare_space, d, KEY_DN, hash, buf_slice(&key)))
			mail = d->spare->entry.mail;
		buf_free(&key);
		if (mail.n == 0 || mail.n > ADDRESS_MAX)
			continue;
		memcpy(d->member_space + used, mail.p, mail.n);
		e->forwards[e->forward_count++] = slice_make(d->member_space + used, mail.n);
		used += mail.n;
	}
	account_finish_group(a);
}

bool embedded_find(struct account *a, struct embedded *d, enum embedded_key kind, struct slice key)
{
	size_t slot;
	if (!find_slot(&slot, a, d->space, d, kind, hash_of(&d->secret, (char)kind, key), key))
		return false;
	if (a->member_count)
		resolve_members(a, d);
	return true;
}

int directory_ldif_check(struct slice text, const struct account_defaults *defaults, struct err *e)
{
	struct embedded d;
	int rc = embedded_load(&d, text, defaults, e);
	if (rc == 0)
		embedded_free(&d);
	return rc;
}
