/* Where mail for a domain goes by SMTP: control/smtproutes, an address literal, or the domain's mail hosts.  postern-remote(8). */
#ifndef POSTERN_DELIVER_REMOTE_H
#define POSTERN_DELIVER_REMOTE_H
#include "deliver/agent.h"

/* agent_settings.find */
int remote_find(struct places *p, struct agent_settings *a, struct client_mail *m, struct slice domain);
/* What the host listens on at port 25; before program_confine(), from control/listen and the host's interfaces. */
void remote_own_addresses(const struct control *c);
bool remote_is_here(const struct ip *ip);
#endif
