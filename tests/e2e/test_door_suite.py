"""The door in the whole suite: its rules in the message's trace and in sessions, limits over time, reload and death under clients."""
import os
import re
import signal
import smtplib
import socket
import time

import pytest

from certificates import NO_CHECK, certificate
from conftest import free_port, wait_for
from door_alone import rest


class Proxied(smtplib.SMTP):
    def _get_socket(self, *args):
        s = super()._get_socket(*args)
        s.sendall(b"PROXY TCP4 203.0.113.9 192.0.2.1 4000 25\r\n")
        return s


def test_in_the_suite(suite):
    """Rules and PROXY headers through to the message's trace; reload; a door that was killed."""
    suite.control("servercert.pem", certificate(suite.folder, "one.test"))
    proxied = free_port()
    suite.control("listen", f"smtp 127.0.0.1:{suite.port}\nsmtp 127.0.0.1:{proxied} proxy")
    suite.control("tcp.smtp", '203.0.113.9:allow,DATABYTES="2000"\n127.0.0.2:deny\n:allow')
    suite.start()
    with Proxied("127.0.0.1", proxied, timeout=60) as c:
        c.ehlo("x.test")
        assert c.esmtp_features["size"] == "2000"
        c.sendmail("a@far.test", ["u1@campus.test"], b"Subject: x\r\n\r\nhello\r\n")
    assert b"[203.0.113.9]" in suite.wait_mail("u1")[0]
    with socket.create_connection(("127.0.0.1", suite.port), 10, ("127.0.0.2", 0)) as s:
        assert rest(s) == b""

    def presented():
        with suite.smtp() as c:
            c.starttls(context=NO_CHECK)
            return c.sock.getpeercert(True)
    first = presented()
    suite.control("servercert.pem", certificate(suite.folder, "two.test"))
    suite.control("tcp.smtp", "127.0.0.3:deny\n:allow")
    suite.reload()

    def replaced():
        try:
            return presented() != first
        except smtplib.SMTPException:  # a session of the program that is being replaced: 421
            return False
    wait_for(replaced, why="the new certificate is not used")

    def closed(source):
        with socket.create_connection(("127.0.0.1", suite.port), 60, (source, 0)) as s:
            return s.recv(3) == b""
    wait_for(lambda: closed("127.0.0.3"), why="the new rules do not count")
    with socket.create_connection(("127.0.0.1", suite.port), 10, ("127.0.0.2", 0)) as s:
        assert s.recv(3) == b"220"
    with suite.smtp() as before:
        os.kill(suite.pids("door")[0], signal.SIGKILL)
        assert before.noop()[0] == 250  # sessions go on without their door
        with suite.smtp() as after:
            assert after.noop()[0] == 250
    assert suite.stop() == 0


def test_limits_over_time_in_the_suite(suite):
    """Within a session what is left counts; the next connection is told when it may come again."""
    suite.control("messagesperip", "3/600")
    suite.control("recipientsperip", "5/600")
    suite.start()
    with suite.smtp() as c:
        for _ in range(2):
            c.sendmail("a@far.test", ["u1@campus.test", "u2@campus.test"], b"Subject: x\r\n\r\nhello\r\n")
        assert c.mail("a@far.test")[0] == 250 and c.rcpt("u1@campus.test")[0] == 250
        code, text = c.rcpt("u2@campus.test")
        assert code == 451 and re.fullmatch(r"4\.7\.0 too much from your address or network \(recipientsperip 5 of 5 in 600 s, again in 1[012]\d s\) \w{13}", text.decode()), text
        c.data(b"Subject: x\r\n\r\nhello\r\n")
        code, text = c.mail("a@far.test")
        assert code == 451 and b"messagesperip 3 of 3 in 600 s" in text
        assert c.noop()[0] == 250

    def greeting():
        with socket.create_connection(("127.0.0.1", suite.port), 60) as s:
            return s.recv(300)
    wait_for(lambda: greeting().startswith(b"421 4.7.0 too much from your address or network (messagesperip 3 of 3 in 600 s, again in"))


def test_door_says_how_many_there_are(suite):
    """postern door: sessions and waiting clients of each door; 1 when one is full."""
    suite.control("listen", f"smtp 127.0.0.1:{suite.port}\nqmqp 127.0.0.1:{free_port()}")
    suite.control("concurrencyincoming", "2")
    suite.control("tcp.smtp", '127.0.0.5:allow,GREETDELAY="60"\n:allow')
    suite.start()
    none = {"sessions": 0, "most_sessions": 2, "waiting": 0, "most_waiting": 10000, "addresses": 0, "blocked": 0}
    assert suite.json("door") == [{"door": "outside", **none}, {"door": "cluster", **none}]
    with suite.smtp(), socket.create_connection(("127.0.0.1", suite.port), 60, ("127.0.0.5", 0)):
        assert wait_for(lambda: suite.json("door")[0]["waiting"] and suite.json("door")[0]) == {"door": "outside", **none, "sessions": 1, "waiting": 1, "addresses": 3}
        with suite.smtp():
            got = suite.postern("door", check=1).stdout.splitlines()
            assert got[0].split() == ["DOOR", "SESSIONS", "OF", "WAITING", "OF", "ADDRESSES", "BLOCKED"]
            assert got[1].split() == ["outside", "2", "2", "1", "10000", "3", "0"]


def test_a_recipient_that_does_not_exist_counts_once(suite):
    """It is an error of the session as well, and not another one of the address."""
    suite.control("errorsperip", "3/86400")
    suite.start()
    with suite.smtp() as c:
        c.ehlo("x.test"), c.mail("a@far.test")
        assert [c.rcpt(f"nobody{i}@campus.test")[0] for i in range(3)] == [550] * 3

    def refusal():
        with socket.create_connection(("127.0.0.1", suite.port), 60) as s:
            line = s.recv(300)
        return line if line.startswith(b"421") else None
    assert b"(errorsperip 3 of 3 in 86400 s, again in" in wait_for(refusal)


def test_reload_leaves_sessions_and_waiting_clients_alone(suite):
    """SIGHUP: an idle session, a message in progress and a client in its greet delay go on, the last also when control/listen changes; a stop still
    tells them to come again."""
    suite.control("tcp.smtp", '127.0.0.5:allow,GREETDELAY="4"\n:allow')
    suite.start()
    with suite.smtp() as idle, suite.smtp() as busy:
        idle.ehlo("x.test")
        busy.ehlo("x.test"), busy.mail("a@far.test"), busy.rcpt("u1@campus.test")
        busy.putcmd("data")
        assert busy.getreply()[0] == 354
        waiting = socket.create_connection(("127.0.0.1", suite.port), 60, ("127.0.0.5", 0))
        time.sleep(0.3)
        old = set(suite.pids("smtpd"))
        for change in ("", f"\nsmtp 127.0.0.1:{free_port()}"):
            suite.control("listen", f"smtp 127.0.0.1:{suite.port}{change}")
            suite.reload()
            wait_for(lambda: len(suite.events("reloaded")) == (2 if change else 1))
            wait_for(lambda: suite.smtp().quit())  # the new one serves
        time.sleep(1)
        busy.send(b"Subject: x\r\n\r\nacross a reload\r\n.\r\n")
        assert busy.getreply()[0] == 250
        idle.sendmail("a@far.test", ["u2@campus.test"], b"Subject: x\r\n\r\nafter a reload\r\n")
        assert waiting.recv(100).startswith(b"220 ")
        assert old & set(suite.pids("smtpd"))
        busy.quit()
        assert idle.noop()[0] == 250
        begin = time.monotonic()
        suite.process.send_signal(signal.SIGTERM)
        idle.sock.settimeout(60)
        assert idle.file.readline().startswith(b"421 4.3.2 the service is being restarted")
        suite.process.wait(60)
        assert time.monotonic() - begin < 12
    waiting.close()
    assert suite.wait_mail("u2")


def test_rules_about_tls(suite):
    """DENY_TLS, FORCE_TLS and their aliases; both together serve nobody."""
    suite.control("servercert.pem", certificate(suite.folder, "one.test"))
    suite.control("tcp.smtp", '127.0.0.2:allow,DENY_TLS="1"\n127.0.0.3:allow,DISABLETLS="1"\n127.0.0.4:allow,FORCE_TLS="1"\n127.0.0.5:allow,FORCETLS="1"\n'
                  '127.0.0.6:allow,FORCE_TLS="1",DENY_TLS="1"\n:allow')
    suite.start()

    def session(n):
        return smtplib.SMTP("127.0.0.1", suite.port, timeout=60, source_address=(f"127.0.0.{n}", 0))
    for n, offered, code in ((1, True, 250), (2, False, 250), (3, False, 250), (4, True, 530), (5, True, 530)):
        with session(n) as c:
            c.ehlo("x.test")
            assert c.has_extn("starttls") == offered and c.mail("a@far.test")[0] == code, n
            if offered:
                c.rset()
                c.starttls(context=NO_CHECK)
                c.ehlo("x.test")
                assert c.mail("a@far.test")[0] == 250, n
    with pytest.raises(smtplib.SMTPConnectError) as e:
        session(6)
    assert e.value.smtp_code == 421 and b"inside TLS alone" in e.value.smtp_error
    assert "FORCE_TLS is set" in suite.wait_event("smtpd-refused")[0]["error"]
    got = suite.postern("check")
    assert "FORCETLS is taken as FORCE_TLS" in got.stdout + got.stderr
