"""Descriptor exhaustion: each program on the way of a message runs out of descriptors while it runs.  The client is told to come again or loses its
connection, at once and never after a 250; the program lives on, loses none of its descriptors, and serves the next client when there are some again."""
import os
import pathlib
import smtplib
import socket
import subprocess
import time

import pytest

from certificates import NO_CHECK, certificate
from conftest import wait_for, whole_suite
from processes import cpu_seconds, descriptors
from timing import within

MESSAGE = b"From: a@far.test\r\nTo: u1@campus.test\r\nSubject: number %d\r\n\r\nx\r\n"


@pytest.fixture(scope="module")
def site():
    with whole_suite() as s:
        s.control("servercert.pem", certificate(s.folder))
        s.number = 0
        yield s.start()


def at_rest(pid):
    """The descriptors of process PID once it has no message in hand; how many are free is known then."""
    def found():
        before = descriptors(pid)
        time.sleep(0.05)
        try:
            names = [os.readlink(f"/proc/{pid}/fd/{fd}") for fd in before]
        except FileNotFoundError:  # closed meanwhile
            return False
        return before == descriptors(pid) and not any("memfd:message" in n or "memfd:body" in n for n in names) and before
    return wait_for(found)


def set_limit(pid, most):
    """As the program's own user, who may do so without further rights."""
    who = os.stat(f"/proc/{pid}")
    as_user = {} if os.geteuid() else {"user": who.st_uid, "group": who.st_gid, "extra_groups": []}
    subprocess.run(["prlimit", "--pid", str(pid), f"--nofile={most}:"], check=True, **as_user)


class NoMore:
    """No more descriptors for process PID but SPARE ones."""
    def __init__(self, pid, spare=0):
        limits = pathlib.Path(f"/proc/{pid}/limits").read_text()
        self.pid, self.old = pid, int(next(line for line in limits.splitlines() if line.startswith("Max open files")).split()[3])
        free = (fd for fd in range(10000) if fd not in descriptors(pid))
        self.most = [next(free) for _ in range(spare + 1)][-1]

    def __enter__(self):
        set_limit(self.pid, self.most)

    def __exit__(self, *_):
        set_limit(self.pid, self.old)


# Header and body are files on their way (lib/content.h), so that all descriptors that a message can need are wanted.
LONG = MESSAGE.replace(b"\r\n\r\n", b"\r\n" + (b"X: " + b"x" * 900 + b"\r\n") * 20 + b"\r\n" + (b"y" * 900 + b"\r\n") * 20)


def attempt(site, s=None, message=LONG):
    """Deliver one message with STARTTLS; 250, the code of what was refused, or 0 for a connection that ended."""
    site.number += 1
    try:
        if not s:
            s = site.smtp()
            s.starttls(context=NO_CHECK)
        s.ehlo()
        for step in (lambda: s.mail("a@far.test"), lambda: s.rcpt("u1@campus.test"), lambda: s.data(message % site.number)):
            code = step()[0]
            if code != 250:
                break
        return code
    except smtplib.SMTPResponseException as e:
        return e.smtp_code
    except (OSError, smtplib.SMTPException):
        return 0
    finally:
        if s:
            s.close()


def mails(site):
    return sum(b"Subject: number" in m for m in site.mails("u1"))


# the program, how many descriptors it still gets, what the client is told
PROGRAMS = [("door", 0, (421,)), ("smtpd", 0, (0,)), ("smtpd", 1, (0,)), ("tls", 0, (0,)), ("tls", 1, (0,)),
            ("directory", 0, (451,)), ("queue", 0, (451,)), ("queue", 1, (451,)), ("queue", 2, (451,))]


@pytest.mark.parametrize("program,spare,told", PROGRAMS, ids=[f"{p}-{n}" for p, n, _ in PROGRAMS])
def test_none_left(site, program, spare, told):
    before = mails(site)
    assert attempt(site) == 250  # what is opened once is open
    wait_for(lambda: mails(site) == before + 1)
    pid = site.pids(program)[0]
    wait_for(lambda: len(site.pids("smtpd")) == 1 and len(site.pids("tls")) == 1)
    held = at_rest(pid)
    with NoMore(pid, spare):
        codes = within(15, lambda: [attempt(site) for _ in range(3)])
    assert set(codes) <= set(told), codes
    wait_for(lambda: attempt(site) == 250)  # the door listens again after a tenth of a second
    wait_for(lambda: mails(site) == before + 2)
    assert site.pids(program)[0] == pid and not site.events("died")
    wait_for(lambda: descriptors(pid) == held, why=lambda: f"{held} became {descriptors(pid)}")


def test_taken_in_without_descriptors_to_deliver(site):
    """A message of few octets needs one descriptor of the queue until its 250, and two to be delivered: it waits for those and arrives."""
    before = mails(site)
    assert attempt(site) == 250
    wait_for(lambda: mails(site) == before + 1)
    pid, = site.pids("queue")
    held = at_rest(pid)
    with NoMore(pid, 1):
        assert [attempt(site, message=MESSAGE) for _ in range(3)] == [250, 250, 250]
        wait_for(lambda: site.events("queue-deferred"), 20, "nothing had to wait")
        assert mails(site) == before + 1
    wait_for(lambda: mails(site) == before + 4)
    assert site.pids("queue") == [pid] and not site.events("died")
    wait_for(lambda: descriptors(pid) == held, 5, lambda: f"{held} became {descriptors(pid)}")


def test_a_client_that_cannot_be_handed_over_waits(site):
    """The door has one for the client and none for its token."""
    pid = site.pids("door")[0]
    with NoMore(pid, 1):
        with socket.create_connection(("127.0.0.1", site.port), 20) as s:
            used = cpu_seconds(pid)
            s.settimeout(1)
            with pytest.raises(socket.timeout):
                s.recv(100)
            assert cpu_seconds(pid) - used < 0.2, "the loop spins"
            set_limit(pid, 1000)
            s.settimeout(60)
            assert s.recv(100).startswith(b"220 ")


@pytest.mark.parametrize("spare", [0, 1, 2])
def test_none_left_for_a_session(site, spare):
    before = mails(site)
    wait_for(lambda: len(site.pids("smtpd")) == 1)
    s = site.smtp()
    s.ehlo()
    _, pid = site.pids("smtpd")
    held = descriptors(pid)
    with NoMore(pid, spare):
        assert s.mail("a@far.test")[0] == 250
        code = s.rcpt("u1@campus.test")[0]
        if code == 250:
            code = s.data(LONG % 0)[0] if s.docmd("NOOP")[0] == 250 else 0
    assert code in (451, 452)
    s.rset()
    assert descriptors(pid) == held, "nothing of it stays open"
    assert attempt(site, s) == 250
    wait_for(lambda: mails(site) == before + 1)
