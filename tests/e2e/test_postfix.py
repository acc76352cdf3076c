"""Postfix on the other side: mail to it by SMTP with TLS and by QMQP, and its own test tools as sinks and sources, octet for octet."""
import os
import shutil
import socket
import threading

import pytest

import postfix
from certificates import key_first
from conftest import LDIF, free_port, wait_for

pytestmark = pytest.mark.skipif(os.geteuid() != 0 or not shutil.which("dpkg") or not postfix.unpack(), reason="Postfix as root, from Debian's package")

BODY = b"hello\r\n.dot\r\n..\r\n" + b"x" * 900 + b"\r\n\r\n" + "Grüße\r\n".encode() + b"end\r\n"
MESSAGE = b"From: u1@campus.test\r\nTo: x@far.test\r\nSubject: far\r\nMessage-ID: <p@campus.test>\r\n\r\n" + BODY


@pytest.fixture
def far(folder, suite):
    f = postfix.FarPostfix(folder, key_first(folder), suite.port)
    yield f
    f.stop()


def sends(suite):
    suite.control("tcp.smtp", '127.:allow,RELAYCLIENT=""\n:allow')
    suite.control("directory.ldif", LDIF.replace("mail: u7@campus.test\n", "mail: u7@campus.test\nmailHost: mx.far.test\n"))


def test_mail_to_postfix(suite, far):
    """Over TLS, as Postfix says in its own field; one recipient unknown there is reported; several messages by one connection."""
    sends(suite)
    suite.control("smtproutes", f":127.0.0.1:{far.port}")
    suite.start()
    with suite.smtp() as s:
        s.sendmail("u1@campus.test", ["x@far.test", "y@far.test", "nobody@far.test"], MESSAGE)
        for _ in range(20):
            s.sendmail("u1@campus.test", ["y@far.test"], MESSAGE)
    wait_for(lambda: len(far.mails("x")) == 1 and len(far.mails("y")) == 21, 30, lambda: f"{len(far.mails('x'))} and {len(far.mails('y'))} are there")
    for mail in far.mails("x") + far.mails("y"):
        assert mail.endswith(b"\n\n" + BODY.replace(b"\r\n", b"\n"))
        assert b"by mx.far.test (Postfix) with ESMTPS" in mail and b"(using TLSv1.3 with cipher" in mail
    assert b"<nobody@far.test>" in suite.wait_mail("u1")[0]
    assert all(e["tls"].startswith("TLSv1.3") for e in suite.events("remote-session"))
    wait_for(lambda: max(int(e["nth"]) for e in suite.events("remote-session")) > 1)


DOMAINS = [f"d{i}.test" for i in range(40)]


@pytest.fixture
def smarthost(folder, suite):
    f = postfix.FarPostfix(folder, key_first(folder), suite.port, DOMAINS)
    yield f
    f.stop()


def test_smarthost_is_one_destination(suite, smarthost):
    """All mail by one relay: connections are kept across domains, and a message to many domains is one transaction."""
    sends(suite)
    suite.control("smtproutes", f":127.0.0.1:{smarthost.port}")
    suite.start()
    with suite.smtp() as s:
        s.sendmail("u1@campus.test", [f"x@{d}" for d in DOMAINS], MESSAGE)
    wait_for(lambda: len(smarthost.mails("x")) == 40, 30, lambda: f"{len(smarthost.mails('x'))} are there")
    assert smarthost.connections() == 1
    assert [e["rcpts"] for e in suite.wait_event("remote-session")] == ["40"]
    with suite.smtp() as s:
        for i in range(200):
            s.sendmail("u1@campus.test", [f"y@{DOMAINS[i % 40]}"], MESSAGE)
    wait_for(lambda: len(smarthost.mails("y")) == 200, 30, lambda: f"{len(smarthost.mails('y'))} are there")
    assert smarthost.connections() <= 1 + 10, smarthost.connections()  # half of concurrencyremote for one destination
    wait_for(lambda: suite.json("queue", "list") == [])


def test_smarthost_away(suite, smarthost):
    """A relay that cannot be reached is one failing destination; mail by another relay and by the same names goes on."""
    sends(suite)
    dead = free_port()
    suite.control("smtproutes", f":127.0.0.1:{dead}\n" + "\n".join(f"{d}:127.0.0.1:{smarthost.port}" for d in DOMAINS[:5]))
    suite.start()
    with suite.smtp() as s:
        for d in DOMAINS[5:]:
            s.sendmail("u1@campus.test", [f"x@{d}"], MESSAGE)
        s.sendmail("u1@campus.test", [f"y@{d}" for d in DOMAINS[:5]], MESSAGE)
    wait_for(lambda: len(smarthost.mails("y")) == 5)
    wait_for(lambda: len(suite.json("queue", "list", "state=waiting")) == 35)
    failing = suite.json("queue", "status")["destinations"]
    assert [(d["name"], d["agent"]) for d in failing] == [(f"127.0.0.1:{dead}", "smtp")]
    assert len(suite.events("remote-failed")) <= 4  # after the second it was left alone
    for host in (f"127.0.0.1:{dead}", "127.0.0.1"):
        assert len(suite.json("queue", "list", f"host={host}")) == 35
    top = suite.json("queue", "top", "--by", "destination")
    assert [(t["key"], t["messages"]) for t in top] == [(f"127.0.0.1:{dead}", 35)]
    # the administrator gives them another relay: what waits goes there
    suite.control("smtproutes", f":127.0.0.1:{smarthost.port}")
    suite.reload()
    wait_for(lambda: suite.postern("queue", "retry", "all") and len(smarthost.mails("x")) == 35, 30, lambda: f"{len(smarthost.mails('x'))} are there")


def test_success_is_told_by_postfix(suite, far):
    """Postfix knows DSN: what was asked goes on to it, nothing is reported here, and Postfix's report has it all."""
    sends(suite)
    suite.control("smtproutes", f":127.0.0.1:{far.port}")
    suite.start()
    with suite.smtp() as s:
        s.sendmail("u1@campus.test", ["x@far.test"], MESSAGE, ["ENVID=e1"], ["NOTIFY=SUCCESS", "ORCPT=rfc822;old@far.test"])
    wait_for(lambda: far.mails("x"), 30)
    report = suite.wait_mail("u1", seconds=30)[0]
    assert b"Reporting-MTA: dns; mx.far.test" in report and b"Original-Envelope-Id: e1" in report
    assert b"Original-Recipient: rfc822;old@far.test" in report and b"Action: delivered" in report
    wait_for(lambda: suite.json("queue", "list") == [])
    assert len(suite.mails("u1")) == 1 and not suite.events("queue-bounced")


def test_qmqp_to_postfix(suite, far):
    """postern-qmqpc to Postfix's qmqpd: the octets are the same."""
    sends(suite)
    suite.control("qmqproutes", f"mx.far.test:127.0.0.1:{far.qmqp}")
    suite.control("directory.ldif", LDIF.replace("mail: u7@campus.test\n", "mail: x@far.test\nmailHost: mx.far.test\n"))
    suite.control("locals", "campus.test\nfar.test")
    suite.start()
    assert suite.send("u1@campus.test", "x@far.test", MESSAGE)[0] == 250
    mail = wait_for(lambda: far.mails("x"), 30)[0]
    assert mail.endswith(b"\n\n" + BODY.replace(b"\r\n", b"\n")) and b"with QMQP id" in mail
    assert b"Delivered-To: CLUSTERHOST mx1.campus.test" in mail
    wait_for(lambda: suite.json("queue", "list") == [])


def test_smtp_sink(suite, folder):
    """100 messages, each once, by few connections, all of them ended with QUIT."""
    sends(suite)
    sink = postfix.Sink(folder, "smtp-sink")
    try:
        suite.control("smtproutes", f":127.0.0.1:{sink.port}")
        suite.start()
        with suite.smtp() as s:
            for _ in range(100):
                s.sendmail("u1@campus.test", ["x@far.test"], MESSAGE)
        wait_for(lambda: sink.seen().get("mesg") == 100, 30, lambda: str(sink.seen()))
        wait_for(lambda: (n := sink.seen())["quit"] == n["sess"])
        assert sink.seen()["mesg"] == 100 and sink.seen()["sess"] <= 25, sink.seen()
    finally:
        sink.stop()


def test_qmqp_sink(suite, folder):
    sends(suite)
    sink = postfix.Sink(folder, "qmqp-sink")
    try:
        suite.control("qmqproutes", f"mx.far.test:127.0.0.1:{sink.port}")
        suite.start()
        with suite.smtp() as s:
            for _ in range(50):
                s.sendmail("u1@campus.test", ["u7@campus.test"], MESSAGE)
        wait_for(lambda: sink.seen()["mesg"] == 50, 30, lambda: str(sink.seen()))
        wait_for(lambda: suite.json("queue", "list") == [])
        assert not suite.events("queue-deferred") and sink.seen()["mesg"] == 50
    finally:
        sink.stop()


def source(port, count):
    return postfix.tool("qmqp-source", "-s", 5, "-m", count, "-l", 3000, "-f", "a@far.test", "-t", "u3@campus.test", f"127.0.0.1:{port}").wait(60)


def what_it_sends():
    """One message of qmqp-source, as it is on the wire."""
    got = []

    def serve():
        s, _ = listener.accept()
        with s:
            data = b""
            while b":" not in data or len(data) < int(data.split(b":")[0]) + len(data.split(b":")[0]) + 2:
                data += s.recv(65536)
            got.append(data)
            s.sendall(b"3:Kok,")
    with socket.create_server(("127.0.0.1", 0)) as listener:
        t = threading.Thread(target=serve)
        t.start()
        assert source(listener.getsockname()[1], 1) == 0
        t.join()
    inner = got[0].split(b":", 1)[1]
    n, rest = inner.split(b":", 1)
    return rest[:int(n)]


def test_qmqp_source(suite):
    """What Postfix's own source sends lies in the Maildir octet for octet behind the fields that are put in front."""
    from conftest import free_port
    port = free_port()
    suite.control("listen", f"smtp 127.0.0.1:{suite.port}\nqmqp 127.0.0.1:{port}")
    suite.control("tcp.qmqp", "127.:allow")
    suite.start()
    sent = what_it_sends()
    assert source(port, 60) == 0
    mails = suite.wait_mail("u3", 60, 30)
    assert len(mails) == 60
    for m in mails:
        header, body = m[m.index(b"From: <a@far.test>\n"):].split(b"\n\n", 1)
        assert len(header) + 2 + len(body) == len(sent) == 3000  # its own process id is in the header, and the body makes up for it
        assert body[:2800] == sent.split(b"\n\n", 1)[1][:2800] and set(body[2800:]) <= set(b"X\n") and body.endswith(b"X\n")
