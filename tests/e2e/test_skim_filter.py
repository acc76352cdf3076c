"""postern-skim as QMAILQUEUE in an existing qmail: descriptors, exit codes, the environment that qmail-smtpd gives, and a history that processes share."""
import json
import os
import random
import stat
import subprocess
import threading

import pytest

from alone import BIN
from processes import at_once
from skim_alone import CONF, mmdb  # noqa: F401 (fixture)

QUEUE = """#!/bin/sh
cat >"$FOUND/message.$$" && cat <&1 >"$FOUND/envelope.$$" && env >"$FOUND/environment" && mv "$FOUND/message.$$" "$FOUND/message" && mv "$FOUND/envelope.$$" "$FOUND/envelope"
exit ${QUEUEEXIT:-0}
"""
MESSAGE = b"Received: (qmail 1 invoked); 1 Jan\nFrom: anna@campus.test\nSubject: hello\n\nhello\n"


@pytest.fixture
def qmail(tmp_path, mmdb):
    """Hands a message to qmail-skim as qmail-smtpd does; the exit code.  .found: what the queue behind it got."""
    control, state, queue, found = (tmp_path / n for n in ("control", "state", "qmail-queue", "found"))
    for d in (control, state, found):
        d.mkdir()
    (control / "me").write_text("mx.campus.test\n")
    (control / "locals").write_text("campus.test\n")
    (control / "geoip.mmdb").write_bytes(mmdb)
    (tmp_path / "conf").write_text(CONF)
    queue.write_text(QUEUE)
    queue.chmod(0o755)
    base = {"PATH": os.environ["PATH"], "QMAILSKIMCONF": str(tmp_path / "conf"), "QMAILSKIMCONTROL": str(control), "QMAILSKIMSTATE": str(state),
            "QMAILSKIMQUEUE": str(queue), "FOUND": str(found), "QMAILQUEUE": str(BIN / "qmail-skim"), "RELAYCLIENT": ""}

    class Qmail:
        env = base
        folder = tmp_path

        def send(self, user="anna", ip="10.3.0.1", message=MESSAGE, envelope=None, rcpts=("b@far.test",), sender=None, program=("qmail-skim",), **env):
            e = {**base, "TCPREMOTEIP": ip, **env}
            if user:
                e.setdefault("SMTP_AUTH_USER", user)
            if envelope is None:
                envelope = b"F" + (sender or f"{user}@campus.test").encode() + b"\0" + b"".join(b"T" + r.encode() + b"\0" for r in rcpts) + b"\0"
            read, write = os.pipe()
            for f in found.iterdir():
                f.unlink()

            def feed():
                with os.fdopen(write, "wb") as f:
                    f.write(envelope)
            t = threading.Thread(target=feed)
            t.start()
            r = subprocess.run([str(BIN / program[0]), *program[1:]], input=message, stdout=read, stderr=subprocess.PIPE, env=e, timeout=60)
            os.close(read)
            t.join()
            self.err = r.stderr.decode()
            self.got = (found / "message").read_bytes() if (found / "message").exists() else None
            self.got_envelope = (found / "envelope").read_bytes() if (found / "envelope").exists() else None
            return r.returncode

        def desk(self, *args, code=0):
            r = subprocess.run([str(BIN / "qmail-skim"), *args], env=base, capture_output=True, text=True, timeout=60)
            assert r.returncode == code, (r.returncode, r.stderr)
            return [json.loads(x) for x in r.stdout.splitlines()] if args[:1] == ("list",) else r.stderr
    return Qmail()


def test_passes_octet_by_octet(qmail):
    random.seed(1)
    for message in (MESSAGE, b"", b"no header end", bytes(random.randrange(256) for _ in range(300000)), MESSAGE + b"x" * 3000000):
        assert qmail.send(message=message) == 0
        assert qmail.got == message and qmail.got_envelope == b"Fanna@campus.test\0Tb@far.test\0\0"
    assert "QMAILQUEUE=" not in (qmail.folder / "found/environment").read_text(), "it would run itself"
    assert qmail.send(program=("postern-skim", "--filter")) == 0


def test_exit_code_is_the_queues(qmail):
    for code in (0, 31, 53, 81):
        assert qmail.send(QUEUEEXIT=str(code)) == code
    assert qmail.send(QMAILSKIMQUEUE="/nonexistent") == 120


def test_history_is_shared_and_stops(qmail):
    assert qmail.send(ip="10.3.0.1") == 0
    assert qmail.send(ip="10.4.0.1") == 71 and qmail.got is None
    assert " skim " in qmail.err and "user=anna" in qmail.err and "phishhook" in qmail.err
    one, = qmail.desk("list")
    assert (one["user"], one["state"]) == ("anna", "stopped") and sorted(one) == ["code", "rules", "score", "since", "state", "user", "why"]
    assert qmail.send("bert", ip="10.4.0.1", message=MESSAGE.replace(b"anna", b"bert")) == 0, "others go on"
    qmail.desk("clear", "anna")
    assert qmail.desk("list") == [] and qmail.send(ip="10.4.0.1") == 0
    assert qmail.send(ip="10.3.0.1") == 0


def test_locked_is_never(qmail):
    qmail.desk("lock", "anna", "stolen")
    assert qmail.send() == 31 and qmail.send(program=("postern-skim", "--filter")) == 31
    qmail.desk("clear", "anna", code=1)
    qmail.desk("restore", "anna")
    assert qmail.send() == 0
    assert qmail.desk("list")[0]["state"] == "recovering"
    qmail.desk("flag", "anna", "a\nb", code=100)
    qmail.desk("dance", code=100)
    qmail.desk("travel", "anna", "AU", "2099-01-01")
    assert qmail.send(ip="10.4.0.1") == 0


def test_limits_count_over_processes(qmail):
    (qmail.folder / "conf").write_text(CONF.replace("maxrcptto=50", "maxrcptto=5000"))
    assert [qmail.send(rcpts=[f"r{i}@far.test" for i in range(60)]) for _ in range(2)] == [0, 71], "phishlimit: 120 recipients within a minute"


def test_many_at_once_lose_no_count(qmail):
    """Twenty processes at the same time, each one message of six recipients: all are counted."""
    def one(n):
        r, w = os.pipe()
        os.write(w, b"Fanna@campus.test\0" + b"".join(b"Tx%d-%d@far.test\0" % (n, i) for i in range(6)) + b"\0")
        os.close(w)
        subprocess.run([str(BIN / "qmail-skim")], input=MESSAGE, stdout=r, stderr=subprocess.DEVNULL,
                       env={**qmail.env, "SMTP_AUTH_USER": "anna", "TCPREMOTEIP": "10.3.0.1"}, timeout=60)
        os.close(r)
    at_once(one, range(20))
    one, = qmail.desk("list")
    assert "phishlimit" in one["why"] or one["state"] in ("held", "stopped"), one
    import sqlite3
    db = sqlite3.connect(qmail.folder / "state/history.db")
    assert db.execute("select count(*) from user where name = x'616e6e61'").fetchone() == (1,)


def test_who_is_the_user(qmail):
    qmail.desk("lock", "anna", "x")
    assert qmail.send(None, sender="anna@campus.test") == 0, "nobody logged in"
    assert qmail.send(None, sender="anna@campus.test", TCPREMOTEINFO="anna") == 31, "TCPREMOTEINFO, as the client may relay"
    del qmail.env["RELAYCLIENT"]
    assert qmail.send(None, sender="anna@campus.test", TCPREMOTEINFO="anna") == 0, "ident proves nothing"
    assert qmail.send("anna") == 31


def test_fails_open(qmail):
    qmail.desk("lock", "anna", "x")
    assert qmail.send() == 31
    assert qmail.send(QMAILSKIMSTATE="/nonexistent") == 0 and "error=" in qmail.err
    assert qmail.send(QMAILSKIMCONF="/nonexistent") == 0 and "no configuration" in qmail.err
    (qmail.folder / "conf").write_text("[nonsense]\nx=1\n")
    assert qmail.send() == 0 and "error=" in qmail.err
    (qmail.folder / "conf").write_text(CONF)
    for envelope in (b"", b"garbage", b"Fanna@campus.test\0Tb@far.test\0"):
        assert qmail.send(envelope=envelope) == 0 and qmail.got_envelope == envelope, "what makes no sense is the queue's to refuse"
    (qmail.folder / "state/history.db").write_bytes(b"no database" * 100)
    assert qmail.send() == 0 and "error=" in qmail.err
    assert stat.S_IMODE((qmail.folder / "state/history.db").stat().st_mode) & 0o022 == 0
