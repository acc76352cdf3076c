/* sendmail and mailq: see sendmail(8).  Exit codes of <sysexits.h>: 0 taken, 64 wrong usage, 65 refused for good, 69 not done here, 70 mailq cannot
 * run, 75 try again. */
#include <libgen.h>
#include <limits.h>
#include <stdio.h>
#include <sysexits.h>
#include <unistd.h>

#include "inject/front.h"
#include "inject/options.h"

static int code_of(const struct outcome *o)
{
	return o->code >= 500 ? EX_DATAERR : o->code >= 200 && o->code < 300 ? EX_OK : EX_TEMPFAIL;
}

static int set_recipients(struct draft *d, const struct sendmail_options *o, char **argv, struct err *e)
{
	int rc = front_arguments(d, argv + o->first, e);
	if (rc == 0 && o->from_header)
		rc = complete_recipients(&d->to, &d->names, d->header, e);
	if (rc == 0 && d->to.count == 0)
		rc = err_set(e, E_SYNTAX, "no recipient in the header's To, Cc or Bcc");
	return rc;
}

static int send_draft(struct draft *d, const struct sendmail_options *o)
{
	char login[256];
	struct buf full_name = BUF_INIT(256);
	struct author author = {.user = front_login(login, &full_name)};
	struct outcome outcome;
	struct err e;
	author.full_name = o->full_name ? slice_str(o->full_name) : full_name.overflow ? slice_str("") : buf_slice(&full_name);
	if (front_sender(d, o->sender ? o->sender : login, &e) < 0) {
		buf_free(&full_name);
		return front_fail("sendmail", EX_USAGE, e.text);
	}
	/* who gives -f and no From writes as that address */
	if (o->sender && d->sender.n)
		author.user = buf_slice(&d->sender);
	front_send(&outcome, d, &author);
	buf_free(&full_name);
	return code_of(&outcome) == EX_OK ? EX_OK : front_fail("sendmail", code_of(&outcome), outcome.text);
}

static int send_mail(const struct sendmail_options *o, char **argv)
{
	struct draft d;
	struct err e;
	int code, rc = front_begin(&d, !o->ignore_dots, &e);
	if (rc < 0)
		code = front_fail("sendmail", rc == E_TOO_LONG ? EX_DATAERR : EX_TEMPFAIL, e.text);
	else if (set_recipients(&d, o, argv, &e) < 0)
		code = front_fail("sendmail", EX_DATAERR, e.text);
	else
		code = send_draft(&d, o);
	front_free(&d);
	return code;
}

/* `postern queue list`, from the folder that this program lies in. */
int front_mailq(int argc, char **argv)
{
	char self[PATH_MAX], path[PATH_MAX + 16], state[PATH_MAX];
	ssize_t n = readlink("/proc/self/exe", self, sizeof self - 1);
	(void)argc;
	(void)argv;
	if (n > 0 && slice_copy(state, sizeof state, slice_str(client_state())) == 0) {
		self[n] = 0;
		snprintf(path, sizeof path, "%s/postern", dirname(self));
		char *args[] = {(char[]){"postern"}, (char[]){"queue"}, (char[]){"list"}, (char[]){"-s"}, state, NULL};
		execv(path, args);
	}
	return front_fail("mailq", EX_SOFTWARE, "cannot run postern queue list");
}

int front_sendmail(int argc, char **argv)
{
	struct sendmail_options o;
	struct err e;
	int rc = sendmail_options(&o, argc, argv, &e);
	if (rc < 0)
		return front_fail("sendmail", rc == E_REFUSED ? EX_UNAVAILABLE : EX_USAGE, e.text);
	if (o.mode == SENDMAIL_LIST)
		return front_mailq(argc, argv);
	return o.mode == SENDMAIL_NOTHING ? EX_OK : send_mail(&o, argv);
}
