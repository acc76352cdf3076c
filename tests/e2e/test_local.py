"""postern-local itself, confined as in the suite, driven over socket pairs: killed at every system call of a delivery, failing disks,
the order of sync and answer; and through the whole suite, delivery as users of their own."""
import fcntl
import os
import pathlib
import pwd
import re
import signal
import socket
import subprocess

import pytest

from alone import joined, make_user, netstrings, sealed
from conftest import BIN, wait_for
from processes import children, standing_still

ROOT = os.geteuid() == 0
ID = "0123456789abc"
HARMLESS = "syscall=getpid"  # instead of call -1, for which the seccomp filter ends the program
HEADER, BODY = b"Subject: x\n\n", b"hello\n"
FILE = b"Return-Path: <from@a.test>\nDelivered-To: to@b.test\n" + HEADER + BODY


class Worker:
    """The program with its descriptors; sockets and folders stay when it dies."""

    def __init__(self, folder):
        self.state = pathlib.Path(folder) / "state"
        self.state.mkdir(mode=0o755)
        self.mail = self.state / "mail"
        self.mail.mkdir(mode=0o711)
        if ROOT:
            make_user("postern-mail")
            user = pwd.getpwnam("postern-mail")
            os.chown(self.mail, user.pw_uid, user.pw_gid)
        self.ours, self.theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.log = self.state / "log"
        self.trace = self.state / "trace"
        self.process = None

    def start(self, *strace, control=()):
        life, lifeline = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        settings = sealed(joined(self.state, "me", "mx1.campus.test\n", *control))

        def descriptors():
            high = [fcntl.fcntl(fd, fcntl.F_DUPFD, 100) for fd in (lifeline.fileno(), settings, self.theirs.fileno())]
            for at, fd in enumerate(high, 3):
                os.dup2(fd, at)
        command = ["strace", "-f", "-o", str(self.trace), *strace] if strace else []
        with open(self.log, "ab") as log:
            self.process = subprocess.Popen([*command, str(BIN / "postern-local"), "-", "0", str(self.state)], stdin=subprocess.DEVNULL,
                                            stdout=log, stderr=log, close_fds=False, preexec_fn=descriptors, start_new_session=True)
        lifeline.close()
        os.close(settings)
        life.settimeout(60)
        assert life.recv(300) == b"ready", self.log.read_text()
        self.life = life
        return self

    def stop(self):
        if self.process and self.process.poll() is None:
            os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait()

    def post(self, maildir, number=0, doubt=False, uid=-1, body=BODY, address="to@b.test", count=1):
        rcpts = b"".join(self.recipient(number + i, maildir, uid, address) for i in range(count))
        text = joined(ID, "from@a.test", 1, int(doubt), len(HEADER + body), 0, 0, "-", "", count) + rcpts
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        fds = [sealed(joined("i" + ID, "") + HEADER), sealed(body), theirs.fileno()]
        socket.send_fds(self.ours, [text], fds)
        os.close(fds[0])
        os.close(fds[1])
        theirs.close()
        ours.settimeout(60)
        return ours

    @staticmethod
    def recipient(number, maildir, uid, address):
        target = joined("l", address, "u", maildir, uid, -1, 0, 0, 0, "-", "", "")
        return joined(number, target, "original@b.test", "", "")

    def deliver(self, *args, **kw):
        return self.answer(self.post(*args, **kw))

    @staticmethod
    def answer(reply):
        """(status, enhanced code, text) of the first recipient; None when the worker died."""
        text = reply.recv(1 << 18)
        reply.close()
        if not text:
            return None
        one = netstrings(netstrings(text)[0])
        return one[1].decode(), one[2].decode(), one[4].decode()


@pytest.fixture
def worker(folder):
    w = Worker(folder)
    yield w
    w.stop()


def files(maildir, *subs):
    return [f for s in subs or ("new", "cur") for f in sorted((maildir / s).glob("*"))]


@pytest.mark.parametrize("left,kept", [(b"", False), (FILE[:20], False), (FILE[:30] + bytes(len(FILE) - 30), False), (bytes(len(FILE)), False),
                                       (FILE, True), (b"X-Label: mine\n" + FILE, True), (b"x" * len(FILE), True)])
@pytest.mark.parametrize("sub", ["new", "cur"])
def test_in_doubt_after_a_power_cut(worker, sub, left, kept):
    """A reader may have moved the file to cur/ before it was durable: what is torn goes, what a user's program wrote stays."""
    box = worker.mail / "u1" / "Maildir"
    worker.start()
    assert worker.deliver(box)[0] == "K"
    file = files(box)[0]
    user = file.stat()
    file.unlink()
    file = box / sub / (file.name + (":2,S" if sub == "cur" else ""))
    (box / "cur").mkdir(exist_ok=True)
    file.write_bytes(left)
    os.chown(file, user.st_uid, user.st_gid)
    os.chown(box / "cur", user.st_uid, user.st_gid)
    assert worker.deliver(box, doubt=True)[0] == "K"
    found = [f.read_bytes() for f in files(box)]
    assert found.count(FILE) == 1
    assert (file in files(box, "cur")) == (kept and sub == "cur")


def test_delivers_confined(worker):
    box = worker.mail / "u1" / "Maildir"
    worker.start()
    assert worker.deliver(box) == ("K", "2.0.0", f"delivered to {box}")
    assert [f.read_bytes() for f in files(box)] == [FILE]
    status = pathlib.Path(f"/proc/{worker.process.pid}/status").read_text()
    assert re.search(r"^Seccomp:\s+2$", status, re.M) and re.search(r"^NoNewPrivs:\s+1$", status, re.M)
    if ROOT:
        assert int(re.search(r"^Uid:\s+(\d+)", status, re.M)[1]) == pwd.getpwnam("postern-mail").pw_uid


def calls_of_a_delivery(worker):
    """The system calls from taking a delivery to its answer, as (name, how many of that name before it since the start)."""
    seen, calls, begun = {}, [], False
    for line in worker.trace.read_text().splitlines():
        m = re.match(r"\d+ +(\w+)\(", line)
        if not m:
            continue
        name = m[1]
        seen[name] = seen.get(name, 0) + 1
        begun = begun or (name == "recvmsg" and re.search(r" = [1-9]\d*$", line))
        if begun:
            calls.append((name, seen[name]))
        if begun and name == "sendmsg":
            break
    return calls


def test_killed_at_every_call(worker):
    """SIGKILL at each system call of a delivery; repeated in doubt, there is just one copy, whole, and nothing stray."""
    worker.start("-e", "trace=all")
    box = worker.mail / "first" / "Maildir"
    assert worker.deliver(box)[0] == "K"
    worker.stop()
    calls = calls_of_a_delivery(worker)
    assert len(calls) > 15 and {"renameat2", "syncfs", "writev"} <= {c for c, _ in calls}
    for k, (name, nth) in enumerate(calls):
        box = worker.mail / f"u{k}" / "Maildir"
        worker.start("-e", f"trace={name}", "-e", f"inject={name}:signal=KILL:when={nth}")
        reply = worker.post(box)
        worker.process.wait(60)
        worker.start()
        again = worker.deliver(box, doubt=True)
        worker.stop()
        reply.close()
        assert again and again[0] == "K", (name, nth, again)
        assert [f.read_bytes() for f in files(box)] == [FILE], (name, nth)
        assert not files(box, "tmp"), (name, nth)
        assert not [f for f in (worker.mail).glob(".*")], (name, nth)


def test_sync_comes_before_every_answer(worker):
    """One batch of fifty: all renamed, one syncfs, then the answers."""
    worker.start("-e", "trace=renameat2,syncfs,sendmsg,recvmsg")
    box = worker.mail / "u1" / "Maildir"
    worker.deliver(box, number=1000)
    with standing_still(children(worker.process.pid)[:1]):
        replies = [worker.post(box, number=i) for i in range(50)]
        before = len(worker.trace.read_text().splitlines())
    assert all(worker.answer(r)[0] == "K" for r in replies)
    lines = [re.match(r"\d+ +(\w+)\(", x) for x in worker.trace.read_text().splitlines()[before:]]
    calls = [m[1] for m in lines if m and m[1] != "recvmsg"]
    # the one that was blocked in recvmsg may have taken the first few as a batch of their own
    assert calls.count("renameat2") == 50 and calls.count("syncfs") <= 3
    unsynced = 0
    for c in calls:
        unsynced = unsynced + 1 if c == "renameat2" else 0 if c == "syncfs" else unsynced
        assert not (c == "sendmsg" and unsynced), calls


@pytest.mark.parametrize("inject, code, words", [
    ("syncfs:error=EIO", "4.3.0", "could not be synced: Input/output error"),
    ("writev:error=ENOSPC", "4.3.1", "/tmp: No space left on device"),
    ("writev:error=EDQUOT", "4.2.2", "/tmp: Disk quota exceeded"),
    ("writev:error=EIO", "4.3.0", "/tmp: Input/output error"),
    ("renameat2:error=EIO", "4.3.0", "/new: Input/output error"),
    ("mkdirat:error=EROFS", "4.3.5", "Read-only file system"),
    ("openat2:error=EMFILE", "4.3.0", "Too many open files"),
])
def test_failing_calls(worker, inject, code, words):
    """What fails is deferred with path and reason, leaves no file, and goes well when repeated."""
    box = worker.mail / "u1" / "Maildir"
    worker.start("-e", "trace=" + inject.split(":")[0], "-e", f"inject={inject}:{HARMLESS}")
    got = worker.deliver(box)
    assert got[:2] == ("Z", code) and words in got[2], got
    assert not files(box, "tmp", "new")
    if inject.startswith("syncfs"):
        assert " local-unsynced deliveries=1 " in worker.log.read_text()
    else:
        assert str(worker.mail) in got[2]
    worker.stop()
    worker.start()
    assert worker.deliver(box)[0] == "K"
    assert [f.read_bytes() for f in files(box)] == [FILE]


def test_rename_without_noreplace(worker):
    """File systems without RENAME_NOREPLACE get link and unlink."""
    box = worker.mail / "u1" / "Maildir"
    worker.start("-e", "trace=renameat2", "-e", f"inject=renameat2:error=EINVAL:{HARMLESS}")
    assert worker.deliver(box)[0] == "K"
    assert worker.deliver(box)[0] == "K"
    assert [f.read_bytes() for f in files(box)] == [FILE] and not files(box, "tmp")


def test_stops_when_told(worker):
    worker.start()
    worker.process.terminate()
    assert worker.process.wait(60) == 0


@pytest.mark.skipif(not ROOT, reason="only root can deliver as other users")
def test_as_users(worker, folder):
    """A user's Maildir in the mail folder and in a home; a link of the user's own into another place is followed with his rights alone."""
    uid, gid = 54322, 54322
    worker.start()
    box = worker.mail / "p" / "Maildir"
    assert worker.deliver(box, uid=uid)[0] == "K"
    assert files(box)[0].stat().st_uid == uid and (worker.mail / "p").stat().st_uid == uid
    home = folder / "home" / "p"
    home.mkdir(parents=True)
    assert worker.deliver(home / "Maildir", uid=uid)[:2] == ("Z", "4.3.5")
    os.chown(home, uid, gid)
    assert worker.deliver(home / "Maildir", uid=uid)[0] == "K"
    secret = folder / "secret"
    secret.mkdir(mode=0o700)
    os.symlink(secret, home / "link")
    os.chown(home / "link", uid, gid, follow_symlinks=False)
    got = worker.deliver(home / "link" / "Maildir", uid=uid)
    assert got[0] == "Z" and "Permission denied" in got[2] or "missing" in got[2]
    assert not list(secret.iterdir())
    assert worker.deliver(home / "Maildir", uid=0)[:2] == ("Z", "4.3.5")


def test_mailroots(worker, folder):
    """With control/mailroots, deliveries go nowhere else: told in plain words, and held by the kernel where a link leads out."""
    inside, outside = folder / "inside", folder / "outside"
    for d in (inside, outside):
        d.mkdir()
        d.chmod(0o1777)
    worker.start(control=("mailroots", f"{inside}/\n"))
    assert worker.deliver(inside / "u" / "Maildir")[0] == "K"
    assert worker.deliver(worker.mail / "u" / "Maildir")[0] == "K"
    got = worker.deliver(outside / "u" / "Maildir")
    assert got[:2] == ("Z", "4.3.5") and "is not below a folder of control/mailroots" in got[2]
    (inside / "link").symlink_to(outside)
    got = worker.deliver(inside / "link" / "u" / "Maildir")
    assert got[:2] == ("Z", "4.3.5") and ("Permission denied" in got[2] or "may not make it" in got[2])
    assert not list(outside.iterdir())


@pytest.mark.skipif(not ROOT, reason="only root can deliver as other users")
def test_the_user_cannot_reach_the_worker(worker):
    """While the worker writes as the user, the user may neither signal nor trace it."""
    uid = 54322
    worker.start()
    assert worker.deliver(worker.mail / "p" / "Maildir", uid=uid)[0] == "K"

    def become():
        os.setgroups([])
        os.setresgid(uid, uid, uid)
        os.setresuid(uid, uid, uid)
    kill = subprocess.run(["/bin/kill", "-KILL", str(worker.process.pid)], preexec_fn=become, capture_output=True, text=True)
    assert kill.returncode != 0 and worker.process.poll() is None


def test_through_the_suite(suite):
    """mailMessageStore, mailSizeMax, quota and uid of the directory, with real mail."""
    store = suite.folder / "store"
    store.mkdir(mode=0o777)
    store.chmod(0o1777)
    extra = f"""
dn: uid=stored,ou=people,dc=campus,dc=test
objectClass: qmailUser
cn: s
sn: s
uid: stored
mail: stored@campus.test
mailMessageStore: {store}/stored/Maildir/

dn: uid=full,ou=people,dc=campus,dc=test
objectClass: qmailUser
cn: s
sn: s
uid: full
mail: full@campus.test
mailQuotaSize: 100
"""
    suite.control("directory.ldif", (suite.ctl / "directory.ldif").read_text() + extra)
    suite.start()
    code, text = suite.send("a@far.test", ["stored@campus.test"], b"Subject: x\r\n\r\nhello\r\n")
    assert code == 250, text
    found = wait_for(lambda: files(store / "stored" / "Maildir"), 20, "no mail in mailMessageStore")
    assert found[0].read_bytes().startswith(b"Return-Path: <a@far.test>\nDelivered-To: stored@campus.test\n")
    code, text = suite.send("u2@campus.test", ["full@campus.test"], b"Subject: x\r\n\r\n" + b"x" * 200 + b"\r\n")
    assert code == 250, text
    bounce = suite.wait_mail("u2")[0]
    assert b"5.2.2" in bounce and b"the mailbox is full" in bounce
