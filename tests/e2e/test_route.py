"""postern-route with a real postern-directory behind it; and the whole suite with slapd as its directory."""
import pytest

from alone import Program, netstrings as split_netstrings
from conftest import wait_for
from slapd import Slapd, asked_by, person
from test_directory import CONTROL, ENTRIES, state_folder

ID = "0123456789abc"
KEYS = "agent address destination maildir uid gid quota count size status enhanced text".split()


@pytest.fixture(scope="module")
def route(tmp_path_factory):
    d = Program("directory", state_folder(tmp_path_factory), {**CONTROL, "directory.ldif": ENTRIES}, ["in"]).start()
    r = Program("route", state_folder(tmp_path_factory), {**CONTROL, "ldapclusterhosts": "other.campus.test"}, ["in", d.ask_socket]).start()
    assert (d.said, r.said) == ("ready", "ready"), d.log() + r.log()
    r.directory = d
    yield r
    assert r.stop() == 0 and d.stop() == 0


def targets(route, address):
    return [dict(zip(KEYS, [f.decode() for f in split_netstrings(t)])) for t in route.ask("route", ID, "s@far.test", address)]


def short(route, address):
    return sorted((t["agent"], t["destination"] or t["enhanced"]) for t in targets(route, address))


@pytest.mark.parametrize("address,want", [
    ("anna@campus.test", [("l", "anna")]), ("anna+x@campus.test", [("l", "anna")]), ("away@campus.test", [("q", "mx2.campus.test")]),
    ("both@campus.test", [("l", "both"), ("r", "far.test"), ("r", "far.test")]), ("onlyforward@campus.test", [("r", "far.test")]),
    ("list@campus.test", [("l", "anna"), ("q", "mx2.campus.test"), ("r", "far.test")]), ("postmaster@campus.test", [("l", "anna")]),
    ("postmaster@mx1.campus.test", [("l", "anna")]), ("someone@elsewhere.test", [("r", "elsewhere.test")]), ("nobody@campus.test", [("-", "5.1.1")]),
    ("disabled@campus.test", [("-", "5.2.1")]), ("moderated@campus.test", [("-", "4.4.3")])])
def test_targets(route, address, want):
    assert short(route, address) == want


def test_what_a_target_says(route):
    assert targets(route, "anna@campus.test") == [dict(zip(KEYS, [
        "l", "anna@campus.test", "anna", f"{route.folder}/mail/anna/Maildir", "-1", "-1", "1000000", "100", "5000", "-", "", ""]))]
    assert targets(route, "folded@campus.test")[0]["maildir"] == "/srv/mail/folded/Maildir"
    posix = targets(route, "posix@campus.test")[0]
    assert (posix["uid"], posix["gid"]) == ("1000", "1001")


@pytest.mark.parametrize("question", [(), ("route",), ("route", ID, "", ""), ("route", "short", "", "a@b"), ("rcpt", ID, "", "a@b")])
def test_bad_questions(route, question):
    assert route.ask(*question) == []
    assert short(route, "anna@campus.test") == [("l", "anna")]


def test_directory_dies(tmp_path_factory):
    d = Program("directory", state_folder(tmp_path_factory), {**CONTROL, "directory.ldif": ENTRIES}, ["in"]).start()
    r = Program("route", state_folder(tmp_path_factory), CONTROL, ["in", d.ask_socket]).start()
    d.stop(9)
    reply = r.send("route", ID, "", "anna@campus.test")
    d.start()
    reply.settimeout(60)
    assert b"anna@campus.test" in reply.recv(70000)
    assert short(r, "nobody@campus.test") == [("-", "5.1.1")]
    assert r.stop() == 0 and d.stop() == 0


MESSAGE = b"Subject: x\r\n\r\nhello\r\n"


def test_suite_with_slapd(suite, tmp_path):
    """Mail by LDAP; while the server is away clients are told to come back, and nobody is told "no"."""
    people = ENTRIES + person("host2", "mailHost: mx2.campus.test")
    s = Slapd(tmp_path / "slapd", people).start()
    asked_by(suite, s, directorycache="0")
    suite.control("postmaster", "anna@campus.test")
    suite.start()
    try:
        assert suite.send("a@far.test", "anna.berg@campus.test", MESSAGE)[0] == 250
        assert suite.wait_mail("anna")[0].endswith(b"hello\n")
        assert suite.send("a@far.test", "postmaster", MESSAGE)[0] == 250
        suite.wait_mail("anna", 2)
        assert suite.send("a@far.test", "nobody@campus.test", MESSAGE)[0] == 550
        s.kill()
        wait_for(lambda: suite.send("a@far.test", "anna@campus.test", MESSAGE)[0] == 451, why="no 451 without a server")
        assert suite.send("a@far.test", "nobody@campus.test", MESSAGE)[0] == 451
        s.start()
        wait_for(lambda: suite.send("a@far.test", "anna@campus.test", MESSAGE)[0] == 250, why="no mail after the server came back")
        suite.wait_mail("anna", 3)
        assert suite.send("a@far.test", "host2@campus.test", MESSAGE)[0] == 250
        wait_for(lambda: "mx2.campus.test" in str(suite.json("queue", "show", suite.json("queue", "list")[0]["id"])), why="no reason that names the host")
    finally:
        s.kill()
