/* See validrcptto.h.  The table is the administrator's, read by tinycdb, which keeps within the mapping; addresses come from clients.  cdb: D. J. Bernstein's
 * constant database; the lookups: John M. Simpson's validrcptto patch. */
#include "smtpd-outside/validrcptto.h"

#include <unistd.h>

#include "lib/envelope.h"
#include "lib/io.h"

#define BREAK '-'
#define DEFAULT "default"

int validrcptto_open(struct validrcptto *v, const struct control *c, struct err *e)
{
	*v = (struct validrcptto){.present = control_present(c, C_validrcptto)};
	if (!v->present)
		return 0;
	int fd = memfd_with("validrcptto.cdb", control_blob(c, C_validrcptto), e);
	if (fd < 0)
		return fd;
	int rc = cdb_init(&v->table, fd) ? control_fault(e, c, C_validrcptto, 0, "not a cdb; make it with cdbmake or mkvalidrcptto") : 0;
	close(fd); /* the mapping stays */
	return rc;
}

void validrcptto_close(struct validrcptto *v)
{
	if (v->present)
		cdb_free(&v->table);
	v->present = false;
}

int validrcptto_check(const struct control *c, struct err *e)
{
	struct validrcptto v;
	unsigned at, before;
	int rc = validrcptto_open(&v, c, e), r = 0;
	if (rc < 0 || !v.present)
		return rc;
	cdb_seqinit(&at, &v.table);
	do /* lengths whose sum wraps lead back: then it never ends */
		before = at;
	while ((r = cdb_seqnext(&at, &v.table)) > 0 && at > before);
	validrcptto_close(&v);
	return r ? control_fault(e, c, C_validrcptto, 0, "damaged: a record cannot be read") : 0;
}

static enum listed look_up(const struct validrcptto *v, struct slice key)
{
	struct cdb table = v->table; /* finding moves positions in it; sessions share the page */
	int r = cdb_find(&table, key.p, (unsigned)key.n);
	if (r <= 0)
		return r < 0 ? LISTED_FAULT : LISTED_NO;
	const char *value = cdb_datalen(&table) ? cdb_getdata(&table) : "";
	return !value ? LISTED_FAULT : *value == '-' ? LISTED_REFUSED : LISTED_YES;
}

static void add_lower(struct buf *b, struct slice s)
{
	for (size_t i = 0; i < s.n; i++)
		buf_add_char(b, s.p[i] >= 'A' && s.p[i] <= 'Z' ? (char)(s.p[i] + 32) : s.p[i]);
}

/* One key: LOCAL with SUFFIX behind it, at DOMAIN (with its "@"). */
static enum listed ask(const struct validrcptto *v, struct slice local, const char *suffix, struct slice domain)
{
	char space[ADDRESS_MAX + sizeof DEFAULT];
	struct buf key = {space, 0, sizeof space, sizeof space, false};
	add_lower(&key, local);
	buf_add_str(&key, suffix);
	add_lower(&key, domain);
	return key.overflow ? LISTED_NO : look_up(v, buf_slice(&key));
}

enum listed validrcptto_find(const struct validrcptto *v, struct slice address)
{
	size_t at = slice_rfind(address, '@');
	struct slice local = slice_upto(address, at), domain = slice_from(address, at), none = {"", 0};
	enum listed found = ask(v, local, "", domain);
	for (size_t i = local.n; found == LISTED_NO && i > 0; i--)
		if (local.p[i - 1] == BREAK)
			found = ask(v, slice_upto(local, i), DEFAULT, domain);
	return found == LISTED_NO ? ask(v, none, "", domain) : found;
}
