"""postern-smtpd alone (smtpd_alone.py): what it says to clients, what it passes on, and what becomes of a session when anything around
it fails."""
import itertools
import os
import pathlib
import shutil
import signal
import socket
import struct
import threading
import time

import pytest

from conftest import many, wait_for
from processes import failing
from smtpd_alone import ME, Smtpd, netstring
from timing import measured, seconds_of, sleep, within

MESSAGE = b"Subject: x\r\n\r\nhello\r\n"


M, R = "MAIL FROM:<a@far.test>", "RCPT TO:<u1@campus.test>"
E = "EHLO client.test"


@pytest.fixture(scope="module")
def shared():
    d = Smtpd()
    yield d
    d.close()


@pytest.fixture(scope="module", autouse=True)
def old_session():
    """A session that begins with this module and is looked at by its last test, so that nobody waits for sessionseconds alone."""
    d = Smtpd(sessionseconds="30")
    began = time.monotonic()
    c = d.connect()
    c.ehlo()
    c.do(M)
    c.sock.settimeout(None)

    def wait():
        c.last, c.lasted = c.reply(), time.monotonic() - began
    c.waiting = threading.Thread(target=wait, daemon=True)
    c.waiting.start()
    yield c
    d.close()


@pytest.fixture
def start():
    with many(Smtpd, Smtpd.close) as make:
        yield make


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


def test_message(shared):
    c = shared.connect(ip="2001:db8::7", local="2001:db8::1")
    n = len(shared.jobs)
    c.start("Bounce+1@Far.Test", ["u1@campus.test", "any@relayed.test"])
    code, text = c.do(b"Subject: x\r\n y\r\n\r\n..dot\r\n.x\r\n\r\nend\r\n.\r\n")
    job = shared.wait_jobs(n + 1)[n]
    assert (code, text) == (250, f"2.0.0 ok {job.id}")
    assert job.message == b"Subject: x\n y\n\n.dot\nx\n\nend\n"
    assert job.header.endswith(b"\n\n") and job.body == b".dot\nx\n\nend\n"
    assert job.record("S") == [b"Bounce+1@far.test"] and job.record("R") == [b"u1@campus.test", b"any@relayed.test"]
    assert job.record("I") == [job.id.encode()] and job.record("C") == [b"o"] and job.record("A") == [b"2001:db8::7"]
    assert job.record("H") == [b"client.test"]
    r = job.received.decode()
    assert r.startswith(f"Received: from client.test ([IPv6:2001:db8::7])\n  by {ME} with ESMTP id {job.id};\n  "), r
    assert " for <" not in r
    assert c.do("NOOP")[0] == 250


def test_received_names_a_lone_recipient_and_the_protocol(shared):
    c = shared.connect()
    n = len(shared.jobs)
    c.do("HELO bad(name\\")
    c.envelope("", ["u1@campus.test"]).do(MESSAGE + b".\r\n")
    job = shared.wait_jobs(n + 1)[n]
    assert b" with SMTP id " in job.received and b"\n  for <u1@campus.test>;\n" in job.received
    assert b"from bad?name? ([192.0.2.7])\n" in job.received
    assert job.record("S") == [b""]


@pytest.mark.parametrize("sent,header,body", [
    (b"", b"\n", b""),
    (b"\r\n", b"\n", b""),
    (b"\r\nbody\r\n", b"\n", b"body\n"),
    (b"A: b\r\n", b"A: b\n\n", b""),
    (b"A: b\r\n\r\n", b"A: b\n\n", b""),
    (b"A: b\r\nno field\r\n", b"A: b\n\n", b"no field\n"),
    (b"no field\r\nA: b\r\n", b"\n", b"no field\nA: b\n"),
    (b" leading blank\r\n\r\nx\r\n", b"\n", b" leading blank\n\nx\n"),
])
def test_header_always_ends_with_a_blank_line(shared, sent, header, body):
    c = shared.connect()
    n = len(shared.jobs)
    c.start()
    assert c.do(sent + b".\r\n")[0] == 250
    job = shared.wait_jobs(n + 1)[n]
    assert job.header == job.received + header and job.body == body


def test_pipelining_replies_in_one_piece(shared):
    c = shared.connect()
    c.ehlo()
    c.send(f"{M}\r\n{R}\r\nRCPT TO:<nobody@campus.test>\r\nDATA\r\n")
    assert [c.reply()[0] for _ in range(4)] == [250, 250, 550, 354]
    n = len(shared.jobs)
    c.send(MESSAGE + b".\r\n" + f"{M}\r\n{R}\r\nQUIT\r\n".encode())
    assert [c.reply()[0] for _ in range(4)] == [250, 250, 250, 221]
    assert shared.wait_jobs(n + 1)[n].message == MESSAGE.replace(b"\r\n", b"\n") and c.closed()


@pytest.mark.parametrize("setup,group", [
    ([], b"EHLO client.test\r\nMAIL FROM:<a@far.test>\r\n"), ([], b"HELO client.test\r\nNOOP\r\n"),
    ([E, M, R], b"DATA\r\nSubject: x\r\n\r\n.\r\n"),
])
def test_pipelining_that_2920_forbids(shared, setup, group):
    c = shared.connect()
    for line in setup:
        c.do(line)
    n = len(shared.jobs)
    code, text = c.do(group)
    assert code == 554 and "5.5.0" in text and c.closed() and len(shared.jobs) == n


def test_split_at_every_octet(shared):
    whole = f"EHLO client.test\r\n{M}\r\n{R}\r\nDATA\r\n".encode()
    c = shared.connect()
    for b in whole:
        c.send(bytes([b]))
        time.sleep(0.0005)
    assert [c.reply()[0] for _ in range(4)] == [250, 250, 250, 354]
    n = len(shared.jobs)
    for b in b"A: b\r\n\r\n..x\r\n.\r\n":
        c.send(bytes([b]))
        time.sleep(0.0005)
    assert c.reply()[0] == 250
    assert shared.wait_jobs(n + 1)[n].message == b"A: b\n\n.x\n"


def sequences():
    """Every one; tests/unit/smtpd-outside/data.c has them at every split, with one letter more."""
    alphabet = [b"\r", b"\n", b"\0", b"."]
    for n in range(1, 7):
        yield from (b"".join(s) for s in itertools.product(alphabet, repeat=n))


def test_smuggling(shared):
    """A message with such a sequence in it is one message, octet for octet, or none; what is behind a false end never runs."""
    taken = 0
    for number, s in enumerate(sequences()):
        inner = b"Subject: one\r\n\r\nfirst" + s + b"MAIL FROM:<evil@far.test>\r\nRCPT TO:<u2@campus.test>\r\nDATA\r\nsecond\r\n"
        data = inner + b".\r\n"
        end = data.index(b"\r\n.\r\n") + 5
        message = data[:end - 3]
        bad = b"\0" in message or message.count(b"\r\n") != message.count(b"\r") or message.count(b"\r\n") != message.count(b"\n")
        n = len(shared.jobs)
        c = shared.connect()
        c.start()
        split = data.index(s) - 2 + number % (len(s) + 4)
        c.send(data[:split])
        time.sleep(0.001)
        c.send(data[split:])
        code, text = c.reply()
        if bad:
            assert (code, text[:5]) == (550, "5.6.0") and c.closed(), (s, code, text)
            assert len(shared.jobs) == n, s
        else:
            assert code == 250, (s, text)
            taken += 1
            job = shared.wait_jobs(n + 1)[n]
            want = b"".join((l[1:] if l.startswith(b".") else l) for l in message.replace(b"\r\n", b"\n").splitlines(True))
            assert job.message == want, s
            if end == len(data):
                assert len(shared.jobs) == n + 1, s
            for part in (job.header, job.body):
                assert b"\r" not in part and b"\0" not in part
        c.close()
    assert number == 5459 and 30 < taken < 300, taken


def test_refused_octets_are_named(shared):
    for octets, name in ((b"a\nb", "bare LF"), (b"a\rb", "bare CR"), (b"a\0b", "NUL")):
        c = shared.connect()
        c.start()
        code, text = c.do(b"Subject: x\r\n\r\n" + octets + b"\r\n.\r\n")
        assert code == 550 and text.startswith(f"5.6.0 the message contains a {name}"), text
        assert text.split()[-1].isalnum() and len(text.split()[-1]) == 13 and c.closed()


# --- RFC 3030

def chunks(data, sizes, last=True):
    """DATA as BDAT commands of these sizes, the rest in the last one."""
    out, at = b"", 0
    for n in sizes:
        out += b"BDAT %d\r\n" % n + data[at:at + n]
        at += n
    return out + b"BDAT %d%s\r\n" % (len(data) - at, b" LAST" if last else b"") + data[at:]


def chunked(shared, data, sizes=(), pieces=None):
    """Send DATA by BDAT, pipelined with MAIL and RCPT; the last reply and the job, if any came."""
    c = shared.connect()
    n = len(shared.jobs)
    c.ehlo()
    whole = f"{M}\r\n{R}\r\n".encode() + chunks(data, sizes) + b"NOOP\r\n"
    for i in range(0, len(whole), pieces or len(whole)):
        c.send(whole[i:i + (pieces or len(whole))])
    replies = [c.reply() for _ in range(len(sizes) + 3)]
    assert [r[0] for r in replies[:-1]] == [250] * (len(sizes) + 2), replies
    if replies[-1][0] == 250:
        assert c.reply()[0] == 250, "the command behind the chunk is read"
    else:
        assert c.closed()
    c.close()
    return replies[-1], shared.jobs[n] if len(shared.jobs) > n else None


def test_bdat(shared):
    reply, job = chunked(shared, b"Subject: x\r\n\r\n.\r\n..x\r\nend\r\n")
    assert reply == (250, f"2.0.0 ok {job.id}") and job.message == b"Subject: x\n\n.\n..x\nend\n"
    for data, message in ((b"", b"\n"), (b"no end", b"\nno end\n"), (b"A: b", b"A: b\n\n"), (b"A: b\r\n\r\nx", b"A: b\n\nx\n"), (b"\r\n.", b"\n.\n")):
        assert chunked(shared, data)[1].message == message, data


def test_bdat_in_any_chunks_and_pieces(shared):
    data = b"A: b\r\nC: d\r\n e\r\n\r\n.\r\n\r\nbody\r\n"
    for at in range(len(data) + 1):
        assert chunked(shared, data, [at])[1].message == data.replace(b"\r\n", b"\n"), at
    assert chunked(shared, data, [1] * (len(data) - 1))[1].message == data.replace(b"\r\n", b"\n")
    for pieces in (1, 2, 3, 7):
        assert chunked(shared, data, [3, 0, 9], pieces)[1].message == data.replace(b"\r\n", b"\n"), pieces
    large = b"Subject: x\r\n\r\n" + (b"y" * 70 + b"\r\n") * 20000
    assert chunked(shared, large, [100_000, 1, 700_001], 65_521)[1].message == large.replace(b"\r\n", b"\n")


@pytest.mark.parametrize("data,name", [(b"a\nb\r\n", "bare LF"), (b"a\rb\r\n", "bare CR"), (b"a\0b\r\n", "NUL"), (b"a\r", "bare CR"), (b"\n", "bare LF")])
def test_bdat_keeps_to_the_rule_of_line_ends(shared, data, name):
    n = len(shared.jobs)
    for sizes in ([], [1]):
        c = shared.connect()
        c.ehlo()
        c.send(f"{M}\r\n{R}\r\n".encode() + chunks(data, sizes))
        replies = [c.reply()]
        while replies[-1][0] < 400:
            replies.append(c.reply())
        assert replies[-1][0] == 550 and name in replies[-1][1] and c.closed()
    assert len(shared.jobs) == n


def test_replies_do_not_wait_for_a_chunk(shared):
    """RFC 2920 3.2 (6): what was asked before BDAT is answered while the chunk is still to come, wanted or not."""
    c = shared.connect()
    c.ehlo()
    n = len(shared.jobs)
    c.send(f"{M}\r\n{R}\r\nBDAT 12 LAST\r\n")
    assert [c.reply()[0] for _ in range(2)] == [250, 250]
    c.send("Subject: x\r\n")
    assert c.reply()[0] == 250 and shared.wait_jobs(n + 1)[n].message == b"Subject: x\n\n"
    c.send(f"{M}\r\nBDAT 3 LAST\r\n")
    assert [c.reply()[0] for _ in range(2)] == [250, 503]
    assert c.do(b"abcNOOP\r\n")[0] == 250


def test_bdat_order(shared):
    c = shared.connect()
    c.ehlo()
    assert c.do(M)[0] == 250 and c.do(R)[0] == 250
    assert c.do(b"BDAT 8\r\nA: b\r\n\r\n")[0] == 250
    for command in (M, R, "DATA"):
        assert c.do(command)[0] == 503, command
    assert c.do("NOOP")[0] == 250
    assert c.do("RSET")[0] == 250
    assert c.do(b"BDAT 2 LAST\r\nxx")[0] == 503, "RSET forgot the chunk and its recipients"
    n = len(shared.jobs)
    assert c.do(M)[0] == 250 and c.do(R)[0] == 250
    assert c.do(b"BDAT 5 LAST\r\nhello")[0] == 250
    assert shared.wait_jobs(n + 1)[n].message == b"\nhello\n"
    assert c.do(b"BDAT 0 LAST\r\n")[0] == 503
    c.do(M), c.do(R)
    assert c.do(b"BDAT 5\r\nhello")[0] == 250
    assert c.do(E)[0] == 250
    assert c.do(R)[0] == 503, "EHLO forgot it too"


@pytest.mark.parametrize("argument", [b"", b"x", b"-1", b"18446744073709551616", b"9223372036854775808", b"1 LATE", b"1 LAST LAST"])
def test_bdat_of_another_form_closes(shared, argument):
    c = shared.connect()
    c.ehlo()
    c.do(M), c.do(R)
    code, text = c.do(b"BDAT " + argument + b"\r\nMAIL FROM:<x@y.z>\r\n")
    assert (code, text[:5]) == (501, "5.5.4") and c.closed()


def test_bdat_size(start):
    d = start(databytes="2000", timeoutsmtpd="20")
    c = d.connect()
    c.ehlo()
    c.do(M), c.do(R)
    assert c.do(b"BDAT 1500\r\n" + b"x" * 1500)[0] == 250
    assert c.do(b"BDAT 501\r\n" + b"x" * 501) [0] == 552
    assert c.do(b"BDAT 1 LAST\r\nx")[0] == 552, "the whole message failed"
    assert c.do("NOOP")[0] == 250
    c.do(M), c.do(R)
    assert c.do(b"BDAT 2000 LAST\r\n" + b"x" * 2000)[0] == 250
    for size in (2**31, 2**32, 2**62):
        c = d.connect()
        c.ehlo()
        c.do(M), c.do(R)
        c.send(b"BDAT %d LAST\r\n" % size)
        sent = 0
        try:
            while sent < 100_000_000:
                c.send(b"x" * 65536)
                sent += 65536
        except OSError:
            pass
        assert sent < 60_000_000
        assert c.reply()[0] == 552 and c.closed()
        c = d.connect()
        c.ehlo()
        code, text = c.do(b"BDAT %d LAST\r\n" % size)
        assert code == 503 and c.closed(), "too much to be skipped"
    assert len(d.jobs) == 1


def test_bdat_broken_off(start):
    """At every octet of two chunks: nothing is passed on, and nothing stays."""
    d = start()
    whole = chunks(b"A: b\r\n\r\nbody\r\n", [6])
    for at in range(len(whole)):
        c = d.connect()
        c.ehlo()
        c.do(M), c.do(R)
        c.send(whole[:at])
        c.sock.shutdown(socket.SHUT_WR)
        try:
            while True:
                assert c.reply()[0] == 250
        except (EOFError, ConnectionResetError):
            pass
        c.close()
    assert d.jobs == []


def test_slow_chunk(start):
    d = start(timeoutsmtpd="5")

    def half_a_chunk():
        c = d.connect()
        c.ehlo()
        c.do(M), c.do(R)
        (code, text), seconds = seconds_of(lambda: c.do(b"BDAT 100 LAST\r\nA: b\r\n"))
        assert code == 421 and text.startswith("4.4.2") and c.closed()
        return None, seconds
    measured(8, half_a_chunk, 4)


def test_dsn_and_utf8_records(shared):
    c = shared.connect()
    n = len(shared.jobs)
    c.ehlo()
    assert c.do("MAIL FROM:<jürgen@münchen.test> SMTPUTF8 BODY=8BITMIME RET=HDRS ENVID=a+2Bb".encode() + b"\r\n")[0] == 250
    assert c.do("RCPT TO:<käthe@relayed.test> NOTIFY=SUCCESS,DELAY ORCPT=utf-8;käthe@other.test".encode() + b"\r\n")[0] == 250
    assert c.do("RCPT TO:<u1@campus.test> NOTIFY=NEVER")[0] == 250
    assert c.do("RCPT TO:<u2@campus.test> ORCPT=rfc822;u2@old.test")[0] == 250
    assert c.do("DATA")[0] == 354 and finish(c)[0] == 250
    job = shared.wait_jobs(n + 1)[n]
    assert [r for r in job.records if r[0] in "SED86RON"] == [
        ("S", "jürgen@münchen.test".encode()), ("E", b"a+2Bb"), ("D", b"H"), ("8", b""), ("6", b""),
        ("R", "käthe@relayed.test".encode()), ("O", "utf-8;käthe@other.test".encode()), ("N", b"SD"),
        ("R", b"u1@campus.test"), ("N", b"N"), ("R", b"u2@campus.test"), ("O", b"rfc822;u2@old.test")]
    assert b" with UTF8SMTP id " in job.received
    c.envelope()
    finish(c)
    job = shared.wait_jobs(n + 2)[n + 1]
    assert not [r for r in job.records if r[0] in "ED86YON"], "nothing of the message before"


def test_maxmessages(start):
    d = start(maxmessages="2")
    c = d.connect()
    assert "LIMITS MAILMAX=2 RCPTMAX=1000" in c.ehlo()
    assert finish(c.envelope())[0] == 250 and c.do(M)[0] == 250 and c.do("RSET")[0] == 250
    code, text = c.do(M)
    assert (code, text[:5]) == (421, "4.5.3") and c.closed()


def test_huge_line_and_memory(start):
    d = start(timeoutsmtpd="60")
    c = d.connect()
    done = threading.Event()

    def pour():
        try:
            for _ in range(100):
                c.send(b"x" * 1_000_000)
        except OSError:
            pass
        done.set()
    pid = d.children()[0]
    peak = looked = 0
    while not done.is_set():
        try:
            status = pathlib.Path(f"/proc/{pid}/status").read_text()
        except FileNotFoundError:
            break
        if not looked:
            threading.Thread(target=pour, daemon=True).start()
        looked += 1
        peak = max([peak] + [int(l.split()[1]) for l in status.splitlines() if l.startswith("VmHWM")])
        time.sleep(0.02)
    assert c.reply()[0] == 500 and c.closed()
    assert 0 < peak < 8 * 1024, f"{peak} KiB"


def test_memory_of_a_huge_message(start):
    d = start(databytes="300000000")
    c = d.connect()
    c.start()
    pid = d.children()[0]
    block = b"y" * 70 + b"\r\n"
    c.send(b"Subject: x\r\n\r\n")
    for _ in range(200):
        c.send(block * 14000)
    status = pathlib.Path(f"/proc/{pid}/status").read_text()
    anonymous = [int(l.split()[1]) for l in status.splitlines() if l.startswith(("RssAnon", "VmData"))]
    assert max(anonymous) < 8 * 1024, status
    assert c.do(b".\r\n")[0] == 250
    assert len(d.jobs[0].body) == 71 * 14000 * 200


def test_size_lies(start):
    d = start(databytes="2000")
    c = d.connect()
    c.ehlo()
    assert c.do("MAIL FROM:<a@far.test> SIZE=100")[0] == 250
    assert c.do(R)[0] == 250 and c.do("DATA")[0] == 354
    code, text = c.do(b"A: b\r\n\r\n" + b"x" * 1981 + b"\r\n.\r\n")  # 2000 with its end
    assert code == 552 or code == 250
    c.envelope()
    code, text = c.do(b"A: b\r\n\r\n" + b"x" * 5000 + b"\r\n.\r\n")
    assert code == 552 and text.startswith("5.3.4 messages may have 2000 octets here"), text
    assert c.do("NOOP")[0] == 250, "the session goes on"
    c.envelope()
    code, text = c.do(b"A: b\r\n\r\n" + b"x" * 1000 + b"\r\n.\r\n")
    assert code == 250


def test_endless_message_is_cut_off(start):
    d = start(databytes="2000")
    c = d.connect(tcp=True)
    c.start()
    sent = 0
    try:
        while sent < 200_000_000:
            c.send(b"x" * 65536)
            sent += 65536
    except OSError:
        pass
    assert sent < 60_000_000, sent


def test_header_limit(shared):
    c = shared.connect()
    c.start()
    field = b"X: " + b"y" * 990 + b"\r\n"
    code, text = c.do(field * 1100 + b"\r\nbody\r\n.\r\n")
    assert (code, text[:5]) == (552, "5.3.4"), text
    c.envelope()
    assert c.do(field * 1000 + b"\r\nbody\r\n.\r\n")[0] == 250


def test_hops(start):
    d = start(maxhops="10")
    c = d.connect()
    c.start()
    assert c.do(b"Received: x\r\n" * 10 + b"\r\n.\r\n")[0] == 250
    c.envelope()
    code, text = c.do(b"Received: x\r\n" * 9 + b"delivered-to: a\r\nReceived: y\r\n" + b"\r\n.\r\n")
    assert (code, text[:5]) == (554, "5.4.6"), text


def test_maxrcpt(start):
    d = start(maxrcpt="100")
    c = d.connect()
    c.ehlo()
    c.do(M)
    for i in range(100):
        assert c.do(f"RCPT TO:<u{i}@relayed.test>")[0] == 250
    code, text = c.do("RCPT TO:<one@relayed.test>")
    assert (code, text[:5]) == (452, "4.5.3")
    assert c.do("DATA")[0] == 354 and c.do(MESSAGE + b".\r\n")[0] == 250
    assert len(d.wait_jobs(1)[0].record("R")) == 100


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


def test_harvest_ends_the_session(shared):
    c = shared.connect()
    c.ehlo()
    c.do(M)
    codes = []
    with pytest.raises((EOFError, OSError)):
        for i in range(100):
            codes.append(c.do(f"RCPT TO:<guess{i}@campus.test>")[0])
            if codes[-1] == 421:
                c.reply()
    assert codes.count(550) == 10 and codes.count(451) == 10 and codes.count(421) <= 1


def test_harvesters_get_one_answer(start):
    """From the limit on known and unknown recipients, of any domain of ours, cannot be told apart, and nobody is asked; what was accepted is kept."""
    d = start(brtlimit="5")
    c = d.connect()
    c.ehlo()
    c.do(M)
    assert c.do(R)[0] == 250
    for i in range(5):
        assert c.do(f"RCPT TO:<guess{i}@campus.test>")[0] == 550
    asked = len(d.questions)
    answers = {c.do(f"RCPT TO:<{r}>") for r in ("guess5@campus.test",)}
    assert len(d.questions) == asked + 1, "the guess that reaches the limit is still looked up"
    answers |= {c.do(f"RCPT TO:<{r}>") for r in ("u2@campus.test", "off@campus.test", "soft@campus.test", "any@relayed.test", "guess6@campus.test")}
    assert len(answers) == 1 and {a[0] for a in answers} == {451}, answers
    assert len(d.questions) == asked + 1
    assert c.do("RCPT TO:<postmaster@campus.test>")[0] == 250, "RFC 5321 4.5.1"
    assert c.do("DATA")[0] == 354 and finish(c)[0] == 250
    assert d.wait_jobs(1)[0].record("R") == [b"u1@campus.test", b"postmaster@campus.test"]
    c = d.connect({"VALIDRCPTTO_LIMIT": "1"})
    c.ehlo()
    c.do(M)
    assert [c.do(f"RCPT TO:<g{i}@campus.test>")[0] for i in range(3)] == [550, 451, 451]
    c = d.connect({"RELAYCLIENT": ""})
    c.ehlo()
    c.do(M)
    assert [c.do(f"RCPT TO:<g{i}@campus.test>")[0] for i in range(8)] == [550] * 8, "a campus host is believed"


def test_tarpit(start):
    d = start(tarpitdelay="1", tarpitcount="2")

    def quick(before, command, count, code, **variables):
        """A session in which the first COUNT times COMMAND are answered at once."""
        def measure():
            c = d.connect(variables)
            for line in before:
                c.do(line)
            codes, seconds = seconds_of(lambda: [c.do(command)[0] for _ in range(count)])
            assert codes == [code] * count
            return c, seconds
        return measured(0.5, measure)
    c = quick([E, M], R, 2, 250)
    assert within(2, lambda: c.do(R), 0.9)[0] == 250
    quick([E, M], R, 5, 250, TARPITDELAY="0")
    c = quick([], "FOO", 10, 500)
    assert within(2, lambda: c.do("FOO"), 0.9)[0] == 500


LISTS = {"badhelo": "localhost\n.dyn.test\n-mail.dyn.test\n", "badhelonorelay": "*-*-*.isp.test\n", "badmailfrom": "spam@far.test\n@bad.test\n-good@bad.test\n",
         "badmailfromnorelay": "@campus.test\n", "badrcptto": "trap@relayed.test\n", "badmailto": "u2@campus.test\n", "badrcpttonorelay": "staff@relayed.test\n"}
LIST_ROWS = [
    ("ok.test", "a@far.test", "u1@campus.test", {}, 250, ""),
    ("localhost", "a@far.test", "u1@campus.test", {}, 553, "hosts that say this name"),
    ("LocalHost", "a@far.test", "u1@campus.test", {"RELAYCLIENT": ""}, 553, "hosts that say this name"),
    ("localhost", "a@far.test", "u1@campus.test", {"NOBADHELO": ""}, 250, ""),
    ("a.dyn.test", "a@far.test", "u1@campus.test", {}, 553, "hosts that say this name"),
    ("mail.dyn.test", "a@far.test", "u1@campus.test", {}, 250, ""),
    ("1-2-3.isp.test", "a@far.test", "u1@campus.test", {}, 553, "hosts that say this name"),
    ("1-2-3.isp.test", "a@far.test", "u1@campus.test", {"RELAYCLIENT": ""}, 250, ""),
    ("ok.test", "Spam@Far.test", "u1@campus.test", {}, 553, "mail from this sender"),
    ("ok.test", "any@bad.test", "u1@campus.test", {"RELAYCLIENT": ""}, 553, "mail from this sender"),
    ("ok.test", "good@bad.test", "u1@campus.test", {}, 250, ""),
    ("ok.test", "u9@campus.test", "u1@campus.test", {}, 553, "mail from this sender"),
    ("ok.test", "u9@campus.test", "u1@campus.test", {"RELAYCLIENT": ""}, 250, ""),
    ("ok.test", "", "u1@campus.test", {}, 250, ""),
    ("ok.test", "a@far.test", "trap@relayed.test", {}, 553, "mail for <trap@relayed.test>"),
    ("ok.test", "a@far.test", "u2@campus.test", {}, 553, "mail for <u2@campus.test>"),
    ("ok.test", "a@far.test", "staff@relayed.test", {}, 553, "mail for <staff@relayed.test>"),
    ("ok.test", "a@far.test", "staff@relayed.test", {"RELAYCLIENT": ""}, 250, ""),
    ("localhost", "spam@far.test", "postmaster@campus.test", {}, 250, ""),
    ("localhost", "spam@far.test", "postmaster", {}, 250, ""),
    ("localhost", "spam@far.test", "postmaster@relayed.test", {}, 250, ""),
    ("localhost", "spam@far.test", "postmaster@other.test", {}, 553, "hosts that say this name"),
]


def test_lists(start):
    d = start(**LISTS)
    for helo, sender, rcpt, variables, code, text in LIST_ROWS:
        c = d.connect(variables)
        assert c.do(f"EHLO {helo}")[0] == 250 and c.do(f"MAIL FROM:<{sender}>")[0] == 250
        got = c.do(f"RCPT TO:<{rcpt}>")
        assert got[0] == code and got[1].startswith("5.7.1 " + text if text else "2.1.5"), (helo, sender, rcpt, variables, got)
        c.close()
    log = d.log().replace('"', "")
    for line in ("badmailfrom line=@bad.test", "badmailfromnorelay line=@campus.test", "badhelo line=localhost", "badhelonorelay line=*-*-*.isp.test", "badrcptto line=trap@relayed.test",
                 "badrcpttonorelay line=staff@relayed.test"):
        assert f"smtpd-listed list={line}\n" in log, line


HELO_ROWS = [
    ("mail.far.test", "u1@campus.test", {}, "250 "),
    ("[192.0.2.7]", "u1@campus.test", {}, "250 "),
    ("friend", "u1@campus.test", {}, "550 5.7.1 the name in your HELO is no full host name; say your host's full name"),
    ("192.0.2.7", "u1@campus.test", {}, "550 5.7.1 the name in your HELO is no full host name"),
    ("[192.0.2.99]", "u1@campus.test", {}, "550 5.7.1 the name in your HELO is not your address"),
    (ME, "u1@campus.test", {}, "550 5.7.1 the name in your HELO is this site's own"),
    ("campus.test", "u1@relayed.test", {}, "550 5.7.1 the name in your HELO is this site's own"),
    ("friend", "postmaster@campus.test", {}, "250 "),
    ("friend", "u1@campus.test", {"RELAYCLIENT": ""}, "250 "),
    ("friend", "u1@campus.test", {"NOBADHELO": ""}, "250 "),
    ("friend", "u1@campus.test", {"HELOCHECK": "0"}, "250 "),
]


def test_helocheck(start):
    d = start(helocheck="1")
    for helo, rcpt, variables, answer in HELO_ROWS:
        c = d.connect(variables)
        assert c.do(f"EHLO {helo}")[0] == 250 and c.do(M)[0] == 250, "refused at RCPT alone, so that the log has sender and recipient"
        got = "%d %s" % c.do(f"RCPT TO:<{rcpt}>")
        assert got.startswith(answer), (helo, rcpt, variables, got)
        c.close()
    assert "helo=friend" in d.log() and "your HELO is no full host name" in d.log()


def test_helocheck_is_off_by_default(start):
    d = start()
    for variables, code in ({}, 250), ({"HELOCHECK": "1"}, 550):
        c = d.connect(variables)
        c.do("HELO friend")
        c.do(M)
        assert c.do("RCPT TO:<u1@campus.test>")[0] == code
        c.close()


def cdb(records):
    """A constant database (D. J. Bernstein's format)."""
    data, tables = b"", [[] for _ in range(256)]
    for k, v in records.items():
        k, v = k.encode(), v.encode()
        h = 5381
        for b in k:
            h = ((h << 5) + h ^ b) & 0xffffffff
        tables[h & 255].append((h, 2048 + len(data)))
        data += struct.pack("<II", len(k), len(v)) + k + v
    head, tail = b"", b""
    for t in tables:
        slots = [(0, 0)] * (2 * len(t))
        for h, at in t:
            i = (h >> 8) % len(slots)
            while slots[i][1]:
                i = (i + 1) % len(slots)
            slots[i] = (h, at)
        head += struct.pack("<II", 2048 + len(data) + len(tail), len(slots))
        tail += b"".join(struct.pack("<II", *s) for s in slots)
    return head + data + tail


def test_validrcptto(start):
    d = start(validrcptto__cdb=cdb({"known@relayed.test": "", "list-default@relayed.test": "", "gone@relayed.test": "-", "@x.below.test": "", "u2@campus.test": "-",
                                    "soft@campus.test": ""}))

    def rcpt(address, variables=None):
        c = d.connect(variables)
        c.ehlo()
        c.do(M)
        code = c.do(f"RCPT TO:<{address}>")[0]
        c.close()
        return code
    assert rcpt("known@relayed.test") == 250 and rcpt("Known@Relayed.test") == 250
    assert rcpt("list-any-thing@relayed.test") == 250 and rcpt("any@x.below.test") == 250
    assert rcpt("other@relayed.test") == 550 and rcpt("gone@relayed.test") == 550 and rcpt("any@y.below.test") == 550
    assert rcpt("other@relayed.test", {"RELAYCLIENT": ""}) == 250, "as in the patch: not for clients that relay"
    assert rcpt("postmaster@relayed.test") == 250, "RFC 5321 4.5.1"
    asked = len(d.questions)
    assert rcpt("u2@campus.test") == 550 and len(d.questions) == asked, "an entry with - refuses whom the directory knows"
    assert rcpt("u1@campus.test") == 250, "the directory knows it; the table need not"
    assert rcpt("nobody@campus.test") == 550
    assert rcpt("soft@campus.test") == 250, "the table knows it while the directory does not answer"
    assert "smtpd-recipient" not in d.log()
    assert rcpt("u1@campus.test", {"VALIDRCPTTO_LOG": "2"}) == 250 and "smtpd-recipient rcpt=u1@campus.test" in d.log()


def test_a_stale_list_is_no_harvest(shared):
    c = shared.connect()
    c.ehlo()
    c.do(M)
    for i in range(60):
        assert c.do("RCPT TO:<u1@campus.test>")[0] == 250
        assert c.do(f"RCPT TO:<gone{i}@campus.test>")[0] == 550
    assert c.do("DATA")[0] == 354


def test_noop_flood_ends(shared):
    c = shared.connect()
    codes = []
    with pytest.raises((EOFError, OSError)):
        for _ in range(1000):
            codes.append(c.do("NOOP")[0])
    assert len(codes) <= 121 and codes[-1] == 421


# --- what fails around the session

def finish(c, message=MESSAGE):
    return c.do(message + b".\r\n")


def test_next_stage_dies_with_the_job(start):
    d = start()
    d.queue_answer = None
    c = d.connect()
    c.start()
    code, text = finish(c)
    assert (code, text[:5]) == (451, "4.3.0") and text.endswith(d.jobs[0].id)
    d.queue_answer = "250 2.0.0 ok {id}"
    assert finish(c.envelope())[0] == 250


def test_no_answer_in_time(start):
    d = start(answerseconds="10")
    d.queue_answer = False
    c = d.connect()
    c.ehlo()

    def unanswered():
        (code, text), seconds = seconds_of(lambda: finish(c.envelope()))
        assert (code, text[:5]) == (451, "4.3.0")
        return None, seconds
    measured(13, unanswered, 9)
    # an answer that comes now reaches nobody: its sender is told so
    late = socket.socket(fileno=os.dup(d.jobs[0].reply_fd))
    with pytest.raises(OSError):
        late.send(b"250 2.0.0 ok late")
    late.close()
    assert c.do("NOOP")[0] == 250


@pytest.mark.parametrize("answer,code,start_of_text", [
    ("550 5.7.1 contains the virus X", 550, "5.7.1 contains the virus X "),
    ("452 4.3.1 disk full", 452, "4.3.1 disk full "),
    ("354 go on", 451, "4.3.0"),
    ("nonsense", 451, "4.3.0"),
    ("999 x", 451, "4.3.0"),
    ("250 2.0.0 ok\r\n250 more", 451, "4.3.0"),
    ("250", 451, "4.3.0"),
])
def test_answers_of_the_line(shared, answer, code, start_of_text):
    old, shared.queue_answer = shared.queue_answer, answer
    try:
        c = shared.connect()
        c.start()
        n = len(shared.jobs)
        got = finish(c)
        assert got[0] == code and got[1].startswith(start_of_text), got
        assert got[1].endswith(shared.wait_jobs(n + 1)[n].id), "every answer names the message"
        assert c.do("NOOP")[0] == 250
    finally:
        shared.queue_answer = old


def test_next_stage_is_gone(start):
    d = start()
    c = d.connect()
    c.start()
    d.pairs["next"][0].shutdown(socket.SHUT_RDWR)
    d.pairs["next"][0].close()
    code, text = finish(c)
    assert (code, text[:5]) == (451, "4.3.0")


@pytest.mark.parametrize("how", [None, "gone"])
def test_directory_fails(start, how):
    d = start()
    c = d.connect()
    c.ehlo()
    c.do(M)
    if how == "gone":
        d.pairs["directory"][0].shutdown(socket.SHUT_RDWR)
        d.pairs["directory"][0].close()
    d.directory_answers = how if how is None else True
    code, text = c.do(R)
    assert (code, text[:5]) == (451, "4.3.0"), text
    assert c.do("RCPT TO:<any@relayed.test>")[0] == 250


def test_inflight_bytes_and_a_killed_session(start):
    d = start(inflightbytes="1048576")
    d.queue_answer = False
    body = b"A: b\r\n\r\n" + (b"z" * 70 + b"\r\n") * 11000  # about 800 KiB
    first = d.connect()
    first.start()
    first.send(body + b".\r\n")
    d.wait_jobs(1)
    second = d.connect()
    second.start()
    code, text = second.do(body + b".\r\n")
    assert (code, text[:5]) == (452, "4.3.1"), text
    second.envelope()
    victim, = wait_for(lambda: [p for p in d.children() if f"[{p}] {d.jobs[0].id} smtpd-handed" in d.log()])
    os.kill(victim, signal.SIGKILL)
    wait_for(lambda: "smtpd-killed" in d.log())
    d.queue_answer = "250 2.0.0 ok {id}"
    assert second.do(body + b".\r\n")[0] == 250, d.log()


def test_recipients_count_as_octets_in_flight(start):
    """Long addresses with ORCPT are a MiB of memory for a thousand of them, in each session: they are counted, and given back."""
    d = start(inflightbytes="1048576", maxrcpt="20000")
    local, orcpt = "l" * 60, "o" * 480
    rcpt = f"RCPT TO:<{local}@{'d' * 60}.{'e' * 60}.below.test> ORCPT=rfc822;{orcpt}".encode() + b"\r\n"
    first, second = d.connect(), d.connect()
    for c in (first, second):
        c.ehlo()
        assert c.do(M)[0] == 250
    taken = 0
    while (answer := first.do(rcpt))[0] == 250 and taken < 3000:
        taken += 1
    assert answer[0] == 452 and answer[1].startswith("4.3.1") and 1_000_000 < taken * 680 < 1_100_000, (taken, answer)
    assert [second.do(rcpt)[0] for _ in range(30)][-1] == 452, "all sessions together"
    assert first.do("DATA")[0] == 452, "no room for the message itself"
    assert first.do(M)[0] == 250 and first.do(rcpt)[0] == 250
    assert [second.do(rcpt)[0] for _ in range(30)] == [250] * 30, "given back"


def test_client_vanishes_in_data(shared):
    n = len(shared.jobs)
    c = shared.connect()
    c.start()
    c.send(b"Subject: half\r\n\r\nhalf a mess")
    c.close()
    c = shared.connect()
    c.start()
    c.send(b"Subject: half\r\n\r\nhalf\r\n.\r")
    c.close()
    time.sleep(0.2)
    assert len(shared.jobs) == n


def test_stop(start):
    d = start()
    d.queue_answer = False
    idle, busy, receiving = d.connect(), d.connect(), d.connect()
    idle.ehlo()
    busy.start()
    busy.send(MESSAGE + b".\r\n")
    receiving.start()
    receiving.send(b"Subject: slow\r\n\r\n")
    d.wait_jobs(1)
    d.process.send_signal(signal.SIGTERM)
    assert idle.reply()[:1] == (421,) and idle.closed()
    time.sleep(0.5)
    assert d.process.poll() is None, "it waits for the sessions with work in hand"
    d.jobs[0].answer(f"250 2.0.0 ok {d.jobs[0].id}")
    assert busy.reply()[0] == 250 and busy.reply()[:1] == (421,) and busy.closed()
    d.queue_answer = "250 2.0.0 ok {id}"
    receiving.send(b"done\r\n.\r\n")
    assert receiving.reply()[0] == 250 and receiving.reply()[0] == 421
    assert d.process.wait(60) == 0


def test_stop_when_nobody_is_there(start):
    """SIGTERM cuts off the wait for a connection, before the first one and after the last."""
    def stop(d):
        d.process.send_signal(signal.SIGTERM)
        code, seconds = seconds_of(lambda: d.process.wait(60))
        assert code == 0
        return None, seconds

    def after_the_last():
        d = start()
        c = d.connect()
        c.do("QUIT")
        c.close()
        sleep(3)  # its end is seen, nobody is counted any more
        return stop(d)
    measured(2, lambda: stop(start()))
    measured(2, after_the_last)


def test_parent_killed_sessions_end_in_order(start):
    d = start()
    idle, receiving = d.connect(), d.connect()
    receiving.start()
    d.process.kill()
    d.process.wait()
    assert idle.reply()[0] == 421
    assert finish(receiving)[0] == 250 and receiving.reply()[0] == 421


def test_bad_handover_is_survived(shared):
    raw = shared.pairs["in"][0]
    held = shared.descriptors()
    a, b = socket.socketpair()
    good = b"".join(netstring(x) for x in ("smtp", "192.0.2.7", 40000, "192.0.2.1", 25))
    for text, fds in ((b"x", [a.fileno(), b.fileno()]), (good, []), (good, [a.fileno()]), (good, [a.fileno()] * 4), (good + b"3:abc", [a.fileno(), b.fileno()]),
                      (b"y" * 9000, [a.fileno(), b.fileno()])):
        socket.send_fds(raw, [text], fds)
    assert shared.connect().do("NOOP")[0] == 250
    assert shared.descriptors() == held, "what came with them is closed"


def test_slow_client(start):
    d = start(timeoutsmtpd="5")

    def no_command():
        c = d.connect()
        c.ehlo()
        code, text = c.reply()
        assert code == 421 and text.startswith("4.4.2 no command for 5 seconds")

    def octet_after_octet(c, octet):
        c.sock.settimeout(1)
        for _ in range(20):
            try:
                c.send(octet)
                assert c.reply()[0] == 421
                return
            except socket.timeout:
                pass
        raise AssertionError("the session goes on")
    within(8, no_command, 4.5)
    # one octet a second does not prolong the wait for the command, nor does it in DATA
    within(9, lambda: octet_after_octet(d.connect(), "N"))
    within(9, lambda: octet_after_octet(d.connect().start(), "A"))


def test_token_is_held_and_told(shared):
    c = shared.connect()
    c.ehlo()
    c.do(M)
    c.do("RCPT TO:<nobody@campus.test>")
    c.do("FOO")
    c.do("RSET")
    c.envelope()
    finish(c)
    c.token.settimeout(0.2)
    with pytest.raises(socket.timeout):
        c.token.recv(100)
    c.do("QUIT")
    c.token.settimeout(60)
    assert c.token.recv(200).decode() == "badrcpt 1 errors 2 messages 1 recipients 1"
    assert c.token.recv(200) == b""


def test_starttls(start):
    """The test plays postern-tls: what it gets is the client's socket, what it gives back is all that the session keeps."""
    d = start(tls=True)
    c = d.connect()
    assert "STARTTLS" in c.ehlo()
    c.do(M)
    assert c.do("STARTTLS")[0] == 503
    c.do("RSET")
    assert c.do("STARTTLS")[0] == 220
    data, fds, _, _ = socket.recv_fds(d.pairs["tls"][0], 1000, 4)
    assert len(fds) == 2
    client, mine = socket.socket(fileno=fds[0]), socket.socket(fileno=fds[1])
    facts = ("ok", "TLSv1.3", "TLS_AES_256_GCM_SHA384", "mx1.campus.test", "", 1)
    mine.sendall(b"".join(map(netstring, facts)).ljust(512, b"\0"))
    # clear text on the old socket is heard by nobody but us
    c.send("NOOP\r\n")
    assert client.recv(100) == b"NOOP\r\n"
    inner = type(c)(mine)
    assert inner.do(M)[0] == 503, "EHLO is required again"
    assert "STARTTLS" not in inner.ehlo()
    assert inner.do("STARTTLS")[0] == 502
    inner.envelope()
    assert finish(inner)[0] == 250
    job = d.wait_jobs(1)[0]
    assert job.record("X") == [b"TLSv1.3 TLS_AES_256_GCM_SHA384"]
    assert b" with ESMTPS id " in job.received and b"\n  (TLSv1.3 TLS_AES_256_GCM_SHA384)" in job.received
    assert "sni=mx1.campus.test resumed=1" in d.log()


@pytest.mark.parametrize("gap", [None, 0, 0.005, 0.05])
def test_starttls_injection(start, gap):
    d = start(tls=True)
    c = d.connect(tcp=True)
    c.ehlo()
    if gap is None:
        c.send("STARTTLS\r\nNOOP\r\n")
    else:
        c.send("STARTTLS\r\n")
        time.sleep(gap)
        c.send("NOOP\r\n")
    code, text = c.reply()
    assert code == 554 or (code == 220 and gap is not None), text
    if code == 554:
        assert c.closed()
        return
    # too late for us to see: the octets are then what TLS reads first, and no command
    d.pairs["tls"][0].settimeout(60)
    data, fds, _, _ = socket.recv_fds(d.pairs["tls"][0], 1000, 4)
    client = socket.socket(fileno=fds[0])
    client.settimeout(60)
    assert client.recv(100) == b"NOOP\r\n"
    os.close(fds[1])
    client.close()
    assert c.closed()


def test_tls_fails(start):
    d = start(tls=True)
    c = d.connect()
    c.ehlo()
    assert c.do("STARTTLS")[0] == 220
    data, fds, _, _ = socket.recv_fds(d.pairs["tls"][0], 1000, 4)
    reply = socket.socket(fileno=fds[1])
    reply.send((netstring("failed") + netstring("no shared cipher")).ljust(512, b"\0"))
    os.close(fds[0])
    reply.close()
    assert c.closed(), "nothing more is said in clear text"


def test_no_process_for_a_session(start):
    d = start(processes=1)
    c = d.connect(greeting=False)
    code, text = c.reply()
    assert (code, text[:5]) == (421, "4.3.2") and c.closed()
    assert "smtpd-refused" in d.log()


def test_taken_over_session_holds_its_edges_alone(start):
    """Not PORT_IN (other clients), not the lifeline; the client, the token, and four ways out: next, directory, tls, dns."""
    d = start(tls=True)
    c = d.connect()
    c.ehlo()
    fds = {int(x): os.readlink(f"/proc/{d.children()[0]}/fd/{x}") for x in os.listdir(f"/proc/{d.children()[0]}/fd")}
    sockets = [t for t in fds.values() if t.startswith("socket:")]
    assert len(sockets) == 6, fds
    assert f"socket:[{os.fstat(d.pairs['in'][1].fileno()).st_ino}]" not in fds.values()


FAULTS = [
    # (system call and fault, where the session notices, expected reply); the first of a kind is the body's file, the second the header's
    ("memfd_create:error=ENFILE:when=1", "end", "452 4.3.1"),
    ("memfd_create:error=ENFILE:when=2", "end", "451 4.3.0"),
    ("pwrite64:error=ENOSPC:when=1", "end", "452 4.3.1"),
    ("pwrite64:error=ENOSPC:when=2", "end", "451 4.3.0"),
    ("fcntl:error=EBUSY:when=1", "end", "452 4.3.1"),
    ("fcntl:error=EBUSY:when=2", "end", "451 4.3.0"),
    ("socketpair:error=EMFILE:when=1", "RCPT", "451 4.3.0"),
    ("socketpair:error=EMFILE:when=2", "end", "451 4.3.0"),
    ("sendmsg:error=ENOBUFS:when=1", "RCPT", "451 4.3.0"),
    ("sendmsg:error=ENOBUFS:when=2", "end", "451 4.3.0"),
    ("recvmsg:error=ENOMEM:when=1", "RCPT", "451 4.3.0"),
    ("recvmsg:error=ENOMEM:when=2", "RCPT or end", "451 4.3.0"), # RCPT when its first call came before the answer
]


@pytest.mark.skipif(not shutil.which("strace"), reason="strace is not installed")
@pytest.mark.parametrize("fault,where,expected", FAULTS, ids=[f[0] for f in FAULTS])
def test_faults_of_the_system(start, fault, where, expected):
    """Each call that can fail on the way of a message fails once: a temporary refusal, and the next message of the session comes through.  The message is long
    enough for header and body to be files."""
    message = b"X: " + b"x" * 990 + b"\r\n"
    message = message * 20 + MESSAGE + (b"y" * 990 + b"\r\n") * 20
    d = start()
    c = d.connect()
    c.ehlo()
    got = {}
    with failing(d.children()[0], fault):
        assert c.do(M)[0] == 250
        got["RCPT"] = c.do(R)
        if got["RCPT"][0] != 250:
            assert c.do(R)[0] == 250
        got["DATA"] = c.do("DATA")
        if got["DATA"][0] == 354:
            got["end"] = finish(c, message)
        else:
            c.do("RSET")
        refused = [f"{got[step][0]} {got[step][1]}" for step in where.split(" or ") if step in got and got[step][0] >= 400]
        assert len(refused) == 1 and refused[0].startswith(expected), got
        c.do("RSET")
        assert finish(c.envelope(), message)[0] == 250
        assert len(d.jobs) == (2 if where == "RCPT" or fault.startswith("recvmsg") else 1)


def test_the_longest_session(old_session):
    """Stands last: control/sessionseconds ends a session that would wait for a command for longer."""
    old_session.waiting.join(60)
    code, text = old_session.last
    assert code == 421 and text.startswith("4.4.2 the session took too long") and old_session.closed()
    assert 29 < old_session.lasted < 90
