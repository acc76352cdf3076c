/* `postern privileges` for people: prints the object that privileges.c collected. */
#include <jansson.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "control/privileges_text.h"

static void print_list(const char *title, json_t *list)
{
	size_t i;
	json_t *item;
	printf("    %s", title);
	json_array_foreach(list, i, item)
		printf(" %s", json_string_value(item));
	printf("%s\n", json_array_size(list) ? "" : " none");
}

static long long number(json_t *object, const char *key)
{
	return json_integer_value(json_object_get(object, key));
}

static const char *string(json_t *object, const char *key)
{
	return json_string_value(json_object_get(object, key));
}

static void print_process(json_t *p)
{
	size_t i;
	json_t *difference;
	bool fine = json_array_size(json_object_get(p, "differences")) == 0;
	printf("    %s %lld: ", json_is_true(json_object_get(p, "child")) ? "forked by it," : "process", number(p, "pid"));
	if (json_is_true(json_object_get(p, "looked_inside")))
		printf("%lld sockets, %lld pipes, %lld memfds, %lld files, %lld others open; ", number(p, "sockets"), number(p, "pipes"), number(p, "memfds"),
			number(p, "files"), number(p, "others"));
	printf("%s\n", fine ? "as the table says" : "DIFFERS:");
	json_array_foreach(json_object_get(p, "differences"), i, difference)
		printf("        %s\n", json_string_value(difference));
}

static void print_program(json_t *p)
{
	size_t i;
	json_t *process;
	const char *lane = string(p, "lane");
	printf("%s%s%s: user %s, %lld %s%s\n", string(p, "program"), lane[0] == '-' ? "" : " ", lane[0] == '-' ? "" : lane, string(p, "user"), number(p, "workers"),
		number(p, "workers") == 1 ? "process" : "processes", json_is_true(json_object_get(p, "started")) ? "" : " (not started: the control files give it nothing to do)");
	printf("    %s\n", string(p, "why"));
	print_list("sockets:", json_object_get(p, "sockets"));
	printf("    root folder: %s\n", string(p, "root"));
	if (strcmp(string(p, "root"), "host") == 0)
		print_list("paths (and those that its control files name):", json_object_get(p, "paths"));
	print_list("capabilities:", json_object_get(p, "capabilities"));
	if (json_is_true(json_object_get(p, "runs_programs")))
		printf("    runs programs of the host: all system calls but those that no program may have, all paths that its user may use\n");
	else
		printf("    system calls: %lld that all have, %lld of its own; may connect by TCP: %s\n", number(p, "syscalls_common"), number(p, "syscalls_own"),
		json_is_true(json_object_get(p, "tcp_connect")) ? "yes" : "no");
	printf("    limits: %lld descriptors, %lld processes, files written: %s\n", number(p, "files_most"), number(p, "processes_most"),
		json_is_true(json_object_get(p, "may_write_files")) ? "yes" : "none");
	json_array_foreach(json_object_get(p, "processes"), i, process)
		print_process(process);
}

static void print_ending(json_t *all, const char *state)
{
	long long landlock = number(all, "landlock"), unseen = number(all, "unseen"), differences = number(all, "differences");
	bool running = json_is_true(json_object_get(all, "running"));
	if (landlock == 0)
		printf("This kernel has no Landlock of version 2 or later: programs with the root folder host are held by their users and seccomp alone.\n");
	else
		printf("This kernel has Landlock version %lld.\n", landlock);
	if (!json_is_true(json_object_get(all, "mdwe")))
		printf("This kernel (before Linux 6.3) lets programs make memory executable.\n");
	if (!running)
		printf("The suite does not run in %s: this is the table alone.\n", state);
	else if (!json_is_true(json_object_get(all, "as_root")))
		printf("The suite was not started as root: all programs run as one user, without a root folder of their own.\n");
	if (unseen)
		printf("Of %lld processes root folder and descriptors are hidden; run this as root to compare them too.\n", unseen);
	if (running && differences)
		printf("%lld DIFFERENCES from the table.\n", differences);
	else if (running)
		printf("All processes are as the table says.\n");
}

void privileges_print(json_t *all, const char *state)
{
	size_t i;
	json_t *program;
	json_array_foreach(json_object_get(all, "programs"), i, program)
		print_program(program);
	print_ending(all, state);
}
