/* Answers of LDAP servers kept for a while: see ldap_kept.h.  Runs in the loop of postern-directory; an item is the answer as others
 * get it, with DN and verdict before it, and nothing at all for "no such entry". */
#include "directory/ldap_kept.h"

#include "directory/cache.h"
#include "lib/fields.h"

#define NEGATIVE_SHARE 4 /* "no" is believed for a quarter of the time */

void ldap_kept_put(const struct lookup *l, const struct found *f, int seconds)
{
	int64_t life = f->exists && f->verdict == DIRECTORY_YES ? seconds : (seconds + NEGATIVE_SHARE - 1) / NEGATIVE_SHARE;
	struct buf b = BUF_INIT(2 * QUESTION_MAX);
	if (seconds == 0 || f->verdict == DIRECTORY_TEMPORARY)
		return;
	if (f->exists) {
		netstring_add(&b, f->dn);
		netstring_add_number(&b, f->verdict);
		netstring_add_str(&b, f->text);
		netstring_add_str(&b, f->entry->user_class);
		netstring_add_number(&b, f->entry->group);
		directory_encode(&b, DIRECTORY_YES, "", f->entry);
	}
	if (!b.overflow)
		cache_put((char)l->kind, l->key, buf_slice(&b), deadline_in(life * 1000));
	buf_free(&b);
}

bool ldap_kept_answer(struct lookup *l, int seconds)
{
	static struct directory_entry entry;
	struct fields fields = {0};
	char text[DIRECTORY_TEXT_MAX], none[DIRECTORY_TEXT_MAX];
	enum directory_verdict yes;
	if (seconds == 0 || !cache_get(&fields.rest, (char)l->kind, l->key, clock_msec()))
		return false;
	if (fields.rest.n == 0) {
		l->done(l, &(struct found){.verdict = DIRECTORY_NO, .text = ""});
		return true;
	}
	struct slice dn = fields_take(&fields, BACKEND_DN_MAX);
	enum directory_verdict verdict = (enum directory_verdict)fields_take_number(&fields, 0, 127);
	fields_take_copy(&fields, text, sizeof text);
	char class[sizeof entry.user_class];
	fields_take_copy(&fields, class, sizeof class);
	bool group = fields_take_number(&fields, 0, 1);
	if (fields.bad || directory_decode(&yes, none, &entry, fields.rest) < 0)
		return false;
	memcpy(entry.user_class, class, sizeof class);
	entry.group = group;
	l->done(l, &(struct found){.exists = true, .verdict = verdict, .text = text, .entry = &entry, .dn = dn});
	return true;
}
