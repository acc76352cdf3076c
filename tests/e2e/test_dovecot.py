"""Dovecot reads by IMAP and POP3 what postern-local writes, while it writes."""
import collections
import imaplib
import itertools
import poplib
import random
import re
import threading
import time

import pytest

import dovecot as dovecot_module
from conftest import wait_for
from processes import killed_meanwhile

pytestmark = pytest.mark.skipif(dovecot_module.WHY_NOT is not None, reason=dovecot_module.WHY_NOT or "")

BODIES = {
    "plain": b"hello\r\n", "empty": b"", "dots": b".\r\n..\r\n...x\r\n", "blank lines": b"\r\n\r\n\r\n", "from": b"From here on\r\n>From there\r\n",
    "eight bits": "gr\u00fc\u00dfe \u20ac\r\n".encode() + bytes(range(128, 256)) + b"\r\n", "long line": b"x" * 990 + b"\r\n", "blanks at the end": b"x \t \r\n \r\n",
    "controls": bytes(c for c in range(1, 32) if c not in (10, 13)) + b"\x7f\r\n", "large": b"0123456789abcdef" * 4 + b"\r\n", "MIME": b"",
}
BODIES["large"] *= 20000
MIME = b"MIME-Version: 1.0\r\nContent-Type: multipart/mixed; boundary=b\r\n"
BODIES["MIME"] = b"--b\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: 8bit\r\n\r\n\xc3\xbc\r\n--b--\r\n"


@pytest.fixture
def dovecot(suite):
    suite.start()
    d = dovecot_module.Dovecot(suite.folder / "dovecot", suite.state / "mail").start()
    yield d
    d.stop()


def imap(d, user, mailbox="INBOX"):
    c = imaplib.IMAP4("127.0.0.1", d.imap, timeout=60)
    c.login(user, "pw")
    assert c.select(mailbox)[0] == "OK"
    return c


def fetch_all(c):
    """{uid: (flags, message)}"""
    out = {}
    kind, data = c.uid("fetch", "1:*", "(FLAGS BODY.PEEK[])")
    assert kind == "OK"
    for item in data:
        if isinstance(item, tuple):
            out[int(re.search(rb"UID (\d+)", item[0])[1])] = (imaplib.ParseFlags(item[0]), item[1])
    return out


def test_same_octets_by_imap_and_pop3(suite, dovecot):
    sent = {}
    for what, body in BODIES.items():
        sent[what] = b"Subject: %s\r\n%s\r\n%s" % (what.encode(), MIME if what == "MIME" else b"", body)
        assert suite.send("a@far.test", ["u1@campus.test", "u2@campus.test"], sent[what])[0] == 250
    suite.wait_mail("u1", len(sent)), suite.wait_mail("u2", len(sent))
    stored = sorted(m.replace(b"\n", b"\r\n") for m in suite.mails("u1"))
    c = imap(dovecot, "u1")
    read = [m for _, m in fetch_all(c).values()]
    assert sorted(read) == stored and len(read) == len(sent)
    for m in sent.values():
        assert sum(x.endswith(m) for x in read) == 1
    sizes = {int(x) for x in re.findall(rb"RFC822.SIZE (\d+)", b" ".join(c.fetch("1:*", "(RFC822.SIZE)")[1]))}
    assert sizes == {len(m) for m in stored}
    c.logout()
    p = poplib.POP3("127.0.0.1", dovecot.pop3, timeout=60)
    poplib._MAXLINE = 1 << 20
    p.user("u2"), p.pass_("pw")
    got = [b"\r\n".join(p.retr(i)[1]) + b"\r\n" for i in range(1, p.stat()[0] + 1)]
    assert len(got) == len(sent) and len({x.split()[1] for x in p.uidl()[1]}) == len(sent)
    for m in sent.values():
        assert sum(x.endswith(m) for x in got) == 1
    p.quit()
    assert len(suite.mails("u2")) == len(sent)


def test_new_mail_is_seen_at_once(suite, dovecot):
    """A waiting client (IDLE) is told, and flags outlast what comes."""
    assert suite.send("a@far.test", "u1@campus.test", b"Subject: first\r\n\r\nx\r\n")[0] == 250
    suite.wait_mail("u1")
    c = imap(dovecot, "u1")
    assert c.store("1", "+FLAGS", r"(\Flagged \Answered)")[0] == "OK"
    c.send(b"a1 IDLE\r\n")
    assert c.readline().startswith(b"+")
    for n in (2, 3):
        assert suite.send("a@far.test", "u1@campus.test", b"Subject: more\r\n\r\nx\r\n")[0] == 250
        while (line := c.readline()) != b"* %d EXISTS\r\n" % n:
            assert line.startswith(b"* ") or line == b"", line
    c.send(b"DONE\r\n")
    while not c.readline().startswith(b"a1 OK"):
        pass
    flags = [set(f) for f, _ in fetch_all(c).values()]
    assert {rb"\Flagged", rb"\Answered"} <= flags[0] and not {rb"\Flagged", rb"\Answered"} & (flags[1] | flags[2])
    c.logout()


class Reader(threading.Thread):
    """A mail program that does to its mailbox what people do, until it is told to stop; .seen: marks of what it took away."""
    def __init__(self, act, d, user):
        super().__init__(daemon=True)
        self.act, self.d, self.user, self.stopping, self.seen, self.error, self.rounds = act, d, user, threading.Event(), collections.Counter(), None, 0

    def run(self):
        try:
            while not self.stopping.is_set():
                self.act(self)
                self.rounds += 1
                time.sleep(0.02)
        except Exception as e:  # told by the test
            self.error = e


def marks(messages):
    return collections.Counter(re.search(rb"^Subject: (mark-\S+)", m, re.M)[1].decode() for m in messages)


def flags(reader):
    c = imap(reader.d, reader.user)
    for uid in list(fetch_all(c))[-20:]:
        assert c.uid("store", str(uid), random.choice(["+FLAGS", "-FLAGS"]), random.choice([r"\Seen", r"\Flagged", r"(\Seen \Draft)", "$Label"]))[0] == "OK"
    c.logout()


def move(reader):
    c = imap(reader.d, reader.user)
    uids = [str(u) for u in fetch_all(c)]
    if uids:
        assert c.uid("move", ",".join(random.sample(uids, (len(uids) + 1) // 2)), "Archive")[0] == "OK"
    c.logout()


def take_by_pop3(reader):
    p = poplib.POP3("127.0.0.1", reader.d.pop3, timeout=60)
    p.user(reader.user), p.pass_("pw")
    got = []
    for i in range(1, p.stat()[0] + 1):
        got.append(b"\n".join(p.retr(i)[1]))
        p.dele(i)
    p.quit()
    reader.seen.update(marks(got))


def send_many(suite, users, n):
    sent = []
    with suite.smtp() as s:
        for i in range(n):
            mark = f"mark-{i}-end"
            s.sendmail("a@far.test", [f"{u}@campus.test" for u in users], f"Subject: {mark}\r\n\r\n" + "x" * random.choice([1, 3000, 30000]) + "\r\n")
            sent.append(mark)
            time.sleep(random.choice([0, 0, 0.02]))
    return collections.Counter(sent)


def test_read_while_it_is_written(suite, dovecot):
    """Flags by one, moves by another, POP3 with deletion by a third one: each message is somewhere, once."""
    readers = [Reader(flags, dovecot, "u1"), Reader(move, dovecot, "u2"), Reader(take_by_pop3, dovecot, "u3"), Reader(flags, dovecot, "u2")]
    for r in readers:
        r.start()
    sent = send_many(suite, ["u1", "u2", "u3"], 150)
    wait_for(lambda: suite.json("queue", "list") == [], 60)
    wait_for(lambda: all(r.rounds > 2 or r.error for r in readers), 60)
    for r in readers:
        r.stopping.set()
        r.join(60)
        assert r.error is None and r.rounds > 2, (r.act, r.error)
    assert marks(m for _, m in fetch_all(imap(dovecot, "u1")).values()) == sent
    both = [m for box in ("INBOX", "Archive") for _, m in fetch_all(imap(dovecot, "u2", box)).values()]
    assert marks(both) == sent
    take_by_pop3(readers[2])
    assert readers[2].seen == sent
    assert not re.search(r"(?i)error|panic|corrupt", dovecot.log.read_text()), dovecot.log.read_text()


def test_killed_while_a_reader_moves_files(suite, dovecot):
    """Deliveries in doubt find what the reader has already moved to cur/ and flagged."""
    reader = Reader(flags, dovecot, "u1")
    reader.start()

    def victims():
        return [pid for name in ("local", random.choice(["queue", "local", "local"])) for pid in suite.pids(name)[:2]]
    acknowledged = []
    end = time.monotonic() + 180
    with killed_meanwhile(victims, lambda: 0.2):
        for i in itertools.count():
            if i >= 80 and len(suite.events("died")) > 5 or time.monotonic() > end:
                break
            try:
                if suite.send("a@far.test", "u1@campus.test", f"Subject: mark-{i}-end\r\n\r\nx\r\n".encode())[0] == 250:
                    acknowledged.append(f"mark-{i}-end")
            except OSError:
                pass
    wait_for(lambda: suite.postern("queue", "retry", "all") and suite.json("queue", "list") == [], 60)
    reader.stopping.set()
    reader.join(60)
    assert reader.error is None, reader.error
    there = marks(m for _, m in fetch_all(imap(dovecot, "u1")).values())
    assert len(acknowledged) > 30 and len(suite.events("died")) > 5
    assert set(acknowledged) <= set(there), "lost"
    assert set(there.values()) == {1}, [m for m, n in there.items() if n > 1]
