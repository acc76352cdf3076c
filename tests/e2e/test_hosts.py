"""A cluster: two hosts and an LDAP server, each in a network namespace of its own; mail goes to the host that the directory's mailHost names.
Cut off, killed and started again under load: no acknowledged message is lost, none is there twice.  POSTERN_CUTS sets how often (default 6)."""
import collections
import os
import random
import re
import smtplib
import threading
import time

import pytest

import netns
from conftest import Suite, wait_for
from processes import at_once, kill
from slapd import TREE, Slapd, asked_by, person

WHY_NOT = netns.why_not()
pytestmark = pytest.mark.skipif(WHY_NOT is not None, reason=WHY_NOT or "")

ROUNDS = int(os.environ.get("POSTERN_CUTS", "6"))
USERS = 40


def account(i):
    return person(f"u{i}", f"mailAlternateAddress: alias{i}@campus.test", f"mailHost: mx{1 + i % 2}.campus.test")


class Mx(Suite):
    """A whole Postern on a host of its own."""
    def __init__(self, folder, host, name, hosts, ldap):
        folder.mkdir(mode=0o755)
        super().__init__(folder)
        self.host, self.port = host, 25
        self.control("me", name)
        asked_by(self, ldap, ldapserver=ldap.address, ldaptimeout="2")
        self.control("listen", f"smtp 127.0.0.1:25\nqmqp {host.address}:628")
        self.control("tcp.qmqp", "10.99.0.:allow\n:deny")
        self.control("qmqproutes", "\n".join(f"{n}:{h.address}" for n, h in hosts.items()))
        for name in ("timeoutconnect", "timeoutremote", "timeoutsmtpd"):
            self.control(name, "5")

    def command(self, *args):
        return self.host.command(*super().command(*args))

    def smtp(self, **kw):
        with self.host.inside():
            return super().smtp(**kw)

    def crash(self):
        """Every program at once, as by the power switch."""
        (self.state / "ready").unlink(missing_ok=True)
        self.kill()


class Cluster:
    def __init__(self, folder):
        self.net = netns.Net()
        h = [self.net.host(f"10.99.0.{i}") for i in (1, 2, 3)]
        hosts = {"mx1.campus.test": h[0], "mx2.campus.test": h[1]}
        self.ldap = Slapd(folder / "slapd", TREE + "".join(account(i) for i in range(1, USERS + 1)), host=h[2]).start()
        self.mx = [Mx(folder / f"mx{i + 1}", h[i], name, hosts, self.ldap) for i, name in enumerate(hosts)]

    def close(self):
        for m in self.mx:
            m.kill()
        self.ldap.kill()
        self.net.close()

    def empty(self):
        for m in self.mx:
            m.postern("queue", "retry", "all")
        time.sleep(0.2)
        return all(m.json("queue", "list") == [] for m in self.mx)


@pytest.fixture
def cluster(folder):
    c = Cluster(folder)
    yield c
    c.close()


def told(m, code, *to):
    """A message with one line is answered with CODE, at last; a directory that is late, for which nobody waits longer than 2 s here, is answered 451 meanwhile."""
    wait_for(lambda: m.send("a@far.test", [f"{u}@campus.test" for u in to], b"Subject: x\r\n\r\nhello\r\n")[0] == code)


def test_each_to_the_host_of_its_mailbox(cluster):
    one, two = (m.start() for m in cluster.mx)
    for m in (one, two):
        told(m, 250, "u1", "u2", "alias3")
        told(m, 550, "nobody")
    for m, users in ((two, ("u1", "u3")), (one, ("u2",))):
        for u in users:
            mails = m.wait_mail(u, 2)
            assert len(mails) == 2 and sum(b" with QMQP id " in x for x in mails) == 1 and all(x.endswith(b"\nhello\n") for x in mails)
    wait_for(cluster.empty)
    assert not one.mails("u1") and not one.mails("u3") and not two.mails("u2")
    for m in (one, two):
        assert m.stop() == 0


def test_cut_off_from_everything(cluster):
    """Without directory and other host: temporary refusals, what was taken waits; then everything arrives."""
    one, two = (m.start() for m in cluster.mx)
    told(one, 250, "u2")
    two.host.cable(False)
    told(one, 250, "u1")
    code, text = two.send("a@far.test", "u5@campus.test", b"Subject: x\r\n\r\nx\r\n")
    assert code == 451, text
    wait_for(lambda: "does not answer by QMQP" in ((one.json("queue", "list") or [{"recipients": [{}]}])[0]["recipients"][0].get("reason") or ""))
    assert two.send("a@far.test", "nobody@campus.test", b"Subject: x\r\n\r\nx\r\n")[0] == 451, "unknown is not no"
    two.host.cable(True)
    wait_for(cluster.empty)
    assert len(two.mails("u1")) == 1 and len(one.mails("u2")) == 1
    told(two, 550, "nobody")


class Client(threading.Thread):
    """Sends to one host; each attempt has a mark of its own."""
    def __init__(self, mx, number, stop):
        super().__init__(daemon=True)
        self.mx, self.number, self.stopping = mx, number, stop
        self.random, self.acknowledged, self.attempts = random.Random(number), [], 0

    def run(self):
        while not self.stopping.is_set():
            try:
                with self.mx.smtp() as s:
                    for _ in range(20):
                        if not self.stopping.is_set():
                            self.one(s)
            except (OSError, smtplib.SMTPException):
                time.sleep(0.05)

    def one(self, s):
        self.attempts += 1
        mark = f"mark-{self.number}-{self.attempts}-end"
        size = self.random.choice([10, 10, 10, 3000, 3000, 50000])
        rcpts = [f"u{i}@campus.test" for i in self.random.sample(range(1, USERS + 1), self.random.choice([1, 1, 4]))]
        try:
            if not s.sendmail("a@far.test", rcpts, f"Subject: {mark}\r\n\r\n" + "x" * size + "\r\n"):
                self.acknowledged.append((mark, rcpts))
        except (smtplib.SMTPResponseException, smtplib.SMTPRecipientsRefused):
            time.sleep(0.01)
        time.sleep(0.02)


def cut(m):
    m.host.cable(False)
    time.sleep(random.uniform(0.3, 1.5))
    m.host.cable(True)


def lose_packets(m):
    m.host.loss(random.choice([10, 30]))
    time.sleep(random.uniform(0.5, 1.5))
    m.host.loss(0)


def crash(m):
    m.crash()
    time.sleep(random.uniform(0, 0.5))
    m.start()


def kill_one(m):
    for name in ("qmqpc", "qmqpd", "queue", "local", "smtpd"):
        kill(m.pids(name)[:1])
        time.sleep(random.uniform(0, 0.2))


def lose_answers(m):
    """What comes in is taken, and nobody learns of it."""
    netns.run(*m.host.command("nft", "add", "rule", "inet", "t", "c", "iifname", "eth0", "tcp", "sport", "628", "tcp", "flags", "&", "(syn | fin)", "==", "0",
                              "meta", "length", ">", "60", "reject", "with", "tcp", "reset"))
    time.sleep(random.uniform(0.3, 0.8))
    m.host.loss(0)


FAULTS = [cut, crash, lose_answers, kill_one, lose_packets]


def in_maildirs(cluster):
    found = collections.Counter()
    for n, m in enumerate(cluster.mx):
        for i in range(1, USERS + 1):
            for mail in m.mails(f"u{i}"):
                assert 1 + i % 2 == n + 1, f"u{i} on the wrong host"
                mark = re.search(rb"^Subject: (mark-\S+)", mail, re.M)
                found[mark[1].decode(), f"u{i}@campus.test"] += 1
                assert mail.endswith(b"x\n"), "half a message"
    return found


def test_cut_off_and_killed_under_load(cluster):
    for m in cluster.mx:
        m.start()
    seed = random.randrange(1 << 30)
    random.seed(seed)
    stop = threading.Event()
    clients = [Client(cluster.mx[i % 2], i, stop) for i in range(4)]
    for c in clients:
        c.start()
    for i in range(ROUNDS):
        time.sleep(0.5)
        fault = FAULTS[i % len(FAULTS)]
        at_once(fault, cluster.mx if i % 3 == 2 else [random.choice(cluster.mx)])
    time.sleep(0.5)
    wait_for(lambda: sum(len(c.acknowledged) for c in clients) > 100, 120, "the cluster hardly works")
    stop.set()
    for c in clients:
        c.join(60)
        assert not c.is_alive()
    wait_for(cluster.empty, 90, lambda: "still waiting: " + "".join(m.postern("queue", "list").stdout for m in cluster.mx))
    acknowledged = [a for c in clients for a in c.acknowledged]
    found = in_maildirs(cluster)
    lost = [(mark, r) for mark, rcpts in acknowledged for r in rcpts if not found[mark, r]]
    twice = [k for k, n in found.items() if n > 1]
    again = sum(e["again"] == "1" for m in cluster.mx for e in m.events("qmqpd-handed"))
    print(f"seed {seed}: {len(acknowledged)} acknowledged of {sum(c.attempts for c in clients)}, {sum(found.values())} copies, "
          f"{again} sent again, lost {len(lost)}, twice {len(twice)}")
    assert not lost, lost[:10]
    assert not twice, twice[:10]
