"""The operator's command on a running suite: check, queue, user, defaults, help; its exit codes and its JSON."""
import fcntl
import os
import pathlib
import pty
import re
import struct
import subprocess
import termios
import time

import pytest

from conftest import BIN, free_port, wait_for
from certificates import certificate

ROOT = os.geteuid() == 0
MESSAGE = b"From: a@far.test\r\nSubject: waits\r\n\r\nhello\r\n"

# A user whose mail waits: its mailHost is another host, and forwarding there is not there yet.
ELSEWHERE = """
dn: uid=away,ou=people,dc=campus,dc=test
objectClass: qmailUser
cn: a
sn: a
uid: away
mail: away@campus.test
mailHost: other.campus.test

dn: uid=blocked,ou=people,dc=campus,dc=test
objectClass: qmailUser
cn: b
sn: b
uid: blocked
mail: blocked@campus.test
accountStatus: disabled
mailAlternateAddress: b.locked@campus.test
"""


def postern(*args, **kw):
    return subprocess.run([str(BIN / "postern"), *map(str, args)], capture_output=True, text=True, timeout=60, **kw)


@pytest.fixture
def waiting(suite):
    """A running suite with one message that waits; its id."""
    suite.control("directory.ldif", (suite.ctl / "directory.ldif").read_text() + ELSEWHERE)
    suite.start()
    code, text = suite.send("a@far.test", ["away@campus.test", "u1@campus.test"], MESSAGE)
    assert code == 250, text
    suite.wait_mail("u1")
    wait_for(lambda: [m for m in suite.json("queue", "list") if m["state"] == "waiting" and m["reason"] and m["waiting"] == 1], 20, "nothing waits")
    suite.id = text.split()[-1]
    return suite


@pytest.mark.parametrize("args", [["frobnicate"], ["check", "x"], ["user"], ["queue", "frob"], ["queue", "show"], ["queue", "hold"],
                                  ["queue", "list", "x=y"], ["check", "-c"], ["--frob"], ["user", "not-an-address"], []])
def test_wrong_usage(args):
    p = postern(*args)
    assert p.returncode == 100 and p.stderr and not p.stdout
    assert len(p.stderr.splitlines()) < 20


def test_help_and_version():
    p = postern("help")
    assert p.returncode == 0 and not p.stderr
    for name in "serve check door queue user privileges fixup defaults".split():
        assert f"\n  {name}" in p.stdout
    assert "manpage" not in p.stdout and "\033" not in p.stdout
    assert postern("--version").stdout.startswith("postern ")
    assert "what waits" in postern("queue", "--help").stdout and "because=TEXT" in postern("queue", "hold").stderr
    assert "there is no queue frob" in postern("queue", "frob").stderr
    assert len(postern("check", "-h").stdout) > 10


def test_output_that_cannot_be_written():
    with open("/dev/full", "w") as full:
        p = subprocess.run([str(BIN / "postern"), "help"], stdout=full, stderr=subprocess.PIPE)
    assert p.returncode == 111 and b"the output could not be written" in p.stderr


FAULTS = {
    "databytes": ("12abc", "databytes:1: must be a whole number"),
    "locals": ("campus.test\n\nbad domain\n@x", "locals:3: \"bad domain\" is not a domain"),
    "listen": ("smtp 127.0.0.1", "listen:1: "),
    "tcp.smtp": (":allow\n1.2.3.:frob", "tcp.smtp:2: "),
    "fixupdomains": ("old.test", "fixupdomains:1: "),
    "scanpolicy": ("virus reject\nspam>=x reject", "scanpolicy:2: "),
    "directory.ldif": ("dn: uid=x\nuid: x\n\nnonsense\n", "directory.ldif:4: "),
    "postmaster": ("two words", "postmaster:1: must be one word"),
}


@pytest.mark.parametrize("name", FAULTS)
def test_faulty_file_is_named_and_nothing_starts(suite, name):
    content, want = FAULTS[name]
    suite.control(name, content)
    p = suite.postern("check", check=1)
    assert f"{suite.ctl}/{want}" in p.stdout
    found = suite.json("check", check=1)
    where = [f for f in found if f["file"] == f"{suite.ctl}/{name}" and f["level"] == "fault"]
    assert where and where[0]["line"] == int(want.split(":")[1])
    suite.launch()
    assert suite.process.wait(20) == 111
    assert want.split(": ")[0] in suite.stderr()
    assert not (suite.state / "ready").exists()


def test_all_faults_in_one_go(suite):
    for name, (content, _) in FAULTS.items():
        suite.control(name, content)
    p = suite.postern("check", check=1)
    for _, want in FAULTS.values():
        assert want in p.stdout, p.stdout
    assert p.stdout.splitlines()[-1].startswith("9 faults, ")


def test_check_without_fault(suite):
    p = suite.postern("check", check=0)
    assert p.stdout.splitlines()[-1].startswith("0 faults, ")
    suite.control("virtualdomains", "x:y")
    p = suite.postern("check", check=0)
    assert f"warning {suite.ctl}/virtualdomains: not used" in p.stdout
    assert postern("check", "-c", "/nonexistent").returncode == 111


def test_queue_list_and_show(waiting):
    s = waiting
    [m] = s.json("queue", "list")
    assert m["id"] == s.id and m["sender"] == "a@far.test" and m["waiting"] == 1 and m["state"] == "waiting"
    assert m["size"] > 20 and m["next"] > time.time() - 10 and m["reason"]
    assert [r["address"] for r in m["recipients"]] == ["away@campus.test"]
    lines = s.postern("queue", "list", check=0).stdout.splitlines()
    assert lines[0].split() == ["ID", "AGE", "SIZE", "SENDER", "RECIPIENTS", "NEXT", "ATTEMPT", "REASON"]
    assert lines[1].startswith(s.id) and "away@campus.test" in lines[1] and " in " in lines[1] and m["reason"] in lines[1]
    assert s.postern("queue", check=0).stdout.splitlines()[0] == lines[0]
    assert "no message matches" in s.postern("queue", "list", "sender=b@far.test", check=0).stdout
    assert s.json("queue", "list", "sender=b@far.test") == []
    assert len(s.json("queue", "list", "domain=campus.test")) == 1
    [m] = s.json("queue", "list", "recipients=all", "domain=campus.test")
    assert {r["address"]: r["state"] for r in m["recipients"]} == {"away@campus.test": "waiting", "u1@campus.test": "done"}
    line = s.postern("queue", "list", "recipients=all", check=0).stdout.splitlines()[1]
    assert " away@campus.test " in line and "u1@campus.test" not in line
    shown = s.postern("queue", "show", s.id, check=0).stdout
    assert "away@campus.test" in shown and "Subject: waits" in shown and "u1@campus.test" in shown
    one = s.json("queue", "show", s.id)
    assert "Subject: waits" in one["header"] and {r["state"] for r in one["recipients"]} == {"done", "waiting"}
    assert s.postern("queue", "show", "0000000000000", check=1).stderr


def test_long_addresses_and_nobody(suite):
    """A line tells how many more recipients wait, however long the first one's address is; who has no name is not the null sender."""
    s = suite
    s.control("smtproutes", f":127.0.0.1:{free_port()}")
    s.control("rcpthosts", ".far.test")
    s.start()
    rcpt = "w" * 62 + "@" + ".".join(["v" * 60] * 3) + ".far.test"
    assert s.send("", [rcpt, *(f"x{i}@a.far.test" for i in range(12))], MESSAGE)[0] == 250
    wait_for(lambda: [m for m in s.json("queue", "list", "sender=") if m["waiting"] == 13 and m["state"] == "waiting" and m["attempts"] == 1])
    [line] = s.postern("queue", "list", "sender=", check=0).stdout.splitlines()[1:]
    assert f"  {rcpt} +12  " in line and "  <>  " in line
    assert "  <>  " in s.postern("queue", "top", check=0).stdout
    by_user = s.postern("queue", "top", "--by", "user", check=0).stdout
    assert " USER  " in by_user and "  -  " in by_user and "<>" not in by_user


def test_a_listing_fits_the_terminal(waiting):
    """Long addresses, as mailing lists have, are cut, ids never; what is no terminal gets all."""
    s = waiting
    sender = "bounces+4711-" + "x" * 50 + "@" + "y" * 60 + ".test"
    assert s.send(sender, ["away@campus.test"], MESSAGE)[0] == 250
    wait_for(lambda: [m for m in s.json("queue", "list", f"sender={sender}") if m["attempts"] == 1])
    assert f"  {sender}  " in s.postern("queue", "list", check=0).stdout
    for columns in 100, 140, 300:
        mine, theirs = pty.openpty()
        fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 30, columns, 0, 0))
        with os.fdopen(mine, "rb", buffering=0) as out:
            p = subprocess.Popen(s.command("queue", "list"), stdout=theirs, env={**os.environ, "NO_COLOR": "1"})
            os.close(theirs)
            assert p.wait(20) == 0
            lines = out.read(65536).decode().splitlines()
        assert len(lines) == 3 and all(len(line) <= columns for line in lines), (columns, lines)
        assert all(re.match(r"[0-9a-z]{13} ", line) for line in lines[1:])
        assert any(sender[:12] in line for line in lines) and (sender in "".join(lines)) == (columns == 300)


def test_asked_by_somebody_else(waiting):
    if not ROOT:
        pytest.skip("only root can be somebody else")
    p = subprocess.run(waiting.command("queue"), user=65534, group=65534, extra_groups=[], capture_output=True, text=True, timeout=60)
    assert p.returncode == 111 and "only root and the user that the suite runs as may ask" in p.stderr and not p.stdout


def test_hold_release_retry_delete(waiting):
    s = waiting
    s.postern("queue", "hold", s.id, "because=let me see", check=0)
    [m] = s.json("queue", "list")
    assert m["state"] == "held" and m["hold"] == "let me see"
    assert "  held  " in s.postern("queue", "list", check=0).stdout
    assert "hold_until" not in s.postern("queue", "show", s.id, check=0).stdout
    for then, words in {"release": "released in 3 h", "bounce": "bounced in 3 h", "delete": "deleted in 3 h"}.items():
        s.postern("queue", "hold", s.id, "because=let me see", "until=10900", f"then={then}", check=0)
        assert words in s.postern("queue", "list", check=0).stdout
    status = s.json("queue", "status")
    assert status["held"] == 1 and status["next"] == 0, "the end of a hold is no attempt"
    assert re.search(r"^hold_until +\d+ \(in 3 h\)$", s.postern("queue", "show", s.id, check=0).stdout, re.M)
    s.postern("queue", "release", "hold=let me see", check=0)
    wait_for(lambda: s.json("queue", "list")[0]["state"] == "waiting", 20, "not released")
    before = s.json("queue", "list")[0]["attempts"]
    wait_for(lambda: s.json("queue", "retry", "all") == {"action": "retry", "messages": 1, "matched": 1, "dry_run": False}, 20, "nothing to try")
    wait_for(lambda: s.json("queue", "list")[0]["attempts"] > before, 20, "not tried")
    assert s.postern("queue", "delete", "0000000000000", check=1).stderr
    assert "delete: 1 message" in s.postern("queue", "delete", "sender=a@far.test", check=0).stdout
    assert "the queue is empty" in s.postern("queue", "list", check=0).stdout
    assert s.json("queue", "list") == []
    s.postern("queue", "hold", s.id, "all", check=100)


def test_queue_without_a_suite(suite):
    p = suite.postern("queue", "list", check=111)
    assert "is the suite running" in p.stderr and not p.stdout


def test_terminal_escapes_do_not_get_through(waiting):
    s = waiting
    code, _ = s.send("a@far.test", ["away@campus.test"], b"Subject: \x1b[2Jgone\r\n\r\nx\r\n")
    assert code == 250
    ids = [m["id"] for m in s.json("queue", "list") if m["id"] != s.id]
    out = s.postern("queue", "show", ids[0], check=0).stdout
    assert "\x1b" not in out and "?[2Jgone" in out


def test_user(suite):
    suite.control("directory.ldif", (suite.ctl / "directory.ldif").read_text() + ELSEWHERE)
    suite.control("fixupdomains", "old.test:campus.test")
    suite.control("rcpthosts", "relay.test")
    u = suite.json("user", "alias1@old.test")
    assert u["verdict"] == "yes" and u["address"] == "alias1@campus.test" and u["entry"]["uid"] == "u1"
    assert u["targets"] == [{"address": u["targets"][0]["address"], "agent": "local", "destination": "u1",
                             "maildir": u["targets"][0]["maildir"]}]
    assert u["targets"][0]["maildir"].endswith("/mail/u1/Maildir")
    assert suite.json("user", "away@campus.test")["targets"][0]["destination"] == "other.campus.test"
    blocked = suite.json("user", "b.locked@campus.test", check=1)
    assert blocked["verdict"] == "disabled" and blocked["entry"]["uid"] == "blocked" and blocked["reason"]
    assert suite.json("user", "nobody@campus.test", check=1)["verdict"] == "no"
    assert suite.json("user", "x@relay.test")["verdict"] == "relay"
    text = suite.postern("user", "u2@campus.test", check=0).stdout
    assert "may get mail" in text and "/mail/u2/Maildir" in text
    suite.control("ldapserver", "127.0.0.1:1")
    suite.control("ldapbasedn", "dc=campus,dc=test")
    suite.control("ldaptimeout", "2")
    assert suite.json("user", "u1@campus.test", check=111)["verdict"] == "temporary"


def test_what_user_says_is_where_mail_goes(suite):
    suite.start()
    said = suite.json("user", "alias7@campus.test")["targets"][0]["maildir"]
    assert suite.send("a@far.test", ["alias7@campus.test"], MESSAGE)[0] == 250
    wait_for(lambda: list(pathlib.Path(said).glob("new/*")), 20, "no mail where postern user says")


def test_defaults(folder):
    """The default files say what is so without them, are never written over, and have no fault."""
    d = folder / "etc"
    d.mkdir()
    (d / "databytes").write_text("123456\n")
    assert postern("defaults", d).returncode == 0
    assert (d / "databytes").read_text() == "123456\n"
    assert (d / "maxrcpt").read_text().splitlines()[-1] == "1000" and (d / "maxrcpt").read_text().startswith("# ")
    assert not (d / "ldapserver").exists() and "ldapserver" in (d / "README").read_text()
    before = {f.name: f.read_text() for f in d.iterdir()}
    (d / "me").write_text("mx1.campus.test\n")
    p = postern("check", "-c", d)
    assert p.returncode == 0, p.stdout
    assert "no effect" not in p.stdout + p.stderr
    (d / "me").write_text(before["me"])
    assert postern("defaults", d).returncode == 0
    assert {f.name: f.read_text() for f in d.iterdir()} == before
    assert postern("defaults", "/proc/x").returncode == 111


def test_manpages():
    for name in ("control", "log", "replies"):
        page = postern("manpage", name)
        assert page.returncode == 0
        p = subprocess.run(["mandoc", "-T", "lint", "-W", "warning"], input=page.stdout, capture_output=True, text=True)
        assert p.returncode == 0, p.stdout
    assert ".It Pa concurrencyincoming" in postern("manpage", "control").stdout
    assert postern("manpage", "frob").returncode == 100


PAGES = sorted([*(BIN.parent / "man").glob("*.5"), *(pathlib.Path(__file__).parents[2] / "man").glob("*.[58]")])


def test_manual_pages():
    """Every page is clean mdoc, every program has one, and every page of ours that one refers to is there."""
    names = {p.name for p in PAGES}
    for page in PAGES:
        p = subprocess.run(["mandoc", "-T", "lint", "-W", "warning", str(page)], capture_output=True, text=True)
        assert p.returncode == 0, p.stdout
        for name, section in re.findall(r"^\.Xr (postern\S*) (\d)", page.read_text(), re.M):
            assert f"{name}.{section}" in names, f"{page.name} refers to {name}({section})"
    for program in BIN.glob("postern*"):
        assert f"{program.name}.8" in names, program.name


@pytest.mark.skipif(not ROOT, reason="as root each program has its own user")
def test_others_may_not_give_commands(waiting):
    def nobody():
        os.setgroups([])
        os.setresgid(65534, 65534, 65534)
        os.setresuid(65534, 65534, 65534)
    p = subprocess.run(waiting.command("queue", "list"), capture_output=True, text=True, preexec_fn=nobody)
    assert p.returncode == 111 and not p.stdout


RULES = '''# campus
10.1.:allow,RELAYCLIENT=""
10.:allow,RELAYCLIENT=""
10.1.2.3:allow,RELAYCLIENT=""
192.0.2.0/24:deny
=mail.far.test:allow,MAXPERIP="3",GREETDELAY="5"
=.far.test:deny
'''


@pytest.mark.parametrize("args, line, allow, variables, depends", [
    (["10.1.2.3"], 4, True, {"RELAYCLIENT": ""}, False), (["10.1.2.4"], 2, True, {"RELAYCLIENT": ""}, True), (["10.2.2.3"], 3, True, {"RELAYCLIENT": ""}, True),
    (["192.0.2.7"], 5, False, {}, True), (["192.0.2.7", "MAIL.far.test."], 6, True, {"MAXPERIP": "3", "GREETDELAY": "5"}, False),
    (["198.51.100.1", "x.far.test"], 7, False, {}, False), (["2001:db8::1", "else.test"], None, True, {}, False)])
def test_which_rule_counts(suite, args, line, allow, variables, depends):
    """By the look-up of the door itself; lines of one meaning are told apart."""
    suite.control("tcp.smtp", RULES)
    got = suite.json("door", *args)
    assert got == [{"file": "tcp.smtp", "line": line, "text": line and RULES.splitlines()[line - 1], "allow": allow, "variables": variables, "depends_on_name": depends}]
    text = suite.postern("door", *args, check=0).stdout
    assert (f"tcp.smtp:{line}: {RULES.splitlines()[line - 1]}\n" if line else "tcp.smtp: no line for it: allowed\n") in text
    assert ("give the client's name too" in text) == depends


def test_rules_of_each_door(suite):
    suite.control("listen", "smtp 127.0.0.1:2525\nsubmission 127.0.0.1:2587\nqmqp 127.0.0.1:2628")
    suite.control("servercert.pem", certificate(suite.folder))
    suite.control("tcp.submission", "10.:deny")
    assert suite.postern("door", "10.1.1.1", check=0).stdout == "tcp.smtp: absent: allowed\ntcp.submission:1: 10.:deny\ntcp.qmqp: absent: nobody is allowed\n"
    for wrong in (["10.1.1"], ["mail.test"], ["10.1.1.1", "-"], ["10.1.1.1", "[::1]"], ["10.1.1.1", "a.test", "x"]):
        p = suite.postern("door", *wrong, check=100)
        assert p.stderr and not p.stdout
    suite.control("tcp.submission", "10.:allow\nfrob")
    assert "tcp.submission:2: after the address comes" in suite.postern("door", "10.1.1.1", check=1).stderr
    assert "does not run" in suite.postern("door", check=111).stderr


def test_certificates_by_name_are_checked(suite):
    suite.control("certs/one.test.pem", "nonsense")
    out = suite.postern("check", check=1).stdout
    assert "certs/one.test.pem: no certificate" in out
    suite.control("certs/one.test.pem", certificate(suite.folder, "one.test"))
    assert "servercert.pem is missing" in suite.postern("check", check=1).stdout
    suite.control("servercert.pem", certificate(suite.folder))
    assert "certs/one.test.pem: mode 0644 lets others read a secret" in suite.postern("check", check=0).stdout
    (suite.ctl / "certs/one.test.pem").chmod(0o600)
    suite.control("certs/one.test.pem~", "what an editor left")
    suite.control("certs/README", "which name is whose")
    assert "certs" not in suite.postern("check", check=0).stdout
    for name, days, said in ("two.test", 30, "the certificate is not for one.test"), ("one.test", 3, "the certificate expires within two weeks"):
        suite.control("certs/one.test.pem", certificate(suite.folder, name, days=days))
        assert f"certs/one.test.pem: {said}" in suite.postern("check", check=0).stdout
