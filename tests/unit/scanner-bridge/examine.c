/* The examiner with the real libclamav and signatures of the EICAR test file made here: what must be found is found on every way it can be
 * wrapped, and every way in which libclamav fails open is an error. */
#include "tests/unit/unit.h"

#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "scanner-bridge/examine.h"

/* libclamav keeps some memory of its own for good. */
const char *__lsan_default_suppressions(void);
const char *__lsan_default_suppressions(void)
{
	return "leak:libclamav";
}
const char *__lsan_default_options(void);
const char *__lsan_default_options(void)
{
	return "print_suppressions=0";
}

static char dir[] = "/tmp/postern-examine-XXXXXX", tmp[64], db[64];
static struct engine *engine;
static const char eicar[] = "X5O!P%@AP[4\\PZX54(P^)7CC)7}$EICAR-" "STANDARD-ANTIVIRUS-TEST-FILE!$H+H*";
#define EICAR_BASE64 "WDVPIVAlQEFQWzRcUFpYNTQoUF4pN0NDKTd9JEVJQ0FSLVNUQU5E" "QVJELUFOVElWSVJVUy1URVNULUZJTEUhJEgrSCo=\n"
#define ZIP_BASE64 "UEsDBBQAAAAIAAAAIQA8z1FoRgAAAEQAAAAFAAAAYS5jb22LMPVXDFB1cAyINokJiIowNdEIiNM0d3bWNK9VcfV0dgzSDQ5x9HNxDHLRdfQL8QzzDAoN1g1xDQ7RdfP0cVVU8dD20AIAUEsBAhQDFAAAAAgAAAAhADzPUWhGAAAARAAAAAUAAAAAAAAAAAAAAIABAAAAAGEuY29tUEsFBgAAAAABAAEAMwAAAGkAAAAAAA==\n"

static void write_file(const char *folder, const char *name, const char *text)
{
	char path[128];
	snprintf(path, sizeof path, "%s/%s", folder, name);
	FILE *f = fopen(path, "w");
	ck_assert_ptr_nonnull(f);
	fputs(text, f);
	fclose(f);
}

/* Offset 0 of any decoded file. */
static void write_signature(const char *name)
{
	char line[300], *p = line;
	p += snprintf(line, sizeof line, "%s:0:0:", name);
	for (const char *c = eicar; *c; c++)
		p += snprintf(p, 3, "%02x", (unsigned)*c);
	snprintf(p, 2, "\n");
	write_file(db, "eicar.ndb", line);
}

static struct engine *load(const char *tmpdir, struct err *e)
{
	struct engine_limits limits = {1 << 20, 20, tmpdir};
	unsigned signatures;
	return engine_load(db, &limits, &signatures, e);
}

static void begin(void)
{
	struct err e;
	ck_assert_ptr_nonnull(mkdtemp(dir));
	snprintf(tmp, sizeof tmp, "%s/tmp", dir);
	snprintf(db, sizeof db, "%s/db", dir);
	ck_assert(mkdir(tmp, 0700) == 0 && mkdir(db, 0700) == 0);
	write_signature("Test.Eicar");
	ck_assert_int_eq(engine_begin(&e), 0);
	engine = load(tmp, &e);
	ck_assert_msg(engine != NULL, "%s", e.text);
}

static void end(void)
{
	char command[3][96];
	engine_free(engine);
	snprintf(command[0], 96, "%s/eicar.ndb", db);
	unlink(command[0]);
	rmdir(db);
	rmdir(tmp);
	ck_assert_msg(rmdir(dir) == 0, "temporary files are left");
}

static struct control banned_control(const char *text)
{
	struct control c;
	memset(&c, 0, sizeof c);
	c.value[C_banned].content = slice_str(text);
	c.value[C_banned].present = true;
	return c;
}

static struct examiner examiner(struct engine *g)
{
	static struct banned banned;
	static struct control c;
	c = banned_control("*.exe\nx.scr\nvideo/*\n");
	ck_assert_int_eq(banned_parse(&banned, &c, NULL), 0);
	return (struct examiner){.banned = &banned, .engine = g, .octets_max = 1 << 20};
}

#define B64 "Content-Transfer-Encoding: base64\n"
#define MULTI(b) "Content-Type: multipart/mixed; boundary=" b "\n\n"
static const struct {
	const char *spec, *message;
	enum virus_verdict virus;
	unsigned malformed;
	const char *banned; /* pattern; NULL: none */
} cases[] = {
	{"plain", "Subject: x\n\nhello\n", VIRUS_CLEAN, 0, NULL},
	{"no known first field", "Foo: x\nContent-Type: a/b\n" B64 "\n" EICAR_BASE64, VIRUS_FOUND, 0, NULL},
	{"base64", "Subject: x\nContent-Type: a/b; name=e.com\n" B64 "\n" EICAR_BASE64, VIRUS_FOUND, 0, NULL},
	{"nested multipart", MULTI("a") "--a\n" MULTI("b") "--b\n\nx\n--b\nContent-Type: a/b\n" B64 "\n" EICAR_BASE64 "--b--\n--a--\n", VIRUS_FOUND, 0, NULL},
	{"zip", MULTI("a") "--a\nContent-Type: application/zip\n" B64 "\n" ZIP_BASE64 "--a--\n", VIRUS_FOUND, 0, NULL},
	{"zip in a message", "Content-Type: message/rfc822\n\nA: b\nContent-Type: application/zip\n" B64 "\n" ZIP_BASE64, VIRUS_FOUND, 0, NULL},
	{"encoded message", "Content-Type: message/rfc822\n" B64 "\nQ29udGVudC1UeXBlOiBhL2I7IG5hbWU9eC5leGUKCmhlbGxvCg==\n", VIRUS_CLEAN, MALFORMED_ENCODING, "*.exe"},
	{"junk in base64", "Content-Type: a/b\n" B64 "\nWDVP!IVAl" "QEFQWzRcUFpYNTQoUF4pN0NDKTd9JEVJQ0FSLVNUQU5E" "QVJELUFOVElWSVJVUy1URVNULUZJTEUhJEgrSCo=\n", VIRUS_FOUND, MALFORMED_BASE64, NULL},
	{"banned name", "Content-Disposition: attachment; filename=\"a.exe\"\n\nx", VIRUS_CLEAN, 0, "*.exe"},
	{"banned in split name", "Content-Type: a/b; name*0=a.e; name*1=xe\n\nx", VIRUS_CLEAN, 0, "*.exe"},
	{"banned type", MULTI("a") "--a\nContent-Type: Video/MP4\n\nx\n--a--\n", VIRUS_CLEAN, 0, "video/*"},
	{"both", "Content-Type: a/b; name=x.scr\n" B64 "\n" EICAR_BASE64, VIRUS_FOUND, 0, "x.scr"},
};

START_TEST(message)
{
	struct examiner x = examiner(engine);
	char text[4000];
	snprintf(text, sizeof text, EXAMINE_PREFIX "%s", cases[_i].message);
	for (int again = 0; again < 2; again++) { /* nothing is remembered from one message to the next */
		examine(&x, slice_str(text));
		ck_assert_msg(x.result.virus == cases[_i].virus, "%s: %c %.*s", cases[_i].spec, x.result.virus, SLICE_FMT(x.result.text));
		if (x.result.virus == VIRUS_FOUND)
			ck_assert(slice_starts(x.result.text, "Test.Eicar"));
		ck_assert_msg(x.result.malformed == cases[_i].malformed, "%s: %x", cases[_i].spec, x.result.malformed);
		ck_assert_msg((x.result.banned_count > 0) == (cases[_i].banned != NULL), "%s: banned", cases[_i].spec);
		if (cases[_i].banned)
			ck_assert(slice_eq_str(x.result.banned[0].pattern, cases[_i].banned));
	}
	buf_free(&x.texts);
}
END_TEST

START_TEST(without_engine)
{
	struct examiner x = examiner(NULL);
	examine(&x, slice_str(EXAMINE_PREFIX "Content-Type: a/b; name=x.exe\n" B64 "\n" EICAR_BASE64));
	ck_assert_int_eq(x.result.virus, VIRUS_UNCHECKED);
	ck_assert_uint_eq(x.result.banned_count, 1);
	buf_free(&x.texts);
}
END_TEST

START_TEST(many_banned)
{
	struct buf b = BUF_INIT(1 << 16);
	struct examiner x = examiner(NULL);
	buf_add_str(&b, EXAMINE_PREFIX MULTI("a"));
	for (int i = 0; i < 100; i++)
		buf_add_format(&b, "--a\nContent-Type: a/b; name=%d.exe\n\nx\n", i);
	examine(&x, buf_slice(&b));
	ck_assert_uint_eq(x.result.banned_count, INSPECT_BANNED_MAX);
	ck_assert(slice_eq_str(x.result.banned[15].name, "15.exe"));
	buf_free(&b);
	buf_free(&x.texts);
}
END_TEST

START_TEST(self_test)
{
	struct err e = {0};
	bool known = false;
	ck_assert_msg(engine_prove(engine, &known, &e) == 0, "%s", e.text);
	ck_assert(known);
}
END_TEST

/* A temporary folder that is not there: libclamav prints an error and says clean. */
START_TEST(no_temporary_folder)
{
	char none[80];
	struct examiner x = examiner(engine);
	struct err e;
	bool known;
	snprintf(none, sizeof none, "%s/none", dir);
	ck_assert_int_eq(engine_set_tmp(engine, none, &e), 0);
	ck_assert_int_eq(engine_prove(engine, &known, &e), E_SYS);
	examine(&x, slice_str(EXAMINE_PREFIX "Subject: x\nContent-Type: application/zip\n" B64 "\nUEsDBBQ=\n"));
	ck_assert_int_eq(x.result.virus, VIRUS_ERROR);
	ck_assert_uint_gt(x.result.text.n, 0);
	ck_assert_int_eq(engine_set_tmp(engine, tmp, &e), 0);
	examine(&x, slice_str(EXAMINE_PREFIX "Content-Type: a/b\n" B64 "\n" EICAR_BASE64));
	ck_assert_int_eq(x.result.virus, VIRUS_FOUND);
	buf_free(&x.texts);
}
END_TEST

/* Without a signature of EICAR the self-test passes all the same, and still needs the folder. */
START_TEST(eicar_unknown)
{
	struct engine *other;
	struct err e = {0};
	bool known = true;
	write_file(db, "eicar.ndb", "Test.Other:0:*:00112233445566778899aabbccddeeff\n");
	other = load(tmp, &e);
	ck_assert_msg(other != NULL, "%s", e.text);
	ck_assert_msg(engine_prove(other, &known, &e) == 0, "%s", e.text);
	ck_assert(!known);
	ck_assert(!engine_stale(other));
	write_signature("Test.Eicar");
	ck_assert(engine_stale(other));
	engine_free(other);
}
END_TEST

START_TEST(bad_signatures)
{
	struct err e = {0};
	write_file(db, "eicar.ndb", "this is no signature\n");
	ck_assert_ptr_null(load(tmp, &e));
	ck_assert_msg(strstr(e.text, db), "%s", e.text);
	write_file(db, "eicar.ndb", "");
	ck_assert_ptr_null(load(tmp, &e));
	write_signature("Test.Eicar");
}
END_TEST

/* Over the engine's own limit libclamav says clean. */
START_TEST(over_a_limit)
{
	char text[INSPECT_TEXT_MAX + 1], *big = calloc(1, 3 << 20);
	memset(big, 'x', 3 << 20);
	ck_assert_int_eq(engine_scan(engine, slice_make(big, 3 << 20), text), VIRUS_ERROR);
	ck_assert_msg(strstr(text, "limit"), "%s", text);
	free(big);
}
END_TEST

START_TEST(too_long)
{
	struct examiner x = examiner(engine), without = examiner(NULL);
	examine_too_long(&x, 2 << 20);
	ck_assert_int_eq(x.result.virus, VIRUS_ERROR);
	ck_assert(x.result.incomplete.n > 0);
	examine_too_long(&without, 2 << 20);
	ck_assert_int_eq(without.result.virus, VIRUS_UNCHECKED);
	ck_assert(without.result.incomplete.n > 0);
	buf_free(&x.texts);
	buf_free(&without.texts);
}
END_TEST

/* Workers are forked from the process that loaded the signatures. */
START_TEST(forked)
{
	struct err e;
	int status;
	pid_t pid = fork();
	if (pid == 0) {
		char text[INSPECT_TEXT_MAX + 1];
		if (engine_set_tmp(engine, tmp, &e) < 0 || engine_scan(engine, slice_str(eicar), text) != VIRUS_FOUND)
			_exit(1);
		_exit(0);
	}
	ck_assert_int_eq(waitpid(pid, &status, 0), pid);
	ck_assert_int_eq(status, 0);
}
END_TEST

START_TEST(incomplete_structure)
{
	struct examiner x = examiner(NULL);
	struct buf b = BUF_INIT(1 << 20);
	buf_add_str(&b, EXAMINE_PREFIX);
	for (int i = 0; i < 100; i++)
		buf_add_str(&b, "Content-Type: message/rfc822\n\n");
	examine(&x, buf_slice(&b));
	ck_assert(x.result.incomplete.n > 0);
	ck_assert_uint_eq(x.result.malformed, MALFORMED_LIMIT);
	buf_free(&b);
	buf_free(&x.texts);
}
END_TEST

UNIT_MAIN("examine",
	tcase_add_unchecked_fixture(t, begin, end);
	tcase_add_loop_test(t, message, 0, sizeof cases / sizeof *cases);
	tcase_add_test(t, without_engine);
	tcase_add_test(t, many_banned);
	tcase_add_test(t, self_test);
	tcase_add_test(t, no_temporary_folder);
	tcase_add_test(t, eicar_unknown);
	tcase_add_test(t, bad_signatures);
	tcase_add_test(t, over_a_limit);
	tcase_add_test(t, too_long);
	tcase_add_test(t, forked);
	tcase_add_test(t, incomplete_structure);)
