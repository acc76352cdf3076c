/* postern-queue: makes mail durable, schedules it, retries it, bounces it.  User postern-queue, root directory STATE/queue. */
#include "queue/queue.h"

int main(int argc, char **argv)
{
	return queue_run(argc, argv);
}
