"""SMTP sessions of the whole suite, with clients that others wrote: smtplib, swaks, openssl."""
import shutil
import signal
import smtplib
import socket
import ssl
import subprocess
import time

import pytest

from certificates import certificate
from conftest import wait_for
from processes import at_once, killed_meanwhile

HEADER = b"From: a@far.test\r\nTo: u1@campus.test\r\nSubject: s\r\nDate: Sun, 22 Nov 2026 10:00:00 +0000\r\nMessage-ID: <1@far.test>\r\n\r\n"


@pytest.fixture(scope="module")
def pem(tmp_path_factory):
    """What the server has, and the file that a client trusts."""
    d = tmp_path_factory.mktemp("cert")
    return certificate(d), d / "mx1.campus.test.crt"


@pytest.fixture
def tls_suite(suite, pem):
    suite.control("servercert.pem", pem[0])
    (suite.ctl / "servercert.pem").chmod(0o600)
    return suite.start()


def raw(suite):
    s = socket.create_connection(("127.0.0.1", suite.port), timeout=60)
    f = s.makefile("rb")
    assert f.readline().startswith(b"220 ")
    return s, f


def into_data(s, f, to):
    for command, code in ("EHLO x", b"250"), ("MAIL FROM:<a@far.test>", b"250"), (f"RCPT TO:<{to}>", b"250"), ("DATA", b"354"):
        s.sendall(command.encode() + b"\r\n")
        while (line := f.readline())[3:4] == b"-":
            pass
        assert line.startswith(code), line


def test_starttls_by_smtplib(tls_suite, pem):
    s = tls_suite.smtp()
    s.ehlo()
    assert s.has_extn("starttls") and s.has_extn("pipelining") and s.esmtp_features["size"] == "67108864"
    s._host = "mx1.campus.test"
    s.starttls(context=ssl.create_default_context(cafile=str(pem[1])))
    assert s.docmd("MAIL FROM:<a@far.test>")[0] == 503, "EHLO is required again"
    s.ehlo()
    assert not s.has_extn("starttls")
    s.sendmail("a@far.test", ["u1@campus.test"], HEADER + b"inside TLS\r\n")
    s.quit()
    mail = tls_suite.wait_mail("u1")[0]
    assert mail.endswith(b"inside TLS\n") and b"with ESMTPS id" in mail and b"(TLSv1.3 " in mail


def test_no_certificate_no_starttls(suite):
    suite.start()
    s = suite.smtp()
    s.ehlo()
    assert not s.has_extn("starttls") and s.docmd("STARTTLS")[0] == 502


def test_deny_tls(suite, pem):
    suite.control("servercert.pem", pem[0])
    suite.control("tcp.smtp", '127.:allow,DENY_TLS="1"')
    suite.start()
    s = suite.smtp()
    s.ehlo()
    assert not s.has_extn("starttls") and s.docmd("STARTTLS")[0] == 502


def test_starttls_injection(tls_suite):
    """RFC 3207 4.2, CVE-2011-0411: a command behind STARTTLS in clear text is obeyed by nobody."""
    for gap in (None, 0, 0.005, 0.02, 0.05):
        s, f = raw(tls_suite)
        s.sendall(b"EHLO x\r\n")
        while f.readline()[3:4] == b"-":
            pass
        if gap is None:
            s.sendall(b"STARTTLS\r\nMAIL FROM:<evil@far.test>\r\n")
        else:
            s.sendall(b"STARTTLS\r\n")
            time.sleep(gap)
            try:
                s.sendall(b"MAIL FROM:<evil@far.test>\r\n")
            except OSError:
                pass
        line = f.readline()
        assert line[:3] in (b"554", b"220")
        try:
            rest = f.read()
        except ConnectionResetError:
            rest = b""
        assert b"250" not in rest and b"503" not in rest, rest
        s.close()
    assert "evil" not in "".join(e.get("sender", "") for e in tls_suite.events("smtpd-handed"))


def test_tls_of_http_client_is_closed(suite):
    suite.start()
    p = subprocess.run(["python3", "-c", f"import urllib.request; urllib.request.urlopen('http://127.0.0.1:{suite.port}/', timeout=10)"],
                       capture_output=True, text=True)
    assert p.returncode != 0
    assert suite.wait_event("smtpd-reject")[0]["verb"] == "foreign"


def swaks(suite, *args):
    return subprocess.run(["swaks", "--server", "127.0.0.1", "--port", str(suite.port), "--helo", "client.test", "--from", "a@far.test", *args],
                          capture_output=True, text=True, timeout=60)


@pytest.mark.skipif(not shutil.which("swaks"), reason="swaks is not installed")
def test_swaks(tls_suite):
    for options in ([], ["--pipeline"], ["--tls"], ["--tls", "--pipeline"], ["--protocol", "SMTP"]):
        p = swaks(tls_suite, "--to", "u1@campus.test,u2@campus.test", *options)
        assert p.returncode == 0, (options, p.stdout)
    assert len(tls_suite.wait_mail("u1", 5)) == 5 and len(tls_suite.wait_mail("u2", 5)) == 5
    p = swaks(tls_suite, "--to", "nobody@campus.test")
    assert p.returncode == 24 and "550 5.1.1 <nobody@campus.test>" in p.stdout
    p = swaks(tls_suite, "--to", "x@elsewhere.test")
    assert p.returncode == 24 and "550 5.7.1" in p.stdout


def test_smuggling_never_reaches_a_mailbox(suite):
    suite.start()
    for end in (b"\n.\n", b"\n.\r\n", b"\r\n.\n", b"\r.\r\n", b"\r\n.\r", b"\r\n\0.\r\n", b"\r\n.\0\r\n"):
        s, f = raw(suite)
        into_data(s, f, "u3@campus.test")
        s.sendall(HEADER + b"one" + end + b"MAIL FROM:<evil@far.test>\r\nRCPT TO:<u3@campus.test>\r\nDATA\r\n" + HEADER + b"two\r\n.\r\n")
        assert f.readline().startswith(b"550 5.6.0 ") and f.read() == b"", end
        s.close()
    assert suite.send("a@far.test", "u3@campus.test", HEADER + b"plain\r\n")[0] == 250
    assert len(suite.wait_mail("u3")) == 1 and suite.wait_mail("u3")[0].endswith(b"plain\n")


def test_one_id_in_reply_and_log(suite):
    suite.start()
    s = suite.smtp()
    s.ehlo()
    s.mail("a@far.test")
    code, text = s.rcpt("nobody@campus.test")
    id = text.split()[-1].decode()
    event = suite.wait_event("smtpd-reject", id)[0]
    assert code == 550 and event["reply"].startswith("550 5.1.1") and event["sender"] == "a@far.test"


def test_relayclient(suite):
    suite.control("tcp.smtp", '127.:allow,RELAYCLIENT=""\n:allow')
    suite.start()
    assert suite.send("u1@campus.test", "friend@elsewhere.test", HEADER + b"x\r\n")[0] == 250


def test_databytes_of_a_rule(suite):
    suite.control("tcp.smtp", '127.:allow,DATABYTES="2000"')
    suite.start()
    assert suite.send("a@far.test", "u1@campus.test", HEADER + b"x" * 3000 + b"\r\n")[1].startswith("5.3.4")


def test_killed_sessions_lose_nothing(suite):
    """Sessions are killed all the time while clients send and retry: what got 250 lies there, and so does every message in the end."""
    suite.control("inflightbytes", "4194304")
    suite.start()
    sent = [[] for _ in range(4)]

    def client(k, kills):
        for i in range(400):
            if i >= 15 and len(kills) >= 12:
                return
            code = 0
            while code != 250:
                try:
                    code, _ = suite.send("a@far.test", f"u{k + 1}@campus.test", HEADER + f"number-{k}-{i}\r\n".encode() + b"y" * 20000 + b"\r\n")
                except (smtplib.SMTPException, OSError):
                    pass
            sent[k].append(i)

    with killed_meanwhile(lambda: suite.pids("smtpd")[1:2], lambda: 0.005) as kills:
        at_once(lambda k: client(k, kills), range(4))
    for user in range(4):
        assert len(sent[user]) >= 15
        wait_for(lambda: all(any(f"number-{user}-{i}\n".encode() in m for m in suite.mails(f"u{user + 1}")) for i in sent[user]), 60)
    suite.wait_event("smtpd-killed")
    # what the dead sessions had counted was given back
    wait_for(lambda: suite.send("a@far.test", "u9@campus.test", HEADER + (b"z" * 70 + b"\r\n") * 50000)[0] == 250)


def test_reload_lets_a_message_come_in(suite):
    suite.start()
    s, f = raw(suite)
    into_data(s, f, "u4@campus.test")
    idle = suite.smtp()
    idle.ehlo()
    suite.control("smtpgreeting", "the new one")
    suite.reload()
    wait_for(lambda: b"the new one" in greeting(suite), 20)
    assert idle.noop()[0] == 250  # an idle session goes on too
    s.sendall(HEADER + b"through the reload\r\n.\r\n")
    assert f.readline().startswith(b"250 2.0.0 ok ")
    assert suite.wait_mail("u4")[0].endswith(b"through the reload\n")


def greeting(suite):
    s = socket.create_connection(("127.0.0.1", suite.port), timeout=60)
    line = s.recv(1000)
    s.close()
    return line


def test_stop_waits_for_a_message(suite):
    suite.start()
    s, f = raw(suite)
    into_data(s, f, "u5@campus.test")
    s.sendall(HEADER)
    suite.process.send_signal(signal.SIGTERM)
    time.sleep(0.5)
    s.sendall(b"before the stop\r\n.\r\n")
    assert f.readline().startswith(b"250 2.0.0 ok ") and f.readline().startswith(b"421 4.3.2")
    assert suite.process.wait(60) == 0
