"""Quarantine in the whole suite: kept, listed, shown, released into the Maildir, deleted; kills between the steps."""
import random
import time

import pytest

from conftest import wait_for
from processes import killed_meanwhile, standing_still
from scan_alone import EICAR, GTUBE, HEAD, Spamd, b64, crlf, multipart, signatures
from timing import within

PROGRAM = HEAD + b64(b"MZ", "application/x; name=setup.EXE")


@pytest.fixture
def held(suite):
    suite.control("banned", "*.exe")
    suite.control("scanpolicy", "banned quarantine")
    suite.start()
    return suite


def send(suite, message=PROGRAM, to="u1@campus.test", sender="a@far.test"):
    code, text = suite.send(sender, to, crlf(message))
    assert code == 250 and text.startswith("2.0.0 ok "), (code, text)
    return text.split()[-1]


def rows(suite, *args):
    return suite.json("quarantine", "list", *args)


def test_kept_shown_released(held):
    id = send(held)
    row, = rows(held)
    assert row["id"] == id and row["from"] == "a@far.test" and row["to"] == "u1@campus.test" and row["subject"] == "hello"
    assert row["reason"] == 'attachment "setup.EXE" is not accepted here' and row["cause"] == "banned" and row["score"] is None
    assert row["state"] == "kept" and row["size"] > 200 and abs(row["time"] - time.time()) < 60 and not row["malware"]
    shown = held.postern("quarantine", "show", id, check=0).stdout
    assert "Message-ID: <1@far.test>" in shown and "X-Postern-Quarantine" not in shown and "setup.EXE" in shown
    assert held.json("quarantine", "show", id)["addresses"] == ["u1@campus.test"]
    assert not held.mails("u1")
    assert held.json("quarantine", "release", id, "--dry-run") == {"action": "release", "messages": 1, "dry_run": True}
    assert rows(held)[0]["state"] == "kept"
    held.postern("quarantine", "release", id, check=0)
    mail = held.wait_mail("u1")
    assert mail[0].endswith(PROGRAM[len(HEAD):]) and b"X-Virus-Status: banned (setup.EXE)\n" in mail[0]
    assert b"X-Postern-Quarantine" not in mail[0]
    row, = rows(held)
    assert row["state"] == "released" and row["stored"] == 0
    assert held.wait_event("quarantine-released", id)[0]["as"] == row["release_id"]
    again = held.postern("quarantine", "release", id, check=1)
    assert "it is released already" in again.stderr
    assert "it is released already" in held.postern("quarantine", "release", id, "--force", check=1).stderr
    assert "it is released already" in held.postern("quarantine", "delete", id, check=1).stderr
    assert "no such message" in held.postern("quarantine", "show", "0123456789abc", check=1).stderr
    time.sleep(0.5)
    assert len(held.mails("u1")) == 1


def test_conditions_and_delete(held):
    one = send(held, to="u1@campus.test")
    two = send(held, to=["U2@campus.test", "u3@campus.test"], sender="B@far.test")
    assert [r["id"] for r in rows(held)] == [one, two]
    assert [r["id"] for r in rows(held, "sender=b@far.test")] == [two]
    assert [r["id"] for r in rows(held, "recipient=u3@campus.test")] == [two]
    assert [r["id"] for r in rows(held, f"id={one}")] == [one]
    assert rows(held, "recipient=u3@campus.test", "sender=a@far.test") == []
    assert "conditions are" in held.postern("quarantine", "list", "size=1", check=100).stderr
    assert held.json("quarantine", "delete", "sender=b@far.test", "--dry-run")["messages"] == 1
    assert held.json("quarantine", "delete", "sender=b@far.test")["messages"] == 1
    assert [r["state"] for r in rows(held)] == ["kept", "deleted"]
    assert rows(held, "state=deleted")[0]["stored"] == 0
    assert "deleted" in held.postern("quarantine", "release", two, check=1).stderr
    assert held.json("quarantine", "release", "all")["messages"] == 1
    held.wait_mail("u1")
    assert not held.mails("u2") and not held.mails("u3")
    wait_for(lambda: held.postern("queue", "delete", "all", "--dry-run", check=0).stdout == "would delete: 0 messages\n")


def test_malware_needs_force(suite, folder):
    suite.control("scanners", f"clamav embedded:{signatures(folder / 'db')}")
    suite.control("scanpolicy", "virus quarantine")
    suite.start()
    id = send(suite, HEAD + b"MIME-Version: 1.0\n" + multipart(b"\ntext\n", b64(EICAR)))
    assert rows(suite)[0]["malware"] and rows(suite)[0]["reason"] == "virus Test.Eicar.UNOFFICIAL"
    assert "--force" in suite.postern("quarantine", "release", "all", check=1).stderr
    assert not suite.mails("u1") and rows(suite)[0]["state"] == "kept"
    suite.postern("quarantine", "release", id, "--force", check=0)
    assert b"X-Virus-Status: infected" in suite.wait_mail("u1")[0]


def test_spam_with_its_score(suite):
    spamd = Spamd()
    try:
        suite.control("scanners", f"spamassassin unix:{spamd.path}")
        suite.control("scanpolicy", "spam>=6.3 quarantine")
        suite.start()
        id = send(suite, HEAD + b"\n" + GTUBE + b"\n")
        row, = rows(suite)
        assert row["score"] > 900 and row["cause"] == "spam" and row["reason"].startswith("it looks like spam, score ")
        suite.postern("quarantine", "release", id, check=0)
        assert b"X-Spam-Flag: YES\n" in suite.wait_mail("u1")[0]
    finally:
        spamd.stop()


def test_full_is_a_temporary_failure(suite):
    suite.control("banned", "*.exe")
    suite.control("scanpolicy", "banned quarantine")
    suite.control("quarantinebytes", "1048576")
    suite.start()
    noise = HEAD + b64(random.Random(3).randbytes(700000), "application/x; name=setup.exe")
    one = send(suite, noise)
    code, text = suite.send("a@far.test", "u1@campus.test", crlf(noise))
    assert code == 451 and text.startswith("4.3.1 ")
    assert suite.wait_event("quarantine-full")
    assert [r["id"] for r in rows(suite)] == [one]
    suite.postern("quarantine", "delete", one, check=0)
    two = send(suite, noise)
    suite.postern("quarantine", "release", two, check=0)
    assert suite.wait_mail("u1")[0].endswith(noise[len(HEAD):])


def test_killed_at_any_moment(held):
    """Quarantine killed over and over, while mail comes and is released: what was acknowledged is there; what is released was delivered, once."""
    random_, acked = random.Random(7), []
    with killed_meanwhile(lambda: held.pids("quarantine"), lambda: random_.uniform(0.1, 0.5)):
        for n in range(60):
            try:
                code, text = held.send("a@far.test", "u4@campus.test", crlf(b"X-Number: %d\n" % n + PROGRAM))
            except OSError:
                continue
            assert code in (250, 451), (code, text)
            if code == 250:
                acked.append(text.split()[-1])
                if n % 2:
                    held.postern("quarantine", "release", acked[-1])
    assert len(acked) > 5
    wait_for(lambda: held.postern("quarantine", "list").returncode == 0, 30)
    state = {r["id"]: r["state"] for r in rows(held)}
    assert set(acked) <= set(state), "acknowledged and lost"
    released = [i for i in acked if state[i] == "released"]
    doubt = [i for i in state if state[i] == "doubt"]
    assert released
    held.wait_mail("u4", len(released), 30)
    time.sleep(1)
    bodies = [m.split(b"X-Number: ")[1].split(b"\n")[0] for m in held.mails("u4")]
    assert len(bodies) == len(set(bodies)), "delivered twice"
    assert len(released) <= len(bodies) <= len(released) + len(doubt)
    for i in doubt:
        assert "broke off" in held.postern("quarantine", "release", i, check=1).stderr
        held.postern("quarantine", "delete", i, check=0)


def test_queue_ends_before_it_answers(held):
    """The queue stopped: the release waits, and the message stays kept."""
    id = send(held)
    with standing_still(held.pids("queue")):
        p = held.postern("quarantine", "release", id, check=111)
        assert "did not answer in time" in p.stderr
        assert rows(held)[0]["state"] == "kept"
    time.sleep(1)
    assert not held.mails("u1")
    held.postern("quarantine", "release", id, check=0)
    assert len(held.wait_mail("u1")) == 1
    time.sleep(1)
    assert len(held.mails("u1")) == 1


def test_not_started_without_a_line(suite):
    suite.control("banned", "*.exe")
    suite.start()
    assert suite.pids("quarantine") == []
    assert "quarantine does not run" in within(5, lambda: suite.postern("quarantine", "list", check=111)).stderr
    assert suite.send("a@far.test", "u1@campus.test", crlf(PROGRAM))[0] == 550


def test_reload_starts_it(suite):
    suite.control("banned", "*.exe")
    suite.start()
    suite.control("scanpolicy", "banned quarantine")
    suite.reload()
    wait_for(lambda: suite.pids("quarantine") and suite.send("a@far.test", "u1@campus.test", crlf(PROGRAM))[0] == 250, 20)
    assert len(rows(suite)) == 1
    suite.postern("check", check=0)
    assert "quarantine" in suite.postern("privileges", check=0).stdout
