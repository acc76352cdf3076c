/* A user out of the database: none, or one that is bounded, can be asked for its score, and is the same after being written and read once more. */
#include <stdint.h>
#include <stdlib.h>

#include "skim/sendlimit.h"
#include "skim/skimdb_user.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct skim_config cfg;
	static struct control c = {.dir = "ctl"};
	struct buf a = BUF_INIT(SKIMDB_USER_MAX * 2), b = BUF_INIT(SKIMDB_USER_MAX * 2);
	struct engine g = {.cfg = &cfg};
	struct err e;
	const struct sendlimit limit = {{3, 3, 3, 3}};
	int families;
	char why[WHY_MAX + 1];
	if (!cfg.control && config_read(&cfg, &c, &e))
		abort();
	struct user *u = skimdb_user_decode(slice_str("anna"), slice_make(data, size)), *v;
	if (!u)
		return 0;
	if (u->logins > LOGINS_MAX || u->sents > SENDS_MAX || u->state > USER_RECOVERING)
		abort();
	engine_score(&g, u, 1000000, &families);
	for (enum send_counter k = 0; k < SEND_COUNTERS; k++)
		if (sendlimit_wait(u, &limit, k, 3, 1800000000) > 26 * 3600)
			abort();
	sendlimit_return(u, 5, 1800000000);
	sendlimit_count(u, 5, 1800000000);
	why_text(why, u, &cfg, 0, 1000000);
	skimdb_user_encode(&a, u);
	v = skimdb_user_decode(slice_str("anna"), buf_slice(&a));
	if (!v)
		abort();
	skimdb_user_encode(&b, v);
	if (!slice_eq(buf_slice(&a), buf_slice(&b)))
		abort();
	history_user_free(u);
	history_user_free(v);
	buf_free(&a);
	buf_free(&b);
	return 0;
}
