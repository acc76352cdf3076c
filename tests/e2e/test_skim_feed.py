"""What other programs tell postern-skim: in the running suite (logins, unknown recipients, bounces, verdicts), and hostile datagrams to it alone."""
import json
import os
import pathlib
import random
import socket
import subprocess
import tempfile

import pytest

from alone import BIN, netstring
from conftest import wait_for
from processes import at_once
from smtp_server import Scripted
from scan_alone import BAD, signatures
from skim_alone import Skim, held, mmdb, place, skim  # noqa: F401 (fixtures)
from submission import SECRET, people, plain, site, ssha, submit  # noqa: F401 (a fixture)
from timing import sleep


def login(suite, user, password, source, stay=False):
    """One AUTH from 127.A.B.C; True: it was right."""
    s = submit(suite, source=source)
    if s.docmd("AUTH PLAIN " + plain(user, password))[0] != 235:
        return False
    if stay:
        return s
    s.quit()
    return True


def spray(suite, tries):
    """All at once: a wrong password is answered after a second."""
    at_once(lambda t: login(suite, t[0], "wrong", t[1]), tries)


def rules(suite, user):
    p = suite.postern("skim", "show", user, "--json")
    return json.loads(p.stdout)["rules"] if p.returncode == 0 else []


def test_guessing_then_success(site):
    """L8: ten wrong passwords of one user from three networks, then the right one; nobody had heard of the user before."""
    site.start()
    spray(site, [("u1", f"127.0.{i % 3 + 1}.{i + 1}") for i in range(10)])
    wait_for(lambda: site.json("skim", "show", "u1")["failures"] == 10, why="the wrong passwords did not come")
    assert site.json("skim", "list") == []
    assert login(site, "u1@campus.test", SECRET, "127.0.9.9")
    wait_for(lambda: "L8" in rules(site, "u1"), why="L8 did not come")
    got = site.json("skim", "show", "u1")
    assert got["user"] == "u1" and got["state"] == "flagged" and "10 wrong passwords from 3 or more networks" in got["why"]
    assert "127.0.9.9" in [x["ip"] for x in got["recent_logins"]]


def test_spray_winner(site):
    """L9: one address tries many users, some of whom do not exist, and one password is right."""
    site.control("skim", "[limits]\nspray_users=6\n")
    site.start()
    spray(site, [(u, "127.0.4.4") for u in ("u1", "u2", "nobody", "root", "u3", "admin")])
    wait_for(lambda: site.json("skim", "show", "u3")["failures"] == 1)
    assert site.postern("skim", "show", "nobody").returncode == 1, "who does not exist is not remembered"
    assert login(site, "u2", "other", "127.0.4.4")
    wait_for(lambda: "L9" in rules(site, "u2"), why="L9 did not come")
    assert login(site, "u1", SECRET, "127.0.5.5") and "L9" not in rules(site, "u1"), "from elsewhere"


def test_bounces_count(site):
    """S3 by what another host refused after we had taken it; what it refuses for another reason does not count."""
    server = Scripted({"RCPT": lambda t: "550 5.1.1 no such user\r\n" if b"nobody" in t.lines[-1] else "550 5.7.1 go away\r\n"})
    site.control("skim", "[limits]\nunknown_warn=4\n")
    site.control("smtproutes", f":127.0.0.1:{server.port}")
    site.start()
    for who, to in (("u1", "nobody"), ("u2", "somebody")):
        s = login(site, who, SECRET if who == "u1" else "other", "127.0.5.5", stay=True)
        s.sendmail(f"{who}@campus.test", [f"{to}{n}@far.test" for n in range(5)], f"From: {who}@campus.test\r\n\r\nx\r\n")
        s.quit()
        wait_for(lambda: len(site.events("queue-failed")) == (5 if who == "u1" else 10), why="not bounced")
    wait_for(lambda: "S3" in rules(site, "u1"), why="skim was not told")
    assert "S3" not in rules(site, "u2")


def test_unknown_recipients(site):
    """S3 by what RCPT refused, before the message and after it."""
    site.control("skim", "[limits]\nunknown_warn=4\n")
    site.start()
    s = login(site, "u1", SECRET, "127.0.5.5", stay=True)
    s.mail("u1@campus.test")
    for n in range(4):
        assert s.rcpt(f"nobody{n}@campus.test")[0] == 550
    assert "S3" not in rules(site, "u1")
    assert s.rcpt("u2@campus.test")[0] == 250 and s.data(b"Subject: x\r\n\r\nx\r\n")[0] == 250
    assert "S3" in rules(site, "u1"), "told before the message is judged"
    s.quit()
    t = login(site, "u2", "other", "127.0.5.5", stay=True)
    t.mail("u2@campus.test")
    for n in range(4):
        t.rcpt(f"nobody{n}@campus.test")
    t.quit()
    wait_for(lambda: "S3" in rules(site, "u2"), why="a session without a message did not tell")


def test_viruses_that_a_user_sends(site):
    """C3: the scanners stand behind skim in the line, and tell it."""
    with tempfile.TemporaryDirectory(prefix="postern-db-") as db:
        os.chmod(db, 0o755)
        site.control("scanners", f"clamav embedded:{signatures(pathlib.Path(db) / 'db')}")
        site.start()
        s = login(site, "u1", SECRET, "127.0.5.5", stay=True)
        for n in range(2):
            assert "C3" not in rules(site, "u1")
            s.mail("u1@campus.test"), s.rcpt("u2@campus.test")
            assert s.data(BAD.replace(b"a@far.test", b"u1@campus.test").replace(b"\n", b"\r\n"))[0] == 550
        wait_for(lambda: "C3" in rules(site, "u1"), why="skim was not told")
        s.quit()


def test_user_class_comes_from_the_directory(site):
    ldif = people(ssha(SECRET), ssha("other")).replace("uid: u1\n", "uid: u1\nuserClass: student\n", 1)
    site.control("directory.ldif", ldif)
    site.start()
    assert login(site, "u1", SECRET, "127.0.0.1")
    wait_for(lambda: site.postern("skim", "show", "u1").returncode == 0)
    assert site.json("skim", "show", "u1")["class"] == "student"


# postern-skim alone

def tell(skim, *fields):
    skim.feed.send(b"".join(netstring(f) for f in fields))


def shown(skim, user):
    """What skim knows of USER; nothing until it has heard of it."""
    return skim.ask("show", user, code=None) or {}


def test_kinds_of_datagrams(skim):
    tell(skim, "L", "eve", "10.3.0.1", "submission", "staff", "y", 1)
    wait_for(lambda: shown(skim, "eve").get("class") == "staff")
    tell(skim, "V", "eve", "", "", "", "y", 1)
    tell(skim, "V", "eve", "", "", "", "y", 1)
    wait_for(lambda: "C3" in skim.ask("show", "eve")["rules"])
    tell(skim, "B", "eve", "", "", "", "y", 60)
    wait_for(lambda: "S3" in skim.ask("show", "eve")["rules"])
    assert skim.ask("list")[0]["state"] in ("held", "stopped", "locked")
    tell(skim, "R", "nobody", "", "", "", "y", 60)
    tell(skim, "L", "nobody", "10.3.0.1", "submission", "", "u", 1)
    tell(skim, "L", "bert", "10.3.0.1", "submission", "", "n", 1)
    wait_for(lambda: shown(skim, "bert").get("user") == "bert")
    skim.ask("show", "nobody", code=1)


def test_hostile_datagrams(skim):
    random.seed(3)
    good = [b"".join(netstring(f) for f in x) for x in (("L", "eve", "10.3.0.1", "imap", "staff", "y", 1), ("R", "eve", "", "", "", "y", 9))]
    bad = [b"", b"x", b"1:L,", b"\0" * 1000, good[0] + b"0:,", good[0][:-1], b"1:X," + good[0][4:], good[1].replace(b"1:9,", b"2:-9,"), good[1].replace(b"1:9,", b"1:0,"),
           good[1].replace(b"1:9,", b"7:1000000,"), b"1:L,0:,0:,0:,0:,1:y,1:1,", b"1:L," + netstring("x" * 321) + good[0][10:], b"x" * 3000]
    for n in range(2000):
        x = bytearray(random.choice(good))
        for _ in range(random.randrange(1, 4)):
            x[random.randrange(len(x))] = random.randrange(256)
        bad.append(bytes(x))
    fd = os.open("/dev/null", os.O_RDONLY)
    for n, x in enumerate(bad):
        socket.send_fds(skim.feed, [x], [fd] * 3 if n % 50 == 0 else [])
    before = skim.program.descriptors()
    skim.send("anna", ["a@b.test"])
    assert not held(skim.next()[0]), "mail goes on"
    assert skim.program.log("bad-question")
    skim.ask("list")
    assert skim.program.descriptors() == before, "descriptors that came with datagrams are closed"
    assert skim.program.process.poll() is None


def test_a_full_socket_blocks_nobody(skim):
    """The senders' side: skim does not read, and nothing waits."""
    skim.feed.setblocking(False)
    os.kill(skim.program.process.pid, 19)
    sent = 0
    with pytest.raises(BlockingIOError):
        while sent < 100000:
            tell(skim, "L", f"user{sent}", "10.3.0.1", "imap", "", "y", 1)
            sent += 1
    os.kill(skim.program.process.pid, 18)
    wait_for(lambda: skim.program.process.poll() is None and subprocess.run(
        [BIN / "postern", "skim", "show", f"user{sent - 1}", "-s", skim.folder / "state"], capture_output=True).returncode == 0)
    assert sent > 100


def submit_one(suite, subject):
    s = login(suite, "u1", SECRET, "127.0.5.5", stay=True)
    code = s.mail("u1@campus.test")[0], s.rcpt("u2@campus.test")[0], s.data(f"From: u1@campus.test\r\nSubject: {subject}\r\n\r\nx\r\n".encode())
    s.quit()
    return code[2]


def test_held_shown_and_given_back(site):
    """The whole way: complaints hold the mail, the helpdesk sees it and a ticket, restore releases it; and the same with --delete."""
    site.control("respond", "held ticket mail u5@campus.test")
    site.start()
    assert submit_one(site, "before")[0] == 250
    site.wait_mail("u2")
    site.postern("skim", "report", "u1", check=0)
    assert [u["state"] for u in site.json("skim", "list")] == ["held"]
    assert submit_one(site, "held")[0] == 250
    got = wait_for(lambda: [g for g in [site.json("skim", "show", "u1")] if g["held"] and g["actions"]], why="not held, or nothing done")[0]
    assert len(got["held"]) == 1 and got["held"][0]["sender"] == "u1@campus.test" and got["actions"][0]["name"].startswith("ticket")
    assert "released by itself later" in site.postern("skim", "show", "u1").stdout
    ticket = site.wait_mail("u5")[0]
    assert got["code"].encode() in ticket and b"u1" in ticket
    assert len(site.wait_mail("u2")) == 1
    steps = site.json("skim", "restore", got["code"], "--release")["steps"]
    assert [(s["step"], s["done"]) for s in steps] == [("account", True), ("suspicion", True), ("held mail", True)] and "1 message" in steps[2]["text"]
    wait_for(lambda: len(site.wait_mail("u2")) == 2, why="not released")
    assert [u["state"] for u in site.json("skim", "list")] == ["recovering"]
    site.postern("skim", "flag", "u1", "--why", "again", check=0)
    assert submit_one(site, "deleted")[0] == 250
    wait_for(lambda: site.json("skim", "show", "u1")["held"])
    steps = site.json("skim", "restore", "u1", "--delete")["steps"]
    assert "1 message" in steps[2]["text"] and site.json("skim", "show", "u1")["held"] == []
    assert submit_one(site, "after")[0] == 250
    wait_for(lambda: len(site.wait_mail("u2")) == 3)
    assert not any(b"Subject: deleted" in m for m in site.wait_mail("u2"))
    assert "skim-command" in site.log()


def test_the_list_outlives_a_kill_of_skim(site):
    site.start()
    site.postern("skim", "flag", "u1", "--lock", "--why", "stolen", check=0)
    sleep(3)  # a batch every 2 s
    before = [(u["user"], u["code"], u["state"]) for u in site.json("skim", "list")]
    pid, = site.pids("skim")
    os.kill(pid, 9)
    wait_for(lambda: site.postern("skim", "list").returncode == 0 and [(u["user"], u["code"], u["state"]) for u in site.json("skim", "list")] == before, why="forgotten")
    assert submit_one(site, "x")[0] == 550
