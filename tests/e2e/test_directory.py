"""postern-directory on its own: the same questions to the embedded directory and to a real slapd with the same entries must be answered
alike; servers that die, hang or lie; names made to be more than a name."""
import base64
import hashlib
import socket
import subprocess
import threading
import time

import pytest

from alone import Program, netstrings
from conftest import many, wait_for
from slapd import ADMIN, BASE, SECRET, TREE, Slapd, group, person
from timing import TRIES, seconds_of, within

PASSWORD = "right one"
UMLAUT = base64.b64encode("gr\u00fc\u00dfe\n".encode()).decode()


def hashed(scheme, digest, salt=b""):
    return "{%s}%s" % (scheme, base64.b64encode(digest(PASSWORD.encode() + salt).digest() + salt).decode())


ENTRIES = TREE + "".join([
    "# a comment, folded\n  over two lines\n",
    person("anna", "mailAlternateAddress: Anna.Berg@campus.test", "mailAlternateAddress: a.berg@cs.campus.test", "mailHost: mx1.campus.test",
           "mailQuotaSize: 1000000", "mailQuotaCount: 100", "mailSizeMax: 5000", "userPassword: " + hashed("SSHA", hashlib.sha1, b"salt")),
    person("folded", "mailMessageStore: /srv/mail/fol\n ded/Maildir/", "userPassword: " + hashed("SMD5", hashlib.md5, b"s")),
    person("umlaut", "description: gr\u00fc\u00dfe as they are", "mailReplyText:: " + UMLAUT, "deliveryMode: reply"),
    person("away", "mailHost: mx2.campus.test", "userPassword: " + hashed("SHA", hashlib.sha1)),
    person("both", "mailForwardingAddress: x@far.test", "mailForwardingAddress: y@far.test"),
    person("onlyforward", "deliveryMode: nolocal", "mailForwardingAddress: x@far.test"),
    person("noforward", "deliveryMode: NoForward", "mailForwardingAddress: x@far.test"),
    person("nothing", "deliveryMode: nolocal"),
    person("noaccess", "accountStatus: noaccess", "userPassword: " + hashed("MD5", hashlib.md5)),
    person("disabled", "accountStatus: Disabled", "userPassword: " + hashed("MD5", hashlib.md5)),
    person("deleted", "accountStatus: deleted", "userPassword: " + hashed("MD5", hashlib.md5)),
    person("relative", "mailMessageStore: r/Maildir"),
    person("posix", "uidNumber: 1000", "gidNumber: 1001", "homeDirectory: /home/posix", classes=["objectClass: posixAccount"]),
    person("qmailids", "uidNumber: 1000", "gidNumber: 1001", "homeDirectory: /h", "qmailUID: 2000", "qmailGID: 2001", classes=["objectClass: posixAccount"]),
    person("catch", "mailAlternateAddress: catchall@catch.test", mail=False),
    person("ext", "mailAlternateAddress: ext-catchall@campus.test", "mailAlternateAddress: ext-a-catchall@campus.test"),
    person("star", "mailAlternateAddress: *@campus.test", "mailAlternateAddress: \"a b\"@campus.test"),
    person("nologin", mail=True),
    person("login", mail=False).replace("\nuid: login\n", "\nuid: login\nuid: Other Login\n").rstrip("\n") + "\nuserPassword: " + hashed("SSHA", hashlib.sha1, b"1234") + "\n\n",
    group("list", "mailAlternateAddress: list-catchall@campus.test", "mailMessageStore: /var/lists/list", "rfc822member: out@far.test",
          f"dnmember: uid=anna,ou=people,{BASE}", "dnmember: uid=nobody,ou=people,dc=campus,dc=test", f"dnmember: uid=login,ou=people,{BASE}",
          f"dnmember: uid=away,  ou=people,{BASE}"),
    group("moderated", "rfc822member: out@far.test", "membersonly: TRUE"),
    group("open", "rfc822member: out@far.test", "membersonly: FALSE"),
    group("empty")])

CONTROL = {"me": "mx1.campus.test", "locals": "campus.test\ncs.campus.test\n.sub.test\ncatch.test\n", "ldapmessagestore": "/srv/mail",
           "postmaster": "anna", "defaultquotacount": "77"}
FIELDS = ("uid mail mail_host store home uid_number gid_number status local forward reply reply_text quota_octets quota_count size").split()


def entry(fields):
    """An answer to "route" as a dictionary."""
    text = [f.decode() for f in fields[2:]]
    out = dict(zip(FIELDS, text))
    rest = text[len(FIELDS):]
    n = int(rest[0])
    out["forwards"], rest = sorted(rest[1:n + 1]), rest[n + 1:]
    out["alternates"] = sorted(rest[1:])
    return out


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    s = Slapd(tmp_path_factory.mktemp("slapd"), ENTRIES).start()
    yield s
    s.kill()


def state_folder(tmp_path_factory):
    d = tmp_path_factory.mktemp("state")
    for p in (d, *d.parents):
        if str(p).startswith("/tmp/"):
            p.chmod(0o755)
    return d


@pytest.fixture(scope="module", params=["embedded", "slapd"])
def directory(request, tmp_path_factory):
    files = {**CONTROL, "directory.ldif": ENTRIES}
    if request.param == "slapd":
        server = request.getfixturevalue("server")
        files = {**CONTROL, "ldapserver": f"127.0.0.1:{server.port}", "ldapbasedn": BASE, "ldaplogin": ADMIN, "ldappassword": SECRET}
    p = Program("directory", state_folder(tmp_path_factory), files, ["in"]).start()
    assert p.said == "ready", p.said + p.log()
    yield p
    assert p.stop() == 0, p.log()


RECIPIENTS = [
    ("anna@campus.test", "Y"), ("ANNA@CAMPUS.TEST", "Y"), ("anna.berg@campus.test", "Y"), ("a.berg@cs.campus.test", "Y"),
    ("anna@cs.campus.test", "N"), ("anna@far.test", "N"), ("anna@deep.sub.test", "N"), ("nobody@campus.test", "N"), ("anna", "N"), ("", "N"),
    ("anna+list@campus.test", "Y"), ("anna+a+b@campus.test", "Y"), ("+x@campus.test", "N"), ("nobody+x@campus.test", "N"),
    ("anna-x@campus.test", "N"), ("ext@campus.test", "Y"), ("ext-x@campus.test", "Y"), ("ext-a-b-c-d-e-f@campus.test", "Y"), ("ext-x+y@campus.test", "Y"),
    ("whoever@catch.test", "Y"), ("who-ever+x@catch.test", "Y"), ("catchall@catch.test", "Y"), ("catch@campus.test", "N"),
    ("list@campus.test", "Y"), ("list-request@campus.test", "Y"), ("moderated@campus.test", "T"), ("open@campus.test", "Y"), ("empty@campus.test", "D"),
    ("disabled@campus.test", "D"), ("deleted@campus.test", "N"), ("noaccess@campus.test", "Y"), ("nothing@campus.test", "D"),
    ("onlyforward@campus.test", "Y"), ("noforward@campus.test", "Y"), ("away@campus.test", "Y"),
    ("postmaster", "Y"), ("Postmaster@campus.test", "Y"), ("postmaster@cs.campus.test", "Y"), ("postmaster@far.test", "N"),
    ("postmaster@MX1.campus.test", "Y"), ("anna@mx1.campus.test", "N"),
    # names made to be more than a name: each is one literal and nothing else
    ("*@campus.test", "Y"), ("**@campus.test", "N"), ("ann*@campus.test", "N"), ('"a b"@campus.test', "Y"), ('"a  b"@campus.test', "N"),
    ('"anna"@campus.test', "Y"), ('"*)(mail=*"@campus.test', "N"), ('"*)(uid=*"@campus.test', "N"), (r'"\2a"@campus.test', "N"), (r"\2a@campus.test", "N"),
    ("anna@campus.test)(uid=*", "N"), ("an\0na@campus.test", "N"), ("anna@campus.test\0", "N"), (b"ann\xc1\xa1@campus.test", "N"),
    (b"\xff@campus.test", "N"), ("\u00e4nna@campus.test", "N"), (" anna@campus.test", "N"), ("a" * 400 + "@campus.test", "N"), ("a" * 60000, "N"),
]


@pytest.mark.parametrize("address,verdict", RECIPIENTS, ids=[repr(r[0])[:40] for r in RECIPIENTS])
def test_recipient(directory, address, verdict):
    got = directory.ask("rcpt", address)
    assert got[0].decode() == verdict and len(got) == 2
    assert got[1] or verdict == "Y"


ROUTES = [
    ("anna@campus.test", {"uid": "anna", "mail": "anna@campus.test", "mail_host": "mx1.campus.test", "local": "1", "forward": "0", "quota_octets": "1000000",
                          "quota_count": "100", "size": "5000", "store": "", "uid_number": "-1",
                          "alternates": ["Anna.Berg@campus.test", "a.berg@cs.campus.test"]}),
    ("folded@campus.test", {"store": "/srv/mail/folded/Maildir", "quota_count": "77", "quota_octets": "0"}),
    ("umlaut@campus.test", {"reply": "1", "reply_text": "gr\u00fc\u00dfe\n"}),
    ("both@campus.test", {"local": "1", "forward": "1", "forwards": ["x@far.test", "y@far.test"]}),
    ("onlyforward@campus.test", {"local": "0", "forward": "1", "forwards": ["x@far.test"]}),
    ("noforward@campus.test", {"local": "1", "forward": "0"}),
    ("relative@campus.test", {"store": "/srv/mail/r/Maildir"}),
    ("posix@campus.test", {"uid_number": "1000", "gid_number": "1001", "home": "/home/posix", "store": ""}),
    ("qmailids@campus.test", {"uid_number": "2000", "gid_number": "2001"}),
    ("disabled@campus.test", {"uid": "disabled", "status": "disabled"}),
    ("noaccess@campus.test", {"status": "noaccess", "local": "1"}),
    ("list@campus.test", {"uid": "", "local": "0", "forward": "1", "forwards": ["anna@campus.test", "away@campus.test", "out@far.test"]}),
    ("postmaster@cs.campus.test", {"uid": "", "local": "0", "forward": "1", "forwards": ["anna@campus.test"]}),
    ("away@campus.test", {"mail_host": "mx2.campus.test"}),
]


@pytest.mark.parametrize("address,want", ROUTES, ids=[r[0] for r in ROUTES])
def test_route(directory, address, want):
    got = directory.ask("route", address)
    assert got[0] in (b"Y", b"D")
    got = entry(got)
    assert {k: got[k] for k in want} == want


LOGINS = [
    ("anna", PASSWORD, "Y"), ("ANNA", PASSWORD, "Y"), ("anna@campus.test", PASSWORD, "Y"), ("anna.berg@campus.test", PASSWORD, "Y"),
    ("anna+x@campus.test", PASSWORD, "N"), ("folded", PASSWORD, "Y"), ("away", PASSWORD, "Y"), ("login", PASSWORD, "Y"), ("other login", PASSWORD, "Y"),
    ("anna", "wrong", "N"), ("anna", "", "N"), ("anna", PASSWORD + "\0", "N"), ("anna", PASSWORD + "\0x", "N"), ("anna", "x" * 60000, "N"),
    ("anna", hashed("SSHA", hashlib.sha1, b"salt"), "N"),
    ("nobody", PASSWORD, "N"), ("", PASSWORD, "N"), ("nologin", PASSWORD, "N"), ("nologin", "", "N"), ("noaccess", PASSWORD, "D"), ("noaccess", "wrong", "N"),
    ("disabled", PASSWORD, "D"), ("deleted", PASSWORD, "N"), ("list@campus.test", PASSWORD, "N"),
    ("*", PASSWORD, "N"), ("*)(uid=*", PASSWORD, "N"), ("*)(uid=anna", PASSWORD, "N"), ("anna)(uid=anna", PASSWORD, "N"), (r"\2a", PASSWORD, "N"),
    (r"ann\61", PASSWORD, "N"), ("anna\0", PASSWORD, "N"), (b"ann\xc1\xa1", PASSWORD, "N"), (" anna", PASSWORD, "N"), ("anna ", PASSWORD, "N"),
    ("other  login", PASSWORD, "N"), ("\uff41nna", PASSWORD, "N"), ("anna" * 120, PASSWORD, "N"),
]


@pytest.mark.parametrize("user,password,verdict", LOGINS, ids=[f"{l[0]!r:.30}-{l[1]!r:.20}" for l in LOGINS])
def test_login(directory, user, password, verdict):
    got = directory.ask("auth", user, password, "192.0.2.1")
    assert got[0].decode() == verdict
    assert PASSWORD not in directory.log() and "{SSHA}" not in directory.log()
    if verdict == "Y":
        assert entry(got)["uid"] in ("anna", "folded", "away", "login")


def test_no_answer_holds_a_password(directory):
    for question in [("route", "anna@campus.test"), ("rcpt", "anna@campus.test"), ("auth", "anna", PASSWORD, "192.0.2.1")]:
        assert not any(b"{S" in field or PASSWORD.encode() in field for field in directory.ask(*question))


@pytest.mark.parametrize("question", [(), ("rcpt",), ("rcpt", "a", "b"), ("auth", "a", "b"), ("delete", "anna"), ("auth", "a", "b", "\n")])
def test_bad_questions_are_dropped(directory, question):
    assert directory.ask(*question) == []
    assert directory.ask("rcpt", "anna@campus.test")[0] == b"Y"
    directory.wait_log("bad-question")


def test_question_without_a_reply_is_dropped(directory):
    directory.ask_socket.send(b"4:rcpt,1:a,")
    assert directory.ask("rcpt", "anna@campus.test")[0] == b"Y"


# ---- an LDAP server that dies, hangs, or has two entries for one address ----

def ldap_program(tmp_path_factory, servers, **more):
    files = {**CONTROL, "ldapserver": servers, "ldapbasedn": BASE, "directorycache": "0", **more}
    return Program("directory", state_folder(tmp_path_factory), files, ["in"])


def wait_answer(p, question, verdict, seconds=30):
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        got = p.ask(*question)
        if got[0] == verdict:
            return got
        time.sleep(0.05)
    raise AssertionError(f"{question}: {got}, not {verdict}\n{p.log()}")


@pytest.fixture
def program(tmp_path_factory):
    def end(p):
        assert p.stop() == 0, p.log()
    with many(ldap_program, end) as new:
        def make(servers, **more):
            p = new(tmp_path_factory, servers, **more).start()
            assert p.said == "ready", p.said + p.log()
            return p
        yield make


USERS = 20000


@pytest.fixture(scope="module")
def large():
    return TREE + "".join(person(f"u{i:05d}", f"mailAlternateAddress: alias{i}@campus.test", f"userPassword: {PASSWORD}") for i in range(USERS))


def test_kill_slapd_midway(tmp_path, program, large):
    """Questions in flight when the server is killed, and while it is away, are answered "later"; never "no"; afterwards all is well."""
    s = Slapd(tmp_path / "slapd", large).start()
    p = program(f"127.0.0.1:{s.port}")
    assert p.ask("rcpt", "u00007@campus.test")[0] == b"Y"
    replies = []
    for i in range(300):
        replies.append(p.send("rcpt", f"alias{i * 61}@campus.test"))
        if i == 150:
            s.kill()
    verdicts = [r.recv(1000)[2:3] for r in replies]
    assert set(verdicts) <= {b"Y", b"T"} and b"T" in verdicts
    assert p.ask("rcpt", "u00007@campus.test")[0] == b"T"
    assert p.ask("rcpt", "nobody@campus.test")[0] == b"T"
    assert p.ask("auth", "u00007", PASSWORD, "")[0] == b"T"
    assert p.wait_log("directory-down").count("directory-down") == 1
    s.start()
    wait_answer(p, ("rcpt", "u00007@campus.test"), b"Y")
    assert p.ask("rcpt", "nobody@campus.test")[0] == b"N"
    assert p.ask("auth", "u00007", PASSWORD, "")[0] == b"Y"
    assert p.log().count("directory-up") == 2
    s.kill()


def test_restart_of_an_idle_server_is_not_noticed(tmp_path, program):
    s = Slapd(tmp_path / "slapd", ENTRIES).start()
    p = program(f"127.0.0.1:{s.port}")
    assert p.ask("auth", "anna", PASSWORD, "")[0] == b"Y"
    time.sleep(1.1)  # a connection that lived so long counts as good
    s.kill()
    s.start()
    wait_answer(p, ("rcpt", "anna@campus.test"), b"Y")
    assert p.ask("auth", "anna", PASSWORD, "")[0] == b"Y"
    s.kill()


def test_server_down_from_the_start(program):
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        p = program(f"127.0.0.1:{unused.getsockname()[1]}")
        assert p.ask("rcpt", "anna@campus.test")[0] == b"T"
        assert p.ask("rcpt", "anna@far.test")[0] == b"N"  # what needs no directory is answered
        assert p.ask("auth", "anna", PASSWORD, "")[0] == b"T"


def test_second_server(program, server):
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        p = program(f"127.0.0.1:{unused.getsockname()[1]}\nldap://localhost:{server.port}")
        assert p.ask("rcpt", "anna@campus.test")[0] == b"Y"
        assert p.ask("auth", "anna", PASSWORD, "")[0] == b"Y"
        assert p.ask("auth", "anna", "wrong", "")[0] == b"N"


def test_wrong_ldappassword_is_temporary(program, server):
    p = program(f"127.0.0.1:{server.port}", ldaplogin=ADMIN, ldappassword="wrong")
    assert p.ask("rcpt", "anna@campus.test")[0] == b"T"
    assert "wrong" not in p.wait_log("Invalid credentials")


def test_wrong_base_is_temporary(program, server):
    p = program(f"127.0.0.1:{server.port}", ldapbasedn="ou=nowhere," + BASE)
    assert p.ask("rcpt", "anna@campus.test")[0] == b"T"


class Silent:
    """A server that accepts and, after the bind, says nothing more; or half an answer."""

    def __init__(self, answer_bind, half=b""):
        self.answer_bind, self.half = answer_bind, half
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        self.kept, self.got = [], b""
        threading.Thread(target=self.run, daemon=True).start()

    def run(self):
        while True:
            try:
                c, _ = self.listener.accept()
            except OSError:
                return
            self.kept.append(c)
            threading.Thread(target=self.serve, args=(c,), daemon=True).start()

    def serve(self, c):
        try:
            while data := c.recv(65536):
                self.got += data
                if self.answer_bind and b"\x60" in data[:12]:
                    c.sendall(bytes.fromhex("300c0201") + data[4:5] + bytes.fromhex("61070a010004000400"))
                else:
                    c.sendall(self.half)
        except OSError:
            pass

    def close(self):
        self.listener.close()
        for c in self.kept:
            c.close()


@pytest.mark.parametrize("half", [b"", b"\x30", bytes.fromhex("30820400020102"), bytes.fromhex("308204000201026482")])
@pytest.mark.parametrize("answer_bind", [True, False])
def test_hanging_server(program, answer_bind, half):
    """Each question is answered at its deadline; the loop never hangs: what needs no server is answered at once."""
    s = Silent(answer_bind, half)
    p = program(f"127.0.0.1:{s.port}", ldaptimeout="2")

    def wait_in_vain():
        replies = [p.send("rcpt", f"u{i}@campus.test") for i in range(20)]
        for _ in range(10):
            assert within(0.5, lambda: p.ask("rcpt", "u1@far.test"))[0] == b"N"
            time.sleep(0.05)
        for r in replies:
            assert r.recv(1000)[2:3] == b"T"
    within(7, wait_in_vain, least=1)
    if not answer_bind:
        assert p.ask("auth", "u1", PASSWORD, "")[0] == b"T"
    s.close()


class FirstOnly:
    """In front of a server: the first connection reaches it, all later ones are taken and hear nothing."""

    def __init__(self, port):
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        self.first, self.kept = socket.create_connection(("127.0.0.1", port)), []
        threading.Thread(target=self.run, daemon=True).start()

    def run(self):
        try:
            while True:
                self.kept.append(self.listener.accept()[0])
                if len(self.kept) == 1:
                    for a, b in ((self.kept[0], self.first), (self.first, self.kept[0])):
                        threading.Thread(target=self.pump, args=(a, b), daemon=True).start()
        except OSError:
            pass

    @staticmethod
    def pump(a, b):
        try:
            while data := a.recv(65536):
                b.sendall(data)
        except OSError:
            pass

    def close(self):
        for s in (self.listener, self.first, *self.kept):
            s.close()


def test_silent_binds_are_answered_in_time(program, server):
    """Passwords are checked in threads, by one server after the other, each of which may be silent: those who ask hear "temporary" at ldaptimeout all the same,
    however many they are, and searches go on."""
    s = FirstOnly(server.port)
    p = program("\n".join([f"127.0.0.1:{s.port}"] * 3), ldaptimeout="3", directorycache="0")
    assert p.ask("rcpt", "anna@campus.test")[0] == b"Y"

    def ask_in_vain():
        replies = [p.send("auth", "anna", PASSWORD + str(i), f"192.0.2.{i}") for i in range(12)]
        assert within(1, lambda: p.ask("rcpt", "away@campus.test"))[0] == b"Y"
        for r in replies:
            verdict, text = netstrings(r.recv(1000))[:2]
            assert verdict == b"T" and text == b"the directory could not find out in time"
    within(4, ask_in_vain, least=2.9)
    time.sleep(1)
    assert p.ask("rcpt", "both@campus.test")[0] == b"Y"  # what was late does no harm when it ends
    p.stop()
    s.close()


def test_ldap_injection_leaves_one_equality_on_the_literal(program):
    """What a hostile name looks like on the wire: one equality whose value is the name, octet by octet."""
    s = Silent(True)
    p = program(f"127.0.0.1:{s.port}", ldaptimeout="2")
    for name in (b"*", b"*)(uid=*", rb"\2a", b"nul\0l", b"\xc0\xaf", b")(|(a=b"):
        s.got = b""
        reply = p.send("auth", name, "password", "")
        wait_for(lambda: b"uid" in s.got)
        # equalityMatch [3] { OCTET STRING "uid", OCTET STRING name }, RFC 4511 4.5.1
        assert bytes([0xA3, 7 + len(name), 4, 3]) + b"uid" + bytes([4, len(name)]) + name in s.got, (name, s.got)
        assert s.got.count(b"\xa3" + bytes([7 + len(name)])) == 1
        reply.close()
    s.close()


def test_two_entries_for_one_address(tmp_path, program):
    two = TREE + person("one", "mailAlternateAddress: same@campus.test") + person("two", "mailAlternateAddress: same@campus.test")
    s = Slapd(tmp_path / "slapd", two).start()
    p = program(f"127.0.0.1:{s.port}")
    assert p.ask("rcpt", "same@campus.test")[0] == b"T"
    p.wait_log("directory-entry")
    assert p.ask("rcpt", "one@campus.test")[0] == b"Y"
    s.kill()


@pytest.mark.parametrize("fault", ["accountStatus: actve", "deliveryMode: nolokal", "mailQuotaSize: -5", "mailMessageStore: ../x", "qmailUID: 5"])
def test_entry_that_makes_no_sense_waits(tmp_path, program, fault):
    s = Slapd(tmp_path / "slapd", TREE + person("odd", fault) + person("fine")).start()
    p = program(f"127.0.0.1:{s.port}")
    assert p.ask("rcpt", "odd@campus.test")[0] == b"T"
    p.wait_log(fault.split(":")[0])
    assert "uid=odd" in p.log()
    assert p.ask("rcpt", "fine@campus.test")[0] == b"Y"
    s.kill()


def test_object_class(tmp_path, program):
    plain = person("plain").replace("objectClass: qmailUser\n", "")
    s = Slapd(tmp_path / "slapd", TREE + plain + person("fine")).start()
    p = program(f"127.0.0.1:{s.port}", ldapobjectclass="qmailUser")
    assert p.ask("rcpt", "plain@campus.test")[0] == b"N"
    assert p.ask("rcpt", "fine@campus.test")[0] == b"Y"
    s.kill()


def test_cache(tmp_path, program):
    s = Slapd(tmp_path / "slapd", ENTRIES).start()
    p = program(f"127.0.0.1:{s.port}", directorycache="3600")
    first = p.ask("route", "list@campus.test")
    assert p.ask("rcpt", "new@campus.test")[0] == b"N"
    assert p.ask("auth", "anna", PASSWORD, "")[0] == b"Y"
    s.modify(f"dn: uid=anna,ou=people,{BASE}\nchangetype: modify\nreplace: userPassword\nuserPassword: changed\n")
    assert p.ask("auth", "anna", PASSWORD, "")[0] == b"N"  # passwords are never kept
    assert p.ask("auth", "anna", "changed", "")[0] == b"Y"
    s.kill()
    assert p.ask("route", "list@campus.test") == first
    assert p.ask("rcpt", "new@campus.test")[0] == b"N"
    assert p.ask("rcpt", "other@campus.test")[0] == b"T"


def test_the_clock_does_not_tell_who_exists(tmp_path, program):
    """A server hashes nothing for a name that nobody has, and would answer sooner."""
    slow = subprocess.run(["perl", "-e", "print crypt($ARGV[0], $ARGV[1])", PASSWORD, "$6$rounds=200000$saltsalt$"], capture_output=True, text=True, check=True).stdout
    s = Slapd(tmp_path / "slapd", TREE + person("slow", "userPassword: {CRYPT}" + slow)).start()
    p = program(f"127.0.0.1:{s.port}")
    assert p.ask("auth", "slow", PASSWORD, "")[0] == b"Y"
    times = {"nobody": [], "slow": []}
    for user in [*times] * TRIES:
        answer, seconds = seconds_of(lambda: p.ask("auth", user, "wrong", ""))
        assert answer[0] == b"N"
        times[user].append(seconds)
    assert 0.7 < min(times["nobody"]) / min(times["slow"]) < 1.5, times
    s.kill()


def make_certificates(folder):
    folder.mkdir(parents=True)
    run = lambda *a: subprocess.run(["openssl", *a], check=True, capture_output=True, cwd=folder)
    run("req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-keyout", "ca.key", "-out", "ca.pem", "-subj", "/CN=ca")
    run("req", "-newkey", "rsa:2048", "-nodes", "-keyout", "srv.key", "-out", "srv.csr", "-subj", "/CN=localhost")
    (folder / "ext").write_text("subjectAltName=DNS:localhost,IP:127.0.0.1\n")
    run("x509", "-req", "-in", "srv.csr", "-CA", "ca.pem", "-CAkey", "ca.key", "-CAcreateserial", "-days", "2", "-out", "srv.pem", "-extfile", "ext")
    return folder


@pytest.fixture(scope="module")
def tls_server(tmp_path_factory):
    certs = make_certificates(tmp_path_factory.mktemp("tls") / "c")
    for p in (certs, *certs.parents):
        if str(p).startswith("/tmp/"):
            p.chmod(0o755)
    s = Slapd(tmp_path_factory.mktemp("slapd-tls"), ENTRIES,
              f"TLSCACertificateFile {certs}/ca.pem\nTLSCertificateFile {certs}/srv.pem\nTLSCertificateKeyFile {certs}/srv.key").start()
    s.ca = certs / "ca.pem"
    yield s
    s.kill()


@pytest.mark.parametrize("line,known_ca,verdict", [
    ("ldaps://127.0.0.1:{s.tls_port}", True, b"Y"), ("ldap://127.0.0.1:{s.port} starttls", True, b"Y"),
    ("ldaps://127.0.0.1:{s.tls_port}", False, b"T"), ("ldap://127.0.0.1:{s.port} starttls", False, b"T")])
def test_tls(program, tls_server, line, known_ca, verdict):
    more = {"ldapcafile": str(tls_server.ca)} if known_ca else {}
    p = program(line.format(s=tls_server), **more)
    assert p.ask("rcpt", "anna@campus.test")[0] == verdict, p.log()
    assert p.ask("auth", "anna", PASSWORD, "")[0] == verdict


# ---- size and speed ----

def lookups_a_second(p, count=8000, window=64):
    replies, done, start = [], 0, time.monotonic()
    for i in range(count):
        replies.append(p.send("rcpt", f"alias{i * 7919 % USERS}@campus.test"))
        if len(replies) == window:
            with replies.pop(0) as r:
                assert r.recv(1000)[2:3] == b"Y"
            done += 1
    for r in replies:
        assert r.recv(1000)[2:3] == b"Y"
        r.close()
    return count / (time.monotonic() - start)


def test_speed_over_ldap(tmp_path, program, large):
    """Printed, not asserted; many in flight on one connection."""
    s = Slapd(tmp_path / "slapd", large).start()
    p = program(f"127.0.0.1:{s.port}")
    assert p.ask("rcpt", "u00007@campus.test")[0] == b"Y"
    print(f"\nlookups over LDAP, no cache: {lookups_a_second(p):.0f}/s")
    s.kill()


def test_hundred_thousand_entries(tmp_path_factory):
    text = "".join(person(f"u{i:06d}", f"mailAlternateAddress: alias{i}@campus.test", f"mailAlternateAddress: name.{i}@campus.test",
                          "userPassword: {SSHA}" + "x" * 36, "mailHost: mx1.campus.test", "accountStatus: active") for i in range(100000))
    p = Program("directory", state_folder(tmp_path_factory), {**CONTROL, "directory.ldif": text}, ["in"])
    start = time.monotonic()
    p.start(seconds=120)
    seconds = time.monotonic() - start
    assert p.said == "ready"
    print(f"\n100,000 entries, {len(text) >> 20} MiB: {seconds:.2f} s, RSS {p.memory_kib('VmRSS') >> 10} MiB, "
          f"of its own {p.memory_kib('RssAnon') >> 10} MiB; {lookups_a_second(p):.0f} lookups/s")
    assert p.memory_kib("VmRSS") < 100 * 1024
    assert p.ask("rcpt", "name.99999@campus.test")[0] == b"Y"
    assert p.stop() == 0


def test_slow_hash_delays_nobody(tmp_path_factory):
    """Ten password checks of about a second each; meanwhile recipients are answered at once."""
    slow = subprocess.run(["perl", "-e", "print crypt($ARGV[0], $ARGV[1])", PASSWORD, "$6$rounds=900000$saltsalt$"],
                          capture_output=True, text=True, check=True).stdout
    text = person("slow", "userPassword: {CRYPT}" + slow)
    p = Program("directory", state_folder(tmp_path_factory), {**CONTROL, "directory.ldif": text}, ["in"]).start()
    replies = [p.send("auth", "slow", PASSWORD if i % 2 else "wrong", "") for i in range(10)]
    for _ in range(20):
        assert within(0.5, lambda: p.ask("rcpt", "slow@campus.test"))[0] == b"Y"
    for i, r in enumerate(replies):
        r.settimeout(60)
        assert r.recv(70000)[2:3] == (b"Y" if i % 2 else b"N")
    times = {"nobody": [], "slow": []}  # the least of several: a standstill makes it longer
    for user in [*times] * TRIES:
        answer, seconds = seconds_of(lambda: p.ask("auth", user, "wrong", ""))
        assert answer[0] == b"N"
        times[user].append(seconds)
    assert 0.3 < min(times["nobody"]) / min(times["slow"]) < 3, times  # who exists is not told by the clock
    assert p.stop() == 0


def test_the_first_name_that_nobody_has_waits_too(tmp_path_factory):
    """directory.ldif: nobody has logged in since the start."""
    slow = subprocess.run(["perl", "-e", "print crypt($ARGV[0], $ARGV[1])", PASSWORD, "$6$rounds=300000$saltsalt$"], capture_output=True, text=True, check=True).stdout
    text = person("odd", "userPassword: {ODD}x") + person("slow", "userPassword: {CRYPT}" + slow)
    p = Program("directory", state_folder(tmp_path_factory), {**CONTROL, "directory.ldif": text}, ["in"]).start()
    answer, nobody = seconds_of(lambda: p.ask("auth", "nobody", "wrong", ""))
    assert answer[0] == b"N"
    least = min(seconds_of(lambda: p.ask("auth", "slow", "wrong", ""))[1] for _ in range(TRIES))
    assert nobody > 0.5 * least, (nobody, least)
    assert p.stop() == 0


FAULTS = [
    ("mail: a@b\n", "directory.ldif:1: an entry begins with dn:"),
    ("dn: x\nmail: a@b\nuid: a\n\ndn: y\nmail: A@B\nuid: b\n", "directory.ldif:6: the address A@B is also at line 2"),
    ("dn: x\nchangetype: add\n", "directory.ldif:2: change records"),
    ("version: 2\n\ndn: x\n", "directory.ldif:1: this version"),
]


@pytest.mark.parametrize("text,error", FAULTS)
def test_faulty_ldif_does_not_start(tmp_path_factory, text, error):
    p = Program("directory", state_folder(tmp_path_factory), {**CONTROL, "directory.ldif": text}, ["in"]).start()
    assert p.said.startswith("fatal:" + error)
    assert p.process.wait(60) == 111
