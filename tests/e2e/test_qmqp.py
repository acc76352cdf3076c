"""QMQP between hosts of a cluster: two whole suites with one directory, hostile clients, lost hosts, loops."""
import socket
import threading

import pytest

from alone import netstring
from conftest import LDIF, Suite, ended, free_port, wait_for
from qmqp_client import framed, said
from timing import within

MESSAGE = b"From: a@far.test\r\nTo: u1@campus.test\r\nSubject: cluster\r\n\r\nhello\r\n.dot\r\n"
SPLIT = LDIF.replace("mail: u1@campus.test\n", "mail: u1@campus.test\nmailHost: mx2.campus.test\n").replace(
    "mail: u2@campus.test\n", "mail: u2@campus.test\nmailHost: mx2.campus.test\n").replace(
    "mail: u3@campus.test\n", "mail: u3@campus.test\nmailHost: mx1.campus.test\n")


def qmqp_host(suite, name, port, others):
    suite.control("me", name)
    suite.control("directory.ldif", SPLIT)
    suite.control("listen", f"smtp 127.0.0.1:{suite.port}\nqmqp 127.0.0.1:{port}")
    suite.control("tcp.qmqp", "127.:allow\n:deny")
    suite.control("qmqproutes", "\n".join(f"{n}:127.0.0.1:{p}" for n, p in others.items()))
    suite.control("timeoutsmtpd", "8")
    suite.control("timeoutremote", "8")
    suite.qmqp = port


@pytest.fixture
def pair(suite, tmp_path_factory):
    """Two hosts, mx1 and mx2; u1 and u2 live on mx2, u3 on mx1."""
    folder = suite.folder / "second"
    folder.mkdir(mode=0o755)
    ports = {"mx1.campus.test": free_port(), "mx2.campus.test": free_port()}
    qmqp_host(suite, "mx1.campus.test", ports["mx1.campus.test"], ports)
    with ended(Suite(folder)) as other:
        qmqp_host(other, "mx2.campus.test", ports["mx2.campus.test"], ports)
        yield suite, other


def talk(port, data, close=False):
    """What the server answers; b"" when it closes without a word."""
    with socket.create_connection(("127.0.0.1", port), 60) as s:
        return said(s, data, close)


def test_to_the_host_that_has_the_mailbox(pair):
    one, two = pair
    one.start(), two.start()
    assert one.send("a@far.test", ["u1@campus.test", "u2@campus.test", "u3@campus.test"], MESSAGE)[0] == 250
    for user in ("u1", "u2"):
        mail = two.wait_mail(user)[0]
        assert mail.endswith(MESSAGE.replace(b"\r\n", b"\n"))
        assert b"\nDelivered-To: CLUSTERHOST mx1.campus.test\n" in mail and b" with QMQP id " in mail
    one.wait_mail("u3")
    assert two.send("a@far.test", "u3@campus.test", MESSAGE)[0] == 250
    one.wait_mail("u3", 2)
    wait_for(lambda: one.json("queue", "list") == [] and two.json("queue", "list") == [])
    assert not one.mails("u1") and not two.mails("u3") and len(two.mails("u1")) == 1


def test_a_host_that_is_down_defers(pair):
    one, two = pair
    one.start()
    assert one.send("a@far.test", "u1@campus.test", MESSAGE)[0] == 250
    wait_for(lambda: (q := one.json("queue", "list")) and "does not answer by QMQP" in (q[0]["recipients"][0].get("reason") or ""))
    two.start()
    one.postern("queue", "retry", "all", check=0)
    two.wait_mail("u1")
    wait_for(lambda: one.json("queue", "list") == [])
    assert len(two.mails("u1")) == 1
    assert two.events("qmqpd-handed")[0]["again"] == "0", "nothing was sent before"


class LosesAnswers:
    """Between two hosts: carries everything but the answers to the first COUNT messages; then each of REFUSALS is an answer of its own."""
    def __init__(self, to, count, refusals=()):
        self.to, self.count, self.lost, self.refusals = to, count, [], list(refusals)
        self.port = free_port()
        self.open()

    def open(self):
        self.listener = socket.create_server(("127.0.0.1", self.port))
        threading.Thread(target=self._run, args=(self.listener,), daemon=True).start()

    def close(self):
        self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()

    def _run(self, listener):
        while True:
            try:
                client, _ = listener.accept()
            except OSError:
                return
            with client, socket.create_connection(("127.0.0.1", self.to)) as server:
                data = b""
                while b":" not in data or len(data) < int(data.split(b":")[0]) + len(data.split(b":")[0]) + 2:
                    data += client.recv(65536)
                if len(self.lost) == self.count and self.refusals:
                    client.sendall(self.refusals.pop(0))
                    continue
                server.sendall(data)
                answer = server.recv(1000)
                if len(self.lost) < self.count:
                    self.lost.append((data, answer))
                else:
                    client.sendall(answer)


@pytest.mark.parametrize("read", [False, True], ids=["unread", "read"])
def test_a_lost_answer_makes_no_second_copy(pair, read):
    """The far side took the message and its K never came: it is sent again, and is the same file; also where a reader has moved it."""
    one, two = pair
    way = LosesAnswers(two.qmqp, 2)
    one.control("qmqproutes", f"mx2.campus.test:127.0.0.1:{way.port}")
    one.start(), two.start()
    assert one.send("a@far.test", ["u1@campus.test", "u2@campus.test", "alias2@campus.test"], MESSAGE)[0] == 250
    id = one.wait_event("queue-accepted")[0]["id"]
    for n in (1, 2):
        wait_for(lambda: len(one.events("queue-deferred")) == 3 * n)
        assert all(b":Kok " in a for _, a in way.lost) and len(way.lost) == n
        two.wait_mail("u1"), two.wait_mail("u2")
        if read and n == 1:
            (f,) = two.maildir("u1").glob("new/*")
            f.rename(f.parents[1] / "cur" / (f.name + ":2,S"))
        one.postern("queue", "retry", "all", check=0)
    wait_for(lambda: one.json("queue", "list") == [] and two.json("queue", "list") == [])
    assert [e["again"] for e in two.events("qmqpd-handed")] == ["0", "1", "1"]
    assert {e["origin"] for e in two.events("qmqpd-handed")} == {id}
    assert b"X-Postern-Origin: %s\nDelivered-To: CLUSTERHOST mx1.campus.test\n" % id.encode() in way.lost[0][0]
    assert b":X-Postern-Origin: %s again\n" % id.encode() in way.lost[1][0]
    assert len(two.mails("u1")) == 1 and b"X-Postern-Origin" not in two.mails("u1")[0]
    assert sorted(m.count(b"Delivered-To: alias2@campus.test\n") for m in two.mails("u2")) == [0, 1], "each address once"
    assert one.send("a@far.test", "u1@campus.test", MESSAGE)[0] == 250
    assert len(two.wait_mail("u1", 2)) == 2, "another message with the same octets is another message"


def test_doubt_lasts(pair):
    """A lost answer, then a host that is busy and one that cannot be reached: the third copy is still one that may have come before."""
    one, two = pair
    way = LosesAnswers(two.qmqp, 1, [b"5:Zbusy,"])
    one.control("qmqproutes", f"mx2.campus.test:127.0.0.1:{way.port}")
    one.start(), two.start()
    assert one.send("a@far.test", "u1@campus.test", MESSAGE)[0] == 250

    def waits(n, reason):
        wait_for(lambda: (q := one.json("queue", "list")) and q[0]["attempts"] == n and reason in (q[0]["recipients"][0]["reason"] or ""))
    waits(1, "gave no answer")
    one.postern("queue", "retry", "all", check=0)
    waits(2, "busy")
    way.close()
    one.postern("queue", "retry", "all", check=0)
    waits(3, "does not answer")
    way.open()
    one.postern("queue", "retry", "all", check=0)
    wait_for(lambda: one.json("queue", "list") == [] and two.json("queue", "list") == [])
    assert [e["again"] for e in two.events("qmqpd-handed")] == ["0", "1"]
    assert len(two.mails("u1")) == 1


def test_loops_end(pair):
    """Each host thinks that the other has the mailbox."""
    one, two = pair
    two.control("directory.ldif", LDIF.replace("mail: u1@campus.test\n", "mail: u1@campus.test\nmailHost: mx1.campus.test\n"))
    one.start(), two.start()
    assert one.send("u4@campus.test", "u1@campus.test", MESSAGE)[0] == 250
    assert b"5.4.6" in one.wait_mail("u4")[0]
    wait_for(lambda: one.json("queue", "list") == [] and two.json("queue", "list") == [])
    assert not one.mails("u1") and not two.mails("u1")


GOOD = b"Subject: x\n\nhello\n"
ANSWERED = [
    ("a message", framed(GOOD, b"a@far.test", b"u3@campus.test"), b"K"),
    ("the null sender", framed(GOOD, b"", b"u3@campus.test"), b"K"),
    ("two recipients", framed(GOOD, b"a@far.test", b"u3@campus.test", b"u4@campus.test"), b"K"),
    ("no header", framed(b"", b"a@far.test", b"u3@campus.test"), b"K"),
    ("no recipient", framed(GOOD, b"a@far.test"), b"D"),
    ("no sender", netstring(netstring(GOOD)), b"D"),
    ("a recipient that is no address", framed(GOOD, b"a@far.test", b"u3"), b"D"),
    ("a line feed in a recipient", framed(GOOD, b"a@far.test", b"u3@campus.test\nx"), b"D"),
    ("a sender that is no address", framed(GOOD, b"a b", b"u3@campus.test"), b"D"),
    ("an address over the limit", framed(GOOD, b"a@far.test", b"u" * 400 + b"@campus.test"), b"D"),
    ("a bare CR", framed(b"Subject: x\n\nhello\rworld\n", b"a@far.test", b"u3@campus.test"), b"D"),
    ("a NUL", framed(b"Subject: x\n\nhello\0\n", b"a@far.test", b"u3@campus.test"), b"D"),
    ("CR LF line ends", framed(b"Subject: x\r\n\r\nhello\r\n", b"a@far.test", b"u3@campus.test"), b"D"),
    ("a header over the limit", framed(b"X: " + b"x" * (1 << 20) + b"\n\n", b"a@far.test", b"u3@campus.test"), b"D"),
    ("a length with a leading zero", b"0" + framed(GOOD, b"a@far.test", b"u3@campus.test"), b"D"),
    ("a length of ten digits", b"1000000000:", b"D"),
    ("no length", b":", b"D"),
    ("not a netstring", b"EHLO client.test\r\n", b"D"),
    ("more than 200,000,000 octets", b"200000001:", b"D"),
    ("a message longer than what is around it", b"10:99:", b"D"),
    ("an inner comma missing", b"22:5:hello;1:a,6:u@c.de,", b"D"),
    ("the outer comma missing", framed(GOOD, b"a@far.test", b"u3@campus.test")[:-1] + b";", b"D"),
    ("more after the end", framed(GOOD, b"a@far.test", b"u3@campus.test") + b"x", b"D"),
]


def test_hostile_clients(pair):
    one, _ = pair
    one.control("databytes", "2000000")
    one.start()
    for what, data, letter in ANSWERED:
        answer = talk(one.qmqp, data)
        n, _, rest = answer.partition(b":")
        assert n.isdigit() and len(rest) == int(n) + 1 and rest[-1:] == b",", (what, answer)
        assert rest[:1] == letter, (what, answer)
    taken = sum(1 for _, _, letter in ANSWERED if letter == b"K")
    assert len(one.wait_mail("u3", taken)) == taken
    too_large = framed(b"X: y\n\n" + b"x" * 2000000, b"a@far.test", b"u3@campus.test")
    assert talk(one.qmqp, too_large) in (b"",) or b"too large" in talk(one.qmqp, too_large)
    # cut off anywhere: nothing is answered, nothing kept
    whole = framed(GOOD, b"a@far.test", b"u3@campus.test")
    for n in range(0, len(whole), 7):
        assert talk(one.qmqp, whole[:n], close=True) == b""
    assert len(one.mails("u3")) == taken
    # an octet at a time
    with socket.create_connection(("127.0.0.1", one.qmqp), 60) as s:
        for i in range(len(whole)):
            s.sendall(whole[i:i + 1])
        assert b"Kok " in s.recv(1000)


def test_a_million_recipients(pair):
    """20,000 are taken as one message, one more is too many; what a million of them cost is bounded and soon over."""
    one, _ = pair
    one.start()
    everybody = [b"u%d@campus.test" % (3 + 2 * (i % 2)) for i in range(1000000)]
    answer = talk(one.qmqp, framed(GOOD, b"a@far.test", *everybody[:20000]))
    assert b":Kok " in answer, answer
    assert b":Dmore than 20000 recipients" in (answer := talk(one.qmqp, framed(GOOD, b"a@far.test", *everybody[:20001]))), answer
    too_many = framed(GOOD, b"a@far.test", *everybody)
    answer = within(10, lambda: talk(one.qmqp, too_many))
    assert answer == b"" or b":D" in answer, (answer, "it may close before all is sent")
    for pid in one.pids("qmqpd"):
        peak = next(int(x.split()[1]) for x in open(f"/proc/{pid}/status") if x.startswith("VmHWM"))
        assert peak < 64 * 1024, f"{peak} KiB"
    one.postern("queue", "delete", "all", check=0)


LATER = [
    ("half closed behind the whole message", framed(GOOD, b"a@far.test", b"u3@campus.test"), True, b"K"),
    ("half closed before the last comma", framed(GOOD, b"a@far.test", b"u3@campus.test")[:-1], True, b""),
    ("silent inside a length", b"12", False, b""), ("silent inside the message", b"100:50:Subject: x\n", False, b""),
    ("silent before the last comma", framed(GOOD, b"a@far.test", b"u3@campus.test")[:-1], False, b""),
]


def test_half_closed_and_silent(pair):
    one, _ = pair
    one.start()
    socks = []
    for what, data, half, letter in LATER:
        s = socket.create_connection(("127.0.0.1", one.qmqp), 60)
        s.sendall(data)
        if half:
            s.shutdown(socket.SHUT_WR)
        socks.append((what, s, letter))
    for what, s, letter in socks:
        answer = s.recv(1000)
        assert (letter == b"" and answer == b"") or answer.partition(b":")[2][:1] == letter, (what, answer)
        s.close()
    assert len(one.wait_mail("u3")) == 1


def test_silent_clients_hold_nobody_for_long(pair):
    one, _ = pair
    one.start()
    held = [socket.create_connection(("127.0.0.1", one.qmqp), 60) for _ in range(8)]
    for s in held:
        s.sendall(b"100:")
    assert b"Kok " in talk(one.qmqp, framed(GOOD, b"a@far.test", b"u3@campus.test"))
    for s in held:
        s.close()


def test_nobody_without_a_rule(pair):
    one, _ = pair
    one.control("tcp.qmqp", None)
    one.start()
    assert talk(one.qmqp, framed(GOOD, b"a@far.test", b"u3@campus.test")) == b""
    assert not one.mails("u3")


HOSTILE = [b"", b"1:K", b"1:X,", b"0:,", b"K", b"9999:K", b"3:Kok,more", b"2000:" + b"K" * 2000 + b",", b"\0" * 100]


def test_hostile_hosts(pair):
    """Whatever the far host says but K: the message waits; D bounces."""
    one, _ = pair
    with socket.create_server(("127.0.0.1", 0)) as server:
        one.control("qmqproutes", f"mx2.campus.test:127.0.0.1:{server.getsockname()[1]}")
        one.start()
        assert one.send("u4@campus.test", "u1@campus.test", MESSAGE)[0] == 250
        for i, answer in enumerate([*HOSTILE, b"19:D5.1.1 no\nX-Evil: x,"]):
            if i:
                one.postern("queue", "retry", "all", check=0)
            server.settimeout(60)
            s, _ = server.accept()
            with s:
                s.settimeout(60)
                got = b""
                while not got.endswith(b"14:u1@campus.test,,"):
                    got += s.recv(65536)
                n, _, rest = got.partition(b":")
                assert int(n) == len(rest) - 1
                s.sendall(answer)
            if i < len(HOSTILE):
                wait_for(lambda: (q := one.json("queue", "list")) and q[0]["attempts"] == i + 1 and q[0]["recipients"][0]["reason"])
                assert "mx2.campus.test took the message but" in one.json("queue", "list")[0]["recipients"][0]["reason"]
        bounce = one.wait_mail("u4")[0]
        assert b"5.1.1 no?X-Evil: x" in bounce and b"\nX-Evil" not in bounce
