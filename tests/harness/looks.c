/* See looks.h. */
#include "tests/harness/looks.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "tests/harness/queue_command.h"

char rows[1 << 20];

int command_of(struct harness *h, char *out, size_t size, const struct slice *args, size_t count)
{
	return queue_command(out, size, h->spool, args, count);
}

int command(struct harness *h, char *out, size_t size, const char *verb, const char *arg, const char *arg2)
{
	const struct slice args[3] = {slice_str(verb), slice_str(arg), slice_str(arg2)};
	return command_of(h, out, size, args, arg2 ? 3 : arg ? 2 : 1);
}

long long number_of(const char *key)
{
	char find[40];
	snprintf(find, sizeof find, "%s=", key);
	const char *at = strstr(rows, find);
	return at ? atoll(at + strlen(find)) : -1;
}

int found(const char *text)
{
	int n = 0;
	while ((text = strstr(text, "kind=message;"))) {
		n++;
		text++;
	}
	return n;
}

long long status_of(struct harness *h, const char *key)
{
	char find[40];
	snprintf(find, sizeof find, "%s=", key);
	const char *at = command(h, rows, sizeof rows, "status", NULL, NULL) == 0 ? strstr(rows, find) : NULL;
	return at ? atoll(at + strlen(find)) : -1;
}

bool until(bool (*yes)(struct harness *h), struct harness *h)
{
	for (int i = 0; i < 2000; i++) {
		if (yes(h))
			return true;
		usleep(5000);
	}
	return false;
}

bool empty(struct harness *h)
{
	return command(h, rows, sizeof rows, "list", NULL, NULL) == 0 && !rows[0];
}

bool idle(struct harness *h)
{
	return command(h, rows, sizeof rows, "status", NULL, NULL) >= 0 && number_of("delivering") == 0;
}

bool all_gone(struct harness *h)
{
	return command(h, rows, sizeof rows, "status", NULL, NULL) >= 0 && number_of("messages") == 0;
}

bool has_reason(struct harness *h)
{
	return command(h, rows, sizeof rows, "list", NULL, NULL) == 0 && strstr(rows, "reason=") && !strstr(rows, "reason=;\n");
}

bool attempt_over(struct harness *h)
{
	return command(h, rows, sizeof rows, "list", "recipients=all", NULL) == 0 && strstr(rows, "attempts=1;") && strstr(rows, "state=waiting;hold=");
}

bool is_held(struct harness *h)
{
	return command(h, rows, sizeof rows, "list", "state=held", NULL) == 0 && found(rows) == 1;
}

bool saw(struct harness *h, const char *address)
{
	for (size_t i = 0; i < 64; i++)
		if (strcmp(h->shared->recipients[i], address) == 0)
			return true;
	return false;
}

bool sender_told(struct harness *h)
{
	return saw(h, "sender@here.test");
}

bool first_delivered(struct harness *h)
{
	return h->shared->delivered[1];
}
