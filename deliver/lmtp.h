/* Delivery by LMTP: the destination is HOST:PORT or unix:PATH out of control/lmtproutes.  postern-lmtp(8). */
#ifndef POSTERN_DELIVER_LMTP_H
#define POSTERN_DELIVER_LMTP_H
#include "deliver/agent.h"

/* agent_settings.find */
int lmtp_find(struct places *p, struct agent_settings *a, struct client_mail *m, struct slice destination);
#endif
