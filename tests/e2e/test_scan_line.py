"""Scanning in the whole line, over SMTP: what the client is told, what reaches the Maildir, what `postern check` says, kills and reloads under load."""
import concurrent.futures
import random
import smtplib
import threading

import pytest

from conftest import wait_for
from processes import killed_meanwhile
from scan_alone import BAD, GTUBE, HEAD, PLAIN, Clamd, Spamd, b64, crlf, signatures

@pytest.fixture
def scanned(suite, folder):
    suite.control("scanners", f"clamav embedded:{signatures(folder / 'db')}")
    suite.control("banned", "*.exe")
    suite.start()
    return suite


def test_virus_is_refused_by_name_and_id(scanned):
    code, text = scanned.send("a@far.test", "u1@campus.test", crlf(BAD))
    assert code == 550 and text.startswith("5.7.1 message refused: virus Test.Eicar.UNOFFICIAL (")
    id = text[-14:-1]
    assert scanned.events("scan", id)[0]["action"] == "reject"
    assert scanned.send("a@far.test", "u1@campus.test", crlf(HEAD + b64(b"MZ", "application/x; name=setup.EXE")))[0] == 550
    assert scanned.send("a@far.test", "u1@campus.test", crlf(PLAIN))[0] == 250
    mail = scanned.wait_mail("u1")
    assert len(mail) == 1 and mail[0].endswith(PLAIN) and b"X-Virus" not in mail[0]


def test_real_clamd_and_spamd(suite):
    clamd, spamd = Clamd(), Spamd()
    try:
        suite.control("scanners", f"clamav unix:{clamd.path}\nspamassassin unix:{spamd.path}")
        suite.control("scanpolicy", "spam>=500 discard\nspam>=1 tag\n")
        suite.start()
        assert suite.send("a@far.test", "u1@campus.test", crlf(BAD))[0] == 550
        code, text = suite.send("a@far.test", "u1@campus.test", crlf(HEAD + b"\n" + GTUBE + b"\n"))
        assert code == 250
        assert suite.wait_event("scan", text[-13:])[0]["action"] == "discard"
        assert suite.send("a@far.test", "u1@campus.test", crlf(PLAIN.replace(b"hello\nDate", b"CAMPUSRULE\nDate")))[0] == 250
        mail = suite.wait_mail("u1")
        assert len(mail) == 1 and b"X-Spam-Flag: YES\n" in mail[0] and b"CAMPUS_TEST" in mail[0]
    finally:
        clamd.stop()
        spamd.stop()


@pytest.mark.parametrize("name,text,reason", [
    ("scanpolicy", "virus refuse", "scanpolicy:1: unknown action"),
    ("scanners", "\nclamav embedded:/nonexistent", "scanners:2: /nonexistent cannot be read"),
    ("scanners", "kaspersky unix:/x", "scanners:1: unknown scanner"),
    ("banned", "*.exe\n*/*", "banned:2:"),
])
def test_faults_are_named(suite, name, text, reason):
    suite.control(name, text)
    assert reason in suite.postern("check", check=1).stdout
    process = suite.launch()
    assert process.wait(20) != 0
    assert reason in suite.stderr()
    assert not (suite.state / "ready").exists()


def test_reload_changes_policy_and_costs_no_message(scanned):
    answers = []
    stop = threading.Event()

    def send(user, message):
        try:
            return scanned.send("a@far.test", f"{user}@campus.test", crlf(message))
        except (OSError, smtplib.SMTPException):
            return 421, "sessions are replaced too; that is not what is looked at here"

    def load():
        while not stop.is_set():
            answers.append(send("u1", PLAIN))
    threads = [threading.Thread(target=load) for _ in range(3)]
    for t in threads:
        t.start()
    for action, code in [("tempfail", 451), ("discard", 250), ("reject", 550)]:
        old = set(scanned.pids("scan"))
        scanned.control("scanpolicy", f"virus {action}")
        scanned.reload()
        wait_for(lambda: send("u2", BAD)[0] == code, 20, f"the policy is not {action}")
    wait_for(lambda: not old & set(scanned.pids("scan")), why="those before the reload, who still take messages, do not leave")
    stop.set()
    for t in threads:
        t.join()
    assert {code for code, _ in answers} <= {250, 421}, [a for a in answers if a[0] != 250]
    assert scanned.send("a@far.test", "u1@campus.test", crlf(BAD))[0] == 550


def test_kills_under_load(scanned):
    """Scan stage, worker's parent and workers killed over and over: what was acknowledged is there, once."""
    random.seed(5)

    def victim():
        running = scanned.pids("scan") + scanned.pids("scanworker")
        return random.sample(running, min(1, len(running)))

    def send(n):
        try:
            code, _ = scanned.send("a@far.test", "u3@campus.test", crlf(HEAD + b"X-Number: %d\n\nbody %d\n" % (n, n)))
        except OSError:
            code = 0
        return n, code
    with killed_meanwhile(victim, lambda: 0.15), concurrent.futures.ThreadPoolExecutor(6) as pool:
        results = list(pool.map(send, range(150)))
    accepted = {n for n, code in results if code == 250}
    assert {code for _, code in results} <= {250, 451, 421, 0}
    assert accepted
    mails = scanned.wait_mail("u3", len(accepted), 60)
    numbers = sorted(int(m.split(b"X-Number: ")[1].split(b"\n")[0]) for m in mails)
    assert set(numbers) >= accepted and len(numbers) == len(set(numbers))
    wait_for(lambda: scanned.send("a@far.test", "u1@campus.test", crlf(BAD))[0] == 550, 60, "scanning does not come back")


def test_privileges(scanned):
    out = scanned.postern("privileges", check=0).stdout
    assert "scanworker" in out
