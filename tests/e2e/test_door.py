"""postern-door by itself: the test is the supervisor, the clients and smtpd."""
import os
import re
import resource
import signal
import smtplib
import socket
import struct
import time

import pytest

from alone import Alone, netstring, netstrings, readable
from certificates import NO_CHECK, certificate
from conftest import free_port, many, wait_for
from processes import standing_still
from timing import sleep, within

BASE = {"me": "mx.test", "maxperip": "5000", "maxpernet": "5000"}


class Session:
    """What smtpd holds of a connection that was handed over."""

    def __init__(self, text, fds):
        parts = [p.decode() for p in netstrings(text)]
        self.listener, self.ip, self.port, self.local_ip, self.local_port = parts[:5]
        self.vars = dict(zip(parts[5::2], parts[6::2]))
        self.client = socket.socket(fileno=fds[0])
        self.token = socket.socket(fileno=fds[1])

    def end(self):
        self.client.close()
        self.token.close()


class Door(Alone):
    def __init__(self, folder, files=None, listen=("",), **kw):
        self.listeners = [self._listener(s) for s in listen]
        names = [next((n for n in ("submissions", "submission") if n in w), "smtp") for w in listen]
        lines = [f"{n} {'[::1]' if s.family == socket.AF_INET6 else '127.0.0.1'}:{s.getsockname()[1]} {'proxy' if 'proxy' in w else ''}"
                 for n, s, w in zip(names, self.listeners, listen)]
        if "smtp" not in names:  # the door of submission: lines of other lanes are not its own
            lines.insert(1, "smtp 127.0.0.1:25")
            kw.setdefault("lane", "submission")
        self.smtpd, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.dns, dns = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.respond, blocks = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.command = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self.command.bind(str(folder / "door.sock"))
        self.command.listen(5)
        self.kept = []  # nothing is closed by the garbage collector: that would end clients and sessions
        self.fixed = {"listen": "\n".join(lines)}
        self.address = self.listeners[0].getsockname()
        super().__init__("door", folder, {**BASE, **self.fixed, **(files or {})}, [theirs, dns, self.command, blocks, *self.listeners], **kw)

    @staticmethod
    def _listener(what):
        six = "6" in what
        s = socket.socket(socket.AF_INET6 if six else socket.AF_INET)
        s.bind(("::1" if six else "127.0.0.1", 0))
        s.listen(4096)
        return s

    def set(self, **files):
        before = len(self.log("door-settings", 0)) + len(self.log("control-fault", 0))
        files = {k.replace("_", "."): v for k, v in files.items()}
        self.reload({**BASE, **self.fixed, **files})
        wait_for(lambda: len(self.log("door-settings", 0)) + len(self.log("control-fault", 0)) > before)

    def status(self):
        with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as s:
            s.settimeout(60)
            s.connect(str(self.folder / "door.sock"))
            s.send(netstring("status"))
            row = [x.decode() for x in netstrings(s.recv(32768))]
            assert netstrings(s.recv(100))[:1] == [b"."]
        return {k: int(v) for k, v in zip(row[::2], row[1::2]) if v.isdigit()}

    def connect(self, source="127.0.0.1", listener=0, send=b""):
        s = socket.create_connection(self.listeners[listener].getsockname()[:2], 60, (source, 0))
        self.kept.append(s)
        if send:
            s.sendall(send)
        return s

    def session(self, seconds=20):
        assert readable(self.smtpd, seconds), f"nothing was handed over; log: {self.lines}"
        text, fds, flags, _ = socket.recv_fds(self.smtpd, 8192, 4)
        assert len(fds) == 2 and not flags & socket.MSG_CTRUNC
        self.kept.append(Session(text, fds))
        return self.kept[-1]

    def none(self, seconds=0.3):
        return not readable(self.smtpd, seconds)


@pytest.fixture
def door(tmp_path):
    with many(Door, Door.stop) as new:
        yield lambda files=None, **kw: new(tmp_path, files and {k.replace("_", "."): v for k, v in files.items()}, **kw).start()


def rest(s, seconds=60):
    """All that the server says until it closes."""
    s.settimeout(seconds)
    out = b""
    while True:
        try:
            got = s.recv(4096)
        except ConnectionResetError:
            return out + b"<reset>"
        if not got:
            return out
        out += got


def test_hands_over(door):
    d = door({"tcp_smtp": '127.0.0.1:allow,RELAYCLIENT="",DATABYTES="1000"\n:allow'})
    c = d.connect()
    s = d.session()
    assert (s.listener, s.ip, s.port) == ("smtp", "127.0.0.1", str(c.getsockname()[1]))
    assert (s.local_ip, s.local_port) == ("127.0.0.1", str(d.address[1]))
    assert s.vars == {"RELAYCLIENT": "", "DATABYTES": "1000"}
    s.client.sendall(b"220 hello\r\n")
    assert c.recv(100) == b"220 hello\r\n"
    c.sendall(b"QUIT\r\n")
    assert s.client.recv(100) == b"QUIT\r\n"
    s.end()
    assert rest(c) == b""
    assert d.connect("127.0.0.9") and d.session().vars == {}


def test_ipv6(door):
    d = door({"tcp_smtp": '::1:allow,A="six"\n:deny'}, listen=("6",))
    d.connect("::1")
    s = d.session()
    assert (s.ip, s.local_ip, s.vars) == ("::1", "::1", {"A": "six"})


def test_deny_closes_at_once(door):
    d = door({"tcp_smtp": "127.0.0.2:deny\n:allow"})
    assert rest(d.connect("127.0.0.2")) == b""
    assert d.none() and "ip=127.0.0.2" in d.log("door-deny")[0]
    d.connect("127.0.0.3")
    d.session()


def test_maxperip_counts_sessions_by_their_token(door):
    d = door({"maxperip": "2", "tcp_smtp": '127.0.0.7:allow,MAXPERIP="1"\n:allow'})
    clients = [d.connect() for _ in range(2)]
    sessions = [d.session() for _ in clients]
    over = d.connect()
    assert rest(over) == (b"421 4.7.0 too many connections from your address or network (maxperip 3 of 2), try again later\r\n")
    assert 'reason="maxperip 3 of 2"' in d.log("door-refused")[0]
    d.connect("127.0.0.2")
    d.session()
    first = d.connect("127.0.0.7")
    d.session()
    assert b"maxperip 2 of 1" in rest(d.connect("127.0.0.7"))
    first.close()  # the client's own end does not count: the session may live on
    assert b"maxperip 2 of 1" in rest(d.connect("127.0.0.7"))
    sessions[0].client.close()
    assert b"maxperip 3 of 2" in rest(d.connect())
    sessions[0].token.close()

    def let_in():
        c = d.connect()
        return d.session() if not d.none(0.2) else c.close()
    wait_for(let_in)


def test_token_shut_down_is_still_counted(door):
    d = door({"maxperip": "1"})
    d.connect()
    s = d.session()
    s.token.shutdown(socket.SHUT_WR)
    time.sleep(0.1)
    used = d.cpu_seconds()
    assert b"maxperip 2 of 1" in rest(d.connect())
    time.sleep(0.5)
    assert d.cpu_seconds() - used < 0.2, "the door spins on a token that was shut down"


def test_maxpernet(door):
    d = door({"maxpernet": "3"})
    for i in range(3):
        d.connect(f"127.0.0.{i + 1}")
        d.session()
    assert b"421 4.7.0" in rest(d.connect("127.0.0.200"))
    assert "maxpernet 4 of 3" in d.log("door-refused")[0]
    d.connect("127.0.1.1")
    d.session()


@pytest.mark.parametrize("listen,counts,other", [("", "concurrencyincoming", "concurrencysubmission"), ("submission", "concurrencysubmission", "concurrencyincoming")])
def test_sessions_full_then_waiting_then_421(door, listen, counts, other):
    d = door({counts: "2", other: "20", "concurrencywaiting": "3"}, listen=(listen,))
    running = [d.connect() for _ in range(2)]
    sessions = [d.session() for _ in running]
    waiting = [d.connect(f"127.0.0.{i + 2}") for i in range(3)]
    assert d.none()
    assert rest(d.connect("127.0.0.99")) == \
        b"421 4.3.2 too many clients are waiting (concurrencywaiting 4 of 3), try again later\r\n"
    assert d.log("door-full")
    waiting[1].close()
    for who in (0, 2):  # first come, first served; the one who left is passed over
        sessions.pop(0).end()
        s = d.session()
        assert s.ip == f"127.0.0.{who + 2}"
        sessions.append(s)
    assert d.none()


def handed_over(d, source, **kw):
    """A client, and its session until it ends; nothing was said to it meanwhile."""
    c = d.connect(source, **kw)
    s = d.session()
    assert not readable(c, 0), source
    s.end()


def test_greetdelay_silent_wait_then_session(door):
    d = door({"greetdelay": "1", "tcp_smtp": '127.0.0.2:allow,GREETDELAY="2"\n127.0.0.3:allow,GREETDELAY="0"\n'
              '127.0.0.4:allow,SMTPD_GREETDELAY="0"'})
    for source, least, most in (("127.0.0.1", 0.95, 1.9), ("127.0.0.2", 1.95, 2.9), ("127.0.0.3", 0, 0.5), ("127.0.0.4", 0, 0.5)):
        within(most, lambda: handed_over(d, source), least)


@pytest.mark.parametrize("rule, answer", [
    ("", b"554 5.5.1 SMTP protocol violation\r\n"),
    ('GREETDELAY="1",DROP_PRE_GREET="1"', b"554 5.5.1 SMTP protocol violation\r\n"),
    ('GREETDELAY="0",DROP_PRE_GREET="1"', b"554 5.5.1 SMTP protocol violation\r\n"),
    ('DROPRUSHGREET="1"', b"554 5.5.1 SMTP protocol violation\r\n"),
    ('DROP_PRE_GREET="0"', None),
    ('GREETDELAY="0"', None),
])
def test_early_talkers(door, rule, answer):
    d = door({"greetdelay": "1", "tcp_smtp": f":allow{',' + rule if rule else ''}"})
    with standing_still([d.process.pid]):  # it finds the connection with the octets, however late they are sent
        c = d.connect(send=b"EHLO early\r\nMAIL FROM:<>\r\n" * 50)
    if answer:
        assert rest(c) == answer
        assert "action=refused" in d.log("door-early")[0] and d.none()
    else:
        s = d.session()
        assert s.client.recv(10) == b"EHLO early"
        if rule.startswith("DROP"):
            assert "action=tolerated" in d.log("door-early")[0]


def test_drop_pre_greet_alone_waits_a_second(door):
    d = door({"tcp_smtp": '127.0.0.2:allow,DROP_PRE_GREET="1"'})
    within(1.9, lambda: handed_over(d, "127.0.0.2"), 0.95)
    within(0.5, lambda: handed_over(d, "127.0.0.1"))


def test_client_that_leaves_while_it_waits(door):
    d = door({"greetdelay": "60", "maxperip": "1"})
    c = d.connect()
    wait_for(lambda: d.status()["waiting"] == 1)
    c.close()
    wait_for(lambda: d.status()["waiting"] == 0)
    d.set(greetdelay="0", maxperip="1")
    d.connect()  # is not over the limit
    assert d.session()
    assert not d.log("door-refused", 0)


V2 = b"\r\n\r\n\0\r\nQUIT\n"


@pytest.mark.parametrize("header, ip", [
    (b"PROXY TCP4 192.0.2.7 192.0.2.8 4000 25\r\n", "192.0.2.7"),
    (b"PROXY TCP6 2001:db8::7 2001:db8::8 4000 25\r\n", "2001:db8::7"),
    (V2 + b"\x21\x11" + struct.pack(">H", 15) + socket.inet_aton("192.0.2.7") + socket.inet_aton("192.0.2.8")
     + struct.pack(">HH", 4000, 25) + b"\4\0\0", "192.0.2.7"),
    (V2 + b"\x21\x21" + struct.pack(">H", 36) + socket.inet_pton(socket.AF_INET6, "2001:db8::7")
     + socket.inet_pton(socket.AF_INET6, "2001:db8::8") + struct.pack(">HH", 4000, 25), "2001:db8::7"),
    (b"PROXY UNKNOWN\r\n", None),
    (V2 + b"\x20\0\0\0", None),
])
def test_proxy(door, header, ip):
    d = door({"tcp_smtp": '192.0.2.7:allow,A="behind"\n2001:db8::/32:allow,A="behind"\n:allow,A="balancer"'}, listen=("proxy",))
    c = d.connect()
    for i in range(len(header)):  # octet by octet
        assert d.none(0)
        c.sendall(header[i:i + 1])
        if i % 7 == 0:
            time.sleep(0.01)
    c.sendall(b"EHLO follows\r\n")
    s = d.session()
    if ip:
        assert (s.ip, s.port, s.local_port, s.vars) == (ip, "4000", "25", {"A": "behind"})
    else:
        assert (s.ip, s.port, s.vars) == ("127.0.0.1", str(c.getsockname()[1]), {"A": "balancer"})
    s.client.settimeout(60)
    assert s.client.recv(100) == b"EHLO follows\r\n"
    once = d.connect(send=header + b"EHLO at once\r\n")
    assert d.session().client.recv(100) == b"EHLO at once\r\n"


def test_proxy_faults(door):
    d = door({}, listen=("proxy", ""))
    for text in (b"EHLO x\r\n", b"PROXY TCP4 192.0.2.7\r\n", V2 + b"\x21\x11\xff\xff", b"PROXY UNKNOWN " + b"x" * 200):
        assert rest(d.connect(send=text)) in (b"", b"<reset>")
    half = d.connect(send=b"PROXY TCP4")
    half.shutdown(socket.SHUT_WR)
    assert rest(half) in (b"", b"<reset>")
    assert len(d.log("door-proxy", count=5)) == 5 and d.none()
    plain = d.connect(listener=1, send=b"PROXY TCP4 192.0.2.7 192.0.2.8 4000 25\r\n")
    assert d.session().ip == "127.0.0.1"  # a header is believed only where the line says so


def test_proxy_deadline(door):
    d = door({}, listen=("proxy",))
    assert within(12, lambda: rest(d.connect(send=b"PROXY ")), 9) in (b"", b"<reset>")


def test_proxy_limits_count_the_client_behind(door):
    d = door({"maxperip": "1"}, listen=("proxy",))
    d.connect(send=b"PROXY TCP4 192.0.2.7 192.0.2.8 4000 25\r\n")
    d.session()
    assert b"maxperip 2 of 1" in rest(d.connect(send=b"PROXY TCP4 192.0.2.7 192.0.2.8 4001 25\r\n"))
    d.connect(send=b"PROXY TCP4 192.0.2.9 192.0.2.8 4001 25\r\n")
    assert d.session().ip == "192.0.2.9"


def talk(c, *lines):
    f = c.makefile("rb")
    out = [f.readline()]
    for line in lines:
        c.sendall(line.encode() + b"\r\n")
        out.append(f.readline())
    return [x.decode().rstrip("\r\n") for x in out]


def test_rblsmtpd_conversation(door):
    d = door({"tcp_smtp": '127.0.0.2:allow,RBLSMTPD="-Blocked, see %IP%"\n127.0.0.3:allow,RBLSMTPD="not now"\n'
              '127.0.0.4:allow,RBLSMTPD=""'})
    c = d.connect("127.0.0.2")
    got = talk(c, "EHLO spam er", "MAIL FROM:<a@b.test> SIZE=1", "RCPT TO:<c@d.test>", "rcpt to:<\"e>\\\"\"@f.test> NOTIFY=NEVER", "DATA", "STARTTLS", "", "NOOP",
               "RSET", "x" * 3000, "QUIT")
    refusal = "553 5.7.1 Blocked, see 127.0.0.2"
    assert got == ["220 mx.test", "250 mx.test", "250 2.1.0 ok", refusal, refusal, refusal, refusal, refusal, "250 2.0.0 ok", "250 2.0.0 ok",
                   "500 5.5.2 line too long", "221 2.0.0 mx.test"]
    assert rest(c) == b""
    lines = d.log("door-blocked")
    assert len(lines) == 1
    assert 'helo="spam er"' in lines[0] and "sender=<a@b.test> " in lines[0], "the addresses alone, whatever parameters came with them"
    assert 'rcpt="<c@d.test> <\\"e>\\\\\\"\\"@f.test>" rcpts=2 commands=10' in lines[0], lines[0]
    c = d.connect("127.0.0.3")
    assert talk(c, "HELO x", "MAIL FROM:<>", "RCPT TO:<c@d.test>")[3] == "451 4.7.1 not now"
    c.sendall(b"NOOP\r\n" * 150)
    assert rest(c).endswith((b"421 4.7.0 too many commands\r\n", b"<reset>"))
    d.connect("127.0.0.3").close()
    assert "rcpts=0 commands=0" in d.log("door-blocked", count=3)[2]
    assert d.none()
    d.connect("127.0.0.4")
    d.session()


def test_waiting_clients_cost_little(door):
    d = door({"greetdelay": "120"})
    base = d.memory_kib("Pss_Anon")
    clients = [d.connect(f"127.0.{i % 7}.{i % 250 + 1}") for i in range(2000)]
    wait_for(lambda: d.descriptors() >= 2000, 60)
    grown = d.memory_kib("Pss_Anon") - base
    print(f"2000 waiting clients: {grown} KiB")
    assert grown < 2000
    idle = d.cpu_seconds()
    time.sleep(1)
    assert d.cpu_seconds() - idle < 0.1
    for c in clients:
        c.close()
    wait_for(lambda: d.descriptors() <= 50, 60)


def few_descriptors(n):
    return lambda: resource.setrlimit(resource.RLIMIT_NOFILE, (n, n))


def test_as_many_clients_as_descriptors_allow(door):
    d = door({"greetdelay": "5"}, preexec=few_descriptors(64))
    clients = [d.connect(f"127.0.0.{i + 1}") for i in range(60)]
    told = wait_for(lambda: len(found := [c for c in clients if readable(c, 0)]) + d.status()["waiting"] == 60 and found)
    assert 20 < len(told) < 40
    assert rest(told[0]).startswith(b"421 4.3.2 too many clients are waiting (descriptors 32 of 31)")
    assert {d.session().ip for _ in range(60 - len(told))}  # and all others get through


def test_out_of_descriptors(door):
    d = door({"greetdelay": "2"}, preexec=few_descriptors(12))
    clients = [d.connect(f"127.0.0.{i + 1}") for i in range(20)]
    start = d.cpu_seconds()
    time.sleep(1)
    assert d.cpu_seconds() - start < 0.3, "the loop spins"
    told = [rest(c) for c in wait_for(lambda: [c for c in clients if readable(c, 0)])]
    assert told and any(b"421 4.3.2 out of descriptors" in t for t in told), (told, d.lines)
    assert d.log("out of descriptors")
    for c in clients:
        c.close()
    sleep(2)
    again = d.connect("127.0.0.100")
    assert not readable(again, 0.5)  # it is let in


def test_smtpd_full_keeps_clients_and_the_loop_goes_on(door):
    d = door({"tcp_smtp": '127.0.0.200:allow,RBLSMTPD="no"\n:allow'})
    clients = [d.connect(f"127.0.1.{i + 1}") for i in range(200)]
    start = d.cpu_seconds()
    time.sleep(0.5)
    assert talk(d.connect("127.0.0.200"), "HELO x")[1] == "250 mx.test"  # the loop is not blocked
    assert d.cpu_seconds() - start < 0.3, "the loop spins"
    got = {d.session().ip for _ in clients}
    assert len(got) == 200 and d.none()


def test_reload_counts_at_once_and_drops_nobody(door):
    d = door({"greetdelay": "5", "tcp_smtp": ":allow"})
    kept, barred = d.connect("127.0.0.1"), d.connect("127.0.0.2")
    wait_for(lambda: d.status()["waiting"] == 2)
    d.set(greetdelay="0", tcp_smtp='127.0.0.2:deny\n:allow,N="new"')
    d.connect("127.0.0.3")
    assert {(s.ip, s.vars["N"]) for s in (d.session(), d.session())} == {("127.0.0.1", "new"), ("127.0.0.3", "new")}
    assert rest(barred) == b""


def test_reload_with_a_fault_keeps_the_old(door):
    d = door({"tcp_smtp": ':allow,N="old"'})
    d.set(tcp_smtp="# x\n127.0.0.1:permit\n")
    assert "tcp.smtp:2: after the address comes :allow or :deny" in d.log("control-fault")[0]
    d.connect()
    assert d.session().vars == {"N": "old"}


def test_stop_leaves_sessions_and_tells_those_who_wait(door):
    d = door({"tcp_smtp": '127.0.0.2:allow,GREETDELAY="60"\n127.0.0.3:allow,RBLSMTPD="no"\n:allow', "concurrencyincoming": "1"})
    running = d.connect("127.0.0.1")
    s = d.session()
    greet, blocked, ready = d.connect("127.0.0.2"), d.connect("127.0.0.3"), d.connect("127.0.0.4")
    wait_for(lambda: d.status()["waiting"] == 3, why=lambda: d.status())
    assert d.stop() == 0
    assert rest(greet).startswith(b"421 4.3.2 the service is being restarted")
    assert b"421 4.3.2" in rest(blocked)
    assert d.session().ip == "127.0.0.4"
    s.client.sendall(b"220 still here\r\n")
    assert running.recv(100) == b"220 still here\r\n"


def test_session_reports_are_bounded(door):
    d = door()
    d.connect()
    s = d.session()
    for text in (b"badrcpt 3", b"messages 1", b"nonsense"):
        s.token.send(text)
    assert d.log("bad-question")
    s.token.setblocking(False)
    used = d.cpu_seconds()
    sent = 0
    try:
        while sent < 100000:
            s.token.send(b"errors 1")
            sent += 1
    except BlockingIOError:
        pass
    time.sleep(0.5)
    assert d.cpu_seconds() - used < 0.3
    d.connect()
    d.session()


def test_rules_of_a_thousand_networks_cost_nothing(door):
    rules = "".join(f"10.{i >> 8}.{i & 255}.0/24:allow,N=\"{i}\"\n" for i in range(60000)) + "127.0.0.1:allow,N=\"here\"\n:deny\n"
    d = door({"tcp_smtp": rules})
    start = d.cpu_seconds()
    for _ in range(200):
        d.connect().close()
        s = d.session()
        assert s.vars == {"N": "here"}
        s.end()
    assert d.cpu_seconds() - start < 0.2


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


def test_status_command(door, tmp_path):
    d = door({"tcp_smtp": '127.0.0.2:allow,GREETDELAY="60"\n:allow'})
    d.connect()
    d.session()
    waits = d.connect("127.0.0.2")
    wait_for(lambda: d.status()["waiting"])
    assert (d.status()["sessions"], d.status()["waiting"]) == (1, 1)
    s = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    s.connect(str(tmp_path / "door.sock"))
    s.send(b"\xff\xff")
    s.settimeout(60)
    s.recv(100)
    d.connect()
    d.session()


# ---- the door of submission ----

def test_submission_has_rules_of_its_own(door):
    d = door({"tcp_smtp": ":deny", "tcp_submission": '127.0.0.2:deny\n127.0.0.3:allow,RELAYCLIENT=""\n:allow,X="1"', "greetdelay": "5"},
             listen=("submission", "submissions"))
    within(2, lambda: handed_over(d, "127.0.0.1"))  # greetdelay is for strangers
    d.connect()
    s = d.session()
    assert (s.listener, s.vars) == ("submission", {"X": "1"})
    d.connect(listener=1)
    assert d.session().listener == "submissions"
    d.connect("127.0.0.3", listener=1)
    assert d.session().vars == {"RELAYCLIENT": ""}
    assert rest(d.connect("127.0.0.2")) == b"" and d.none()
    d.set(tcp_submission="127.0.0.2:allow\n:deny")
    d.connect("127.0.0.2")
    assert d.session().vars == {}


def test_tls_first_client_is_never_answered_in_clear(door):
    d = door({"maxperip": "1", "tcp_submission": '127.0.0.2:allow,RBLSMTPD="listed"\n127.0.0.3:allow,GREETDELAY="1"\n'
              '127.0.0.4:allow,DROP_PRE_GREET="1"\n:allow'}, listen=("submissions",))
    d.connect(send=b"\x16\x03\x01")
    d.session()
    assert rest(d.connect()) == b""  # over a limit
    assert rest(d.connect("127.0.0.2")) == b""
    within(20, lambda: handed_over(d, "127.0.0.3", send=b"\x16\x03\x01"), 0.95)  # a ClientHello is not early
    d.connect("127.0.0.3", send=b"\x16\x03\x01")
    assert d.session().client.recv(3) == b"\x16\x03\x01"
    within(0.5, lambda: handed_over(d, "127.0.0.4", send=b"\x16\x03\x01"))


def refusal(d, source, seconds=20):
    """What the door says at once, or what a session has LEFT where it hands over, of which the door knows everything at the end."""
    held = d.descriptors()
    c = d.connect(source)
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if readable(c, 0.01):
            return rest(c).decode()
        if readable(d.smtpd, 0):
            s = d.session()
            left = {k: v for k, v in s.vars.items() if k.startswith("LEFT_")}
            s.end()
            wait_for(lambda: d.descriptors() == held)
            return left
    raise AssertionError("neither")


def again(text):
    """A refusal without its last number, and that: the seconds until one may come again."""
    said, seconds = re.fullmatch(r"(.*, again in) (\d+) s.*", text.strip()).groups()
    return said, int(seconds)


def test_connections_per_time(door):
    d = door({"connectionsperip": "3/600", "connectionspernet": "5/60", "tcp_smtp": '127.0.0.9:allow,CONNECTIONSPERIP="0",CONNECTIONSPERNET="0"\n'
              '127.0.0.10:allow,RELAYCLIENT=""\n127.0.0.11:allow,RELAYCLIENT="",CONNECTIONSPERIP="1/60"\n:allow'})
    for _ in range(3):
        assert refusal(d, "127.0.0.1") == {}
    said, seconds = again(refusal(d, "127.0.0.1"))
    assert said == "421 4.7.0 too much from your address or network (connectionsperip 4 of 3 in 600 s, again in" and 180 < seconds <= 201
    assert f'reason="connectionsperip 4 of 3 in 600 s, again in {seconds} s' in d.log("door-refused")[0]
    assert refusal(d, "127.0.0.2") == {} and refusal(d, "127.0.0.2") == {}
    assert "connectionspernet 6 of 5 in 60 s, again in" in refusal(d, "127.0.0.3")
    assert refusal(d, "127.0.1.3") == {}  # another network
    for _ in range(5):
        assert refusal(d, "127.0.0.9") == refusal(d, "127.0.0.10") == {}
    assert refusal(d, "127.0.0.11") == {} and "connectionsperip 2 of 1 in 60 s" in refusal(d, "127.0.0.11")


def test_a_place_comes_back(door):
    d = door({"connectionspernet": "5/3"})
    for _ in range(8):
        refusal(d, "127.0.0.1")
    time.sleep(0.7)
    assert refusal(d, "127.0.0.3") == {}


def reporting(d, source, *reports):
    """The variables of a session that tells this at its end; the door has heard it then."""
    held = d.descriptors()
    d.connect(source)
    s = d.session()
    for r in reports:
        s.token.send(r)
    s.end()
    wait_for(lambda: d.descriptors() == held)
    return s.vars


def test_what_sessions_report_counts(door):
    d = door({"messagesperip": "4/86400", "recipientspernet": "100/86400", "errorsperip": "10/86400"})
    assert reporting(d, "127.0.0.1", b"messages 3", b"recipients 60") == {"LEFT_MESSAGES": "4 messagesperip 4 86400", "LEFT_RECIPIENTS": "100 recipientspernet 100 86400"}
    assert reporting(d, "127.0.0.1", b"messages 1") == {"LEFT_MESSAGES": "1 messagesperip 4 86400", "LEFT_RECIPIENTS": "40 recipientspernet 100 86400"}
    said, seconds = again(refusal(d, "127.0.0.1"))
    assert "(messagesperip 4 of 4 in 86400 s, again in" in said and 21500 < seconds <= 21601
    reporting(d, "127.0.0.2", b"recipients 20")
    assert reporting(d, "127.0.0.3", b"recipients 500", b"errors 3")["LEFT_RECIPIENTS"] == "20 recipientspernet 100 86400"
    said, seconds = again(refusal(d, "127.0.0.4"))
    assert "(recipientspernet 200 of 100 in 86400 s, again in" in said and 87164 < seconds <= 87265
    reporting(d, "127.0.7.1", b"errors 4", b"badrcpt 5")
    assert refusal(d, "127.0.7.1") != {} and isinstance(refusal(d, "127.0.7.1"), dict)
    reporting(d, "127.0.7.1", b"badrcpt 1")
    assert "errorsperip 10 of 10" in refusal(d, "127.0.7.1")


def test_failed_logins_count_in_submission(door):
    d = door({"authfailsperip": "3/600", "messagesperip": "1/600"}, listen=("submission",))
    for n in (2, 1):
        assert reporting(d, "127.0.0.1", b"authfail %d" % n, b"messages 5") == {}  # messagesperip is for strangers
    said, seconds = again(refusal(d, "127.0.0.1"))
    assert "authfailsperip 3 of 3 in 600 s, again in" in said and 180 < seconds <= 201
    assert refusal(d, "127.0.0.2") == {}


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
    assert e.value.smtp_code == 421
    wait_for(lambda: suite.events("smtpd-refused"))
    got = suite.postern("check")
    assert "FORCETLS is taken as FORCE_TLS" in got.stdout + got.stderr
