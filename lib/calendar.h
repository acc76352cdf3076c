/* Dates in UTC. */
#ifndef POSTERN_LIB_CALENDAR_H
#define POSTERN_LIB_CALENDAR_H
#include <stdint.h>

struct calendar {
	long long year;                         /* of the Gregorian calendar, backwards too; year 0 is there */
	int month, day, hour, minute, second;   /* from 1, from 1, from 0 */
	int weekday;                            /* 0: Sunday */
};
/* SEC seconds from 1970 on; any value whose year fits.  gmtime_r() would do, but reads time zone files, which a confined program cannot, and
 * takes a lock, which is a page of its own in each forked session. */
void calendar_of(struct calendar *c, int64_t sec);
#endif
