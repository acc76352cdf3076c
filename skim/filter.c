/* Judging one message for an existing qmail: see filter.h.  Runs as the user of qmail-smtpd, between it and qmail-queue; message and envelope come from the
 * network.  A child judges, with a deadline: whatever goes wrong in it, a crash too, lets the message pass.  The message is handed on as it came, octet by
 * octet.  qmail-queue(8), exit codes: 31 (never), 71 (not now), 51, 53, 54, 120. */
#include "skim/filter.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "inject/qmail_envelope.h"
#include "lib/io.h"
#include "lib/log.h"
#include "lib/netstring.h"
#include "skim/job_event.h"
#include "skim/sendlimit.h"
#include "skim/skimdb.h"
#include "supervise/graph.h"

#define EXIT_MEMORY 51
#define EXIT_READ 54
#define EXIT_NEVER 31
#define EXIT_LATER 71
#define EXIT_EXEC 120
#define JUDGE_MSEC 20000
#define BODY_LOOKED_AT ((size_t)1 << 20)

struct message {
	int fd, envelope_fd;     /* memfds: as they came */
	struct slice text, envelope;
};

static const char *from_environment(const char *name, const char *otherwise)
{
	const char *v = getenv(name);
	return v && v[0] ? v : otherwise;
}

struct filter_places filter_places(void)
{
	return (struct filter_places){from_environment("QMAILSKIMCONF", "/etc/qmail-skim.conf"), from_environment("QMAILSKIMCONTROL", "/var/qmail/control"),
		from_environment("QMAILSKIMSTATE", "/var/lib/qmail-skim"), from_environment("QMAILSKIMQUEUE", "/var/qmail/bin/qmail-queue")};
}

/* All of FROM into a memfd, mapped. */
static int take(int *fd, struct slice *text, int from, struct err *e)
{
	static char space[65536];
	struct stat st;
	ssize_t n;
	*fd = memfd_create("message", MFD_CLOEXEC);
	if (*fd < 0)
		return err_sys(e, "memfd");
	while ((n = read(from, space, sizeof space)) != 0) {
		if (n < 0 && errno != EINTR)
			return err_set(e, E_PEER, "the message could not be read");
		if (n > 0 && io_write_all(*fd, space, (size_t)n, DEADLINE_NEVER, e) < 0)
			return E_SYS;
	}
	if (fstat(*fd, &st) < 0)
		return err_sys(e, "memfd");
	*text = slice_make("", 0);
	if (st.st_size == 0)
		return 0;
	void *p = mmap(NULL, (size_t)st.st_size, PROT_READ, MAP_SHARED, *fd, 0);
	*text = slice_make(p, (size_t)st.st_size);
	return p == MAP_FAILED ? err_sys(e, "memory") : 0;
}

int filter_engine(struct engine *g, const struct filter_places *p, struct err *e)
{
	static struct skim_config cfg;
	static struct control c;
	static struct geo *geo;
	struct slice conf = {0};
	int fd = open(p->conf, O_RDONLY | O_CLOEXEC), copy = -1;
	if (fd < 0 && errno == ENOENT)
		return err_set(e, E_NOT_FOUND, "%s: no configuration, so nothing is checked", p->conf);
	int rc = fd < 0 ? err_sys(e, "%s", p->conf) : take(&copy, &conf, fd, e);
	close_fd(&fd);
	if (rc == 0)
		rc = control_read(&c, p->control, BIT(P_SKIM), e);
	if (rc == 0) {
		c.value[C_skim].content = conf, c.value[C_skim].present = true;
		rc = config_read(&cfg, &c, e);
	}
	if (rc == 0)
		rc = geo_open(&geo, control_blob(&c, C_geoip), e);
	*g = (struct engine){.cfg = &cfg, .geo = geo, .history = rc == 0 ? history_make((size_t)config_number(&cfg, N_users)) : NULL};
	return rc == 0 && !g->history ? err_set(e, E_SYS, "no memory") : rc;
}

/* What it allocates lives until the child ends. */
static int envelope_of(struct envelope *env, struct slice octets, struct err *e)
{
	struct buf fields = BUF_INIT(ENVELOPE_MAX);
	struct slice rest, one;
	int rc = qmail_envelope(&fields, octets);
	rest = buf_slice(&fields);
	if (rc == 0)
		rc = netstring_take(&env->sender, &rest, ADDRESS_MAX);
	env->rcpt = rc == 0 ? calloc(fields.n / 3 + 1, sizeof *env->rcpt) : NULL;
	while (env->rcpt && netstring_take(&one, &rest, ADDRESS_MAX) == 0)
		env->rcpt[env->rcpts++] = (struct recipient){.address = one};
	return rc < 0 || !env->rcpt ? err_set(e, E_SYNTAX, "the envelope makes no sense") : 0;
}

/* The header with its blank line. */
static struct slice header_of(struct slice text)
{
	const char *end = text.n ? memmem(text.p, text.n, "\n\n", 2) : NULL;
	return end ? slice_upto(text, (size_t)(end - text.p) + 2) : text;
}

/* Who logged in: SMTP_AUTH_USER; TCPREMOTEINFO where the client may relay (else it is what ident says); or a webmail server's word. */
static struct slice user_of(const struct engine *g, struct slice header, struct slice *ip)
{
	const char *user = from_environment("SMTP_AUTH_USER", ""), *client = from_environment("TCPREMOTEIP", "");
	struct slice who = slice_str(user[0] || !getenv("RELAYCLIENT") ? user : from_environment("TCPREMOTEINFO", "")), real, webuser;
	struct ip address;
	*ip = slice_str(client);
	bool webmail = config_number(g->cfg, N_webmail_aware) && ip_parse(&address, *ip) == 0 && config_net(g->cfg, &address, 0) & 1u << NET_WEBMAIL;
	if (webmail && squirrelmail(&real, &webuser, header)) {
		*ip = real;
		who = who.n ? who : webuser;
	}
	return slice_upto(who, ADDRESS_MAX);
}

static void log_line(const struct decision *d, struct slice ip)
{
	char rules[R_COUNT * 12] = "";
	size_t n = 0;
	for (int r = 0; r < R_COUNT; r++)
		if (d->rules >> r & 1)
			n += (size_t)snprintf(rules + n, sizeof rules - n, "%s%s", n ? "," : "", rule_info[r].name);
	LOG(EV_skim, NULL, F_SLICE("user", slice_make(d->user->name, d->user->name_n)), F_STR("action", action_name(d->action)), F_NUM("score", d->score),
		F_STR("rules", rules), F_STR("code", d->user->code), F_STR("why", d->why), F_SLICE("ip", ip));
}

static int exit_of(const struct decision *d)
{
	if (d->action < ACTION_HOLD)
		return 0;
	return d->action == ACTION_LOCK || d->user->state == USER_LOCKED ? EXIT_NEVER : EXIT_LATER;
}

/* The exit code, 0: the limits of [sendlimit] let the message pass. */
static int limited(struct engine *g, const struct job *job, int64_t now)
{
	struct err e;
	int rc = sendlimit_ask(g, job->env.user, job->env.rcpts, now, &e);
	if (rc)
		LOG(EV_skim_limit, NULL, F_SLICE("user", job->env.user), F_NUM("rcpts", job->env.rcpts), F_ERR(&e));
	return rc == 0 ? 0 : rc == E_TOO_LONG ? EXIT_NEVER : EXIT_LATER;
}

static int judge_event(struct engine *g, struct job *job, struct slice ip, struct err *e)
{
	struct job_event je;
	struct decision d = {.action = ACTION_PASS};
	int64_t now = clock_wall_usec() / 1000000;
	int code = limited(g, job, now);
	if (code)
		return code;
	int rc = job_event_make(&je, job, g->history, g->cfg, e);
	if (rc == 0) {
		/* what the directory would know of addresses is not known here */
		je.ev.own_sender = je.ev.own_from = false;
		je.ev.ip = ip;
		engine_judge(&d, g, &je.ev);
		if (d.action != ACTION_PASS)
			log_line(&d, ip);
	}
	job_event_free(&je);
	code = rc ? rc : exit_of(&d);
	if (code <= 0)
		sendlimit_passed(g, job->env.user, slice_make("", 0), job->env.rcpts, now);
	return code;
}

/* The exit code, 0: pass. */
static int judge(const struct message *m, const struct filter_places *p, struct err *e)
{
	struct envelope env = {.class = CLASS_SUBMISSION, .wall_usec = clock_wall_usec()};
	struct job job = JOB_INIT;
	struct skimdb_source source;
	struct engine g;
	struct db *db = NULL;
	struct slice ip;
	char file[4096];
	int rc = filter_engine(&g, p, e);
	if (rc < 0)
		return rc;
	job.header = header_of(m->text);
	env.user = user_of(&g, job.header, &ip);
	env.client_ip = ip;
	if (env.user.n == 0)
		return 0;
	rc = envelope_of(&env, m->envelope, e);
	content_borrow(&job.body, slice_upto(slice_from(m->text, job.header.n), BODY_LOOKED_AT));
	job.env = env;
	if (rc == 0)
		rc = (size_t)snprintf(file, sizeof file, "%s/history.db", p->state) >= sizeof file ? err_set(e, E_TOO_LONG, "QMAILSKIMSTATE is too long") : 0;
	if (rc == 0)
		rc = skimdb_open(&db, file, e);
	if (rc == 0)
		rc = skimdb_begin(&source, &g, db, e);
	int code = rc < 0 ? rc : judge_event(&g, &job, ip, e);
	if (rc == 0 && skimdb_end(&source, &g, e) < 0)
		LOG(EV_skim_memory, NULL, F_ERR(e));
	db_close(db);
	return code;
}

static int child(const struct message *m, const struct filter_places *p)
{
	struct err e;
	int code = judge(m, p, &e);
	if (code < 0)
		LOG(EV_skim_memory, NULL, F_ERR(&e));
	return code < 0 ? 0 : code;
}

/* Wait for the child; one that crashed or takes too long lets the message pass. */
static int judged(const struct message *m, const struct filter_places *p)
{
	int ends[2], status = 0;
	if (pipe2(ends, O_CLOEXEC) < 0)
		return 0;
	pid_t pid = fork();
	if (pid == 0)
		_exit(child(m, p));
	close(ends[1]);
	if (pid > 0) {
		struct pollfd end = {ends[0], POLLIN, 0}; /* hangs up when the child is gone */
		if (poll(&end, 1, JUDGE_MSEC) == 0)
			kill(pid, SIGKILL);
		while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
			;
	}
	close(ends[0]);
	if (pid < 0 || !WIFEXITED(status)) {
		LOG(EV_skim_memory, NULL, F_STR("error", "the judgement failed or took too long; the message passes"));
		return 0;
	}
	int code = WEXITSTATUS(status);
	return code == EXIT_NEVER || code == EXIT_LATER ? code : 0;
}

bool filter_named(int argc, char *const *argv)
{
	const char *slash = strrchr(argv[0], '/'), *name = slash ? slash + 1 : argv[0];
	return strcmp(name, "qmail-skim") == 0 || (argc > 1 && strcmp(argv[1], "--filter") == 0);
}

int filter_run(int argc, char *const *argv)
{
	struct filter_places p = filter_places();
	struct message m;
	struct err e;
	int at = argc > 1 && strcmp(argv[1], "--filter") == 0 ? 2 : 1;
	log_program("skim");
	if (argc > at)
		return filter_desk(argc - at, argv + at);
	(void)signal(SIGPIPE, SIG_IGN);
	int rc = take(&m.fd, &m.text, 0, &e);
	if (rc == 0)
		rc = take(&m.envelope_fd, &m.envelope, 1, &e);
	if (rc < 0)
		return rc == E_PEER ? EXIT_READ : EXIT_MEMORY;
	int code = judged(&m, &p);
	if (code)
		return code;
	if (lseek(m.fd, 0, SEEK_SET) < 0 || lseek(m.envelope_fd, 0, SEEK_SET) < 0 || dup2(m.fd, 0) < 0 || dup2(m.envelope_fd, 1) < 0)
		return EXIT_MEMORY;
	unsetenv("QMAILQUEUE"); /* lest it run itself */
	(void)signal(SIGPIPE, SIG_DFL);
	execl(p.queue, p.queue, (char *)NULL);
	return EXIT_EXEC;
}
