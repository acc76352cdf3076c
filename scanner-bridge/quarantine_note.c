/* The line between scan stage and quarantine: see quarantine_note.h.  Read as hostile: the scan stage talks with scanners. */
#include "scanner-bridge/quarantine_note.h"

#define NAME "X-Postern-Quarantine: "

int cause_named(enum cause *out, struct slice name)
{
	for (int i = CAUSE_VIRUS; i < CAUSE_COUNT; i++)
		if (slice_eq_str(name, cause_names[i])) {
			*out = (enum cause)i;
			return 0;
		}
	return -1;
}

void quarantine_note_add(struct buf *b, const struct quarantine_note *n)
{
	buf_add_format(b, NAME "%s %d ", cause_names[n->cause], n->malware);
	if (n->scored)
		buf_add_format(b, "%lld ", n->milli);
	else
		buf_add_str(b, "- ");
	for (size_t i = 0; i < NOTE_REASON_MAX && n->reason[i]; i++)
		buf_add_char(b, n->reason[i] >= ' ' && n->reason[i] < 127 ? n->reason[i] : '?');
	buf_add_char(b, '\n');
}

static int read_line(struct quarantine_note *n, struct slice line)
{
	struct slice word;
	long long malware;
	if (!slice_cut(&word, &line, ' ') || cause_named(&n->cause, word) < 0)
		return -1;
	if (!slice_cut(&word, &line, ' ') || slice_number(&malware, word, 0, 1) < 0)
		return -1;
	n->malware = malware;
	if (!slice_cut(&word, &line, ' ') || !line.p)
		return -1;
	n->scored = !slice_eq_str(word, "-");
	if (n->scored && slice_number(&n->milli, word, -NOTE_MILLI_MAX, NOTE_MILLI_MAX) < 0)
		return -1;
	return slice_printable(line) ? slice_copy(n->reason, sizeof n->reason, line) : -1;
}

int quarantine_note_take(struct quarantine_note *out, struct slice *header, struct err *e)
{
	struct quarantine_note n = {0};
	size_t end = slice_find(*header, '\n');
	struct slice line = slice_upto(*header, end);
	if (end == header->n || !slice_starts(line, NAME) || read_line(&n, slice_from(line, strlen(NAME))) < 0)
		return err_set(e, E_PEER, "a message for the quarantine does not say why");
	*out = n;
	*header = slice_from(*header, end + 1);
	return 0;
}
