/* The log folder: STATE/log/current, renamed to the time when a line no longer fits; the newest files are kept. */
#ifndef POSTERN_SUPERVISE_LOGFILE_H
#define POSTERN_SUPERVISE_LOGFILE_H
#include "lib/buf.h"
#include "lib/err.h"

struct logfile {
	int dir_fd, fd;
	long long size, size_most;
	long long files_most;
	struct buf waiting;          /* whole lines not yet written */
	unsigned long long lost;     /* lines */
	struct err lost_why;
};

/* Open or continue FOLDER/current.  A torn last line (the machine went down) is ended.  0 or E_SYS. */
MUST_CHECK int logfile_open(struct logfile *l, const char *folder, long long size_most, long long files_most, struct err *e);
/* Must what waits be flushed before N more octets? */
bool logfile_full(const struct logfile *l, size_t n);
/* One line with its LF.  Written by logfile_flush(), or at once when logfile_full(). */
void logfile_add(struct logfile *l, struct slice line);
/* Never blocks longer than the disk does.  What the disk does not take is dropped by whole lines and counted in .lost. */
void logfile_flush(struct logfile *l);
void logfile_close(struct logfile *l);
#endif
