"""A full disk: the spool on a small file system of its own.  New mail is refused at MAIL with 452 before its body is sent, deliveries and deletions go on with nothing left at
all, and mail is taken again by itself."""
import os
import smtplib
import subprocess

import pytest

from conftest import free_port, wait_for
from processes import at_once
from smtp_server import Scripted

MESSAGE = b"Subject: x\r\n\r\n" + b"y" * 70 + b"\r\n"


def mounted(where, kind, options, source):
    where.mkdir(parents=True, exist_ok=True)
    p = subprocess.run(["mount", "-t", kind, "-o", options, source, str(where)], capture_output=True, text=True)
    if p.returncode:
        pytest.skip("no file system can be mounted here: " + p.stderr)


@pytest.fixture
def small(suite, request):
    """The suite with its spool on the file system that the test names."""
    kind, options = request.param
    spool = suite.state / "queue"
    source = "tmpfs"
    if kind == "ext4":
        source = str(suite.folder / "image")
        with open(source, "wb") as f:
            f.truncate(16 << 20)
        subprocess.run(["mkfs.ext4", "-q", "-N", "160", "-m", "0", source], check=True)
    suite.state.mkdir()
    os.chmod(suite.state, 0o755)
    mounted(spool, kind, options, source)
    suite.control("queuereserve", "2097152")
    suite.control("queuesegment", "1048576")
    suite.far_port = free_port()
    suite.control("rcpthosts", "far.test")
    suite.control("smtproutes", f"far.test:127.0.0.1:{suite.far_port}")
    yield suite.start()
    suite.stop()
    suite.kill()
    subprocess.run(["umount", str(spool)], check=True)


def mail_code(suite):
    s = suite.smtp()
    try:
        s.ehlo()
        return s.mail("a@far.test")[0]
    finally:
        s.close()


def free(suite):
    fs = os.statvfs(suite.state / "queue")
    return fs.f_bavail * fs.f_frsize, fs.f_favail


def fill(suite, leave):
    """Take all space but LEAVE octets."""
    with open(suite.state / "queue" / "filler", "ab", buffering=0) as f:
        while (left := free(suite)[0]) > leave:
            try:
                f.write(b"x" * min(left - leave, 1 << 18))
            except OSError:
                return


SMALL = [("tmpfs", "size=16m"), ("ext4", "loop")]


@pytest.mark.parametrize("small", SMALL, indirect=True, ids=[k for k, _ in SMALL])
def test_full_and_free_again(small):
    code, text = small.send("a@far.test", ["w@far.test", "u1@campus.test"], MESSAGE)
    assert code == 250
    waiting = text.split()[-1]
    code, text = small.send("a@far.test", "x@far.test", MESSAGE)
    assert code == 250
    to_go = text.split()[-1]
    small.wait_mail("u1")
    wait_for(lambda: all(m["attempts"] == 1 and m["state"] == "waiting" for m in small.json("queue", "list")))
    # a session that was there before sees it as well
    open_session = small.smtp()
    open_session.ehlo()
    assert open_session.mail("a@far.test")[0] == 250
    open_session.rset()
    fill(small, 1 << 20)
    wait_for(lambda: mail_code(small) == 452)
    code, text = open_session.mail("a@far.test")
    assert code == 452 and text.startswith(b"4.3.1 ")
    assert small.wait_event("queue-full")
    assert any("full" in p for p in small.json("queue", "status", check=1)["problems"])
    # nothing left at all: results are recorded, also those that survive a kill
    fill(small, 0)
    far = Scripted(port=small.far_port)
    small.postern("queue", "retry", waiting, check=0)
    wait_for(lambda: small.events("queue-done", waiting))
    small.postern("queue", "delete", to_go, check=0)
    assert small.json("queue", "list") == []
    for pid in small.pids("queue"):
        os.kill(pid, 9)
    wait_for(lambda: small.postern("queue", "list", "--json").returncode == 0)
    assert small.json("queue", "list") == []
    assert mail_code(small) == 452
    # by itself
    (small.state / "queue" / "filler").unlink()
    wait_for(lambda: mail_code(small) == 250)
    assert small.send("a@far.test", "u2@campus.test", MESSAGE)[0] == 250
    small.wait_mail("u2")
    assert small.wait_event("queue-space")
    assert len(far.messages) == 1 and len(small.mails("u1")) == 1
    far.close()


FEW = [("tmpfs", "size=64m,nr_inodes=160"), ("ext4", "loop")]


@pytest.mark.parametrize("small", FEW, indirect=True, ids=[k for k, _ in FEW])
def test_inodes(small):
    folder = small.state / "queue" / "many"
    folder.mkdir()
    assert mail_code(small) == 250
    made = 0
    while free(small)[1] >= 100:
        (folder / str(made)).touch()
        made += 1
    assert made > 5 and free(small)[0] > 4 << 20
    wait_for(lambda: mail_code(small) == 452)
    for f in folder.iterdir():
        f.unlink()
    wait_for(lambda: mail_code(small) == 250)


@pytest.mark.parametrize("small", SMALL[:1], indirect=True, ids=["tmpfs"])
def test_flood_into_a_small_disk(small):
    """As much as fits is taken and delivered, all else refused with 452; nothing half, nothing lost."""
    body = b"Subject: x\r\n\r\n" + b"\r\n".join([b"z" * 70] * 7000) + b"\r\n"
    small.control("concurrencylocal", "1")
    taken = refused = 0
    for i in range(60):
        try:
            code, text = small.send("a@far.test", "w@far.test", body)
        except smtplib.SMTPException:
            continue
        assert code in (250, 452), (code, text)
        taken += code == 250
        refused += code == 452
    assert taken >= 5 and refused > 10, (taken, refused)
    assert len(small.json("queue", "list")) == taken
    assert free(small)[0] > 0
    far = Scripted(port=small.far_port)
    small.postern("queue", "retry", "all", check=0)
    wait_for(lambda: small.json("queue", "list") == [], 40)
    assert len(far.messages) == taken
    wait_for(lambda: mail_code(small) == 250)
    far.close()


def test_large_messages_at_once_are_no_full_disk(suite):
    """Each fits, and so do all of them, whatever was counted since the last look at the disk."""
    suite.start()
    body = MESSAGE + b"".join([b"z" * 998 + b"\r\n"] * 45000) + b".\r\n"
    clients = [suite.smtp() for _ in range(3)]
    for s in clients:
        s.ehlo()
        assert s.mail("a@far.test")[0] == 250 and s.rcpt("u1@campus.test")[0] == 250 and s.docmd("DATA")[0] == 354
    at_once(lambda s: s.send(body), clients)
    assert [s.getreply()[0] for s in clients] == [250] * 3
    for s in clients:
        s.close()
