/* The messages of a client of SCRAM (smtpd-outside/scram.c): what is accepted lies within the input, in the order of the grammar, and a name decodes to
 * no more than it was; and a stored secret (directory/scram.c) is within its limits. */
#include <stdint.h>
#include <stdlib.h>

#include "directory/scram.h"
#include "smtpd-outside/scram.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void must(bool so)
{
	if (!so)
		abort();
}

static void first(struct slice in)
{
	struct scram_first f;
	if (scram_parse_first(&f, in) < 0)
		return;
	must(f.header.p == in.p && f.header.n + f.bare.n == in.n && f.bare.p == in.p + f.header.n);
	must(f.user.n && f.user.p == f.bare.p + 2 && f.nonce.p == f.user.p + f.user.n + 3);
	must(f.nonce.n && f.nonce.n <= DIRECTORY_NONCE_MAX && slice_printable(f.nonce) && slice_find(f.nonce, ',') == f.nonce.n);
	must((f.flag == 'p') == (f.binding.n > 0) && strchr("nyp", f.flag));
	char *name = malloc(f.user.n);
	size_t n = 0;
	must(name);
	if (scram_name(name, &n, f.user) == 0)
		must(n > 0 && n <= f.user.n);
	free(name);
}

static void final(struct slice in)
{
	struct scram_final f;
	if (scram_parse_final(&f, in) < 0)
		return;
	must(f.without_proof.p == in.p && f.without_proof.n + strlen(",p=") + 44 == in.n);
	must(f.binding.n && f.nonce.n && f.nonce.p + f.nonce.n <= in.p + f.without_proof.n);
}

static void secret(struct slice in)
{
	struct scram_secret s;
	struct err e;
	if (scram_secret_parse(&s, in, &e) == 0)
		must(s.iterations >= SCRAM_ITERATIONS_LEAST && s.iterations <= SCRAM_ITERATIONS_MOST && s.salt[0] && strlen(s.salt) < sizeof s.salt);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct slice in = slice_make(data ? (const char *)data : "", size);
	first(in);
	final(in);
	secret(in);
	return 0;
}
