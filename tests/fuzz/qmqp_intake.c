/* QMQP from a host of the cluster that was taken over, in two pieces. */
#include <stdint.h>
#include <stdlib.h>
#include <unistd.h>

#include "lib/io.h"
#include "qmqp/intake.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct qmqp_intake q;
	struct err e;
	size_t half = size / 2;
	qmqp_intake_begin(&q, memfd_make("fuzz", &e), 4096);
	int rc = qmqp_intake_feed(&q, (const char *)data, half, &e);
	if (rc == 0)
		rc = qmqp_intake_feed(&q, (const char *)data + half, size - half, &e);
	if (rc == 1 && (q.count < 2 || q.body_octets + q.header.line > 4096 + 1))
		abort();
	close(q.body_fd);
	qmqp_intake_free(&q);
	return 0;
}
