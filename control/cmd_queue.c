/* postern queue: its verbs, and acting on messages by id or by condition. */
#include "control/cmd_queue.h"

#include <jansson.h>
#include <string.h>

#define IDS_MAX 1000000 /* acted on in one go */

static void note_id(void *arg, const struct row *r)
{
	if (slice_eq_str(row_get(r, "kind"), "message")) {
		buf_add_slice(arg, row_get(r, "id"));
		buf_add_char(arg, '\n');
	}
}

/* The verb for each id of IDS, one a line.  Where they were found BY_CONDITION, one that has moved on meanwhile is no failure. */
static int act_on_each(const struct options *o, const char *verb, struct slice ids, struct slice reason, bool by_condition)
{
	static char text[COMMAND_MAX];
	struct slice id;
	int worst = 0, done = 0;
	for (int n = 0; n < IDS_MAX && ids.n && slice_cut(&id, &ids, '\n'); n++) {
		struct slice args[3] = {slice_str(verb), id, reason};
		if (id.n == 0)
			continue;
		int code = queue_ask(o, args, reason.n ? 3 : 2, NULL, NULL, text);
		if (code == 0)
			done++;
		if (code == 0 || (code == EXIT_FAULT && by_condition))
			continue;
		if (text[0])
			cmd_fail(o, code, "%.*s: %s", SLICE_FMT(id), text);
		worst = code > worst ? code : worst;
	}
	if (o->json)
		return json_print(json_pack("{s:s, s:i}", "action", verb, "messages", done)) ? EXIT_TEMPORARY : worst;
	printf("%s: %d message%s\n", verb, done, done == 1 ? "" : "s");
	return worst;
}

/* Ids by condition ("all": none), asked for before anything is done. */
static int ids_matching(struct buf *ids, const struct options *o, const struct slice *conditions, size_t count)
{
	static char text[COMMAND_MAX];
	struct slice args[CMD_ARGS_MAX + 1] = {slice_str("list")};
	for (size_t i = 0; i < count; i++)
		args[i + 1] = conditions[i];
	int code = queue_ask(o, args, count + 1, note_id, ids, text);
	return code ? code : 0;
}

/* Arguments: ids, or "all", or conditions; for hold, a last argument reason=TEXT. */
static int act(const struct options *o, const char *verb)
{
	struct slice conditions[CMD_ARGS_MAX], reason = {"", 0};
	struct buf ids = BUF_INIT((size_t)IDS_MAX * 16);
	size_t count = 0;
	bool by_condition = false;
	for (int i = 1; i < o->args; i++) {
		if (strcmp(verb, "hold") == 0 && strncmp(o->arg[i], "reason=", 7) == 0) {
			reason = slice_str(o->arg[i] + 7);
		} else if (queue_condition(o->arg[i])) {
			conditions[count++] = slice_str(o->arg[i]);
			by_condition = true;
		} else if (strcmp(o->arg[i], "all") == 0) {
			by_condition = true;
		} else {
			buf_add_format(&ids, "%s\n", o->arg[i]);
		}
	}
	int code = 0;
	if (!by_condition && ids.n == 0)
		code = cmd_usage(o);
	else if (by_condition && ids.n)
		code = cmd_fail(o, EXIT_USAGE, "give ids, or conditions, not both");
	else if (by_condition)
		code = ids_matching(&ids, o, conditions, count);
	if (code == 0)
		code = act_on_each(o, verb, buf_slice(&ids), reason, by_condition);
	buf_free(&ids);
	return code;
}

int cmd_queue(const struct options *o)
{
	static const char *const actions[] = {"retry", "hold", "release", "delete"};
	const char *verb = o->args ? o->arg[0] : "list";
	if (strcmp(verb, "list") == 0 || strcmp(verb, "show") == 0)
		return queue_query(o, verb);
	if (strcmp(verb, "verify") == 0)
		return queue_verify(o);
	for (size_t i = 0; i < sizeof actions / sizeof *actions; i++)
		if (strcmp(verb, actions[i]) == 0)
			return act(o, actions[i]);
	return cmd_usage(o);
}
