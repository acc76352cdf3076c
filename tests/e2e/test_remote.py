"""postern-remote and postern-lmtp alone against servers that do what servers do, and the way to them by DNS."""
import os
import random
import threading
import time

import pytest

from alone import netstrings as split_netstrings
from certificates import key_first
from conftest import free_port, wait_for
from knot import Knot
from remote_alone import Agent, HEADER, gone, remote  # noqa: F401 (fixtures)
from smtp_server import Scripted


def slowly(text, pause):
    def run(talk):
        for c in text:
            talk.say(c)
            time.sleep(pause)
        return ""
    return run


def hang(talk):
    time.sleep(120)


BIG = "250-" + "x" * 1900 + "\r\n"
# what the server does: replies, greeting; the outcome for two recipients (status, enhanced)
K, Z1, CUT = ("K", "2.0.0"), ("Z", "4.4.1"), ("Z", "4.4.2")
BEHAVIOURS = {
    "all well": ({}, None, [K, K]),
    "no pipelining": ({"EHLO": "250 far.test\r\n"}, None, [K, K]),
    "HELO alone": ({"EHLO": "502 5.5.2 unknown\r\n"}, None, [K, K]),
    "EHLO and HELO refused": ({"EHLO": "502 no\r\n", "HELO": "502 no\r\n"}, None, [Z1, Z1]),
    "EHLO busy": ({"EHLO": "421 4.3.2 busy\r\n"}, None, [Z1, Z1]),
    "greets for long": ({}, "220-hello\r\n220-there\r\n220 far\r\n", [K, K]),
    "greeting busy": ({}, "421 4.3.2 busy\r\n", [Z1, Z1]),
    "greeting refuses": ({}, "554 5.7.1 go away\r\n", [Z1, Z1]),
    "greeting of another protocol": ({}, "SSH-2.0-OpenSSH_9\r\n", [Z1, Z1]),
    "greeting without end": ({}, "220-x\r\n" * 5000, [Z1, Z1]),
    "greeting of one long line": ({}, "220 " + "x" * 100000, [Z1, Z1]),
    "greeting never comes": ({}, hang, [Z1, Z1]),
    "greeting drips": ({}, slowly("220 this takes its time\r\n", 0.5), [Z1, Z1]),
    "closes at once": ({}, None.__class__, [Z1, Z1]),
    "closes after EHLO": ({"EHLO": None}, None, [Z1, Z1]),
    "closes at MAIL": ({"MAIL": None}, None, [Z1, Z1]),
    "hangs at MAIL": ({"MAIL": hang}, None, [Z1, Z1]),
    "MAIL later": ({"MAIL": "451 4.3.0 later\r\n", "RCPT": "503 5.5.1 MAIL first\r\n"}, None, [("Z", "4.3.0")] * 2),
    "MAIL refused": ({"MAIL": "550 5.7.1 not you\r\n", "RCPT": "503 5.5.1 MAIL first\r\n"}, None, [("D", "5.7.1")] * 2),
    "MAIL refused without text": ({"MAIL": "550\r\n"}, None, [("D", "5.0.0")] * 2),
    "MAIL too large": ({"MAIL": "552 5.3.4 too large\r\n"}, None, [("D", "5.3.4")] * 2),
    "MAIL answered 354": ({"MAIL": "354 what\r\n"}, None, [("Z", "4.5.0")] * 2),
    "one RCPT refused": ({"RCPT": ["550 5.1.1 nobody\r\n", "250 ok\r\n"]}, None, [("D", "5.1.1"), K]),
    "one RCPT later": ({"RCPT": ["250 ok\r\n", "450 4.2.1 greylisted\r\n"]}, None, [K, ("Z", "4.2.1")]),
    "all RCPT refused": ({"RCPT": "550 5.1.1 nobody\r\n"}, None, [("D", "5.1.1")] * 2),
    "all RCPT refused, without pipelining": ({"EHLO": "250 x\r\n", "RCPT": "550 nobody\r\n"}, None, [("D", "5.0.0")] * 2),
    "RCPT code does not fit": ({"RCPT": "550 4.1.1 odd\r\n"}, None, [("D", "5.0.0")] * 2),
    "RCPT 252": ({"RCPT": "252 cannot verify\r\n"}, None, [("K", "2.0.0")] * 2),
    "RCPT answered 354": ({"RCPT": "354 what\r\n"}, None, [("Z", "4.5.0")] * 2),
    "RCPT 421 and closes": ({"RCPT": ["250 ok\r\n", None]}, None, [CUT, CUT]),
    "RCPT text with control characters": ({"RCPT": b"550 5.1.1 a\x00b\rc\x1b[2Jd\xff\r\n"}, None, [("D", "5.1.1")] * 2),
    "RCPT enhanced code alone": ({"RCPT": "550 5.7.2\r\n"}, None, [("D", "5.7.2")] * 2),
    "RCPT in many lines": ({"RCPT": "550-5.1.1 a\r\n550-5.1.1 b\r\n550 5.1.1 c\r\n"}, None, [("D", "5.1.1")] * 2),
    "RCPT in 10,000 lines": ({"RCPT": "550-5.1.1 a\r\n" * 10000 + "550 b\r\n"}, None, [("Z", "4.5.0")] * 2),
    "RCPT with mixed codes": ({"RCPT": "550-a\r\n250 b\r\n"}, None, [("Z", "4.5.0")] * 2),
    "RCPT with a code of 1": ({"RCPT": "150 wait\r\n"}, None, [("Z", "4.5.0")] * 2),
    "RCPT with no code": ({"RCPT": "hello\r\n"}, None, [("Z", "4.5.0")] * 2),
    "RCPT with LF alone": ({"RCPT": "250 ok\n"}, None, [K, K]),
    "RCPT a line of a mebibyte": ({"RCPT": "550 " + "x" * (1 << 20) + "\r\n"}, None, [("Z", "4.5.0")] * 2),
    "DATA refused": ({"DATA": "554 5.5.1 no\r\n"}, None, [("D", "5.5.1")] * 2),
    "DATA later": ({"DATA": "451 4.3.0 later\r\n"}, None, [("Z", "4.3.0")] * 2),
    "DATA answered 250": ({"DATA": "250 ok\r\n"}, None, [("Z", "4.5.0")] * 2),
    "DATA answered with the end of it all": ({"DATA": "354 go on\r\n250 2.0.0 taken\r\n"}, None, [("Z", "4.5.0")] * 2),
    "closes at DATA": ({"DATA": None}, None, [CUT, CUT]),
    "closes after the message": ({".": None}, None, [CUT, CUT]),
    "hangs after the message": ({".": hang}, None, [CUT, CUT]),
    "message refused": ({".": "554 5.6.0 spam\r\n"}, None, [("D", "5.6.0")] * 2),
    "message later": ({".": "451 4.7.1 again\r\n"}, None, [("Z", "4.7.1")] * 2),
    "message answered 354": ({".": "354 more\r\n"}, None, [("Z", "4.5.0")] * 2),
    "message answered with rubbish": ({".": "\x00\x00\r\n"}, None, [("Z", "4.5.0")] * 2),
    "EHLO with large keywords": ({"EHLO": BIG * 20 + "250 PIPELINING\r\n"}, None, [K, K]),
    "EHLO with a reply too many": ({"EHLO": "250 x\r\n250 2.1.0 early\r\n"}, None, [("Z", "4.5.0")] * 2),
    "STARTTLS refused": ({"EHLO": "250-x\r\n250 STARTTLS\r\n", "STARTTLS": "454 4.7.0 no\r\n"}, None, [K, K]),
    "STARTTLS with octets behind it": ({"EHLO": "250-x\r\n250 STARTTLS\r\n", "STARTTLS": "220 go\r\n250 injected\r\n"}, None, [Z1, Z1]),
}


@pytest.mark.parametrize("name", BEHAVIOURS)
def test_behaviour(remote, name):
    """What a server may do, and what becomes of each recipient."""
    replies, greeting, want = BEHAVIOURS[name]
    replies = {k: list(v) if isinstance(v, list) else v for k, v in replies.items()}
    if greeting is type(None):
        server = Scripted(replies, None)
    else:
        server = Scripted(replies, greeting or "220 far.test ESMTP\r\n")
    silent = callable(greeting) or hang in replies.values()  # and whoever is not silent has time, should the machine stand still
    got = remote(server, timeoutremote="4" if silent else "60").deliver(["x@far.test", "y@far.test"], "far.test", 120)
    simple = [(s, e if s != "K" else "2.0.0") for s, e, _, _ in got]
    assert simple == want, got
    for status, enhanced, host, text in got:
        assert len(text) <= 400 and text.isprintable()
        assert host == ("" if enhanced == "4.4.1" else "[127.0.0.1]")


def test_what_is_sent(remote):
    """CR LF everywhere, dots doubled, no lone CR or LF; SIZE and BODY when offered; case kept; HELO name."""
    server = Scripted({"EHLO": "250-x\r\n250-SIZE 1000000\r\n250-8BITMIME\r\n250 PIPELINING\r\n"})
    body = b".dot\n..\nx\r\ny\rz\n\r.\n\xc3\xbc\n.\nend without line end"
    got = remote(server, helohost="out.near.test").deliver(["Some.One@far.test"], "far.test", body=body)
    assert got[0][0] == "K"
    talk = server.sessions[0]
    assert talk.lines[0] == b"EHLO out.near.test\r\n"
    assert talk.lines[1].startswith(b"MAIL FROM:<a@near.test> SIZE=") and talk.lines[1].endswith(b" BODY=8BITMIME\r\n")
    assert talk.lines[2] == b"RCPT TO:<Some.One@far.test>\r\n"
    raw = talk.message
    assert raw == HEADER.replace(b"\n", b"\r\n") + b"..dot\r\n...\r\nx\r\ny\r\nz\r\n\r\n..\r\n\xc3\xbc\r\n..\r\nend without line end\r\n"
    assert b"\r" not in raw.replace(b"\r\n", b"") and b"\n" not in raw.replace(b"\r\n", b"")


def test_conversion_of_anything(remote):
    """200 random messages of the octets that matter, also across the parts in which they are sent."""
    server = Scripted()
    agent = remote(server)
    rng = random.Random(7)
    for i in range(200):
        n = rng.randrange(40) if i % 10 else rng.randrange(16370, 16400)
        body = b"x" * (0 if i % 10 else 16360) + bytes(rng.choice(b"\r\n..a\x00") for _ in range(n))
        before = len(server.messages)
        assert agent.deliver(["x@far.test"], "far.test", header=b"A: b\n\n", body=body)[0][0] == "K"
        raw = server.messages[before]
        assert b"\r" not in raw.replace(b"\r\n", b"") and b"\n" not in raw.replace(b"\r\n", b"")
        plain = b"".join(line[1:] if line.startswith(b".") else line for line in raw.splitlines(True) if True)
        want = body.replace(b"\r\n", b"\n").replace(b"\r", b"\n")
        want = b"A: b\n\n" + want + (b"" if want.endswith(b"\n") or not want else b"\n")
        assert b"".join(x[1:] if x.startswith(b".") else x for x in split_lines(raw)).replace(b"\r\n", b"\n") == want, (body, plain)


def split_lines(raw):
    return [line + b"\r\n" for line in raw.split(b"\r\n")[:-1]]


def test_many_recipients(remote):
    server = Scripted({"RCPT": ["250 ok\r\n", "550 5.1.1 no\r\n"] * 50 + ["250 ok\r\n"]})
    got = remote(server).deliver([f"u{i}@far.test" for i in range(100)], "far.test")
    assert [g[0] for g in got] == ["K", "D"] * 50
    assert len(server.messages) == 1


@pytest.mark.parametrize("tls_bad", [False, True])
def test_starttls(remote, folder, tls_bad):
    """Taken where it is offered; where it fails, once more in clear."""
    server = Scripted({"EHLO": "250-x\r\n250-PIPELINING\r\n250 STARTTLS\r\n", "STARTTLS": "220 go\r\n"}, cert=key_first(folder), tls_bad=tls_bad)
    agent = remote(server)
    assert agent.deliver(["x@far.test"], "far.test")[0][0] == "K"
    assert len(server.sessions) == (2 if tls_bad else 1)
    talk = server.sessions[-1]
    assert (talk.tls is None) == tls_bad and talk.message.endswith(b"hello\r\n")
    if tls_bad:
        assert not any(line.startswith(b"STARTTLS") for line in talk.lines)
        agent.wait_log("remote-tls")
    else:
        said = wait_for(lambda: len(talk.lines) == 7 and [line.split()[0] for line in talk.lines])
        assert said == [b"EHLO", b"STARTTLS", b"EHLO", b"MAIL", b"RCPT", b"DATA", b"QUIT"]
        agent.wait_log('tls="TLSv1.3')


def test_connection_refused(remote):
    port = free_port()
    got = remote(smtproutes=f":127.0.0.1:{port}").deliver(["x@far.test"], "far.test")
    assert got[0][:2] == ("Z", "4.4.1") and "refused" in got[0][3]


def test_queue_is_gone(remote):
    """A worker whose queue gave up does not end the message."""
    gone = threading.Event()

    def late(talk):
        gone.wait(60)
        time.sleep(0.2)
        return "354 go on\r\n"
    server = Scripted({"DATA": late})
    agent = remote(server)
    mine = agent.send(["x@far.test"], "far.test")
    wait_for(lambda: server.sessions and any(line.startswith(b"DATA") for line in server.sessions[0].lines))
    mine.close()
    gone.set()
    agent.wait_log("remote-unanswered")
    assert server.messages == []


def test_odd_addresses(remote):
    """What would break the protocol is not sent."""
    server = Scripted()
    agent = remote(server)
    got = agent.deliver(["x y@far.test", "x>\r\nRCPT TO:<z@far.test", "\u00fc@far.test", "ok@far.test"], "far.test")
    assert [g[:2] for g in got] == [("D", "5.1.3"), ("D", "5.1.3"), ("D", "5.6.7"), ("K", "2.0.0")]
    assert sum(line.startswith(b"RCPT") for line in server.sessions[0].lines) == 1
    assert agent.deliver(["ok@far.test"], "far.test", sender="a>\r\nDATA\r\n<@x.test")[0][:2] == ("D", "5.1.7")


def test_lmtp_each_recipient(folder):
    """LMTP answers for each recipient after the message."""
    path = f"{folder}/lmtp"
    server = Scripted({"RCPT": ["250 ok\r\n", "550 5.1.1 no\r\n", "250 ok\r\n", "250 ok\r\n"], ".": ["250 2.0.0 in\r\n", "552 5.2.2 full\r\n", "451 4.3.0 later\r\n"]}, lmtp=True)
    agent = Agent("lmtp", folder, {"lmtproutes": f"far.test:127.0.0.1:{server.port}\nu.test:unix:{path}"}).start()
    try:
        got = agent.deliver([f"u{i}@far.test" for i in range(4)], f"127.0.0.1:{server.port}")
        assert [g[:2] for g in got] == [("K", "2.0.0"), ("D", "5.1.1"), ("D", "5.2.2"), ("Z", "4.3.0")]
        assert server.sessions[0].lines[0] == b"LHLO near.test\r\n"
        assert agent.deliver(["x@u.test"], f"unix:{path}")[0][:2] == ("Z", "4.4.1")
        assert agent.deliver(["x@u.test"], "unix:/elsewhere")[0][:2] == ("Z", "4.3.5")
        # the connection ends after the first answer: the others are not known
        server.replies = {".": ["250 2.0.0 in\r\n", None]}
        got = agent.deliver([f"u{i}@far.test" for i in range(3)], f"127.0.0.1:{server.port}")
        assert [g[:2] for g in got] == [("K", "2.0.0"), ("Z", "4.4.2"), ("Z", "4.4.2")]
    finally:
        agent.stop()


def relayed(mine):
    """The letter that tells whether the far side sends notifications, of the first recipient."""
    got = [b"C"]
    while got == [b"C"]:
        got = split_netstrings(mine.recv(1 << 18))
    return split_netstrings(got[0])[5].decode()


def test_notifications_are_passed_on(remote):
    """What the sender asked for goes to a server that knows DSN, and nothing of it to others; the result says which it was."""
    asked = {"ret": "H", "envid": "QQ+3D1", "notify": "SD", "orcpt": "rfc822;x+40old.test"}
    knows = Scripted({"EHLO": "250-far.test\r\n250-PIPELINING\r\n250 DSN\r\n"})
    with remote(knows).send(["x@far.test"], "far.test", **asked) as mine:
        assert relayed(mine) == "n"
    assert knows.sessions[0].lines[1:3] == [b"MAIL FROM:<a@near.test> RET=HDRS ENVID=QQ+3D1\r\n",
                                            b"RCPT TO:<x@far.test> NOTIFY=SUCCESS,DELAY ORCPT=rfc822;x+40old.test\r\n"]
    for notify, want in (("N", b" NOTIFY=NEVER"), ("F", b" NOTIFY=FAILURE"), ("", b"")):
        knows = Scripted({"EHLO": "250-far.test\r\n250-PIPELINING\r\n250 DSN\r\n"})
        with remote(knows).send(["x@far.test"], "far.test", notify=notify) as mine:
            assert relayed(mine) == "n"
        assert knows.sessions[0].lines[1:3] == [b"MAIL FROM:<a@near.test>\r\n", b"RCPT TO:<x@far.test>%s\r\n" % want]
    plain = Scripted()
    with remote(plain).send(["x@far.test"], "far.test", **asked) as mine:
        assert relayed(mine) == "r"
    assert plain.sessions[0].lines[1:3] == [b"MAIL FROM:<a@near.test>\r\n", b"RCPT TO:<x@far.test>\r\n"]
    refuses = Scripted({"EHLO": "250-far.test\r\n250 DSN\r\n", "RCPT": "550 5.1.1 no\r\n"})
    with remote(refuses).send(["x@far.test"], "far.test", **asked) as mine:
        assert relayed(mine) == "-"


def test_header_beyond_ascii(remote):
    """With SMTPUTF8 it goes only where SMTPUTF8 is; without, as it always did."""
    header = "Subject: Grüße\nFrom: a@near.test\n\n".encode()
    for offer, utf8, want in (("250 SMTPUTF8", 1, ("K", " SMTPUTF8")), ("250 SIZE", 1, ("D", "")), ("250 SIZE", 0, ("K", "")), ("250 SMTPUTF8", 0, ("K", ""))):
        server = Scripted({"EHLO": f"250-far.test\r\n{offer}\r\n"})
        got = remote(server).deliver(["x@far.test"], "far.test", header=header, utf8=utf8)
        assert got[0][0] == want[0] and (want[0] == "K" or got[0][1] == "5.6.7"), got
        mail = server.sessions[0].lines[1:2]
        assert mail in ([], [b"QUIT\r\n"]) if want[0] == "D" else mail[0].endswith(b" SMTPUTF8\r\n") == bool(want[1]), mail


def test_tls_that_cannot_be_had(remote):
    """REQUIRETLS: nothing is sent, not even to a server with TLS, as nobody knows whose it is."""
    server = Scripted({"EHLO": "250-far.test\r\n250 STARTTLS\r\n"})
    assert remote(server).deliver(["x@far.test"], "far.test", tls=1)[0][:2] == ("D", "5.7.30")
    assert not server.sessions


def test_domains_of_one_relay_in_one_delivery(remote):
    """They go in one transaction; whose domain has another route by now waits, and nobody else."""
    server, second = Scripted(), Scripted()
    agent = remote(server, smtproutes=f":127.0.0.1:{server.port}\nother.test:127.0.0.1:{second.port}\nmx.test:")
    got = agent.deliver(["a@one.test", "b@two.test", "c@other.test", "d@mx.test", "e@one.test"], ["one.test", "two.test", "other.test", "mx.test", "one.test"])
    assert [g[:2] for g in got] == [("K", "2.0.0"), ("K", "2.0.0"), ("Z", "4.3.0"), ("Z", "4.3.0"), ("K", "2.0.0")]
    assert len(server.sessions) == 1 and not second.sessions
    assert [x for x in server.sessions[0].lines if x.startswith(b"RCPT")] == [b"RCPT TO:<a@one.test>\r\n", b"RCPT TO:<b@two.test>\r\n", b"RCPT TO:<e@one.test>\r\n"]


ZONE = """ns A 127.0.0.1
@ MX 20 b.far.test.
@ MX 10 a.far.test.
a A 127.0.0.61
b A 127.0.0.62
null MX 0 .
bare A 127.0.0.62
dangling MX 10 nowhere.far.test.
loop MX 10 near.test.
loop MX 20 a.far.test.
backup MX 10 a.far.test.
backup MX 20 near.test.
backup MX 30 b.far.test.
six AAAA ::1
"""


@pytest.fixture
def dns(folder):
    server = Knot(folder, {"far.test": ZONE})
    yield f"127.0.0.1:{server.port}"
    server.stop()


@pytest.mark.skipif(os.geteuid() != 0, reason="port 25 is root's")
def test_mx(remote, dns):
    """MX order, fallback to the next host and to the address, null MX, loops, domains that do not exist, servers that do not answer."""
    b = Scripted(address="127.0.0.62", port=25)
    agent = remote(resolver=dns, listen="smtp 127.0.0.99:25")
    try:
        # a is preferred and refuses connections: b takes it
        assert agent.deliver(["x@far.test"], "far.test")[0][:3] == ("K", "2.0.0", "b.far.test [127.0.0.62]")
        assert "a.far.test [127.0.0.61]" in agent.log()
        a = Scripted(address="127.0.0.61", port=25)
        try:
            assert agent.deliver(["x@far.test"], "far.test")[0][2] == "a.far.test [127.0.0.61]"
            assert agent.deliver(["x@backup.far.test"], "backup.far.test")[0][2] == "a.far.test [127.0.0.61]"
        finally:
            a.close()
        assert agent.deliver(["x@bare.far.test"], "bare.far.test")[0][2] == "bare.far.test [127.0.0.62]"
        # this host is a mail host of it: what comes after is not tried
        wait_for(lambda: agent.deliver(["x@backup.far.test"], "backup.far.test")[0][:2] == ("Z", "4.4.1"))
        assert agent.deliver(["x@null.far.test"], "null.far.test")[0][:2] == ("D", "5.1.10")
        assert agent.deliver(["x@no.far.test"], "no.far.test")[0][:2] == ("D", "5.1.2")
        assert agent.deliver(["x@loop.far.test"], "loop.far.test")[0][:2] == ("D", "5.4.6")
        assert agent.deliver(["x@dangling.far.test"], "dangling.far.test")[0][:2] == ("Z", "4.4.3")
        assert agent.deliver(["x@six.far.test"], "six.far.test")[0][:2] == ("Z", "4.4.1")
        assert agent.deliver(["x@other.test"], "other.test")[0][:2] == ("Z", "4.4.3")  # refused by the server
        assert agent.deliver(["x@[127.0.0.62]"], "[127.0.0.62]")[0][:2] == ("K", "2.0.0")
        assert agent.deliver(["x@[127.0.0.99]"], "[127.0.0.99]")[0][:2] == ("D", "5.4.6")
    finally:
        b.close()
