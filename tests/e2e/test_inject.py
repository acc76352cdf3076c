"""Mail of local users: sendmail, qmail-queue, qmail-inject and mailq as cron, s-nail, mutt and scripts call them, without any right of their own."""
import email
import email.policy
import os
import pwd
import re
import shutil
import signal
import socket
import subprocess
import time

import pytest

from conftest import BIN, free_port, wait_for
from processes import kill, standing_still

NOBODY = pwd.getpwnam("nobody").pw_uid
AS_NOBODY = ["setpriv", "--reuid", "nobody", "--regid", "nogroup", "--clear-groups"] if os.geteuid() == 0 else []


@pytest.fixture
def line(suite):
    return suite.start()


def run(suite, *args, message=b"", fds=None, env=None, user=True):
    """A front end as user nobody; the completed process."""
    full = {"PATH": os.environ["PATH"], "POSTERN_STATE": str(suite.state), **(env or {})}
    return subprocess.run([*(AS_NOBODY if user else []), str(BIN / args[0]), *args[1:]], input=message, capture_output=True, env=full, timeout=60)


def parsed(message):
    return email.message_from_bytes(message, policy=email.policy.default)


def queue(suite, message, envelope):
    """qmail-queue: MESSAGE on descriptor 0, ENVELOPE on 1; the exit code."""
    files = []
    for name, content in (("message", message), ("envelope", envelope)):
        (suite.folder / name).write_bytes(content)
        files.append(open(suite.folder / name, "rb"))
    p = subprocess.run([*AS_NOBODY, str(BIN / "qmail-queue")], stdin=files[0], stdout=files[1], stderr=subprocess.PIPE,
                       env={"POSTERN_STATE": str(suite.state)}, timeout=60)
    for f in files:
        f.close()
    return p.returncode


GOOD = b"Fs@far.test\0Tu1@campus.test\0\0"


def test_sendmail_t(line):
    p = run(line, "sendmail", "-t", "-oi", message=b"To: User One <u1@campus.test>\nCc: u2@campus.test\nBcc: u3@campus.test\nSubject: x\n\nbody\n.\nmore\n")
    assert p.returncode == 0, p.stderr
    for user in ("u1", "u2", "u3"):
        mail = line.wait_mail(user)[0]
        m = parsed(mail)
        assert m["Bcc"] is None and b"u3@" not in mail.split(b"\n\n")[0].replace(b"for <u3", b"").replace(b"Delivered-To: u3@", b"")
        assert m["From"].addresses[0].addr_spec == "nobody@campus.test"
        assert m["Date"] and re.fullmatch(r"<[0-9a-z]{13}@mx1\.campus\.test>", m["Message-ID"])
        assert f"from userid {NOBODY if AS_NOBODY else os.geteuid()}" in m["Received"]
        assert mail.endswith(b"body\n.\nmore\n")
    assert len({e["id"] for e in line.events("queue-accepted")}) == 1


def test_cron(suite):
    """As cron calls it; root has no domain."""
    suite.control("directory.ldif", (suite.ctl / "directory.ldif").read_text().replace(
        "mail: u5@campus.test\n", "mail: u5@campus.test\nmailAlternateAddress: root@campus.test\n"))
    suite.start()
    mail = (b"From: root (Cron Daemon)\nTo: root\nSubject: Cron <root@mx1> run-parts\nMIME-Version: 1.0\nContent-Type: text/plain; charset=UTF-8\n"
            b"X-Cron-Env: <SHELL=/bin/sh>\n\noutput\n.\nlast")
    assert run(suite, "sendmail", "-i", "-FCronDaemon", "-odi", "-oem", "root", message=mail, user=False).returncode == 0
    m = parsed(suite.wait_mail("u5")[0])
    assert m["To"] == "root@campus.test" and "root@campus.test" in m["From"]
    assert m.get_content().endswith("output\n.\nlast\n")


def test_dot_ends(line):
    assert run(line, "sendmail", "u1@campus.test", message=b"Subject: dot\r\n\r\none\r\n.\r\ntwo\r\n").returncode == 0
    mail = line.wait_mail("u1")[0]
    assert mail.endswith(b"\n\none\n") and b"\r" not in mail
    assert parsed(mail)["To"] == "undisclosed-recipients:;"


def test_sender_and_name(line):
    p = run(line, "sendmail", "-f", "u7@campus.test", "-F", "Jörg \"X\"", "u1", message=b"Subject: y\n\nx\n")
    assert p.returncode == 0, p.stderr
    m = parsed(line.wait_mail("u1")[0])
    assert m["From"].addresses[0].display_name == 'Jörg "X"' and m["From"].addresses[0].addr_spec == "u7@campus.test"
    assert m["Return-Path"] == "<u7@campus.test>"


@pytest.mark.parametrize("args, message, code, word", [
    (["-bs"], b"", 69, b"127.0.0.1"),
    (["-bd"], b"", 64, b"not done here"),
    (["-Z"], b"", 64, b"no option"),
    ([], b"x\n", 64, b"no recipient"),
    (["-t"], b"Subject: x\n\nx\n", 65, b"no recipient"),
    (["-t"], b"To: broken <u1@campus.test\n\nx\n", 65, b"address"),
    (["u1@campus.test,,@x"], b"x\n", 65, b"@"),
    (["-f", "a@b c@d", "u1"], b"x\n", 64, b"sender"),
    (["x..y@campus.test"], b"x\n", 65, b""),
    (["u1@campus.test"], b"Subject: a\rb\n\nx\n", 65, b"CR without LF"),
    (["u1@campus.test"], b"Subject: a\n\nx\0y\n", 65, b"NUL"),
    (["-q"], b"", 0, b""),
])
def test_sendmail_refuses(line, args, message, code, word):
    p = run(line, "sendmail", *args, message=message)
    assert (p.returncode, word in p.stderr) == (code, True), p
    assert line.events("queue-accepted") == []


@pytest.mark.parametrize("name, message, envelope, code", [
    ("taken", b"Subject: q\n\nas it is", GOOD, 0),
    ("null sender", b"Subject: q\n\nas it is", b"F\0Tu1@campus.test\0\0", 0),
    ("double bounce", b"Subject: q\n\nas it is", b"F#@[]\0Tu1@campus.test\0\0", 0),
    ("empty envelope", b"x\n", b"", 91),
    ("not ended", b"x\n", GOOD[:-1], 91),
    ("something after the end", b"x\n", GOOD + b"x", 91),
    ("no recipient", b"x\n", b"Fs@far.test\0\0", 91),
    ("recipient first", b"x\n", b"Tu1@campus.test\0\0", 91),
    ("address too long", b"x\n", b"F\0T" + b"x" * 400 + b"@campus.test\0\0", 11),
    ("no address", b"x\n", b"Fs@far.test\0Tu1@@campus.test\0\0", 31),
    ("one of two is none", b"x\n", b"Fs@far.test\0Tu1@campus.test\0Ta b@campus.test\0\0", 31),
    ("bare CR", b"x\ry\n", GOOD, 31),
    ("loop", b"Received: x\n" * 51 + b"\nx\n", GOOD, 31),
])
def test_qmail_queue(line, name, message, envelope, code):
    assert queue(line, message, envelope) == code
    if code:
        assert line.events("queue-accepted") == []
    else:
        assert line.wait_mail("u1")[0].endswith(b"\n\nas it is\n")


def test_qmail_queue_too_large(suite):
    suite.control("databytes", "100000")
    suite.start()
    assert queue(suite, b"\n" + b"x" * 100000, GOOD) == 31
    assert queue(suite, b"\n" + b"x" * 99000, GOOD) == 0


def test_qmail_queue_many(line):
    many = b"Fs@far.test\0" + b"".join(b"Tu%d@campus.test\0" % i for i in range(1, 51)) * 300 + b"\0"
    assert queue(line, b"\nx\n", many) == 0
    assert line.wait_event("queue-accepted")[0]["rcpts"] == "15000"
    assert queue(line, b"\nx\n", b"F\0" + b"Tu1@campus.test\0" * 20001 + b"\0") == 11


def test_down(suite):
    """Nobody answers: temporary for all."""
    assert queue(suite, b"\nx\n", GOOD) == 73
    p = run(suite, "sendmail", "u1", message=b"x\n")
    assert p.returncode == 75 and b"is the mail suite running?" in p.stderr
    assert run(suite, "qmail-inject", "u1", message=b"\nx\n").returncode == 111


def test_unreadable(line):
    folder = os.open("/", os.O_RDONLY)
    p = subprocess.run([str(BIN / "qmail-queue")], stdin=folder, stdout=subprocess.DEVNULL, env={"POSTERN_STATE": str(line.state)}, timeout=60)
    os.close(folder)
    assert p.returncode == 54


@pytest.mark.skipif(os.geteuid() != 0, reason="stops programs of other users")
def test_queue_dies(line):
    """The queue hangs with the message in hand, postern-inject dies meanwhile: 74, and nothing is kept."""
    (line.folder / "message").write_bytes(b"\nx\n")
    (line.folder / "envelope").write_bytes(GOOD)
    with standing_still(line.pids("queue")):
        p = subprocess.Popen([str(BIN / "qmail-queue")], stdin=open(line.folder / "message"), stdout=open(line.folder / "envelope"),
                             env={"POSTERN_STATE": str(line.state)})
        line.wait_event("inject-handed")
        kill(line.pids("inject"))
        assert p.wait(30) == 74
    line.wait_event("queue-abandoned")
    assert wait_for(lambda: queue(line, b"\nx\n", GOOD) == 0)
    assert len(line.wait_mail("u1")) == 1


def test_qmail_inject(line):
    env = {"QMAILUSER": "u8", "QMAILHOST": "campus.test", "QMAILNAME": "User Eight"}
    assert run(line, "qmail-inject", message=b"To: u1\nSubject: i\n\nx\n", env=env).returncode == 0
    m = parsed(line.wait_mail("u1")[0])
    assert str(m["From"]) in ('"User Eight" <u8@campus.test>', "User Eight <u8@campus.test>")
    assert m["To"] == "u1@campus.test" and m["Return-Path"] == "<u8@campus.test>"
    assert run(line, "qmail-inject", "-a", "-f", "", "u2", message=b"To: u1\nSubject: i\n\nx\n", env=env).returncode == 0
    assert parsed(line.wait_mail("u2")[0])["Return-Path"] == "<>"
    assert len(line.mails("u1")) == 1


def test_qmail_inject_n(line):
    p = run(line, "qmail-inject", "-n", message=b"To: u1@host\nBcc: u2\n\nx\n", env={"QMAILINJECT": "fi"})
    assert p.returncode == 0 and b"To: u1@host.mx1.campus.test\n" in p.stdout and b"u2" not in p.stdout and p.stdout.endswith(b"\n\nx\n")
    assert line.events("inject-handed") == []


@pytest.mark.parametrize("args, env", [(["-M", "u1"], {}), (["u1"], {"QMAILINJECT": "m"}), (["u1"], {"QMAILMFTFILE": "/x"}), (["-x"], {}), ([], {})])
def test_qmail_inject_refuses(line, args, env):
    assert run(line, "qmail-inject", *args, message=b"Subject: x\n\nx\n", env=env).returncode == 100


def test_mailq(line):
    for name, args in (("mailq", []), ("sendmail", ["-bp"])):
        p = run(line, name, *args, user=False)
        assert p.returncode == 0, p.stderr
        if AS_NOBODY: # the queue is not everybody's to read
            assert run(line, name, *args).returncode not in (0, 70)


def test_qstat_and_qread(suite):
    """Octet for octet as qmail prints them."""
    suite.control("rcpthosts", "far.test")
    suite.control("smtproutes", f"far.test:127.0.0.1:{free_port()}")  # where nothing listens
    line = suite.start()

    def out(name):
        p = run(line, name, user=False)
        assert p.returncode == 0, p.stderr
        return p.stdout
    before = out("qmail-qread")
    assert re.fullmatch(rb"messages in queue: \d+\nmessages in queue but not yet preprocessed: \d+\n", out("qmail-qstat"))
    held = line.json("queue", "list")
    code, text = line.send("far@far.test", ["u1@campus.test", "waits@far.test"], b"Subject: x\r\n\r\nhello\r\n")
    assert code == 250
    id = text.split()[-1]
    wait_for(lambda: [m for m in line.json("queue", "list", f"id={id}") if m["attempts"] == 1 and m["state"] == "waiting"])
    m = line.json("queue", "show", id)
    t = time.gmtime(m["time"])
    stamp = time.strftime(f"{t.tm_mday} %b %Y %H:%M:%S GMT", t)
    want = f"{stamp}  #{id}  {m['size']}  <far@far.test> \n  done\tlocal\tu1@campus.test\n\tremote\twaits@far.test\n"
    assert out("qmail-qread").replace(before, b"", 1).decode() == want
    os.kill(line.pids("queue")[0], signal.SIGKILL)  # what was known of the way is gone with it
    wait_for(lambda: run(line, "qmail-qread", user=False).returncode == 0)
    assert out("qmail-qread").replace(before, b"", 1).decode() == want
    assert out("qmail-qstat").startswith(b"messages in queue: %d\n" % (len(held) + 1))
    line.postern("queue", "delete", id, check=0)
    with standing_still(line.pids("route")):  # nobody says where it goes
        code, text = line.send("far@far.test", ["u2@campus.test", "waits@far.test"], b"Subject: x\r\n\r\nhello\r\n")
        assert out("qmail-qread").endswith(b"\n\tlocal\tu2@campus.test\n\tremote\twaits@far.test\n")
    line.postern("queue", "delete", text.split()[-1], check=0)
    if AS_NOBODY:  # the queue is not everybody's to read
        assert run(line, "qmail-qread").returncode == 111
    p = subprocess.run([str(BIN / "qmail-qstat")], capture_output=True, env={"POSTERN_STATE": "/nonexistent"})
    assert p.returncode == 111 and p.stderr


def test_hostile_callers(line):
    """What is no request ends that connection; silence ends after 5 seconds; others are served meanwhile."""
    path = str(line.state / "run/inject.sock")
    quiet = []
    for text in (b"x", b"send", b"x" * 5000, b"names\0"):
        with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as s:
            s.connect(path)
            s.send(text)
            s.settimeout(60)
            answer = s.recv(1000)
            assert answer == b"" or answer.startswith(b"554 5.5.2 "), answer
    for _ in range(5):
        s = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        s.connect(path)
        quiet.append(s)
    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as s: # descriptors that are no sealed memfds
        s.connect(path)
        with open("/etc/passwd") as f:
            socket.send_fds(s, [b"send"], [f.fileno(), f.fileno()])
        assert s.recv(1000).startswith(b"554 5.5.2 ")
    assert queue(line, b"Subject: ok\n\nx\n", GOOD) == 0
    for s in quiet:
        s.settimeout(60)
        assert s.recv(10) == b""
    assert line.events("died") == []
    assert line.postern("privileges").returncode == 0


@pytest.mark.skipif(not shutil.which("s-nail"), reason="s-nail is not installed")
def test_s_nail(line):
    p = subprocess.run(["s-nail", "-n", "-S", "v15-compat", "-S", f"mta={BIN / 'sendmail'}", "-s", "from s-nail", "-b", "u3@campus.test", "u1@campus.test"],
                       input=b"hello\n.\nend\n", capture_output=True, timeout=60,
                       env={"PATH": os.environ["PATH"], "HOME": str(line.folder), "POSTERN_STATE": str(line.state)})
    assert p.returncode == 0, p.stderr
    assert parsed(line.wait_mail("u1")[0])["Subject"] == "from s-nail"
    assert parsed(line.wait_mail("u3")[0])["Bcc"] is None


@pytest.mark.skipif(not shutil.which("mutt"), reason="mutt is not installed")
def test_mutt(line):
    (line.folder / "muttrc").write_text(f"set sendmail='{BIN}/sendmail -oem -oi'\nset copy=no\nset folder={line.folder}\n")
    p = subprocess.run(["mutt", "-F", str(line.folder / "muttrc"), "-s", "from mutt", "-b", "u3@campus.test", "u1@campus.test"], input=b"hello\n.\nend\n",
                       capture_output=True, timeout=60, env={"PATH": os.environ["PATH"], "HOME": str(line.folder), "POSTERN_STATE": str(line.state)})
    assert p.returncode == 0, p.stderr
    assert line.wait_mail("u1")[0].endswith(b"hello\n.\nend\n")
    assert parsed(line.wait_mail("u3")[0])["Bcc"] is None
