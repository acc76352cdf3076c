"""A slapd that takes connections and questions and says nothing (stopped with SIGSTOP): everybody who waits for the directory hears its own "temporary" at
control/ldaptimeout, none gives up before, nothing is lost and nobody is refused.  POSTERN_LDAPTIMEOUT=60 shows it for the most that may be set."""
import os
import subprocess
import threading
import time

import pytest

from certificates import certificate
from conftest import free_port, wait_for
from processes import standing_still
from respond_alone import BASE, make_slapd
from slapd import ADMIN, SECRET as SECRET_OF_ADMIN, Slapd, asked_by, with_tree
from submission import MESSAGE, SECRET, people, plain, site, ssha, submit  # noqa: F401 (a fixture)
from timing import measured, seconds_of

TIMEOUT = int(os.environ.get("POSTERN_LDAPTIMEOUT", 3))


@pytest.fixture
def ldap(site):
    site.slapd = Slapd(site.folder / "slapd", with_tree(people(ssha(SECRET)))).start()
    asked_by(site, site.slapd, ldaptimeout=str(TIMEOUT), directorycache="0")
    site.start()
    yield site
    site.slapd.kill()


def together(asking):
    """(NAME, WHAT) each in a thread of its own, the second a moment later: NAME to what it gave, how long it took, and when it ended after the first began."""
    said, first = {}, time.monotonic()

    def ask(name, what):
        said[name] = *seconds_of(what), time.monotonic() - first
    threads = [threading.Thread(target=ask, args=a) for a in asking]
    for t in threads:
        t.start()
        time.sleep(0.1)
    for t in threads:
        t.join()
    return said


def all_ask(ldap):
    """What each was told, and the longest time that one waited."""
    port25, waiting, login = ldap.smtp(), ldap.smtp(), submit(ldap)
    for s in (port25, login):
        s.sock.settimeout(TIMEOUT + 60)
    for s in (port25, waiting):
        s.ehlo("client.test")
        assert s.mail("a@far.test")[0] == 250
        wait_for(lambda: s.rcpt("u1@campus.test")[0] == 250)
    known = len(ldap.events("queue-deferred"))
    with standing_still([ldap.slapd.process.pid]):
        said = together([
            ("rcpt", lambda: port25.rcpt("u2@campus.test")),
            ("auth", lambda: login.docmd("AUTH PLAIN " + plain("u1", SECRET))),
            ("queue", lambda: (waiting.data(MESSAGE), wait_for(lambda: len(ldap.events("queue-deferred")) > known, TIMEOUT + 60))),
            ("user", lambda: ldap.json("user", "u1@campus.test", check=111))])
    assert said["rcpt"][0][0] == 451 and said["auth"][0][0] == 454
    (accepted, _), deferred = said["queue"][0]
    assert accepted == 250 and deferred, "the message waits"
    assert said["user"][0]["verdict"] == "temporary"  # in time too, or 10 s: that it cannot connect
    assert all(seconds > TIMEOUT - 0.4 for name, (_, seconds, _) in said.items() if name != "user"), said
    for s in (port25, waiting, login):
        s.close()
    return said, max(seconds for _, seconds, _ in said.values())


def test_all_who_ask(ldap):
    measured(TIMEOUT + 2, lambda: all_ask(ldap))
    assert "in time" in ldap.events("smtpd-login-failed")[0]["reason"]
    assert {"in time" in e["reason"] for e in ldap.events("smtpd-reject") if e["verb"] == "RCPT" and e["argument"] == "TO:<u2@campus.test>"} == {True}
    ldap.wait_mail("u1", seconds=60)
    wait_for(lambda: rcpt(ldap, "u2@campus.test") == 250)


def rcpt(suite, address):
    with suite.smtp() as s:
        s.ehlo("client.test")
        s.mail("a@far.test")
        return s.rcpt(address)[0]


def test_operators_wait_for_respond(suite):
    """postern-respond gives an account back and meets a stopped slapd; the operator who asked for that, and another one meanwhile, hear how it went."""
    server = make_slapd(suite.folder / "slapd")
    asked_by(suite, server, ldapbasedn=BASE, ldaptimeout=str(TIMEOUT), respondlogin=ADMIN, respondpassword=SECRET_OF_ADMIN,
             respond="locked accountstatus noaccess", listen=f"smtp 127.0.0.1:{suite.port}\nsubmission 127.0.0.1:{free_port()}",
             **{"servercert.pem": certificate(suite.folder)})
    for f in ("respondpassword", "servercert.pem"):
        (suite.ctl / f).chmod(0o600)
    suite.start()

    def skim(*args):
        p = subprocess.run(suite.command("skim", *args), capture_output=True, text=True)
        return p.stdout + p.stderr

    def both_ask():
        done, undone = len(suite.events("respond-step")), len(suite.events("respond-undo"))
        skim("flag", "anna", "--lock", "--why", "phished")
        wait_for(lambda: len(suite.events("respond-step")) > done)
        with standing_still([server.process.pid]):
            said = together([("restore", lambda: skim("restore", "anna", "--keep")), ("retry", lambda: skim("retry", "anna"))])
        (restore, restored, _), (retry, retried, at) = said["restore"], said["retry"]
        assert "tried again by itself" in restore and "tried again now" in retry, said
        assert TIMEOUT - 0.1 < restored and TIMEOUT - 0.3 < at, said
        wait_for(lambda: len(suite.events("respond-undo")) > undone, 60)  # so that it can be asked once more
        return said, max(restored, retried - TIMEOUT)
    measured(TIMEOUT + 2, both_ask)
    server.kill()
