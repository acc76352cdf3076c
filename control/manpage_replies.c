/* postern-replies(5), from the table of replies: `postern manpage replies`. */
#include "control/cmd.h"
#include "smtpd-outside/replies.h"

static const char head[] =
	".\\\" Generated from smtpd-outside/replies.def by `postern manpage replies`.\n"
	".Dd November 22, 2026\n.Dt POSTERN-REPLIES 5\n.Os\n.Sh NAME\n.Nm postern-replies\n.Nd what SMTP clients are told\n"
	".Sh DESCRIPTION\nEvery reply of\n.Xr postern-smtpd 8 ,\nand when it is given.\n"
	"A\n.Li *\nstands for what the reply is about.\n"
	"From MAIL on each refusal, and the answer to the message, ends with the\nmessage's id, by which\n.Xr postern-log 5\nfinds it.\n"
	"The answer to a message may also be the one of a later program of the line.\n"
	".Sh REPLIES\n.Bl -tag -width Ds\n";

void manpage_replies(FILE *out)
{
	fputs(head, out);
	for (size_t i = 0; i < REPLY_COUNT; i++) {
		const struct reply_row *r = &reply_rows[i];
		struct buf when = BUF_INIT(1024);
		fprintf(out, ".It Li \"%d%s%s %s\"\n", r->code, *r->enhanced ? " " : "", r->enhanced, r->text);
		buf_add_str(&when, r->when);
		buf_add_str(&when, ".");
		buf_add_char(&when, 0);
		manpage_text(out, when.overflow ? r->when : when.p);
		buf_free(&when);
	}
	fputs(".El\n.Sh SEE ALSO\n.Xr postern-log 5 ,\n.Xr postern-smtpd 8\n", out);
}
