/* Dates: see calendar.h.  Days are counted from 1 March of year 0, so that the leap day comes last. */
#include "lib/calendar.h"

static void date_of(struct calendar *c, int64_t days)
{
	days += 719468;
	int64_t era = (days >= 0 ? days : days - 146096) / 146097;
	int64_t of_era = days - era * 146097;
	int64_t y = (of_era - of_era / 1460 + of_era / 36524 - of_era / 146096) / 365;
	int64_t of_year = of_era - (365 * y + y / 4 - y / 100);
	int64_t m = (5 * of_year + 2) / 153;
	c->day = (int)(of_year - (153 * m + 2) / 5 + 1);
	c->month = (int)(m < 10 ? m + 3 : m - 9);
	c->year = y + era * 400 + (c->month < 3);
}

void calendar_of(struct calendar *c, int64_t sec)
{
	int64_t day = sec / 86400 - (sec % 86400 < 0);
	int rest = (int)(sec - day * 86400);
	date_of(c, day);
	c->hour = rest / 3600;
	c->minute = rest / 60 % 60;
	c->second = rest % 60;
	c->weekday = (int)((day % 7 + 11) % 7);
}
