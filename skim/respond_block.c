/* Blocking the addresses that a thief came from: in postern-door, which is told of every block again each minute and so needs no file and forgets nothing when
 * it starts anew; and in a set of nftables.  Addresses come from postern-skim; those that many people share, or that the settings trust, are never blocked. */
#include <arpa/inet.h>
#include <stdio.h>

#include "lib/netstring.h"
#include "lib/program.h"
#include "skim/respond_steps.h"
#include "smtpd-outside/door_blocks.h"

#define DOORS_MSEC 60000
#define DAY_SEC 86400

static bool special(const struct ip *ip)
{
	const unsigned char *a = ip->a;
	static const struct ip none;
	if (ip_is4(ip))
		return a[12] == 0 || a[12] == 127 || a[12] >= 224 || (a[12] == 169 && a[13] == 254);
	return memcmp(ip->a, none.a, 15) == 0 || a[0] == 0xff || (a[0] == 0xfe && (a[1] & 0xc0) == 0x80);
}

bool may_block(const struct responder *r, const struct ip *ip)
{
	const unsigned shared = 1u << NET_TRUSTED | 1u << NET_WEBMAIL | 1u << NET_MOBILE;
	return !special(ip) && !(config_net(&r->cfg, ip, 0) & shared);
}

/* Those of the incident that may be blocked and are not in .saved yet go there. */
static size_t plan_blocks(struct doing *d)
{
	size_t n = 0;
	buf_reset(&d->step->saved);
	for (size_t i = 0; i < d->incident.addresses; i++)
		if (may_block(d->r, &d->incident.address[i])) {
			char text[INET6_ADDRSTRLEN];
			ip_text(text, &d->incident.address[i]);
			netstring_add_str(&d->step->saved, text);
			n++;
		}
	return n;
}

static bool next_address(struct ip *ip, struct slice *rest)
{
	struct slice text;
	return netstring_take(&text, rest, INET6_ADDRSTRLEN) == 0 && ip_parse(ip, text) == 0;
}

int take_block(struct doing *d, struct err *e)
{
	size_t n = plan_blocks(d);
	struct ip ip;
	int64_t until = clock_wall_usec() / 1000000 + (int64_t)d->step->plan.days * DAY_SEC;
	int rc = doing_begin(d, e);
	for (struct slice rest = buf_slice(&d->step->saved); rc == 0 && next_address(&ip, &rest); )
		rc = journal_block(&d->r->journal, d->step->code, &ip, until, e);
	if (rc < 0)
		return rc;
	tell_doors(d->r, true);
	size_t all = d->incident.addresses;
	if (n < all)
		doing_note(d, "%zu of %zu addresses for %ld days; the others are trusted or shared by many", n, all, d->step->plan.days);
	else
		doing_note(d, "%zu address%s for %ld days", n, n == 1 ? "" : "es", d->step->plan.days);
	return 0;
}

/* ---- the doors ---- */

static int tell(void *arg, const struct ip *ip, int64_t until)
{
	struct responder *r = arg;
	char space[DOOR_BLOCK_OCTETS];
	struct buf b = {space, 0, sizeof space, sizeof space, false};
	struct err e;
	int64_t left = until - clock_wall_usec() / 1000000;
	door_block_encode(&b, ip, left > 0 ? left : 0);
	for (int i = 0; i < RESPOND_DOORS && !b.overflow; i++)
		if (r->door_sock[i] >= 0)
			(void)!pass_send(r->door_sock[i], buf_slice(&b), NULL, 0, deadline_in(0), &e); /* full: the next minute tells it */
	return 0;
}

void tell_doors(struct responder *r, bool now)
{
	struct err e;
	if (!now && clock_msec() < r->doors_told + DOORS_MSEC)
		return;
	r->doors_told = clock_msec();
	if (journal_blocks(&r->journal, clock_wall_usec() / 1000000, tell, r, &e) < 0)
		LOG(EV_fault, NULL, F_ERR(&e));
}

int undo_block(struct doing *d, struct err *e)
{
	struct ip ip;
	size_t n = 0;
	int rc = journal_unblock(&d->r->journal, d->step->code, e);
	for (struct slice rest = buf_slice(&d->step->saved); rc == 0 && next_address(&ip, &rest); n++)
		(void)tell(d->r, &ip, 0);
	if (rc == 0)
		tell_doors(d->r, true); /* what another incident blocks stays so */
	if (rc == 0)
		doing_note(d, "%zu address%s free again", n, n == 1 ? "" : "es");
	return rc;
}

/* ---- nftables: .saved is the addresses that were not in the set before ---- */

static bool set_for(struct slice *set, const struct doing *d, const struct ip *ip)
{
	*set = d->step->plan.word[ip_is4(ip) ? 2 : 3];
	return !slice_eq_str(*set, "-");
}

static bool saved_address(const struct doing *d, const struct ip *ip)
{
	struct ip other;
	for (struct slice rest = buf_slice(&d->step->saved); next_address(&other, &rest); )
		if (memcmp(&other, ip, sizeof other) == 0)
			return true;
	return false;
}

static int plan_nftables(struct doing *d, struct err *e)
{
	const struct slice *w = d->step->plan.word;
	struct slice set;
	char text[INET6_ADDRSTRLEN];
	bool there;
	int rc = 0;
	for (size_t i = 0; rc == 0 && i < d->incident.addresses; i++) {
		const struct ip *ip = &d->incident.address[i];
		if (!may_block(d->r, ip) || !set_for(&set, d, ip) || saved_address(d, ip))
			continue;
		rc = nft_has(&there, w[0], w[1], set, ip, e);
		ip_text(text, ip);
		if (rc == 0 && !there)
			netstring_add_str(&d->step->saved, text);
	}
	return rc;
}

int take_nftables(struct doing *d, struct err *e)
{
	const struct slice *w = d->step->plan.word;
	struct slice set;
	struct ip ip;
	size_t n = 0;
	int rc = plan_nftables(d, e);
	if (rc == 0)
		rc = doing_begin(d, e);
	for (struct slice rest = buf_slice(&d->step->saved); rc == 0 && next_address(&ip, &rest); n++)
		if (set_for(&set, d, &ip))
			rc = nft_add(w[0], w[1], set, &ip, (int64_t)d->step->plan.days * DAY_SEC, e);
	if (rc == 0)
		doing_note(d, "%zu address%s for %ld days", n, n == 1 ? "" : "es", d->step->plan.days);
	return rc == E_NOT_FOUND ? err_set(e, E_REFUSED, "there is no table %.*s with this set", SLICE_FMT(slice_upto(w[1], 64))) : rc;
}

int undo_nftables(struct doing *d, struct err *e)
{
	const struct slice *w = d->step->plan.word;
	struct slice set;
	struct ip ip;
	size_t n = 0;
	int rc = 0;
	for (struct slice rest = buf_slice(&d->step->saved); (rc == 0 || rc == E_NOT_FOUND) && next_address(&ip, &rest); n++)
		if (set_for(&set, d, &ip))
			rc = nft_remove(w[0], w[1], set, &ip, e);
	if (rc == 0 || rc == E_NOT_FOUND)
		doing_note(d, "%zu address%s out of the set", n, n == 1 ? "" : "es");
	return rc == E_NOT_FOUND ? 0 : rc;
}
