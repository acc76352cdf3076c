/* control/directory.ldif as a back end: answers at once from memory.  Runs in postern-directory. */
#include "directory/backend.h"
#include "directory/embedded.h"
#include "lib/control.h"
#include "lib/log.h"

static struct embedded directory;
static struct account account;

struct account_defaults backend_defaults(const struct control *c)
{
	return (struct account_defaults){
		.object_class = control_word(c, C_ldapobjectclass), .message_store = control_word(c, C_ldapmessagestore),
		.quota_octets = control_number(c, C_defaultquotasize), .quota_count = control_number(c, C_defaultquotacount),
	};
}

static void lookup(struct lookup *l)
{
	struct found f = {.verdict = DIRECTORY_NO, .text = ""};
	if (embedded_find(&account, &directory, l->kind == LOOKUP_LOGIN ? KEY_LOGIN : KEY_ADDRESS, l->key))
		f = (struct found){true, account.verdict, account.text, &account.entry, account.dn, &account};
	l->done(l, &f);
}

static void run_check(struct work *w)
{
	struct check *c = (struct check *)w;
	bool match = false;
	if (clock_msec() >= c->deadline) {
		c->verdict = DIRECTORY_TEMPORARY;
		memcpy(c->text, "too many passwords are being checked", sizeof "too many passwords are being checked");
		return;
	}
	for (size_t i = 0; i < c->stored_count; i++)
		match |= password_matches(slice_str(c->stored[i]), slice_str(c->password));
	c->verdict = match && c->dn[0] ? DIRECTORY_YES : DIRECTORY_NO;
}

static void prepare_check(struct check *c, const struct found *f)
{
	const struct account *a = f->exists ? f->account : NULL;
	c->work.run = run_check;
	c->stored_count = 0;
	for (size_t i = 0; a && i < a->password_count; i++)
		if (slice_copy(c->stored[c->stored_count], sizeof c->stored[0], a->passwords[i]) == 0)
			c->stored_count++;
	memcpy(c->dn, c->stored_count ? "+" : "", c->stored_count ? 2 : 1);
	if (c->stored_count == 0 && directory.password[0]) {
		memcpy(c->stored[0], directory.password, sizeof directory.password);
		c->stored_count = 1;
	}
}

static void finish_check(struct check *c)
{
	explicit_bzero(c->stored, sizeof c->stored);
}

static size_t watch(struct pollfd p[BACKEND_POLL_MAX])
{
	(void)p;
	return 0;
}

static int64_t deadline(void)
{
	return DEADLINE_NEVER;
}

static void attend(void)
{
}

const struct backend *embedded_backend(const struct control *c, struct err *e)
{
	static const struct backend backend = {lookup, prepare_check, finish_check, watch, deadline, attend};
	struct account_defaults defaults = backend_defaults(c);
	int64_t start = clock_msec();
	if (embedded_load(&directory, control_blob(c, C_directory_ldif), &defaults, e) < 0)
		return NULL;
	LOG(EV_directory_loaded, NULL, F_NUM("entries", directory.entries), F_NUM("keys", directory.used), F_NUM("msec", clock_msec() - start));
	return &backend;
}
