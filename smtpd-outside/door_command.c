/* Operators' `status` on STATE/run/door.sock.  Part of postern-door; who may ask is checked by lib/command. */
#include <stdlib.h>
#include <sys/epoll.h>

#include "lib/netstring.h"
#include "smtpd-outside/door.h"

struct caller {
	struct watch watch;
	struct command command;
};

void door_command_accept(struct door *d)
{
	struct caller *who = calloc(1, sizeof *who);
	struct err e;
	if (!who || command_accept(&who->command, d->command.fd, &e) < 0) {
		free(who);
		return;
	}
	who->watch = (struct watch){WATCH_CALLER, who->command.fd, false};
	if (door_watch(d, &who->watch, EPOLLIN) < 0) {
		command_end(&who->command, 111, "out of memory");
		free(who);
	}
}

static void add(struct buf *b, const char *key, long long value)
{
	netstring_add_str(b, key);
	netstring_add_number(b, value);
}

static int row(struct door *d, struct command *command)
{
	struct buf b = BUF_INIT(1024);
	add(&b, "sessions", d->sessions);
	add(&b, "concurrencyincoming", d->set.incoming);
	add(&b, "waiting", d->waiting);
	add(&b, "concurrencywaiting", d->set.waiting);
	add(&b, "addresses", (long long)limits_size(d->limits));
	add(&b, "blocked", (long long)door_blocks_count(d->blocks, d->now));
	int r = b.overflow ? E_SYS : command_row(command, &b);
	buf_free(&b);
	return r;
}

void door_command_event(struct door *d, struct watch *w)
{
	struct caller *who = (struct caller *)w;
	struct err e;
	int r = command_read(&who->command, &e);
	if (r == E_TIMEOUT)
		return;
	door_unwatch(d, w);
	bool status = r == 0 && who->command.args == 1 && slice_eq_str(who->command.arg[0], "status");
	if (!status)
		command_end(&who->command, 100, "usage: status");
	else
		command_end(&who->command, row(d, &who->command) == 0 ? 0 : 111, "");
	free(who);
}
