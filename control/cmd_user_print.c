/* postern user: what was found out, for people and as JSON.  Values come from the directory; control characters are not shown. */
#include "control/cmd_user.h"

#include <jansson.h>
#include <string.h>

static const char *verdict_name(enum directory_verdict v)
{
	return v == DIRECTORY_YES ? "yes" : v == DIRECTORY_NO ? "no" : v == DIRECTORY_DISABLED ? "disabled" : "temporary";
}

static const char *agent_name(enum agent a)
{
	switch (a) {
	case AGENT_LOCAL: return "local";
	case AGENT_LMTP: return "lmtp";
	case AGENT_REMOTE: return "remote";
	case AGENT_QMQP: return "qmqp";
	case AGENT_NONE: break;
	}
	return "none";
}

/* The entry's attributes as key and value, one call each; lists and numbers that are not given are left out. */
typedef void attribute(void *arg, const char *key, struct slice value, long long number, bool is_number);

static void attributes(const struct directory_entry *d, attribute *f, void *arg)
{
	const struct {
		const char *key;
		struct slice value;
	} texts[] = {{"uid", d->uid}, {"mail", d->mail}, {"accountStatus", d->account_status}, {"mailHost", d->mail_host},
		{"mailMessageStore", d->message_store}, {"homeDirectory", d->home}};
	const struct {
		const char *key;
		long long value, none;
	} numbers[] = {{"uidNumber", d->uid_number, -1}, {"gidNumber", d->gid_number, -1}, {"mailQuotaSize", d->quota_octets, 0},
		{"mailQuotaCount", d->quota_count, 0}, {"mailSizeMax", d->size_most, 0}};
	for (size_t i = 0; i < sizeof texts / sizeof *texts; i++)
		if (texts[i].value.n)
			f(arg, texts[i].key, texts[i].value, 0, false);
	for (size_t i = 0; i < d->alternate_count; i++)
		f(arg, "mailAlternateAddress", d->alternates[i], 0, false);
	for (size_t i = 0; i < d->forward_count; i++)
		f(arg, "mailForwardingAddress", d->forwards[i], 0, false);
	for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++)
		if (numbers[i].value != numbers[i].none)
			f(arg, numbers[i].key, (struct slice){"", 0}, numbers[i].value, true);
}

static void print_attribute(void *arg, const char *key, struct slice value, long long number, bool is_number)
{
	(void)arg;
	printf("  %-22s ", key);
	if (is_number)
		printf("%lld", number);
	else
		print_clean(stdout, value);
	putchar('\n');
}

/* Several values become a list. */
static void json_attribute(void *arg, const char *key, struct slice value, long long number, bool is_number)
{
	json_t *all = arg, *list = json_object_get(all, key);
	bool many = strcmp(key, "mailAlternateAddress") == 0 || strcmp(key, "mailForwardingAddress") == 0;
	json_t *j = is_number ? json_integer(number) : json_slice(value);
	if (many && !list) {
		list = json_array();
		json_object_set_new(all, key, list);
	}
	if (many)
		json_array_append_new(list, j);
	else
		json_object_set_new(all, key, j);
}

static void print_targets(const struct user *u)
{
	struct table t = TABLE_INIT;
	struct target one;
	struct slice rest = buf_slice(&u->targets);
	table_column(&t, "MAIL FOR", false);
	table_column(&t, "GOES BY", false);
	table_column(&t, "TO", false);
	while (target_decode(&one, &rest) == 0) {
		table_cell(&t, one.address);
		table_cell(&t, slice_str(agent_name(one.agent)));
		if (one.agent == AGENT_NONE)
			table_cell_format(&t, "%s %.*s", one.enhanced, (int)slice_upto(one.text, 200).n, one.text.p);
		else
			table_cell(&t, one.agent == AGENT_LOCAL ? one.maildir : one.destination);
	}
	if (table_rows(&t)) {
		putchar('\n');
		table_print(&t, stdout);
	}
	buf_free(&t.cells);
}

void user_print(const struct user *u)
{
	static const struct {
		enum directory_verdict v;
		const char *words;
	} words[] = {{DIRECTORY_YES, "may get mail"}, {DIRECTORY_NO, "there is no such address"}, {DIRECTORY_DISABLED, "gets no mail"},
		{DIRECTORY_TEMPORARY, "cannot be found out now; mail for it is answered 451 and waits at its sender"}};
	printf("%s%.*s%s", tty_bold(stdout), SLICE_FMT(u->asked), tty_plain(stdout));
	if (!slice_eq(u->asked, buf_slice(&u->address)))
		printf(" (rewritten: %.*s)", SLICE_FMT(buf_slice(&u->address)));
	if (u->relayed)
		printf(" is not ours; its domain is in rcpthosts, so mail for it is accepted and sent on");
	for (size_t i = 0; !u->relayed && i < sizeof words / sizeof *words; i++)
		if (words[i].v == u->verdict)
			printf(" %s", words[i].words);
	if (u->text[0] && u->verdict != DIRECTORY_YES)
		printf(": %s", u->text);
	putchar('\n');
	if (u->has_entry)
		attributes(&u->entry, print_attribute, NULL);
	print_targets(u);
}

static json_t *json_target(const struct target *t)
{
	json_t *j = json_object();
	json_object_set_new(j, "address", json_slice(t->address));
	json_object_set_new(j, "agent", json_string(agent_name(t->agent)));
	if (t->destination.n)
		json_object_set_new(j, "destination", json_slice(t->destination));
	if (t->maildir.n)
		json_object_set_new(j, "maildir", json_slice(t->maildir));
	if (t->uid_number >= 0)
		json_object_set_new(j, "uid", json_integer(t->uid_number));
	if (t->agent == AGENT_NONE) {
		json_object_set_new(j, "status", json_string(t->status == DELIVERY_FAILED ? "failed" : "deferred"));
		json_object_set_new(j, "enhanced", json_string(t->enhanced));
		json_object_set_new(j, "reason", json_slice(t->text));
	}
	return j;
}

int user_print_json(const struct user *u)
{
	json_t *all = json_object(), *entry = u->has_entry ? json_object() : json_null(), *targets = json_array();
	struct target one;
	struct slice rest = buf_slice(&u->targets);
	if (u->has_entry)
		attributes(&u->entry, json_attribute, entry);
	while (target_decode(&one, &rest) == 0)
		json_array_append_new(targets, json_target(&one));
	json_object_set_new(all, "address", json_slice(buf_slice(&u->address)));
	json_object_set_new(all, "asked", json_slice(u->asked));
	json_object_set_new(all, "verdict", json_string(u->relayed ? "relay" : verdict_name(u->verdict)));
	json_object_set_new(all, "reason", json_string(u->text));
	json_object_set_new(all, "entry", entry);
	json_object_set_new(all, "targets", targets);
	return json_print(all);
}
