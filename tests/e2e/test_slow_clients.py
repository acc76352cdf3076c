"""Slow clients: a crowd of them in every phase of a session, each from a network of its own, and beside it honest hosts that deliver mail.

docs/limits.md has the figures.  POSTERN_SLOW is another number of slow clients."""
import collections
import contextlib
import itertools
import json
import os
import pathlib
import resource
import select
import socket
import subprocess
import sys
import threading
import time

import pytest

from certificates import certificate
from conftest import wait_for
from processes import memory_kib
from slow_clients import PHASES
from timing import measured

SLOW = int(os.environ.get("POSTERN_SLOW", "5000"))
HONEST, SECONDS = SLOW // 10, 20
HEADER = "From: a@far.test\r\nTo: u3@campus.test\r\nSubject: honest\r\nMessage-ID: <%d@far.test>\r\nDate: Sun, 29 Nov 2026 10:00:00 +0000\r\n\r\n"
TEXT = "text of an honest message\r\n" * 80


@contextlib.contextmanager
def crowd_of(suite, count, pace=3):
    """The crowd, once all are in their phases."""
    script = pathlib.Path(__file__).with_name("slow_clients.py")
    crowd = subprocess.Popen([sys.executable, script, str(suite.port), str(count), str(pace)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    try:
        assert select.select([crowd.stdout], [], [], 120)[0], "the slow clients do not come to their phases"
        there = json.loads(crowd.stdout.readline().split(" ", 1)[1])
        assert there == {name: count // len(PHASES) for name in PHASES}, there
        yield crowd
    finally:
        crowd.kill()
        crowd.wait()


def session(suite, number):
    """One honest session from connect to QUIT; its seconds."""
    begin = time.monotonic()
    with socket.socket() as s:
        s.settimeout(60)
        s.bind((f"127.200.{number % 250}.{1 + number // 250}", 0))
        s.connect(("127.0.0.1", suite.port))
        replies = s.makefile("rb")
        for command, code in ((None, b"220 "), ("EHLO honest.test", b"250 "), ("MAIL FROM:<a@far.test>", b"250 "), ("RCPT TO:<u3@campus.test>", b"250 "),
                              ("DATA", b"354 "), (HEADER % number + TEXT + ".", b"250 "), ("QUIT", b"221 ")):
            if command:
                s.sendall(command.encode() + b"\r\n")
            while (line := replies.readline())[3:4] == b"-":
                pass
            assert line.startswith(code), (command, line)
    return time.monotonic() - begin


def honest_sessions(suite, count, seconds):
    """The seconds of COUNT sessions, sorted; they begin all over SECONDS, whether or not those before them are through."""
    took, faults, threads = [], [], []

    def one(number):
        try:
            took.append(session(suite, number))
        except (AssertionError, OSError) as e:
            faults.append(repr(e))
    begin = time.monotonic()
    for i in range(count):
        time.sleep(max(0, begin + i * seconds / count - time.monotonic()))
        threads.append(threading.Thread(target=one, args=(i,)))
        threads[-1].start()
    for t in threads:
        t.join()
    assert not faults, (len(faults), faults[:3])
    return sorted(took)


def p99(took):
    return took[len(took) * 99 // 100]


def kib_each(suite, name, most=200):
    """Mean PSS of the processes of postern-NAME, but for the first one; of MOST of them."""
    pids = suite.pids(name)[1:][:most]
    return sum(map(memory_kib, pids)) / len(pids)


def available():
    """KiB of memory that the machine can still give."""
    return int(next(line for line in pathlib.Path("/proc/meminfo").read_text().splitlines() if line.startswith("MemAvailable")).split()[1])


def test_the_slow_ones_end(suite):
    """In whatever phase a client is slow, its session ends by a deadline of the server's, and its TLS process with it."""
    suite.control("servercert.pem", certificate(suite.folder))
    suite.control("timeoutsmtpd", "10")
    suite.start()
    with crowd_of(suite, 5 * len(PHASES), pace=1):
        assert len(suite.pids("smtpd")) > 4 * len(PHASES) and len(suite.pids("tls")) == 6
        wait_for(lambda: len(suite.pids("smtpd")) == 1 and len(suite.pids("tls")) == 1, 60,
                 lambda: f"sessions {len(suite.pids('smtpd')) - 1}, TLS {len(suite.pids('tls')) - 1}")
        ends = collections.Counter(e["why"] for e in suite.events("smtpd-end"))
    assert ends == {"idle": 30, "slow": 15, "tls": 5}, ends


@pytest.mark.skipif(available() < 400 * SLOW, reason="too little memory here")
@pytest.mark.skipif(resource.getrlimit(resource.RLIMIT_NOFILE)[1] < SLOW + 500, reason="too few descriptors may be open here")
def test_honest_clients_beside_5000_slow_ones(suite):
    """With the limits that stand in the code, not those of other tests."""
    suite.control("maxperip", None)
    suite.control("maxpernet", None)
    suite.control("servercert.pem", certificate(suite.folder))
    suite.start()
    alone, before = honest_sessions(suite, HONEST // 5, SECONDS / 5), available()
    with crowd_of(suite, SLOW) as crowd:
        assert len(suite.pids("smtpd")) == 1 + SLOW, "each of them has its session"
        beside, own = before - available(), kib_each(suite, "smtpd")
        rounds = itertools.count(1)

        def honest():
            """The slow ones stay meanwhile, but for those in the handshake, a tenth, whose 30 s may be over when it is measured again."""
            took = honest_sessions(suite, HONEST, SECONDS)
            return (next(rounds), took), p99(took)
        sessions, took = measured(2, honest)
        crowd.stdin.close()
        end = json.loads(crowd.stdout.readline().split(" ", 1)[1])
    print(f"\n{SLOW} slow clients, {HONEST} honest sessions in {SECONDS} s: p50 {took[len(took) // 2] * 1000:.0f} ms, p99 {p99(took) * 1000:.0f} ms, longest "
          f"{took[-1] * 1000:.0f} ms; before the slow ones came {alone[len(alone) // 2] * 1000:.0f}, {p99(alone) * 1000:.0f}, {alone[-1] * 1000:.0f} ms; "
          f"memory of the machine {beside / 1024:.0f} MiB for the slow ones and both sides of their connections, PSS of a session {own:.0f} KiB")
    # they were there all the time; of those in the handshake some meet its 30 s where the machine is slow itself
    assert set(end["closed"]) <= {"TLS handshake"} and end["open"] >= SLOW * 9 // 10, end
    assert own < 100
    wait_for(lambda: len(suite.pids("smtpd")) == 1, 30, lambda: f"sessions are left: {len(suite.pids('smtpd')) - 1}")
    assert len(suite.events("smtpd-handed")) == sessions * HONEST + HONEST // 5
