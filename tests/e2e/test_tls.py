"""postern-tls by itself: the test is the supervisor, the session and the client."""
import os
import pathlib
import signal
import socket
import ssl
import struct
import subprocess
import threading
import time

import pytest

from alone import Alone, netstring, netstrings
from certificates import NO_CHECK, certificate, no_check
from conftest import wait_for
from processes import children, memory_kib, standing_still
from timing import sleep, within


ANSWER_OCTETS = 512  # TLS_ANSWER_OCTETS


class Tls(Alone):
    def __init__(self, folder, pem, files=None, lane="-"):
        self.ask, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
        super().__init__("tls", folder, {"me": "mx.test", "servercert.pem": pem, **(files or {})}, [theirs], lane=lane)

    def pair(self):
        with socket.socket() as listener:
            listener.bind(("127.0.0.1", 0))
            listener.listen(1)
            client = socket.create_connection(listener.getsockname())
            server, _ = listener.accept()
        client.settimeout(60)
        return client, server

    def question(self, server, text=netstring(30000)):
        mine, theirs = socket.socketpair()
        socket.send_fds(self.ask, [text], [server.fileno(), theirs.fileno()])
        server.close()
        theirs.close()
        mine.settimeout(60)
        return mine

    def answer(self, reply):
        """The answer; behind it REPLY carries the clear octets."""
        record = b""
        while len(record) < ANSWER_OCTETS and (got := reply.recv(ANSWER_OCTETS - len(record))):
            record += got
        answer = [p.decode() for p in netstrings(record.rstrip(b"\0"))]
        return answer, reply if answer[0] == "ok" else None

    def connect(self, context=None, name="mx.test"):
        client, server = self.pair()
        reply = self.question(server)
        tls = (context or NO_CHECK).wrap_socket(client, server_hostname=name, suppress_ragged_eofs=False)
        facts, clear = self.answer(reply)
        assert facts[0] == "ok", facts
        return tls, clear, facts

    def children(self):
        """Its connections' processes; those that have ended and wait to be reaped do not count."""
        return children(self.process.pid, living=True)


@pytest.fixture(scope="module")
def pem(tmp_path_factory):
    return certificate(tmp_path_factory.mktemp("cert"), "mx.test")


@pytest.fixture
def tls(tmp_path, pem):
    t = Tls(tmp_path, pem).start()
    yield t
    t.stop()


def all_of(s):
    out = b""
    while got := s.recv(65536):
        out += got
    return out


def gone(t):
    wait_for(lambda: not t.children(), why="the connection's process is still there")


@pytest.mark.parametrize("version, name", [(ssl.TLSVersion.TLSv1_2, "TLSv1.2"), (ssl.TLSVersion.TLSv1_3, "TLSv1.3")])
def test_facts_and_octets(tls, version, name):
    c = no_check()
    c.minimum_version = c.maximum_version = version
    client, clear, facts = tls.connect(c)
    assert facts[1] == name and facts[2] == client.cipher()[0] and facts[3] == "mx.test"
    client.sendall(b"EHLO x\r\n")
    assert clear.recv(100) == b"EHLO x\r\n"
    clear.sendall(b"250 ok\r\n")
    assert client.recv(100) == b"250 ok\r\n"
    assert len(facts[4]) == (44 if name == "TLSv1.3" else 0) and facts[5] == "0"
    assert client.compression() is None
    clear.sendall(b"221 bye\r\n")
    clear.close()
    assert all_of(client) == b"221 bye\r\n"  # close_notify: no ragged end
    gone(tls)


@pytest.mark.parametrize("ciphers", ["ECDHE-RSA-AES128-GCM-SHA256", "ECDHE-RSA-CHACHA20-POLY1305", "DHE-RSA-AES256-GCM-SHA384", "ECDHE-RSA-AES256-SHA384", None])
def test_keys_and_suites_that_were_not_rehearsed(tmp_path, ciphers):
    """What OpenSSL fetches late is within the memory and the system calls of a connection."""
    t = Tls(tmp_path, certificate(tmp_path, "mx.test", kind="rsa")).start()
    try:
        c = no_check()
        if ciphers:
            c.maximum_version = ssl.TLSVersion.TLSv1_2
            c.set_ciphers(ciphers)
        client, clear, facts = t.connect(c)
        assert facts[2] == (ciphers or "TLS_AES_128_GCM_SHA256")
        data = os.urandom(100000)
        for _ in range(20):  # far more than a connection's memory, if it were not used again
            client.sendall(data)
            got = bytearray()
            while len(got) < len(data):
                got += clear.recv(65536)
            assert got == data
        clear.close()
        assert all_of(client) == b""
    finally:
        assert t.stop() == 0


def test_old_versions_and_foreign_protocols_are_refused(tls):
    old = no_check()
    old.minimum_version = ssl.TLSVersion.TLSv1
    old.maximum_version = ssl.TLSVersion.TLSv1_1
    old.set_ciphers("ALL:@SECLEVEL=0")
    web = no_check()
    web.set_alpn_protocols(["h2", "http/1.1"])
    for context in (old, web):
        client, server = tls.pair()
        reply = tls.question(server)
        with pytest.raises((ssl.SSLError, ConnectionResetError)):
            context.wrap_socket(client)
        answer, clear = tls.answer(reply)
        assert answer[0] == "failed" and clear is None
    mail = no_check()
    mail.set_alpn_protocols(["x", "smtp"])
    client, _, _ = tls.connect(mail)
    assert client.selected_alpn_protocol() == "smtp"


@pytest.mark.parametrize("what", [b"", b"EHLO not tls\r\n", b"\x16\x03\x01\xff\xff" + b"x" * 70000, pytest.param(os.urandom(5000), id="noise")])
def test_bad_client_ends_its_own_process_alone(tls, what):
    client, server = tls.pair()
    reply = tls.question(server)
    client.sendall(what)
    client.shutdown(socket.SHUT_WR)
    answer, clear = tls.answer(reply)
    assert answer[0] == "failed" and answer[1] and clear is None
    assert tls.log("tls-failed")
    assert all_of(client)[:1] in (b"", b"\x15")  # no reset: an alert gets through, however much the client has sent
    tls.connect()


def test_handshake_deadline(tls):
    def handshake():
        client, server = tls.pair()
        answer, _ = tls.answer(tls.question(server, netstring(700)))
        assert answer[0] == "failed" and "too long" in answer[1]
        assert client.recv(10) == b""
    within(2, handshake, 0.6)


def test_malformed_questions(tls):
    for text in (b"", b"x", netstring(-1), netstring(1) + b"x", netstring(700000)):
        _, server = tls.pair()
        assert tls.question(server, text).recv(100) == b""
    mine, theirs = socket.socketpair()
    socket.send_fds(tls.ask, [netstring(1000)], [theirs.fileno()])
    theirs.close()
    mine.settimeout(60)
    assert mine.recv(100) == b""
    assert len(tls.log("bad-question", count=6)) == 6
    tls.connect()


@pytest.mark.parametrize("notify", [True, False])
def test_client_end_of_file(tls, notify):
    client, clear, _ = tls.connect()
    client.sendall(b"last words\r\n" * 1000)
    if notify:
        client.settimeout(0.2)
        with pytest.raises(OSError):
            client.unwrap()  # sends close_notify, waits for ours
    else:
        raw = socket.socket(fileno=os.dup(client.fileno()))
        raw.shutdown(socket.SHUT_WR)
    assert all_of(clear) == b"last words\r\n" * 1000
    clear.sendall(b"221 still heard\r\n")
    clear.close()
    if not notify:
        assert all_of(client) == b"221 still heard\r\n"
    gone(tls)


def test_clear_octets_after_close_notify_never_arrive(tls):
    client, clear, _ = tls.connect()
    client.sendall(b"inside\r\n")
    raw = socket.socket(fileno=os.dup(client.fileno()))
    client.settimeout(1)
    with pytest.raises((ssl.SSLError, OSError)):
        client.unwrap()  # sends close_notify, waits in vain for ours
    raw.sendall(b"MAIL FROM:<injected@x>\r\n")
    assert all_of(clear) == b"inside\r\n"
    clear.close()
    gone(tls)


def test_clear_octets_inside_tls_end_the_connection(tls):
    client, clear, _ = tls.connect()
    client.sendall(b"inside\r\n")
    raw = socket.socket(fileno=os.dup(client.fileno()))
    raw.sendall(b"MAIL FROM:<injected@x>\r\n")
    assert all_of(clear) == b"inside\r\n"
    gone(tls)


def test_session_dies(tls):
    client, clear, _ = tls.connect()
    clear.close()
    assert all_of(client) == b""
    gone(tls)


def test_much_both_ways_at_once(tls):
    client, clear, _ = tls.connect()
    data = os.urandom(1 << 20) * 8
    got = {}

    def read(name, s):
        out = bytearray()
        while len(out) < len(data):
            out += s.recv(65536)
        got[name] = bytes(out)
    readers = [threading.Thread(target=read, args=("clear", clear))]
    for r in readers:
        r.start()
    client.sendall(data)
    readers[0].join(30)
    assert got["clear"] == data
    sender = threading.Thread(target=clear.sendall, args=(data,))
    sender.start()
    read("client", client)
    sender.join(30)
    assert got["client"] == data


def test_slow_reader_is_no_spin(tls):
    client, clear, _ = tls.connect()
    clear.setblocking(False)
    with pytest.raises(BlockingIOError):
        while True:
            clear.send(b"x" * 65536)
    pid = tls.children()[0]

    sleep(0.3)
    before = cpu_ticks(pid)
    time.sleep(1)
    assert cpu_ticks(pid) - before <= 2
    client.shutdown(socket.SHUT_RDWR)
    client.close()
    gone(tls)


def cpu_ticks(pid):
    return sum(map(int, pathlib.Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[11:13]))


def test_half_closed_is_no_spin(tls):
    client, clear, _ = tls.connect()
    raw = socket.socket(fileno=os.dup(client.fileno()))
    raw.shutdown(socket.SHUT_WR)
    assert clear.recv(10) == b""
    pid = tls.children()[0]
    before = cpu_ticks(pid)
    time.sleep(1)
    assert cpu_ticks(pid) - before <= 2
    clear.sendall(b"still heard")
    assert client.recv(100) == b"still heard"
    clear.close()
    gone(tls)


def test_reset_is_seen_at_once(tls):
    client, clear, _ = tls.connect()
    raw = socket.socket(fileno=client.detach())
    raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    raw.close()
    assert clear.recv(10) == b""
    gone(tls)


def subject(tls, name):
    """The subject of the certificate that a client gets who asks for NAME."""
    client, _, facts = tls.connect(name=name)
    der = client.getpeercert(binary_form=True)
    client.close()
    out = subprocess.run(["openssl", "x509", "-inform", "der", "-noout", "-subject"], input=der, capture_output=True).stdout.decode()
    return out.split("=")[-1].strip(), facts[3]


def test_certificate_by_name(tmp_path, pem):
    """SNI: who asks for a name in control/certs gets its certificate, and may resume with it; all others get servercert.pem."""
    one, two = (certificate(tmp_path, n) for n in ("one.test", "two.test"))
    t = Tls(tmp_path, pem, files={"certs": b"", "certs/one.test.pem": one, "certs/Two.Test.pem": two}).start()
    try:
        assert subject(t, "one.test") == ("one.test", "one.test") and subject(t, "TWO.test")[0] == "two.test"
        assert subject(t, "mx.test")[0] == subject(t, "three.test")[0] == subject(t, None)[0] == "mx.test"
        c = no_check()
        client, clear, _ = t.connect(c, name="one.test")
        clear.sendall(b"x")
        assert client.recv(1) == b"x"
        again, server = t.pair()
        reply = t.question(server)
        again = c.wrap_socket(again, server_hostname="one.test", session=client.session)
        assert t.answer(reply)[0][0] == "ok" and again.session_reused
    finally:
        t.stop()


@pytest.mark.parametrize("name,content,reason", [("one.test.pem", b"nonsense", "certs/one.test.pem: no certificate"), ("one.test", None, "certs/one.test: the name must be"),
                                                 ("a_b.pem", None, "certs/a_b.pem: the name must be")])
def test_faults_of_named_certificates(tmp_path, pem, name, content, reason):
    t = Tls(tmp_path, pem, files={"certs": b"", f"certs/{name}": content or pem}).start(wait=False)
    assert t.process.wait(60) == 111 and t.log(reason)


def test_tickets_resume(tls):
    c = no_check()
    client, clear, _ = tls.connect(c)
    clear.sendall(b"x")
    assert client.recv(1) == b"x"
    session = client.session
    again, server = tls.pair()
    reply = tls.question(server)
    again = c.wrap_socket(again, server_hostname="mx.test", session=session)
    facts, _ = tls.answer(reply)
    assert facts[0] == "ok" and facts[5] == "1" and again.session_reused


def test_nothing_to_bind_to_where_nobody_logs_in(tmp_path, pem):
    t = Tls(tmp_path, pem, lane="outside").start()
    try:
        assert t.connect()[2][4:] == ["", "0"]
    finally:
        t.stop()


@pytest.mark.parametrize("lane,counts,other", [("outside", "concurrencytls", "concurrencysubmission"), ("submission", "concurrencysubmission", "concurrencytls")])
def test_bounded(tmp_path, pem, lane, counts, other):
    t = Tls(tmp_path, pem, {counts: "3", other: "20"}, lane=lane).start()
    try:
        kept = [t.connect() for _ in range(3)]
        _, server = t.pair()
        answer, clear = t.answer(t.question(server))
        assert answer == ["failed", "too many TLS connections"] and clear is None
        assert t.log("tls-full")
        kept.pop()[1].close()
        wait_for(lambda: len(children(t.process.pid)) == 2)  # the parent reaps at least each second
        t.connect()
    finally:
        t.stop()


def test_a_refusal_blocks_nobody(tmp_path, pem):
    """A session that was taken over gives a full pipe for the answer: the parent, which serves everybody, does not write into it."""
    t = Tls(tmp_path, pem, {"concurrencytls": "1"}, lane="outside").start()
    read_end, write_end = os.pipe()
    os.set_blocking(write_end, False)
    with pytest.raises(BlockingIOError):
        while True:
            os.write(write_end, b"x" * 4096)
    os.set_blocking(write_end, True)
    try:
        kept = t.connect()
        _, server = t.pair()
        socket.send_fds(t.ask, [netstring(1000)], [server.fileno(), write_end])
        _, server = t.pair()
        assert t.answer(t.question(server))[0] == ["failed", "too many TLS connections"]
        kept[1].close()
    finally:
        os.set_blocking(write_end, False)
        os.close(read_end)
        os.close(write_end)
        t.stop()


def test_stop_leaves_connections(tmp_path, pem):
    t = Tls(tmp_path, pem).start()
    client, clear, _ = t.connect()
    child = t.children()[0]
    os.kill(child, signal.SIGTERM)  # the supervisor's goes to the whole process group
    assert t.stop() == 0
    client.sendall(b"still here\r\n")
    assert clear.recv(100) == b"still here\r\n"
    clear.close()
    assert all_of(client) == b""


def test_memory_of_a_connection(tls):
    kept = [tls.connect() for _ in range(20)]
    for client, clear, _ in kept:
        client.sendall(b"x" * 20000)
        n = 0
        while n < 20000:
            n += len(clear.recv(20000))
    time.sleep(0.2)
    private = [memory_kib(pid, "Private_Dirty") for pid in tls.children()]
    print("private KiB per connection:", sorted(private))
    assert len(private) == 20 and max(private) < 700


class Records:
    """A client that sees what comes and goes on the wire, and in how many pieces."""
    def __init__(self, tls, version=ssl.TLSVersion.TLSv1_3):
        self.sock, server = tls.pair()
        self.reply = tls.question(server)
        c = no_check()
        c.minimum_version = c.maximum_version = version
        self.came, self.goes = ssl.MemoryBIO(), ssl.MemoryBIO()
        self.ssl = c.wrap_bio(self.came, self.goes, server_hostname="mx.test")

    def handshake(self):
        """Up to the client's last flight, which is left in .goes with TLS 1.3."""
        while True:
            try:
                return self.ssl.do_handshake()
            except ssl.SSLWantReadError:
                self.send()
                self.came.write(self.sock.recv(65536))

    def send(self):
        self.sock.sendall(self.goes.read())

    def piece(self):
        """What one segment brings: the types of its records, and the octets inside."""
        data, types = self.sock.recv(65536), []
        self.came.write(data)
        while data:
            types.append(data[0])
            data = data[5 + int.from_bytes(data[3:5], "big"):]
        try:
            return types, self.ssl.read(65536)
        except ssl.SSLWantReadError:
            return types, b""

    def quiet(self, seconds):
        self.sock.settimeout(seconds)
        with pytest.raises(TimeoutError):
            self.sock.recv(1, socket.MSG_PEEK)
        self.sock.settimeout(60)


def test_ticket_travels_with_the_first_reply(tls):
    client = Records(tls)
    client.handshake()
    client.send()
    facts, clear = tls.answer(client.reply)
    assert facts[0] == "ok"
    client.quiet(0.3)
    clear.sendall(b"220 hello\r\n")
    types, text = client.piece()
    assert types == [23, 23] and text == b"220 hello\r\n"  # ticket and reply
    assert client.ssl.session.has_ticket


def test_ticket_is_not_kept_from_a_client_that_ends(tls):
    client = Records(tls)
    client.handshake()
    client.send()
    _, clear = tls.answer(client.reply)
    client.sock.shutdown(socket.SHUT_WR)
    assert clear.recv(10) == b""
    assert client.piece() == ([23], b"") and client.ssl.session.has_ticket
    clear.close()
    gone(tls)


def test_quick_client_is_heard_with_the_answer(tls):
    """What comes in one segment with the end of the handshake costs the session no second wait."""
    client = Records(tls)
    client.handshake()
    client.ssl.write(b"EHLO quick\r\n")
    client.send()
    got = client.reply.recv(4096)
    assert got.startswith(netstring("ok")) and got[ANSWER_OCTETS:] == b"EHLO quick\r\n"


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_last_reply_and_end_in_one_segment(tls, version):
    client = Records(tls, version)
    client.handshake()
    client.send()
    _, clear = tls.answer(client.reply)
    clear.sendall(b"250 first\r\n")
    assert client.piece()[1] == b"250 first\r\n"
    child = tls.children()[0]
    with standing_still([child]):
        clear.sendall(b"221 bye\r\n")
        clear.close()
    types, text = client.piece()
    assert len(types) == 2 and text == b"221 bye\r\n"  # reply and close_notify
    client.sock.close()
    gone(tls)


def test_more_than_the_wire_holds(tls):
    """A client that reads late gets all, in order."""
    client, clear, _ = tls.connect()
    data = os.urandom(3 << 20)
    sender = threading.Thread(target=clear.sendall, args=(data,))
    sender.start()
    time.sleep(0.3)
    got = bytearray()
    while len(got) < len(data):
        got += client.recv(1 << 20)
    sender.join(10)
    assert bytes(got) == data
    clear.close()
    assert all_of(client) == b""


def test_a_connection_makes_no_process(tls):
    kept = tls.connect()
    pid = tls.children()[0]
    limits = pathlib.Path(f"/proc/{pid}/limits").read_text()
    assert [line.split()[2:4] for line in limits.splitlines() if line.startswith("Max processes")] == [["0", "0"]] and kept
    calls = [pathlib.Path(f"/proc/{p}/status").read_text().split("Seccomp_filters:\t")[1].split("\n")[0] for p in (pid, tls.process.pid)]
    assert calls == ["2", "2"]  # the program's and the narrower one, which the parent has too


def test_child_keeps_nothing_it_does_not_need(tls):
    kept = tls.connect()
    pid = tls.children()[0]
    sleep(0.2)
    fds = {int(n): os.readlink(f"/proc/{pid}/fd/{n}") for n in os.listdir(f"/proc/{pid}/fd")}
    sockets = [n for n, to in fds.items() if to.startswith("socket:")]
    assert len(sockets) == 2, fds  # the client and the session; no lifeline, no questions
    assert "Seccomp:\t2" in pathlib.Path(f"/proc/{pid}/status").read_text() and kept


@pytest.mark.parametrize("what, reason", [
    (b"nonsense", "no certificate"), ("key", "no private key"), ("cert", "no certificate"), ("other", "does not belong"),
    ("passphrase", "passphrase"), ("damaged", "damaged"),
])
def test_certificate_faults_name_the_file(tmp_path, pem, what, reason):
    at = pem.index(b"-----BEGIN PRIVATE KEY")
    other = certificate(tmp_path, "other.test")
    if what == "key":
        pem = pem[:at]
    elif what == "cert":
        pem = pem[at:]
    elif what == "other":
        pem = pem[:at] + other[other.index(b"-----BEGIN PRIVATE KEY"):]
    elif what == "passphrase":
        (tmp_path / "k").write_bytes(pem[at:])
        pem = pem[:at] + subprocess.run(["openssl", "pkey", "-in", tmp_path / "k", "-aes128", "-passout", "pass:x"], check=True,
                                        capture_output=True).stdout
    elif what == "damaged":
        pem = pem + b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"
    else:
        pem = what
    t = Tls(tmp_path, pem)
    t.start(wait=False)
    assert t.process.wait(60) == 111
    line = t.log("fatal")[0]
    assert "servercert.pem: " in line and reason in line


def server_hello(tls):
    """Random and key share of a ServerHello, to a hello without a session to resume."""
    client, server = tls.pair()
    tls.question(server)
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    context = no_check()
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    with pytest.raises(ssl.SSLWantReadError):
        context.wrap_bio(incoming, outgoing).do_handshake()
    client.sendall(outgoing.read())
    hello = client.recv(4096)
    client.close()
    assert hello[0] == 22 and hello[5] == 2
    return hello[11:43], hello[43:5 + int.from_bytes(hello[3:5], "big")]


def test_forked_connections_draw_their_own_random_numbers(tls):
    """All begin as copies of one that the parent began."""
    hellos = [server_hello(tls) for _ in range(8)]
    assert len({r for r, _ in hellos}) == 8 and len({share[-32:] for _, share in hellos}) == 8
