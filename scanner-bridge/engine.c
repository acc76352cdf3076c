/* libclamav: see engine.h.  Runs in postern-scanworker alone (own user, no network, Landlock: signatures and one temporary folder).
 * Content is hostile; signature files come from freshclam or the administrator and are trusted as far as libclamav checks them. */
#include "scanner-bridge/engine.h"

#include <clamav.h>
#include <dirent.h>
#include <stdlib.h>
#include <stdio.h>
#include <sys/stat.h>

struct engine {
	struct cl_engine *cl;
	char dir[256];
	uint64_t state; /* of the folder when the signatures were loaded */
};

/* libclamav tells of errors by a callback without context: one scan at a time in a process. */
static char message[INSPECT_TEXT_MAX + 1];

static void on_message(enum cl_msg severity, const char *full, const char *text, void *context)
{
	(void)full;
	(void)context;
	if (severity == CL_MSG_ERROR && !message[0])
		snprintf(message, sizeof message, "%.200s", text && *text ? text : "error without a text");
	message[strcspn(message, "\r\n")] = '\0';
}

static int set_limits(struct cl_engine *cl, const struct engine_limits *l)
{
	const struct {
		enum cl_engine_field field;
		long long value;
	} numbers[] = {
		{CL_ENGINE_DISABLE_CACHE, 1},
		{CL_ENGINE_MAX_SCANTIME, l->seconds * 1000},
		{CL_ENGINE_MAX_FILESIZE, l->octets + 4096},
		{CL_ENGINE_MAX_SCANSIZE, l->octets * 8},
	};
	for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++)
		if (cl_engine_set_num(cl, numbers[i].field, numbers[i].value) != CL_SUCCESS)
			return -1;
	return cl_engine_set_str(cl, CL_ENGINE_TMPDIR, l->tmp) == CL_SUCCESS ? 0 : -1;
}

static uint64_t mix(uint64_t h, uint64_t v)
{
	h = (h ^ v) * 0x9e3779b97f4a7c15ull;
	return h ^ h >> 29;
}

/* Changes with each file that is new, gone or written to.  (libclamav's own cl_statchkdir() misses what happens within a second.) */
static int folder_state(uint64_t *state, const char *dir)
{
	DIR *d = opendir(dir);
	struct stat st;
	*state = 0;
	if (!d)
		return -1;
	for (struct dirent *f; (f = readdir(d)); ) {
		if (f->d_name[0] == '.' || fstatat(dirfd(d), f->d_name, &st, 0) < 0 || !S_ISREG(st.st_mode))
			continue;
		*state += mix(mix(mix(st.st_ino, (uint64_t)st.st_size), (uint64_t)st.st_mtim.tv_sec), (uint64_t)st.st_mtim.tv_nsec);
	}
	closedir(d);
	return 0;
}

static int load(struct engine *g, const char *dir, const struct engine_limits *l, unsigned *signatures, struct err *e)
{
	int rc;
	message[0] = '\0';
	if (!g->cl || set_limits(g->cl, l) < 0)
		return err_set(e, E_SYS, "libclamav refuses its settings");
	if (slice_copy(g->dir, sizeof g->dir, slice_str(dir)) < 0 || folder_state(&g->state, dir) < 0)
		return err_set(e, E_SYS, "%s: cannot be read", dir);
	rc = cl_load(dir, g->cl, signatures, CL_DB_STDOPT);
	if (rc != CL_SUCCESS)
		return err_set(e, E_SYS, "%s: %s%s%s", dir, cl_strerror((cl_error_t)rc), message[0] ? ": " : "", message);
	if (*signatures == 0)
		return err_set(e, E_SYS, "%s holds no signatures; run freshclam first", dir);
	rc = cl_engine_compile(g->cl);
	return rc == CL_SUCCESS ? 0 : err_set(e, E_SYS, "%s: %s", dir, cl_strerror((cl_error_t)rc));
}

int engine_begin(struct err *e)
{
	cl_set_clcb_msg(on_message);
	return cl_init(CL_INIT_DEFAULT) == CL_SUCCESS ? 0 : err_set(e, E_SYS, "libclamav cannot be started");
}

struct engine *engine_load(const char *dir, const struct engine_limits *limits, unsigned *signatures, struct err *e)
{
	struct engine *g = calloc(1, sizeof *g);
	*signatures = 0;
	if (!g)
		return err_sys(e, "engine"), NULL;
	g->cl = cl_engine_new();
	if (load(g, dir, limits, signatures, e) < 0) {
		engine_free(g);
		return NULL;
	}
	return g;
}

bool engine_stale(const struct engine *g)
{
	uint64_t now;
	return folder_state(&now, g->dir) == 0 && now != g->state;
}

int engine_set_tmp(struct engine *g, const char *tmp, struct err *e)
{
	return cl_engine_set_str(g->cl, CL_ENGINE_TMPDIR, tmp) == CL_SUCCESS ? 0 : err_set(e, E_SYS, "libclamav refuses %s", tmp);
}

/* "Heuristics.Limits.Exceeded.MaxFileSize" and its like say that it was not looked at whole. */
static enum virus_verdict judge(int rc, const char *name, char text[INSPECT_TEXT_MAX + 1])
{
	text[0] = '\0';
	if (rc == CL_VIRUS && name && *name && !virus_name_is_limit(slice_str(name))) {
		snprintf(text, INSPECT_TEXT_MAX + 1, "%.200s", name);
		return VIRUS_FOUND;
	}
	if (rc == CL_CLEAN && !message[0])
		return VIRUS_CLEAN;
	if (rc == CL_VIRUS)
		snprintf(text, INSPECT_TEXT_MAX + 1, "over a limit of the virus scanner%s%.100s", name && *name ? ": " : "", name ? name : "");
	else
		snprintf(text, INSPECT_TEXT_MAX + 1, "%s", message[0] ? message : cl_strerror((cl_error_t)rc));
	return VIRUS_ERROR;
}

enum virus_verdict engine_scan(struct engine *g, struct slice content, char text[INSPECT_TEXT_MAX + 1])
{
	struct cl_scan_options options = {
		.general = CL_SCAN_GENERAL_HEURISTICS, .parse = ~0u, .heuristic = CL_SCAN_HEURISTIC_EXCEEDS_MAX,
	};
	const char *name = NULL;
	unsigned long scanned = 0;
	cl_fmap_t *map;
	int rc;
	text[0] = message[0] = '\0';
	if (!content.n)
		return VIRUS_CLEAN;
	map = cl_fmap_open_memory(content.p, content.n);
	if (!map)
		return judge(CL_EMEM, NULL, text);
	rc = cl_scanmap_callback(map, NULL, &name, &scanned, g->cl, &options, NULL);
	cl_fmap_close(map);
	return judge(rc, name, text);
}

/* The EICAR test file in two halves, so that this program is not taken for it. */
#define EICAR_HEAD "X5O!P%@AP[4\\PZX54(P^)7CC)7}$EICAR-"
#define EICAR_TAIL "STANDARD-ANTIVIRUS-TEST-FILE!$H+H*"
static const char probe_mail[] =
	"Return-Path: <>\nFrom: postern\nSubject: self-test\nMIME-Version: 1.0\nContent-Type: multipart/mixed; boundary=b\n\n"
	"--b\nContent-Type: text/plain\n\ntest\n"
	"--b\nContent-Type: application/octet-stream; name=test.com\nContent-Transfer-Encoding: base64\n\n"
	"WDVPIVAlQEFQWzRcUFpYNTQoUF4pN0NDKTd9JEVJQ0FSLVNUQU5E" "QVJELUFOVElWSVJVUy1URVNULUZJTEUhJEgrSCo=\n--b--\n";

int engine_prove(struct engine *g, bool *eicar_known, struct err *e)
{
	static const char eicar[] = EICAR_HEAD EICAR_TAIL;
	char text[INSPECT_TEXT_MAX + 1];
	*eicar_known = engine_scan(g, slice_str(eicar), text) == VIRUS_FOUND;
	switch (engine_scan(g, slice_str(probe_mail), text)) {
	case VIRUS_FOUND:
		return 0;
	case VIRUS_ERROR:
		return err_set(e, E_SYS, "the virus scanner fails its self-test: %s", text);
	default:
		return *eicar_known ? err_set(e, E_SYS, "the virus scanner does not find EICAR in its self-test mail") : 0;
	}
}

void engine_free(struct engine *g)
{
	if (!g)
		return;
	if (g->cl)
		cl_engine_free(g->cl);
	free(g);
}
