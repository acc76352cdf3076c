/* Destinations of postern-lmtp: see lmtp.h.  They are the administrator's, out of control/lmtproutes, as postern-route found them; a delivery that names another
 * place would show a queue or route that was taken over, and is checked here against the file. */
#include "deliver/lmtp.h"

#include <stdio.h>
#include <sys/un.h>

static bool is_configured(const struct control *c, struct slice destination)
{
	struct control_line line = {0};
	struct slice domain, to;
	while (control_next(c, C_lmtproutes, &line))
		if (lmtproute_parse(&domain, &to, line.text, NULL) == 0 && slice_case_eq(to, destination))
			return true;
	return false;
}

static void add_unix(struct places *p, const char *path)
{
	struct sockaddr_un un = {.sun_family = AF_UNIX};
	struct place *at = &p->place[p->n++];
	memset(at, 0, sizeof *at);
	snprintf(at->name, sizeof at->name, "%.200s", path);
	snprintf(un.sun_path, sizeof un.sun_path, "%.107s", path);
	memcpy(&at->to, &un, sizeof un);
	at->octets = sizeof un;
}

int lmtp_find(struct places *p, struct agent_settings *a, struct client_mail *m, struct slice destination)
{
	struct hostport to;
	struct err e;
	if (!is_configured(a->control, destination) || hostport_parse_lmtp(&to, destination, &e) < 0) {
		client_decide_rest(m, DELIVERY_DEFERRED, "4.3.5", "", "control/lmtproutes has no such destination any more");
		return E_NOT_FOUND;
	}
	if (to.is_unix)
		add_unix(p, to.host);
	else if (to.is_ip)
		(void)!place_add(p, to.host, &to.ip, to.port);
	else if (resolve_host(p, &a->resolver, to.host, to.port, &e) < 0)
		client_decide_rest(m, DELIVERY_DEFERRED, "4.4.3", "", e.text);
	return p->n ? 0 : E_NOT_FOUND;
}
