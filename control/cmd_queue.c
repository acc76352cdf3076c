/* postern queue: its verbs, and acting on messages by id or by condition.  The queue itself finds the messages and acts on them, in slices; see
 * postern-queue(8). */
#include "control/cmd_queue.h"

#include <jansson.h>
#include <string.h>
#include <unistd.h>

#include "lib/id.h"

void queue_progress(const struct row *r)
{
	if (isatty(2) != 1)
		return;
	long long matched = row_number(r, "matched");
	fprintf(stderr, "\r%lld of %lld looked at, %lld match\033[K", row_number(r, "seen"), row_number(r, "of"), matched);
	fflush(stderr);
}

void queue_progress_end(void)
{
	if (isatty(2) == 1)
		fputs("\r\033[K", stderr);
}

/* What the queue would refuse is said here too, so that a mistake is one whether the suite runs or not. */
static bool known(struct slice arg)
{
	static const char *const keys[] = {"id=", "sender=", "recipient=", "user=", "owner=", "domain=", "host=", "client=", "class=", "state=", "hold=", "reason=",
		"older=", "newer=", "because=", "until=", "then=", "limit=", "recipients=all", "all"};
	for (size_t i = 0; i < sizeof keys / sizeof *keys; i++)
		if (slice_starts(arg, keys[i]) && (arg.n == strlen(keys[i]) || keys[i][strlen(keys[i]) - 1] == '='))
			return true;
	return false;
}

int queue_arguments(struct queue_request *r, const struct options *o)
{
	r->ids = BUF_INIT(COMMAND_MAX / 2);
	r->arg[0] = slice_str(o->args ? o->arg[0] : "list");
	r->count = 1;
	for (int i = 1; i < o->args; i++) {
		struct slice arg = slice_str(o->arg[i]);
		if (id_valid(arg)) {
			buf_add_str(&r->ids, r->ids.n ? "," : "id=");
			buf_add_slice(&r->ids, arg);
		} else if (!known(arg)) {
			return cmd_fail(o, EXIT_USAGE, "%s is neither an id nor a condition; they are id=, sender=, recipient=, user=, owner=, domain=, host=, "
				"client=, class=, state=, hold=, reason=, older=, newer=", o->arg[i]);
		} else if (r->count == COMMAND_ARGS_MAX) {
			return cmd_fail(o, EXIT_USAGE, "too many conditions");
		} else {
			r->arg[r->count++] = arg;
		}
	}
	if (r->count + (r->ids.n > 0) + o->dry_run + (o->by != NULL) > COMMAND_ARGS_MAX || r->ids.overflow)
		return cmd_fail(o, EXIT_USAGE, "too many arguments");
	if (r->ids.n)
		r->arg[r->count++] = buf_slice(&r->ids);
	if (o->dry_run)
		r->arg[r->count++] = slice_str("dry-run");
	if (o->by) {
		snprintf(r->by, sizeof r->by, "by=%s", o->by);
		r->arg[r->count++] = slice_str(r->by);
	}
	return 0;
}

struct result {
	long long matched, done, passed;
	bool any;
};

static void result_row(void *arg, const struct row *r)
{
	struct result *res = arg;
	if (slice_eq_str(row_get(r, "kind"), "progress")) {
		queue_progress(r);
	} else {
		*res = (struct result){row_number(r, "matched"), row_number(r, "done"), row_number(r, "passed"), true};
	}
}

/* The verb's outcome: how many, and why not all of those that were named. */
static int act(const struct options *o, const char *verb)
{
	static char text[COMMAND_MAX];
	struct queue_request req;
	struct result res = {0};
	if (o->args < 2)
		return cmd_usage(o);
	int code = queue_arguments(&req, o);
	if (code == 0)
		code = queue_ask(o, req.arg, req.count, result_row, &res, text);
	else
		text[0] = 0;
	queue_progress_end();
	buf_free(&req.ids);
	if (code != 0 && text[0])
		cmd_fail(o, code, "%s", text);
	if (!res.any)
		return code;
	if (o->json)
		return json_print(json_pack("{s:s, s:I, s:I, s:b}", "action", verb, "messages", (json_int_t)res.done, "matched", (json_int_t)res.matched,
			"dry_run", o->dry_run)) ? EXIT_TEMPORARY : code;
	printf("%s%s: %lld message%s", o->dry_run ? "would " : "", verb, res.done, res.done == 1 ? "" : "s");
	if (res.matched != res.done)
		printf(" of %lld that match", res.matched);
	if (strcmp(verb, "hold") == 0 && res.passed)
		printf("; %lld held already, left as %s (to change a hold name its message by id, hold=, owner= or state=held)", res.passed, res.passed == 1 ? "it is" : "they are");
	putchar('\n');
	return code;
}

int cmd_queue(const struct options *o)
{
	static const char *const actions[] = {"retry", "hold", "release", "bounce", "delete"};
	const char *verb = o->args ? o->arg[0] : "list";
	if (o->by && strcmp(verb, "top") != 0)
		return cmd_fail(o, EXIT_USAGE, "--by belongs to queue top");
	for (size_t i = 0; i < sizeof actions / sizeof *actions; i++)
		if (strcmp(verb, actions[i]) == 0)
			return act(o, actions[i]);
	if (o->dry_run)
		return cmd_fail(o, EXIT_USAGE, "queue %s has no option --dry-run", verb);
	if (strcmp(verb, "list") == 0 || strcmp(verb, "show") == 0)
		return queue_query(o, verb);
	if (strcmp(verb, "verify") == 0)
		return queue_verify(o);
	if (strcmp(verb, "export") == 0)
		return queue_export(o);
	if (strcmp(verb, "import") == 0)
		return queue_import(o);
	if (strcmp(verb, "top") == 0)
		return queue_top(o);
	if (strcmp(verb, "status") == 0)
		return queue_status(o);
	cmd_fail(o, 0, "there is no queue %s", verb);
	return cmd_usage(o);
}
