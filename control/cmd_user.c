/* postern user ADDRESS: what the directory says, and where mail for the address would go.  Nothing is asked of the running suite: the same
 * code answers here, from the control files as they are now, in a child process that plays postern-directory.  Runs as the operator, who
 * must be able to read the control folder. */
#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "control/cmd.h"
#include "deliver/route.h"
#include "directory/answer.h"
#include "fixup/rules.h"
#include "lib/addr.h"
#include "lib/log.h"
#include "supervise/graph.h"

#define ASK_MSEC 60000

struct user {
	const struct options *o;
	struct control control;
	struct slice asked;         /* as given */
	struct buf address, space, targets;
	enum directory_verdict verdict;
	char text[DIRECTORY_TEXT_MAX];
	struct directory_entry entry;
	bool has_entry, relayed;
	pid_t child;
	int sock;
};

/* The child: answers until it is killed. */
_Noreturn static void answer_questions(const struct backend *b, int sock)
{
	static char space[QUESTION_MAX];
	struct err e;
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (work_start(1, &e) < 0)
		_exit(EXIT_TEMPORARY);
	for (;;) {
		struct pollfd p[2 + BACKEND_POLL_MAX] = {{work_fd(), POLLIN, 0}, {sock, POLLIN, 0}};
		struct question q;
		size_t n = 2 + b->watch(p + 2);
		if (poll(p, n, deadline_left(b->deadline())) < 0 && errno != EINTR)
			_exit(EXIT_TEMPORARY);
		work_finish();
		b->attend();
		if (question_receive(&q, sock, space, sizeof space, 0, &e) == 0)
			answer_question(&q);
	}
}

static int start_directory(struct user *u, struct err *e)
{
	int pair[2];
	bool ldap = control_present(&u->control, C_ldapserver);
	log_to(open("/dev/null", O_WRONLY | O_CLOEXEC)); /* what matters comes back as the verdict's text */
	const struct backend *b = ldap ? ldap_backend(&u->control, e) : embedded_backend(&u->control, e);
	int rc = b ? answer_start(&u->control, b, e) : E_SYNTAX;
	if (rc < 0)
		return rc;
	if (socketpair(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0, pair) < 0)
		return err_sys(e, "socketpair");
	u->child = fork();
	if (u->child == 0)
		answer_questions(b, pair[1]);
	close(pair[1]);
	u->sock = pair[0];
	return u->child < 0 ? err_sys(e, "fork") : 0;
}

static void stop_directory(struct user *u)
{
	if (u->child > 0) {
		kill(u->child, SIGKILL);
		waitpid(u->child, NULL, 0);
	}
	close_fd(&u->sock);
}

/* The address that mail for it would have after fixup. */
static int rewrite(struct user *u, const struct addr *a, struct err *e)
{
	struct rules rules;
	struct rewrite w;
	int rc = rules_read(&rules, &u->control, e);
	if (rc < 0)
		return rc;
	rc = rules_apply(&w, &rules, a);
	addr_canonical(&u->address, &(struct addr){w.local, w.domain});
	rules_free(&rules);
	return rc < 0 ? err_set(e, E_SYS, "no memory") : 0;
}

/* A domain in rcpthosts alone: taken from anybody, not looked up, sent on. */
static bool only_relayed(const struct user *u)
{
	struct slice domain = addr_domain_of(buf_slice(&u->address));
	if (control_present(&u->control, C_locals) ? control_has_domain(&u->control, C_locals, domain) :
		slice_case_eq(domain, control_word(&u->control, C_me)))
		return false;
	return control_has_domain(&u->control, C_rcpthosts, domain);
}

static void find_out(struct user *u)
{
	char mail[PATH_MAX + 8], state[PATH_MAX];
	int64_t deadline = deadline_in(ASK_MSEC);
	struct slice address = buf_slice(&u->address);
	if (!realpath(u->o->state, state))
		snprintf(state, sizeof state, "%s", u->o->state);
	snprintf(mail, sizeof mail, "%s/mail", state);
	u->relayed = only_relayed(u);
	u->verdict = u->relayed ? DIRECTORY_YES : directory_ask_recipient(u->text, u->sock, address, deadline);
	char text[DIRECTORY_TEXT_MAX];
	enum directory_verdict v = directory_ask_route(&u->entry, &u->space, text, u->sock, address, deadline);
	u->has_entry = v == DIRECTORY_YES || v == DIRECTORY_DISABLED;
	if (u->verdict == DIRECTORY_YES) {
		struct route r = {&u->control, slice_str(mail), directory_ask_route, u->sock};
		route_address(&u->targets, &r, slice_make("", 0), address);
	}
}

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

static void print_text(const struct user *u)
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

static int print_json(const struct user *u)
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

static int exit_code(enum directory_verdict v)
{
	return v == DIRECTORY_YES ? 0 : v == DIRECTORY_TEMPORARY ? EXIT_TEMPORARY : EXIT_FAULT;
}

static int prepare(struct user *u, struct err *e)
{
	struct addr a;
	if (addr_parse_mailbox(&a, u->asked, true) < 0)
		return err_set(e, E_TOO_LONG, "not an address: give local@domain, without brackets");
	int rc = control_read(&u->control, u->o->control, BIT(P_DIRECTORY) | BIT(P_ROUTE) | BIT(P_FIXUP) | BIT(P_SMTPD), e);
	if (rc == 0)
		rc = rewrite(u, &a, e);
	return rc == 0 ? start_directory(u, e) : rc;
}

int cmd_user(const struct options *o)
{
	struct user u = {.o = o, .asked = slice_str(o->arg[0]), .address = BUF_INIT(2 * ADDRESS_MAX), .space = BUF_INIT(QUESTION_MAX),
		.targets = BUF_INIT(ROUTE_ANSWER_MAX), .sock = -1};
	struct err e = {0};
	int rc = prepare(&u, &e), code;
	if (rc == 0) {
		find_out(&u);
		code = exit_code(u.verdict);
		if (o->json)
			code = print_json(&u) ? EXIT_TEMPORARY : code;
		else
			print_text(&u);
	} else {
		code = cmd_fail(o, rc == E_TOO_LONG ? EXIT_USAGE : rc == E_SYNTAX ? EXIT_FAULT : EXIT_TEMPORARY, "%s", e.text);
	}
	stop_directory(&u);
	control_free(&u.control);
	buf_free(&u.address);
	buf_free(&u.space);
	buf_free(&u.targets);
	return code;
}
