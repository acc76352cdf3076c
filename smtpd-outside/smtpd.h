/* The parent of all SMTP sessions: takes connections from the door and forks. */
#ifndef POSTERN_SMTPD_SMTPD_H
#define POSTERN_SMTPD_SMTPD_H
#include "smtpd-outside/message.h"

struct smtpd {
	/* alone on their pages: nothing that the parent changes for each connection, which would be a page for it to copy */
	struct session session;
	struct message message; /* of the session */
	int in_port, next_port, directory_port, tls_port, skim_port, dns_port;
	struct smtpd_settings set;
	struct slots slots;
};
/* D is aligned to pages.  Until told to stop; returns when the last session is gone. */
void smtpd_run(struct smtpd *d);
#endif
