"""postern-remote and postern-lmtp: alone against servers that do what servers do, in the suite against Dovecot, a DNS server and a second suite."""
import array
import itertools
import os
import random
import signal
import socket
import threading
import time

import pytest

import dovecot
from alone import Program, joined as netstrings, netstrings as split_netstrings, sealed
from certificates import key_first
from conftest import Suite, ended, free_port, many, wait_for
from knot import Knot
from processes import children, kill, killed_meanwhile
from slapd import person
from smtp_server import Scripted
from timing import within

HEADER = b"Subject: x\nFrom: a@near.test\n\n"


def results(mine, count):
    """([(status, enhanced, host, text)] of each recipient, mark)."""
    got = [b"C"]
    while got == [b"C"]:
        got = split_netstrings(mine.recv(1 << 18))
    mark = got.pop().decode() if len(got[-1:]) and len(got[-1]) == 1 else ""
    got = [split_netstrings(x) for x in got]
    assert [int(g[0]) for g in got] == list(range(count))
    return [tuple(x.decode() for x in g[1:5]) for g in got], mark


class Agent(Program):
    """Deliveries to one program alone."""

    def __init__(self, name, folder, files):
        super().__init__(name, folder, {"me": "near.test", "timeoutconnect": "2", "timeoutremote": "20", "resolver": "127.0.0.1:9", **files}, ["in"])
        self.letter = "r" if name == "remote" else "m"

    def send(self, rcpts, destination, **kw):
        mine, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self.send_on(self.ask_socket, rcpts, destination, [theirs.fileno()], **kw)
        theirs.close()
        return mine

    def send_on(self, sock, rcpts, destination, fds=(), header=HEADER, body=b"hello\n", sender="a@near.test", utf8=0, tls=0, ret="-", envid="",
                notify="", orcpt=""):
        """A delivery by SOCK: the agent's port, or a conversation that is ready for more."""
        fields = ["0123456789abc", sender, 1, 0, len(header) + len(body), utf8, tls, ret, envid, len(rcpts)]
        for i, r in enumerate(rcpts):
            to = destination if isinstance(destination, str) else destination[i]
            fields += [i, netstrings(self.letter, r, to, "", -1, -1, 0, 0, 0, "-", "", ""), r, notify, orcpt]
        both = [sealed(b"0:," + header), sealed(body)]
        sock.sendmsg([netstrings(*fields)], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", [*both, *fds]))])
        for fd in both:
            os.close(fd)

    def deliver(self, rcpts, destination, seconds=120, **kw):
        """[(status, enhanced, host, text)] of each recipient."""
        with self.send(rcpts, destination, **kw) as mine:
            mine.settimeout(seconds)
            return results(mine, len(rcpts))[0]


@pytest.fixture
def remote(folder):
    with many(Agent, Agent.stop) as new:
        def start(server=None, **files):
            routes = {"smtproutes": f":127.0.0.1:{server.port}"} if server else {}
            return new("remote", folder, {**routes, **files}).start()
        yield start


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
        gone.wait(5)
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


def converse(agent, mine, *deliveries, destination="far.test", **kw):
    """Further deliveries by one conversation; the last results and the mark."""
    for rcpts in deliveries:
        agent.send_on(mine, rcpts, destination, **kw)
        got = results(mine, len(rcpts))
    return got


def gone(mine):
    mine.settimeout(60)
    return mine.recv(1000) == b""


def test_next_by_the_same_connection(remote):
    """The agent is ready for more, and the next messages go by its connection: after RSET where nobody was accepted; QUIT when the queue is done."""
    server = Scripted({"RSET": "250 2.0.0 ok\r\n", "RCPT": ["250 ok\r\n", "550 5.1.1 nobody\r\n", "250 ok\r\n"]})
    agent = remote(server)
    with agent.send(["x@far.test"], "far.test") as mine:
        mine.settimeout(20)
        assert results(mine, 1) == ([("K", "2.0.0", "[127.0.0.1]", "250 2.0.0 taken")], "R")
        assert converse(agent, mine, ["y@far.test"])[0][0][:2] == ("D", "5.1.1")
        got, mark = converse(agent, mine, ["z@far.test"], body=b"third\n")
        assert got[0][0] == "K" and mark == "R"
    wait_for(lambda: server.sessions[0].lines[-1:] == [b"QUIT\r\n"])
    verbs = [x.split()[0].split(b":")[0] for x in server.sessions[0].lines]
    assert verbs == b"EHLO MAIL RCPT DATA MAIL RCPT RSET MAIL RCPT DATA QUIT".split()
    assert len(server.sessions) == 1 and [m[-9:] for m in server.messages] == [b"\r\nhello\r\n", b"\r\nthird\r\n"]


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


@pytest.mark.parametrize("knows", [False, True])
def test_who_tells_of_success(suite, knows):
    """NOTIFY=SUCCESS to another host: a report "relayed" from here where it sends none itself, and none where it does."""
    server = Scripted({"EHLO": "250-far.test\r\n250 DSN\r\n" if knows else "250 far.test\r\n"})
    allow_relay(suite)
    suite.control("smtproutes", f":127.0.0.1:{server.port}")
    suite.start()
    with suite.smtp() as s:
        s.sendmail("u1@campus.test", ["x@far.test"], MESSAGE, ["RET=HDRS", "ENVID=e1"], ["NOTIFY=SUCCESS,FAILURE", "ORCPT=rfc822;x@far.test"])
    wait_for(lambda: server.messages)
    lines = b"".join(server.sessions[0].lines)
    if knows:
        assert b"RET=HDRS ENVID=e1" in lines and b"NOTIFY=SUCCESS,FAILURE ORCPT=rfc822;x@far.test" in lines
        wait_for(lambda: suite.json("queue", "list") == [])
        time.sleep(0.5)
        assert not suite.mails("u1")
    else:
        assert b"NOTIFY" not in lines and b"ENVID" not in lines
        assert b"\nAction: relayed\n" in suite.wait_mail("u1")[0]


def test_next_to_another_destination(remote):
    """A queue that was taken over cannot send mail of one destination by the connection of another; domains that go by one relay are one destination."""
    server, second = Scripted(), Scripted()
    agent = remote(server, smtproutes=f":127.0.0.1:{server.port}\nother.test:127.0.0.1:{second.port}")
    with agent.send(["x@far.test"], "far.test") as mine:
        results(mine, 1)
        assert converse(agent, mine, ["x@third.test"], destination="third.test")[0][0][0] == "K"
        assert len(server.sessions) == 1
        assert converse(agent, mine, ["x@other.test"], destination="other.test")[0][0][0] == "K"
        assert converse(agent, mine, ["y@FAR.test"], destination="FAR.test")[0][0][0] == "K"
    assert len(server.sessions) == 2 and len(second.sessions) == 1


def test_domains_of_one_relay_in_one_delivery(remote):
    """They go in one transaction; whose domain has another route by now waits, and nobody else."""
    server, second = Scripted(), Scripted()
    agent = remote(server, smtproutes=f":127.0.0.1:{server.port}\nother.test:127.0.0.1:{second.port}\nmx.test:")
    got = agent.deliver(["a@one.test", "b@two.test", "c@other.test", "d@mx.test", "e@one.test"], ["one.test", "two.test", "other.test", "mx.test", "one.test"])
    assert [g[:2] for g in got] == [("K", "2.0.0"), ("K", "2.0.0"), ("Z", "4.3.0"), ("Z", "4.3.0"), ("K", "2.0.0")]
    assert len(server.sessions) == 1 and not second.sessions
    assert [x for x in server.sessions[0].lines if x.startswith(b"RCPT")] == [b"RCPT TO:<a@one.test>\r\n", b"RCPT TO:<b@two.test>\r\n", b"RCPT TO:<e@one.test>\r\n"]


@pytest.fixture
def servfail():
    """A name server that knows nothing; its port."""
    s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    s.bind(("127.0.0.1", 0))

    def serve():
        try:
            while True:
                query, who = s.recvfrom(4096)
                if not query:
                    return
                s.sendto(query[:2] + b"\x81\x82" + query[4:], who)
        except OSError:
            return
    threading.Thread(target=serve, daemon=True).start()
    yield s.getsockname()[1]
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as end:
        end.sendto(b"", s.getsockname())


def test_name_that_no_server_resolves(suite, servfail):
    """A relay whose name cannot be looked up is a destination that was not reached: it is left alone after the second try."""
    allow_relay(suite)
    suite.control("resolver", f"127.0.0.1:{servfail}")
    suite.control("smtproutes", ":smart.far.test")
    suite.start()
    with suite.smtp() as s:
        for i in range(12):
            s.sendmail("u1@campus.test", [f"x@d{i}.test"], MESSAGE)
    wait_for(lambda: len([m for m in suite.json("queue", "list", "state=waiting") if m["attempts"] == 1]) == 12, 60)
    failing = suite.json("queue", "status")["destinations"]
    assert [d["name"] for d in failing] == ["smart.far.test:25"] and failing[0]["failures"] >= 2
    reasons = [e["text"] for e in suite.events("queue-deferred")]
    assert sum(r.startswith("not tried: an attempt shortly before failed") for r in reasons) >= 8, reasons


def test_used_connection_that_serves_no_more(remote):
    """Ended by the far side while it was idle, or answered 421 to MAIL, or gone at MAIL: the message goes by a fresh one, at once."""
    def once(reply):
        state = []

        def answer(talk):
            state.append(talk)
            return reply if len(state) == 2 else "250 2.1.0 ok\r\n"
        return answer
    for replies, pause in (({".": "250 2.0.0 taken\r\n"}, True), ({"MAIL": once("421 4.7.0 enough\r\n")}, False), ({"MAIL": once(None)}, False)):
        server = Scripted(replies)
        agent = remote(server)
        with agent.send(["x@far.test"], "far.test") as mine:
            assert results(mine, 1)[1] == "R"
            if pause:
                server.sessions[0].sock.shutdown(socket.SHUT_RDWR)
                time.sleep(0.2)
            got, mark = converse(agent, mine, ["y@far.test"])
            assert got[0][:2] == ("K", "2.0.0") and mark == "R", (got, replies)
        assert len(server.sessions) == 2 and len(server.messages) == 2
        agent.stop()


def test_used_connection_that_dies(remote):
    """In the middle of the second message: it waits; the agent is not ready for more."""
    def once(at):
        state = []

        def answer(talk):
            state.append(talk)
            return None if len(state) == at else OK_ANSWER
        return answer
    OK_ANSWER = "250 2.0.0 taken\r\n"
    server = Scripted({".": once(2)})
    agent = remote(server)
    with agent.send(["x@far.test"], "far.test") as mine:
        assert results(mine, 1)[1] == "R"
        got, mark = converse(agent, mine, ["y@far.test"])
        assert got[0][:2] == ("Z", "4.4.2") and "twice" in got[0][3] and mark == ""
        assert gone(mine)


def test_how_long_a_connection_is_used(remote):
    server = Scripted()
    agent = remote(server)
    with agent.send(["x@far.test"], "far.test") as mine:
        marks = [results(mine, 1)[1]] + [converse(agent, mine, ["x@far.test"])[1] for _ in range(199)]
        assert marks == ["R"] * 199 + [""]
        assert gone(mine)


def test_too_much_is_marked(remote):
    """421 as the greeting, at MAIL and after the message."""
    for replies, greeting, first in (({}, "421 4.7.0 too many\r\n", "Z"), ({"MAIL": "421 4.7.0 no\r\n"}, "220 far\r\n", "Z"), ({".": "421 4.3.2 off\r\n"}, "220 far\r\n", "Z")):
        agent = remote(Scripted(replies, greeting))
        with agent.send(["x@far.test"], "far.test") as mine:
            got, mark = results(mine, 1)
            assert got[0][0] == first and mark == "B", (got, mark)
        agent.stop()


def test_told_to_stop_while_ready(remote):
    """What the queue has sent before the agent left is delivered, whenever SIGTERM comes."""
    server = Scripted()
    for pause in (0, 0.001, 0.01, 0.1):
        agent = remote(server)
        with agent.send(["x@far.test"], "far.test") as mine:
            assert results(mine, 1)[1] == "R"
            t = threading.Thread(target=agent.stop)
            t.start()
            time.sleep(pause)
            before = len(server.messages)
            try:
                agent.send_on(mine, ["y@far.test"], "far.test")
            except BrokenPipeError:
                assert gone(mine)
            else:
                assert results(mine, 1)[0][0][0] == "K" and len(server.messages) == before + 1
            t.join()


def test_told_to_stop_with_a_delivery_before_it(remote):
    """SIGTERM and the next delivery wait for the worker at the same moment: it leaves, and delivers first."""
    server = Scripted()
    agent = remote(server)
    with agent.send(["x@far.test"], "far.test") as mine:
        mine.settimeout(20)
        assert results(mine, 1)[1] == "R"
        workers = children(agent.process.pid)
        for sig in (signal.SIGSTOP, signal.SIGTERM):
            for pid in workers:
                os.kill(pid, sig)
        agent.send_on(mine, ["y@far.test"], "far.test")
        for pid in workers:
            os.kill(pid, signal.SIGCONT)
        got, mark = results(mine, 1)
        assert got[0][0] == "K", got
        assert gone(mine) and len(server.messages) == 2


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


def allow_relay(suite):
    suite.control("tcp.smtp", '127.:allow,RELAYCLIENT=""\n:allow')


MESSAGE = b"From: u1@campus.test\r\nTo: x@far.test\r\nSubject: far\r\nMessage-ID: <r1@campus.test>\r\n\r\n.dot\r\nhello\r\n"


@pytest.fixture
def other(folder):
    """A second Postern, far.test, with TLS."""
    (folder / "b").mkdir()
    with ended(Suite(folder / "b")) as b:
        b.control("me", "mx.far.test")
        b.control("locals", "far.test")
        b.control("directory.ldif", (b.ctl / "directory.ldif").read_text().replace("campus.test", "far.test"))
        b.control("postmaster", "u1@far.test")
        b.control("servercert.pem", key_first(folder).read_bytes())
        yield b


def test_from_suite_to_suite(suite, other):
    """Over TLS; one recipient unknown there: the sender gets a report."""
    other.start()
    allow_relay(suite)
    suite.control("smtproutes", f":127.0.0.1:{other.port}")
    suite.control("maxrcpt", "1000")
    suite.start()
    code, text = suite.send("u1@campus.test", ["u2@far.test", "u3@far.test", "nobody@far.test", "u4@campus.test"], MESSAGE)
    assert code == 250
    for u in ("u2", "u3"):
        mail = other.wait_mail(u)[0]
        assert mail.endswith(b"\n\n.dot\nhello\n") and b"TLSv1.3" in mail
    suite.wait_mail("u4")
    report = suite.wait_mail("u1")[0]
    assert b"nobody@far.test" in report and b"5.1.1" in report and b"Remote-MTA" in report
    # one delivery for all recipients there
    assert len({e["id"] for e in other.events("queue-accepted")}) == 1
    session = suite.wait_event("remote-session")[0]
    assert session["rcpts"] == "3" and session["delivered"] == "2" and session["tls"].startswith("TLSv1.3")


def test_dead_destination_takes_no_workers(suite, other):
    """Twenty messages to a host that never answers; mail for another goes on at once."""
    dead = socket.socket()
    dead.bind(("127.0.0.1", 0))
    dead.listen(100)
    other.start()
    allow_relay(suite)
    suite.control("smtproutes", f"dead.test:127.0.0.1:{dead.getsockname()[1]}\n:127.0.0.1:{other.port}")
    suite.control("timeoutremote", "30")
    suite.start()
    for i in range(25):
        assert suite.send("u1@campus.test", f"x{i}@dead.test", MESSAGE)[0] == 250
    count = itertools.count(1)

    def one_more():
        assert suite.send("u1@campus.test", "u2@far.test", MESSAGE)[0] == 250
        other.wait_mail("u2", next(count), 60)
    within(10, one_more)
    dead.close()
    kill(suite.pids("remote"))


def thinks(seconds):
    def reply(talk):
        time.sleep(seconds)
        return "250 2.0.0 taken\r\n"
    return reply


def test_killed_under_load(suite):
    """Workers killed while they deliver: nothing that was acknowledged is lost; what came twice was cut off between dot and answer."""
    server = Scripted({".": thinks(0.02)})
    allow_relay(suite)
    suite.control("smtproutes", f":127.0.0.1:{server.port}")
    suite.start()
    rng = random.Random(3)

    def victim():
        pids = suite.pids("remote")
        return rng.sample(pids, min(1, len(pids)))
    with killed_meanwhile(victim, lambda: 0.05) as killed:
        sent = burst(suite, 150)
    all_there(server, sent)
    wait_for(lambda: suite.json("queue", "list") == [], 60)
    assert killed and len(server.messages) - len(sent) <= len(killed)


def burst(suite, count, domain="far.test", sessions=1):
    """COUNT messages with ids of their own, in one session."""
    sent = []
    with suite.smtp() as s:
        for i in range(count):
            s.sendmail("u1@campus.test", [f"x@{domain}"], MESSAGE.replace(b"<r1@", b"<k%d@" % i))
            sent.append(b"<k%d@campus.test>" % i)
    return sent


def all_there(server, sent, seconds=60):
    wait_for(lambda: all(any(m in x for x in server.messages) for m in sent), seconds,
             lambda: f"{sum(not any(m in x for x in server.messages) for m in sent)} of {len(sent)} are missing")


def test_connections_seen_from_the_far_side(suite):
    """300 messages: few connections, each for many; each message once."""
    server = Scripted()
    allow_relay(suite)
    suite.control("smtproutes", f":127.0.0.1:{server.port}")
    suite.start()
    sent = burst(suite, 300)
    all_there(server, sent)
    wait_for(lambda: suite.json("queue", "list") == [])
    assert len(server.messages) == 300
    assert len(server.sessions) <= 30, [len(t.messages) for t in server.sessions]
    wait_for(lambda: all(t.lines[-1:] == [b"QUIT\r\n"] for t in server.sessions))
    # every transaction is in the log with its place on the connection
    wait_for(lambda: max(int(e["nth"]) for e in suite.events("remote-session")) >= 10)
    # the workers leave again
    wait_for(lambda: len(suite.pids("remote")) <= 2, 30, lambda: f"{len(suite.pids('remote'))} processes")


def test_far_side_that_dies_in_the_middle(suite):
    """Connections that end in the middle of a message, at RCPT, or between the final dot and its answer, some used before: nothing is lost, and twice comes
    only what was cut off in that last window."""
    rng, lock, cut = random.Random(5), threading.Lock(), []

    def at(verb, ok, share):
        def answer(talk):
            with lock:
                if rng.random() < share:
                    if verb == ".":
                        cut.append(talk.message)
                    return None
            return ok
        return answer

    server = Scripted({"RCPT": at("RCPT", "250 ok\r\n", 0.02), "DATA": at("DATA", "354 go on\r\n", 0.02), ".": at(".", "250 2.0.0 taken\r\n", 0.03)})
    allow_relay(suite)
    suite.control("smtproutes", f":127.0.0.1:{server.port}")
    suite.start()
    sent = burst(suite, 200)
    end = time.monotonic() + 90
    while suite.json("queue", "list") != [] and time.monotonic() < end:
        suite.postern("queue", "retry", "all")
        time.sleep(0.3)
    all_there(server, sent, 1)
    assert cut and len(server.messages) - len(sent) <= len(cut)
    assert any(len(t.messages) > 3 for t in server.sessions)


def test_far_side_that_takes_three_at_once(suite):
    """More connections are greeted with 421: everything goes through nevertheless, without waiting for another attempt."""
    lock, now = threading.Lock(), [0, 0]

    class Three(Scripted):
        def _serve(self, sock):
            with lock:
                now[0] += 1
                now[1] += now[0] > 3
                full = now[0] > 3
            try:
                if full:
                    sock.sendall(b"421 4.7.0 too many connections from you\r\n")
                    sock.close()
                else:
                    super()._serve(sock)
            finally:
                with lock:
                    now[0] -= 1

    server = Three({".": thinks(0.01)})
    allow_relay(suite)
    suite.control("smtproutes", f":127.0.0.1:{server.port}")
    suite.control("holdremote", "1")
    suite.start()
    sent = burst(suite, 200)
    suite.control("holdremote", "0")  # all are there to be sent at once, however slowly they came
    suite.reload()
    all_there(server, sent)
    wait_for(lambda: suite.json("queue", "list") == [])
    assert len(server.messages) == 200 and now[1] > 0
    assert not suite.events("queue-deferred")


@pytest.mark.parametrize("proven", [False, True])
def test_two_hundred_dead_destinations(suite, proven):
    """200 hosts that take connections and say nothing: mail for another one goes on, at once where it was reached before."""
    dead = socket.create_server(("127.0.0.1", 0), backlog=1000)
    server = Scripted()
    allow_relay(suite)
    suite.control("smtproutes", f".dead.test:127.0.0.1:{dead.getsockname()[1]}\n:127.0.0.1:{server.port}")
    suite.control("timeoutremote", "30")
    suite.start()
    if proven:
        suite.send("u1@campus.test", "x@far.test", MESSAGE)
        wait_for(lambda: server.messages)
    with suite.smtp() as s:
        for i in range(200):
            s.sendmail("u1@campus.test", [f"x@d{i}.dead.test"], MESSAGE)
        time.sleep(1)

        def five_more():
            want = len(server.messages) + 5
            for i in range(5):
                s.sendmail("u1@campus.test", ["x@far.test"], MESSAGE)
            wait_for(lambda: len(server.messages) == want, 60)
        within(2 if proven else 10, five_more)
    dead.close()
    kill(suite.pids("remote"))


@pytest.mark.skipif(dovecot.WHY_NOT is not None, reason=dovecot.WHY_NOT or "")
@pytest.mark.parametrize("by", ["tcp", "unix"])
def test_dovecot(suite, folder, by):
    """Into Dovecot by LMTP; a user that the directory knows and Dovecot does not: the sender gets a report."""
    mail = folder / "dovecot-mail"
    mail.mkdir()
    os.chmod(mail, 0o777)
    d = dovecot.Dovecot(folder / "dovecot", mail, "nobody", users=["u2", "u3"]).start()
    try:
        suite.control("locals", "campus.test\nhome.test")
        suite.control("lmtproutes", f"campus.test:127.0.0.1:{d.lmtp_port}" if by == "tcp" else f"campus.test:unix:{d.lmtp}")
        suite.control("directory.ldif", (suite.ctl / "directory.ldif").read_text() + "\n" + person("h", "mail: h@home.test", mail=False))
        suite.start()
        assert suite.send("h@home.test", ["u2@campus.test", "u3@campus.test", "u4@campus.test"], MESSAGE)[0] == 250

        def there(user):
            return [f.read_bytes() for f in (mail / user / "Maildir").glob("new/*")]
        for user in ("u2", "u3"):
            assert wait_for(lambda: there(user))[0].endswith(b"\n.dot\nhello\n") or b".dot\r\nhello\r\n" in there(user)[0]
        report = suite.wait_mail("h")[0]
        assert b"u4@campus.test" in report and b"5.1.1" in report
        assert not suite.mails("u2") and len(there("u2")) == 1
    finally:
        d.stop()
