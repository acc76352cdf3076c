"""postern-smtpd alone: what becomes of a session when the next stage, the directory, postern-tls, the door or the system fails, and what it holds of them."""
import os
import shutil
import signal
import socket
import time

import pytest

from alone import readable
from conftest import wait_for
from processes import descriptors, failing
from smtpd_alone import M, MESSAGE, R, finish, netstring, shared, start  # noqa: F401 (fixtures)


def test_next_stage_dies_with_the_job(start):
    d = start()
    d.queue_answer = None
    c = d.connect()
    c.start()
    code, text = finish(c)
    assert (code, text[:5]) == (451, "4.3.0") and text.endswith(d.jobs[0].id)
    d.queue_answer = "250 2.0.0 ok {id}"
    assert finish(c.envelope())[0] == 250


@pytest.mark.parametrize("answer,code,start_of_text", [
    ("550 5.7.1 contains the virus X", 550, "5.7.1 contains the virus X "),
    ("452 4.3.1 disk full", 452, "4.3.1 disk full "),
    ("354 go on", 451, "4.3.0"),
    ("nonsense", 451, "4.3.0"),
    ("999 x", 451, "4.3.0"),
    ("250 2.0.0 ok\r\n250 more", 451, "4.3.0"),
    ("250", 451, "4.3.0"),
])
def test_answers_of_the_line(shared, answer, code, start_of_text):
    old, shared.queue_answer = shared.queue_answer, answer
    try:
        c = shared.connect()
        c.start()
        n = len(shared.jobs)
        got = finish(c)
        assert got[0] == code and got[1].startswith(start_of_text), got
        assert got[1].endswith(shared.wait_jobs(n + 1)[n].id), "every answer names the message"
        assert c.do("NOOP")[0] == 250
    finally:
        shared.queue_answer = old


def test_next_stage_is_gone(start):
    d = start()
    c = d.connect()
    c.start()
    d.pairs["next"][0].shutdown(socket.SHUT_RDWR)
    d.pairs["next"][0].close()
    code, text = finish(c)
    assert (code, text[:5]) == (451, "4.3.0")


@pytest.mark.parametrize("how", [None, "gone"])
def test_directory_fails(start, how):
    d = start()
    c = d.connect()
    c.ehlo()
    c.do(M)
    if how == "gone":
        d.pairs["directory"][0].shutdown(socket.SHUT_RDWR)
        d.pairs["directory"][0].close()
    d.directory_answers = how if how is None else True
    code, text = c.do(R)
    assert (code, text[:5]) == (451, "4.3.0"), text
    assert c.do("RCPT TO:<any@relayed.test>")[0] == 250


def test_inflight_bytes_and_a_killed_session(start):
    d = start(inflightbytes="1048576")
    d.queue_answer = False
    body = b"A: b\r\n\r\n" + (b"z" * 70 + b"\r\n") * 11000  # about 800 KiB
    first = d.connect()
    first.start()
    first.send(body + b".\r\n")
    d.wait_jobs(1)
    second = d.connect()
    second.start()
    code, text = second.do(body + b".\r\n")
    assert (code, text[:5]) == (452, "4.3.1"), text
    second.envelope()
    victim, = wait_for(lambda: [p for p in d.children() if f"[{p}] {d.jobs[0].id} smtpd-handed" in d.log()])
    os.kill(victim, signal.SIGKILL)
    wait_for(lambda: "smtpd-killed" in d.log())
    d.queue_answer = "250 2.0.0 ok {id}"
    assert second.do(body + b".\r\n")[0] == 250, d.log()


def test_recipients_count_as_octets_in_flight(start):
    """Long addresses with ORCPT are a MiB of memory for a thousand of them, in each session: they are counted, and given back."""
    d = start(inflightbytes="1048576", maxrcpt="20000")
    local, orcpt = "l" * 60, "o" * 480
    rcpt = f"RCPT TO:<{local}@{'d' * 60}.{'e' * 60}.below.test> ORCPT=rfc822;{orcpt}".encode() + b"\r\n"
    first, second = d.connect(), d.connect()
    for c in (first, second):
        c.ehlo()
        assert c.do(M)[0] == 250
    taken = 0
    while (answer := first.do(rcpt))[0] == 250 and taken < 3000:
        taken += 1
    assert answer[0] == 452 and answer[1].startswith("4.3.1") and 1_000_000 < taken * 680 < 1_100_000, (taken, answer)
    assert [second.do(rcpt)[0] for _ in range(30)][-1] == 452, "all sessions together"
    assert first.do("DATA")[0] == 452, "no room for the message itself"
    assert first.do(M)[0] == 250 and first.do(rcpt)[0] == 250
    assert [second.do(rcpt)[0] for _ in range(30)] == [250] * 30, "given back"


def test_bad_handover_is_survived(shared):
    raw = shared.pairs["in"][0]
    held = shared.descriptors()
    a, b = socket.socketpair()
    good = b"".join(netstring(x) for x in ("smtp", "192.0.2.7", 40000, "192.0.2.1", 25))
    for text, fds in ((b"x", [a.fileno(), b.fileno()]), (good, []), (good, [a.fileno()]), (good, [a.fileno()] * 4), (good + b"3:abc", [a.fileno(), b.fileno()]),
                      (b"y" * 9000, [a.fileno(), b.fileno()])):
        socket.send_fds(raw, [text], fds)
    assert shared.connect().do("NOOP")[0] == 250
    assert shared.descriptors() == held, "what came with them is closed"


def test_token_is_held_and_told(shared):
    c = shared.connect()
    c.ehlo()
    c.do(M)
    c.do("RCPT TO:<nobody@campus.test>")
    c.do("FOO")
    c.do("RSET")
    c.envelope()
    finish(c)
    assert not readable(c.token, 0.2) and c.token.read(100) is None
    c.do("QUIT")
    assert readable(c.token, 60) and c.token.read(200) == b"badrcpt 1 errors 1 messages 1 recipients 1"
    assert readable(c.token, 60) and c.token.read(200) == b""


def test_starttls(start):
    """The test plays postern-tls: what it gets is the client's socket, what it gives back is all that the session keeps."""
    d = start(tls=True)
    c = d.connect()
    assert "STARTTLS" in c.ehlo()
    c.do(M)
    assert c.do("STARTTLS")[0] == 503
    c.do("RSET")
    assert c.do("STARTTLS")[0] == 220
    data, fds, _, _ = socket.recv_fds(d.pairs["tls"][0], 1000, 4)
    assert len(fds) == 2
    client, mine = socket.socket(fileno=fds[0]), socket.socket(fileno=fds[1])
    facts = ("ok", "TLSv1.3", "TLS_AES_256_GCM_SHA384", "mx1.campus.test", "", 1)
    mine.sendall(b"".join(map(netstring, facts)).ljust(512, b"\0"))
    # clear text on the old socket is heard by nobody but us
    c.send("NOOP\r\n")
    assert client.recv(100) == b"NOOP\r\n"
    inner = type(c)(mine)
    assert inner.do(M)[0] == 503, "EHLO is required again"
    assert "STARTTLS" not in inner.ehlo()
    assert inner.do("STARTTLS")[0] == 502
    inner.envelope()
    assert finish(inner)[0] == 250
    job = d.wait_jobs(1)[0]
    assert job.record("X") == [b"TLSv1.3 TLS_AES_256_GCM_SHA384"]
    assert b" with ESMTPS id " in job.received and b"\n  (TLSv1.3 TLS_AES_256_GCM_SHA384)" in job.received
    assert "sni=mx1.campus.test resumed=1" in d.log()


@pytest.mark.parametrize("gap", [None, 0, 0.005, 0.05])
def test_starttls_injection(start, gap):
    d = start(tls=True)
    c = d.connect(tcp=True)
    c.ehlo()
    if gap is None:
        c.send("STARTTLS\r\nNOOP\r\n")
    else:
        c.send("STARTTLS\r\n")
        time.sleep(gap)
        c.send("NOOP\r\n")
    code, text = c.reply()
    assert code == 554 or (code == 220 and gap is not None), text
    if code == 554:
        assert c.closed()
        return
    # too late for us to see: the octets are then what TLS reads first, and no command
    d.pairs["tls"][0].settimeout(60)
    data, fds, _, _ = socket.recv_fds(d.pairs["tls"][0], 1000, 4)
    client = socket.socket(fileno=fds[0])
    client.settimeout(60)
    assert client.recv(100) == b"NOOP\r\n"
    os.close(fds[1])
    client.close()
    assert c.closed()


def test_tls_fails(start):
    d = start(tls=True)
    c = d.connect()
    c.ehlo()
    assert c.do("STARTTLS")[0] == 220
    data, fds, _, _ = socket.recv_fds(d.pairs["tls"][0], 1000, 4)
    reply = socket.socket(fileno=fds[1])
    reply.send((netstring("failed") + netstring("no shared cipher")).ljust(512, b"\0"))
    os.close(fds[0])
    reply.close()
    assert c.closed(), "nothing more is said in clear text"


def test_no_process_for_a_session(start):
    d = start(processes=1)
    c = d.connect(greeting=False)
    code, text = c.reply()
    assert (code, text[:5]) == (421, "4.3.2") and c.closed()
    assert "smtpd-refused" in d.log()


def test_taken_over_session_holds_its_edges_alone(start):
    """Not PORT_IN (other clients), not the lifeline; the client, the token (a pipe), and four ways out: next, directory, tls, dns."""
    d = start(tls=True)
    c = d.connect()
    c.ehlo()
    pid, = d.children()
    fds = {fd: os.readlink(f"/proc/{pid}/fd/{fd}") for fd in descriptors(pid)}
    sockets = [t for t in fds.values() if t.startswith("socket:")]
    assert len(sockets) == 5, fds
    assert len([t for t in fds.values() if t.startswith("pipe:")]) == 1, fds
    assert f"socket:[{os.fstat(d.pairs['in'][1].fileno()).st_ino}]" not in fds.values()


FAULTS = [
    # (system call and fault, where the session notices, expected reply); the first of a kind is the body's file, the second the header's
    ("memfd_create:error=ENFILE:when=1", "end", "452 4.3.1"),
    ("memfd_create:error=ENFILE:when=2", "end", "451 4.3.0"),
    ("pwrite64:error=ENOSPC:when=1", "end", "452 4.3.1"),
    ("pwrite64:error=ENOSPC:when=2", "end", "451 4.3.0"),
    ("fcntl:error=EBUSY:when=1", "end", "452 4.3.1"),
    ("fcntl:error=EBUSY:when=2", "end", "451 4.3.0"),
    ("socketpair:error=EMFILE:when=1", "RCPT", "451 4.3.0"),
    ("socketpair:error=EMFILE:when=2", "end", "451 4.3.0"),
    ("sendmsg:error=ENOBUFS:when=1", "RCPT", "451 4.3.0"),
    ("sendmsg:error=ENOBUFS:when=2", "end", "451 4.3.0"),
    ("recvmsg:error=ENOMEM:when=1", "RCPT", "451 4.3.0"),
    ("recvmsg:error=ENOMEM:when=2", "RCPT or end", "451 4.3.0"), # RCPT when its first call came before the answer
]


@pytest.mark.skipif(not shutil.which("strace") or os.geteuid() != 0, reason="needs strace and root")
@pytest.mark.parametrize("fault,where,expected", FAULTS, ids=[f[0] for f in FAULTS])
def test_faults_of_the_system(start, fault, where, expected):
    """Each call that can fail on the way of a message fails once: a temporary refusal, and the next message of the session comes through.  The message is long
    enough for header and body to be files."""
    message = b"X: " + b"x" * 990 + b"\r\n"
    message = message * 20 + MESSAGE + (b"y" * 990 + b"\r\n") * 20
    d = start()
    c = d.connect()
    c.ehlo()
    got = {}
    with failing(d.children()[0], fault):
        assert c.do(M)[0] == 250
        got["RCPT"] = c.do(R)
        if got["RCPT"][0] != 250:
            assert c.do(R)[0] == 250
        got["DATA"] = c.do("DATA")
        if got["DATA"][0] == 354:
            got["end"] = finish(c, message)
        else:
            c.do("RSET")
        refused = [f"{got[step][0]} {got[step][1]}" for step in where.split(" or ") if step in got and got[step][0] >= 400]
        assert len(refused) == 1 and refused[0].startswith(expected), got
        c.do("RSET")
        assert finish(c.envelope(), message)[0] == 250
        assert len(d.jobs) == (2 if where == "RCPT" or fault.startswith("recvmsg") else 1)
