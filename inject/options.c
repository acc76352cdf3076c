/* See options.h.  Runs as the user who sends; the arguments come from that user, or by way of a program (cron, a web form) from anybody, so
 * what is not in a table is refused, never guessed. */
#include "inject/options.h"

enum takes { NOTHING, REST, VALUE }; /* REST: what stands in the same word; VALUE: that, or the next word */

static const struct option {
	char letter;
	enum takes takes;
} sendmail_table[] = {
	{'t', NOTHING}, {'i', NOTHING}, {'f', VALUE}, {'r', VALUE}, {'F', VALUE}, {'b', REST}, {'o', REST}, {'q', REST},
	/* accepted and of no effect */
	{'N', VALUE}, {'R', VALUE}, {'V', VALUE}, {'O', VALUE}, {'B', VALUE}, {'h', VALUE}, {'p', VALUE}, {'L', VALUE},
	{'e', REST}, {'d', REST}, {'m', NOTHING}, {'n', NOTHING}, {'v', NOTHING}, {'U', NOTHING}, {'G', NOTHING},
}, inject_table[] = {
	{'a', NOTHING}, {'h', NOTHING}, {'A', NOTHING}, {'H', NOTHING}, {'n', NOTHING}, {'N', NOTHING}, {'f', VALUE},
	{'F', NOTHING}, {'I', NOTHING}, {'S', NOTHING}, {'M', NOTHING}, {'R', NOTHING},
};

/* One option, its value or "". */
typedef int take_option(void *arg, char letter, const char *value, struct err *e);

struct line {
	const struct option *table;
	size_t options;
	int argc;
	char **argv;
	take_option *take;
	void *arg;
};

static const struct option *find(const struct line *l, char letter)
{
	for (size_t i = 0; i < l->options; i++)
		if (l->table[i].letter == letter)
			return &l->table[i];
	return NULL;
}

/* The options in argv[*AT], and the value behind it. */
static int take_word(const struct line *l, int *at, struct err *e)
{
	const char *p = l->argv[*at] + 1;
	while (*p) {
		const struct option *o = find(l, *p);
		if (!o)
			return err_set(e, E_SYNTAX, "there is no option -%c", *p > ' ' && *p < 127 ? *p : '?');
		const char *value = o->takes == NOTHING ? "" : p + 1;
		if (o->takes == VALUE && !*value && ++*at == l->argc)
			return err_set(e, E_SYNTAX, "option -%c wants a value", o->letter);
		if (o->takes == VALUE && !*value)
			value = l->argv[*at];
		int rc = l->take(l->arg, o->letter, value, e);
		if (rc < 0 || o->takes != NOTHING)
			return rc;
		p++;
	}
	return 0;
}

/* The number of the first word that is no option, or what the options were refused with. */
static int walk(const struct line *l, struct err *e)
{
	int at = 1;
	for (; at < l->argc && l->argv[at][0] == '-' && l->argv[at][1]; at++) {
		if (strcmp(l->argv[at], "--") == 0)
			return at + 1;
		int rc = take_word(l, &at, e);
		if (rc < 0)
			return rc;
	}
	return at;
}

static int take_mode(struct sendmail_options *o, const char *value, struct err *e)
{
	if (strcmp(value, "m") == 0)
		return 0;
	if (strcmp(value, "s") == 0)
		return err_set(e, E_REFUSED, "-bs is not done here: speak SMTP with 127.0.0.1 port 25");
	if (strcmp(value, "p") != 0)
		return err_set(e, E_SYNTAX, "-b%.20s is not done here; -bm sends, -bp lists the queue", value);
	o->mode = SENDMAIL_LIST;
	return 0;
}

static int take_sendmail(void *arg, char letter, const char *value, struct err *e)
{
	struct sendmail_options *o = arg;
	switch (letter) {
	case 't':
		o->from_header = true;
		break;
	case 'o':
		o->ignore_dots |= strcmp(value, "i") == 0;
		break;
	case 'i':
		o->ignore_dots = true;
		break;
	case 'f':
	case 'r':
		o->sender = value;
		break;
	case 'F':
		o->full_name = value;
		break;
	case 'q':
		if (o->mode == SENDMAIL_SEND)
			o->mode = SENDMAIL_NOTHING; /* the queue runs by itself */
		break;
	case 'b':
		return take_mode(o, value, e);
	default:
		break;
	}
	return 0;
}

int sendmail_options(struct sendmail_options *o, int argc, char **argv, struct err *e)
{
	struct line l = {sendmail_table, sizeof sendmail_table / sizeof *sendmail_table, argc, argv, take_sendmail, o};
	*o = (struct sendmail_options){0};
	o->first = walk(&l, e);
	if (o->first < 0)
		return o->first;
	/* -q beside recipients (old mail programs) does not keep a message from being sent */
	if (o->mode == SENDMAIL_NOTHING && (o->first < argc || o->from_header))
		o->mode = SENDMAIL_SEND;
	if (o->mode == SENDMAIL_SEND && o->first == argc && !o->from_header)
		return err_set(e, E_SYNTAX, "no recipient: name some, or say -t to take those in the header");
	return 0;
}

static int take_letter(struct qmail_inject_options *o, char letter, struct err *e)
{
	switch (letter) {
	case 'f':
		o->drop_from = true;
		return 0;
	case 'i':
		o->drop_message_id = true;
		return 0;
	case 's':
		o->ignore_return_path = true;
		return 0;
	case 'r':
		o->verp = true;
		return 0;
	case 'c': /* address-comment style, for readers of the eighties: From is always written as name <address> */
		return 0;
	default:
		return err_set(e, E_REFUSED, "QMAILINJECT or option: %c is not done here", letter > ' ' && letter < 127 ? letter : '?');
	}
}

static int take_inject(void *arg, char letter, const char *value, struct err *e)
{
	static const char from[] = {[FROM_EITHER] = 'A', [FROM_ARGUMENTS] = 'a', [FROM_HEADER] = 'h', [FROM_BOTH] = 'H'};
	struct qmail_inject_options *o = arg;
	const char *at = memchr(from, letter, sizeof from);
	if (at)
		o->from = (enum recipients_from)(at - from);
	else if (letter == 'n' || letter == 'N')
		o->print = letter == 'n';
	else if (letter == 'f')
		o->sender = value;
	else
		return take_letter(o, (char)(letter - 'A' + 'a'), e);
	return 0;
}

int qmail_inject_options(struct qmail_inject_options *o, const char *letters, int argc, char **argv, struct err *e)
{
	struct line l = {inject_table, sizeof inject_table / sizeof *inject_table, argc, argv, take_inject, o};
	*o = (struct qmail_inject_options){0};
	for (; letters && *letters; letters++)
		if (take_letter(o, *letters, e) < 0)
			return E_REFUSED;
	o->first = walk(&l, e);
	return o->first < 0 ? o->first : 0;
}
