"""SCRAM-SHA-256: real clients against the whole suite, with the embedded directory and with a real slapd; then postern-directory alone, for what only a
session that was taken over would say to it."""
import base64
import os
import shutil
import smtplib
import socket
import ssl
import subprocess
import textwrap
import time

import pytest

import scram
import slapd as slapd_module
from alone import Program, netstrings
from certificates import certificate
from conftest import free_port, wait_for
from processes import at_once
from scram import b64, login, stored
from slapd import person
from submission import MESSAGE, SECRET, msmtp, people, plain, ssha, submit
from test_directory import CONTROL, state_folder

KEY = "0123456789abcdef0123456789abcdef"
OLD = "{POSTERN-LOCKED}"


def tool(*command):
    assert shutil.which(command[0]), f"install {command[0]}"
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()


def hashes():
    """u1 by Dovecot, u2 by gsasl, u3 by ourselves with SSHA beside it; u4 has SSHA alone, u5 is disabled, u6 locked."""
    dovecot = tool("doveadm", "pw", "-s", "SCRAM-SHA-256", "-p", SECRET)
    gsasl = tool("gsasl", "--mkpasswd", "-m", "SCRAM-SHA-256", "--iteration-count=4096", "-p", SECRET)
    assert dovecot.startswith("{SCRAM-SHA-256}4096,") and gsasl.startswith("{SCRAM-SHA-256}4096,")
    return [dovecot, gsasl, f"{ssha('other pass')}\nuserPassword: {stored(SECRET)}", ssha(SECRET), stored(SECRET) + "\naccountStatus: noaccess", OLD + stored(SECRET)]


@pytest.fixture(scope="module")
def ldif():
    return people(*hashes())


@pytest.fixture
def embedded(suite, ldif):
    suite.s587 = free_port()
    suite.control("listen", f"submission 127.0.0.1:{suite.s587}")
    suite.control("servercert.pem", certificate(suite.folder))
    suite.control("authmechanisms", "PLAIN LOGIN SCRAM-SHA-256")
    suite.control("scramkey", KEY)
    suite.control("directory.ldif", ldif)
    suite.control("tarpitdelay", "0")
    suite.slapd = None
    return suite


@pytest.fixture
def on_slapd(embedded, ldif):
    site = embedded
    site.slapd = slapd_module.Slapd(site.folder / "slapd", slapd_module.with_tree(ldif)).start()
    slapd_module.asked_by(site, site.slapd, ldaplogin=slapd_module.ADMIN, ldappassword=slapd_module.SECRET, ldaptimeout="20")
    yield site
    site.slapd.kill()


@pytest.fixture(params=["embedded", "on_slapd"])
def site(request):
    return request.getfixturevalue(request.param)


def try_login(site, user, password, **kw):
    s = submit(site)
    try:
        return login(s, user, password, **kw)
    finally:
        s.close()


def begun(s, password=SECRET):
    """An exchange of u1, and what the server said to its first message."""
    e = scram.Exchange("u1", password)
    return e, base64.b64decode(s.docmd("AUTH SCRAM-SHA-256 " + b64(e.first))[1]).decode()


# ---- real clients ----

def clients(site):
    to = "u4@campus.test"
    muttrc = site.folder / "muttrc"
    muttrc.write_text(textwrap.dedent(f"""\
        set smtp_url="smtp://u2@127.0.0.1:{site.s587}/"
        set smtp_pass="{SECRET}"
        set smtp_authenticators="scram-sha-256"
        set ssl_starttls=yes ssl_force_tls=yes ssl_verify_host=no certificate_file="{site.folder}/mutt-certificates"
        set from="u2@campus.test" hostname="client.test" copy=no
        """))
    shutil.copy(site.ctl / "servercert.pem", site.folder / "mutt-certificates")
    return {
        "msmtp": ([*msmtp(site, "scram-sha-256"), to], "u1", 1),
        "mutt": (["mutt", "-n", "-F", str(muttrc), "-s", "x", to], "u2", 1),
        "gsasl": (["gsasl", "--smtp", "--starttls", "--no-cb", "--x509-ca-file=", f"--connect=127.0.0.1:{site.s587}", "-m", "SCRAM-SHA-256", "-a", "u3@campus.test", "-p", SECRET,
                   "--quiet", "-d"], "u3", 0),
    }


def test_clients(site):
    site.start()
    mails = 0
    for n, (name, (command, user, sends)) in enumerate(clients(site).items(), 1):
        assert shutil.which(command[0]), f"install {command[0]}"
        p = subprocess.run(command, input=MESSAGE.replace(b"\r", b""), capture_output=True, timeout=60, env={**os.environ, "HOME": str(site.folder), "TERM": "dumb"})
        assert p.returncode == 0, (name, p.stdout, p.stderr)
        mails += sends
        assert len(site.wait_mail("u4", mails)) == mails, name
        wait_for(lambda: len(site.events("smtpd-login")) == n, why=name)
        event = site.events("smtpd-login")[-1]
        assert (event["user"], event["mechanism"]) == (user, "SCRAM-SHA-256"), name
    assert not site.events("smtpd-login-failed") and SECRET not in site.log() and "{SCRAM" not in site.log()


def test_bound_to_tls(embedded):
    """SCRAM-SHA-256-PLUS with a real client, in TLS 1.3; a proof for another connection, and one that was talked out of it, fail."""
    embedded.control("authmechanisms", "PLAIN SCRAM-SHA-256 SCRAM-SHA-256-PLUS")
    embedded.start()
    command = ["gsasl", "--smtp", "--starttls", "--x509-ca-file=", f"--connect=127.0.0.1:{embedded.s587}", "-m", "SCRAM-SHA-256-PLUS", "-a", "u1", "-p", SECRET, "-d"]
    p = subprocess.run(command, input=b"", capture_output=True, timeout=60)
    assert p.returncode == 0, (p.stdout, p.stderr)
    assert embedded.wait_event("smtpd-login")[0]["mechanism"] == "SCRAM-SHA-256-PLUS"
    s = submit(embedded)
    assert s.esmtp_features["auth"].split() == ["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-256-PLUS"]
    bound = {"mechanism": "SCRAM-SHA-256-PLUS", "header": "p=tls-exporter,,"}
    assert login(s, "u1", SECRET, binding=bytes(32), **bound) == (535, "5.7.8 the name or the password is wrong")
    assert login(s, "u1", SECRET, header="y,,")[0] == 535
    s.close()
    s = submit(embedded)
    assert login(s, "u1", SECRET, **bound)[0] == 535
    assert login(s, "u1", SECRET)[0] == 235
    s.close()
    wait_for(lambda: len(embedded.events("smtpd-login-failed")) == 3)
    reasons = [e["reason"] for e in embedded.events("smtpd-login-failed")]
    assert "channel binding" in reasons[0] and "did not see" in reasons[1] and "channel binding" in reasons[2]
    old = ssl._create_unverified_context()
    old.maximum_version = ssl.TLSVersion.TLSv1_2
    with submit(embedded, context=old) as s:
        assert s.esmtp_features["auth"].split() == ["PLAIN", "SCRAM-SHA-256"]
        assert s.docmd("AUTH SCRAM-SHA-256-PLUS")[0] == 504
        assert login(s, "u1", SECRET, header="y,,")[0] == 235


def test_one_stored_value_for_all_mechanisms(site):
    site.start()
    s = submit(site)
    assert s.esmtp_features["auth"].split() == ["PLAIN", "LOGIN", "SCRAM-SHA-256"]
    s.close()
    for user in ("u1", "U2", "u3", "alias3@campus.test"):
        assert try_login(site, user, SECRET) == (235, "2.7.0 you are logged in"), user
        assert try_login(site, user, SECRET, initial=False)[0] == 235
        s = submit(site)
        assert s.docmd("AUTH PLAIN " + plain(user, SECRET))[0] == 235, user
        s.close()
        s = submit(site)
        assert s.docmd("AUTH LOGIN " + b64(user))[0] == 334 and s.docmd(b64(SECRET))[0] == 235, user
        s.close()
    s = submit(site)
    assert s.docmd("AUTH PLAIN " + plain("u1", SECRET + "x"))[0] == 535
    assert s.docmd("AUTH PLAIN " + plain("u6", SECRET))[0] == 535
    assert s.docmd("AUTH PLAIN " + plain("u3", "other pass"))[0] == 235  # the other one of its values
    s.close()


REFUSED = [
    ("u1", "wrong", "535 5.7.8"), ("u4", SECRET, "535 5.7.8"), ("u6", SECRET, "535 5.7.8"), ("nobody", SECRET, "535 5.7.8"), ("*", SECRET, "535 5.7.8"),
    ("u5", SECRET, "535 5.7.13"), ("u5", "wrong", "535 5.7.8"), ("u3", "other pass", "535 5.7.8"), ("u1)(uid=*", SECRET, "535 5.7.8"), ("u,=1", SECRET, "535 5.7.8"),
]


def refused(site, user, password, code):
    s = submit(site)
    began = time.monotonic()
    e = scram.Exchange(user, password)
    got, first = s.docmd("AUTH SCRAM-SHA-256 " + b64(e.first))
    assert got == 334, user
    said = base64.b64decode(first).decode()
    assert said.endswith(",i=4096") and len(said) == len("r=,s=,i=4096") + len(e.nonce) + 24 + 24, user
    got, text = s.docmd(b64(e.final(said)))
    assert f"{got} {text.decode()}".startswith(code), user
    assert time.monotonic() - began > 0.9
    assert s.mail("u1@campus.test")[0] == 530
    assert login(s, "u1", SECRET)[0] == 235
    s.close()


def test_refused_after_the_same_exchange(site):
    site.start()
    at_once(lambda row: refused(site, *row), REFUSED)
    events = site.events("smtpd-login-failed")
    assert {(e["mechanism"], e["failures"]) for e in events} == {("SCRAM-SHA-256", "1")} and sorted(e["user"] for e in events) == sorted(r[0] for r in REFUSED)
    assert sorted(e["user"] for e in site.events("directory-no-secret")) == ["u4", "u6"]


# ---- what nobody may learn ----

def test_salts_do_not_tell_who_exists(embedded):
    """Always the same, over restarts too, with or without the domain; another one for another name."""
    embedded.start()

    def ask(*users):
        s = submit(embedded)
        got = [scram.salt(s, u) for u in users]
        s.close()
        return got
    users = ("u1", "u4", "nobody", "Nobody", "nobody@campus.test", "u4@campus.test", "u1@campus.test", "nobody@else.test", "nobodi")
    before = ask(*users)
    u1, u4, nobody = before[:3]
    assert before[3:7] == [nobody, nobody, u4, u1] and len(set(before)) == 5
    assert all(x.endswith(",i=4096") and len(x) == len(u1) for x in before)
    embedded.stop()
    embedded.start()
    assert ask(*users) == before
    embedded.stop()
    embedded.control("scramkey", None)
    embedded.control("scramiterations", "5000")
    embedded.start()
    after = ask(*users)
    assert after[0] == u1 and after[2] not in before and after[2].endswith(",i=5000")


def test_scram_is_offered_where_the_site_says_so_alone(embedded):
    embedded.control("authmechanisms", None)
    embedded.start()
    s = submit(embedded)
    assert s.esmtp_features["auth"].split() == ["PLAIN", "LOGIN"]
    assert s.docmd("AUTH SCRAM-SHA-256")[0] == 504 and s.docmd("AUTH SCRAM-SHA-256 " + b64(scram.Exchange("u1", SECRET).first))[0] == 504
    assert s.docmd("AUTH PLAIN " + plain("u1", SECRET))[0] == 235
    s.close()
    embedded.stop()
    embedded.control("authmechanisms", "SCRAM-SHA-256")
    embedded.start()
    s = submit(embedded)
    assert s.esmtp_features["auth"].split() == ["SCRAM-SHA-256"]
    assert s.docmd("AUTH PLAIN " + plain("u1", SECRET))[0] == 504
    assert login(s, "u1", SECRET)[0] == 235
    s.close()


# ---- the exchange, row by row ----

E1 = scram.Exchange("u1", SECRET, nonce="rOprNGfwEbeRWgbNEkqO")
ROWS = [  # spec, what stands after AUTH SCRAM-SHA-256 (or None and the first line), code
    ("5802 5.1 m=", "n,,m=x,n=u1,r=abc", "501 5.5.2"),
    ("5802 7 order", "n,,r=abc,n=u1", "501 5.5.2"),
    ("5802 5.1 a bare =", "n,,n=u=1,r=abc", "501 5.5.2"),
    ("5802 6 p without PLUS", "p=tls-exporter,,n=u1,r=abc", "535 5.7.8"),
    ("5802 5.1 for another", "n,a=u2,n=u1,r=abc", "535 5.7.8"),
    ("5802 7 no header", "n=u1,r=abc", "501 5.5.2"),
    ("a nonce of 257 octets", "n,,n=u1,r=" + "x" * 257, "501 5.5.2"),
    ("a name of 321 octets", "n,,n=" + "u" * 321 + ",r=abc", "535 5.7.8"),
    ("nothing", "", "501 5.5.2"),
    ("NUL", "n,,n=u\0,r=abc", "501 5.5.2"),
]
FINALS = [  # spec, how the proof's message differs, code
    ("right", {}, "334"),
    ("5802 5.1 another nonce", {"nonce": "rOprNGfwEbeRWgbNEkqO"}, "535 5.7.8"),
    ("5802 6 another header", {"without": "c=eSws,r={r}"}, "535 5.7.8"),
    ("5802 6 data where none belongs", {"without": "c=" + b64("n,,x") + ",r={r}"}, "535 5.7.8"),
    ("5802 5.1 m=", {"without": "c=biws,r={r},m=x"}, "501 5.5.2"),
    ("5802 7 an extension", {"without": "c=biws,r={r},t=x"}, "334"),
    ("5802 7 order", {"without": "r={r},c=biws"}, "501 5.5.2"),
]


def first(embedded, spec, message, want):
    s = submit(embedded)
    for initial in (True, False):
        if initial:
            code, text = s.docmd("AUTH SCRAM-SHA-256 " + (b64(message) or "="))
        else:
            assert s.docmd("AUTH SCRAM-SHA-256") == (334, b"")
            code, text = s.docmd(b64(message))
        assert f"{code} {text.decode()}".startswith(want), spec
    assert login(s, "u1", SECRET)[0] == 235, spec
    s.close()


def test_first_messages(embedded):
    embedded.start()
    at_once(lambda row: first(embedded, *row), ROWS)


def final(embedded, spec, change, want):
    s = submit(embedded)
    e, said = begun(s)
    change = {k: v.format(r=said.split(",")[0][2:]) for k, v in change.items()}
    code, text = s.docmd(b64(e.final(said, **change)))
    assert f"{code} {text.decode()}".startswith(want), spec
    if code == 334:
        assert s.docmd("")[0] == 235, spec
    else:
        assert s.mail("u1@campus.test")[0] == 530, spec
    s.close()


def test_final_messages(embedded):
    embedded.start()
    at_once(lambda row: final(embedded, *row), FINALS)


def test_cancelled_and_broken_off(embedded):
    """Whatever comes instead of the last empty line, nobody is logged in."""
    embedded.start()
    s = submit(embedded)
    assert s.docmd("AUTH SCRAM-SHA-256")[0] == 334 and s.docmd("*")[0] == 501
    scram.salt(s, "u1")
    for last, code in (("*", 501), ("eA==", 501), ("=", 501), ("MAIL FROM:<u1@campus.test>", 501)):
        e, said = begun(s)
        assert s.docmd(b64(e.final(said)))[0] == 334
        assert s.docmd(last)[0] == code, last
        assert s.mail("u1@campus.test")[0] == 530
    e, said = begun(s)
    assert s.docmd(e.final(said))[0] == 501  # not in base64
    long = b64(e.final(said))
    assert s.docmd("AUTH SCRAM-SHA-256 " + b64(e.first))[0] == 334
    assert s.docmd(long + "A" * (12287 - len(long)))[0] == 500
    assert not embedded.events("smtpd-login")
    s.close()


def test_input_behind_it_is_never_obeyed(embedded):
    embedded.start()
    s = submit(embedded)
    s.send(f"AUTH SCRAM-SHA-256 {b64(scram.Exchange('u1', SECRET).first)}\r\nMAIL FROM:<u1@campus.test>\r\n".encode())
    assert s.getreply()[0] == 554
    s.close()


def test_third_failure_ends_the_session(embedded):
    embedded.start()
    s = submit(embedded)
    assert [login(s, "u1", "guess")[0], s.docmd("AUTH PLAIN " + plain("u1", "guess"))[0], login(s, "nobody", "guess")[0]] == [535, 535, 421]
    with pytest.raises(smtplib.SMTPServerDisconnected):
        s.noop()
    assert "guess" not in embedded.log()


def test_failures_count_for_door_and_account(embedded):
    """The door ends an address that fails too often; the account is not tried from a network that guessed it too often."""
    embedded.control("authfailsperaccount", "2/3600")
    embedded.start()

    def at(source, password):
        with submit(embedded, source=source) as s:
            return login(s, "u1", password)[0]
    assert [at("127.0.5.1", "same"), at("127.0.5.2", "same")] == [535, 535]  # proofs differ: the same password counts each time
    assert at("127.0.5.1", SECRET) == 454
    assert at("127.0.6.1", SECRET) == 235
    assert [at("127.0.6.1", x) for x in "abc"] == [535, 535, 535] and at("127.0.6.1", SECRET) == 235  # its own network
    assert "directory-guesses" in embedded.log()
    embedded.stop()
    embedded.control("authfailsperip", "2/3600")
    embedded.start()
    assert [at("127.0.7.1", "x"), at("127.0.7.1", "y")] == [535, 535]
    with pytest.raises(smtplib.SMTPConnectError) as e:
        wait_for(lambda: at("127.0.7.1", SECRET) and False)
    assert e.value.smtp_code == 421


def test_unknown_is_never_wrong(site):
    """A directory or a server that is away is 454, before and in the middle of an exchange."""
    site.start()
    s = submit(site)
    e, said = begun(s)
    if site.slapd:
        site.slapd.kill()
        assert s.docmd(b64(e.final(said)))[0] == 454
        assert login(s, "u1", SECRET)[0] == 454
        assert login(s, "nobody", SECRET)[0] == 454
        site.slapd.start()
        wait_for(lambda: login(s, "u1", SECRET)[0] == 235)
    else:
        os.kill(site.pids("directory")[0], 9)  # with a key of the site's own the exchange even survives
        wait_for(lambda: len(site.log().split("directory-loaded")) == 3)
        assert s.docmd(b64(e.final(said)))[0] == 334 and s.docmd("")[0] == 235
    s.close()


def test_exchange_over_a_start_without_a_key(embedded):
    embedded.control("scramkey", None)
    embedded.start()
    s = submit(embedded)
    e, said = begun(s)
    os.kill(embedded.pids("directory")[0], 9)
    wait_for(lambda: len(embedded.log().split("directory-loaded")) == 3)
    assert s.docmd(b64(e.final(said)))[0] == 454
    assert login(s, "u1", SECRET)[0] == 235
    s.close()


def test_slapd_that_does_not_show_userpassword(on_slapd):
    """ldaplogin may not read it: SCRAM cannot work, and the log says why; PLAIN is the server's to check."""
    on_slapd.control("ldaplogin", None)
    on_slapd.control("ldappassword", None)
    on_slapd.start()
    assert try_login(on_slapd, "u1", SECRET)[0] == 535
    assert on_slapd.wait_event("directory-no-secret")[0]["user"] == "u1"
    s = submit(on_slapd)
    assert s.docmd("AUTH PLAIN " + plain("u4", SECRET))[0] == 235
    s.close()


def test_password_changed_on_the_server(on_slapd):
    """Secrets are never kept: the next login sees the new one."""
    on_slapd.start()
    assert try_login(on_slapd, "u1", SECRET)[0] == 235
    on_slapd.slapd.modify(f"dn: uid=u1,ou=people,dc=campus,dc=test\nchangetype: modify\nreplace: userPassword\nuserPassword: {stored('fresh')}\n")
    assert try_login(on_slapd, "u1", SECRET)[0] == 535
    assert try_login(on_slapd, "u1", "fresh")[0] == 235


def test_of_two_secrets_the_one_that_was_named(on_slapd):
    """A server gives values in any order: the proof is held against the secret whose salt the client was told."""
    old = stored("old")
    change = "dn: uid=u1,ou=people,dc=campus,dc=test\nchangetype: modify\nreplace: userPassword\n"
    on_slapd.slapd.modify(change + f"userPassword: {old}\n")
    on_slapd.start()
    s = submit(on_slapd)
    e, said = begun(s, "old")
    on_slapd.slapd.modify(change + f"userPassword: {stored('new')}\nuserPassword: {old}\n")
    assert s.docmd(b64(e.final(said)))[0] == 334 and s.docmd("")[0] == 235
    s.close()
    assert try_login(on_slapd, "u1", "new")[0] == 235


# ---- postern-directory alone ----

IP = "192.0.2.1"


@pytest.fixture(scope="module")
def alone_text():
    return person("anna", "userPassword: " + stored(SECRET)) + person("ben", "userPassword: " + ssha(SECRET)) \
        + person("gone", "accountStatus: deleted", "userPassword: " + stored(SECRET))


@pytest.fixture(scope="module")
def directory(tmp_path_factory, alone_text):
    files = {**CONTROL, "directory.ldif": alone_text, "authmechanisms": "PLAIN SCRAM-SHA-256", "authfailsperaccount": "0"}
    mine, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
    mine.setblocking(False)
    p = Program("directory", state_folder(tmp_path_factory), files, ["in", theirs]).start()
    assert p.said == "ready", p.said + p.log()
    p.skim = mine
    yield p
    assert p.stop() == 0, p.log()


def told(p):
    """What skim was told since the last time."""
    out = []
    try:
        while True:
            out.append([x.decode() for x in netstrings(p.skim.recv(2000))])
    except BlockingIOError:
        return out


def exchange(p, user="anna", password=SECRET, ip=IP):
    e = scram.Exchange(user, password)
    verdict, text, first, ticket = p.ask("salt", user, ip, e.nonce)
    assert (verdict, text) == (b"Y", b"") and len(ticket) == 40
    e.final(first.decode())
    return e, ["proof", user, ip, ticket, first, e.bare, e.without, e.proof]


def test_a_proof(directory):
    told(directory)
    e, question = exchange(directory)
    got = directory.ask(*question)
    assert got[0] == b"Y" and got[1].decode() == e.wanted and got[2] == b"anna"
    assert told(directory) == [["L", "anna", IP, "submission SCRAM-SHA-256", "", "y", "1"]]
    _, wrong = exchange(directory, password="wrong")
    assert [x.decode() for x in directory.ask(*wrong)] == ["N", "wrong name or password"]
    _, nobody = exchange(directory, user="nobody")
    assert [x.decode() for x in directory.ask(*nobody)] == ["N", "wrong name or password"]
    _, ben = exchange(directory, user="ben")
    assert [x.decode() for x in directory.ask(*ben)] == ["N", "wrong name or password"]
    _, gone = exchange(directory, user="gone")
    assert [x.decode() for x in directory.ask(*gone)] == ["N", "wrong name or password"]
    assert [x[5] for x in told(directory)] == ["n", "u", "n", "u"]


@pytest.mark.parametrize("field,value", [(1, "ben"), (1, "anna@campus.test"), (2, "192.0.2.2"), (3, bytes(40)), (3, bytes(39)), (4, "r=x,s=c2FsdA==,i=4096"), (4, "")])
def test_a_ticket_is_for_one_exchange(directory, field, value):
    """Another user, client or message than the ticket's is not looked at: temporary, and no guess."""
    told(directory)
    _, question = exchange(directory)
    question[field] = value
    assert directory.ask(*question)[0] == b"T"
    assert told(directory) == []


@pytest.mark.parametrize("field", [5, 6, 7])
def test_what_is_proved_cannot_be_changed(directory, field):
    _, question = exchange(directory)
    value = question[field] if isinstance(question[field], bytes) else question[field].encode()
    question[field] = value[:-1] + bytes([value[-1] ^ 1])
    assert directory.ask(*question)[0] == b"N"


@pytest.mark.parametrize("question", [("salt", "anna", IP), ("salt", "anna", IP, "x" * 257), ("salt", "anna", IP, "a\n"), ("salt", "anna", "\n", "x"),
                                      ("proof", "anna", IP, "t", "f", "b", "w"), ("proof", "anna", IP, "t", "f", "b", "w", "p" * 33), ("proof", "anna", IP, "t" * 41, "f", "b", "w", "p")])
def test_bad_questions_are_dropped(directory, question):
    assert directory.ask(*question) == []
    assert directory.ask("rcpt", "anna@campus.test")[0] == b"Y"


@pytest.mark.parametrize("name", ["", "x" * 600])
def test_names_that_are_none(directory, name):
    assert directory.ask("salt", name, IP, "nonce")[0] == b"T"


def test_no_answer_holds_a_secret(directory):
    e, question = exchange(directory)
    answers = [directory.ask("salt", "anna", IP, "nonce"), directory.ask(*question), directory.ask("route", "anna@campus.test"), directory.ask("auth", "anna", SECRET, IP)]
    secret = stored(SECRET, base64.b64decode(e.said["s"]), int(e.said["i"])).split(",")[2:]
    for answer in answers:
        assert not any(s.encode() in field or base64.b64decode(s) in field for s in secret for field in answer)
    assert not any(s in directory.log() for s in secret)


@pytest.fixture(scope="module")
def directory_on_slapd(tmp_path_factory, alone_text):
    d = slapd_module.Slapd(tmp_path_factory.mktemp("slapd"), slapd_module.TREE + alone_text).start()
    files = {**CONTROL, "ldapserver": f"127.0.0.1:{d.port}", "ldapbasedn": slapd_module.BASE, "ldaplogin": slapd_module.ADMIN, "ldappassword": slapd_module.SECRET,
             "authmechanisms": "PLAIN SCRAM-SHA-256", "authfailsperaccount": "0"}
    p = Program("directory", state_folder(tmp_path_factory), files, ["in"]).start()
    assert p.said == "ready", p.said + p.log()
    wait_for(lambda: p.ask("rcpt", "anna@campus.test")[0] == b"Y")
    yield p
    assert p.stop() == 0, p.log()
    d.kill()


@pytest.mark.parametrize("which", ["directory", "directory_on_slapd"])
def test_the_clock_does_not_tell_who_exists(request, which):
    directory = request.getfixturevalue(which)

    def took(user):
        _, question = exchange(directory, user=user, password="wrong")
        began = time.monotonic()
        directory.ask("salt", user, IP, "nonce")
        middle = time.monotonic()
        assert directory.ask(*question)[0] == b"N"
        return middle - began, time.monotonic() - middle
    times = {user: [] for user in ("anna", "ben", "nobody")}
    for _ in range(100):
        for user, list_ in times.items():
            list_.append(took(user))
    for step in (0, 1):
        least = [min(t[step] for t in list_) for list_ in times.values()]
        assert max(least) < 1.5 * min(least) + 50e-6, (step, least)  # one PBKDF2 takes 2000e-6


def test_not_offered_is_not_answered(tmp_path_factory):
    """A session that was taken over learns no salt where the site does not use them."""
    p = Program("directory", state_folder(tmp_path_factory), {**CONTROL, "directory.ldif": person("anna", "userPassword: " + stored(SECRET))}, ["in"]).start()
    assert p.ask("salt", "anna", IP, "nonce")[0] == b"T"
    assert p.ask("auth", "anna", SECRET, IP)[0] == b"Y"
    assert p.stop() == 0


def test_faulty_settings_do_not_start(tmp_path_factory):
    for name, text in (("authmechanisms", "PLAIN XYZ"), ("scramkey", "short")):
        p = Program("directory", state_folder(tmp_path_factory), {**CONTROL, "directory.ldif": person("anna"), name: text}, ["in"]).start()
        assert p.said.startswith("fatal:") and name in p.said
        p.process.wait(60)
        assert p.process.returncode == 111
