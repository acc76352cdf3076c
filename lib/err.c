/* Errors: see err.h.  Control characters in a text are replaced, so that it stays one line. */
#include "lib/err.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

static void clean(char *text)
{
	for (; *text; text++)
		if ((unsigned char)*text < 0x20 || *text == 0x7f)
			*text = '?';
}

int err_set(struct err *e, enum err_code code, const char *format, ...)
{
	if (!e)
		return code;
	va_list ap;
	va_start(ap, format);
	e->code = code;
	e->sys = 0;
	vsnprintf(e->text, sizeof e->text, format, ap);
	va_end(ap);
	clean(e->text);
	return code;
}

int err_sys(struct err *e, const char *format, ...)
{
	int sys = errno;
	if (!e)
		return E_SYS;
	va_list ap;
	va_start(ap, format);
	e->code = E_SYS;
	e->sys = sys;
	int n = vsnprintf(e->text, sizeof e->text, format, ap);
	va_end(ap);
	if (n >= 0 && (size_t)n < sizeof e->text)
		snprintf(e->text + n, sizeof e->text - (size_t)n, ": %s", strerror(sys));
	clean(e->text);
	return E_SYS;
}
