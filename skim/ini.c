/* The INI format: see ini.h.  Input: a control file, which the administrator wrote; every line is bounded and every fault named. */
#include "skim/ini.h"

static int check_text(struct slice s, struct err *e)
{
	if (s.n > INI_LINE_MAX)
		return err_set(e, E_TOO_LONG, "the line is longer than %d octets", INI_LINE_MAX);
	for (size_t i = 0; i < s.n; i++)
		if ((unsigned char)s.p[i] < 0x20 && s.p[i] != '\t')
			return err_set(e, E_SYNTAX, "there is a control character in the line");
	return 0;
}

static int section(struct ini *ini, struct slice line, struct err *e)
{
	if (line.n < 3 || line.p[line.n - 1] != ']')
		return err_set(e, E_SYNTAX, "a section is [NAME]");
	ini->section = slice_trim(slice_make(line.p + 1, line.n - 2));
	return ini->section.n ? 0 : err_set(e, E_SYNTAX, "a section needs a name");
}

static int entry(struct ini *ini, struct slice line, struct err *e)
{
	size_t at = slice_find(line, '=');
	ini->key = slice_trim(slice_upto(line, at));
	ini->value = slice_trim(slice_from(line, at + 1));
	if (at == line.n || ini->key.n == 0)
		return err_set(e, E_SYNTAX, "neither [section] nor key=value");
	if (ini->section.n == 0)
		return err_set(e, E_SYNTAX, "the key stands before the first [section]");
	if (slice_starts(ini->value, "<<"))
		return err_set(e, E_SYNTAX, "values over several lines (<<) are not read; repeat the key instead");
	return 1;
}

int ini_next(struct ini *ini, struct err *e)
{
	struct slice line;
	while (ini->rest.n && slice_cut(&line, &ini->rest, '\n')) {
		if (++ini->line > INI_LINES_MAX)
			return err_set(e, E_TOO_LONG, "more than %d lines", INI_LINES_MAX);
		line = slice_trim(line);
		if (line.n == 0 || line.p[0] == '#' || line.p[0] == ';')
			continue;
		int rc = check_text(line, e);
		if (rc == 0)
			rc = line.p[0] == '[' ? section(ini, line, e) : entry(ini, line, e);
		if (rc != 0)
			return rc;
	}
	return 0;
}
