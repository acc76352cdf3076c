"""Ports 587 and 465: real clients against the whole suite, and postern-smtpd alone with a directory and a postern-tls that the test plays,
for what only a hostile client or a broken neighbour does."""
import os
import shutil
import smtplib
import socket
import subprocess
import time

import pytest

import slapd
from certificates import NO_CHECK
from conftest import many, wait_for
from processes import at_once, memory
from scram import b64
from submission import MESSAGE, SECRET, msmtp, people, plain, sent_as, site, ssha, submit  # noqa: F401 (a fixture)
from submission_alone import Submission

# ---- real clients, whole suite ----

def test_smtplib_starttls(site):
    site.start()
    s = smtplib.SMTP("127.0.0.1", site.s587, local_hostname="client.test", timeout=30)
    s.ehlo()
    assert not s.has_extn("auth") and s.has_extn("starttls")
    s.starttls(context=NO_CHECK)
    s.ehlo()
    assert s.esmtp_features["auth"].split() == ["PLAIN", "LOGIN"]
    s.login("u1", SECRET)
    s.ehlo()
    assert not s.has_extn("auth")
    s.sendmail("u1@campus.test", ["u2@campus.test"], b"From: u1@campus.test\r\nSubject: x\r\n\r\nhello\r\n")
    mail = site.wait_mail("u2")[0]
    assert b"with ESMTPSA id" in mail and b"u1)" not in mail and b"user" not in mail.lower().split(b"\n\n")[0]
    assert b"\nDate: " in mail and b"\nMessage-ID: <" in mail and b"@mx1.campus.test>\n" in mail
    handed = site.wait_event("smtpd-handed")[0]
    assert handed["user"] == "u1"
    assert site.wait_event("smtpd-login")[0]["user"] == "u1" and not site.events("smtpd-foreign")
    s.sendmail("stranger@elsewhere.test", ["u2@campus.test"], MESSAGE)  # not the account's: not refused, but told
    assert site.wait_event("smtpd-foreign")[0] | {"pid": 0, "id": ""} == {
        "program": "smtpd", "pid": 0, "id": "", "user": "u1", "sender": "stranger@elsewhere.test", "envelope": "foreign", "from": "own"}
    assert s.rcpt("any@where.example")[0] == 503
    assert s.mail("u1@campus.test")[0] == 250
    assert s.rcpt("any@where.example")[0] == 250      # may send anywhere …
    assert s.rcpt("nobody@campus.test")[0] == 550     # … but not to nobody
    s.quit()
    assert SECRET not in site.log() and b64(SECRET) not in site.log()


def test_smtp_ssl_and_receiveduser(site):
    site.control("receiveduser", "1")
    site.start()
    with smtplib.SMTP_SSL("127.0.0.1", site.s465, local_hostname="client.test", timeout=30, context=NO_CHECK) as s:
        s.ehlo()
        assert not s.has_extn("starttls")
        assert s.docmd("STARTTLS")[0] == 502
        s.login("u1@campus.test", SECRET)  # an address of the account will do
        s.sendmail("alias1@campus.test", ["u2@campus.test"], MESSAGE)
    mail = site.wait_mail("u2")[0]
    assert b"\n  (user u1)\n" in mail and b"with ESMTPSA" in mail
    assert not site.events("smtpd-foreign")
    assert site.events("smtpd-login")[0]["user"] == "u1"
    with socket.create_connection(("127.0.0.1", site.s465), 10) as s:  # who speaks in clear hears nothing in clear
        s.sendall(b"EHLO x\r\n")
        got = b""
        try:
            while data := s.recv(1000):
                got += data
        except ConnectionResetError:
            pass
        assert b"220" not in got and b"250" not in got


def clients(site):
    to, frm = "u2@campus.test", "u1@campus.test"
    (site.folder / "mail.txt").write_bytes(MESSAGE)
    swaks = ["swaks", "--to", to, "--from", frm, "--auth-user", "u1", "--auth-password", SECRET, "--hide-all"]
    curl = ["curl", "-sSk", "--mail-from", frm, "--mail-rcpt", to, "--upload-file", str(site.folder / "mail.txt"), "-u", f"u1:{SECRET}"]
    url = f"smtp://u1:{SECRET.replace(' ', '%20')}@127.0.0.1:{site.s587}"
    return {
        "swaks-plain": [*swaks, "--server", f"127.0.0.1:{site.s587}", "-tls", "--auth", "PLAIN"],
        "swaks-login": [*swaks, "--server", f"127.0.0.1:{site.s587}", "-tls", "--auth", "LOGIN"],
        "swaks-465": [*swaks, "--server", f"127.0.0.1:{site.s465}", "-tlsc", "--auth", "PLAIN"],
        "curl-smtps": [*curl, f"smtps://127.0.0.1:{site.s465}/client.test"],
        "curl-starttls": [*curl, "--ssl-reqd", f"smtp://127.0.0.1:{site.s587}/client.test"],
        "curl-login": [*curl, "--ssl-reqd", "--login-options", "AUTH=LOGIN", f"smtp://127.0.0.1:{site.s587}/client.test"],
        "msmtp": [*msmtp(site), to],
        "s-nail": ["s-nail", "-:", "/", "-Sv15-compat", "-Stls-verify=ignore", "-Ssmtp-use-starttls", f"-Smta={url}", "-Ssmtp-auth=plain",
                   "-Sfrom=" + frm, "-Shostname=client.test", "-s", "x", to],
    }


def test_clients(site):
    site.start()
    for n, (name, command) in enumerate(clients(site).items(), 1):
        assert shutil.which(command[0]), f"install {command[0]}"
        text = MESSAGE.replace(b"\r", b"") if name in ("msmtp", "s-nail") else MESSAGE
        p = subprocess.run(command, input=text, capture_output=True, timeout=60, env={**os.environ, "HOME": str(site.folder)})
        assert p.returncode == 0, (name, p.stdout, p.stderr)
        assert len(site.wait_mail("u2", n)) == n, name
    assert len(site.events("smtpd-login")) == n and not site.events("smtpd-foreign")
    assert SECRET not in site.log()


@pytest.mark.parametrize("user,password,code", [
    ("u1", "wrong", "535 5.7.8"), ("nobody", SECRET, "535 5.7.8"), ("u1", "", "535 5.7.8"), ("u3", SECRET, "535 5.7.13"),
    ("u4", "unused", "535 5.7.8"), ("*", SECRET, "535 5.7.8"), ("*)(uid=*", SECRET, "535 5.7.8"), ("u1", SECRET + "\0x", "535 5.7.8"),
])
def test_refused(site, user, password, code):
    site.start()
    s = submit(site)
    began = time.monotonic()
    got, text = s.docmd("AUTH PLAIN " + plain(user, password))
    assert f"{got} {text.decode()}".startswith(code)
    assert time.monotonic() - began > 0.9
    assert s.mail("u1@campus.test")[0] == 530
    assert site.wait_event("smtpd-login-failed")[0]["failures"] == "1"
    s.login("u1", SECRET)
    s.close()


def test_third_failure_ends_the_session(site):
    site.start()
    s = submit(site)
    pauses = []
    for code in (535, 535, 421):
        began = time.monotonic()
        assert s.docmd("AUTH PLAIN " + plain("u1", "guess"))[0] == code
        pauses.append(time.monotonic() - began)
    assert pauses[0] > 0.9 and pauses[1] > 1.9 and pauses[2] > 3.9
    with pytest.raises(smtplib.SMTPServerDisconnected):
        s.noop()
    assert "guess" not in site.log() and b64("guess") not in site.log() and plain("u1", "guess") not in site.log()


def test_slapd_by_bind(site):
    d = slapd.Slapd(site.folder / "slapd", slapd.with_tree(people(ssha(SECRET)))).start()
    try:
        slapd.asked_by(site, d, ldaptimeout="20")
        site.start()
        s = submit(site)
        assert s.docmd("AUTH PLAIN " + plain("u1", "wrong"))[0] == 535
        assert s.docmd("AUTH PLAIN " + plain("u1", ""))[0] == 535  # an LDAP server takes an empty password for nobody's
        s.close()
        s = submit(site, "u1")
        s.sendmail("u1@campus.test", ["u2@campus.test"], MESSAGE)
        site.wait_mail("u2")
        s.close()
        d.kill()
        s = submit(site)
        assert s.docmd("AUTH PLAIN " + plain("u1", SECRET))[0] == 454  # unknown is never wrong
        s.close()
    finally:
        d.kill()


def test_relayclient_needs_no_login(site):
    site.control("tcp.submission", '127.0.0.1:allow,RELAYCLIENT=""\n:allow')
    site.start()
    s = smtplib.SMTP("127.0.0.1", site.s587, local_hostname="webmail.test", timeout=30)
    s.ehlo()
    s.sendmail("u1@campus.test", ["u2@campus.test"], b"Subject: x\r\n\r\nhello\r\n")
    mail = site.wait_mail("u2")[0]
    assert b"with ESMTP id" in mail and b"\nMessage-ID: <" in mail
    s.close()
    with smtplib.SMTP("127.0.0.1", site.port, local_hostname="far.test", timeout=30) as s:  # the other door knows nothing of it
        s.ehlo()
        assert s.docmd("AUTH PLAIN " + plain("u1", SECRET))[0] == 502
        s.mail("a@far.test")
        assert s.rcpt("any@where.example")[0] == 550


def test_no_certificate_is_a_fault(site):
    site.control("servercert.pem", None)
    p = site.launch()
    p.stdout.read()
    assert p.wait(30) == 111 and "servercert.pem: missing: listen names submission" in site.stderr()


def test_scan_has_workers_of_its_own(site):
    site.control("banned", "*.exe")
    site.start()
    s = submit(site, "u1")
    bad = (b"From: u1@campus.test\r\nContent-Type: application/octet-stream; name=x.exe\r\nContent-Disposition: attachment; filename=x.exe\r\n"
           b"MIME-Version: 1.0\r\n\r\nMZ\r\n")
    with pytest.raises(smtplib.SMTPDataError) as e:
        s.sendmail("u1@campus.test", ["u2@campus.test"], bad)
    assert 500 <= e.value.smtp_code < 600
    s.close()
    rows = {(r["program"], r["lane"]): r["started"] for r in site.json("privileges", check=None)["programs"]}
    for program in ("door", "smtpd", "tls", "scan"):
        assert rows[program, "submission"] and rows[program, "outside"], program
    assert rows["fixup", "submission"] and not rows["fixup", "outside"]


# ---- postern-smtpd alone ----

@pytest.fixture(scope="module")
def shared():
    d = Submission()
    yield d
    d.close()


@pytest.fixture
def alone():
    with many(Submission, Submission.close) as make:
        yield make


TABLE = [  # spec, commands before, command, start of the reply
    ("4954 4 inside TLS alone", ["EHLO x"], "AUTH PLAIN " + plain("u1", SECRET), "538 5.7.11"),
    ("4954 4 inside TLS alone", ["EHLO x"], "AUTH LOGIN", "538 5.7.11"),
    ("6409 4.3", ["EHLO x"], "MAIL FROM:<u1@campus.test>", "530 5.7.0 log in first, with STARTTLS"),
    ("6409 4.3", ["EHLO x", "STARTTLS", "EHLO x"], "MAIL FROM:<u1@campus.test>", "530 5.7.0"),
    ("4954 4 before EHLO", ["EHLO x", "STARTTLS"], "AUTH LOGIN", "503 5.5.1"),
    ("3207 4.2 what was before STARTTLS is forgotten", ["EHLO x", "AUTH PLAIN " + plain("u1", SECRET), "STARTTLS", "EHLO x"],
     "MAIL FROM:<u1@campus.test>", "530 5.7.0"),
    ("4954 4", ["I"], "AUTH", "501 5.5.4"),
    ("4954 4", ["I"], "AUTH CRAM-MD5", "504 5.5.4"),
    ("4954 4", ["I"], "AUTH PLAIN =", "501 5.5.2"),
    ("4954 4", ["I"], "AUTH PLAIN !", "501 5.5.2"),
    ("4954 4", ["I", "AUTH PLAIN"], "*", "501 5.7.0"),
    ("4954 4", ["I", "AUTH LOGIN"], "*", "501 5.7.0"),
    ("4954 4", ["I", "AUTH LOGIN", b64("u1")], "*", "501 5.7.0"),
    ("4954 4", ["I", "AUTH PLAIN"], plain("u1", SECRET), "235 2.7.0"),
    ("4954 4", ["I", "AUTH LOGIN", b64("u1")], b64(SECRET), "235 2.7.0"),
    ("4954 4", ["I", "AUTH LOGIN " + b64("u1")], b64(SECRET), "235 2.7.0"),
    ("4954 4 the exchange may be tried again", ["I", "AUTH PLAIN", "*"], "AUTH PLAIN " + plain("u1", SECRET), "235 2.7.0"),
    ("4954 4 once", ["I", "AUTH PLAIN " + plain("u1", SECRET)], "AUTH PLAIN " + plain("u1", SECRET), "503 5.5.1 you are"),
    ("4954 4 not in a transaction", ["I", "AUTH PLAIN " + plain("u1", SECRET), "MAIL FROM:<u1@campus.test>"], "AUTH LOGIN", "503 5.5.1 AUTH"),
    ("4954 5", ["I", "AUTH PLAIN " + plain("u1", SECRET)], "MAIL FROM:<u1@campus.test> AUTH=<> SIZE=5", "250 2.1.0"),
    ("4954 4.3 longest line", ["I", "AUTH PLAIN"], "A" * 12286, "501 5.5.2"),
    ("4954 4.3 too long", ["I", "AUTH PLAIN"], "A" * 12287, "500 5.5.6"),
    ("4954 4.3 longest command", ["I"], "AUTH PLAIN " + "A" * 12275, "501 5.5.2"),
    ("a command that is a password is logged by nobody", ["I"], "HUNTER2 hunter2 hunter2", "500 5.5.1"),
    ("control octets", ["I", "AUTH PLAIN"], "AHUx\x01", "501 5.5.2"),
]


@pytest.mark.parametrize("spec,before,command,start", TABLE, ids=range(len(TABLE)))
def test_table(shared, spec, before, command, start):
    if before[0] == "I":
        c, before = shared.inside(), before[1:]
    else:
        c = shared.connect(listener="submission")
    for b in before:
        c.do(b)
    code, text = c.do(command)
    assert f"{code} {text}".startswith(start), spec
    c.close()
    assert SECRET not in shared.log() and "hunter2" not in shared.log() and plain("u1", SECRET) not in shared.log()


def test_input_behind_auth_is_never_obeyed(shared):
    c = shared.inside()
    code, _ = c.do(b"AUTH PLAIN " + plain("u1", SECRET).encode() + b"\r\nMAIL FROM:<u1@campus.test>\r\n")
    assert code == 554 and c.closed()


def test_injection_before_tls_is_never_obeyed(shared):
    c = shared.connect(listener="submission")
    c.ehlo()
    assert c.do(b"STARTTLS\r\nAUTH PLAIN " + plain("u1", SECRET).encode() + b"\r\n")[0] == 554 and c.closed()


@pytest.mark.parametrize("sender,header,flags", [
    ("u1@campus.test", "From: u1@campus.test", ""),
    ("U1@CAMPUS.test", 'From: "x@y" <FIRST.last@Campus.test>', ""),
    ("", "From: alias1@campus.test", ""),
    ("u1@old.test", "From: u1@sub.old.test", ""),
    ("u2@campus.test", "From: u1@campus.test", "F"),
    ("u1@campus.test", "From: boss@campus.test", "G"),
    ("u1@campus.test", "From: u1@campus.test, boss@campus.test", "G"),
    ("u1@campus.test", "From: u1@campus.test\r\nFrom: boss@campus.test", "G"),
    ("u1@campus.test", "From: <<>", "G"),
    ("u1@campus.test", "Subject: no From", ""),
    ("a@far.test", "From: b@far.test", "FG"),
])
def test_envelope(alone, sender, header, flags):
    d = alone(fixupdomains="old.test:campus.test\n.old.test:campus.test")
    c = d.logged_in()
    c.envelope(sender, ["any@where.example", "u2@campus.test"])
    assert c.do(f"{header}\r\n\r\nx\r\n.\r\n".encode())[0] == 250
    job = d.wait_jobs(1)[0]
    assert job.record("C") == [b"s"] and job.record("U") == [b"u1"]
    assert "".join(k for k, _ in job.records if k in "FG") == flags
    assert ("smtpd-foreign" in d.log()) == bool(flags)
    assert job.record("R") == [b"any@where.example", b"u2@campus.test"]


def test_webmail_host_has_no_user(alone):
    d = alone()
    c = d.connect({"RELAYCLIENT": ""}, listener="submission")
    c.start("u1@campus.test", ["any@where.example"])
    assert c.do(b"From: other@campus.test\r\n\r\nx\r\n.\r\n")[0] == 250
    job = d.wait_jobs(1)[0]
    assert job.record("C") == [b"s"] and not job.record("U") and not job.record("F") and not job.record("G")


def test_login_is_over_with_the_session(shared):
    shared.logged_in().close()
    c = shared.inside()
    assert c.do("MAIL FROM:<u1@campus.test>")[0] == 530


def test_directory_dies_over_a_password(alone):
    d = alone()
    d.auth_answer = None
    c = d.inside()
    for _ in range(2):
        assert c.do("AUTH PLAIN " + plain("u1", SECRET))[0] == 454
    d.auth_answer = True
    assert c.do("AUTH PLAIN " + plain("u1", SECRET))[0] == 235
    assert c.do("MAIL FROM:<u1@campus.test>")[0] == 250


@pytest.mark.parametrize("text", [plain("u1", ""), plain("", SECRET), plain("u1", SECRET, "u2"), plain("u1", "a\0b"), plain("u" * 321, SECRET)])
def test_impossible_is_not_asked(shared, text):
    c = shared.inside()
    before = len(shared.questions)
    assert c.do("AUTH PLAIN " + text)[0] == 535
    assert len(shared.questions) == before


def test_tls_at_once_that_fails_says_nothing(alone):
    d = alone()
    d.tls_answer = False
    c = d.connect(listener="submissions", greeting=False)
    assert c.closed()
    assert "no shared cipher" in d.log()


def test_tls_at_once(shared):
    c = shared.logged_in(listener="submissions")
    assert c.do("STARTTLS")[0] == 502


def test_client_leaves_in_the_exchange(alone):
    d = alone(timeoutsmtpd="5")
    c = d.inside()
    assert c.do("AUTH LOGIN")[0] == 334
    c.close()
    c = d.inside()
    assert c.do("AUTH LOGIN")[0] == 334
    assert c.reply()[0] == 421  # and after a while this one too
    wait_for(lambda: not d.children())


def test_password_leaves_no_trace_in_memory(alone):
    """What was sent as a password is in no writable page of the session afterwards."""
    if os.geteuid() != 0:
        pytest.skip("looks into another user's process")
    d = alone()
    for login in (["AUTH PLAIN " + plain("u1", SECRET)], ["AUTH LOGIN", b64("u1"), b64(SECRET)], ["AUTH PLAIN", plain("u1", SECRET)]):
        c = d.inside()
        for line in login:
            code, _ = c.do(line)
        assert code == 235
        pid = d.children()[-1]
        wanted = [SECRET.encode(), login[-1].split()[-1].encode()]
        looked_at = 0
        for line, data in memory(pid, "w"):
            looked_at += len(data)
            for w in wanted:
                assert w not in data, (line, w)
        assert looked_at > 100000
        c.close()
        wait_for(lambda: not d.children())


def auth(suite, source, password):
    with submit(suite, source=source) as s:
        return s.docmd("AUTH PLAIN " + plain("u1", password))[0]


def test_credential_stuffing_stops_who_guesses_and_not_the_owner(site):
    """A limit for the account and the network together; a network that the owner has logged in from is not limited."""
    site.control("authfailsperaccount", "2/3600")
    site.start()
    assert auth(site, "127.0.7.1", SECRET) == 235
    assert at_once(lambda guess: auth(site, "127.0.5.1", guess), "ab") == [535] * 2
    assert auth(site, "127.0.5.9", SECRET) == 454  # not tried, so a right guess tells nothing
    assert auth(site, "127.0.6.1", SECRET) == 235
    assert at_once(lambda guess: auth(site, "127.0.7.1", guess), "cde") == [535] * 3
    assert auth(site, "127.0.7.1", SECRET) == 235
    assert "directory-guesses" in site.log()


OWN = [("u1@campus.test", "u1@campus.test"), ("u1@campus.test", "Office <office@campus.test>"), ("any@lists.test", "u1@campus.test"),
       ("u1@campus.test", '"Me" (not u2@campus.test) <U1@CAMPUS.test>'), ("", "u1@campus.test"),
       ("u1+list@campus.test", "Alias1+a+b@campus.test")]
OTHERS = [("u2@campus.test", "u1@campus.test", 553), ("u1@campus.test", "u2@campus.test", 550), ("u1@campus.test", "u1@campus.test, u2@campus.test", 550),
          ("u1@campus.test", "u1@campus.test <u2@campus.test>", 550), ("any@lists.test.evil.test", "u1@campus.test", 553), ("u1@campus.test", "u1", 550),
          ("u2+u1@campus.test", "u1@campus.test", 553), ("u1@campus.test", '"u1+x"@campus.test', 550), ("u1+x@far.test", "u1@campus.test", 553)]


def test_others_addresses_are_refused_where_the_site_wants_it(site):
    site.control("sendas", "u1:office@campus.test\n*:@lists.test")
    site.control("sendasothers", "refuse")
    site.start()
    s = submit(site, "u1")
    for envelope, header in OWN:
        assert sent_as(s, envelope, header) == 250, (envelope, header)
    for envelope, header, code in OTHERS:
        assert sent_as(s, envelope, header) == code, (envelope, header)
    s.close()


def test_others_addresses_are_recorded_by_default(site):
    site.start()
    s = submit(site, "u1")
    for envelope, header, _ in OTHERS:
        assert sent_as(s, envelope, header) == 250, (envelope, header)
    s.close()
    wait_for(lambda: site.log().count(" smtpd-foreign ") == len(OTHERS))


def test_scanning_begins_with_a_reload(site):
    """A program that keeps state is started anew when what stands behind it is another program than before."""
    exe = (b"From: u1@campus.test\r\nTo: u2@campus.test\r\nSubject: x\r\nMIME-Version: 1.0\r\nContent-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\n"
           b"Content-Type: application/octet-stream; name=\"holiday.exe\"\r\n\r\nMZ\r\n--b--\r\n")

    def answer():
        s = submit(site, "u1")
        s.mail("u1@campus.test")
        s.rcpt("u2@campus.test")
        code = s.data(exe)[0]
        s.close()
        return code

    site.start()
    assert answer() == 250
    site.control("banned", "*.exe")
    site.reload()
    codes = []
    wait_for(lambda: codes.extend(answer() for _ in range(3)) or codes[-3:] == [550] * 3, why=lambda: codes)
    assert set(codes) <= {250, 550}
    site.control("banned", None)
    site.reload()
    wait_for(lambda: codes.extend(answer() for _ in range(3)) or codes[-3:] == [250] * 3, why=lambda: codes)
    assert set(codes) <= {250, 550}


def test_lmtp_begins_with_a_reload(site):
    """The same for the queue, under mail: nothing is lost and nothing comes twice."""
    site.start()
    s = site.smtp()
    s.ehlo()
    ids = set()
    for i in range(40):
        if i == 10:
            site.control("lmtproutes", "lmtp.test:127.0.0.1:1")
            site.reload()
        assert s.mail("a@far.test")[0] == 250 and s.rcpt("u1@campus.test")[0] == 250
        code, text = s.data(b"Subject: %d\r\n\r\nx\r\n" % i)
        assert code == 250
        ids.add(text.split()[-1].decode())
        time.sleep(0.02)
    s.close()
    mail = site.wait_mail("u1", 40)
    assert len(mail) == len(ids) == 40
    assert site.log().count("queue[") and site.log().count(" - queue-recovered ") == 2
