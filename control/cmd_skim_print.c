/* postern skim show, in words for the helpdesk.  Names, places and reasons come from outside and are shown with control characters replaced. */
#include <jansson.h>
#include <stdarg.h>
#include <string.h>
#include <time.h>

#include "control/cmd_skim.h"

#define LINES_MOST 10 /* of logins, of what was sent, of held messages */

const char *json_text(const json_t *j, const char *key)
{
	const char *s = json_string_value(json_object_get(j, key));
	return s ? s : "";
}

static long long number_of(const json_t *j, const char *key)
{
	return json_integer_value(json_object_get(j, key));
}

/* "12 min ago" of an RFC 3339 time of ours. */
static void ago(char text[32], const char *when)
{
	struct tm tm = {0};
	text[0] = 0;
	if (strptime(when, "%Y-%m-%dT%H:%M:%SZ", &tm))
		words_when(text, timegm(&tm), time(NULL));
}

static void line(const char *format, ...) __attribute__((format(printf, 1, 2)));
static void line(const char *format, ...)
{
	char text[2000];
	va_list ap;
	va_start(ap, format);
	vsnprintf(text, sizeof text, format, ap);
	va_end(ap);
	print_clean(stdout, slice_str(text));
	putchar('\n');
}

static void heading(const char *text)
{
	printf("\n%s%s%s\n", tty_bold(stdout), text, tty_plain(stdout));
}

static void more(size_t n)
{
	if (n > LINES_MOST)
		line("  and %zu more", n - LINES_MOST);
}

static void print_user(const struct known *k)
{
	char since[32], text[32];
	ago(since, json_text(k->user, "since"));
	printf("%s", tty_bold(stdout));
	line("%s is %s, code %s", json_text(k->user, "user"), json_text(k->user, "state"), json_text(k->user, "code")[0] ? json_text(k->user, "code") : "none");
	printf("%s", tty_plain(stdout));
	if (json_text(k->user, "since")[0])
		line("since      %s (%s), score %lld", json_text(k->user, "since"), since, number_of(k->user, "score"));
	line("why        %s", json_text(k->user, "why")[0] ? json_text(k->user, "why") : "nothing speaks against this user");
	if (json_text(k->user, "class")[0])
		line("class      %s", json_text(k->user, "class"));
	if (number_of(k->user, "failures"))
		line("failures   %lld wrong passwords since %s", number_of(k->user, "failures"), json_text(k->user, "failing_since"));
	if (json_text(k->user, "recovering_until")[0])
		line("recovering until %s; half the usual suspicion is enough", json_text(k->user, "recovering_until"));
	const json_t *travel = json_object_get(k->user, "travel"), *cc;
	size_t i;
	if (json_is_object(travel)) {
		printf("travels   ");
		json_array_foreach(json_object_get(travel, "countries"), i, cc)
			printf(" %s", json_string_value(cc));
		line(" until %s", json_text(travel, "until"));
	}
	ago(text, json_text(k->user, "last"));
	line("seen       %lld logins since %s, the last %s", number_of(k->user, "logins_seen"), json_text(k->user, "first"), text);
}

static void print_evidence(const struct known *k)
{
	const json_t *j;
	size_t i;
	char when[32];
	heading("Evidence");
	json_array_foreach(k->evidence, i, j) {
		ago(when, json_text(j, "time"));
		line("  %-12s %3lld points  %s (%s)", when, number_of(j, "points"), json_text(j, "text"), json_text(j, "rule"));
	}
	if (json_array_size(k->evidence) == 0)
		puts("  none");
}

static void print_logins(const struct known *k)
{
	const json_t *j;
	size_t i;
	char when[32];
	heading("Recent logins and sending addresses");
	json_array_foreach(k->logins, i, j) {
		if (i == LINES_MOST)
			break;
		ago(when, json_text(j, "time"));
		line("  %-12s %-16s %s %s%s%s", when, json_text(j, "ip"), json_text(j, "country")[0] ? json_text(j, "country") : "??", json_text(j, "city"),
			json_text(j, "network")[0] ? ", network: " : "", json_text(j, "network"));
	}
	more(json_array_size(k->logins));
	if (json_array_size(k->logins) == 0)
		puts("  none");
}

static void print_sent(const struct known *k)
{
	const json_t *j;
	size_t i;
	char when[32];
	heading("Sent within a day");
	json_array_foreach(k->sent, i, j) {
		if (i == LINES_MOST)
			break;
		ago(when, json_text(j, "time"));
		line("  %-12s %lld recipients, %lld outside, %lld never written to before, %lld nonexistent%s", when, number_of(j, "recipients"),
			number_of(j, "external"), number_of(j, "new"), number_of(j, "unknown"), number_of(j, "bad") ? "; spam or virus" : "");
	}
	more(json_array_size(k->sent));
	if (json_array_size(k->sent) == 0)
		puts("  nothing");
}

static void print_limits(const struct known *k)
{
	const json_t *j;
	size_t i;
	if (json_array_size(k->limits) == 0)
		return;
	heading("Sending limits");
	json_array_foreach(k->limits, i, j) {
		const char *again = json_text(j, "again");
		line("  %-16s %lld of %lld%s%s", json_text(j, "counter"), number_of(j, "used"), number_of(j, "most"), *again ? "; reached, more from " : "", again);
	}
}

static void print_held(const struct known *k)
{
	const json_t *j;
	size_t i;
	char when[32];
	heading("Held in the queue");
	json_array_foreach(k->held, i, j) {
		if (i == LINES_MOST)
			break;
		ago(when, json_text(j, "time"));
		line("  %-12s %s from <%s>%s", when, json_text(j, "id"), json_text(j, "sender"), number_of(j, "hold_until") ? ", released by itself later" : "");
	}
	more(json_array_size(k->held));
	if (json_array_size(k->held) == 0)
		puts("  nothing");
}

static void print_actions(const struct known *k)
{
	const json_t *j;
	size_t i;
	char when[32];
	heading("Done about it");
	json_array_foreach(k->actions, i, j) {
		ago(when, json_text(j, "time"));
		const char *args = json_text(j, "args"), *note = json_text(j, "note");
		line("  %-12s %-8s %s%s%s%s%s", when, json_text(j, "state"), json_text(j, "name"), *args ? " " : "", args, *note ? ": " : "", note);
	}
	if (json_array_size(k->actions) == 0)
		puts(k->responds ? "  nothing beyond the mail" : "  nothing beyond the mail: postern-respond does not run (control/respond)");
}

static const struct {
	const char *state, *text;
} advice[] = {
	{"flagged", "Mail passes, unless an operator flagged the user: then it is held.  Nothing has to be done.\n"
		"False alarm: postern skim clear %s.  A theft: postern skim flag %s --lock --why TEXT."},
	{"held", "New mail is accepted and held.  Ask the user whether the logins and messages above are theirs.\n"
		"They are: postern skim clear %s, then postern queue release owner=%s."},
	{"stopped", "New mail is refused for now.  Ask the user, by telephone, whether the logins and messages above are theirs.\n"
		"They are: postern skim clear %s.  They are not: change the password, look at forwards and filters,\n"
		"then postern skim restore %s --delete."},
	{"locked", "New mail is refused.  The owner must come in person or be called back; the password must be changed after the lock,\n"
		"forwards, filters, signature and Reply-To looked at.  Then: postern skim restore %s --delete\n"
		"(or --release, if the mail was the owner's; postern queue list owner=%s shows it)."},
	{"recovering", "The account was given back and is watched.  Nothing has to be done; to end that early: postern skim clear %s.\n"
		"What is still held: postern queue list owner=%s."},
	{"free", "Nothing has to be done.  A theft that was told by the user: postern skim flag %s --lock --why TEXT.\n"
		"A journey: postern skim travel %s COUNTRY until YYYY-MM-DD."},
};

void skim_advice(char text[800], const struct known *k)
{
	const char *user = json_text(k->user, "user"), *state = json_text(k->user, "state");
	text[0] = 0;
	for (size_t i = 0; i < sizeof advice / sizeof *advice; i++) {
		const char *a = advice[i].text, *in;
		if (strcmp(state, advice[i].state) != 0)
			continue;
		size_t n = 0;
		for (; (in = strstr(a, "%s")) && n < 400; a = in + 2)
			n += (size_t)snprintf(text + n, 800 - n, "%.*s%.60s", (int)(in - a), a, user);
		snprintf(text + (n < 700 ? n : 700), 800 - (n < 700 ? n : 700), "%s", a);
	}
}

static void print_next(const struct known *k)
{
	char text[800];
	struct slice rest, one;
	heading("What to do next");
	skim_advice(text, k);
	rest = slice_str(text);
	while (slice_cut(&one, &rest, '\n')) {
		printf("  ");
		print_clean(stdout, one);
		putchar('\n');
	}
}

void skim_print(const struct known *k)
{
	print_user(k);
	print_evidence(k);
	print_logins(k);
	print_sent(k);
	print_limits(k);
	print_held(k);
	print_actions(k);
	print_next(k);
}
