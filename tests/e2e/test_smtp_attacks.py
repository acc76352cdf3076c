"""Attacks on the SMTP session of the whole suite: relaying in a hundred disguises, TLS cut off at every octet of a message, a client that does not read."""
import pathlib
import socket
import ssl
import time

import pytest

from certificates import certificate
from conftest import wait_for, whole_suite
from smtp_client import Client


@pytest.fixture(scope="module")
def site():
    with whole_suite() as s:
        s.control("servercert.pem", certificate(s.folder))
        s.control("smtproutes", ":127.0.0.1:1")
        s.control("timeoutsmtpd", "10")
        s.control("tarpitdelay", "0")
        s.control("maxrcpt", "20000")
        yield s.start()


def client(site):
    c = Client(socket.create_connection(("127.0.0.1", site.port), 20))
    assert c.reply()[0] == 220
    return c


# ---- relaying ----

THERE, HERE = "victim@other.test", "campus.test"
DISGUISES = [
    "victim@other.test", "VICTIM@OTHER.TEST", "victim@other.test.", "victim@sub.other.test", "victim@[192.0.2.25]", "victim@[IPv6:2001:db8::25]", "victim@192.0.2.25",
    "victim@3221226009", "victim@0xc0000219", "victim@localhost", "victim@[127.0.0.2]", "victim@[127.1]", "victim@[::1]", "victim@[IPv6:::1]", "victim@[IPv6:::ffff:127.0.0.2]",
    # the percent hack, and bangs
    "victim%other.test@campus.test", "victim%other.test@[127.0.0.1]", "victim%other.test@mx1.campus.test", "victim%other.test%campus.test@campus.test", "victim%other.test",
    "%victim@other.test@campus.test", "victim%2540other.test@campus.test", "victim%40other.test@campus.test", "other.test!victim@campus.test", "other.test!victim",
    "campus.test!other.test!victim@campus.test", "@campus.test!victim@other.test", "campus.test!victim@other.test",
    # source routes
    "@campus.test:victim@other.test", "@campus.test,@mx1.campus.test:victim@other.test", "@other.test:victim@other.test", "@[127.0.0.1]:victim@other.test",
    "@campus.test:victim%other.test@campus.test", "@campus.test:@other.test:victim@other.test", "@campus.test,victim@other.test", "@campus.test:", "@campus.test:victim", "@:victim@other.test",
    # two at signs
    "victim@other.test@campus.test", "victim@campus.test@other.test", "u1@campus.test@other.test", "@other.test@campus.test", "victim@@campus.test", "victim@other.test,u1@campus.test",
    "u1@campus.test,victim@other.test", "u1@campus.test;victim@other.test", "u1@campus.test victim@other.test", "u1@campus.test><victim@other.test", "u1@campus.test>, <victim@other.test",
    # quotes
    '"victim@other.test"@campus.test', '"victim@other.test"', '"victim"@other.test', '"u1@campus.test"@other.test', '"victim\\@other.test"@campus.test', '"@other.test:victim"@campus.test',
    '"victim%other.test"@campus.test', '"other.test!victim"@campus.test', 'victim"@other.test"@campus.test', '""@other.test', '"u1"@campus.test@other.test', '"victim@other.test',
    "'victim@other.test'@campus.test", "victim\\@other.test@campus.test", "u1@campus.test\\@other.test", '"u1@campus.test>"@other.test',
    # domains that look like ours
    "u1@xcampus.test", "u1@campus.test.other.test", "u1@campus.testx", "u1@campus-test", "u1@.campus.test", "u1@campus..test", "u1@campus.test..", "u1@-campus.test", "u1@sub.campus.test",
    "u1@campus", "u1@test", "u1@campus.test:25", "u1@[campus.test]", "u1@campus.test#other.test", "u1@other.test#campus.test", "u1@other.test/campus.test", "u1@campus.test%other.test",
    "u1@other.test%campus.test", "u1@other.test?campus.test", "u1@other.test\\campus.test", "u1@campus.test=other.test", "u1=campus.test@other.test", "u1+campus.test@other.test", "u1(campus.test)@other.test",
    "u1@(comment)other.test", "u1@other.test(campus.test)", "u1@campus_test", "u1@xn--campus.test", "u1@campus.test;other.test", "u1@campus.test|other.test", "u1@{campus.test,other.test}",
    # UTF-8
    "victim＠other.test@campus.test", "u1@campus.test＠other.test", "u1@сampus.test", "u1@cаmpus.test", "u1@campus．test", "u1@campus。test", "u1@other.test。campus.test", "u1@ca\u00admpus.test", "u1@campus\u200b.test",
    "u1@ｃampus.test", "u1@campus.tеst", "u1@campus.test\u2024other.test", "u1@CAMPUſ.test", "\u202etset.supmac@1u@other.test", "u1@other.test\u2028campus.test", "u1@other.test/\u2044campus.test",
    # our own names with nobody behind them
    "victim@campus.test", "victim-other.test@campus.test", "victim.other.test@campus.test", "~victim@campus.test", "|/bin/true@campus.test", "/etc/passwd@campus.test", ":include:/etc/passwd@campus.test",
    "u1@mx1.campus.test", "root@mx1.campus.test", "u1", "victim", "", " ", "<>", "<victim@other.test>",
]
OCTETS = [b"victim@other.test\0@campus.test", b"u1@campus.test\0@other.test", b"u1@campus.test\r@other.test", b"u1@campus.test\n@other.test", b"u1@campus.test\x08@other.test", b"u1@\xffcampus.test",
          b"victim\xc0\x80other.test@campus.test", b"u1@campus\xc0\xaetest", b"u1@campus.test\t@other.test", b"u1@campus.test\x7f"]


@pytest.mark.parametrize("sender", ["a@far.test", "", "u1@campus.test", "postmaster"])
def test_relaying_in_disguise(site, sender):
    """None of these is accepted, whoever the client says is the sender: no form makes one part of the suite see an address of ours and another one a stranger's."""
    assert len(DISGUISES) + len(OCTETS) >= 100
    for form in [d.encode() for d in DISGUISES] + OCTETS:
        with client(site) as c:
            c.do("EHLO client.test")
            assert c.code(f"MAIL FROM:<{sender}> SMTPUTF8") == 250
            answer = c.do(b"RCPT TO:<" + form + b">\r\n")
            assert 500 <= answer[0] <= 599, (form, answer)
            if b"\n" not in form and b"\r" not in form:
                assert c.code("NOOP") == 250
            if b"\n" not in form:
                answer = c.do("DATA")
                assert 500 <= answer[0] <= 599, (form, answer)
    assert not site.events("smtpd-handed")
    with client(site) as c:  # what the others have in common is taken
        assert [c.code(x) for x in ("EHLO client.test", f"MAIL FROM:<{sender}> SMTPUTF8", "RCPT TO:<u1@campus.test>")] == [250] * 3


# ---- TLS cut off ----

DATA = b"Subject: never\r\n\r\nhalf a message\r\n.\r\n"
CHUNKS = b"BDAT 18\r\nSubject: never\r\n\r\nBDAT 16 LAST\r\nhalf a message\r\n"


@pytest.mark.parametrize("how", ["close_notify", "reset", "clear octets"])
@pytest.mark.parametrize("command", ["DATA", "BDAT"])
def test_tls_cut_off_at_every_octet(site, command, how):
    """TLS ends inside a message; what follows in clear is nothing, and nothing of the message stays."""
    before, opened = len(site.events("smtpd-handed")), len(site.events("smtpd-tls"))
    whole = DATA if command == "DATA" else CHUNKS
    for at in range(len(whole)):
        with client(site).inside_tls() as c:
            c.do("MAIL FROM:<a@far.test>")
            c.do("RCPT TO:<u1@campus.test>")
            if command == "DATA":
                assert c.code("DATA") == 354
            c.sock.sendall(whole[:at])
            if how == "reset":
                c.raw = c.sock
                c.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
                continue
            descriptor = socket.socket(fileno=socket.dup(c.sock.fileno()))
            try:
                if how == "close_notify":
                    c.sock.settimeout(5)
                    try:
                        c.sock.unwrap()
                    except (ssl.SSLError, OSError):
                        pass
                descriptor.sendall(whole[at:] + b"QUIT\r\n")
            except OSError:
                pass
            finally:
                descriptor.close()
    with client(site) as c:
        assert c.code("NOOP") == 250
    assert len(site.events("smtpd-tls")) >= opened + len(whole), "each was inside TLS"
    wait_for(lambda: len(site.pids("smtpd")) == 1, 20, lambda: f"sessions are left: {site.pids('smtpd')}")
    assert len(site.events("smtpd-handed")) == before
    assert not [e for e in site.events("died")] and not site.events("smtpd-killed")
    with client(site).inside_tls() as c:  # the same octets, with TLS to their end
        for command in ["MAIL FROM:<a@far.test>", "RCPT TO:<u1@campus.test>"] + ["DATA"] * (command == "DATA"):
            assert c.code(command) in (250, 354)
        c.sock.sendall(whole)
        assert c.reply()[0] == 250 and (command == "DATA" or c.reply()[1].startswith("2.0.0 ok"))
    assert len(site.events("smtpd-handed")) == before + 1


# ---- clients that take their time ----

def test_a_client_that_does_not_read(site):
    """Replies of thousands of commands that nobody takes: the session reads no further than its few buffers reach, whatever waits behind, and ends by its own
    deadline; nobody else notices."""
    wait_for(lambda: len(site.pids("smtpd")) == 1)
    s = socket.socket()
    s.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    s.connect(("127.0.0.1", site.port))
    s.settimeout(60)
    c = Client(s)
    assert c.reply()[0] == 220 and c.ehlo()
    s.settimeout(2)
    sent, most = 0, 50_000_000
    group = b"RCPT TO:<u1@campus.test>\r\n" * 1000
    begin = time.monotonic()
    try:
        s.sendall(b"MAIL FROM:<a@far.test>\r\n")
        while sent < most:
            sent += s.send(group)
    except socket.timeout:
        pass
    assert sent < most, "the session goes on reading though nobody takes its replies"
    parent, pid = site.pids("smtpd")
    status = pathlib.Path(f"/proc/{pid}/status").read_text()
    peak = int(next(line for line in status.splitlines() if line.startswith("RssAnon")).split()[1])
    assert peak < 8 * 1024, f"{peak} KiB"
    with socket.create_connection(("127.0.0.1", site.port)) as other:
        assert other.recv(4) == b"220 "
        assert site.send("a@far.test", "u1@campus.test", b"Subject: x\r\n\r\nx\r\n")[0] == 250
    assert pid in site.pids("smtpd"), "it ended before it had to"
    # the client stays; what ends the session is its deadline for replies, of which more than the first buffers full were never made
    wait_for(lambda: site.pids("smtpd") == [parent], 20, lambda: f"sessions are left: {site.pids('smtpd')}")
    assert 8 < time.monotonic() - begin
    end, = [e for e in site.events("smtpd-end") if e["pid"] == pid]
    assert end["why"] == "disconnect" and 1000 < int(end["rcpts"]) < 12_000 and end["errors"] == "0", end
    s.close()
