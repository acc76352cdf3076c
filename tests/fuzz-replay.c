/* Replays a corpus through a fuzz target without a fuzzing engine: each file of the folder named on the command line, each
 * of its prefixes (of the first 4,096 octets) and 200 random changes of it from a fixed seed. */
#include <dirent.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* An exact copy, so that a read one past the end is seen by ASan. */
static void run(const uint8_t *p, size_t n)
{
	uint8_t *copy = malloc(n ? n : 1);
	if (!copy)
		abort();
	memcpy(copy, p, n);
	LLVMFuzzerTestOneInput(copy, n);
	free(copy);
}

static uint64_t seed = 88172645463325252ull;
static size_t rnd(size_t below)
{
	seed ^= seed << 13;
	seed ^= seed >> 7;
	seed ^= seed << 17;
	return below ? (size_t)(seed % below) : 0;
}

static void replay(uint8_t *p, size_t n)
{
	run(p, n);
	for (size_t k = 0; k < n && k < 4096; k++)
		run(p, k);
	for (int i = 0; i < 200 && n; i++) {
		size_t at = rnd(n);
		uint8_t old = p[at];
		p[at] = (uint8_t)rnd(256);
		run(p, n);
		if (i % 4)
			p[at] = old;
	}
}

int main(int argc, char **argv)
{
	size_t files = 0;
	DIR *d = argc > 1 ? opendir(argv[1]) : NULL;
	if (!d)
		return fprintf(stderr, "no corpus folder %s\n", argc > 1 ? argv[1] : ""), 1;
	for (struct dirent *f; (f = readdir(d)); ) {
		char path[1024];
		if (f->d_name[0] == '.')
			continue;
		snprintf(path, sizeof path, "%s/%s", argv[1], f->d_name);
		FILE *in = fopen(path, "rb");
		uint8_t *p = malloc(1 << 20);
		if (!in || !p)
			return perror(path), 1;
		size_t n = fread(p, 1, 1 << 20, in);
		fclose(in);
		replay(p, n);
		free(p);
		files++;
	}
	closedir(d);
	if (!files)
		return fprintf(stderr, "empty corpus %s\n", argv[1]), 1;
	printf("%zu files\n", files);
	return 0;
}
