"""The queue in the whole suite: bounces that mail programs understand, waiting, retries, holds, kills, a full disk."""
import email
import email.policy
import math
import os
import signal
import smtplib
import subprocess
import time

import pytest

from conftest import LDIF, free_port, wait_for

MESSAGE = b"From: u1@campus.test\r\nTo: x@campus.test\r\nSubject: =?utf-8?q?gr=C3=BC=C3=9Fe?=\r\nMessage-ID: <q1@campus.test>\r\n\r\nthe body\r\n"
EXTRA = """
dn: uid=small,ou=people,dc=campus,dc=test
objectClass: qmailUser
uid: small
mail: small@campus.test
mailSizeMax: 2000

dn: uid=away,ou=people,dc=campus,dc=test
objectClass: qmailUser
uid: away
mail: away@campus.test
mailHost: store2.campus.test
"""


@pytest.fixture
def queue(suite):
    suite.control("directory.ldif", LDIF + EXTRA)
    suite.control("doublebouncehost", "campus.test")
    suite.control("qmqproutes", f"store2.campus.test:127.0.0.1:{free_port()}")  # where nothing listens; a name server could take long
    return suite


def sent(suite, code):
    """A message is answered with CODE now; a session that a reload ends counts as not yet."""
    try:
        return suite.send("far@far.test", "u1@campus.test", MESSAGE)[0] == code
    except (smtplib.SMTPException, OSError):
        return False


def listed(suite):
    return suite.json("queue", "list")


def parsed(mail):
    m = email.message_from_bytes(mail, policy=email.policy.default)
    assert not m.defects, m.defects
    return m


def check_report(mail, rcpt, status):
    m = parsed(mail)
    assert m.get_content_type() == "multipart/report" and m.get_param("report-type") == "delivery-status"
    assert m["Return-Path"] == "<>" and m["Auto-Submitted"] == "auto-replied" and m["From"].startswith("Mail delivery <MAILER-DAEMON@")
    text, report, original = list(m.iter_parts())
    assert text.get_content_type() == "text/plain" and rcpt in text.get_content()
    assert report.get_content_type() == "message/delivery-status"
    of_message, *of_rcpts = report.get_payload()
    assert of_message["Reporting-MTA"] == "dns; mx1.campus.test" and of_message["Arrival-Date"]
    assert len(of_rcpts) == 1
    assert of_rcpts[0]["Final-Recipient"] == f"rfc822; {rcpt}"
    assert of_rcpts[0]["Action"] == "failed" and of_rcpts[0]["Status"] == status and of_rcpts[0]["Diagnostic-Code"]
    assert original.get_content_type() == "text/rfc822-headers" and "Message-ID: <q1@campus.test>" in original.get_payload()
    return m


def test_bounce(queue):
    """One delivered, one too large: the sender gets one report on the one, and the message is done."""
    queue.start()
    code, text = queue.send("u1@campus.test", ["u2@campus.test", "small@campus.test"], MESSAGE + b"x" * 70 + b"\r\n" + b"y" * 4000 + b"\r\n")
    assert code == 250
    id = text.split()[-1]
    queue.wait_mail("u2")
    check_report(queue.wait_mail("u1")[0], "small@campus.test", "5.2.3")
    wait_for(lambda: listed(queue) == [])
    assert len(queue.mails("u1")) == 1 and len(queue.mails("u2")) == 1
    assert queue.events("queue-bounced", id) and queue.events("queue-failed", id)[0]["rcpt"] == "small@campus.test"


def test_no_bounce_for_the_null_sender(queue):
    """Its failure goes to the postmaster, once."""
    queue.start()
    assert queue.send("", "small@campus.test", MESSAGE + b"y" * 4000 + b"\r\n")[0] == 250
    m = parsed(queue.wait_mail("u1")[0])
    assert m["To"] == "postmaster@campus.test" and "bounce" in m["Subject"]
    wait_for(lambda: listed(queue) == [])
    assert len(queue.mails("u1")) == 1


def test_waits_and_is_steered(queue):
    queue.start()
    code, text = queue.send("far@far.test", "away@campus.test", MESSAGE)
    assert code == 250
    id = text.split()[-1]
    wait_for(lambda: listed(queue) and listed(queue)[0]["recipients"][0].get("reason"))
    m = listed(queue)[0]
    assert m["id"] == id and m["sender"] == "far@far.test" and m["attempts"] == 1 and m["state"] == "waiting"
    assert m["recipients"][0]["address"] == "away@campus.test"
    assert m["recipients"][0]["reason"].startswith("store2.campus.test does not answer by QMQP")
    # qmail's curve, by its age at the attempt: 400 s after it came if that was at once, a sixteenth later at most
    curve = [(math.isqrt(age) + 20) ** 2 for age in range(int(time.time() - m["time"]) + 2)]
    assert any(seconds - 20 <= m["next"] - m["time"] <= seconds + 30 for seconds in curve), (m, curve)
    queue.postern("queue", "retry", id, check=0)
    wait_for(lambda: listed(queue)[0]["attempts"] == 2)
    queue.postern("queue", "hold", id, check=0)
    assert listed(queue)[0]["state"] == "held" and listed(queue)[0]["hold"] == "held by the operator"
    for pid in queue.pids("queue"):
        os.kill(pid, signal.SIGKILL)
    wait_for(lambda: queue.postern("queue", "list", "--json").returncode == 0)
    assert listed(queue)[0]["hold"] == "held by the operator" and listed(queue)[0]["attempts"] == 2
    queue.postern("queue", "release", id, check=0)
    wait_for(lambda: listed(queue)[0]["attempts"] == 3)
    assert "Message-ID: <q1@campus.test>" in queue.postern("queue", "show", id, check=0).stdout
    # by sender, and not what another one sent
    queue.postern("queue", "hold", "sender=other@far.test", "because=phished", check=0)
    assert listed(queue)[0]["state"] == "waiting"
    queue.postern("queue", "hold", "sender=FAR@far.test", "because=phished", check=0)
    assert listed(queue)[0]["hold"] == "phished"
    queue.postern("queue", "release", "hold=phished", check=0)
    assert listed(queue)[0]["state"] != "held"
    assert queue.json("queue", "delete", "all", "--dry-run") == {"action": "delete", "messages": 1, "matched": 1, "dry_run": True} and len(listed(queue)) == 1
    queue.postern("queue", "delete", id, check=0)
    wait_for(lambda: listed(queue) == [])
    queue.postern("queue", "delete", id, check=1)


def test_restart_keeps_what_waits(queue):
    queue.start()
    ids = {queue.send("far@far.test", ["away@campus.test", f"u{i}@campus.test"], MESSAGE)[1].split()[-1] for i in range(1, 11)}
    for i in range(1, 11):
        queue.wait_mail(f"u{i}")
    wait_for(lambda: all(m["attempts"] == 1 and m["state"] == "waiting" for m in listed(queue)))
    assert queue.stop() == 0
    queue.start()
    assert {m["id"] for m in listed(queue)} == ids
    assert all(m["waiting"] == 1 and m["attempts"] == 1 for m in listed(queue))
    assert queue.events("queue-recovered")[-1]["clean"] == "1" and queue.events("queue-recovered")[-1]["damaged"] == "0"
    assert all(len(queue.mails(f"u{i}")) == 1 for i in range(1, 11))


def test_reload_in_place(queue):
    """A new setting counts without a restart, and what is in the queue stays."""
    queue.start()
    queue.send("far@far.test", "away@campus.test", MESSAGE)
    wait_for(lambda: listed(queue) and listed(queue)[0]["attempts"] == 1)
    pid = queue.pids("queue")
    queue.control("queuereserve", str(1 << 40))
    queue.reload()
    wait_for(lambda: sent(queue, 452), 20, "no 452 after the reload")
    queue.control("queuereserve", None)
    queue.reload()
    wait_for(lambda: sent(queue, 250), 20, "no 250 after the reload")
    assert queue.pids("queue") == pid and len(listed(queue)) >= 1


def test_killed_between_route_and_agent(queue):
    """Whatever dies, a message to one recipient arrives once."""
    queue.start()
    for i in range(30):
        name = ("queue", "route", "local")[i % 3]
        assert queue.send("far@far.test", "u7@campus.test", MESSAGE)[0] == 250
        for pid in queue.pids(name):
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                pass
        wait_for(lambda: len(queue.pids(name)) > 0, 20)
        wait_for(lambda: queue.postern("queue", "list", "--json").returncode == 0)
    queue.wait_mail("u7", 30, 60)
    wait_for(lambda: listed(queue) == [], 60)
    assert len(queue.mails("u7")) == 30


@pytest.fixture
def small_disk(queue):
    """The spool on a file system of its own."""
    def mount(options):
        queue.control("queuesegment", "1048576")
        queue.control("queuereserve", "1048576")
        queue.start()
        queue.stop()
        spool = queue.state / "queue"
        st = spool.stat()
        p = subprocess.run(["mount", "-t", "tmpfs", "-o", f"{options},uid={st.st_uid},gid={st.st_gid},mode=0700", "tmpfs", str(spool)], capture_output=True)
        if p.returncode:
            pytest.skip("no right to mount a file system here")
        mounted.append(spool)
    mounted = []
    yield mount
    queue.stop()
    for spool in mounted:
        subprocess.run(["umount", "-l", str(spool)], check=True)


def test_full_disk(queue, small_disk):
    """452 while it is full, deliveries and operators go on, and it recovers without a hand."""
    small_disk("size=8m")
    queue.start()
    codes = []
    for _ in range(60):
        codes.append(queue.send("far@far.test", "away@campus.test", MESSAGE + b"z" * 76 + b"\r\n" + (b"z" * 76 + b"\r\n") * 2600)[0])
        if codes[-1] == 452:
            break
    assert codes[-1] == 452 and codes.count(250) >= 5, codes
    assert queue.send("far@far.test", "u1@campus.test", MESSAGE)[0] in (250, 452)
    kept = [m["id"] for m in listed(queue) if m["sender"] == "far@far.test"]
    assert len([m for m in kept]) >= codes.count(250)
    for m in kept:
        queue.postern("queue", "delete", m, check=0)
    wait_for(lambda: sent(queue, 250), 20, "still full")
    queue.wait_mail("u1")
    assert not queue.events("queue-alarm") and not queue.events("queue-damage")


def test_no_inodes(queue, small_disk):
    small_disk("size=64m,nr_inodes=30")
    queue.start()
    code, text = queue.send("far@far.test", "u1@campus.test", MESSAGE)
    assert code == 452 and text.startswith("4.3.1")
