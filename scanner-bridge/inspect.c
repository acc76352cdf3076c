/* The question to and the answer of postern-scanworker: see inspect.h.  Read by postern-scan (the answer, from a process that may
 * have been taken over) and by the worker (the question, from postern-scan). */
#include "scanner-bridge/inspect.h"
#include "lib/envelope.h"
#include "lib/netstring.h"

const char *const malformed_words[MALFORMED_KINDS] = {
	"field-twice", "parameter-twice", "type", "boundary", "encoding", "base64", "header", "nul", "partial", "name", "limit",
};

bool virus_name_is_limit(struct slice name)
{
	return slice_starts(name, "Heuristics.Limits.Exceeded");
}

void inspect_question(struct buf *b, struct slice id, size_t header_offset)
{
	netstring_add_str(b, "inspect");
	netstring_add(b, id);
	netstring_add_number(b, (long long)header_offset);
}

int inspect_question_decode(struct slice *id, size_t *header_offset, struct slice text)
{
	struct slice verb, who;
	long long offset;
	if (netstring_take(&verb, &text, 16) < 0 || !slice_eq_str(verb, "inspect") || netstring_take(&who, &text, ID_LEN) < 0)
		return E_SYNTAX;
	if (!id_valid(who) || netstring_take_number(&offset, &text, 0, HEAD_MAX) < 0 || text.n)
		return E_SYNTAX;
	*id = who;
	*header_offset = (size_t)offset;
	return 0;
}

static void add_kind(struct buf *b, char kind, struct slice text)
{
	char space[INSPECT_TEXT_MAX + 1];
	struct slice cut = slice_upto(text, INSPECT_TEXT_MAX);
	space[0] = kind;
	if (cut.n)
		memcpy(space + 1, cut.p, cut.n);
	netstring_add(b, slice_make(space, cut.n + 1));
}

static void add_banned(struct buf *b, const struct banned_part *part)
{
	add_kind(b, 'B', (struct slice){0});
	netstring_add(b, slice_upto(part->pattern, INSPECT_TEXT_MAX));
	netstring_add(b, slice_upto(part->name, INSPECT_TEXT_MAX));
	netstring_add(b, slice_upto(part->type, INSPECT_TEXT_MAX));
	netstring_add_number(b, part->octets);
}

void inspect_encode(struct buf *b, const struct inspection *in)
{
	add_kind(b, (char)in->virus, in->text);
	for (int i = 0; i < MALFORMED_KINDS; i++)
		if (in->malformed & 1u << i)
			add_kind(b, 'M', slice_str(malformed_words[i]));
	if (in->incomplete.n)
		add_kind(b, 'I', in->incomplete);
	for (size_t i = 0; i < in->banned_count; i++)
		add_banned(b, &in->banned[i]);
	add_kind(b, '.', (struct slice){0});
}

static int take_malformed(struct inspection *out, struct slice word)
{
	for (int i = 0; i < MALFORMED_KINDS; i++)
		if (slice_eq_str(word, malformed_words[i]) && !(out->malformed & 1u << i)) {
			out->malformed |= 1u << i;
			return 0;
		}
	return E_PEER;
}

static int take_banned(struct inspection *out, struct slice *rest)
{
	struct banned_part *p;
	if (out->banned_count == INSPECT_BANNED_MAX)
		return E_PEER;
	p = &out->banned[out->banned_count++];
	if (netstring_take(&p->pattern, rest, INSPECT_TEXT_MAX) < 0 || netstring_take(&p->name, rest, INSPECT_TEXT_MAX) < 0 ||
	    netstring_take(&p->type, rest, INSPECT_TEXT_MAX) < 0 || netstring_take_number(&p->octets, rest, 0, INT64_MAX) < 0)
		return E_PEER;
	return 0;
}

static int take_verdict(struct inspection *out, struct slice record)
{
	if (record.n == 0 || !memchr("UCVE", record.p[0], 4))
		return E_PEER;
	out->virus = (enum virus_verdict)record.p[0];
	out->text = slice_from(record, 1);
	return (out->virus == VIRUS_FOUND || out->virus == VIRUS_ERROR) == (out->text.n > 0) ? 0 : E_PEER;
}

static int take_record(struct inspection *out, struct slice record, struct slice *rest)
{
	switch (record.n ? record.p[0] : 0) {
	case 'M':
		return take_malformed(out, slice_from(record, 1));
	case 'B':
		return record.n == 1 ? take_banned(out, rest) : E_PEER;
	case 'I':
		if (out->incomplete.n || record.n < 2)
			return E_PEER;
		out->incomplete = slice_from(record, 1);
		return 0;
	default:
		return E_PEER;
	}
}

int inspect_decode(struct inspection *out, struct slice text, struct err *e)
{
	struct slice record;
	memset(out, 0, sizeof *out);
	if (netstring_take(&record, &text, INSPECT_TEXT_MAX + 1) < 0 || take_verdict(out, record) < 0)
		return err_set(e, E_PEER, "the scan worker's answer has no verdict");
	while (netstring_take(&record, &text, INSPECT_TEXT_MAX + 1) == 0) {
		if (slice_eq_str(record, "."))
			return text.n ? err_set(e, E_PEER, "the scan worker's answer goes on after its end") : 0;
		if (take_record(out, record, &text) < 0)
			return err_set(e, E_PEER, "the scan worker's answer breaks its grammar");
	}
	return err_set(e, E_PEER, "the scan worker's answer is cut off");
}
