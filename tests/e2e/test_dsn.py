"""Delivery status notifications, through the real suite, read back with Python's email module: who is told what of which fate (RFC 3461, 3464), delays, backscatter, rates,
double bounces, VERP.  One suite serves the table; those that change control files have one of their own."""
import email
import email.policy
import email.utils
import subprocess
import time

import pytest

from conftest import BIN, LDIF, Suite, ended, free_port, temporary_folder, wait_for
from slapd import group, person
from smtp_server import Scripted

EXTRA = "\n" + person("small", "mailSizeMax: 2000") + person("away", "mailHost: store2.campus.test") + person("keeps", "mailForwardingAddress: u3@campus.test", "deliveryMode: normal") + \
    group("list", "rfc822member: u4@campus.test", "rfc822member: u5@campus.test")
BODY = b"\r\n".join([b"y" * 70] * 60) + b"\r\n"


def start(s, far, **control):
    s.control("directory.ldif", LDIF + EXTRA)
    s.control("doublebouncehost", "campus.test")
    s.control("rcpthosts", "far.test")
    s.control("smtproutes", f"far.test:127.0.0.1:{far.port}")
    s.control("qmqproutes", f"store2.campus.test:127.0.0.1:{free_port()}")
    for name, text in control.items():
        s.control(name, text)
    return s.start()


@pytest.fixture(scope="module")
def far():
    def rcpt(talk):
        return "550 5.1.1 nobody\u00a0here\r\n" if b"nobody" in talk.lines[-1] else "250 2.1.5 ok\r\n"
    server = Scripted({"RCPT": rcpt})
    yield server
    server.close()


@pytest.fixture(scope="module")
def shared(far):
    with temporary_folder() as d, ended(Suite(d)) as s:
        yield start(s, far)


@pytest.fixture
def own(folder, far):
    with ended(Suite(folder)) as s:
        yield lambda **control: start(s, far, **control)


def send(suite, sender, rcpts, header="", body=BODY, options=()):
    """RCPTS: {address: [options]}.  The message's id."""
    message = f"From: <{sender or 'x@far.test'}>\r\nTo: <list@campus.test>\r\nSubject: the exam\r\nMessage-ID: <{time.time_ns()}@x.test>\r\n{header}\r\n".encode() + body
    s = suite.smtp()
    s.ehlo()
    assert s.mail(sender, list(options))[0] == 250
    for address, given in rcpts.items():
        code, text = s.rcpt(address, given)
        assert code == 250, text
    code, text = s.data(message)
    s.close()
    assert code == 250, text
    return text.decode().split()[-1]


def parsed(octets):
    m = email.message_from_bytes(octets, policy=email.policy.default)
    assert not m.defects, m.defects
    for part in m.walk():
        assert not part.defects, part.defects
    return m


def reports(suite, user, about):
    """The reports on message ABOUT in a Maildir."""
    return [m for m in map(parsed, suite.mails(user)) if about in m.as_string() and m.get_content_type() == "multipart/report"]


def check_form(m, to="u1@campus.test"):
    """What holds of every report.  Returns the fields of the message, of each recipient, and the part with the original."""
    assert m["Return-Path"] == "<>" and m["Auto-Submitted"] == "auto-replied" and m["To"] == to and m["Message-ID"] and m["MIME-Version"] == "1.0"
    assert m["From"].addresses[0].username == "MAILER-DAEMON" and email.utils.parsedate_to_datetime(m["Date"])
    assert m.get_param("report-type") == "delivery-status"
    people, programs, original = m.iter_parts()
    assert m["Content-Transfer-Encoding"] == "8bit" or all(p["Content-Transfer-Encoding"] in (None, "7bit") for p in m.iter_parts())
    assert people.get_content_type() == "text/plain" and people.get_content_charset() == "utf-8"
    text = people.get_content()
    assert text.startswith("This is the mail system of mx1.campus.test.") and all(len(line) < 500 for line in text.splitlines())
    assert programs.get_content_type() == "message/delivery-status"
    of_message, *of_rcpts = programs.get_payload()
    assert of_message["Reporting-MTA"] == "dns; mx1.campus.test"
    assert email.utils.parsedate_to_datetime(of_message["Arrival-Date"])
    for r in of_rcpts:
        assert r["Final-Recipient"].startswith("rfc822; ") and r["Status"][1:2] == "." and email.utils.parsedate_to_datetime(r["Last-Attempt-Date"])
        assert r["Status"][0] == {"failed": "5", "delayed": "4"}.get(r["Action"], "2")
        assert (r["Will-Retry-Until"] is not None) == (r["Action"] == "delayed")
    return of_message, of_rcpts, original, text


# Name; MAIL options; recipients with their options; [(Final-Recipient, Action, Status)] in the one report, or none; whether the original comes whole; fields beside.
TABLE = [
    ("failure, nothing asked", [], {"small@campus.test": []}, [("small@campus.test", "failed", "5.2.3")], False, {}),
    ("NOTIFY=NEVER", [], {"small@campus.test": ["NOTIFY=NEVER"]}, [], False, {}),
    ("NOTIFY=SUCCESS alone tells of no failure", [], {"small@campus.test": ["NOTIFY=SUCCESS"]}, [], False, {}),
    ("NOTIFY=DELAY alone tells of no failure", [], {"small@campus.test": ["NOTIFY=DELAY"]}, [], False, {}),
    ("NOTIFY=FAILURE", [], {"small@campus.test": ["NOTIFY=FAILURE"]}, [("small@campus.test", "failed", "5.2.3")], False, {}),
    ("success was not asked for", [], {"u2@campus.test": []}, [], False, {}),
    ("success: failure alone was asked for", [], {"u2@campus.test": ["NOTIFY=FAILURE,DELAY"]}, [], False, {}),
    ("success in a Maildir", [], {"u2@campus.test": ["NOTIFY=SUCCESS"]}, [("u2@campus.test", "delivered", "2.0.0")], False, {}),
    ("success, RET=FULL: headers all the same", ["RET=FULL"], {"u2@campus.test": ["NOTIFY=SUCCESS,FAILURE"]}, [("u2@campus.test", "delivered", "2.0.0")], False, {}),
    ("relayed to another host", [], {"ok@far.test": ["NOTIFY=SUCCESS"]}, [("ok@far.test", "relayed", "2.0.0")], False, {}),
    ("refused by another host", [], {"nobody@far.test": []}, [("nobody@far.test", "failed", "5.1.1")], False, {}),
    ("expanded", [], {"list@campus.test": ["NOTIFY=SUCCESS,FAILURE"]}, [("list@campus.test", "expanded", "2.0.0")], False, {}),
    ("expanded, not asked", [], {"list@campus.test": []}, [], False, {}),
    ("a forward that keeps its own copy is delivered", [], {"keeps@campus.test": ["NOTIFY=SUCCESS"]}, [("keeps@campus.test", "delivered", "2.0.0")], False, {}),
    ("RET=HDRS", ["RET=HDRS"], {"small@campus.test": []}, [("small@campus.test", "failed", "5.2.3")], False, {}),
    ("RET=FULL", ["RET=FULL"], {"small@campus.test": []}, [("small@campus.test", "failed", "5.2.3")], True, {}),
    ("ENVID", ["ENVID=exam+2Bgrades"], {"small@campus.test": []}, [("small@campus.test", "failed", "5.2.3")], False, {"Original-Envelope-Id": "exam+grades"}),
    ("ORCPT", [], {"small@campus.test": ["ORCPT=rfc822;old+2Bname@campus.test"]}, [("small@campus.test", "failed", "5.2.3")], False,
     {"Original-Recipient": "rfc822;old+name@campus.test"}),
    ("one report for two failures", [], {"small@campus.test": [], "nobody@far.test": []},
     [("small@campus.test", "failed", "5.2.3"), ("nobody@far.test", "failed", "5.1.1")], False, {}),
    ("failure and success in one", [], {"small@campus.test": [], "u2@campus.test": ["NOTIFY=SUCCESS"]},
     [("small@campus.test", "failed", "5.2.3"), ("u2@campus.test", "delivered", "2.0.0")], False, {}),
]


@pytest.mark.parametrize("row", TABLE, ids=lambda r: r[0])
def test_table(shared, row):
    name, options, rcpts, expected, whole, beside = row
    id = send(shared, "u1@campus.test", rcpts, options=options)
    wait_for(lambda: shared.events("queue-done", id))
    if not expected:
        assert not shared.events("queue-bounced", id)
        return
    [bounce] = shared.events("queue-bounced", id)
    [m] = wait_for(lambda: reports(shared, "u1", id))
    of_message, of_rcpts, original, text = check_form(m)
    assert sorted((r["Final-Recipient"].split("; ")[1], r["Action"], r["Status"]) for r in of_rcpts) == sorted(expected)
    assert "the exam" in text and all(r in text for r in rcpts) and id in text
    inner = original.get_payload()[0] if whole else email.message_from_string(original.get_payload())
    assert original.get_content_type() == ("message/rfc822" if whole else "text/rfc822-headers")
    assert inner["Subject"] == "the exam" and (b"y" * 70 in inner.as_bytes()) == whole
    for field, value in beside.items():
        assert (of_message[field] or of_rcpts[0][field]) == value
    for r in of_rcpts:
        if r["Final-Recipient"].endswith("nobody@far.test"):
            assert r["Remote-MTA"].startswith("dns; ") and "5.1.1" in r["Diagnostic-Code"]


def test_null_sender(shared):
    """Successes of a null sender are told to nobody, failures to the postmaster, once."""
    id = send(shared, "", {"u2@campus.test": ["NOTIFY=SUCCESS"]})
    wait_for(lambda: shared.events("queue-done", id))
    assert not shared.events("queue-bounced", id)
    id = send(shared, "", {"small@campus.test": []})
    [m] = wait_for(lambda: reports(shared, "u1", id))
    _, of_rcpts, _, text = check_form(m, "postmaster@campus.test")
    assert [r["Action"] for r in of_rcpts] == ["failed"] and "without a sender" in text


def test_spam_is_not_bounced(shared):
    """From outside and tagged: its sender is likely forged.  Log and counters know of it."""
    id = send(shared, "u1@campus.test", {"small@campus.test": []}, header="X-Spam-Flag: YES\r\n")
    wait_for(lambda: shared.events("queue-done", id))
    assert not shared.events("queue-bounced", id)
    [said] = shared.events("queue-not-bounced", id)
    assert said["to"] == "u1@campus.test" and "spam" in said["why"]
    id = send(shared, "u1@campus.test", {"small@campus.test": []}, header="X-Spam-Flag: NO\r\n")
    wait_for(lambda: shared.events("queue-bounced", id))


def test_thousand_failures_are_one_bounce(shared, far):
    id = send(shared, "u1@campus.test", {f"nobody{i}@far.test": [] for i in range(100)}, options=["RET=FULL"], body=BODY * 30)
    [m] = wait_for(lambda: reports(shared, "u1", id), 60)
    assert len(shared.events("queue-bounced", id)) == 1
    _, of_rcpts, original, text = check_form(m)
    assert len(of_rcpts) == 100 and "and 50 more" in text
    assert original.get_content_type() == "text/rfc822-headers"  # larger than bouncemaxbytes
    assert len(m.as_bytes()) < 120000


def test_operator_bounces(shared):
    id = send(shared, "u1@campus.test", {"away@campus.test": [], "u2@campus.test": []})
    wait_for(lambda: [x for x in shared.json("queue", "list", f"id={id}") if x["attempts"] == 1 and x["state"] == "waiting"])
    assert shared.json("queue", "bounce", id, "because=the list is closed")["messages"] == 1
    [m] = wait_for(lambda: reports(shared, "u1", id))
    _, of_rcpts, _, text = check_form(m)
    assert [(r["Final-Recipient"], r["Status"]) for r in of_rcpts] == [("rfc822; away@campus.test", "5.7.1")] and "the list is closed" in text
    assert shared.json("queue", "list", f"id={id}") == []


def test_delay(own):
    """Off by default; with control/delaynotice once, to those who want it, and it survives a restart that it was told."""
    s = own(delaynotice="3600")
    told = send(s, "u1@campus.test", {"away@campus.test": ["ORCPT=rfc822;away@campus.test"]})
    asked = send(s, "u1@campus.test", {"away@campus.test": ["NOTIFY=DELAY"]})
    not_asked = send(s, "u1@campus.test", {"away@campus.test": ["NOTIFY=FAILURE"]})
    null = send(s, "", {"away@campus.test": []})

    def tried(n):
        return wait_for(lambda: all(m["attempts"] >= n and m["state"] == "waiting" for m in s.json("queue", "list", "domain=campus.test")))
    tried(1)
    assert not s.events("queue-bounced")
    assert s.stop() == 0
    s.control("delaynotice", "1")
    time.sleep(1.1)
    s.start()
    s.postern("queue", "retry", "all", check=0)
    for id in (told, asked):
        [m] = wait_for(lambda: reports(s, "u1", id))
        _, of_rcpts, _, text = check_form(m)
        assert [(r["Action"], r["Status"]) for r in of_rcpts] == [("delayed", "4.4.1")] and "no need to send it again" in text
        assert email.utils.parsedate_to_datetime(of_rcpts[0]["Will-Retry-Until"]).timestamp() - time.time() > 600000
        assert m["Subject"].startswith("your message is delayed")
    tried(2)
    assert s.stop() == 0
    s.start()
    s.postern("queue", "retry", "all", check=0)
    tried(3)
    assert {e["id"] for e in s.events("queue-bounced")} == {told, asked} and len(s.events("queue-bounced")) == 2
    assert not s.events("queue-bounced", not_asked) and not s.events("queue-bounced", null)


def test_rate(own):
    """Two an hour to a domain; what is beyond waits for the next, and nothing is lost."""
    s = own(bouncerate="2")
    ids = [send(s, "u1@campus.test", {"small@campus.test": []}) for _ in range(5)]
    for id in ids:
        s.wait_event("queue-bounced", id)
    other = send(s, "someone@far.test", {"small@campus.test": []})
    s.wait_mail("u1", 2)
    late = ("queue", "list", "class=bounce", "recipient=u1@campus.test", "state=waiting")
    wait_for(lambda: len(s.json(*late)) == 3)
    now = time.time()
    waits = sorted(m["next"] - now for m in s.json(*late))
    assert 3500 < waits[0] < 3601 and 3500 < waits[1] < 3601 and 7000 < waits[2] < 7201
    assert s.wait_event("queue-done", s.wait_event("queue-bounced", other)[0]["bounce"])
    assert len(s.mails("u1")) == 2


def qmail_queue(s, sender, rcpts, message=b"Subject: v\n\n" + BODY.replace(b"\r\n", b"\n")):
    envelope = b"F" + sender.encode() + b"\0" + b"".join(b"T" + r.encode() + b"\0" for r in rcpts) + b"\0"
    read0, write0 = __import__("os").pipe()
    import os
    read1, write1 = os.pipe()
    p = subprocess.Popen([str(BIN / "qmail-queue")], env={"POSTERN_STATE": str(s.state)}, close_fds=False,
                         preexec_fn=lambda: (os.dup2(read0, 0), os.dup2(read1, 1)))
    os.write(write0, message)
    os.close(write0)
    os.write(write1, envelope)
    os.close(write1)
    os.close(read0)
    os.close(read1)
    return p.wait(60)


def test_verp(shared, far):
    """owner-@host-@[]: a sender of its own for each recipient; failures come to owner-@host."""
    before = len(far.sessions)
    assert qmail_queue(shared, "u1-@campus.test-@[]", ["u6@campus.test", "a.b@far.test", "c@far.test", "small@campus.test"]) == 0
    mail = parsed(shared.wait_mail("u6")[0])
    assert mail["Return-Path"] == "<u1-u6=campus.test@campus.test>"
    wait_for(lambda: len([t for t in far.sessions[before:] if t.message is not None]) == 2)
    senders = {line.split(b"<")[1].split(b">")[0] for t in far.sessions[before:] for line in t.lines if line.startswith(b"MAIL")}
    assert senders == {b"u1-a.b=far.test@campus.test", b"u1-c=far.test@campus.test"}
    wait_for(lambda: [e for e in shared.events("queue-bounced") if e["to"] == "u1-@campus.test"])
