/* qmail-inject: completes the header and sends, as in qmail's qmail-inject(8).  Environment: QMAILUSER, MAILUSER, USER, LOGNAME; QMAILHOST, MAILHOST;
 * QMAILNAME, MAILNAME, NAME; QMAILSUSER, QMAILSHOST; QMAILINJECT.  Exit codes: 0 taken, 100 refused for good, 111 try again. */
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "inject/front.h"
#include "inject/options.h"

enum { PERMANENT = 100, TEMPORARY = 111 };

/* The first of the NULL-ended NAMES that is set. */
static const char *first_set(const char *const *names)
{
	for (; *names; names++) {
		const char *value = getenv(*names);
		if (value && *value)
			return value;
	}
	return NULL;
}

#define FIRST_SET(...) first_set((const char *const[]){__VA_ARGS__, NULL})

static int set_recipients(struct draft *d, const struct qmail_inject_options *o, char **argv, struct err *e)
{
	bool args = o->from != FROM_HEADER, header = o->from == FROM_HEADER || o->from == FROM_BOTH || (o->from == FROM_EITHER && !argv[o->first]);
	int rc = args ? front_arguments(d, argv + o->first, e) : 0;
	if (rc == 0 && header)
		rc = complete_recipients(&d->to, &d->names, d->header, e);
	return rc == 0 && d->to.count == 0 && !o->print ? err_set(e, E_SYNTAX, "no recipients") : rc;
}

/* -f, else Return-Path, else QMAILSUSER and QMAILSHOST, else the author. */
static int set_sender(struct draft *d, const struct qmail_inject_options *o, const struct author *a, struct err *e)
{
	struct slice user = slice_str(FIRST_SET("QMAILSUSER")), host = slice_str(FIRST_SET("QMAILSHOST"));
	bool present = false;
	if (o->sender)
		return front_sender(d, o->sender, e);
	if (!o->ignore_return_path)
		complete_return_path(&d->sender, &present, &d->names, d->header);
	if (!present) {
		struct buf local = BUF_INIT(REQUEST_ADDRESS_MAX);
		buf_add_slice(&local, user.n ? user : a->user);
		buf_add_str(&local, o->verp ? "-" : "");
		complete_address(&d->sender, &d->names, buf_slice(&local), host.n ? host : a->host);
		buf_add_str(&d->sender, o->verp ? VERP_MARK : "");
		buf_free(&local);
	}
	return d->sender.overflow ? err_set(e, E_SYNTAX, "the sender's address is too long") : 0;
}

static int print(const struct draft *d, const struct author *a)
{
	struct buf header = BUF_INIT(2 * HEADER_MAX);
	complete_header(&header, &d->names, a, d->header, clock_wall_usec());
	bool bad = header.overflow || io_write_all(STDOUT_FILENO, header.p, header.n, DEADLINE_NEVER, NULL) < 0 ||
		(d->body.n && io_write_all(STDOUT_FILENO, d->body.p, d->body.n, DEADLINE_NEVER, NULL) < 0);
	buf_free(&header);
	return bad ? front_fail("qmail-inject", TEMPORARY, "the message could not be written") : 0;
}

static int inject(struct draft *d, const struct qmail_inject_options *o, char **argv)
{
	char login[256];
	struct buf full_name = BUF_INIT(256);
	struct author a = {.drop_from = o->drop_from, .drop_message_id = o->drop_message_id, .host = slice_str(FIRST_SET("QMAILHOST", "MAILHOST"))};
	const char *user = FIRST_SET("QMAILUSER", "MAILUSER", "USER", "LOGNAME"), *name = FIRST_SET("QMAILNAME", "MAILNAME", "NAME");
	struct outcome outcome = {0};
	struct err e;
	int code;
	a.user = user ? slice_str(user) : front_login(login, &full_name);
	a.full_name = name ? slice_str(name) : full_name.overflow ? slice_str("") : buf_slice(&full_name);
	if (set_recipients(d, o, argv, &e) < 0 || set_sender(d, o, &a, &e) < 0) {
		code = front_fail("qmail-inject", PERMANENT, e.text);
	} else if (o->print) {
		code = print(d, &a);
	} else {
		front_send(&outcome, d, &a);
		code = outcome.code >= 500 ? PERMANENT : outcome.code >= 200 && outcome.code < 300 ? 0 : TEMPORARY;
		if (code)
			front_fail("qmail-inject", code, outcome.text);
	}
	buf_free(&full_name);
	return code;
}

int front_qmail_inject(int argc, char **argv)
{
	struct qmail_inject_options o;
	struct draft d;
	struct err e;
	if (getenv("QMAILMFTFILE"))
		return front_fail("qmail-inject", PERMANENT, "QMAILMFTFILE (Mail-Followup-To) is not done here; unset it");
	if (qmail_inject_options(&o, getenv("QMAILINJECT"), argc, argv, &e) < 0)
		return front_fail("qmail-inject", PERMANENT, e.text);
	int rc = front_begin(&d, false, &e);
	int code = rc == 0 ? inject(&d, &o, argv) : front_fail("qmail-inject", rc == E_TOO_LONG ? PERMANENT : TEMPORARY, e.text);
	front_free(&d);
	return code;
}
