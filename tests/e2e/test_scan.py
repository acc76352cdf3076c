"""The scan stage: the real programs with the real libclamav, clamd and spamd; scanners that lie; workers that die, hang, cannot write."""
import array
import contextlib
import ctypes
import email
import email.policy
import fcntl
import os
import pathlib
import random
import re
import shutil
import signal
import socket
import subprocess
import termios
import threading
import time

import pytest

from conftest import many, wait_for
from alone import readable
from processes import descriptors, failing, kill, standing_still, started
from timing import TRIES, measured, seconds_of, within
import scan_alone
from scan_alone import (EICAR, GTUBE, Clamd, Fake, ScanLine, Spamd, b64, exactly, instream, multipart, signatures, spamc, spamd_reply, zipped)

HEAD, PLAIN, BAD = (b"Received: from x\n" + m for m in (scan_alone.HEAD, scan_alone.PLAIN, scan_alone.BAD))  # as the session passes them on
VIRUS = "550 5.7.1 message refused: virus Test.Eicar.UNOFFICIAL (ID)"
LATER = "451 4.7.1 message could not be scanned now, try again later (ID)"


@pytest.fixture
def line():
    with many(ScanLine, ScanLine.stop) as new:
        def make(scans=1, start=True, **control):
            it = new(scans, **control)
            return it.start() if start else it
        yield make


@pytest.fixture(scope="module")
def db(tmp_path_factory):
    d = pathlib.Path("/tmp") / f"postern-db-{os.getpid()}"
    yield signatures(d)
    shutil.rmtree(d)


@pytest.fixture(scope="module")
def clamd():
    c = Clamd()
    yield c
    c.stop()


@pytest.fixture(scope="module")
def spamd():
    s = Spamd()
    yield s
    s.stop()


@pytest.fixture
def fake():
    with many(Fake, Fake.stop) as make:
        yield make


def embedded(db):
    return {"scanners": f"clamav embedded:{db}\n"}


VIRUSES = {
    "base64": HEAD + b64(EICAR),
    "nested multipart": BAD,
    "zip": HEAD + multipart(b64(zipped(EICAR), "application/zip; name=a.zip")),
    "message": HEAD + multipart(b"Content-Type: message/rfc822\n\nSubject: inner\n" + b64(EICAR)),
    "first field unknown": b"Foo: bar\n" + b64(EICAR),
    "base64 message": HEAD + b64(b"Subject: inner\n" + b64(EICAR), "message/rfc822"),
    "quoted-printable": HEAD + b"Content-Type: a/b\nContent-Transfer-Encoding: quoted-printable\n\n" + EICAR.replace(b"=", b"=3D") + b"\n",
    "plain text": HEAD + b"Content-Type: application/x\n\n" + EICAR,
    "junk in base64": HEAD + b64(EICAR).replace(b"WDVP", b"WD!V P"),
}


@pytest.mark.parametrize("how", VIRUSES)
def test_virus_embedded(line, db, how):
    s = line(**embedded(db))
    assert s.send(VIRUSES[how]) == VIRUS
    assert s.through(PLAIN).whole == PLAIN
    assert "line=0" in s.logs("cause=virus")[0]


@pytest.mark.parametrize("how", ["base64", "nested multipart", "zip", "message", "first field unknown"])
def test_virus_clamd(line, clamd, how):
    s = line(scanners=f"clamav unix:{clamd.path}\n")
    assert s.send(VIRUSES[how]) == VIRUS
    assert s.through(PLAIN).whole == PLAIN


def test_unchanged_to_the_octet(line, db):
    s = line(**embedded(db), banned="*.exe\n")
    for message in [PLAIN, HEAD + b"\n", HEAD, b"\nbody only\n", HEAD + multipart(b64(os.urandom(300000))), b"A: b\n\n" + bytes(range(1, 256)) * 100]:
        assert s.through(message).whole == message


def test_actions(line, db):
    for action, answer in [("discard", "250 2.0.0 ok ID"), ("tempfail", "451 4.7.1 message not accepted now: virus Test.Eicar.UNOFFICIAL (ID)"),
                           ("reject", VIRUS)]:
        s = line(**embedded(db), scanpolicy=f"virus {action}\n")
        assert s.send(BAD) == answer
        assert not s.passed
        assert f"action={action} cause=virus line=1" in s.logs("cause=virus")[0]
    s = line(**embedded(db), scanpolicy="# tagged\nvirus tag\n")
    assert s.through(b"X-Virus-Status: clean\n" + BAD).whole == b"X-Virus-Status: infected (Test.Eicar.UNOFFICIAL)\n" + BAD
    s = line(**embedded(db), scanpolicy="virus pass\n")
    assert s.through(BAD).whole == BAD


def test_banned_without_scanner(line):
    s = line(banned="*.exe\napplication/x-msdownload\nvideo/*\n")
    refused = '550 5.7.1 message refused: attachment "%s" is not accepted here (ID)'
    for type, name in [("a/b; name=x.exe", "x.exe"), ("a/b; name*=utf-8''%e2%82%ac.EXE", "???.EXE"), ("a/b; name*0=x.e; name*1=xe", "x.exe"),
                       ("application/X-MSDownload; name=y", "y"), ("video/mp4", "video/mp4"), ('a/b; name="=?utf-8?B?eC5leGU=?="', "x.exe"),
                       ('a/b; name="x.exe. . "', "x.exe. . "), ("a/b;\n name=\"C:\\\\tmp\\\\x.exe\"", "C:?tmp?x.exe")]:
        assert s.send(HEAD + multipart(b"\ntext", b"Content-Type: " + type.encode() + b"\n\nMZ")) == refused % name, type
    assert s.through(PLAIN).whole == PLAIN
    assert s.send(HEAD + multipart(b64(b"Content-Type: a/b; name=in.exe\n\nMZ", "message/rfc822"))) == refused % "in.exe"
    assert "banned=*.exe" in s.logs("name=in.exe")[0]


def test_malformed(line, db):
    twice = HEAD + b"Content-Type: text/plain\nContent-Type: multipart/mixed; boundary=x\n\n--x\n\nhi\n"
    s = line(**embedded(db))
    assert s.through(twice).whole == b"X-Virus-Status: malformed (field-twice)\n" + twice
    s = line(**embedded(db), scanpolicy="malformed reject\n")
    assert s.send(twice) == "550 5.7.1 message refused: its MIME structure is ambiguous: field-twice (ID)"


def test_over_limits_is_error(line, db):
    nested = HEAD + b"".join(b"Content-Type: multipart/mixed; boundary=b%d\n\n--b%d\n" % (i, i) for i in range(100000)) + b"\nx\n"
    s = line(**embedded(db), scanbytes="10000000")
    assert within(20, lambda: (s.send(nested), s.send(HEAD + multipart(*[b"\nx"] * 1001)))) == (LATER, LATER)
    s = line(**embedded(db), scanpolicy="error pass\n")
    assert s.through(HEAD + multipart(*[b"\nx"] * 1001)).header.startswith(b"X-Virus-Status: malformed (limit)\nX-Virus-Status: unchecked\n")


def test_oversize(line, db, clamd):
    for scanners in [f"clamav embedded:{db}\n", f"clamav unix:{clamd.path}\n"]:
        s = line(scanners=scanners, scanbytes="100000")
        assert s.send(HEAD + b"\n" + b"x" * 100000) == LATER
        assert "over scanbytes" in s.logs("scan-error")[0]
        assert s.through(PLAIN).whole == PLAIN


def test_large_message(line, db):
    """25 MB, virus at the end."""
    s = line(**embedded(db))
    big = HEAD + multipart(b64(random.Random(1).randbytes(18 << 20), "application/octet-stream; name=a.dat"), b64(EICAR))
    assert within(60, lambda: s.send(big)) == VIRUS


def test_spamassassin(line, spamd):
    s = line(scanners=f"spamassassin unix:{spamd.path}\n")
    spam = HEAD + b"\n" + GTUBE + b"\n"
    assert re.fullmatch(r"550 5\.7\.1 message refused: it looks like spam, score 1?\d{3}\.\d \(ID\)", s.send(spam))
    m = s.through(b"X-Spam-Flag: YES\nX-spam-checker: y\n" + PLAIN)
    assert re.fullmatch(rb"(X-Spam-Level: \*+\n)?X-Spam-Status: No, score=-?\d+\.\d required=5\.0\n\ttests=[\w,\n\t]+\n", m.whole[:-len(PLAIN)])
    assert m.whole.endswith(PLAIN)
    s = line(scanners=f"spamassassin unix:{spamd.path}\n", scanpolicy="spam>=3 tag\n")
    m = s.through(PLAIN.replace(b"hello\nDate", b"CAMPUSRULE\nDate"))
    assert m.header.startswith(b"X-Spam-Flag: YES\nX-Spam-Level: ***") and b"CAMPUS_TEST" in m.header and b"X-Spam-Status: Yes, score=" in m.header
    assert "cause=spam line=1" in s.logs("action=tag")[0]


def test_spambytes(line, spamd):
    s = line(scanners=f"spamassassin unix:{spamd.path}\n", spambytes="2000")
    assert s.through(HEAD + b"\n" + GTUBE + b"\n" + b"x\n" * 1000).body.startswith(GTUBE)


def test_all_together_and_order(line, db, clamd, fake):
    """A virus does not wait for spamd; spamd sees what passed, with the sender in front."""
    seen = []

    def script(c):
        seen.append(spamc(c))
        c.sendall(spamd_reply(6.3))
    f = fake(script)
    s = line(scanners=f"clamav embedded:{db}\nclamav unix:{clamd.path}\nspamassassin unix:{f.path}\n", banned="*.exe\n")
    assert s.send(BAD) == VIRUS
    assert not seen
    m = s.through(PLAIN, sender="someone@far.test")
    assert m.whole == b"X-Spam-Flag: YES\nX-Spam-Level: ******\nX-Spam-Status: Yes, score=6.3 required=5.0\n\ttests=A_RULE\n" + PLAIN
    assert len(seen) == 1 and seen[0][1] == b"Return-Path: <someone@far.test>\n" + PLAIN
    assert seen[0][0].startswith(b"SYMBOLS SPAMC/1.5\r\nContent-length: %d" % len(seen[0][1]))


def test_spamd_over_tcp(line):
    listen = socket.create_server(("127.0.0.1", 0))

    def serve():
        while True:
            try:
                c, _ = listen.accept()
            except OSError:
                return
            spamc(c)
            c.sendall(spamd_reply(20))
            c.close()
    threading.Thread(target=serve, daemon=True).start()
    s = line(scanners=f"spamassassin localhost:{listen.getsockname()[1]}\n")
    assert s.send(PLAIN) == "550 5.7.1 message refused: it looks like spam, score 20.0 (ID)"
    listen.close()


# What a scanner that was taken over, or is dying, may do.  Each is an error: 451 by default, never a pass.
def reply(data, read=instream):
    def script(c):
        read(c)
        c.sendall(data)
    return script


def gibibyte(read):
    def script(c):
        read(c)
        for _ in range(1024):
            c.sendall(b"x" * (1 << 20))
    return script


def hang(c):
    time.sleep(8)


def drop(c):
    pass


def drop_midway(c):
    exactly(c, 10)


def half_and_hang(c):
    instream(c)
    c.sendall(b"stream: O")
    time.sleep(8)


def ok_at_once(c):
    exactly(c, 10)
    c.sendall(b"stream: OK\0")


HOSTILE_CLAMD = {
    "hang": hang, "drop": drop, "drop after INSTREAM": drop_midway, "half a reply and hang": half_and_hang, "half a reply": reply(b"stream: O"),
    "OK without end": reply(b"stream: OK"), "OK NUL FOUND": reply(b"stream: OK\0FOUND"), "two verdicts": reply(b"stream: OK\0stream: OK\0"),
    "NUL": reply(b"\0"), "1 GiB": gibibyte(instream), "wrong id": reply(b"1: stream: OK\0"), "other command": reply(b"PONG\0"),
    "OK with line feed": reply(b"stream: OK\n\0"), "escape": reply(b"stream: \x1b[2J FOUND\0"), "no name": reply(b"stream:  FOUND\0"),
    "limit": reply(b"INSTREAM size limit exceeded. ERROR\0"), "over its limits": reply(b"stream: Heuristics.Limits.Exceeded.MaxFileSize FOUND\0"),
    "empty": reply(b""), "OK before the message": ok_at_once,
}
OK = b"SPAMD/1.1 0 EX_OK\r\n"
HOSTILE_SPAMD = {
    "hang": hang, "drop": drop, "half": reply(OK[:9], spamc), "1 GiB": gibibyte(spamc), "busy": reply(b"SPAMD/1.0 69 Service Unavailable\r\n", spamc),
    "no verdict": reply(OK + b"Content-length: 0\r\n\r\n", spamc), "NUL": reply(OK + b"Content-length: 3\r\nSpam: False ; 0.0 / 5.0\r\n\r\nA\0B", spamc),
    "two verdicts": reply(OK + b"Content-length: 0\r\nSpam: False ; 0.0 / 5.0\r\nSpam: False ; 0.0 / 5.0\r\n\r\n", spamc),
    "wrong number": reply(OK + b"Content-length: 0\r\nSpam: False ; 0x0 / 5.0\r\n\r\n", spamc),
    "nan": reply(OK + b"Content-length: 0\r\nSpam: False ; nan / 5.0\r\n\r\n", spamc),
    "more than it says": reply(spamd_reply(0) + b"X-Spam: no", spamc), "less than it says": reply(spamd_reply(0)[:-1], spamc),
    "header in rules": reply(spamd_reply(0, tests=b"A\nBcc: x@y"), spamc), "do not agree": reply(spamd_reply(0).replace(b"False", b"True"), spamc),
    "empty": reply(b"", spamc),
}


@pytest.mark.parametrize("kind,how", [("clamav", k) for k in HOSTILE_CLAMD] + [("spamassassin", k) for k in HOSTILE_SPAMD])
def test_hostile_scanner(line, fake, kind, how):
    f = fake((HOSTILE_CLAMD if kind == "clamav" else HOSTILE_SPAMD)[how])
    control = {"scanners": f"{kind} unix:{f.path}\n", "scanseconds": "2"}
    message = HEAD + b"\n" + b"x\n" * 200000 if how == "OK before the message" else PLAIN
    s = line(**control)
    assert within(5, lambda: s.send(message)) == LATER
    assert len(s.logs("scan-error", count=s.count)) == s.count and not s.passed
    s = line(**control, scanpolicy="error pass\n")
    unchecked = b"X-Virus-Status: unchecked\n" if kind == "clamav" else b"X-Spam-Status: unchecked\n"
    assert s.through(message).whole == unchecked + message


def test_scanner_not_there(line):
    s = line(scanners="clamav unix:/nonexistent/clamd\n")
    assert s.send(PLAIN) == LATER
    assert "No such file" in s.logs("scan-error")[0]
    s = line(scanners="clamav unix:/nonexistent/clamd\n", scanpolicy="error reject\n")
    assert s.send(PLAIN) == "550 5.7.1 message refused: it could not be scanned (ID)"


def test_clamd_stops_and_comes_back(line):
    c = Clamd()
    s = line(scanners=f"clamav unix:{c.path}\n", scanseconds="5")
    assert s.send(BAD) == VIRUS
    with standing_still([c.process.pid]):
        assert s.send(PLAIN) == LATER
    assert s.send(BAD) == VIRUS
    c.stop()
    assert s.send(BAD) == LATER


def busy_message(seed, kib=600):
    return HEAD + multipart(b64(random.Random(seed).randbytes(kib * 1024), "application/octet-stream; name=a.dat"))


def test_killed_workers_cost_one_message_each(line, db):
    s = line(scans=4, **embedded(db))
    killed, answers = set(), {}
    waiting = []
    for n in range(120):
        waiting.append(s.submit(busy_message(n, 100)))
        if n % 4 == 3:
            victim = random.choice(s.workers())
            since = started(victim)
            if since and kill([victim]):
                killed.add((victim, since))
            while len(waiting) > 8:
                id, text = s.answer(waiting.pop(0))
                answers[id] = text
    for w in waiting:
        id, text = s.answer(w)
        answers[id] = text
    later = [a for a in answers.values() if a.startswith("451 4.7.1")]
    assert len(answers) == 120
    assert all(a.startswith(("250 2.0.0 ok", "451 4.7.1")) for a in answers.values())
    assert 1 <= len(later) <= len(killed)
    assert len(s.passed) == 120 - len(later)
    assert s.through(PLAIN).whole == PLAIN and s.send(BAD) == VIRUS
    assert len(s.logs("scanworker-died", count=len(killed))) == len(killed)


def test_replaced_parent(line, db):
    """As at a reload: the workers of the parent before finish their messages beside those of the next, whose temporary files are their own."""
    s = line(scans=4, **embedded(db))
    slow = HEAD + multipart(*[b64(random.Random(n).randbytes(30000), f"application/octet-stream; name={n}.dat") for n in range(400)])
    for _ in range(2):
        waiting = [s.submit(slow) for _ in range(4)]
        old = s.worker
        s.start_worker()
        old.process.terminate()
        assert old.process.wait(150) == 0
        assert {text.replace(id, "ID") for id, text in map(s.answer, waiting)} == {"250 2.0.0 ok ID"}
    assert not list((s.folder / "state/scan/outside").glob("*/*"))


def test_killed_parent(line, db):
    """Without supervisor nobody starts it again here: the workers leave, and questions wait for the next one."""
    s = line(**embedded(db), scanseconds="20")
    workers = s.workers()
    s.worker.process.kill()
    s.worker.process.wait()
    wait_for(lambda: not any(pathlib.Path(f"/proc/{w}/stat").exists() for w in workers))
    waiting = s.submit(BAD)
    s.start_worker()
    id, text = s.answer(waiting)
    assert text.replace(id, "ID") == VIRUS


@pytest.mark.parametrize("fault", ["memfd_create:error=ENFILE:when=1", "memfd_create:error=EMFILE:when=2", "pwrite64:error=ENOSPC:when=1", "fcntl:error=EBUSY:when=1"])
def test_no_file_for_the_worker(line, db, fault):
    """A message that came in the datagram goes to the worker in files: without them it is not scanned, and not passed."""
    s = line(**embedded(db))
    assert s.send(PLAIN, files=False) == "250 2.0.0 ok ID" and s.send(BAD, files=False) == VIRUS
    with failing(s.stages[0].process.pid, fault):
        assert s.send(BAD, files=False) == LATER
        assert s.send(BAD, files=False) == VIRUS
    assert s.through(PLAIN, files=False).whole == PLAIN


def test_hung_worker(line, db):
    """A stopped worker: its message gets 451 (at the latest at the deadline), others go on, the parent replaces it."""
    s = line(scans=4, **embedded(db), scanseconds="2")

    def forty_with_one_stopped():
        stopped = s.workers()[0]
        since, died = started(stopped), len(s.logs("scanworker-died", 0))
        os.kill(stopped, signal.SIGSTOP)
        results, seconds = seconds_of(lambda: [s.answer(w) for w in [s.submit(PLAIN) for _ in range(40)]])
        texts = [t.replace(i, "ID") for i, t in results]
        assert texts.count("250 2.0.0 ok ID") >= 39 - 1 and texts.count(LATER) <= 1
        assert len(s.logs("scanworker-died", count=died + 1)) == died + 1
        wait_for(lambda: started(stopped) != since)
        return None, seconds
    measured(6, forty_with_one_stopped)


PTRACE_DETACH, PTRACE_SEIZE, PTRACE_INTERRUPT = 17, 0x4206, 0x4207


def hold(worker, idle):
    """Whether WORKER stands still with a message in hand, for which it has more than IDLE descriptors."""
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.ptrace(PTRACE_SEIZE, worker, None, None) != 0:
        return False
    assert libc.ptrace(PTRACE_INTERRUPT, worker, None, None) == 0
    if os.WIFSTOPPED(os.waitpid(worker, 0x40000000)[1]) and len(descriptors(worker)) > idle:
        return True
    libc.ptrace(PTRACE_DETACH, worker, None, None)
    return False


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may hold a process of another user")
def test_worker_that_hangs_over_a_message(line, db):
    """Held where neither its own timer nor a stop signal is seen, as in a fault of the kernel: 451 at the deadline, then the parent kills it."""
    s = line(scans=4, **embedded(db), scanseconds="6")
    idle = max(len(descriptors(w)) for w in s.workers())

    def hold_one():
        """The answers to some messages, one of which is in the hands of a worker that is held, and that worker; None where all were scanned before we looked."""
        waiting = [s.submit(busy_message(n, 1000)) for n in range(max(4, len(s.workers())))]
        held = None
        while not held and not all(readable(w[1], 0) for w in waiting):
            with contextlib.suppress(FileNotFoundError):
                held = next((w for w in s.workers() if len(descriptors(w)) > idle and hold(w, idle)), None)
        texts = [text.replace(id, "ID") for id, text in map(s.answer, waiting)]
        return held and (texts, held)

    def hang():
        texts, held = wait_for(hold_one, 60)
        while os.WIFSTOPPED(os.waitpid(held, 0x40000000)[1]):  # who holds it is told of its end first (__WALL)
            pass
        wait_for(lambda: any(f"worker={held} " in line and "signal=9" in line for line in s.logs("scanworker-died")))
        return texts
    for _ in range(TRIES):  # one message, but for others on a machine that stood still
        texts = within(30, hang)
        if texts.count("250 2.0.0 ok ID") == len(texts) - 1 and texts.count(LATER) == 1:
            break
    else:
        raise AssertionError(f"a worker that hangs costs more than its message: {texts}")
    assert s.send(BAD) == VIRUS and len(s.workers()) > 1


@pytest.mark.skipif(os.geteuid() != 0, reason="looks into another user's process")
def test_worker_over_its_time(line, db):
    """The worker's own timer."""
    s = line(**embedded(db))
    idle = max(len(descriptors(w)) for w in s.workers())

    def alarmed():
        """Whether a message was in hand when the timer came; else it was scanned before we looked."""
        waiting = s.submit(busy_message(1, 8000))
        busy = []
        while not busy and not readable(waiting[1], 0.001):
            with contextlib.suppress(FileNotFoundError):
                busy = [w for w in s.workers() if len(descriptors(w)) > idle]
        kill(busy, signal.SIGALRM)
        return s.answer(waiting)[1].startswith("451 4.7.1")
    wait_for(alarmed)
    assert any('how="over scanseconds"' in x for x in s.logs("scanworker-died"))
    assert s.send(BAD) == VIRUS


def test_temporary_folder_gone(line, db):
    """libclamav calls all clean when it cannot write its temporary folder."""
    s = line(**embedded(db))
    assert s.send(BAD) == VIRUS
    tmp = s.folder / "state/scan/outside"
    for d in tmp.iterdir():
        shutil.rmtree(d)
    for message in (BAD, VIRUSES["zip"], PLAIN):
        assert s.send(message) in (LATER, VIRUS)
    assert s.send(PLAIN) == LATER


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may mount")
@pytest.mark.parametrize("options", ["size=8k", "size=1m,ro"])
def test_temporary_folder_full_or_read_only(line, db, options):
    s = line(**embedded(db))
    folders = list((s.folder / "state/scan/outside").iterdir())
    for f in folders:
        subprocess.run(["mount", "-t", "tmpfs", "-o", options + ",mode=777", "none", str(f)], check=True)
    try:
        clean = HEAD + multipart(b64(zipped(random.Random(2).randbytes(200000)), "application/zip"))
        assert s.send(clean) == LATER
        assert s.send(VIRUSES["zip"]) in (LATER, VIRUS)
    finally:
        for f in folders:
            subprocess.run(["umount", "-l", str(f)], check=True)
    assert s.through(clean)
    assert s.send(VIRUSES["zip"]) == VIRUS


def test_confined(line, db):
    s = line(**embedded(db))
    for pid in [s.stages[0].process.pid, s.worker.process.pid, *s.workers()]:
        status = dict(row.split(":", 1) for row in pathlib.Path(f"/proc/{pid}/status").read_text().splitlines())
        assert status["Seccomp"].strip() == "2" and status["NoNewPrivs"].strip() == "1" and int(status["CapEff"], 16) == 0
        if os.geteuid() == 0:
            assert "0" not in status["Uid"].split()


def test_temporary_files_are_taken_away(line, db):
    s = line(**embedded(db))
    count = len(s.workers())
    for n in range(10):
        s.submit(busy_message(n, 300))
        time.sleep(0.01)
        killed = s.workers()[0]
        since = started(killed)
        kill([killed])
    wait_for(lambda: started(killed) != since and len(s.workers()) >= count)  # what it had taken would be 451
    assert s.send(BAD) == VIRUS
    end = time.monotonic() + 60
    while time.monotonic() < end and list((s.folder / "state/scan/outside").glob("*/*")):
        time.sleep(0.1)
        s.send(PLAIN)
        for w in s.workers():
            os.kill(w, signal.SIGTERM)
    assert not list((s.folder / "state/scan/outside").glob("*/*"))


def test_signatures_replaced(line):
    d = signatures(pathlib.Path("/tmp") / f"postern-db2-{os.getpid()}", "First")
    try:
        s = line(scanners=f"clamav embedded:{d}\n")
        assert s.send(BAD) == VIRUS.replace("Test.Eicar", "First")
        (d / "eicar.ndb").write_text("broken\n")
        s.worker.process.send_signal(signal.SIGHUP)
        assert s.logs("scanworker-stale")
        assert s.send(BAD) == VIRUS.replace("Test.Eicar", "First")
        signatures(d, "Second")
        s.worker.process.send_signal(signal.SIGHUP)
        assert s.logs("scanworker-loaded", count=2)
        wait_for(lambda: s.send(BAD) == VIRUS.replace("Test.Eicar", "Second"))
    finally:
        shutil.rmtree(d)


def test_no_signatures_no_start(line, tmp_path):
    empty = pathlib.Path(f"/tmp/postern-empty-{os.getpid()}")
    empty.mkdir(mode=0o755)
    try:
        s = line(start=False, scanners=f"clamav embedded:{empty}\n")
        with pytest.raises(AssertionError):
            s.start()
        assert any("freshclam" in x or str(empty) in x for x in s.worker.lines if "fatal" in x) if s.worker else True
    finally:
        empty.rmdir()


def unsent(sock):
    """Octets that nobody has received yet."""
    count = array.array("i", [0])
    fcntl.ioctl(sock, termios.TIOCOUTQ, count)
    return count[0]


def test_stop_finishes_what_is_in_hand(line, db):
    s = line(**embedded(db))
    waiting = s.submit(busy_message(1, 2000))
    wait_for(lambda: not unsent(s.jobs[0]), why="it is not taken")
    for p in [*s.stages, s.worker]:
        p.process.send_signal(signal.SIGTERM)
    assert s.answer(waiting)[1].startswith("250")
    assert [p.stop() for p in [*s.stages, s.worker]] == [0, 0]


def test_abandoned_jobs_are_not_scanned(line, fake):
    seen, abandoned = [], threading.Event()

    def script(c):
        seen.append(instream(c))
        abandoned.wait(60)
        c.sendall(b"stream: OK\0")
    f = fake(script)
    s = line(scanners=f"clamav unix:{f.path}\n")
    first = s.submit(PLAIN)
    wait_for(lambda: seen)
    for _ in range(5):
        s.submit(PLAIN)[1].close()
    abandoned.set()
    assert s.answer(first)[1].startswith("250")
    assert s.through(PLAIN)
    assert len(seen) == 2


def test_nothing_leaks(line, db, clamd):
    """Descriptors and memory after many messages of all kinds."""
    s = line(scanners=f"clamav embedded:{db}\nclamav unix:{clamd.path}\n", banned="*.exe\n")

    def round():
        for m in [PLAIN, BAD, HEAD + multipart(b"Content-Type: a/b; name=x.exe\n\nMZ"), busy_message(1, 500)]:
            s.send(m)
    for _ in range(5):
        round()
    time.sleep(0.2)
    fds, pss = s.stages[0].descriptors(), s.stages[0].memory_kib()
    for _ in range(50):
        round()
    wait_for(lambda: s.stages[0].descriptors() <= fds, why="descriptors stay")
    assert s.stages[0].memory_kib() < pss + 500
    assert all(len(descriptors(w)) <= 12 for w in s.workers())


AMBIGUOUS = pathlib.Path(__file__).parents[1] / "unit/scanner-bridge/ambiguous"


def names_by_python(data):
    """Every attachment name that either of Python's two parsers shows, without what is not ASCII."""
    found = set()
    for policy in (email.policy.compat32, email.policy.default):
        try:
            parts = list(email.message_from_bytes(data, policy=policy).walk())
        except Exception:  # the newer parser gives up on some
            continue
        for part in parts:
            for get in (part.get_filename, lambda p=part: p.get_param("name"), lambda p=part: p.get_param("filename", header="content-disposition")):
                try:
                    name = get()
                except Exception:
                    continue
                if isinstance(name, tuple):
                    name = name[2]
                if name:
                    found.add("".join(c for c in str(name) if 32 <= ord(c) < 127).strip())
    return found


def test_ambiguous_messages(line):
    """A name that Python's email package shows is banned by us too, or the message is flagged."""
    s = line(banned="*.exe\n", scanpolicy="banned reject\nmalformed reject\nerror pass\n")
    seen, missed = 0, []
    for file in sorted(AMBIGUOUS.glob("*.eml")):
        data = file.read_bytes()
        names = names_by_python(data)
        answer = s.send(data)
        seen += 1
        if any(n.lower().rstrip(". ").endswith(".exe") for n in names) and not answer.startswith("550"):
            missed.append((file.name, names, answer))
    assert seen > 200 and not missed
