/* Log lines, one write(2) each: `time program[pid] id event key=value…`.
 *
 * The events are the table lib/events.def, from which postern-log(5) is made; nothing else can be logged.
 * A value of printable ASCII without blank, quote, backslash or "=" stands as it is; every other value is put in
 * double quotes with \" \\ and \xHH, so that outside text can neither forge a line nor reach a terminal.
 * Lines are cut at LOG_LINE_MAX octets (less than PIPE_BUF, so lines of several processes never mix). */
#ifndef POSTERN_LIB_LOG_H
#define POSTERN_LIB_LOG_H
#include "lib/buf.h"
#include "lib/err.h"

#define LOG_LINE_MAX 2048
#define LOG_VALUE_MAX 512

enum log_event {
#define EVENT(name, program, keys, meaning) EV_##name,
#include "lib/events.def"
#undef EVENT
	EV_COUNT
};

struct log_field {
	const char *key; /* NULL ends the list */
	struct slice text;
	long long number;
	bool is_number;
};
#define F_STR(k, s)   ((struct log_field){.key = (k), .text = slice_str(s)})
#define F_SLICE(k, s) ((struct log_field){.key = (k), .text = (s)})
#define F_NUM(k, v)   ((struct log_field){.key = (k), .number = (long long)(v), .is_number = true})
#define F_ERR(e)      ((struct log_field){.key = "error", .text = slice_str((e)->text)})

/* Log EV_<event> for message ID (NULL or "" prints "-"), then fields.  Never fails; to descriptor 2.
 *	LOG(EV_smtpd_rcpt, id, F_SLICE("rcpt", addr), F_NUM("count", n)); */
#define LOG(event, id, ...) log_write((event), (id), (const struct log_field[]){__VA_ARGS__ __VA_OPT__(,) {0}})
void log_write(enum log_event event, const char *id, const struct log_field *fields);
/* The name in each line, of at most 31 octets; copied.  Called once by program_start(). */
void log_program(const char *name);
/* Another descriptor than 2, for tests. */
void log_to(int fd);
/* VALUE as log lines show it, appended to B. */
void log_quote(struct buf *b, struct slice value);

struct log_event_info {
	const char *name, *program, *keys, *meaning;
};
extern const struct log_event_info log_events[EV_COUNT];
#endif
