"""Classes of attacks on mail servers, each with a test of its name, against the whole suite: 25, 587 and 465, TLS, a directory, a far side.  docs/attacks.md has all
classes and where else they are tested."""
import base64
import concurrent.futures
import contextlib
import email
import email.policy
import os
import pathlib
import re
import shutil
import socket
import ssl
import subprocess
import time

import pytest

from conftest import wait_for, whole_suite
from processes import at_once, memory, standing_still, traced
from smtp_client import Client
from smtp_server import Scripted
from submission import SECRET, all_ports, people, ssha
from timing import within

MESSAGE = b"From: a@far.test\r\nTo: b@campus.test\r\nSubject: x\r\n\r\nhello\r\n"


# What a far side may say to RCPT, of evil0, evil1 …: it goes into the bounce and the log
REPLIES = [b"550 5.1.1 a\rX-Injected: yes\r\n", b"550 5.1.1 a\nX-Injected: yes\r\n", b"550-5.1.1 a\r\n550-X-Injected: yes\r\n550-\r\n550 --boundary\r\n", b"550 5.7.2\r\n", b"550\r\n", b"550 5.1.1 \x00\x1b[2J\xff\x9b\r\n",
           b"550 5.1.1 " + b"x" * 1900 + b"\r\n", b"550 5.1.1 =?utf-8?q?=0D=0AX-Injected:?= yes\r\n", b"550 5.1.1;Action: delivered\r\n", b"550 99.99.99 x\r\n", b"550 5.1.1 %s%n $(id) {}\r\n"]
TOO_LONG = b"550 " + b"x" * 5000 + b"\r\n"  # nobody reads it to its end: the mail waits


def far_rcpt(talk):
    evil = re.search(rb"evil(\d+)@", talk.lines[-1])
    return TOO_LONG if b"toolong" in talk.lines[-1] else REPLIES[int(evil[1])] if evil else "550 5.1.1 nobody here\r\n" if b"refused" in talk.lines[-1] else "250 2.1.5 ok\r\n"


@pytest.fixture(scope="module")
def far():
    server = Scripted({"RCPT": far_rcpt})
    yield server
    server.close()


@pytest.fixture(scope="module")
def site(far):
    with whole_suite() as s:
        all_ports(s)
        s.control("directory.ldif", people(ssha(SECRET), ssha("other")))
        s.control("rcpthosts", "far.test")
        s.control("smtproutes", f":127.0.0.1:{far.port}")
        s.control("tcp.smtp", '127.0.0.66:allow,RBLSMTPD="-go away"\n:allow')
        s.control("fixupdomains", "old.test:campus.test")
        s.control("tarpitdelay", "0")
        s.control("authfailsperaccount", "0")
        s.control("timeoutsmtpd", "10")
        yield s.start()


class Rude(Client):
    """.say() gives the whole reply as it came, b"" where the connection ended."""
    def __init__(self, site, port=None, source="127.0.0.1", greeting=True):
        super().__init__(socket.create_connection(("127.0.0.1", port or site.port), 20, (source, 0)))
        if port and port == site.s465:
            self.wrap()
        if greeting:
            assert self.reply()[0] == 220

    def say(self, line):
        try:
            self.send((line if isinstance(line, bytes) else line.encode()) + b"\r\n")
        except OSError:
            return b""
        try:
            return b"".join(line + b"\r\n" for line in self.lines())
        except (EOFError, ConnectionError, ssl.SSLError):
            return b""

    def code(self, line):
        return self.say(line)[:3].decode()


def quoted(text):
    return '"' + re.sub(r'(["\\])', r"\\\1", text) + '"'


def xtext(data):
    return "".join(chr(b) if 33 <= b <= 126 and b not in b"+=" else f"+{b:02X}" for b in data)


def alive(site, before):
    """Nobody has died of it, and mail goes on."""
    assert site.pids("queue") + site.pids("door") + site.pids("directory") == before and not site.events("died") and not site.events("smtpd-killed")
    assert site.send("a@far.test", "u3@campus.test", MESSAGE)[0] == 250


@pytest.fixture
def whole(site):
    before = site.pids("queue") + site.pids("door") + site.pids("directory")
    yield site
    alive(site, before)


# ---- text that means something to somebody else ----

METACHARACTERS = [";touch {f};", "`touch {f}`", "$(touch {f})", "|touch {f}", "&touch {f}&", ">{f}", "<{f}", "a;sh -c 'touch {f}'", "'; touch {f}; '", "\\;touch {f}", "-oQ{f}", "--",
                  "-f", "../../../{f}", "~root", "*", "?", "[a-z]", "{{a,b}}", "#", "!!", "%s%n%x", "a b", "$IFS", "${{HOME}}", "|/bin/sh", "/dev/null", ":include:{f}", "a'b", 'a"b', "a\\b"]
EXPANSIONS = ["${{run{{/usr/bin/touch {f}}}}}", "${{run{{\\x2fusr\\x2fbin\\x2ftouch\\x20{f}}}}}", "${{lookup{{x}}lsearch{{/etc/passwd}}}}", "$acl_m0", "${{if eq{{a}}{{a}}}}", "%(x)s", "%{{x}}", "%n%n%n%n",
              "{{{{7*7}}}}", "${{jndi:ldap://127.0.0.1/}}", "$local_part", "\\n", "\\r\\nRCPT TO:<u2@campus.test>", "%0d%0aRCPT", "+0D+0A", "=0D=0A", '{{"a":"b"}}', "a\\u000ab"]
SHELLSHOCK = ["() {{ :;}};touch {f}", "() {{ :; }}; /bin/touch {f}", "() {{ _; }} >_[$($())] {{ touch {f}; }}"]


def envelope_slots(site, far, texts, tmp_path):
    """Each text in HELO, MAIL, RCPT, ENVID and ORCPT; it comes out as it went in, and no program is run meanwhile."""
    made, trace = pathlib.Path(f"/tmp/p{os.getpid()}"), tmp_path / "trace"
    with traced(site.pids(), "-f", "-o", str(trace), "-e", "trace=execve,execveat"):
        done = []
        for text in (t.format(f=made) for t in texts):
            local = quoted(text)
            with Rude(site) as c:
                assert c.code("EHLO " + (text if " " not in text else text.replace(" ", "_"))) == "250"
                assert c.code(f"MAIL FROM:<{local}@far.test> ENVID={xtext(text.encode())}") == "250", text
                assert c.code(f"RCPT TO:<{local}@campus.test>") == "550", text
                assert c.code(f"RCPT TO:<u1@campus.test> ORCPT=rfc822;{xtext(text.encode())}") == "250"
                assert c.code(f"RCPT TO:<{local}@far.test>") == "250"
                assert c.code("DATA") == "354"
                assert c.say(MESSAGE + b".").startswith(b"250"), text
                done.append(local)
        mails = site.wait_mail("u1", len(done))
        paths = [m.split(b"\n")[0] for m in mails]

        def arrived():
            return [line for s in far.sessions for line in s.lines]
        for local in done:
            # what needs no quotes may come without; an address is the same either way
            bare = re.sub(r"\\(.)", r"\1", local[1:-1])
            forms = {local.encode(), bare.encode()}
            assert any(b"Return-Path: <" + f + b"@far.test>" in paths for f in forms), (local, paths)
            wait_for(lambda: any(line.startswith(b"RCPT TO:<" + f + b"@far.test>") for line in arrived() for f in forms), 20, lambda: (local, arrived()[-20:]))
    assert not made.exists()
    assert "exec" not in trace.read_text(), trace.read_text()
    for m in site.maildir("u1").glob("new/*"):
        m.unlink()


NEEDS_STRACE = pytest.mark.skipif(not shutil.which("strace") or os.geteuid() != 0, reason="needs strace and root")


@NEEDS_STRACE
def test_shell_metacharacters(whole, far, tmp_path):
    envelope_slots(whole, far, METACHARACTERS, tmp_path)


@NEEDS_STRACE
def test_expansion_language(whole, far, tmp_path):
    envelope_slots(whole, far, EXPANSIONS, tmp_path)


@NEEDS_STRACE
def test_shellshock(whole, far, tmp_path):
    """Besides, no program has what a client said in its environment."""
    envelope_slots(whole, far, SHELLSHOCK, tmp_path)
    with Rude(whole) as c:
        c.say("EHLO shellshock.test")
        c.say('MAIL FROM:<"() { :;};shellshock"@far.test>')
        for p in whole.pids():
            with contextlib.suppress(FileNotFoundError, ProcessLookupError):  # a session that has ended
                assert b"shellshock" not in pathlib.Path(f"/proc/{p}/environ").read_bytes()


def test_log_injection(whole):
    """What clients say is one printable line for each record, whoever logs it: sessions, the door, AUTH."""
    lines = len(whole.log().splitlines())
    for n, evil in enumerate([b"\x1b[2J\x1b]0;owned\x07", b"\x9b31m", "\u202ereversed".encode(), b"a\nforged line", b"a\rforged", b"a\x00b", b'a" reply="250 ok', b"a\\", b"\xff\xfe", b"x" * 1500]):
        for source in "127.0.0.1", "127.0.0.66":
            with Rude(whole, source=source) as c:
                for command in b"EHLO " + evil, b"MAIL FROM:<" + evil + b"@far.test>", b"RCPT TO:<" + evil + b"@campus.test>", evil, b"MAIL FROM:<" + evil + b"@far.test> SMTPUTF8":
                    c.say(command)
                c.say(b"QUIT")
    with Rude(whole, whole.s465) as c:
        c.say("EHLO client.test")
        c.say("AUTH PLAIN " + base64.b64encode(b"\0u\x1b[2J\n2026-11-29T00:00:00.000000Z smtpd[1] - forged\x9b\0x").decode())
    whole.log()  # all of it is written
    new = [line for f in sorted((whole.state / "log").glob("*")) for line in f.read_bytes().splitlines()][lines:]
    assert len(new) > 40
    for line in new:
        assert all(32 <= b < 127 for b in line), line
        assert re.match(rb"\d{4}-\d\d-\d\dT\S+Z [a-z]+\[\d+\] \S+ [a-z-]+( |$)", line) and len(line) < 4096, line
    assert not [line for line in new if b" forged" in line and b'"' not in line]


def test_dsn_injection(whole, far):
    """ENVID and ORCPT of RFC 3461 in a bounce: what could make a line of its own is refused, or stays encoded; the bounce has its three parts and no field more."""
    with Rude(whole) as c:
        c.say("EHLO client.test")
        for bad in ("ENVID=" + "a" * 101, "ENVID=a+", "ENVID=a+0", "ENVID=a+0g", "ENVID=a=b", "RET=BOTH", "RET=FULL RET=FULL", "ENVID=\x01"):
            assert c.code(f"MAIL FROM:<u2@campus.test> {bad}") in ("501", "500"), bad
        for lines in b"a\r\nX-Injected: yes\r\n\r\nbody", b"a\nb", b"a\rb", b"a\0b":
            assert c.code("MAIL FROM:<u2@campus.test> ENVID=" + xtext(lines)) == "501", lines
    with Rude(whole) as c:
        c.say("EHLO client.test")
        assert c.code("MAIL FROM:<u2@campus.test> RET=HDRS ENVID=" + xtext(b"Arrival-Date: never+2B")) == "250"
        for bad in ("ORCPT=rfc822", "ORCPT=;a", "ORCPT=rfc822;a+zz", "ORCPT=rfc822;" + "a" * 501, "NOTIFY=NEVER,FAILURE", "NOTIFY=", "ORCPT=rfc\x01822;a"):
            assert c.code(f"RCPT TO:<refused@far.test> {bad}") in ("501", "500"), bad
        assert c.code("RCPT TO:<refused@far.test> ORCPT=rfc822;" + xtext(b"x\r\nAction: delivered\r\n\r\nFinal-Recipient: rfc822; y@z")) == "501"
        assert c.code("RCPT TO:<refused@far.test> ORCPT=rfc822;" + xtext(b'<script>"x"@far.test')) == "250"
        assert c.code("DATA") == "354" and c.say(MESSAGE + b".").startswith(b"250")
    bounce = email.message_from_bytes(wait_for(lambda: whole.mails("u2"), 30)[-1], policy=email.policy.default)
    parts = [p.get_content_type() for p in bounce.walk()]
    assert parts[:3] == ["multipart/report", "text/plain", "message/delivery-status"] and "text/rfc822-headers" in parts and not bounce["X-Injected"]
    status = next(p for p in bounce.walk() if p.get_content_type() == "message/delivery-status").get_payload()
    assert len(status) == 2 and len(status[1].get_all("Action")) == 1 and status[1]["Action"] == "failed" and "X-Injected" not in status[0]
    assert len(status[0].get_all("Arrival-Date") or [""]) == 1 and not status[0].get_payload() and not status[1].get_payload()


def test_hostile_server(whole, far):
    """What far sides say when they refuse a recipient: each bounce has its parts and fields and no others, whatever was in the reply."""
    for n in range(len(REPLIES)):
        assert whole.send("u6@campus.test", f"evil{n}@far.test", MESSAGE)[0] == 250
    mails = wait_for(lambda: len(m := whole.mails("u6")) == len(REPLIES) and m, 60, lambda: f"{len(whole.mails('u6'))} bounces of {len(REPLIES)}: {whole.log()[-3000:]}")
    told = set()
    for text in mails:
        assert all(b in b"\n\t" or 32 <= b < 127 for b in text) and len(text) < 8000, text
        bounce = email.message_from_bytes(text, policy=email.policy.default)
        assert not bounce["X-Injected"] and [p.get_content_type() for p in bounce.iter_parts()] in (
            ["text/plain", "message/delivery-status", "text/rfc822-headers"], ["text/plain", "message/delivery-status", "message/rfc822"])
        status = bounce.get_payload()[1].get_payload()
        assert len(status) == 2 and status[1].keys() == ["Final-Recipient", "Action", "Status", "Remote-MTA", "Diagnostic-Code", "Last-Attempt-Date"], status[1].as_string()
        assert status[1]["Action"] == "failed" and re.fullmatch(r"5\.\d{1,3}\.\d{1,3}", status[1]["Status"]) and len(status[1]["Diagnostic-Code"]) < 700
        told.add(status[1]["Final-Recipient"])
    assert len(told) == len(REPLIES)
    code, text = whole.send("u6@campus.test", "toolong@far.test", MESSAGE)
    assert code == 250 and whole.wait_event("queue-deferred", text[-13:]) and len(whole.mails("u6")) == len(REPLIES)


# ---- parsers that nobody needs ----

KEYWORDS = {"STARTTLS", "REQUIRETLS", "PIPELINING", "8BITMIME", "SMTPUTF8", "CHUNKING", "DSN", "ENHANCEDSTATUSCODES", "LIMITS", "SIZE", "AUTH"}
MECHANISMS = {"PLAIN", "LOGIN", "SCRAM-SHA-256", "SCRAM-SHA-256-PLUS", "OAUTHBEARER"}
VERBS = ["ETRN x", "ATRN x", "TURN", "SEND FROM:<a@b.test>", "SOML FROM:<a@b.test>", "SAML FROM:<a@b.test>", "XCLIENT ADDR=127.0.0.1", "XFORWARD ADDR=127.0.0.1", "XADR x", "XSTA", "XEXCH50 1 2", "ONEX", "VERB",
         "BURL imap://x LAST", "LHLO x", "PROXY TCP4 127.0.0.1 127.0.0.1 1 25", "CONNECT x:25"]
FOREIGN_MECHANISMS = ["CRAM-MD5", "DIGEST-MD5", "NTLM", "NTLM TlRMTVNTUAABAAAAt4II4gAAAAAAAAAAAAAAAAAAAAAFAs4OAAAADw==", "SPA", "GSSAPI", "EXTERNAL", "EXTERNAL =", "ANONYMOUS", "KERBEROS_V4", "SKEY x", "PLAIN\\", "LOGIN\\", "X" * 200]


def rows_of(rows, most=8):
    return [rows[n:n + most] for n in range(0, len(rows), most)]  # a session ends after twenty errors


@pytest.mark.parametrize("where", ["25", "25 in TLS", "587", "587 in TLS", "465"])
def test_rare_parsers(whole, where):
    """Nothing but what is needed is offered or obeyed: the holes of the last twenty years were in mechanisms and verbs that hardly anybody used."""
    port = {"25": whole.port, "587": whole.s587, "465": whole.s465}[where.split()[0]]
    with Rude(whole, port) as c:
        if "TLS" in where:
            c.inside_tls()
        keywords = [line[4:].decode().split() for line in c.say("EHLO client.test").splitlines()[1:]]
        assert {k[0] for k in keywords} <= KEYWORDS
        for k in keywords:
            assert k[0] != "AUTH" or (set(k[1:]) <= MECHANISMS and where in ("587 in TLS", "465"))
    for group in [*rows_of(VERBS), *rows_of(["AUTH " + m for m in FOREIGN_MECHANISMS])]:
        with Rude(whole, port) as c:
            if "TLS" in where:
                c.inside_tls()
            c.say("EHLO client.test")
            for line in group:
                assert c.code(line) in ("500", "501", "502", "504", "538", "421"), line
    with Rude(whole, port) as c:  # a backslash at the end, odd base64, a cancelled exchange
        if "TLS" in where:
            c.inside_tls()
        for command in ("EHLO x\\", "EHLO client.test", "MAIL FROM:<a\\", "MAIL FROM:<\"a\\\"@b.test>", "MAIL FROM:<a@b.test\\>", "RCPT TO:<\\", "VRFY \\", "NOOP \\", "AUTH PLAIN \\", "AUTH PLAIN ===",
                        "AUTH PLAIN A", "AUTH PLAIN AAAA=", "AUTH LOGIN !"):
            assert c.code(command) in ("250", "252", "500", "501", "502", "503", "530", "538"), command
        if where in ("465", "587 in TLS"):
            for first in ("AUTH PLAIN", "AUTH LOGIN"):
                assert c.code(first) == "334" and c.code("*") == "501"
            assert c.code("AUTH LOGIN") == "334" and c.code("dTE=") == "334" and c.code("*") == "501"


def test_downgrade(whole):
    """Without TLS no AUTH is offered or taken and nobody submits; who speaks another protocol gets one reply at most."""
    with Rude(whole, whole.s587) as c:
        assert b"AUTH" not in c.say("EHLO client.test")
        assert c.code("AUTH PLAIN " + base64.b64encode(f"\0u1\0{SECRET}".encode()).decode()) == "538"
        assert c.code("AUTH LOGIN") == "538" and c.code("MAIL FROM:<u1@campus.test>") == "530"
    assert not whole.events("smtpd-login")
    for port in whole.port, whole.s587, whole.s465:
        for request in (b"POST / HTTP/1.1\r\nHost: x\r\n\r\nEHLO x\r\nMAIL FROM:<a@b.test>\r\n", b"GET / HTTP/1.0\r\n\r\n", b"SSH-2.0-x\r\nEHLO x\r\n", b"OPTIONS sip:x SIP/2.0\r\nEHLO x\r\nEHLO y\r\n"):
            with socket.create_connection(("127.0.0.1", port), 20) as s:
                s.sendall(request)
                got = b""
                try:
                    while data := s.recv(1000):
                        got += data
                        if b"SSH" in request and b"\r\n5" in got:
                            break
                except ConnectionError:
                    pass
                assert got.count(b"\r\n") <= (3 if b"SSH" in request else 2) and b"250" not in (got if b"SSH" not in request else b""), (port, request, got)
    for version, works in ("-tls1", False), ("-tls1_1", False), ("-tls1_2", True):
        p = subprocess.run(["openssl", "s_client", "-connect", f"127.0.0.1:{whole.s465}", "-cipher", "ALL:@SECLEVEL=0", "-ign_eof", version], input=b"QUIT\r\n", capture_output=True, timeout=20)
        assert (b"220 " in p.stdout) == works, (version, p.stdout, p.stderr)


# ---- identities ----

def test_auth_bypass(whole):
    """Empty and odd names and passwords, a login that is left in the middle, one that goes on after a failure: nobody is logged in by them."""
    def plain(*parts):
        return "AUTH PLAIN " + base64.b64encode(b"\0".join(p if isinstance(p, bytes) else p.encode() for p in parts)).decode()
    tries = [plain("", "u1", ""), plain("", "", ""), plain("", "", SECRET), plain("", "u1", SECRET + "\0"), plain("", "u1\0" + SECRET, SECRET), plain("", "u1\0", SECRET), plain("u2", "u1", SECRET),
             plain("", "u*", SECRET), plain("", "*", SECRET), plain("", "u1)(uid=*", SECRET), plain("", "*)(uid=u1", SECRET), plain("", "\\75\\31", SECRET), plain("", "cn=u1", SECRET),
             plain("", "uid=u1,ou=people,dc=campus,dc=test", SECRET), plain("", "u1 ", SECRET), plain("", " u1", SECRET), plain("", b"u1\xc0\x80", SECRET), plain("", "u1", b"\xff" + SECRET.encode()),
             plain("", "u1", SECRET[:-1]), plain("", "u1", SECRET * 200), plain("u1", SECRET), plain(SECRET), plain("", "u1", "{SSHA}unused"), plain("", "u3", "unused"), plain("", "u3", "{SSHA}unused")]

    def two(lines):
        with Rude(whole, whole.s465) as c:
            c.say("EHLO client.test")
            return [c.code(line) for line in lines] + [c.code("MAIL FROM:<u1@campus.test>")]
    with concurrent.futures.ThreadPoolExecutor(20) as pool:  # each failure waits
        for lines, codes in zip(rows_of(tries, 2), pool.map(two, rows_of(tries, 2))):
            assert set(codes[:-1]) <= {"535", "501", "500"} and codes[-1] == "530", (lines, codes)
    with Rude(whole, whole.s587) as c:  # begun in clear, ended in TLS
        c.say("EHLO client.test")
        assert c.code("AUTH LOGIN") == "538"
        c.inside_tls()
        assert c.code(base64.b64encode(b"u1").decode()) == "500" and c.code("MAIL FROM:<u1@campus.test>") == "530"
        assert c.code("AUTH LOGIN") == "334" and c.code("dTE=") == "334" and c.code("*") == "501"
        assert c.code(base64.b64encode(SECRET.encode()).decode()) == "500" and c.code("MAIL FROM:<u1@campus.test>") == "530"
        assert c.code(plain("", "u1", SECRET)) == "235" and c.code(plain("", "u2", "other")) == "503"
        assert c.code("MAIL FROM:<u1@campus.test>") == "250"
    assert [e["user"] for e in whole.events("smtpd-login")] == ["u1"]
    with Rude(whole) as c:
        c.say("EHLO client.test")
        assert c.code("MAIL FROM:<u1@campus.test> AUTH=<u1@campus.test>") == "555", "RFC 4954 5: nobody is believed who did not log in"


@pytest.mark.skipif(os.geteuid() != 0, reason="looks into other users' processes")
def test_key_disclosure(whole):
    """The certificate's private key is in no program that speaks SMTP or looks at mail: a session's whole memory may be read and the key is not lost."""
    text = subprocess.run(["openssl", "pkey", "-in", str(whole.ctl / "servercert.pem"), "-noout", "-text"], capture_output=True, text=True, check=True).stdout
    numbers = [bytes.fromhex(re.sub(r"[\s:]", "", m)) for m in re.findall(r"(?:priv|prime1|prime2|privateExponent):\n((?:\s+[0-9a-f:]+\n)+)", text)]
    assert numbers
    wanted = {n.lstrip(b"\0")[at:at + 16] for n in numbers for at in (0, 8)}
    wanted |= {x[::-1] for x in wanted}  # as OpenSSL keeps it in memory on little-endian hosts
    pem = (whole.ctl / "servercert.pem").read_bytes()
    wanted.add(re.search(rb"PRIVATE KEY-----\n(.{40})", pem)[1])
    client, inside = Rude(whole), Rude(whole).inside_tls()
    seen = {}
    for name in ("smtpd", "door", "directory", "fixup", "queue", "route", "local", "remote", "tls"):
        for pid in whole.pids(name):
            for _, data in memory(pid, "r"):
                seen[name] = seen.get(name, False) or any(w in data for w in wanted)
    client.close()
    inside.close()
    assert len(seen) == 9 and seen.pop("tls"), "postern-tls has the key, or this test looks for the wrong octets"
    assert not any(seen.values()), seen


# ---- floods, and those who leave ----

def test_backscatter(whole):
    """A dictionary of recipients that do not exist, from a forged sender: all are refused in the session, nothing is queued and nobody is written to."""
    before, mails = len(whole.events("queue-accepted")), len(whole.mails("u2"))
    for n in range(10):
        with Rude(whole) as c:
            c.say("EHLO client.test")
            c.say("MAIL FROM:<u2@campus.test>")
            assert {c.code(f"RCPT TO:<{name}{n}@campus.test>") for name in "info sales test guest admin smith jones mueller".split()} <= {"550", "451"}
            assert c.code("DATA") == "554"
    time.sleep(0.5)
    assert len(whole.events("queue-accepted")) == before and len(whole.mails("u2")) == mails


def test_teardown(whole):
    """Clients that reset the connection after each step, and in the middle of it: no process stays, none dies by a signal."""
    steps = ["EHLO client.test", "MAIL FROM:<a@far.test>", "RCPT TO:<u4@campus.test>", "RCPT TO:<nobody@campus.test>", "DATA", "Subject: x\r\n\r\nhalf"]
    for port, tls in (whole.port, False), (whole.port, True), (whole.s465, False), (whole.s587, True):
        for upto in range(len(steps) + 1):
            for half in False, True:
                c = Rude(whole, port)
                if tls:
                    c.inside_tls()
                for line in steps[:upto]:
                    c.sock.sendall(line.encode() + b"\r\n")
                    if line != steps[-1]:
                        c.reply()
                if half and upto < len(steps):
                    c.sock.sendall(steps[upto].encode()[:5])
                c.reset()
    for upto in range(4):
        c = Rude(whole, source="127.0.0.66")
        for line in steps[:upto]:
            c.say(line)
        c.reset()
    with Rude(whole, whole.s465, greeting=False) as c:
        c.reset()
    wait_for(lambda: len(whole.pids("smtpd")) <= 2 and len(whole.pids("tls")) <= 2, 20, lambda: f"processes are left: {whole.pids('smtpd')} {whole.pids('tls')}")
    assert not whole.mails("u4")


def test_wedged_worker(whole):
    """A worker that stands still: the others of its stage go on, and so do listener and sessions."""
    workers = whole.pids("fixup")
    assert len(workers) > 2
    codes = []

    def send(_):
        codes.append(whole.send("a@far.test", "u5@campus.test", MESSAGE)[0])
    with standing_still(workers[:1]):
        within(10, lambda: [send(i) for i in range(20)])
        within(20, lambda: at_once(send, range(20)))
        assert set(codes) == {250} and len(whole.wait_mail("u5", len(codes))) == len(codes)
