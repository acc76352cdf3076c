/* lib/addr: one row, one result. */
#include "lib/addr.h"
#include "tests/unit/unit.h"

#define R4 "aaaa"
#define R16 R4 R4 R4 R4
#define R63 R16 R16 R16 "aaaaaaaaaaaaaaa"
#define R64 R16 R16 R16 R16
#define D255 R63 "." R63 "." R63 "." R63          /* 4 * 63 + 3 dots */
#define D189 R63 "." R63 "." R16 R16 R16 "aaaaaaaaaaaaa" /* with 64 + "@": 254 */
#define S(text) {text, sizeof text - 1}

/* Paths.  canon: the canonical form; NULL with the error in code. */
static const struct path_row {
	const char *spec;
	struct slice in;
	bool utf8;
	int code;
	size_t used; /* 0: all of IN */
	const char *canon;
} paths[] = {
	{"4.1.2 Path", S("<user@example.org>"), false, 0, 0, "user@example.org"},
	{"4.5.5 null reverse-path", S("<>"), false, 0, 0, ""},
	{"4.5.5 then parameters", S("<> SIZE=10"), false, 0, 2, ""},
	{"4.1.1.3 postmaster", S("<postmaster>"), false, 0, 0, "postmaster"},
	{"4.1.1.3 any case", S("<PostMaster>"), false, 0, 0, "PostMaster"},
	{"4.1.1.3 only postmaster", S("<abuse>"), false, E_SYNTAX, 0, NULL},
	{"4.1.1.3 not quoted", S("<\"postmaster\">"), false, E_SYNTAX, 0, NULL},
	{"4.1.1.3 not postmasterx", S("<postmasterx>"), false, E_SYNTAX, 0, NULL},
	{"4.1.1.3 no dot", S("<postmaster.>"), false, E_SYNTAX, 0, NULL},
	{"4.1.1.3 no at alone", S("<postmaster@>"), false, E_SYNTAX, 0, NULL},
	{"4.1.1.3 unclosed", S("<postmaster"), false, E_SYNTAX, 0, NULL},
	{"with domain", S("<postmaster@Example.ORG>"), false, 0, 0, "postmaster@example.org"},
	{"parameters follow", S("<a@b> SIZE=1"), false, 0, 5, "a@b"},
	{"anything may follow", S("<a@b><c@d>"), false, 0, 5, "a@b"},
	{"brackets missing", S("a@b"), false, E_SYNTAX, 0, NULL},
	{"left missing", S("a@b>"), false, E_SYNTAX, 0, NULL},
	{"right missing", S("<a@b"), false, E_SYNTAX, 0, NULL},
	{"empty", S(""), false, E_SYNTAX, 0, NULL},
	{"only left", S("<"), false, E_SYNTAX, 0, NULL},
	{"only right", S(">"), false, E_SYNTAX, 0, NULL},
	{"two left", S("<<a@b>>"), false, E_SYNTAX, 0, NULL},
	{"blank before", S(" <a@b>"), false, E_SYNTAX, 0, NULL},
	{"blank inside left", S("< a@b>"), false, E_SYNTAX, 0, NULL},
	{"blank inside right", S("<a@b >"), false, E_SYNTAX, 0, NULL},
	{"blank alone", S("< >"), false, E_SYNTAX, 0, NULL},
	{"no comment in a path", S("<a(x)@b>"), false, E_SYNTAX, 0, NULL},
	{"no comment behind", S("<a@b(x)>"), false, E_SYNTAX, 0, NULL},
	{"no display name", S("A <a@b>"), false, E_SYNTAX, 0, NULL},
	/* local parts */
	{"atext all", S("<!#$%&'*+-/=?^_`{|}~@b>"), false, 0, 0, "!#$%&'*+-/=?^_`{|}~@b"},
	{"case of local part kept", S("<User.NAME@EXAMPLE.org>"), false, 0, 0, "User.NAME@example.org"},
	{"dot-string", S("<a.b.c@d>"), false, 0, 0, "a.b.c@d"},
	{"leading dot", S("<.a@d>"), false, E_SYNTAX, 0, NULL},
	{"trailing dot", S("<a.@d>"), false, E_SYNTAX, 0, NULL},
	{"two dots", S("<a..b@d>"), false, E_SYNTAX, 0, NULL},
	{"dot alone", S("<.@d>"), false, E_SYNTAX, 0, NULL},
	{"empty local part", S("<@d>"), false, E_SYNTAX, 0, NULL},
	{"at alone", S("<@>"), false, E_SYNTAX, 0, NULL},
	{"bare paren", S("<a(@d>"), false, E_SYNTAX, 0, NULL},
	{"bare comma", S("<a,b@d>"), false, E_SYNTAX, 0, NULL},
	{"bare semicolon", S("<a;b@d>"), false, E_SYNTAX, 0, NULL},
	{"bare colon", S("<a:b@d>"), false, E_SYNTAX, 0, NULL},
	{"bare bracket", S("<a[b@d>"), false, E_SYNTAX, 0, NULL},
	{"bare backslash", S("<a\\b@d>"), false, E_SYNTAX, 0, NULL},
	{"quote in the middle", S("<a\"b\"@d>"), false, E_SYNTAX, 0, NULL},
	{"atom after quote", S("<\"a\"b@d>"), false, E_SYNTAX, 0, NULL},
	{"quoted words with dots are obsolete", S("<\"a\".\"b\"@d>"), false, E_SYNTAX, 0, NULL},
	{"blank", S("<a b@d>"), false, E_SYNTAX, 0, NULL},
	{"tab", S("<a\tb@d>"), false, E_SYNTAX, 0, NULL},
	{"NUL", S("<a\0b@d>"), false, E_SYNTAX, 0, NULL},
	{"CR", S("<a\rb@d>"), false, E_SYNTAX, 0, NULL},
	{"LF", S("<a\nb@d>"), false, E_SYNTAX, 0, NULL},
	{"CR LF", S("<a@d\r\n>"), false, E_SYNTAX, 0, NULL},
	{"DEL", S("<a\177@d>"), false, E_SYNTAX, 0, NULL},
	{"ESC", S("<a\033@d>"), false, E_SYNTAX, 0, NULL},
	{"quoted", S("<\"a b\"@d>"), false, 0, 0, "\"a b\"@d"},
	{"quotes not needed", S("<\"a\"@d>"), false, 0, 0, "a@d"},
	{"quotes not needed, dots", S("<\"a.b\"@d>"), false, 0, 0, "a.b@d"},
	{"backslash not needed", S("<\"\\a\\.b\"@d>"), false, 0, 0, "a.b@d"},
	{"backslash needed", S("<\"a\\\"b\"@d>"), false, 0, 0, "\"a\\\"b\"@d"},
	{"backslash before backslash", S("<\"a\\\\b\"@d>"), false, 0, 0, "\"a\\\\b\"@d"},
	{"backslash before blank", S("<\"a\\ b\"@d>"), false, 0, 0, "\"a b\"@d"},
	{"quotes needed: leading dot", S("<\".a\"@d>"), false, 0, 0, "\".a\"@d"},
	{"quotes needed: trailing dot", S("<\"a.\"@d>"), false, 0, 0, "\"a.\"@d"},
	{"quotes needed: two dots", S("<\"a..b\"@d>"), false, 0, 0, "\"a..b\"@d"},
	{"quotes needed: empty", S("<\"\"@d>"), false, 0, 0, "\"\"@d"},
	{"quotes needed: at", S("<\"a@b\"@d>"), false, 0, 0, "\"a@b\"@d"},
	{"quotes needed: bracket", S("<\"a>b\"@d>"), false, 0, 0, "\"a>b\"@d"},
	{"quoted not closed", S("<\"a@d>"), false, E_SYNTAX, 0, NULL},
	{"quoted, escaped end", S("<\"a\\\"@d>"), false, E_SYNTAX, 0, NULL},
	{"quoted, backslash at the end of input", S("<\"a\\"), false, E_SYNTAX, 0, NULL},
	{"quoted NUL", S("<\"a\0b\"@d>"), false, E_SYNTAX, 0, NULL},
	{"quoted LF", S("<\"a\nb\"@d>"), false, E_SYNTAX, 0, NULL},
	{"quoted pair CR", S("<\"a\\\rb\"@d>"), false, E_SYNTAX, 0, NULL},
	{"quoted tab", S("<\"a\tb\"@d>"), false, E_SYNTAX, 0, NULL},
	{"quoted without domain", S("<\"a b\">"), false, E_SYNTAX, 0, NULL},
	/* shell and format characters are only octets */
	{"shell words", S("<\";touch /tmp/x;\"@d>"), false, 0, 0, "\";touch /tmp/x;\"@d"},
	{"shell words bare", S("<;id;@d>"), false, E_SYNTAX, 0, NULL},
	{"backquotes are atext", S("<`id`@d>"), false, 0, 0, "`id`@d"},
	{"expansion is atext", S("<${run{id}}@d>"), false, 0, 0, "${run{id}}@d"},
	{"format is atext", S("<%s%n@d>"), false, 0, 0, "%s%n@d"},
	{"path is atext", S("<../../etc/passwd@d>"), false, E_SYNTAX, 0, NULL},
	{"slashes", S("</etc/passwd@d>"), false, 0, 0, "/etc/passwd@d"},
	/* tricks to be relayed: whatever is accepted has one domain, the one after the last "@" */
	{"relay: percent", S("<a%b@c>"), false, 0, 0, "a%b@c"},
	{"relay: percent twice", S("<a%b%c@d>"), false, 0, 0, "a%b%c@d"},
	{"relay: bang", S("<b!a@c>"), false, 0, 0, "b!a@c"},
	{"relay: bang without domain", S("<b!a>"), false, E_SYNTAX, 0, NULL},
	{"relay: percent without domain", S("<a%b>"), false, E_SYNTAX, 0, NULL},
	{"relay: two ats", S("<a@b@c>"), false, E_SYNTAX, 0, NULL},
	{"relay: three ats", S("<a@b@c@d>"), false, E_SYNTAX, 0, NULL},
	{"relay: doubled at", S("<a@@c>"), false, E_SYNTAX, 0, NULL},
	{"relay: quoted at", S("<\"a@b\"@c>"), false, 0, 0, "\"a@b\"@c"},
	{"relay: quoted whole", S("<\"a@b\">"), false, E_SYNTAX, 0, NULL},
	{"relay: quoted percent", S("<\"a%b\"@c>"), false, 0, 0, "a%b@c"},
	{"relay: escaped at", S("<a\\@b@c>"), false, E_SYNTAX, 0, NULL},
	{"relay: brackets inside", S("<a@b><@c>"), false, 0, 5, "a@b"},
	{"relay: angle in local", S("<a<b@c>>"), false, E_SYNTAX, 0, NULL},
	{"relay: source route", S("<@x:y@z>"), false, 0, 0, "y@z"},
	{"relay: long route", S("<@x,@w.example:y@z>"), false, 0, 0, "y@z"},
	{"relay: route then null", S("<@x:>"), false, E_SYNTAX, 0, NULL},
	{"relay: route then postmaster", S("<@x:postmaster>"), false, E_SYNTAX, 0, NULL},
	{"relay: route without colon", S("<@x,y@z>"), false, E_SYNTAX, 0, NULL},
	{"relay: route ends with comma", S("<@x,:y@z>"), false, E_SYNTAX, 0, NULL},
	{"relay: empty route element", S("<@:y@z>"), false, E_SYNTAX, 0, NULL},
	{"relay: route with blank", S("<@x, @w:y@z>"), false, E_SYNTAX, 0, NULL},
	{"relay: route to a literal", S("<@[192.0.2.1]:y@z>"), false, E_SYNTAX, 0, NULL},
	{"relay: two routes", S("<@x:@w:y@z>"), false, E_SYNTAX, 0, NULL},
	{"relay: route with bang", S("<@x:w!y@z>"), false, 0, 0, "w!y@z"},
	{"relay: route with quoted at", S("<@x:\"y@w\"@z>"), false, 0, 0, "\"y@w\"@z"},
	{"relay: route of 255 octets", S("<@" D255 ":y@z>"), false, E_TOO_LONG, 0, NULL},
	{"relay: colon port", S("<a@b:25>"), false, E_SYNTAX, 0, NULL},
	{"relay: slash", S("<a@b/c>"), false, E_SYNTAX, 0, NULL},
	{"relay: backslash", S("<a@b\\c>"), false, E_SYNTAX, 0, NULL},
	{"relay: comma", S("<a@b,c>"), false, E_SYNTAX, 0, NULL},
	{"relay: semicolon", S("<a@b;c>"), false, E_SYNTAX, 0, NULL},
	{"relay: hash", S("<a@b#c>"), false, E_SYNTAX, 0, NULL},
	{"relay: quoted domain", S("<a@\"b\">"), false, E_SYNTAX, 0, NULL},
	{"relay: NUL cuts the domain", S("<a@b\0.example>"), false, E_SYNTAX, 0, NULL},
	{"relay: NUL after the path", S("<a@b>\0<c@d>"), false, 0, 5, "a@b"},
	{"relay: final dot", S("<a@b.example.>"), false, 0, 0, "a@b.example"},
	{"relay: two final dots", S("<a@b.example..>"), false, E_SYNTAX, 0, NULL},
	{"relay: leading dot", S("<a@.b>"), false, E_SYNTAX, 0, NULL},
	{"relay: only a dot", S("<a@.>"), false, E_SYNTAX, 0, NULL},
	{"relay: two dots", S("<a@b..c>"), false, E_SYNTAX, 0, NULL},
	{"relay: case", S("<a@B.ExAmPlE>"), false, 0, 0, "a@b.example"},
	{"relay: blank in domain", S("<a@b c>"), false, E_SYNTAX, 0, NULL},
	{"relay: tab in domain", S("<a@b\tc>"), false, E_SYNTAX, 0, NULL},
	{"relay: LF in domain", S("<a@b\nRCPT TO:<c@d>"), false, E_SYNTAX, 0, NULL},
	{"relay: number without brackets is a name", S("<a@192.0.2.1>"), false, 0, 0, "a@192.0.2.1"},
	{"relay: long number", S("<a@3221225985>"), false, 0, 0, "a@3221225985"},
	{"relay: fullwidth at", S("<a\357\274\240b>"), true, E_SYNTAX, 0, NULL},
	{"relay: fullwidth at in local part stays there", S("<a\357\274\240b@c>"), true, 0, 0, "a\357\274\240b@c"},
	{"relay: fullwidth dot in domain", S("<a@b\357\274\216c>"), true, E_SYNTAX, 0, NULL},
	{"relay: ideographic full stop", S("<a@b\343\200\202c>"), true, E_SYNTAX, 0, NULL},
	{"relay: fullwidth letters", S("<a@\357\275\202>"), true, E_SYNTAX, 0, NULL},
	{"relay: right-to-left override", S("<a@b\342\200\256c>"), true, E_SYNTAX, 0, NULL},
	{"relay: no-break space", S("<a@b\302\240c>"), true, E_SYNTAX, 0, NULL},
	{"relay: zero width no-break space", S("<a@b\357\273\277c>"), true, E_SYNTAX, 0, NULL},
	{"relay: circled letters", S("<a@\342\223\220.c>"), true, E_SYNTAX, 0, NULL},
	{"relay: kelvin sign", S("<a@\342\204\252.c>"), true, E_SYNTAX, 0, NULL},
	{"relay: cyrillic lookalike is another name", S("<a@\320\260.c>"), true, 0, 0, "a@\320\260.c"},
	/* domains */
	{"one label", S("<a@localhost>"), false, 0, 0, "a@localhost"},
	{"digits first", S("<a@3com.example>"), false, 0, 0, "a@3com.example"},
	{"hyphens inside", S("<a@b--c.d-e>"), false, 0, 0, "a@b--c.d-e"},
	{"A-label", S("<a@XN--bcher-KVA.example>"), false, 0, 0, "a@xn--bcher-kva.example"},
	{"hyphen first", S("<a@-b>"), false, E_SYNTAX, 0, NULL},
	{"hyphen last", S("<a@b->"), false, E_SYNTAX, 0, NULL},
	{"hyphen before dot", S("<a@b-.c>"), false, E_SYNTAX, 0, NULL},
	{"underscore", S("<a@b_c>"), false, E_SYNTAX, 0, NULL},
	{"no domain", S("<a@>"), false, E_SYNTAX, 0, NULL},
	/* literals, 4.1.3 */
	{"4.1.3 IPv4", S("<a@[192.0.2.1]>"), false, 0, 0, "a@[192.0.2.1]"},
	{"4.1.3 IPv6", S("<a@[IPv6:2001:DB8::1]>"), false, 0, 0, "a@[ipv6:2001:db8::1]"},
	{"4.1.3 tag any case", S("<a@[ipV6:::1]>"), false, 0, 0, "a@[ipv6:::1]"},
	{"4.1.3 IPv6 without tag", S("<a@[2001:db8::1]>"), false, E_SYNTAX, 0, NULL},
	{"4.1.3 IPv4 with tag", S("<a@[IPv6:192.0.2.1]>"), false, E_SYNTAX, 0, NULL},
	{"4.1.3 other tag", S("<a@[X25:1234]>"), false, E_SYNTAX, 0, NULL},
	{"4.1.3 a name in brackets", S("<a@[b.example]>"), false, E_SYNTAX, 0, NULL},
	{"4.1.3 empty", S("<a@[]>"), false, E_SYNTAX, 0, NULL},
	{"4.1.3 unclosed", S("<a@[192.0.2.1>"), false, E_SYNTAX, 0, NULL},
	{"4.1.3 unclosed at the end", S("<a@["), false, E_SYNTAX, 0, NULL},
	{"4.1.3 octal", S("<a@[192.0.02.1]>"), false, E_SYNTAX, 0, NULL},
	{"4.1.3 256", S("<a@[192.0.2.256]>"), false, E_SYNTAX, 0, NULL},
	{"4.1.3 three parts", S("<a@[192.0.2]>"), false, E_SYNTAX, 0, NULL},
	{"4.1.3 blank", S("<a@[ 192.0.2.1]>"), false, E_SYNTAX, 0, NULL},
	{"4.1.3 zone", S("<a@[IPv6:fe80::1%eth0]>"), false, E_SYNTAX, 0, NULL},
	{"4.1.3 then a name", S("<a@[192.0.2.1].example>"), false, E_SYNTAX, 0, NULL},
	{"4.1.3 NUL", S("<a@[192.0.2.1\0]>"), false, E_SYNTAX, 0, NULL},
	/* limits, 4.5.3.1 */
	{"4.5.3.1.1 local part 64", S("<" R64 "@d>"), false, 0, 0, R64 "@d"},
	{"4.5.3.1.1 local part 65", S("<" R64 "a@d>"), false, E_TOO_LONG, 0, NULL},
	{"4.5.3.1.1 quoted 64", S("<\"" R16 R16 R16 "aaaaaaaaaaaaa \"@d>"), false, 0, 0, "\"" R16 R16 R16 "aaaaaaaaaaaaa \"@d"},
	{"4.5.3.1.1 quoted 65", S("<\"" R63 "\"@d>"), false, E_TOO_LONG, 0, NULL},
	{"label 63", S("<a@" R63 ".d>"), false, 0, 0, "a@" R63 ".d"},
	{"label 64", S("<a@" R64 ".d>"), false, E_TOO_LONG, 0, NULL},
	{"4.5.3.1.3 path 256", S("<" R64 "@" D189 ">"), false, 0, 0, R64 "@" D189},
	{"4.5.3.1.3 path 257", S("<" R64 "@" D189 "a>"), false, E_TOO_LONG, 0, NULL},
	{"4.5.3.1.2 domain 255 is over the path", S("<a@" D255 ">"), false, E_TOO_LONG, 0, NULL},
	{"4.5.3.1.3 the route counts", S("<@b:" R64 "@" D189 ">"), false, E_TOO_LONG, 0, NULL},
	{"too long and wrong is wrong", S("<" R64 R64 "@d..e>"), false, E_SYNTAX, 0, NULL},
	/* RFC 6531 */
	{"6531 not asked for", S("<j\303\274rgen@d>"), false, E_SYNTAX, 0, NULL},
	{"6531 local part", S("<j\303\274rgen@d>"), true, 0, 0, "j\303\274rgen@d"},
	{"6531 quoted, not needed", S("<\"j\303\274\"@d>"), true, 0, 0, "j\303\274@d"},
	{"6531 quoted, needed", S("<\"j \303\274\"@d>"), true, 0, 0, "\"j \303\274\"@d"},
	{"6531 quoted, not asked for", S("<\"j\303\274\"@d>"), false, E_SYNTAX, 0, NULL},
	{"6531 U-label", S("<a@b\303\274cher.example>"), true, 0, 0, "a@b\303\274cher.example"},
	{"6531 U-label, not asked for", S("<a@b\303\274cher.example>"), false, E_SYNTAX, 0, NULL},
	{"6531 four octets", S("<\360\237\230\200@d>"), true, 0, 0, "\360\237\230\200@d"},
	{"6531 three octets", S("<\344\270\255@\344\270\255.d>"), true, 0, 0, "\344\270\255@\344\270\255.d"},
	{"3629 Latin-1", S("<j\374rgen@d>"), true, E_SYNTAX, 0, NULL},
	{"3629 cut off", S("<j\303@d>"), true, E_SYNTAX, 0, NULL},
	{"3629 lone continuation", S("<j\200@d>"), true, E_SYNTAX, 0, NULL},
	{"3629 overlong slash", S("<j\300\257@d>"), true, E_SYNTAX, 0, NULL},
	{"3629 overlong NUL", S("<j\300\200@d>"), true, E_SYNTAX, 0, NULL},
	{"3629 overlong, three octets", S("<j\340\200\257@d>"), true, E_SYNTAX, 0, NULL},
	{"3629 overlong, four octets", S("<j\360\200\200\257@d>"), true, E_SYNTAX, 0, NULL},
	{"3629 surrogate", S("<j\355\240\200@d>"), true, E_SYNTAX, 0, NULL},
	{"3629 above 10FFFF", S("<j\364\220\200\200@d>"), true, E_SYNTAX, 0, NULL},
	{"3629 five octets", S("<j\370\210\200\200\200@d>"), true, E_SYNTAX, 0, NULL},
	{"3629 cut off by the end", S("<j\360\237\230"), true, E_SYNTAX, 0, NULL},
};

START_TEST(path)
{
	const struct path_row *r = &paths[_i];
	static const struct addr none = {{"x", 1}, {"y", 1}};
	struct addr a = none;
	size_t used = 12345;
	struct buf b = BUF_INIT(1024);
	char *exact = malloc(r->in.n + 1); /* so that a sanitizer sees a read past the end */
	ck_assert_ptr_nonnull(exact);
	memcpy(exact, r->in.p, r->in.n);
	exact = realloc(exact, r->in.n ? r->in.n : 1);
	ck_assert_msg(addr_parse_path(&a, &used, slice_make(exact, r->in.n), r->utf8) == r->code, "%s", r->spec);
	if (r->canon) {
		ck_assert_msg(used == (r->used ? r->used : r->in.n), "%s: used %zu", r->spec, used);
		addr_canonical(&b, &a);
		ck_assert_msg(slice_eq_str(buf_slice(&b), r->canon), "%s: %.*s", r->spec, SLICE_FMT(buf_slice(&b)));
		ck_assert(r->canon[0] == 0 || slice_find(a.local, '\n') == a.local.n);
	} else {
		ck_assert_msg(memcmp(&a, &none, sizeof a) == 0 && used == 12345, "%s: touched", r->spec);
	}
	buf_free(&b);
	free(exact);
}
END_TEST

static const struct mailbox_row {
	const char *spec;
	struct slice in;
	int code;
	const char *local, *domain, *canon, *key;
} mailboxes[] = {
	{"plain", S("Anna.B@Example.ORG"), 0, "Anna.B", "Example.ORG", "Anna.B@example.org", "anna.b@example.org"},
	{"quoted", S("\"Anna B\"@Example.ORG"), 0, "\"Anna B\"", "Example.ORG", "\"Anna B\"@example.org", "\"anna b\"@example.org"},
	{"quotes not needed", S("\"Anna\"@X."), 0, "\"Anna\"", "X.", "Anna@x", "anna@x"},
	{"literal", S("a@[192.0.2.1]"), 0, "a", "[192.0.2.1]", "a@[192.0.2.1]", "a@[192.0.2.1]"},
	{"limit 254", S(R64 "@" D189), 0, R64, D189, R64 "@" D189, R64 "@" D189},
	{"one past", S(R64 "@a" D189), E_TOO_LONG, NULL, NULL, NULL, NULL},
	{"brackets", S("<a@b>"), E_SYNTAX, NULL, NULL, NULL, NULL},
	{"no domain", S("postmaster"), E_SYNTAX, NULL, NULL, NULL, NULL},
	{"empty", S(""), E_SYNTAX, NULL, NULL, NULL, NULL},
	{"route", S("@x:a@b"), E_SYNTAX, NULL, NULL, NULL, NULL},
	{"more follows", S("a@b c"), E_SYNTAX, NULL, NULL, NULL, NULL},
	{"NUL follows", S("a@b\0"), E_SYNTAX, NULL, NULL, NULL, NULL},
	{"LF follows", S("a@b\n"), E_SYNTAX, NULL, NULL, NULL, NULL},
};

START_TEST(mailbox)
{
	const struct mailbox_row *r = &mailboxes[_i];
	struct addr a = {{"x", 1}, {"y", 1}};
	struct buf b = BUF_INIT(1024), k = BUF_INIT(1024);
	ck_assert_msg(addr_parse_mailbox(&a, r->in, false) == r->code, "%s", r->spec);
	ck_assert(slice_eq_str(a.local, r->canon ? r->local : "x") && slice_eq_str(a.domain, r->canon ? r->domain : "y"));
	if (r->canon) {
		addr_canonical(&b, &a);
		addr_lookup_key(&k, &a);
		ck_assert_msg(slice_eq_str(buf_slice(&b), r->canon) && slice_eq_str(buf_slice(&k), r->key), "%s", r->spec);
	}
	buf_free(&b);
	buf_free(&k);
}
END_TEST

static const struct domain_row {
	const char *spec;
	struct slice in;
	bool utf8;
	int code;
} domains[] = {
	{"name", S("example.org"), false, 0},
	{"final dot", S("example.org."), false, 0},
	{"literal", S("[IPv6:::1]"), false, 0},
	{"empty", S(""), false, E_SYNTAX},
	{"dot", S("."), false, E_SYNTAX},
	{"leading dot", S(".example.org"), false, E_SYNTAX},
	{"blank", S("example org"), false, E_SYNTAX},
	{"wildcard", S("*.example.org"), false, E_SYNTAX},
	{"at", S("@example.org"), false, E_SYNTAX},
	{"255", S(D255), false, 0},
	{"256", S(D255 "."), false, E_TOO_LONG},
	{"label 64", S(R64), false, E_TOO_LONG},
	{"too long and wrong", S(R64 "..a"), false, E_SYNTAX},
	{"U-label", S("b\303\274cher"), true, 0},
	{"U-label not asked for", S("b\303\274cher"), false, E_SYNTAX},
	{"hyphen before U", S("-\303\274"), true, E_SYNTAX},
};

START_TEST(domain)
{
	const struct domain_row *r = &domains[_i];
	ck_assert_msg(addr_check_domain(r->in, r->utf8) == r->code, "%s", r->spec);
}
END_TEST

static const struct match_row {
	const char *domain, *pattern;
	bool yes;
} matches[] = {
	{"example.org", "example.org", true}, {"EXAMPLE.org", "example.ORG", true}, {"a.example.org", "example.org", false},
	{"a.example.org", ".example.org", true}, {"b.a.EXAMPLE.org", ".example.org", true}, {"example.org", ".example.org", false},
	{"badexample.org", ".example.org", false}, {"badexample.org", "example.org", false}, {"", "", false}, {"", ".", false},
	{"example.org", "", false}, {"a.", ".", false}, {"org", ".example.org", false}, {"example.org.", "example.org", false},
};

START_TEST(match)
{
	const struct match_row *r = &matches[_i];
	ck_assert_msg(addr_domain_matches(slice_str(r->domain), slice_str(r->pattern)) == r->yes, "%s %s", r->domain, r->pattern);
}
END_TEST

START_TEST(domain_of)
{
	ck_assert(slice_eq_str(addr_domain_of(slice_str("a@b")), "b"));
	ck_assert(slice_eq_str(addr_domain_of(slice_str("\"a@b\"@c")), "c"));
	ck_assert(addr_domain_of(slice_str("postmaster")).n == 0);
	ck_assert(addr_domain_of(slice_str("")).n == 0);
	ck_assert(addr_domain_of(slice_str("a@")).n == 0);
}
END_TEST

START_TEST(canonical_overflow)
{
	struct buf b = BUF_INIT(10);
	struct addr a = {slice_str("abcdef"), slice_str("ghij")};
	addr_canonical(&b, &a);
	ck_assert(b.overflow);
	buf_free(&b);
}
END_TEST

static const struct ip_row {
	const char *in, *out, *net;
	unsigned bits;
} ips[] = {
	{"192.0.2.200", "192.0.2.200", "192.0.2.0", 24}, {"192.0.2.200", "192.0.2.200", "192.0.2.192", 27},
	{"192.0.2.200", "192.0.2.200", "0.0.0.0", 0}, {"192.0.2.200", "192.0.2.200", "192.0.2.200", 32},
	{"192.0.2.200", "192.0.2.200", "192.0.2.200", 999}, {"192.0.2.201", "192.0.2.201", "192.0.2.200", 31},
	{"::ffff:192.0.2.1", "192.0.2.1", "192.0.0.0", 16}, {"2001:DB8:1:2:3:4:5:6", "2001:db8:1:2:3:4:5:6", "2001:db8:1:2::", 64},
	{"2001:db8::1", "2001:db8::1", "::", 0}, {"2001:db8::1", "2001:db8::1", "2001:db8::1", 128},
	{"2001:db8::ff", "2001:db8::ff", "2001:db8::fe", 127}, {"::", "::", "::", 128}, {"::1", "::1", "::1", 4000},
	{"", NULL, NULL, 0}, {"1.2.3", NULL, NULL, 0}, {"1.2.3.4.5", NULL, NULL, 0}, {"1.2.3.04", NULL, NULL, 0}, {"256.1.1.1", NULL, NULL, 0},
	{" 1.2.3.4", NULL, NULL, 0}, {"1.2.3.4 ", NULL, NULL, 0}, {"[::1]", NULL, NULL, 0}, {"fe80::1%lo", NULL, NULL, 0}, {"1:2:3", NULL, NULL, 0},
	{"0x7f.1", NULL, NULL, 0}, {"2130706433", NULL, NULL, 0}, {"1::2::3", NULL, NULL, 0}, {"::10000", NULL, NULL, 0},
	{"0000:0000:0000:0000:0000:0000:0000:0000:0000:0000", NULL, NULL, 0},
};

START_TEST(ip)
{
	const struct ip_row *r = &ips[_i];
	char text[INET6_ADDRSTRLEN];
	struct ip a = {{9}}, net;
	ck_assert_msg(ip_parse(&a, slice_str(r->in)) == (r->out ? 0 : E_SYNTAX), "%s", r->in);
	if (!r->out)
		return;
	ip_text(text, &a);
	ck_assert_str_eq(text, r->out);
	ck_assert(ip_is4(&a) == !strchr(text, ':'));
	net = ip_network(&a, r->bits);
	ip_text(text, &net);
	ck_assert_str_eq(text, r->net);
}
END_TEST

START_TEST(loopback)
{
	static const struct {
		const char *in;
		bool loopback;
	} rows[] = {
		{"127.0.0.1", true}, {"127.255.255.255", true}, {"::1", true}, {"::ffff:127.0.0.1", true}, {"126.255.255.255", false}, {"128.0.0.0", false},
		{"::", false}, {"::2", false}, {"::7f00:1", false}, {"1::1", false}, {"192.0.2.127", false},
	};
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		struct ip a;
		ck_assert_int_eq(ip_parse(&a, slice_str(rows[i].in)), 0);
		ck_assert_msg(ip_is_loopback(&a) == rows[i].loopback, "%s", rows[i].in);
	}
}
END_TEST

START_TEST(ip_nul)
{
	struct ip a;
	ck_assert_int_eq(ip_parse(&a, slice_make("1.2.3.4\0", 8)), E_SYNTAX);
}
END_TEST

#define ROWS(a) (int)(sizeof(a) / sizeof *(a))
UNIT_MAIN("addr",
	tcase_add_loop_test(t, path, 0, ROWS(paths));
	tcase_add_loop_test(t, mailbox, 0, ROWS(mailboxes));
	tcase_add_loop_test(t, domain, 0, ROWS(domains));
	tcase_add_loop_test(t, match, 0, ROWS(matches));
	tcase_add_loop_test(t, ip, 0, ROWS(ips));
	tcase_add_test(t, domain_of);
	tcase_add_test(t, canonical_overflow);
	tcase_add_test(t, ip_nul);
	tcase_add_test(t, loopback);)
