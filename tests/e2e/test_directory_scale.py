"""Two hosts with one slapd of 20,000 accounts: who is told what at RCPT, and who gets which mail, against a model of the directory; then the
server is stopped and started under load."""
import collections
import random
import re
import smtplib
import subprocess
import threading
import time

import pytest

import slapd
from conftest import Suite, ended, free_port, wait_for
from slapd import BASE, TREE, Slapd, asked_by, person

USERS, HOSTS = 20000, ("mx1.campus.test", "mx2.campus.test")
KINDS = {50: "accountStatus: disabled", 51: "accountStatus: noaccess", 52: "accountStatus: deleted",
         60: "deliveryMode: nolocal\nmailForwardingAddress: u{next:05d}@campus.test", 70: "mailForwardingAddress: u{next:05d}@campus.test"}
GROUP_MEMBERS = range(80, 95)  # of each hundred


def account(i):
    more = KINDS.get(i % 100, "").format(next=i + 1)
    return person(f"u{i:05d}", f"mailAlternateAddress: given.name{i}@campus.test", f"mailHost: {HOSTS[i % 2]}", *([more] if more else []))


def group(h):
    return slapd.group(f"g{h}", *(f"dnmember: uid=u{100 * h + k:05d},ou=people,{BASE}" for k in GROUP_MEMBERS), mail=f"group{h}@campus.test")


def model(hundred, what):
    """(address, code, accounts that get a copy)"""
    n = 100 * hundred
    if what == "group":
        return f"group{hundred}@campus.test", 250, [n + k for k in GROUP_MEMBERS]
    if what == "unknown":
        return f"u{n:05d}x@campus.test", 550, []
    k = what if isinstance(what, int) else {"disabled": 50, "noaccess": 51, "deleted": 52, "forward": 60, "both": 70}[what]
    address = f"u{n + k:05d}@campus.test" if k % 2 else f"Given.Name{n + k}@Campus.TEST"
    return address, 550 if k in (50, 52) else 250, {60: [n + 61], 70: [n + 70, n + 71]}.get(k, [] if k in (50, 52) else [n + k])


@pytest.fixture(scope="module")
def ldif():
    return TREE + "".join(account(i) for i in range(USERS)) + "".join(group(h) for h in range(USERS // 100))


@pytest.fixture
def cluster(suite, ldif):
    folder = suite.folder / "second"
    folder.mkdir(mode=0o755)
    ports = [free_port(), free_port()]
    server = Slapd(suite.folder / "slapd", ldif).start()
    try:
        with ended(Suite(folder)) as second:
            for s, name, port in zip([suite, second], HOSTS, ports):
                asked_by(s, server, ldaptimeout="2")
                s.control("me", name)
                s.control("postmaster", "u00001@campus.test")
                s.control("listen", f"smtp 127.0.0.1:{s.port}\nqmqp 127.0.0.1:{port}")
                s.control("tcp.qmqp", "127.:allow\n:deny")
                s.control("qmqproutes", "\n".join(f"{n}:127.0.0.1:{p}" for n, p in zip(HOSTS, ports)))
                s.start()
            yield [suite, second], server
    finally:
        server.kill()


class Sender(threading.Thread):
    """MESSAGES messages, each to several addresses of every kind; with .patient a refusal of 4xx is tried again until it is none."""
    def __init__(self, suite, number, messages, hundreds):
        super().__init__(daemon=True)
        self.suite, self.number, self.messages, self.hundreds = suite, number, messages, hundreds
        self.expected, self.seconds, self.wrong, self.later = collections.Counter(), [], [], 0

    def run(self):
        r = random.Random(self.number)
        for n in range(self.messages):
            kinds = r.sample(["group", "unknown", "disabled", "noaccess", "deleted", "forward", "both", 0, 1, 2, 3], 5)
            rcpts = [model(self.hundreds.pop(), k) for k in kinds]
            while not self.one(f"mark-{self.number}-{n}-end", rcpts):
                time.sleep(0.1)

    def one(self, mark, rcpts):
        try:
            with self.suite.smtp() as s:
                s.ehlo()
                s.mail("a@far.test")
                taken = []
                for address, code, accounts in rcpts:
                    start = time.monotonic()
                    got, text = s.rcpt(address)
                    self.seconds.append(time.monotonic() - start)
                    if got // 100 == 4:
                        self.later += 1
                        return False
                    if got != code:
                        self.wrong.append((address, code, got, text))
                    taken += accounts
                got, text = s.data(f"Subject: {mark}\r\n\r\nhello\r\n") if taken else (250, b"")
                if got == 250:
                    self.expected.update((mark, a) for a in taken)
                return got == 250
        except (OSError, smtplib.SMTPException):
            return False


def found(suites):
    out = collections.Counter()
    for n, s in enumerate(suites):
        for f in (s.state / "mail").glob("u*/Maildir/new/*"):
            i = int(f.parts[-4][1:])
            assert i % 2 == n, f"{i} on {HOSTS[n]}"
            mark = re.search(rb"^Subject: (mark-\S+)", f.read_bytes(), re.M)
            if mark:
                out[mark[1].decode(), i] += 1
    return out


def empty(suites):
    for s in suites:
        s.postern("queue", "retry", "all")
    time.sleep(0.1)
    return all(s.json("queue", "list") == [] for s in suites)


def send(suites, count, messages, during=None):
    hundreds = list(range(USERS // 100)) * (count * messages * 5 // (USERS // 100) + 1)
    random.Random(1).shuffle(hundreds)
    per = messages * 5
    senders = [Sender(suites[i % 2], i, messages, hundreds[i * per:(i + 1) * per]) for i in range(count)]
    for s in senders:
        s.start()
    if during:
        during(senders)
    for s in senders:
        s.join(180)
        assert not s.is_alive()
    wait_for(lambda: empty(suites), 180, lambda: "".join(s.postern("queue", "list").stdout for s in suites))
    expected = sum((s.expected for s in senders), collections.Counter())
    assert [w for s in senders for w in s.wrong] == []
    got = found(suites)
    assert got == expected, (list((expected - got).items())[:5], list((got - expected).items())[:5])
    return senders


def test_everybody_gets_what_is_theirs(cluster):
    suites, _ = cluster
    senders = send(suites, 4, 20)
    seconds = sorted(x for s in senders for x in s.seconds)
    print(f"\n{USERS} accounts: RCPT over LDAP, {len(seconds)} asked by 4 clients: median {seconds[len(seconds) // 2] * 1000:.2f} ms, "
          f"99 % {seconds[len(seconds) * 99 // 100] * 1000:.2f} ms")
    address, _, (i,) = model(7, 4)
    subprocess.run(["swaks", "--server", f"127.0.0.1:{suites[1].port}", "--to", address, "--from", "a@far.test", "--hide-all"], check=True, timeout=60)
    suites[i % 2].wait_mail(f"u{i:05d}")


def test_slapd_stops_and_comes_back(cluster):
    """No refusal for good while nobody can know; what was taken before waits for its route."""
    suites, slapd = cluster

    def stop_and_start(senders):
        wait_for(lambda: any(s.seconds for s in senders), why="nobody asks")
        for pause in (0, 0.4):
            time.sleep(pause)
            slapd.kill()
            time.sleep(0.2)
            assert suites[0].send("a@far.test", "u00099zz@campus.test", b"Subject: x\r\n\r\nx\r\n")[0] == 451
            time.sleep(0.6)
            slapd.start()
    senders = send(suites, 4, 25, stop_and_start)
    assert sum(s.later for s in senders) > 0, "nobody noticed"
    assert all(s.events("directory-down") and s.events("directory-up") for s in suites)
