/* postern skim flag, clear, restore, retry, travel, report: acts on users.  postern-skim checks who asks and writes the audit line. */
#include <jansson.h>
#include <string.h>

#include "control/cmd_skim.h"

#define IDS_MAX 1000000

/* One act of skim alone; what came of it is told. */
static int one(const struct options *o, const char *verb, const char *const *rest, size_t count)
{
	static char text[COMMAND_MAX];
	struct slice args[8] = {slice_str(verb)};
	for (size_t i = 0; i < count; i++)
		args[i + 1] = slice_str(rest[i]);
	int code = skim_ask(o, args, count + 1, NULL, NULL, text);
	if (code && text[0])
		return cmd_fail(o, code, "%s", text);
	if (code == 0 && o->json)
		return json_print(json_pack("{s:s, s:s, s:s}", "action", verb, "user", rest[0], "result", text)) ? EXIT_TEMPORARY : 0;
	if (code == 0) {
		print_clean(stdout, slice_str(text));
		putchar('\n');
	}
	return code;
}

struct report {
	const struct options *o;
	json_t *steps;
	int worst;
};

static void told(struct report *r, const char *step, int code, const char *text)
{
	r->worst = code > r->worst ? code : r->worst;
	if (r->o->json) {
		json_array_append_new(r->steps, json_pack("{s:s, s:b, s:o}", "step", step, "done", code == 0, "text", json_slice(slice_str(text))));
		return;
	}
	printf("%-12s %s", step, code == 0 ? "" : "FAILED: ");
	print_clean(stdout, slice_str(text));
	putchar('\n');
}

static void note_id(void *arg, const struct row *r)
{
	if (slice_eq_str(row_get(r, "kind"), "message")) {
		buf_add_slice(arg, row_get(r, "id"));
		buf_add_char(arg, '\n');
	}
}

static int each_message(const struct options *o, const char *verb, struct slice ids, int *done)
{
	static char text[COMMAND_MAX];
	struct slice id;
	int worst = 0;
	for (int n = 0; n < IDS_MAX && ids.n && slice_cut(&id, &ids, '\n'); n++) {
		struct slice args[] = {slice_str(verb), id};
		if (id.n == 0)
			continue;
		int code = queue_ask(o, args, 2, NULL, NULL, text);
		*done += code == 0;
		if (code != 0 && code != EXIT_FAULT) /* 1: it moved on meanwhile */
			worst = code;
	}
	return worst;
}

/* VERB release, delete, or keep: what the queue holds for USER because of skim. */
static void held_mail(struct report *r, const char *user, const char *verb)
{
	static char text[COMMAND_MAX];
	char owner[420], said[200];
	struct buf ids = BUF_INIT((size_t)IDS_MAX * 16);
	snprintf(owner, sizeof owner, "owner=%s", user);
	struct slice args[] = {slice_str("list"), slice_str("hold=skim"), slice_str(owner)};
	int code = queue_ask(r->o, args, 3, note_id, &ids, text), done = 0;
	if (code == 0 && strcmp(verb, "keep") != 0)
		code = each_message(r->o, verb, buf_slice(&ids), &done);
	for (size_t i = 0; strcmp(verb, "keep") == 0 && i < ids.n; i++)
		done += ids.p[i] == '\n';
	snprintf(said, sizeof said, strcmp(verb, "keep") == 0 ? "%d messages stay held" : strcmp(verb, "delete") == 0 ? "%d messages deleted" :
		"%d messages released", done);
	told(r, "held mail", code, code ? "the queue did not do it; try again" : said);
	buf_free(&ids);
}

struct named {
	char user[400];
	bool responds; /* postern-respond runs */
};

static void note_user(void *arg, const struct row *r)
{
	struct named *n = arg;
	if (!slice_eq_str(row_get(r, "kind"), "user"))
		return;
	(void)!slice_copy(n->user, sizeof n->user, row_get(r, "user"));
	n->responds = slice_eq_str(row_get(r, "respond"), "yes");
}

/* A code may stand for the user. */
static int name_of(struct named *n, const struct options *o, const char *key)
{
	static char text[COMMAND_MAX];
	struct slice args[] = {slice_str("show"), slice_str(key)};
	return skim_ask(o, args, 2, note_user, n, text);
}

/* Undo what postern-respond did to the account. */
static int give_back(struct report *r, const struct named *n)
{
	static char text[COMMAND_MAX];
	struct slice args[] = {slice_str("restore"), slice_str(n->user)};
	if (!n->responds) {
		told(r, "account", 0, "postern-respond does not run, so there is nothing to undo");
		return 0;
	}
	int code = suite_ask(r->o, "respond", args, 2, NULL, NULL, text);
	told(r, "account", code, text[0] ? text : code ? "postern-respond did not answer" : "given back");
	return code;
}

static int end_report(struct report *r, const char *action, const char *user)
{
	if (r->o->json && json_print(json_pack("{s:s, s:s, s:O}", "action", action, "user", user, "steps", r->steps)))
		r->worst = EXIT_TEMPORARY;
	json_decref(r->steps);
	return r->worst;
}

static int of_skim(struct report *r, const char *verb, const char *user)
{
	static char text[COMMAND_MAX];
	struct slice args[] = {slice_str(verb), slice_str(user)};
	int code = skim_ask(r->o, args, 2, NULL, NULL, text);
	told(r, "suspicion", code, text);
	return code;
}

static void note_respond(void *arg, const struct row *r)
{
	*(bool *)arg |= slice_eq_str(row_get(r, "program"), "respond");
}

static void note_incident(void *arg, const struct row *r)
{
	if (slice_eq_str(row_get(r, "kind"), "incident"))
		(void)!slice_copy(arg, 400, row_get(r, "user"));
}

/* Skim has forgotten the user, or its memory was lost; postern-respond has not.  False: it knows of nothing either. */
static bool give_back_forgotten(const struct options *o, const char *key, int *code)
{
	static char text[COMMAND_MAX];
	struct slice status = slice_str("status"), args[] = {slice_str("restore"), slice_str(key)};
	struct report r = {o, NULL, 0};
	char user[400] = "";
	bool runs = false;
	if (!suite_has(o, "supervise") || suite_ask(o, "supervise", &status, 1, note_respond, &runs, text) != 0 || !runs)
		return false;
	int rc = suite_ask(o, "respond", args, 2, note_incident, user, text);
	if (!user[0])
		return false;
	r.steps = json_array();
	told(&r, "account", rc, text[0] ? text : rc ? "postern-respond did not answer" : "given back");
	if (rc == 0)
		held_mail(&r, user, o->release ? "release" : o->delete ? "delete" : "keep");
	*code = end_report(&r, "restore", user);
	return true;
}

/* First what others did to the account, so that a failure there leaves it locked; then skim; then the mail. */
static int restore(const struct options *o, const char *key)
{
	struct named n = {0};
	struct report r = {o, NULL, 0};
	int code = name_of(&n, o, key);
	if (code == EXIT_FAULT && give_back_forgotten(o, key, &code))
		return code;
	if (code)
		return one(o, "restore", &key, 1); /* says why, and leaves its line in the log */
	r.steps = json_array();
	code = give_back(&r, &n);
	if (code == 0)
		code = of_skim(&r, "restore", n.user);
	if (code == 0)
		held_mail(&r, n.user, o->release ? "release" : o->delete ? "delete" : "keep");
	return end_report(&r, "restore", n.user);
}

/* A false alarm: what was done because of it is undone too. */
static int clear(const struct options *o, const char *key)
{
	struct named n = {0};
	struct report r = {o, NULL, 0};
	int code = name_of(&n, o, key);
	if (code || !n.responds)
		return one(o, "clear", &key, 1);
	r.steps = json_array();
	if (of_skim(&r, "clear", n.user) == 0)
		give_back(&r, &n);
	return end_report(&r, "clear", n.user);
}

/* Steps of postern-respond that failed, or that the day's limit held back. */
static int retry(const struct options *o, const char *key)
{
	static char text[COMMAND_MAX];
	struct named n = {0};
	struct report r = {o, NULL, 0};
	struct slice args[] = {slice_str("retry"), slice_str(n.user)};
	int code = name_of(&n, o, key);
	if (code == 0 && !n.responds)
		return cmd_fail(o, EXIT_FAULT, "postern-respond does not run: there is no control/respond");
	if (code)
		return cmd_fail(o, code, "nothing is known of %s", key);
	r.steps = json_array();
	args[1] = slice_str(n.user);
	code = suite_ask(o, "respond", args, 2, NULL, NULL, text);
	told(&r, "account", code, text[0] ? text : code ? "postern-respond did not answer" : "failed steps are tried again now; postern skim show tells how it went");
	return end_report(&r, "retry", n.user);
}

static int travel(const struct options *o)
{
	bool none = o->args == 3 && strcmp(o->arg[2], "none") == 0;
	if (!none && (o->args != 5 || strcmp(o->arg[3], "until") != 0))
		return EXIT_USAGE;
	return one(o, "travel", (const char *const[]){o->arg[1], o->arg[2], none ? "" : o->arg[4]}, 3);
}

int skim_act(const struct options *o, const char *verb)
{
	int mail = o->release + o->delete + o->keep;
	bool flag = strcmp(verb, "flag") == 0, giving_back = strcmp(verb, "restore") == 0;
	if (o->args < 2 || (mail && (!giving_back || mail > 1)) || ((o->lock || o->why) && !flag))
		return EXIT_USAGE;
	if (flag && !o->why)
		return cmd_fail(o, EXIT_USAGE, "flag needs --why TEXT: whoever looks at it later must know");
	if (strcmp(verb, "travel") == 0)
		return travel(o);
	if (o->args != 2)
		return EXIT_USAGE;
	if (flag)
		return one(o, o->lock ? "lock" : "flag", (const char *const[]){o->arg[1], o->why}, 2);
	if (giving_back)
		return restore(o, o->arg[1]);
	if (strcmp(verb, "clear") == 0)
		return clear(o, o->arg[1]);
	if (strcmp(verb, "retry") == 0)
		return retry(o, o->arg[1]);
	if (strcmp(verb, "report") == 0)
		return one(o, verb, &o->arg[1], 1);
	return EXIT_USAGE;
}
