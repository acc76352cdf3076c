/* Header rewriting with fixed rules: what was rewritten is left alone the second time, and fields without addresses are not touched. */
#include <fcntl.h>
#include <stdint.h>
#include <stdlib.h>

#include "fixup/rewrite.h"
#include "lib/header.h"
#include "lib/log.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct rules rules;

static void start(void)
{
	struct control c = {.dir = "ctl"};
	c.value[C_fixupdomains].content = slice_str("old.edu:new.edu\n.old.edu:new.edu\na:a-longer-name.example.edu\n");
	c.value[C_canonical].content = slice_str("u@new.edu:\"U V\"@new.edu\nv@b:w@c\n");
	c.value[C_fixupdomains].present = c.value[C_canonical].present = true;
	log_to(open("/dev/null", O_WRONLY | O_CLOEXEC));
	if (rules_read(&rules, &c, NULL))
		abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static bool started;
	struct buf one = BUF_INIT(HEADER_MAX), two = BUF_INIT(HEADER_MAX);
	struct changes n = {0}, none = {0};
	const struct completion missing = {.from = slice_str("s@new.edu"), .id = slice_str("0123456789abc"), .me = slice_str("mx.edu"), .drop_bcc = size % 2};
	if (!started)
		start();
	started = true;
	int rc = rewrite_header(&one, slice_make(data, size), &rules, &missing, &n);
	if (rc == 1 && ((!n.dropped && one.n < size / 2) || n.fields + n.added + n.dropped == 0))
		abort();
	if (rc == 1 && rewrite_header(&two, buf_slice(&one), &rules, &missing, &none) != 0)
		abort();
	buf_free(&one);
	buf_free(&two);
	return 0;
}
