"""postern-smtpd alone: each command, by the clauses of the standards; what is offered; when a session has said enough."""

import pytest

from smtpd_alone import E, M, ME, MESSAGE, R, finish, shared, start  # noqa: F401 (fixtures)


LONG = "x" * 64
# (spec, setup commands, command, expected start of the reply)
TABLE = [
    ("5321 4.1.1.1", [], "EHLO client.test", "250"),
    ("5321 4.1.1.1", [], "HELO client.test", "250 " + ME),
    ("5321 4.1.1.1 case", [], "ehlo client.test", "250"),
    ("5321 4.1.3 literal", [], "EHLO [192.0.2.7]", "250"),
    ("5321 4.1.1.1 name needed", [], "EHLO", "501 5.5.4 say EHLO"),
    ("5321 4.1.1.1 name needed", [], "HELO ", "501 5.5.4 say HELO"),
    ("5321 4.1.1.1 one word", [], "EHLO a b", "501 5.5.4"),
    ("5321 4.5.3.1.2 name too long", [], "EHLO " + "a" * 256, "501 5.5.4"),
    ("5321 4.1.4 again", [E], "EHLO other.test", "250"),
    ("5321 4.1.4 EHLO resets", [E, M], "EHLO client.test", "250"),
    ("5321 4.1.4 EHLO resets", [E, M, E], "RCPT TO:<u1@campus.test>", "503 5.5.1"),
    ("5321 4.1.4 order", [], M, "503 5.5.1 MAIL"),
    ("5321 4.1.4 order", [], R, "503 5.5.1 RCPT"),
    ("5321 4.1.4 order", [], "DATA", "503 5.5.1 DATA"),
    ("5321 4.1.4 order", [E], R, "503 5.5.1"),
    ("5321 4.1.4 order", [E], "DATA", "503 5.5.1"),
    ("5321 4.1.4 order", [E, M], M, "503 5.5.1"),
    ("5321 4.1.4 order", [E, M], "DATA", "503 5.5.1"),
    ("5321 4.1.4 order after failed HELO", ["EHLO"], M, "503 5.5.1"),
    ("5321 4.1.1.2", [E], M, "250 2.1.0"),
    ("5321 4.1.1.2 HELO is enough", ["HELO c.test"], M, "250 2.1.0"),
    ("5321 4.5.5 null sender", [E], "MAIL FROM:<>", "250 2.1.0"),
    ("5321 4.1.1.2 postmaster", [E], "MAIL FROM:<postmaster>", "250 2.1.0"),
    ("5321 4.1.1.2 blank", [E], "MAIL FROM: <a@far.test>", "250 2.1.0"),
    ("5321 4.1.2 quoted", [E], 'MAIL FROM:<"a b"@far.test>', "250 2.1.0"),
    ("5321 4.1.1.3 source route", [E], "MAIL FROM:<@x.test:a@far.test>", "250 2.1.0"),
    ("5321 4.1.3 literal", [E], "MAIL FROM:<a@[192.0.2.9]>", "250 2.1.0"),
    ("5321 4.1.1.2 no FROM", [E], "MAIL <a@far.test>", "501 5.5.4"),
    ("5321 4.1.1.2 nothing", [E], "MAIL", "501 5.5.4"),
    ("5321 4.1.1.2 no brackets", [E], "MAIL FROM:a@far.test", "501 5.1.7"),
    ("5321 4.1.2 no domain", [E], "MAIL FROM:<a>", "501 5.1.7"),
    ("5321 4.1.2 two at", [E], "MAIL FROM:<a@b@far.test>", "501 5.1.7"),
    ("5321 4.1.2 open bracket", [E], "MAIL FROM:<a@far.test", "501 5.1.7"),
    ("5321 4.5.3.1.1", [E], f"MAIL FROM:<{LONG}@far.test>", "250 2.1.0"),
    ("5321 4.5.3.1.1 one more", [E], f"MAIL FROM:<{LONG}x@far.test>", "501 5.1.7"),
    ("6531 3.2 without SMTPUTF8", [E], b"MAIL FROM:<\xc3\xa4@far.test>\r\n", "553 5.6.7"),
    ("6531 3.4", [E], b"MAIL FROM:<\xc3\xa4@far.test> SMTPUTF8\r\n", "250 2.1.0"),
    ("6531 3.3 not UTF-8", [E], b"MAIL FROM:<\xe4@far.test> SMTPUTF8\r\n", "501 5.1.7"),
    ("6531 3.2 RCPT without SMTPUTF8", [E, M], b"RCPT TO:<\xc3\xa4@campus.test>\r\n", "553 5.6.7"),
    ("6531 3.7.4.2 VRFY", [E], b"VRFY \xc3\xa4\r\n", "553 5.6.7"),
    ("6531 3.7.4.2 VRFY", [E], b"VRFY \xc3\xa4 SMTPUTF8\r\n", "252 2.5.2"),
    ("1870 6.1", [E], M + " SIZE=100", "250 2.1.0"),
    ("1870 6.1 too large", [E], M + " SIZE=67108865", "552 5.3.4"),
    ("1870 6.1 limit", [E], M + " SIZE=67108864", "250 2.1.0"),
    ("1870 6.1 2^32", [E], M + " SIZE=4294967296", "552 5.3.4"),
    ("1870 6.1 2^64", [E], M + " SIZE=18446744073709551616", "552 5.3.4"),
    ("1870 3 negative", [E], M + " SIZE=-1", "501 5.5.4"),
    ("1870 3 word", [E], M + " SIZE=many", "501 5.5.4"),
    ("1870 twice", [E], M + " SIZE=1 SIZE=2", "501 5.5.4"),
    ("6152 2", [E], M + " BODY=8BITMIME", "250 2.1.0"),
    ("6152 2", [E], M + " BODY=7BIT SIZE=7", "250 2.1.0"),
    ("6152 2 unknown body", [E], M + " BODY=9BIT", "501 5.5.4"),
    ("5321 4.1.1.11 unknown", [E], M + " FOO=1", "555 5.5.4"),
    ("8689 4 not offered in clear", [E], M + " REQUIRETLS", "555 5.5.4"),
    ("3461 4.3", [E], M + " RET=HDRS ENVID=x+2By", "250 2.1.0"),
    ("3461 4.3 wrong", [E], M + " RET=SOME", "501 5.5.4"),
    ("5321 4.1.1.11 not offered", [E], M + " AUTH=<>", "555 5.5.4"),
    ("5321 4.1.1.3", [E, M], R, "250 2.1.5"),
    ("5321 4.1.1.3 second", [E, M, R], "RCPT TO:<u2@campus.test>", "250 2.1.5"),
    ("5321 2.4 domain's case", [E, M], "RCPT TO:<u1@CAMPUS.Test>", "250 2.1.5"),
    ("5321 4.1.1.3 blank", [E, M], "RCPT TO: <u1@campus.test>", "250 2.1.5"),
    ("5321 4.1.1.3 route", [E, M], "RCPT TO:<@relay.test:u1@campus.test>", "250 2.1.5"),
    ("5321 4.5.1 postmaster", [E, M], "RCPT TO:<postmaster>", "250 2.1.5"),
    ("5321 4.5.1 case", [E, M], "RCPT TO:<PostMaster>", "250 2.1.5"),
    ("5321 4.5.1 with domain", [E, M], "RCPT TO:<postmaster@campus.test>", "250 2.1.5"),
    ("5321 4.1.3 our literal", [E, M], "RCPT TO:<u1@[192.0.2.1]>", "250 2.1.5"),
    ("5321 4.1.3 another literal", [E, M], "RCPT TO:<u1@[192.0.2.2]>", "550 5.7.1"),
    ("5321 4.1.2 atoms", [E, M], "RCPT TO:<o'neill+tag@campus.test>", "250 2.1.5"),
    ("5321 4.1.2 needless quotes", [E, M], 'RCPT TO:<"u1"@campus.test>', "250 2.1.5"),
    ("5321 3.3 unknown", [E, M], "RCPT TO:<nobody@campus.test>", "550 5.1.1 <nobody@campus.test>"),
    ("3463 3.3 disabled", [E, M], "RCPT TO:<off@campus.test>", "550 5.2.1 <off@campus.test>"),
    ("5321 4.2.1 directory is down", [E, M], "RCPT TO:<soft@campus.test>", "451 4.3.0"),
    ("rcpthosts", [E, M], "RCPT TO:<any@relayed.test>", "250 2.1.5"),
    ("rcpthosts suffix", [E, M], "RCPT TO:<any@x.below.test>", "250 2.1.5"),
    ("rcpthosts suffix is not the domain", [E, M], "RCPT TO:<any@below.test>", "550 5.7.1"),
    ("relay", [E, M], "RCPT TO:<any@other.test>", "550 5.7.1"),
    ("relay: percent", [E, M], "RCPT TO:<any%other.test@campus.test>", "550 5.1.1"),
    ("relay: two at", [E, M], "RCPT TO:<any@other.test@campus.test>", "501 5.1.3"),
    ("relay: quoted at", [E, M], 'RCPT TO:<"any@other.test"@campus.test>', "550 5.1.1"),
    ("relay: bang", [E, M], "RCPT TO:<other.test!any@campus.test>", "550 5.1.1"),
    ("relay: route does not count", [E, M], "RCPT TO:<@campus.test:any@other.test>", "550 5.7.1"),
    ("relay: look-alike", [E, M], "RCPT TO:<u1@campus.test.other.test>", "550 5.7.1"),
    ("relay: look-alike", [E, M], "RCPT TO:<u1@xcampus.test>", "550 5.7.1"),
    ("relay: trailing dot is the domain", [E, M], "RCPT TO:<u1@campus.test.>", "250 2.1.5"),
    ("5321 4.1.1.3 empty path", [E, M], "RCPT TO:<>", "501 5.1.3"),
    ("5321 4.1.1.3 no TO", [E, M], "RCPT <u1@campus.test>", "501 5.5.4"),
    ("5321 4.1.1.3 no domain", [E, M], "RCPT TO:<u1>", "501 5.1.3"),
    ("5321 4.1.2 empty local part", [E, M], "RCPT TO:<@campus.test>", "501 5.1.3"),
    ("3461 4.1", [E, M], "RCPT TO:<u1@campus.test> NOTIFY=NEVER ORCPT=rfc822;a@b.c", "250 2.1.5"),
    ("3461 4.1 wrong", [E, M], "RCPT TO:<u1@campus.test> NOTIFY=NEVER,DELAY", "501 5.5.4"),
    ("5321 4.1.1.4", [E, M, R], "DATA", "354"),
    ("5321 4.1.1.4 argument", [E, M, R], "DATA now", "501 5.5.4"),
    ("5321 3.3 no recipient", [E, M, "RCPT TO:<nobody@campus.test>"], "DATA", "554 5.5.1"),
    ("5321 4.1.1.5", [E, M, R], "RSET", "250 2.0.0"),
    ("5321 4.1.1.5 forgets", [E, M, R, "RSET"], "DATA", "503 5.5.1"),
    ("5321 4.1.1.5 any time", [], "RSET", "250 2.0.0"),
    ("5321 4.1.1.5 argument", [], "RSET x", "501 5.5.4"),
    ("5321 4.1.1.6", [], "VRFY u1", "252 2.5.2"),
    ("5321 4.1.1.6 nothing", [], "VRFY", "501 5.5.4"),
    ("5321 4.1.1.7 EXPN is optional", [E], "EXPN list", "502 5.5.1"),
    ("5321 4.1.1.8", [], "HELP", "214 2.0.0"),
    ("5321 4.1.1.8 topic", [], "HELP MAIL", "214 2.0.0"),
    ("5321 4.1.1.9", [], "NOOP", "250 2.0.0"),
    ("5321 4.1.1.9 argument", [], "NOOP anything at all", "250 2.0.0"),
    ("5321 4.1.1.10", [], "QUIT", "221 2.0.0"),
    ("5321 4.1.1.10 argument", [], "QUIT x", "501 5.5.4"),
    ("3030 2 out of order", [E], b"BDAT 10\r\n0123456789", "503 5.5.1"),
    ("3030 2 no recipient", [E, M, "RCPT TO:<nobody@campus.test>"], b"BDAT 3 LAST\r\nabc", "554 5.5.1"),
    ("3030 2 a chunk", [E, M, R], b"BDAT 3\r\nabc", "250 2.0.0 3 octets received"),
    ("3030 2 nothing", [E, M, R], "BDAT 0", "250 2.0.0 0 octets received"),
    ("4954 4 not on port 25", [E], "AUTH PLAIN AHgAeQ==", "502 5.5.1"),
    ("5321 4.2.4 empty", [E], "", "500 5.5.1"),
    ("5321 4.1.1 blank first", [E], " NOOP", "500 5.5.1"),
    ("3207 not available", [E], "STARTTLS", "502 5.5.1"),
    ("5321 2.3.8 LF alone", [E], b"NOOP\n", "500 5.5.2"),
    ("5321 2.3.8 CR inside", [E], b"NO\rOP\r\n", "500 5.5.2"),
    ("5321 4.1.2 NUL inside", [E], b"NO\0OP\r\n", "500 5.5.2"),
    ("5321 4.1.2 NUL in an address", [E, M], b"RCPT TO:<u1\0@campus.test>\r\n", "500 5.5.2"),
    ("5321 4.1.2 tab", [E], b"MAIL\tFROM:<a@far.test>\r\n", "500 5.5.2"),
    ("5321 4.5.3.1.4 the longest line", [E], "NOOP " + "x" * 2041, "250 2.0.0"),
    ("5321 4.5.3.1.4 one more", [E], "NOOP " + "x" * 2042, "500 5.5.2 the line is longer"),
    ("alien protocol", [], "GET / HTTP/1.1", "421 4.7.0"),
    ("alien protocol", [], "POST / HTTP/1.1", "421 4.7.0"),
    ("alien protocol", [E], "CONNECT mx:25 HTTP/1.1", "421 4.7.0"),
]


@pytest.mark.parametrize("spec,setup,command,expected", TABLE, ids=[f"{i}-{r[0]}" for i, r in enumerate(TABLE)])
def test_table(shared, spec, setup, command, expected):
    c = shared.connect()
    for line in setup:
        c.do(line)
    code, text = c.do(command)
    assert f"{code} {text}".startswith(expected), f"{code} {text}"
    if code == 421 or (code == 221):
        assert c.closed()
    else:
        assert code == 354 or c.do("NOOP")[0] == 250
    c.close()


def test_ehlo_keywords(shared, start):
    c = shared.connect()
    offered = ["PIPELINING", "8BITMIME", "SMTPUTF8", "CHUNKING", "DSN", "ENHANCEDSTATUSCODES", "LIMITS MAILMAX=1000 RCPTMAX=1000"]
    assert c.ehlo() == [*offered, "SIZE 67108864"]
    d = start(tls=True, databytes="5000", smtpgreeting="mail of the campus")
    c = d.connect(greeting=False)
    assert c.reply() == (220, "mail of the campus ESMTP")
    assert c.ehlo() == ["STARTTLS", *offered, "SIZE 5000"]
    assert "LIMITS MAILMAX=1000 RCPTMAX=150" in d.connect({"MAXRCPT": "150"}).ehlo()
    assert "STARTTLS" not in d.connect({"DENY_TLS": "1"}).ehlo()
    assert d.connect({"DATABYTES": "9000"}).ehlo()[-1] == "SIZE 9000"
    assert d.connect({"DATABYTES": "0"}).ehlo()[-1] == "SIZE 2147483648"


def test_maxmessages(start):
    d = start(maxmessages="2")
    c = d.connect()
    assert "LIMITS MAILMAX=2 RCPTMAX=1000" in c.ehlo()
    assert finish(c.envelope())[0] == 250 and c.do(M)[0] == 250 and c.do("RSET")[0] == 250
    code, text = c.do(M)
    assert (code, text[:5]) == (421, "4.5.3") and c.closed()


def test_relayclient(shared):
    n = len(shared.jobs)
    c = shared.connect({"RELAYCLIENT": ""})
    c.start(rcpts=["any@other.test", "u1@campus.test"])
    assert c.do(MESSAGE + b".\r\n")[0] == 250
    assert shared.wait_jobs(n + 1)[n].record("R") == [b"any@other.test", b"u1@campus.test"]
    c = shared.connect({"RELAYCLIENT": ".fixme"})
    c.start(rcpts=["any@other.test"])
    assert c.do(MESSAGE + b".\r\n")[0] == 250
    assert shared.wait_jobs(n + 2)[n + 1].record("R") == [b"any@other.test.fixme"]
    c = shared.connect({"RELAYCLIENT": ""})
    c.ehlo()
    c.do(M)
    assert c.do("RCPT TO:<nobody@campus.test>")[0] == 550


def test_greeting_and_aliases_of_a_rule(start):
    d = start(smtpgreeting="campus mail")
    c = d.connect(greeting=False)
    assert c.reply() == (220, "campus mail ESMTP")
    c = d.connect({"SMTPGREETING": "mx1.campus.test for partners", "MAXRCPTCOUNT": "1"}, greeting=False)
    assert c.reply() == (220, "mx1.campus.test for partners ESMTP")
    c.ehlo()
    c.do(M)
    assert c.do("RCPT TO:<u1@campus.test>")[0] == 250 and c.do("RCPT TO:<u2@campus.test>")[0] == 452
    c = d.connect({"MAXRCPTCOUNT": "1", "MAXRCPT": "2"})
    c.ehlo()
    c.do(M)
    assert [c.do(f"RCPT TO:<u{i}@campus.test>")[0] for i in (1, 2, 3)] == [250, 250, 452], "the alias gives way"


def test_wrong_rule_serves_nobody(start):
    d = start()
    c = d.connect({"DATABYTES": "many"}, greeting=False)
    assert c.reply()[0] == 421 and c.closed()
    assert "DATABYTES" in d.log()


def test_errors_end_the_session(shared):
    c = shared.connect()
    c.ehlo()
    for _ in range(19):
        assert c.do("FOO")[0] == 500
    assert c.do("FOO")[0] == 500
    assert c.reply()[0] == 421 and c.closed()


def test_noop_flood_ends(shared):
    c = shared.connect()
    codes = []
    with pytest.raises((EOFError, OSError)):
        for _ in range(1000):
            codes.append(c.do("NOOP")[0])
    assert len(codes) <= 121 and codes[-1] == 421
