"""SIGKILL of any program at any moment under load: the suite recovers by itself, no acknowledged message is lost, none is
delivered twice.  POSTERN_KILLS sets how often (default 60)."""
import collections
import os
import random
import re
import signal
import smtplib
import threading
import time

from conftest import wait_for

PROGRAMS = ["door", "smtpd", "directory", "fixup", "scan", "scanworker", "queue", "route", "local"]
KILLS = int(os.environ.get("POSTERN_KILLS", "60"))


class Client(threading.Thread):
    """Sends messages, each attempt with a mark of its own, and remembers which were acknowledged."""
    def __init__(self, suite, number, stop):
        super().__init__(daemon=True)
        self.suite, self.number, self.stopping = suite, number, stop
        self.acknowledged, self.attempts = [], 0

    def run(self):
        while not self.stopping.is_set():
            try:
                with self.suite.smtp() as s:
                    for _ in range(20):
                        if self.stopping.is_set():
                            break
                        self.one(s)
            except (OSError, smtplib.SMTPException):
                time.sleep(0.02)

    def one(self, s):
        self.attempts += 1
        mark = f"mark-{self.number}-{self.attempts}-end"
        size = random.choice([10, 3000, 100000])
        rcpts = [f"u{random.randint(1, 50)}@campus.test" for _ in range(random.choice([1, 1, 3]))]
        rcpts = list(dict.fromkeys(rcpts))
        try:
            refused = s.sendmail("a@far.test", rcpts, f"Subject: {mark}\r\n\r\n" + "x" * size + "\r\n")
            if not refused:
                self.acknowledged.append((mark, rcpts))
        except smtplib.SMTPResponseException:
            pass
        except smtplib.SMTPRecipientsRefused:
            pass


def kill_one(suite, name):
    pids = suite.pids(name)
    if not pids:
        return False
    try:
        os.kill(random.choice(pids), signal.SIGKILL)
    except ProcessLookupError:
        return False
    return True


def delivered(suite):
    found = collections.Counter()
    for i in range(1, 51):
        for mail in suite.mails(f"u{i}"):
            m = re.search(rb"^Subject: (mark-\S+)", mail, re.M)
            if m:
                found[m[1].decode(), f"u{i}@campus.test"] += 1
                assert mail.endswith(b"x\n"), "half a message"
    return found


def test_kill_any_program_under_load(suite):
    suite.control("fixupdomains", "mail.campus.test:campus.test")
    suite.control("banned", "*.exe")
    suite.start()
    seed = random.randrange(1 << 30)
    random.seed(seed)
    print("seed", seed)
    stop = threading.Event()
    clients = [Client(suite, i, stop) for i in range(4)]
    for c in clients:
        c.start()
    kills = collections.Counter()
    for i in range(KILLS):
        time.sleep(random.uniform(0.05, 0.4))
        name = PROGRAMS[i % len(PROGRAMS)]
        kills[name] += kill_one(suite, name)
    wait_for(lambda: sum(len(c.acknowledged) for c in clients) > KILLS, 120, "the suite hardly works")
    stop.set()
    for c in clients:
        c.join(120)
        assert not c.is_alive()
    assert set(kills) == set(PROGRAMS) and min(kills.values()) > 0, kills
    acknowledged = [a for c in clients for a in c.acknowledged]
    wait_for(lambda: suite.json("queue", "list") == [], 120, lambda: f"still waiting: {suite.postern('queue', 'list').stdout}")
    found = delivered(suite)
    lost = [(m, r) for m, rcpts in acknowledged for r in rcpts if not found[m, r]]
    twice = [k for k, n in found.items() if n > 1]
    print(f"{sum(kills.values())} kills, {len(acknowledged)} acknowledged, {sum(c.attempts for c in clients)} attempts, "
          f"lost {len(lost)}, twice {len(twice)}")
    assert not lost, lost[:10]
    assert not twice, twice[:10]
    assert suite.send("a@far.test", "u1@campus.test", b"Subject: after\r\n\r\nx\r\n")[0] == 250
