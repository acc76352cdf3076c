/* control/scanners: see scanners.h.  The administrator's own file; its mistakes are named, never guessed at. */
#include "scanner-bridge/scanners.h"
#include "lib/addr.h"

#include <dirent.h>
#include <errno.h>

#define GRAMMAR "a line is clamav embedded:DIR, clamav unix:PATH, spamassassin unix:PATH or spamassassin HOST:PORT"

static int take_path(char *dst, size_t size, struct slice path, const char *what, struct err *e)
{
	if (dst[0])
		return err_set(e, E_SYNTAX, "%s is given twice", what);
	if (!path.n || path.p[0] != '/')
		return err_set(e, E_SYNTAX, "%s needs an absolute path", what);
	if (slice_copy(dst, size, path) < 0)
		return err_set(e, E_SYNTAX, "the path is longer than %zu octets", size - 1);
	return 0;
}

static int parse_clamav(struct scanners *s, struct slice what, struct err *e)
{
	if (slice_starts(what, "embedded:"))
		return take_path(s->embedded, sizeof s->embedded, slice_from(what, strlen("embedded:")), "clamav embedded:DIR", e);
	if (slice_starts(what, "unix:"))
		return take_path(s->clamd, sizeof s->clamd, slice_from(what, strlen("unix:")), "clamav unix:PATH", e);
	return err_set(e, E_SYNTAX, "after clamav comes embedded:DIR or unix:PATH");
}

static int parse_spamd_host(struct scanners *s, struct slice what, struct err *e)
{
	size_t colon = slice_rfind(what, ':');
	struct slice host = slice_upto(what, colon), port = slice_from(what, colon + 1);
	bool brackets = host.n > 2 && host.p[0] == '[' && host.p[host.n - 1] == ']';
	long long number;
	struct ip ip;
	if (colon == what.n || slice_number(&number, port, 1, 65535) < 0 || slice_copy(s->spamd_port, sizeof s->spamd_port, port) < 0)
		return err_set(e, E_SYNTAX, "after spamassassin comes unix:PATH or HOST:PORT, the port in 1..65535");
	if (brackets)
		host = slice_make(host.p + 1, host.n - 2);
	if (brackets ? ip_parse(&ip, host) < 0 || ip_is4(&ip) : ip_parse(&ip, host) < 0 && addr_check_domain(host, false) < 0)
		return err_set(e, E_SYNTAX, "HOST is a name, an IPv4 address or an IPv6 address in brackets");
	if (!brackets && slice_find(host, ':') < host.n)
		return err_set(e, E_SYNTAX, "an IPv6 address stands in brackets: [::1]:783");
	return slice_copy(s->spamd_host, sizeof s->spamd_host, host) < 0 ? err_set(e, E_SYNTAX, "HOST is too long") : 0;
}

static int parse_spamassassin(struct scanners *s, struct slice what, struct err *e)
{
	if (scanners_spamd(s))
		return err_set(e, E_SYNTAX, "spamassassin is given twice");
	if (slice_starts(what, "unix:"))
		return take_path(s->spamd_path, sizeof s->spamd_path, slice_from(what, strlen("unix:")), "spamassassin unix:PATH", e);
	return parse_spamd_host(s, what, e);
}

static int parse_line(struct scanners *s, struct slice line, struct err *e)
{
	struct slice engine, what, more;
	if (!slice_word(&engine, &line) || !slice_word(&what, &line) || slice_word(&more, &line))
		return err_set(e, E_SYNTAX, GRAMMAR);
	if (slice_eq_str(engine, "clamav"))
		return parse_clamav(s, what, e);
	if (slice_eq_str(engine, "spamassassin"))
		return parse_spamassassin(s, what, e);
	return err_set(e, E_SYNTAX, "unknown scanner \"%.*s\"; " GRAMMAR, SLICE_FMT(slice_upto(engine, 40)));
}

int scanners_parse(struct scanners *out, const struct control *c, struct err *e)
{
	struct control_line line = {0};
	struct scanners s = {0};
	struct err why;
	while (control_next(c, C_scanners, &line))
		if (parse_line(&s, line.text, &why) < 0)
			return control_fault(e, c, C_scanners, line.number, "%s", why.text);
	*out = s;
	return 0;
}

static bool is_signatures(const char *name)
{
	static const char *const endings[] = {
		".cvd", ".cld", ".cud", ".hdb", ".hsb", ".hdu", ".hsu", ".mdb", ".msb", ".mdu", ".msu", ".ndb", ".ndu", ".ldb", ".ldu",
		".sdb", ".zmd", ".rmd", ".db", ".pdb", ".gdb", ".wdb", ".cbc", ".cdb", ".idb", ".yar", ".yara", ".imp", ".crb", ".cat",
	};
	for (size_t i = 0; i < sizeof endings / sizeof *endings; i++)
		if (slice_ends(slice_str(name), endings[i]))
			return true;
	return false;
}

static int check_folder(const char *path, struct err *e)
{
	DIR *d = opendir(path);
	bool found = false;
	if (!d)
		return err_set(e, E_SYNTAX, "%s cannot be read: %s", path, strerror(errno));
	for (struct dirent *f; !found && (f = readdir(d)); )
		found = is_signatures(f->d_name);
	closedir(d);
	return found ? 0 : err_set(e, E_SYNTAX, "%s holds no signatures; run freshclam first", path);
}

int scanners_check(const struct control *c, struct err *e)
{
	struct control_line line = {0};
	struct scanners s;
	struct err why;
	int rc = scanners_parse(&s, c, e);
	if (rc < 0 || !s.embedded[0] || check_folder(s.embedded, &why) == 0)
		return rc;
	while (control_next(c, C_scanners, &line))
		if (slice_starts(line.text, "clamav") && slice_ends(line.text, s.embedded))
			break;
	return control_fault(e, c, C_scanners, line.number, "%s", why.text);
}
