"""Mail to other hosts by the whole suite: a second suite, Dovecot by LMTP, hosts that die, are dead or take little, and how many connections they see."""
import itertools
import os
import random
import socket
import threading
import time

import pytest

import dovecot
from certificates import key_first
from conftest import Suite, ended, wait_for
from processes import kill, killed_meanwhile
from remote_alone import MESSAGE, allow_relay
from slapd import person
from smtp_server import Scripted
from timing import within


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
        while len(killed) < 5:
            sent += burst(suite, 50, first=len(sent))
    all_there(server, sent)
    wait_for(lambda: suite.json("queue", "list") == [], 60)
    assert len(server.messages) - len(sent) <= len(killed)


def burst(suite, count, domain="far.test", first=0):
    """COUNT messages with ids of their own, numbered from FIRST, in one session."""
    sent = []
    with suite.smtp() as s:
        for i in range(first, first + count):
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
    assert not [e for e in suite.events("queue-deferred") if "paused" not in e["text"]]


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
