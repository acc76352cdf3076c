"""Door and postern-dns in the suite, with a real rbldnsd, a real name server for names, and servers that do not answer.  Clients come by a PROXY
header, so that they can have any address."""
import itertools
import os
import signal
import socket
import struct
import subprocess
import threading
import time

import pytest

from conftest import free_port, wait_for
from knot import Knot, dig
from scan_alone import Spamd
from timing import measured

BL = """$SOA 60 ns.bl.test hostmaster.bl.test 0 60 60 60 60
$NS 60 ns.bl.test
:127.0.0.2:Listed $ see http://bl.test/
192.0.2.0/24
!192.0.2.10
198.51.100.7 :127.0.0.10:dynamic
198.51.100.99 :127.255.255.254:over your quota
"""
WL = """$SOA 60 ns.wl.test hostmaster.wl.test 0 60 60 60 60
:127.0.0.1:good
192.0.2.77
"""
BL6 = """$SOA 60 ns.bl6.test hostmaster.bl6.test 0 60 60 60 60
:127.0.0.2:Six $
2001:db8:bad::/48
"""


@pytest.fixture
def lists(folder):
    """rbldnsd; its port."""
    port = free_port()
    zones = {"bl.test:ip4set": BL, "wl.test:ip4set": WL, "bl6.test:ip6trie": BL6}
    for name, text in zones.items():
        (folder / name.split(":")[0]).write_text(text)
    p = subprocess.Popen(["/usr/sbin/rbldnsd", "-n", "-q", *(["-u", "nobody"] if os.geteuid() == 0 else []), "-r", str(folder), "-b", f"127.0.0.1/{port}",
                          *[f"{name}:{name.split(':')[0]}" for name in zones]], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    wait_for(lambda: dig(port, "2.2.0.192.bl.test") == "127.0.0.2", 20, "rbldnsd does not answer")
    yield port, p
    p.send_signal(signal.SIGCONT)
    p.terminate()
    p.wait(60)


@pytest.fixture
def silent():
    """A port that takes questions and answers none."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
        s.bind(("127.0.0.1", 0))
        yield s.getsockname()[1]


class Client:
    def __init__(self, suite, ip, seconds=60):
        start = time.monotonic()
        self.s = socket.create_connection(("127.0.0.1", suite.port), 60)
        self.s.settimeout(seconds)
        family, local = ("TCP6", "2001:db8::1") if ":" in ip else ("TCP4", "192.0.2.1")
        self.s.sendall(f"PROXY {family} {ip} {local} 4000 25\r\n".encode())
        self.f = self.s.makefile("rb")
        self.greeting = self.line()
        self.waited = time.monotonic() - start

    def line(self):
        return self.f.readline().decode().rstrip("\r\n")

    def say(self, text):
        self.s.sendall(text.encode() + b"\r\n")
        while (line := self.line())[3:4] == "-":
            pass
        return line

    def rcpt(self):
        """What is said to the recipient."""
        self.say("EHLO x.test")
        self.say("MAIL FROM:<a@b.test>")
        answer = self.say("RCPT TO:<u1@campus.test>")
        self.say("QUIT")
        self.s.close()
        return answer


def greeted(suite, ips, most, least=0):
    """A client that is greeted after LEAST to MOST seconds.  IPS: its address, or a text with {} for another one at each try, so that nothing is known of it."""
    number = itertools.count(1)

    def measure():
        c = Client(suite, ips.format(next(number)))
        return c, c.waited
    return measured(most, measure, least)


def start(suite, port, dnsbl, **files):
    suite.control("listen", f"smtp 127.0.0.1:{suite.port} proxy")
    suite.control("resolver", f"127.0.0.1:{port}")
    suite.control("dnsbl", dnsbl)
    for name, text in files.items():
        suite.control(name.replace("_", "."), text)
    return suite.start()


THREE = 'bl.test weight=2 codes=127.0.0.2-9\nbl.test weight=1 codes=127.0.0.10 text="dynamic %IP%, see %ZONE%"\nbl6.test weight=2 reply=554\nwl.test weight=-5\n'


def test_lists(suite, lists):
    """Weights, codes, texts, allow lists, IPv6, TXT with the address put in; the whole conversation in one line of the log."""
    start(suite, lists[0], THREE, dnsblthreshold="2", tcp_smtp='192.0.2.55:allow,RBLSMTPD=""\n192.0.2.56:allow,RELAYCLIENT=""\n'
          '192.0.2.57:allow,DNSBLSKIP="1"\n192.0.2.58:allow,RBLSMTPD="-own words"\n:allow')
    c = Client(suite, "192.0.2.2")
    assert c.greeting.startswith("220 ")
    assert c.rcpt() == "550 5.7.1 192.0.2.2 is listed by bl.test: Listed 192.0.2.2 see http://bl.test/"
    line = wait_for(lambda: next((x for x in suite.log().splitlines() if "door-blocked" in x), None))
    assert "ip=192.0.2.2" in line and "helo=x.test" in line and "sender=<a@b.test>" in line and "rcpt=<u1@campus.test> rcpts=1 commands=4" in line
    assert Client(suite, "2001:db8:bad::25").rcpt() == "554 5.7.1 2001:db8:bad::25 is listed by bl6.test: Six 2001:db8:bad::25"
    for ip in ("192.0.2.10", "203.0.113.1", "2001:db8:600d::1", "192.0.2.77", "198.51.100.7", "192.0.2.55", "192.0.2.56", "192.0.2.57"):
        assert Client(suite, ip).rcpt().startswith("250 "), ip
    assert Client(suite, "192.0.2.58").rcpt() == "553 5.7.1 own words"
    suite.control("dnsblthreshold", "1")
    suite.reload()
    assert wait_for(lambda: (x := Client(suite, "198.51.100.7").rcpt()).startswith("550 ") and x) == "550 5.7.1 dynamic 198.51.100.7, see bl.test"


def test_answers_are_remembered(suite, lists):
    """A list that is stopped: what it said counts for its TTL."""
    port, rbldnsd = lists
    start(suite, port, "bl.test", dnsbltimeout="1", dnsblfailclosed="1")
    wait_for(lambda: Client(suite, "192.0.2.2").rcpt().startswith("550 "))
    wait_for(lambda: Client(suite, "203.0.113.1").rcpt().startswith("250 "))
    rbldnsd.send_signal(signal.SIGSTOP)
    for _ in range(3):
        assert greeted(suite, "192.0.2.2", 0.5).rcpt().startswith("550 ")
        assert greeted(suite, "203.0.113.1", 0.5).rcpt().startswith("250 ")
    c = greeted(suite, "203.0.113.1{}", 3, 0.9)
    assert c.rcpt() == "451 4.7.1 the DNS lists that decide on your address do not answer, try again"
    rbldnsd.send_signal(signal.SIGCONT)
    wait_for(lambda: Client(suite, "203.0.113.2").rcpt().startswith("250 "), 40)


@pytest.mark.parametrize("closed, rule, answer", [("0", "", "250 "), ("1", "", "451 4.7.1 the DNS lists"), ("1", ',DNSBLFAILCLOSED="0"', "250 "),
                                                   ("0", ',DNSBLFAILCLOSED="1"', "451 4.7.1 the DNS lists")])
def test_silence(suite, silent, closed, rule, answer):
    start(suite, silent, "bl.test\nwl.test weight=-1", dnsbltimeout="1", dnsblfailclosed=closed, tcp_smtp=f":allow{rule}")
    assert greeted(suite, "192.0.2.2{}", 3, 0.9).rcpt().startswith(answer)


def test_a_list_that_answers_nonsense(suite, lists):
    """127.255.255.x and addresses outside of 127/8 are errors of the list (a quota, a domain that changed hands), not listings."""
    start(suite, lists[0], "bl.test")
    assert Client(suite, "198.51.100.99").rcpt().startswith("250 ")
    suite.control("dnsblfailclosed", "1")
    suite.reload()
    wait_for(lambda: Client(suite, "198.51.100.99").rcpt().startswith("451 "))


def test_delay_and_lists_run_at_the_same_time(suite, lists, silent):
    start(suite, silent, "bl.test", dnsbltimeout="2", greetdelay="2")
    assert greeted(suite, "203.0.113.1{}", 3.2, 1.9).greeting.startswith("220 ")
    suite.control("resolver", f"127.0.0.1:{lists[0]}")
    suite.control("greetdelay", "1")
    suite.reload()
    wait_for(lambda: 0.9 < Client(suite, "203.0.113.3").waited < 1.8)
    assert greeted(suite, "192.0.2.2", 0.5).rcpt().startswith("550 ")  # nobody waits to refuse
    with socket.create_connection(("127.0.0.1", suite.port), 10) as s:
        s.sendall(b"PROXY TCP4 203.0.113.4 192.0.2.1 4000 25\r\nEHLO early\r\n")
        assert s.recv(100).startswith(b"554 5.5.1")


def test_dns_dies(suite, lists):
    """Its questions are asked again; clients that wait get their answer from its successor."""
    port, rbldnsd = lists
    start(suite, port, "bl.test", dnsbltimeout="20")
    assert Client(suite, "192.0.2.2").rcpt().startswith("550 ")
    rbldnsd.send_signal(signal.SIGSTOP)
    with socket.create_connection(("127.0.0.1", suite.port), 60) as s:
        s.sendall(b"PROXY TCP4 192.0.2.3 192.0.2.1 4000 25\r\n")
        time.sleep(0.3)
        for pid in suite.pids("dns"):
            os.kill(pid, signal.SIGKILL)
        rbldnsd.send_signal(signal.SIGCONT)
        assert s.recv(100).startswith(b"220 ")
        s.sendall(b"MAIL FROM:<>\r\nRCPT TO:<u1@campus.test>\r\n")
        f = s.makefile("rb")
        assert [f.readline()[:3] for _ in range(2)] == [b"250", b"550"]
    wait_for(lambda: any("door-dns" in x for x in suite.log().splitlines()))


ZONES = {
    "2.0.192.in-addr.arpa": "7 PTR good.names.test.\n8 PTR liar.names.test.\n9 PTR nothing.names.test.\n10 PTR other.names.test.\n10 PTR many.names.test.\n",
    "names.test": "good A 192.0.2.7\nliar A 192.0.2.99\nother A 192.0.2.98\nmany A 192.0.2.10\nsix AAAA 2001:db8::7\n",
    "8.b.d.0.1.0.0.2.ip6.arpa": "7.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0 PTR SIX.names.test.\n",
}


@pytest.fixture
def names(folder):
    server = Knot(folder, ZONES)
    yield server.port
    server.stop()


def test_rules_by_name(suite, names):
    """=host and =.suffix: a name counts when it leads back to the address; it goes to the session and into the trace."""
    suite.control("listen", f"smtp 127.0.0.1:{suite.port} proxy")
    suite.control("resolver", f"127.0.0.1:{names}")
    suite.control("tcp.smtp", '=good.names.test:allow,RBLSMTPD="-good"\n=liar.names.test:allow,RBLSMTPD="-liar"\n=six.names.test:allow,RBLSMTPD="-six"\n'
                  '192.0.2.99:allow,RBLSMTPD="-address"\n=.names.test:allow\n=:deny\n:allow,RBLSMTPD="-no name"')
    suite.start()
    for ip, answer in {"192.0.2.7": "553 5.7.1 good", "192.0.2.8": "553 5.7.1 no name", "192.0.2.9": "553 5.7.1 no name", "192.0.2.200": "553 5.7.1 no name",
                       "2001:db8::7": "553 5.7.1 six", "192.0.2.99": "553 5.7.1 address"}.items():
        assert Client(suite, ip).rcpt() == answer, ip
    assert Client(suite, "192.0.2.10").rcpt().startswith("250 ")
    wait_for(lambda: any("smtpd-session" in x and "ip=192.0.2.10" in x and "host=many.names.test" in x for x in suite.log().splitlines()))
    # no rule by name: nobody is asked, the helper goes
    suite.control("tcp.smtp", ":allow")
    suite.reload()
    wait_for(lambda: not suite.pids("dns"))
    assert Client(suite, "192.0.2.7").rcpt().startswith("250 ")


def test_names_without_a_server(suite, silent):
    """Who cannot be named is treated as one without name, in time."""
    suite.control("listen", f"smtp 127.0.0.1:{suite.port} proxy")
    suite.control("resolver", f"127.0.0.1:{silent}")
    suite.control("dnsbltimeout", "1")
    suite.control("tcp.smtp", '=.names.test:deny\n:allow')
    suite.start()
    assert greeted(suite, "192.0.2.7{}", 3, 0.9).rcpt().startswith("250 ")


def send_from(suite, ip, to="u1"):
    c = Client(suite, ip)
    said = [c.say(x)[:3] for x in ("EHLO mail.far.test", "MAIL FROM:<a@far.test>", f"RCPT TO:<{to}@campus.test>", "DATA",
                                   "From: a@far.test\r\nTo: b@campus.test\r\nSubject: x\r\n\r\nhello\r\n.")]
    assert said == ["250", "250", "250", "354", "250"], said
    c.s.close()


def test_client_names(suite, names):
    """clientnames 1: the name that leads back to the address is in the Received field and the log; who has none is served all the same."""
    start(suite, names, None, clientnames="1", greetdelay="0")
    for n, (ip, trace) in enumerate({"192.0.2.7": b"(good.names.test [192.0.2.7])", "192.0.2.8": b"([192.0.2.8])", "192.0.2.9": b"([192.0.2.9])",
                                     "2001:db8::7": b"(six.names.test [IPv6:2001:db8::7])"}.items(), 1):
        send_from(suite, ip, f"u{n}")
        assert b"\nReceived: from mail.far.test " + trace + b"\n  by mx1.campus.test with ESMTP id " in b"\n" + suite.wait_mail(f"u{n}")[0]
    wait_for(lambda: [e["host"].strip('"') for e in suite.events("smtpd-session")] == ["good.names.test", "", "", "six.names.test"])
    suite.control("clientnames", "0")
    suite.reload()
    wait_for(lambda: not suite.pids("dns"))
    send_from(suite, "192.0.2.7", "u5")
    assert b"([192.0.2.7])\n" in suite.wait_mail("u5")[0]
    suite.control("clientnames", None)
    suite.control("scanners", "spamassassin 127.0.0.1:9")  # nobody there: the names are wanted all the same
    suite.control("scanpolicy", "error pass")
    suite.reload()
    wait_for(lambda: suite.pids("dns") and suite.pids("scan") and len(suite.events("reloaded")) == 2)
    send_from(suite, "192.0.2.7", "u6")
    assert b"(good.names.test [192.0.2.7])\n" in suite.wait_mail("u6")[0]


def test_client_names_without_a_server(suite, silent):
    """Nobody waits longer than dnsbltimeout for a name, and the delay and the question run at the same time; this host's own addresses are not asked about."""
    start(suite, silent, None, clientnames="1", dnsbltimeout="1", tcp_smtp='198.51.100.:allow,GREETDELAY="2"\n:allow', dnsblfailclosed="1")
    assert greeted(suite, "192.0.2.7{}", 1.9, 0.9).rcpt().startswith("250 ")
    assert greeted(suite, "198.51.100.{}", 2.8, 1.9).rcpt().startswith("250 ")
    assert greeted(suite, "127.0.0.5", 0.5).rcpt().startswith("250 ")


def test_a_refusal_waits_for_no_name(suite):
    """A listed client whose name server is silent is refused as soon as the lists have spoken; what they said is remembered where names are asked for too."""
    def answer(q):
        if q[12:].find(b"\2bl\4test\0") < 0:
            return []
        return [packet(q, [(b"\xc0\x0c", 1, 600, LISTED)])] if b"\x0266\x03113" in q else [packet(q, rcode=3)]
    server = Nameserver(answer)
    try:
        start(suite, server.port, 'bl.test text="listed"', dnsbltimeout="2", clientnames="1", dnsblfailclosed="1")
        for _ in range(2):
            assert greeted(suite, "203.0.113.66", 1).rcpt() == "550 5.7.1 listed"
        assert greeted(suite, "203.0.113.7{}", 3.5, 1.9).rcpt().startswith("250 "), "no name in time: let in all the same"
    finally:
        server.close()


def test_spamassassin_sees_the_client_by_name(suite, names):
    """Where spamassassin is asked clients are named; without names it counts RDNS_NONE, over two points, against every message."""
    spamd = Spamd()
    try:
        start(suite, names, None, scanners=f"spamassassin unix:{spamd.path}")
        for ip, none in {"192.0.2.7": False, "192.0.2.8": True}.items():
            before = len(suite.events("scan"))
            send_from(suite, ip)
            scan = wait_for(lambda: suite.events("scan")[before:])[0]
            assert ("RDNS_NONE" in scan["tests"]) == none, scan
    finally:
        spamd.stop()


URIBL = """$SOA 60 ns.uri.test hostmaster.uri.test 0 60 60 60 60
:127.0.0.2:Phishing $
.phish.example
"""


def test_links_are_looked_up_before_the_250(suite, folder):
    """A URI block list by way of SpamAssassin: a message with a listed link is refused in the session, and the sender reads why."""
    port = free_port()
    (folder / "uri.test").write_text(URIBL)
    rbldnsd = subprocess.Popen(["/usr/sbin/rbldnsd", "-n", "-q", *(["-u", "nobody"] if os.geteuid() == 0 else []), "-r", str(folder), "-b", f"127.0.0.1/{port}",
                                "uri.test:dnset:uri.test"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    wait_for(lambda: subprocess.run(["/usr/bin/kdig", "+short", "+time=1", "+retry=0", "@127.0.0.1", "-p", str(port), "phish.example.uri.test"],
                                    capture_output=True).stdout.strip() == b"127.0.0.2", 20, "rbldnsd does not answer")
    spamd = Spamd(dns=port, rules="util_rb_tld example\nurirhsbl CAMPUS_LINKS uri.test. A\nbody CAMPUS_LINKS eval:check_uridnsbl('CAMPUS_LINKS')\ntflags CAMPUS_LINKS net\nscore CAMPUS_LINKS 20\n")
    try:
        suite.control("scanners", f"spamassassin unix:{spamd.path}")
        suite.control("clientnames", "0")
        suite.start()
        text = b"From: a@far.test\r\nTo: u1@campus.test\r\nSubject: your account\r\nDate: Sun, 29 Nov 2026 10:00:00 +0000\r\nMessage-ID: <x@far.test>\r\n\r\nPlease see https://www.%s/login today.\r\n"
        code, answer = suite.send("a@far.test", "u1@campus.test", text % b"phish.example")
        assert code == 550, answer
        assert "CAMPUS_LINKS" in suite.events("scan")[-1]["tests"]
        code, answer = suite.send("a@far.test", "u1@campus.test", text % b"library.example")
        assert code == 250, answer
        assert "CAMPUS_LINKS" not in suite.events("scan")[-1]["tests"]
    finally:
        spamd.stop()
        rbldnsd.terminate()
        rbldnsd.wait(60)


def test_lint(suite):
    suite.control("dnsbl", "bl.test weight=2\nbl.test weight=x\n-\n")
    got = suite.postern("check", check=1)
    assert "dnsbl:2: weight= is a number" in got.stdout + got.stderr and "dnsbl:3:" in got.stdout + got.stderr
    suite.control("dnsbl", None)
    suite.control("scanners", "spamassassin 127.0.0.1:783")
    assert "RDNS_NONE" not in suite.postern("check", check=0).stdout
    suite.control("clientnames", "0")
    assert "clientnames: 0 with spamassassin in scanners: it counts RDNS_NONE" in suite.postern("check", check=0).stdout


def test_greylist(suite, lists):
    """Who is new waits; who came back is known, after a reload, a crash and a restart too; an allow list, a rule and the campus's own hosts pass."""
    start(suite, lists[0], "bl.test\nwl.test weight=-5", greylist="2", tcp_smtp='198.51.100.:allow,GREYLIST="0"\n203.0.113.:allow,RELAYCLIENT=""\n:allow')
    known = "100.64.1.1"
    assert Client(suite, known).rcpt() == "451 4.7.1 your network is not known here yet, try again in 2 seconds"
    line = wait_for(lambda: next((x for x in suite.log().splitlines() if "door-blocked" in x), None))
    assert "ip=100.64.1.1" in line and "rcpt=<u1@campus.test> rcpts=1" in line
    for ip in ("198.51.100.1", "203.0.113.1", "192.0.2.77"):
        assert Client(suite, ip).rcpt().startswith("250 "), ip
    assert Client(suite, "192.0.2.3").rcpt().startswith("550 ")  # listed: not asked to come back
    time.sleep(2)
    assert Client(suite, "100.64.1.200").rcpt().startswith("250 ")
    suite.control("dnsblthreshold", "2")
    suite.reload()
    wait_for(lambda: suite.events("reloaded"))
    assert Client(suite, known).rcpt().startswith("250 ")
    old = suite.pids("dns")
    os.kill(old[0], signal.SIGKILL)
    assert Client(suite, known).rcpt().startswith("250 ")
    assert suite.stop() == 0
    suite.start()
    assert Client(suite, known).rcpt().startswith("250 ")
    assert Client(suite, "100.64.2.1").rcpt().startswith("451 ")
    suite.control("greylist", "0")
    suite.reload()
    wait_for(lambda: Client(suite, "100.64.3.1").rcpt().startswith("250 "))


def test_greylist_alone(suite):
    """Without lists no resolver is needed."""
    start(suite, free_port(), None, greylist="1")
    assert Client(suite, "100.64.1.1").rcpt().startswith("451 4.7.1 your network")
    time.sleep(1.1)
    assert Client(suite, "100.64.1.1").rcpt().startswith("250 ")


def test_a_dead_list_is_not_waited_for_again_and_again(suite, silent):
    """After twenty silences in a row clients do not wait for it, for a while."""
    start(suite, silent, "bl.test", dnsbltimeout="1")
    waiting = []
    for i in range(25):
        s = socket.create_connection(("127.0.0.1", suite.port), 10)
        s.sendall(f"PROXY TCP4 203.0.113.{i + 1} 192.0.2.1 4000 25\r\n".encode())
        waiting.append(s)
    for s in waiting:
        s.settimeout(60)
        assert s.recv(100).startswith(b"220 ")
        s.close()
    wait_for(lambda: suite.events("dns-silent"))
    assert greeted(suite, "203.0.113.20{}", 0.7).rcpt().startswith("250 ")


# ---- name servers that attack ----

def name(text):
    return b"".join(bytes([len(x)]) + x.encode() for x in text.split(".")) + b"\0"


def packet(query, answers=(), more=(), rcode=0, id=None, question=None):
    """A reply to QUERY with these records, each (owner, type, ttl, data); .question None: that of the query."""
    def record(owner, kind, ttl, data):
        return owner + struct.pack("!HHIH", kind, 1, ttl, len(data)) + data
    asked = query[12:] if question is None else question
    end = asked.index(b"\0") + 5
    head = (query[:2] if id is None else id) + struct.pack("!HHHHH", 0x8580 | rcode, 1, len(answers), 0, len(more))
    return head + asked[:end] + b"".join(record(*r) for r in [*answers, *more])


class Nameserver:
    """Answers each question with the packets that ANSWER(query) gives."""
    def __init__(self, answer):
        self.sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.sock.bind(("127.0.0.1", 0))
        self.port, self.answer, self.asked = self.sock.getsockname()[1], answer, []
        threading.Thread(target=self.run, daemon=True).start()

    def run(self):
        while True:
            try:
                query, client = self.sock.recvfrom(4096)
            except OSError:
                return
            self.asked.append((query, client[1]))
            for p in self.answer(query) if len(query) > 16 else []:
                self.sock.sendto(p, client)

    def close(self):
        self.sock.close()


LISTED = b"\x7f\0\0\2"
HOSTILE_PACKETS = {
    "empty": lambda q: [b""],
    "half a header": lambda q: [q[:7]],
    "the question": lambda q: [q],
    "a name that leads to itself": lambda q: [packet(q, [(b"\xc0" + bytes([len(q[12:q.index(b"\0", 12) + 5]) + 12]), 1, 60, LISTED)])],
    "two names that lead to each other": lambda q: [packet(q, [(b"\x01a\xc0\x0c", 5, 60, b"\xc0\x0c"), (b"\xc0\x0c", 5, 60, b"\x01a\xc0\x0c"), (b"\x01a\xc0\x0c", 5, 60, b"\xc0\x0c")])],
    "a pointer past the end": lambda q: [packet(q, [(b"\xff\xff", 1, 60, LISTED)])],
    "a label past the end": lambda q: [packet(q)[:-4] + b"\x3fabc"],
    "a label of 191": lambda q: [packet(q, [(b"\xbf" + b"a" * 191 + b"\0", 1, 60, LISTED)])],
    "a name of a thousand octets": lambda q: [packet(q, [(b"\x3f" + b"a" * 63, 1, 60, LISTED)] * 1 + [((b"\x3f" + b"a" * 63) * 16 + b"\0", 1, 60, LISTED)])],
    "an address of three octets": lambda q: [packet(q, [(b"\xc0\x0c", 1, 60, b"\x7f\0\0")])],
    "an address of a hundred octets": lambda q: [packet(q, [(b"\xc0\x0c", 1, 60, LISTED * 25)])],
    "more records counted than there are": lambda q: [packet(q, [(b"\xc0\x0c", 5, 60, name("x.test"))])[:6] + b"\xff\xff" + packet(q)[8:]],
    "500 addresses": lambda q: [packet(q, [(b"\xc0\x0c", 1, 60, b"\x0a\0" + struct.pack("!H", n)) for n in range(500)])],
    "cut off": lambda q: [packet(q)[:2] + b"\x83\x80" + packet(q)[4:]],
    "a thousand replies": lambda q: [packet(q, rcode=2)] * 1000,
    "random octets": lambda q: [q[:2] + os.urandom(n) for n in (1, 10, 100, 500)],
    "text without an end": lambda q: [packet(q, [(b"\xc0\x0c", 16, 60, b"\xff" + b"x" * 20)])],
    "a pointer name of 300 labels": lambda q: [packet(q, [(b"\xc0\x0c", 12, 60, b"\x01a" * 300 + b"\0")])],
    "a name with odd octets": lambda q: [packet(q, [(b"\xc0\x0c", 12, 60, b"\x09\x1b[2J\r\n\0\"x\x04test\0")])],
}


def test_hostile_dns(suite):
    """Malformed packets of name servers, about lists and names: clients are let in or in time, no name is made of them, postern-dns stays the same process."""
    kind = [None]
    server = Nameserver(lambda q: kind[0](q))
    try:
        start(suite, server.port, "bl.test", dnsbltimeout="1", clientnames="1")
        pid = wait_for(lambda: suite.pids("dns"))
        for n, (what, packets) in enumerate(HOSTILE_PACKETS.items(), 1):
            kind[0] = packets
            c = greeted(suite, f"203.0.{{}}.{n}", 3)
            assert c.greeting.startswith("220 "), what
            assert c.rcpt().startswith("250 "), what
        kind[0] = lambda q: [packet(q, [(b"\xc0\x0c", 1, 60, LISTED)])] if q[12:].find(b"\2bl\4test\0") > 0 else [packet(q, rcode=3)]
        wait_for(lambda: Client(suite, "198.51.100.4").rcpt().startswith("550 "), 45, "after all that lists are asked as before")  # silent for thirty seconds
        assert suite.pids("dns") == pid and not suite.events("died")
        assert not [e for e in suite.events("smtpd-session") if e["host"].strip('"')]
    finally:
        server.close()


def test_dns_poisoning(suite):
    """Answers that were not asked for, for other names, with another id or question, count for nothing; ids and ports cannot be guessed."""
    victim = name("9.2.0.192.bl.test")

    def answer(q):
        lie = (victim, 1, 3600, LISTED)
        forged = [packet(q, [lie], id=struct.pack("!H", n)) for n in range(0, 65536, 4099) if struct.pack("!H", n) != q[:2]]
        forged += [packet(q, [(b"\xc0\x0c", 1, 3600, LISTED)], id=struct.pack("!H", (struct.unpack("!H", q[:2])[0] + n) & 0xffff)) for n in (1, 2, 0xffff)]
        forged += [packet(q, [lie], question=victim + b"\0\1\0\1")] if b"\x0230\x03113" in q else []
        return [*forged, packet(q, [lie], more=[lie, (name("bl.test"), 2, 3600, name("ns.evil.test"))], rcode=3)]
    server = Nameserver(answer)
    try:
        start(suite, server.port, "bl.test", dnsbltimeout="2")
        for n in range(1, 31):
            assert Client(suite, f"203.0.113.{n}").rcpt().startswith("250 "), n
        asked = list(server.asked)
        server.answer = lambda q: [packet(q, rcode=3)]
        assert Client(suite, "192.0.2.9").rcpt().startswith("250 ")
        assert any(victim in q.lower() for q, _ in server.asked[len(asked):]), "it was asked about, not believed"
        assert len({q[:2] for q, _ in asked}) > len(asked) * 0.9 and len({port for _, port in asked}) > len(asked) * 0.8
    finally:
        server.close()
