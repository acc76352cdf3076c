/* One question of a door: ask the lists and the client's name, add up, answer.  Part of postern-dns; see dns.h.
 *
 * What name servers say is hostile: libunbound has checked its form, here each record's length is looked at again, texts are made
 * printable, and a name counts only when it is a domain and leads back to the address. */
#include <limits.h>
#include <stdlib.h>

#include "lib/log.h"
#include "smtpd-outside/dns.h"

enum { TYPE_A = 1, TYPE_PTR = 12, TYPE_TXT = 16, TYPE_AAAA = 28, RCODE_NXDOMAIN = 3 };

static void answered(struct dns *d, void *arg, const struct ub_result *r);
static void go_on(struct dns *d, struct dns_job *j);

/* NULL of NULL: .turn is its first field. */
static struct dns_job *job_of(struct turn *t)
{
	return (struct dns_job *)t;
}

static void cancel(struct dns_query *q)
{
	if (!q->ask)
		return;
	dns_leave(q->ask);
	q->ask = NULL;
	q->job->open--;
}

/* ---- silent lists ---- */

static void zone_spoke(struct dns *d, unsigned zone)
{
	d->zone[zone].silent = 0;
	d->zone[zone].skip_until = 0;
}

static void zone_silent(struct dns *d, unsigned zone)
{
	struct dns_zone *z = &d->zone[zone];
	if (++z->silent < DNS_SILENT_AFTER)
		return;
	int64_t now = clock_msec();
	if (z->skip_until <= now)
		LOG(EV_dns_silent, NULL, F_STR("zone", d->lists.zone[zone]), F_NUM("questions", z->silent));
	z->skip_until = now + DNS_SILENT_MSEC;
}

/* ---- the end ---- */

static void remember(struct dns *d, const struct dns_job *j, const struct dns_answer *a)
{
	struct dns_cached what = {a->score, a->reply, j->text};
	if (j->q.want & DNS_LISTS && !j->score.failed && d->lists.rules && d->cache)
		dns_cache_put(d->cache, &j->q.client, &what, clock_msec(), j->ttl_sec);
}

static struct dns_answer answer_of(const struct dns *d, const struct dns_job *j)
{
	bool refuses = j->q.want & DNS_LISTS && dnsbl_refuses(&j->score, &d->lists);
	const struct dnsbl_rule *speaker = refuses ? dnsbl_speaker(&j->score, &d->lists) : NULL;
	return (struct dns_answer){
		.number = j->q.number, .score = j->q.want & DNS_LISTS ? dnsbl_sum(&j->score, &d->lists) : j->known_score, .failed = (unsigned)__builtin_popcountll(j->score.failed),
		.reply = speaker ? speaker->reply : 0, .text = slice_str(speaker ? j->text : ""),
		.host = slice_str(j->confirmed ? j->name[j->name_at] : ""),
	};
}

/* Who is neither refused nor known to an allow list may have to come back. */
static void greylist(struct dns *d, const struct dns_question *q, struct dns_answer *a)
{
	if (q->want & DNS_GREY && d->greylist && d->grey_sec && a->reply == 0 && a->score >= 0)
		a->grey_sec = greylist_call(d->greylist, &q->client, (uint32_t)(clock_wall_usec() / 1000000), d->grey_sec);
}

static void end(struct dns *d, struct dns_job *j)
{
	struct dns_answer a = answer_of(d, j);
	for (unsigned i = 0; j->started && i < d->lists.zones; i++)
		cancel(&j->list[i]);
	cancel(&j->text_query);
	cancel(&j->host_query);
	remember(d, j, &a);
	greylist(d, &j->q, &a);
	if (j->door_fd >= 0)
		dns_send(d, j->door_fd, &a);
	turns_remove(&d->jobs, &j->turn);
	for (unsigned i = 0; i < j->names; i++)
		free(j->name[i]);
	free(j);
}

/* Its time is over: what is still open has failed. */
static void expire(struct dns *d, struct dns_job *j)
{
	for (unsigned i = 0; j->q.want & DNS_LISTS && i < d->lists.zones; i++)
		if (!j->started || j->list[i].ask) {
			j->score.failed |= 1ull << i;
			if (j->started)
				zone_silent(d, i);
		}
	end(d, j);
}

/* ---- asking ---- */

static int ask_dns(struct dns *d, struct dns_query *q, const char *name, int type)
{
	q->ask = dns_ask(d, &d->asks, name, type, answered, q);
	if (!q->ask)
		return E_SYS;
	q->job->open++;
	return 0;
}

static void ask_lists(struct dns *d, struct dns_job *j, int64_t now)
{
	char name[DNSBL_NAME_MAX];
	for (unsigned i = 0; i < d->lists.zones; i++) {
		j->list[i] = (struct dns_query){.job = j, .kind = ASK_LIST, .zone = i};
		dnsbl_name(name, &j->q.client, d->lists.zone[i]);
		if (d->zone[i].skip_until > now || ask_dns(d, &j->list[i], name, TYPE_A) < 0)
			j->score.failed |= 1ull << i;
	}
}

static void start(struct dns *d, struct dns_job *j, int64_t now)
{
	char name[DNSBL_NAME_MAX];
	j->started = true;
	if (j->q.want & DNS_LISTS)
		ask_lists(d, j, now);
	if (j->q.want & DNS_HOST && d->asks.left < DNS_LEFT_MAX) {
		dnsbl_reverse_name(name, &j->q.client);
		j->host_query.kind = ASK_PTR;
		(void)!ask_dns(d, &j->host_query, name, TYPE_PTR);
	}
	if (!j->open)
		go_on(d, j);
}

/* ---- answers ---- */

static void least_ttl(struct dns_job *j, const struct ub_result *r)
{
	if (r->ttl < j->ttl_sec)
		j->ttl_sec = r->ttl;
}

static void list_answered(struct dns *d, struct dns_job *j, unsigned zone, const struct ub_result *r)
{
	if (!r || (r->rcode != 0 && r->rcode != RCODE_NXDOMAIN)) {
		j->score.failed |= 1ull << zone;
		zone_silent(d, zone);
		return;
	}
	zone_spoke(d, zone);
	least_ttl(j, r);
	for (int i = 0; r->havedata && r->data[i]; i++)
		if (r->len[i] == 4)
			dnsbl_answer(&j->score, &d->lists, zone, (const unsigned char *)r->data[i]);
}

static void make_text(struct dns *d, struct dns_job *j, struct slice txt)
{
	const struct dnsbl_rule *rule = dnsbl_speaker(&j->score, &d->lists);
	j->texted = true;
	dnsbl_text(j->text, sizeof j->text, rule, d->lists.zone[rule->zone], txt, &j->q.client);
}

static void text_answered(struct dns *d, struct dns_job *j, const struct ub_result *r)
{
	char txt[DNSBL_TEXT_MAX] = "";
	if (r && r->havedata && r->data[0] && dnsbl_txt(txt, sizeof txt, slice_make(r->data[0], (size_t)r->len[0])) < 0)
		txt[0] = 0;
	make_text(d, j, slice_str(txt));
}

static void ask_forward(struct dns *d, struct dns_job *j)
{
	j->host_query.kind = ASK_FORWARD;
	for (; j->name_at < j->names; j->name_at++)
		if (ask_dns(d, &j->host_query, j->name[j->name_at], ip_is4(&j->q.client) ? TYPE_A : TYPE_AAAA) == 0)
			return;
}

static void ptr_answered(struct dns *d, struct dns_job *j, const struct ub_result *r)
{
	char name[DNSBL_NAME_MAX];
	for (int i = 0; r && r->havedata && r->data[i] && j->names < DNS_NAMES_MAX; i++)
		if (dnsbl_host(name, slice_make(r->data[i], (size_t)r->len[i])) == 0 && (j->name[j->names] = strdup(name)))
			j->names++;
	ask_forward(d, j);
}

static void forward_answered(struct dns *d, struct dns_job *j, const struct ub_result *r)
{
	int octets = ip_is4(&j->q.client) ? 4 : 16;
	for (int i = 0; r && r->havedata && r->data[i]; i++)
		if (r->len[i] == octets && memcmp(r->data[i], j->q.client.a + 16 - octets, (size_t)octets) == 0)
			j->confirmed = true;
	if (j->confirmed)
		return;
	j->name_at++;
	ask_forward(d, j);
}

/* All that was asked has been answered: one question more, or the end. */
static void go_on(struct dns *d, struct dns_job *j)
{
	const struct dnsbl_rule *rule;
	char name[DNSBL_NAME_MAX];
	if (dnsbl_refuses(&j->score, &d->lists) && !j->texted) {
		rule = dnsbl_speaker(&j->score, &d->lists);
		make_text(d, j, slice_str(""));
		dnsbl_name(name, &j->q.client, d->lists.zone[rule->zone]);
		j->text_query.kind = ASK_TEXT;
		if (!rule->text[0] && ask_dns(d, &j->text_query, name, TYPE_TXT) == 0)
			return;
	}
	end(d, j);
}

static void answered(struct dns *d, void *arg, const struct ub_result *r)
{
	struct dns_query *q = arg;
	struct dns_job *j = q->job;
	q->ask = NULL;
	j->open--;
	switch (q->kind) {
	case ASK_LIST:
		list_answered(d, j, q->zone, r);
		break;
	case ASK_TEXT:
		text_answered(d, j, r);
		break;
	case ASK_PTR:
		ptr_answered(d, j, r);
		break;
	case ASK_FORWARD:
		forward_answered(d, j, r);
		break;
	}
	/* who is refused needs no name */
	if (j->open == 1 && j->host_query.ask && j->q.want & DNS_LISTS && dnsbl_refuses(&j->score, &d->lists))
		cancel(&j->host_query);
	if (!j->open)
		go_on(d, j);
}

/* ---- from the loop ---- */

/* What the lists said of it is known; answered at once, unless the name of one that they do not refuse is wanted too. */
static bool from_cache(struct dns *d, int door_fd, const struct dns_question *q, const struct dns_cached *known)
{
	if (!known || (q->want & DNS_HOST && !known->reply))
		return false;
	const struct dns_cached got = *known;
	struct dns_answer a = {.number = q->number, .score = got.score, .reply = got.reply, .text = slice_str(got.text), .host = slice_str("")};
	greylist(d, q, &a);
	dns_send(d, door_fd, &a);
	return true;
}

void dns_job_begin(struct dns *d, int door_fd, const struct dns_question *q)
{
	struct dns_cached got;
	const struct dns_cached *known = q->want & DNS_LISTS && d->cache && dns_cache_get(&got, d->cache, &q->client, clock_msec()) ? &got : NULL;
	if (from_cache(d, door_fd, q, known))
		return;
	struct dns_job *j = d->jobs.count < DNS_JOBS_MAX ? calloc(1, sizeof *j + d->lists.zones * sizeof *j->list) : NULL;
	if (!j) {
		struct dns_answer a = {.number = q->number, .failed = d->lists.zones, .text = slice_str(""), .host = slice_str("")};
		dns_send(d, door_fd, &a);
		return;
	}
	j->door_fd = door_fd;
	j->q = *q;
	if (known) {
		j->known_score = known->score;
		j->q.want &= ~(unsigned)DNS_LISTS;
	}
	j->ttl_sec = INT_MAX;
	j->text_query.job = j->host_query.job = j;
	turns_add(&d->jobs, &j->turn, deadline_in(d->timeout_msec));
	if (d->jobs.count > d->peak)
		d->peak = d->jobs.count;
}

void dns_jobs_tick(struct dns *d, int64_t now)
{
	struct dns_job *j;
	while ((j = job_of(turns_over(&d->jobs, now))))
		expire(d, j);
	while (d->asks.open < DNS_QUERIES_MAX && (j = job_of(turns_begin(&d->jobs))))
		start(d, j, now);
}

void dns_jobs_forget(struct dns *d, int door_fd)
{
	for (struct turn *t = d->jobs.first; t; t = t->next)
		if (job_of(t)->door_fd == door_fd)
			job_of(t)->door_fd = -1;
}

void dns_jobs_flush(struct dns *d)
{
	while (d->jobs.first)
		expire(d, job_of(d->jobs.first));
}
