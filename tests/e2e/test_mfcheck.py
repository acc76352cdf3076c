"""Senders' domains (control/mfcheck, MFCHECK): the whole suite with a real name server that answers, fails, stands still and dies; postern-dns alone with
hostile and with very many questions."""
import array
import itertools
import os
import signal
import socket
import struct
import threading
import time

import pytest

from alone import Alone, joined, netstrings
from conftest import wait_for
from knot import Knot, dig
from smtpd_alone import Smtpd, netstring
from timing import measured, seconds_of, within

ROOT_ZONE = """$ORIGIN .
$TTL 300
@ SOA ns.test. h.test. 1 60 60 60 60
@ NS ns.test.
ns.test. A 127.0.0.1
mx.test. MX 10 mail.mx.test.
lost.test. MX 10 nowhere.nowhere.test.
addr.test. A 192.0.2.1
six.test. AAAA 2001:db8::1
null.test. MX 0 .
nullish.test. MX 0 .
nullish.test. MX 10 mail.mx.test.
empty.test. TXT "nothing for mail"
below.below.test. A 192.0.2.1
alias.test. CNAME mx.test.
nullalias.test. CNAME null.test.
dangling.test. CNAME nowhere.nowhere.test.
loop1.test. CNAME loop2.test.
loop2.test. CNAME loop1.test.
xn--mnchen-3ya.test. MX 10 mail.mx.test.
broken.test. NS ns.test.
hello.nowhere. TXT "x"
"""


class Names(Knot):
    def __init__(self, folder):
        super().__init__(folder, {}, {".": ROOT_ZONE, "broken.test": None})

    def dig(self, *words):
        return dig(self.port, *words)

    def stand_still(self):
        self.process.send_signal(signal.SIGSTOP)

    def go_on(self):
        self.process.send_signal(signal.SIGCONT)

    def is_asked(self):
        """A question waits for it, as it stands still."""
        rows = [line.split() for line in open("/proc/net/udp").readlines()[1:]]
        return any(row[1].endswith(f":{self.port:04X}") and int(row[4].split(":")[1], 16) for row in rows)


@pytest.fixture
def names(folder):
    n = Names(folder)
    yield n
    n.go_on()
    n.process.kill()
    n.process.wait(60)


@pytest.fixture
def site(suite, names):
    suite.control("resolver", f"127.0.0.1:{names.port}")
    suite.control("mfcheck", "1")
    suite.control("rcpthosts", "relayed.test")
    suite.control("locals", "campus.test\ncampus.nowhere")
    return suite


def rcpt(suite, sender, to="u1@campus.test", options=()):
    """What is answered to RCPT."""
    s = suite.smtp()
    s.ehlo()
    s.command_encoding = "utf-8"
    assert s.mail(sender, options)[0] == 250
    code, text = s.rcpt(to)
    s.close()
    return code, text.decode().rsplit(" ", 1)[0]  # without the id


MISSING = "5.1.8 the sender's domain {} does not exist: it has neither mail hosts nor an address"
NULL = "5.7.27 the sender's domain {} takes no mail (null MX), so it can send none"
UNKNOWN = "4.1.8 the sender's domain {} cannot be looked up for the moment, try again"
TABLE = [("mx.test", 250, None), ("MX.Test", 250, None), ("lost.test", 250, None),  # an MX that leads nowhere may come back
         ("addr.test", 250, None), ("six.test", 250, None), ("alias.test", 250, None), ("nullish.test", 250, None),
         ("nowhere.test", 550, MISSING), ("empty.test", 550, MISSING), ("below.test", 550, MISSING),  # an empty non-terminal
         ("dangling.test", 550, MISSING), ("null.test", 550, NULL), ("nullalias.test", 550, NULL), ("x.invalid", 550, MISSING),
         ("broken.test", 451, UNKNOWN), ("loop1.test", 451, UNKNOWN),
         # nothing is asked about these
         ("[192.0.2.1]", 250, None), ("[IPv6:2001:db8::1]", 250, None), ("campus.nowhere", 250, None), ("relayed.test", 250, None)]


def test_table(site):
    site.start()
    for domain, code, text in TABLE:
        got = rcpt(site, f"a@{domain}")
        assert got[0] == code and (text is None or got[1] == text.format(domain.lower())), (domain, got)
    assert rcpt(site, "")[0] == 250 and rcpt(site, "postmaster@nowhere.test")[0] == 550
    # postmaster hears everybody
    assert rcpt(site, "a@nowhere.test", "postmaster@campus.test")[0] == 250
    logged = site.events("smtpd-mfcheck")
    assert {(x["domain"], x["domain_is"]) for x in logged} >= {("nowhere.test", "missing"), ("null.test", "null MX"), ("broken.test", "unknown")}
    assert not [x for x in logged if x["domain_is"] == "exists"]
    # refused recipients are logged with HELO, sender and recipient of the session, and nothing of it was taken
    assert site.mails("u1") == []


def test_u_labels(site):
    site.start()
    assert rcpt(site, "a@m\u00fcnchen.test", options=["SMTPUTF8"])[0] == 250
    assert rcpt(site, "a@M\u00dcNCHEN.test", options=["SMTPUTF8"])[0] == 250
    code, text = rcpt(site, "a@stra\u00dfe.test", options=["SMTPUTF8"])
    assert code == 550 and text.startswith("5.1.8 ")
    # names that IDNA does not know, though somebody may have them: nothing is certain
    for name in ("\u2615\u2615.test", "1\u05d0.test"):
        assert rcpt(site, f"a@{name}", options=["SMTPUTF8"])[0] == 250, name


def test_message_goes_through_and_domain_is_asked_once(site, names):
    site.control("mfcheck", "3")
    site.start()
    s = site.smtp()
    s.ehlo()
    s.mail("a@mx.test")
    assert [s.rcpt(f"u{i}@campus.test")[0] for i in (1, 2, 3)] == [250] * 3
    assert s.data(b"From: a@mx.test\r\n\r\nhello\r\n")[0] == 250
    s.mail("a@nowhere.test")
    assert [s.rcpt(f"u{i}@campus.test")[0] for i in (1, 2, 3)] == [550] * 3
    s.rset()
    s.mail("a@addr.test")          # the next message is another
    assert s.rcpt("u1@campus.test")[0] == 250
    s.close()
    site.wait_mail("u1")
    assert [(x["domain"], x["domain_is"]) for x in site.events("smtpd-mfcheck")] == [("mx.test", "exists"), ("nowhere.test", "missing"), ("addr.test", "exists")]


def test_off_by_default_and_by_rule(site):
    site.control("mfcheck", None)
    site.start()
    assert rcpt(site, "a@nowhere.test")[0] == 250 and not site.pids("dns")
    site.control("tcp.smtp", '127.0.0.1:allow,MFCHECK="2"\n:allow')
    site.reload()
    wait_for(lambda: rcpt(site, "a@nowhere.test")[0] == 550, why="MFCHECK does nothing")
    # off for one, on for all others
    site.control("mfcheck", "1")
    site.control("tcp.smtp", '127.0.0.1:allow,MFCHECK="0"\n:allow')
    site.reload()
    wait_for(lambda: rcpt(site, "a@nowhere.test")[0] == 250, why="MFCHECK=0 does nothing")
    # who may relay is not asked
    site.control("tcp.smtp", '127.0.0.1:allow,RELAYCLIENT=""\n:allow')
    site.reload()
    wait_for(lambda: rcpt(site, "a@nowhere.test", "x@far.test")[0] == 250, why="RELAYCLIENT does nothing")
    assert rcpt(site, "a@nowhere.test")[0] == 250
    site.control("tcp.smtp", None)
    site.control("mfcheck", None)
    site.reload()
    wait_for(lambda: not site.pids("dns"), why="postern-dns runs for nothing")
    for name, text in (("mfcheck", "4"), ("tcp.smtp", '127.0.0.1:allow,MFCHECK="4"')):
        site.control(name, text)
        p = site.postern("check", check=1)
        assert f"{name}:1" in p.stdout + p.stderr
        site.control(name, None)


def test_name_server_stands_still(site, names):
    """What was asked before is known; all else is 451, in time, and is taken when the server goes on."""
    site.start()
    assert rcpt(site, "a@mx.test")[0] == 250 and rcpt(site, "a@nowhere.test")[0] == 550 and rcpt(site, "a@addr.test")[0] == 250
    names.stand_still()
    got = within(3, lambda: [rcpt(site, a)[0] for a in ("a@mx.test", "b@nowhere.test", "b@addr.test")])
    assert got == [250, 550, 250]
    assert within(20, lambda: rcpt(site, "a@six.test"), 1) == (451, UNKNOWN.format("six.test"))
    names.go_on()
    wait_for(lambda: rcpt(site, "a@six.test")[0] == 250, 60, "it was not asked again")


def test_reload_and_death_with_a_question_in_hand(site, names):
    site.start()
    assert rcpt(site, "a@mx.test")[0] == 250
    answers = {}

    def ask(domain):
        answers[domain] = rcpt(site, f"a@{domain}")[0]
    # a reload: the same question is asked again
    names.stand_still()
    t = threading.Thread(target=ask, args=("addr.test",))
    t.start()
    wait_for(names.is_asked)
    site.reload()
    time.sleep(1)
    names.go_on()
    t.join(60)
    assert answers["addr.test"] == 250
    # killed: the session sees it at once
    names.stand_still()
    t = threading.Thread(target=ask, args=("six.test",))
    t.start()
    wait_for(names.is_asked)
    begin = time.monotonic()
    pid, = site.pids("dns")
    os.kill(pid, signal.SIGKILL)
    t.join(60)
    assert answers["six.test"] == 451 and time.monotonic() - begin < 10
    names.go_on()
    wait_for(lambda: rcpt(site, "a@six.test")[0] == 250, 60, "the next postern-dns does not answer")


# ---- a played postern-dns ----

def test_ill_answers_are_temporary():
    d = Smtpd(mfcheck="1")
    try:
        sock = d.pairs["dns"][0]
        for answer in (b"", b"x", netstring("Y") + b"x", netstring("YY"), netstring("y"), netstring("T"), None):
            c = d.connect()
            c.ehlo()
            assert c.do("MAIL FROM:<a@far.test>")[0] == 250
            c.send("RCPT TO:<u1@campus.test>\r\nRCPT TO:<u2@campus.test>\r\n")
            data, fds, _, _ = socket.recv_fds(sock, 1000, 4)
            assert netstrings(data) == [b"sender", b"far.test"]
            with socket.socket(fileno=fds[0]) as reply:
                if answer is not None:
                    reply.send(answer)
            for _ in range(2):
                code, text = c.reply()
                assert code == 451 and text.startswith(UNKNOWN.format("far.test")), (answer, text)
            c.close()
    finally:
        d.close()


# ---- postern-dns alone ----

class Fake(threading.Thread):
    """A name server that says of the list's zone that nobody is in it and of good.test that it is not there, and nothing of all else; nor of these, while .silent;
    .late: seconds until it says it."""
    silent, late = False, 0

    def __init__(self):
        super().__init__(daemon=True)
        self.sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.sock.bind(("127.0.0.1", 0))
        self.port, self.asked = self.sock.getsockname()[1], 0
        self.start()

    def run(self):
        while True:
            try:
                data, who = self.sock.recvfrom(4096)
            except OSError:
                return
            if not self.silent and (b"\x02bl\x04test" in data.lower() or b"\x04good\x04test" in data.lower()):
                end = data.index(b"\0", 12) + 5
                answer = data[:2] + struct.pack(">HHHHH", 0x8403, 1, 0, 0, 0) + data[12:end]  # NXDOMAIN
                threading.Timer(self.late, self.sock.sendto, (answer, who)).start() if self.late else self.sock.sendto(answer, who)
            else:
                self.asked += 1


@pytest.fixture
def dns(folder):
    """.ask_socket: where sessions ask; .door_socket: where doors do."""
    fake = Fake()
    mine, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
    doors, in_port = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
    p = Alone("dns", folder, {"me": "mx.test", "resolver": f"127.0.0.1:{fake.port}", "dnsbl": "bl.test", "dnsbltimeout": "5", "mfcheck": "1"}, [in_port, theirs],
              lane="-")
    p.start()
    p.ask_socket, p.door_socket, p.fake = mine, doors, fake
    yield p
    p.stop()
    fake.sock.close()


def question(dns, data, extra=(), to=None):
    mine, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    fds = [*extra, theirs.fileno()]
    (to or dns.ask_socket).sendmsg([data], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", fds))])
    theirs.close()
    return mine


def test_hostile_questions(dns):
    with open("/dev/null") as null:
        bad = [(b"x", ()), (joined("sender"), ()), (joined("sender", "[192.0.2.1]"), ()), (joined("sender", "a b"), ()), (joined("sender", "a", "b"), ()),
               (joined("sender", "x" * 64 + ".test"), ()), (joined("sender", "mx.test"), (null.fileno(),)), (b"door", (null.fileno(),)),
               (joined("sender", "a." * 127 + "a" * 10), ()), (b"\0" * 1000, ())]
        for data, extra in bad:
            with question(dns, data, extra) as reply:
                reply.settimeout(60)
                assert reply.recv(100) == b"", data
    dns.ask_socket.send(b"no descriptor")
    dns.ask_socket.send(joined("sender", "mx.test"))
    assert len(dns.log("bad-question", count=len(bad) + 2)) == len(bad) + 2
    assert dns.process.poll() is None


def test_a_session_is_no_door(dns):
    """Nor is a door a session: each port takes what belongs there and nothing else, so doors find their places free."""
    for _ in range(20):
        with question(dns, b"door") as reply, question(dns, joined("sender", "a.test"), to=dns.door_socket) as other:
            for s in (reply, other):
                s.settimeout(60)
                assert s.recv(100) == b""
    assert len(dns.log("bad-question", count=40)) == 40
    doors = [question(dns, b"door", to=dns.door_socket) for _ in range(8)]
    for door in doors:
        door.settimeout(60)
        door.send(joined(1, "192.0.2.1", 1))
        assert netstrings(door.recv(1000))[0] == b"1"
        door.close()


# libunbound drops no question that was begun: it asks as often as outbound-msg-retry (5) says and waits at most infra-cache-max-rtt (12 s, deliver/resolve.c) each time.
LEFT_SECONDS = 5 * 12
# dns.h: DNS_SENDER_QUERIES_MAX + DNS_SENDER_LEFT_MAX, and some for the lists
SOCKETS_MOST = 256 + 512 + 20


class Peak(threading.Thread):
    """The most UDP sockets that a process has until .stop()."""

    def __init__(self, pid):
        super().__init__(daemon=True)
        self.pid, self.most, self.over = pid, 0, threading.Event()
        self.start()

    def look(self):
        udp = {line.split()[9] for line in open(f"/proc/{self.pid}/net/udp").readlines()[1:]}
        n = 0
        for fd in os.listdir(f"/proc/{self.pid}/fd"):
            try:
                n += os.readlink(f"/proc/{self.pid}/fd/{fd}")[8:-1] in udp  # socket:[inode]
            except OSError:
                pass
        self.most = max(self.most, n)

    def run(self):
        while not self.over.wait(0.05):
            self.look()

    def stop(self):
        self.over.set()
        self.join()
        return self.most


def ask_lists(door, first):
    for i in range(first, first + 20):
        nets = itertools.count()

        def ask():
            door.send(joined(i, f"192.0.{next(nets)}.{i}", 1))
            number, score, failed, *_ = netstrings(door.recv(1000))
            assert (int(number), int(score)) == (i, 0)
            return failed
        assert int(within(2, ask)) == 0


def domain_is(dns, domain, seconds):
    with question(dns, joined("sender", domain)) as reply:
        reply.settimeout(seconds)
        return netstrings(reply.recv(100))


def test_very_many_slow_domains(dns):
    """2,048 wait, for 15 s at most; one more hears at once that nothing is known; the lists answer meanwhile as if nobody asked.  What is left of them in libunbound
    has an end and is no more than dns.h says, and meanwhile good domains have their turn."""
    before = dns.descriptors()
    peak = Peak(dns.process.pid)
    waiting = [question(dns, joined("sender", f"d{i}.slow.test")) for i in range(2048)]
    assert within(5, lambda: domain_is(dns, "one.more.test", 60)) == [b"T"]
    door = question(dns, b"door", to=dns.door_socket)
    door.settimeout(60)
    ask_lists(door, 0)
    # a name server that takes its time is given time by libunbound, for slow domains too
    dns.fake.late = 3
    for i in range(24):
        door.send(joined(100 + i, f"192.0.2.{100 + i}", 1))
        time.sleep(0.5)
    for w in waiting:
        w.settimeout(60)
        assert netstrings(w.recv(100)) == [b"T"]
        w.close()
    dns.fake.late = 0
    assert sorted(int(netstrings(door.recv(1000))[0]) for _ in range(24)) == list(range(100, 124))
    ask_lists(door, 20)
    # after the lists: a name server that has answered nothing for 12 s, as only slow domains were asked for, counts as down until it answers anything
    assert domain_is(dns, "now.good.test", 20) == [b"N"]
    assert 200 < peak.stop() <= SOCKETS_MOST
    wait_for(lambda: dns.descriptors() <= before + 20, LEFT_SECONDS, why="descriptors stay")
    # sessions that went away cost nothing and stop nothing
    for i in range(100):
        question(dns, joined("sender", f"gone{i}.slow.test")).close()
    door.send(joined(99, "192.0.2.99", 1))
    assert int(netstrings(door.recv(1000))[0]) == 99
    door.close()


def test_name_server_was_down(dns):
    """A silent name server is tried every 13 s, however long it has been silent; libunbound alone would wait twice as long each time, and in the end 15 minutes."""
    assert domain_is(dns, "a.good.test", 20) == [b"N"]

    def silence():
        dns.fake.silent = True
        waiting = []
        for _ in range(55):
            waiting.append(question(dns, joined("sender", f"b{time.monotonic()}.good.test")))
            time.sleep(1)
        dns.fake.silent = False
        got = seconds_of(lambda: wait_for(lambda: domain_is(dns, f"c{time.monotonic()}.good.test", 60) == [b"N"], 60, "the name server is not asked again"))
        for w in waiting:
            w.close()
        return got
    measured(17, silence)
