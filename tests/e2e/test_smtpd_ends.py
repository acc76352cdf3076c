"""postern-smtpd alone: how sessions end by deadlines, by the client's leaving and when the program is stopped or dies."""
import os
import signal
import socket
import threading
import time

import pytest

from smtpd_alone import M, MESSAGE, R, Smtpd, finish, shared, start  # noqa: F401 (fixtures)
from timing import measured, seconds_of, sleep, within


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


def test_the_longest_session(old_session):
    """Stands last: control/sessionseconds ends a session that would wait for a command for longer."""
    old_session.waiting.join(60)
    code, text = old_session.last
    assert code == 421 and text.startswith("4.4.2 the session took too long") and old_session.closed()
    assert 29 < old_session.lasted < 90
