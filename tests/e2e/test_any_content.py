"""A session survives whatever it is sent: lines of 4.5 GiB, NULs, a million of anything, with memory of its own below 8 MiB (docs/hostile.md).

A client pours until it is done or the session takes no more; looked at are what it was told, how the session ended, and the peak of its memory.
POSTERN_POUR=full sends 4.5 GiB as one message too, which is kept until it is refused: 2 GiB of memory."""
import ctypes
import os
import pathlib
import threading
import time

import pytest

from processes import descriptors
from smtpd_alone import Smtpd
from submission_alone import Submission

POUR = 9 << 29  # octets: 4.5 GiB
M, R = b"MAIL FROM:<a@far.test>\r\n", b"RCPT TO:<u1@campus.test>\r\n"
FULL = os.environ.get("POSTERN_POUR") == "full"


PTRACE_CONT, PTRACE_SEIZE, OPTION_TRACEEXIT, EVENT_EXIT = 7, 0x4206, 0x40, 6
libc = ctypes.CDLL(None, use_errno=True)
libc.ptrace.argtypes = [ctypes.c_long, ctypes.c_long, ctypes.c_void_p, ctypes.c_void_p]


class Watch(threading.Thread):
    """The peak of a process's memory, KiB, read at the very moment of its exit, where it stops for us (ptrace); where that is forbidden, as often as can be."""
    def __init__(self, pid):
        super().__init__(daemon=True)
        self.pid, self.peak, self.ready = pid, 0, threading.Event()
        self.start()
        self.ready.wait()

    def look(self):
        """False: it is gone."""
        try:
            text = pathlib.Path(f"/proc/{self.pid}/status").read_text()
        except OSError:
            return False
        peak = [int(line.split()[1]) for line in text.splitlines() if line.startswith("VmHWM")]
        self.peak = max([self.peak] + peak)
        return bool(peak)

    def run(self):
        traced = libc.ptrace(PTRACE_SEIZE, self.pid, 0, OPTION_TRACEEXIT) == 0
        self.look()
        self.ready.set()
        while traced:
            _, status = os.waitpid(self.pid, 0x40000000)  # __WALL
            if not os.WIFSTOPPED(status):
                return
            if status >> 16 == EVENT_EXIT:
                self.look()
            libc.ptrace(PTRACE_CONT, self.pid, 0, os.WSTOPSIG(status) if not status >> 16 else 0)
        while self.look():
            time.sleep(0.001)

    def done(self):
        """The client has closed, or will not live on: wait for the session's end."""
        self.join(30)
        assert not self.is_alive(), "the session goes on"
        assert 0 < self.peak < 8 * 1024, f"{self.peak} KiB"


def pour(c, total, block):
    """Send BLOCK again and again, TOTAL octets, in a thread of its own, since replies must be read meanwhile; the octets that were taken."""
    sent = [0]

    def run():
        try:
            while sent[0] < total:
                sent[0] += c.sock.send(block)
        except OSError:
            pass
    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    return sent, thread


def replies(c):
    """All replies until the connection is closed."""
    out = []
    try:
        while True:
            out.append(c.reply())
    except (EOFError, ConnectionResetError):
        return out


def poured(d, before, block, total=POUR, connect=None):
    """Say BEFORE, command by command, then pour BLOCK, TOTAL octets: the replies to that, and the octets that were taken."""
    known = set(d.children())
    c = connect(d) if connect else d.connect(tcp=True)
    watch = Watch(next(iter(set(d.children()) - known)))
    for command in before:
        c.do(command)
    c.sock.settimeout(120)
    sent, thread = pour(c, total, block)
    got = replies(c)
    thread.join(10)
    c.close()
    watch.done()
    return got, sent[0]


@pytest.fixture(scope="module")
def shared():
    d = Smtpd(timeoutsmtpd="60")
    yield d
    d.close()


@pytest.fixture(scope="module")
def submission():
    d = Submission(timeoutsmtpd="60")
    yield d
    d.close()


inside, logged_in = Submission.inside, Submission.logged_in
ENDLESS = b"x" * (1 << 20)
NULS = bytes(1 << 20)
# what is poured: spec, commands before, block, the last replies, and at most how many octets are taken
LINES = [
    ("5321 4.5.3.1.4 a command line of 4.5 GiB", [], ENDLESS, [500], 16 << 20),
    ("a command line of NULs", [], NULS, [500], 16 << 20),
    ("NOOP with 4.5 GiB behind it", [b"EHLO x\r\n"], b"NOOP " * (1 << 18), [500], 16 << 20),
    ("an address of 4.5 GiB", [b"EHLO x\r\n"], b"MAIL FROM:<" + ENDLESS, [500], 16 << 20),
    ("a RCPT line of 4.5 GiB", [b"EHLO x\r\n", M], b"RCPT TO:<" + ENDLESS, [500], 16 << 20),
    ("lines of NULs", [b"EHLO x\r\n"], b"\0\r\n" * 300000, [500] * 20 + [421], 16 << 20),
    ("empty lines", [], b"\r\n" * 500000, [500] * 20 + [421], 16 << 20),
    ("LF alone", [], b"\n" * 1000000, [500] * 20 + [421], 16 << 20),
    ("unknown commands", [], b"FOO\r\n" * 200000, [500] * 20 + [421], 16 << 20),
    ("2920 a million NOOPs", [b"EHLO x\r\n"], b"NOOP\r\n" * 200000, [250] * 99 + [250] * 20 + [421], 16 << 20),
    ("1870 a message that is one line", [b"EHLO x\r\n", M, R, b"DATA\r\n"], ENDLESS, [552], 96 << 20),
    ("a message of NULs", [b"EHLO x\r\n", M, R, b"DATA\r\n"], NULS, [550], 32 << 20),
    ("a header line of 4.5 GiB", [b"EHLO x\r\n", M, R, b"DATA\r\n"], b"X: " + ENDLESS, [552], 32 << 20),
    ("10^9 header lines", [b"EHLO x\r\n", M, R, b"DATA\r\n"], b"X: y\r\n" * 200000, [552], 32 << 20),
    ("10^9 body lines", [b"EHLO x\r\n", M, R, b"DATA\r\n", ], b"\r\n" * 500000, [552], 96 << 20),
    ("dots", [b"EHLO x\r\n", M, R, b"DATA\r\n"], b"." * 1000000, [552], 96 << 20),
    ("3030 a chunk of 4.5 GiB", [b"EHLO x\r\n", M, R], b"BDAT %d LAST\r\n" % POUR + ENDLESS, [552], 32 << 20),
    ("3030 chunks of 2 GiB", [b"EHLO x\r\n", M, R], b"BDAT %d\r\n" % (1 << 31) + ENDLESS, [552], 32 << 20),
    ("3030 a chunk out of order", [b"EHLO x\r\n"], b"BDAT %d LAST\r\n" % POUR + ENDLESS, [503], 32 << 20),
]


@pytest.mark.parametrize("spec,before,block,codes,most", LINES, ids=[row[0] for row in LINES])
def test_poured(shared, spec, before, block, codes, most):
    jobs = len(shared.jobs)
    got, taken = poured(shared, before, block)
    assert [code for code, _ in got[-len(codes):]] == codes, got[-3:]
    assert taken < most, "it is not read for ever"
    assert len(shared.jobs) == jobs and shared.connect().do("NOOP")[0] == 250



# what is said inside TLS, how the session begins, what is poured, the last replies
LOGINS = [
    ("4954 4 an argument of 4.5 GiB", inside, [], b"AUTH PLAIN " + b"A" * (1 << 20), [500]),
    ("4954 4 PLAIN", inside, [b"AUTH PLAIN\r\n"], b"A" * (1 << 20), [500]),
    ("4954 4 the user of LOGIN", inside, [b"AUTH LOGIN\r\n"], b"A" * (1 << 20), [500]),
    ("4954 4 the password of LOGIN", inside, [b"AUTH LOGIN\r\n", b"dTE=\r\n"], b"A" * (1 << 20), [500]),
    ("NULs as password", inside, [b"AUTH LOGIN\r\n", b"dTE=\r\n"], NULS, [500]),
    ("line after line in an exchange", inside, [b"AUTH PLAIN\r\n"], b"=\r\n" * 300000, [500] * 19 + [421]),
    ("AUTH after AUTH", inside, [], b"AUTH FOO\r\n" * 100000, [554]),
    ("logged in: a message that is one line", logged_in, [M, R, b"DATA\r\n"], ENDLESS, [552]),
]


@pytest.mark.parametrize("spec,connect,before,block,codes", LOGINS, ids=[row[0] for row in LOGINS])
def test_poured_in_a_login(submission, spec, connect, before, block, codes):
    jobs = len(submission.jobs)
    got, taken = poured(submission, before, block, connect=connect)
    assert [code for code, _ in got[-len(codes):]] == codes, got[-3:]
    assert taken < 96 << 20 and len(submission.jobs) == jobs
    assert "AAAA" not in submission.log(), "what may be a password is logged by nobody"


def started(d, variables=None, rcpts=1):
    """A session in which MAIL and RCPT were accepted, and the watch over its memory."""
    known = set(d.children())
    c = d.connect(variables, tcp=True)
    c.sock.settimeout(120)
    watch = Watch(next(iter(set(d.children()) - known)))
    c.ehlo()
    assert c.do(M)[0] == 250 and c.do(R)[0] == 250
    return c, watch


# messages that are taken or refused as a whole, after which the session goes on
MESSAGES = [
    ("10^6 header lines", b"X: y\r\n" * 1_000_000 + b"\r\n.\r\n", 552),
    ("10^6 folded lines", b"X: y\r\n" + b" y\r\n" * 1_000_000 + b"\r\n.\r\n", 552),
    ("as many header lines as a MiB holds", b"a:\r\n" * 340_000 + b"\r\n.\r\n", 250),
    ("a header line of nearly a MiB", b"a: " + b"b" * 1_040_000 + b"\r\n\r\n.\r\n", 250),
    ("10^6 body lines", b"A: b\r\n\r\n" + b"c\r\n" * 1_000_000 + b".\r\n", 250),
    ("10^6 dots to undo", b"\r\n" + b"..\r\n" * 1_000_000 + b".\r\n", 250),
    ("a body line of 60 MiB", b"\r\n" + b"d" * (60 << 20) + b"\r\n.\r\n", 250),
]


@pytest.mark.parametrize("spec,data,code", MESSAGES, ids=[row[0] for row in MESSAGES])
def test_a_message_of(shared, spec, data, code):
    jobs = len(shared.jobs)
    c, watch = started(shared)
    held = len(descriptors(watch.pid))
    assert c.do("DATA")[0] == 354
    thread = threading.Thread(target=c.send, args=(data,), daemon=True)
    thread.start()
    assert c.reply()[0] == code
    thread.join()
    if code == 250:
        want = b"\n".join(line[1:] if line[:1] == b"." else line for line in data[:-3].split(b"\r\n"))
        assert shared.wait_jobs(jobs + 1)[jobs].message == want
    assert c.do("NOOP")[0] == 250
    assert len(descriptors(watch.pid)) == held, "nothing of the message is open"
    c.close()
    watch.done()


def test_a_million_recipients(shared):
    """RFC 5321 4.5.3.1.10: those over the limit get 452, as many again; whoever goes on then is ended by errors, and the log is not flooded."""
    log = len(shared.log())
    c, watch = started(shared)
    sent, thread = pour(c, 31_000_000, b"RCPT TO:<u1@campus.test>\r\n" * 40_000)
    codes = [code for code, _ in replies(c)]
    assert codes.count(250) == 999 and codes[999:] == [452] * (len(codes) - 1000) + [421] and len(codes) < 2100
    thread.join(10)
    watch.done()
    assert len(shared.log()) - log < 1_000_000


def test_a_hundred_thousand_chunks(shared):
    jobs = len(shared.jobs)
    c, watch = started(shared)
    n = 100_000
    sent, thread = pour(c, 9 * n, b"BDAT 1\r\nx" * n)
    assert all(c.reply() == (250, "2.0.0 1 octets received") for _ in range(n))
    thread.join()
    assert c.do(b"BDAT 0 LAST\r\n")[0] == 250
    assert shared.wait_jobs(jobs + 1)[jobs].message == b"\n" + b"x" * n + b"\n"
    c.close()
    watch.done()


def test_more_than_4_gib_in_one_session(shared):
    """Message after message, until the counts of the session are past 2^32."""
    old, shared.drop_jobs = shared.drop_jobs, True
    try:
        c, watch = started(shared)
        size = 64 << 20
        whole = b"BDAT %d LAST\r\n\r\n" % size + b"e" * (size - 2)
        for i in range(66):
            assert c.do(whole)[0] == 250
            assert c.do(M)[0] == 250 and c.do(R)[0] == 250
        assert c.do("QUIT")[0] == 221
        watch.done()
    finally:
        shared.drop_jobs = old
    assert f"messages=66 rcpts=67 octets={66 * size}" in shared.log()


@pytest.mark.skipif(not FULL, reason="POSTERN_POUR=full")
def test_a_message_of_4_gib_and_a_half():
    """With DATABYTES=0 the limit is 2 GiB."""
    d = Smtpd(timeoutsmtpd="60", inflightbytes="1099511627776")
    try:
        for by_data, block in ((True, ENDLESS), (True, b"line\r\n" * 200_000), (False, b"BDAT 1048576\r\n\r\n" + ENDLESS[2:])):
            c, watch = started(d, {"DATABYTES": "0"})
            if by_data:
                assert c.do("DATA")[0] == 354
                c.send("\r\n")
            sent, thread = pour(c, POUR, block)
            got = replies(c)
            thread.join(10)
            watch.done()
            assert 552 in [code for code, _ in got] and (2 << 30) <= sent[0] < (2 << 30) + (64 << 20), (got[-3:], sent)
            assert not d.jobs
    finally:
        d.close()
