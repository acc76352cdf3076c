/* A job as an event: see job_event.h.  The envelope was checked by lib/job.h; header and body are whatever the client sent, so they are only walked over
 * once, in bounds. */
#include "skim/job_event.h"

#include <stdio.h>

#include "lib/header.h"

#define LOOK_OCTETS ((size_t)65536)

struct slice first_link_host(struct slice text)
{
	struct slice rest = text;
	for (size_t at; (at = slice_find(rest, ':')) < rest.n; rest = slice_from(rest, at + 1)) {
		struct slice before = slice_upto(rest, at), after = slice_from(rest, at + 1);
		size_t start = before.n > 5 ? before.n - 5 : 0;
		bool http = slice_ends(before, "http") || slice_ends(slice_from(before, start), "https") || slice_ends(before, "HTTP");
		if (!http || !slice_starts(after, "//"))
			continue;
		struct slice host = slice_from(after, 2);
		size_t n = 0;
		while (n < host.n && n < 255 && ((host.p[n] | 32) >= 'a' ? (host.p[n] | 32) <= 'z' : (host.p[n] >= '0' && host.p[n] <= '9') || host.p[n] == '.' ||
			host.p[n] == '-'))
			n++;
		if (n > 3)
			return slice_upto(host, n);
	}
	return (struct slice){0};
}

static int order(struct slice a, struct slice b)
{
	int c = memcmp(a.p, b.p, a.n < b.n ? a.n : b.n);
	return c ? c : a.n < b.n ? -1 : a.n > b.n;
}

long swept_recipients(const struct recipient *rcpt, size_t n, const struct skim_config *cfg)
{
	long best = 0, run = 0;
	for (size_t i = 0; i < n; i++) {
		bool local = config_local_domain(cfg, addr_domain_of(rcpt[i].address));
		bool rises = i > 0 && order(rcpt[i - 1].address, rcpt[i].address) < 0;
		run = !local ? 0 : rises ? run + 1 : 1;
		best = run > best ? run : best;
	}
	return best;
}

bool squirrelmail(struct slice *ip, struct slice *user, struct slice header)
{
	static const char mark[] = "(SquirrelMail authenticated user ";
	struct header_field f;
	while (header_next(&f, &header)) {
		struct slice v = slice_trim(f.value), word;
		if (!slice_case_eq_str(f.name, "Received") || !slice_word(&word, &v) || !slice_eq_str(word, "from") || !slice_word(ip, &v))
			continue;
		v = slice_trim(v);
		if (!slice_starts(v, mark))
			continue;
		v = slice_from(v, sizeof mark - 1);
		*user = slice_trim(slice_upto(v, slice_find(v, ')')));
		return user->n > 0;
	}
	return false;
}

static void field(struct buf *b, struct slice header, const char *name)
{
	struct header_field f;
	*b = BUF_INIT(HEADER_MAX);
	if (header_find(&f, header, name))
		header_unfold(b, f.value);
}

/* Octets without digits and blanks, so that counters and line ends make no difference. */
static struct slice text_hash(char out[17], struct slice s)
{
	uint64_t x = 0xcbf29ce484222325u;
	for (size_t i = 0; i < s.n && i < LOOK_OCTETS; i++)
		if ((unsigned char)s.p[i] > ' ' && (s.p[i] < '0' || s.p[i] > '9'))
			x = (x ^ (unsigned char)s.p[i]) * 0x100000001b3u;
	snprintf(out, 17, "%016llx", (unsigned long long)x);
	return slice_str(out);
}

static void recipients(struct skim_event *ev, const struct envelope *env, struct history *h, const struct skim_config *cfg)
{
	const struct user *u = history_user(h, ev->user, true);
	ev->recipients = (long)env->rcpts;
	ev->external = 0, ev->new_recipients = 0;
	for (size_t i = 0; i < env->rcpts; i++) {
		ev->external += !config_local_domain(cfg, addr_domain_of(env->rcpt[i].address));
		ev->new_recipients += u && history_new_recipient(h, u, env->rcpt[i].address);
	}
	ev->swept = swept_recipients(env->rcpt, env->rcpts, cfg);
	ev->rcpt = env->rcpt;
	ev->rcpts = env->rcpts;
}

/* What program it was: its own word, else how it names its host. */
static void client(struct job_event *je, const struct job *job)
{
	struct slice helo = job->env.helo;
	field(&je->client, job->header, "User-Agent");
	if (je->client.n == 0) {
		buf_free(&je->client);
		field(&je->client, job->header, "X-Mailer");
	}
	if (je->client.n == 0 && helo.n)
		buf_add_str(&je->client, helo.p[0] == '[' ? "helo literal" : slice_find(helo, '.') < helo.n ? "helo domain" : "helo name");
	je->ev.client = slice_upto(buf_slice(&je->client), EVENT_FIELD_MAX);
}

/* The real client behind a webmail server of ours. */
static void behind_webmail(struct skim_event *ev, const struct skim_config *cfg)
{
	struct ip ip;
	struct slice real, user;
	if (!config_number(cfg, N_webmail_aware) || ip_parse(&ip, ev->ip) || !(config_net(cfg, &ip, 0) & 1u << NET_WEBMAIL))
		return;
	if (squirrelmail(&real, &user, ev->header) && slice_case_eq(user, ev->user))
		ev->ip = real;
}

int job_event_make(struct job_event *je, struct job *job, struct history *h, const struct skim_config *cfg, struct err *e)
{
	const struct envelope *env = &job->env;
	struct skim_event *ev = &je->ev;
	struct buf subject;
	*je = (struct job_event){.ev = {.send = true, .success = true, .recipients = EVENT_NONE, .external = EVENT_NONE, .unknown_recipients = EVENT_NONE,
		.new_recipients = EVENT_NONE, .size = EVENT_NONE, .swept = EVENT_NONE}};
	int rc = content_look(&job->body, e);
	if (rc)
		return rc;
	field(&je->from, job->header, "From");
	field(&je->reply, job->header, "Reply-To");
	field(&subject, job->header, "Subject");
	ev->time = env->wall_usec / 1000000;
	ev->user = env->user, ev->ip = env->client_ip, ev->mail_from = env->sender, ev->service = slice_str("submission");
	ev->header = job->header, ev->body = content_slice(&job->body);
	ev->header_from = buf_slice(&je->from), ev->reply_to = buf_slice(&je->reply);
	ev->own_sender = !env->foreign_sender, ev->own_from = !env->foreign_from;
	ev->size = (long)(job->header.n + job->body.octets);
	ev->subject_hash = text_hash(je->hash[0], buf_slice(&subject));
	ev->body_hash = text_hash(je->hash[1], ev->body);
	buf_free(&subject);
	struct slice host = first_link_host(slice_upto(ev->body, LOOK_OCTETS));
	if (slice_copy(je->host, sizeof je->host, host) == 0)
		ev->url_host = slice_str(je->host);
	client(je, job);
	recipients(ev, env, h, cfg);
	behind_webmail(ev, cfg);
	return 0;
}

void job_event_free(struct job_event *je)
{
	buf_free(&je->from);
	buf_free(&je->reply);
	buf_free(&je->client);
}
