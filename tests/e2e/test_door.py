"""postern-door alone: whom it hands over, whom it lets wait and whom it refuses; PROXY headers, reload and stop."""
import socket
import struct
import time

import pytest

from conftest import wait_for
from door_alone import door, handed_over, rest  # noqa: F401 (fixtures)
from processes import standing_still
from timing import within


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
