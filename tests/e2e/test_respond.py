"""postern-respond: every step taken and undone on a real directory, through failures, changes by others, and SIGKILL at every point."""
import base64
import json
import os
import re
import signal
import smtplib
import subprocess
import time

import pytest

from alone import netstrings
from certificates import NO_CHECK, certificate
from conftest import free_port, many, wait_for
from processes import strace
from respond_alone import BASE, GROUPS, PEOPLE, STEPS, Responder, dump, make_slapd
from skim_alone import mmdb  # noqa: F401 (fixture)
from slapd import ADMIN, SECRET

ANNA = f"dn: uid=anna,{PEOPLE}"


@pytest.fixture
def ldap(folder):
    s = make_slapd(folder / "slapd")
    yield s
    s.kill()


@pytest.fixture
def make(folder):
    with many(Responder, Responder.stop) as new:
        yield lambda ldap=None, **files: new(folder, ldap, **files).start()


def passwords(entries):
    return sorted(base64.b64decode(v.split(":: ")[1]).decode() for v in entries[ANNA] if v.startswith("userPassword::"))


def test_every_step_and_back(make, ldap):
    before = dump(ldap)
    r = make(ldap)
    r.order()
    r.wait_phase("acted")
    after = dump(ldap)
    assert not [e for e in after if e.endswith(GROUPS) and any("anna" in v.lower() for v in after[e])]
    assert any("uid=bela" in v for v in after[f"dn: cn=mail,{GROUPS}"]) and "memberUid: bela" in after[f"dn: cn=vpn,{GROUPS}"]
    assert after[f"dn: cn=other,{BASE}"] == before[f"dn: cn=other,{BASE}"]
    assert f"member: uid=anna,{PEOPLE}" in after[f"dn: cn=phished,{BASE}"]
    assert all(p.startswith("{POSTERN-LOCKED}") for p in passwords(after)) and len(passwords(after)) == 2
    assert "accountStatus: noaccess" in after[ANNA]
    assert {e: v for e, v in after.items() if "uid=bela" in e} == {e: v for e, v in before.items() if "uid=bela" in e}
    for door in (r.outside, r.submission):
        told = r.told(door)
        assert set(told) == {"192.0.2.7", "2001:db8::7"} and all(29 * 86400 < s <= 30 * 86400 for s in told.values())
    assert len(r.mail) == 1
    assert {s["state"] for s in r.steps().values()} == {"done"}
    rows = r.ask("restore", "anna")
    assert rows[0]["phase"] == "restored"
    assert {x["name"]: x["state"] for x in rows if x["kind"] == "step"} == {
        "ticket mail": "left", "groups-remove": "undone", "group-add": "undone", "password": "undone", "accountstatus": "undone", "block": "undone"}
    assert dump(ldap) == before
    assert r.told(r.outside) == {"192.0.2.7": 0, "2001:db8::7": 0}
    undone = r.program.log("respond-undo")
    assert len(undone) == 6 and "user=anna code=WJW-MWX" in undone[0]
    # the same order again, after skim's restart: it was given back
    r.order()
    time.sleep(0.3)
    assert dump(ldap) == before and len(r.mail) == 1 and r.phase() == "restored"


def test_ticket_says_it_all(make, ldap):
    r = make(ldap)
    r.order(why="grüße aus Lagos\tnach Potsdam".replace("\t", " "))
    r.wait_phase("acted")
    (ident, head, body), = r.mail
    header = head[head.index(b"0:,") + 3:].decode()
    assert "Cb" in [c.decode() for c in netstrings(head[:head.index(b",0:,") + 1])] and b"Rhelpdesk@campus.test" in head
    assert re.search(r"^Subject: \[WJW-MWX\] account anna locked$", header, re.M)
    assert re.search(rf"^Message-ID: <WJW-MWX\.{ident}@mx\.campus\.test>$", header, re.M) and "Auto-Submitted: auto-generated" in header
    assert re.search(r"^From: Postern <postmaster@campus\.test>$", header, re.M) and header.endswith("\n\n")
    text = body.decode()
    for part in ("The account anna looks stolen and is locked.", "grüße aus Lagos nach Potsdam", "L1,S3", "192.0.2.7, 2001:db8::7", "postern skim restore WJW-MWX"):
        assert part in text


def test_states_add_steps(make, ldap):
    before = dump(ldap)
    r = make(ldap)
    r.order(state="held", addresses=["192.0.2.1"])
    r.wait_phase("acted")
    assert list(r.steps()) == ["ticket mail"] and dump(ldap) == before
    for _ in range(3):
        r.order(state="held", addresses=["192.0.2.1"])
    r.order(state="stopped")
    r.order(state="locked", addresses=["192.0.2.2"])
    wait_for(lambda: len(r.steps()) == 6)
    r.wait_phase("acted")
    assert len(r.mail) == 1 and set(r.told(r.submission)) == {"192.0.2.1", "192.0.2.2", "192.0.2.7", "2001:db8::7"}
    r.order(state="held", addresses=["192.0.2.3"])  # a lower state adds nothing, a new address is blocked too
    wait_for(lambda: "192.0.2.3" in r.told(r.submission))
    assert [x["state"] for x in r.ask("list")] == ["locked"]
    r.ask("restore", "WJW-MWX")
    assert dump(ldap) == before


def test_what_others_changed_stays(make, ldap):
    before = dump(ldap)
    r = make(ldap)
    r.order()
    r.wait_phase("acted")
    ldap.modify(f"""dn: uid=anna,{PEOPLE}
changetype: modify
replace: userPassword
userPassword: brand new
-
replace: accountStatus
accountStatus: deleted

dn: cn=wifi,{GROUPS}
changetype: modify
add: uniqueMember
uniqueMember: uid=anna,{PEOPLE}

dn: cn=vpn,{GROUPS}
changetype: delete
""")
    rows = {x["name"]: x for x in r.ask("restore", "anna") if x["kind"] == "step"}
    assert rows["password"]["state"] == "left" and "changed since" in rows["password"]["note"]
    assert rows["accountstatus"]["state"] == "left" and "changed since" in rows["accountstatus"]["note"]
    assert rows["groups-remove"]["state"] == "undone" and "1 are no more" in rows["groups-remove"]["note"]
    after = dump(ldap)
    assert passwords(after) == ["brand new"] and "accountStatus: deleted" in after[ANNA]
    assert after[f"dn: cn=wifi,{GROUPS}"] == before[f"dn: cn=wifi,{GROUPS}"] and after[f"dn: cn=mail,{GROUPS}"] == before[f"dn: cn=mail,{GROUPS}"]


def test_what_was_there_before_stays(make, ldap):
    ldap.modify(f"""dn: cn=phished,{BASE}
changetype: modify
add: member
member: uid=anna,{PEOPLE}

dn: uid=anna,{PEOPLE}
changetype: modify
replace: accountStatus
accountStatus: noaccess
""")
    before = dump(ldap)
    r = make(ldap)
    r.order()
    r.wait_phase("acted")
    # a second incident of the same user finds the password locked
    r.order(code="ABC-DEF")
    r.wait_phase("acted", "ABC-DEF")
    rows = r.ask("restore", "anna")
    assert [x["code"] for x in rows if x["kind"] == "incident"] == ["ABC-DEF", "WJW-MWX"]
    assert dump(ldap) == before


def test_user_by_address_and_without_status(make, ldap):
    before = dump(ldap)
    r = make(ldap)
    r.order(user="bela@campus.test")
    r.wait_phase("acted")
    after = dump(ldap)
    assert "accountStatus: noaccess" in after[f"dn: uid=bela,{PEOPLE}"]
    r.ask("restore", "bela@campus.test")
    assert dump(ldap) == before


def test_unknown_user_and_last_member(make, ldap):
    r = make(ldap)
    r.order(user="nobody")
    r.wait_phase("acted")
    s = r.steps()
    assert s["password"]["state"] == "refused" and "no such account" in s["password"]["note"] and s["block"]["state"] == "done"
    assert r.ask("list")[0]["failed"] == "4"
    r.ask("restore", "nobody")
    ldap.modify(f"dn: cn=mail,{GROUPS}\nchangetype: modify\ndelete: member\nmember: uid=bela,{PEOPLE}\n")
    before = dump(ldap)
    r.order(code="BBB")
    r.wait_phase("acted", "BBB")
    s = r.steps("BBB")
    assert s["groups-remove"]["state"] == "done" and "may not be without a member" in s["groups-remove"]["note"]
    r.ask("restore", "BBB")
    assert dump(ldap) == before


def test_names_are_not_filters(make, ldap):
    before = dump(ldap)
    r = make(ldap)
    for i, user in enumerate(["*", "anna)(uid=*", "an*", "(uid=anna)", "a" * 320, "\\61nna", "anna\u2028"]):
        r.order(user=user, code=f"C{i}")
        r.wait_phase("acted", f"C{i}")
        assert r.steps(f"C{i}")["password"]["state"] == "refused"
    assert dump(ldap) == before


def test_directory_away(make, ldap, folder):
    before = dump(ldap)
    ldap.kill()
    r = make(ldap)
    r.order()
    wait_for(lambda: (s := r.steps()) and s["block"]["state"] == "done" and s["ticket mail"]["state"] == "done" and s["password"]["tries"] != "0")
    assert r.phase() == "acting" and r.ask("list")[0]["failed"] != "0"
    assert r.program.log("respond-ldap") and len(r.mail) == 1
    ldap.start()
    r.wait_phase("acted", seconds=30)
    assert all(p.startswith("{POSTERN-LOCKED}") for p in passwords(dump(ldap)))
    ldap.kill()
    rows = r.ask("restore", "anna", code=111)
    assert "tried again by itself" in r.text and rows[0]["phase"] == "restoring"
    ldap.start()
    r.wait_phase("restored", seconds=30)
    assert dump(ldap) == before
    assert r.ask("restore", "anna")[0]["phase"] == "restored"


def test_restore_before_anything_was_done(make, ldap):
    before = dump(ldap)
    ldap.kill()
    r = make(ldap)
    r.answer = "451 4.3.0 not now"
    r.order()
    wait_for(lambda: r.phase() == "acting" and r.steps()["password"]["tries"] != "0")
    r.ask("restore", "WJW-MWX")
    assert r.phase() == "restored"
    assert {s["state"] for n, s in r.steps().items() if n not in ("block", "ticket mail")} == {"undone"}
    ldap.start()
    time.sleep(1.5)
    assert dump(ldap) == before


def test_queue_refuses_first(make):
    r = make(respond="held ticket mail helpdesk@campus.test")
    r.answer = "451 4.3.0 not now"
    r.order(state="held")
    wait_for(lambda: r.mail)
    wait_for(lambda: "the queue said 451" in r.steps()["ticket mail"]["note"])
    r.answer = "250 2.0.0 ok"
    r.ask("retry")
    r.wait_phase("acted")
    assert len(r.mail) == 2 and r.mail[0] == r.mail[1]  # the same message under the same id: a queue or Maildir that has it keeps one


def test_budget_of_locks(make, ldap):
    r = make(ldap, skim="[score]\nmaxlocks=2\n", postmaster="chief@campus.test")
    for i in range(5):
        r.order(code=f"C{i}")
    r.wait_phase("acted", "C4")
    listed = {x["code"]: x for x in r.ask("list")}
    assert [listed[f"C{i}"]["limited"] for i in range(5)] == ["no", "no", "yes", "yes", "yes"]
    assert [int(listed[f"C{i}"]["steps"]) for i in range(5)] == [6, 6, 2, 1, 1]  # the first one beyond tells the postmaster
    notices = [b for _, h, b in r.mail if b"Rchief@campus.test" in h]
    assert len(notices) == 1 and b"2 locks a day" in notices[0] and b"C2" in notices[0]
    r.ask("retry", "C3")  # an operator says: this one too
    r.wait_phase("acted", "C3")
    assert len(r.steps("C3")) == 6 and [x["limited"] for x in r.ask("list") if x["code"] == "C3"] == ["no"]


def test_trusted_addresses_are_not_blocked(make):
    r = make(respond="held block 1", skim="[trustednets]\nnet=192.0.2.0/24 campus\nnet=2001:db8::/32 vpn\n")
    r.order(state="held", addresses=["192.0.2.7", "198.51.100.7", "127.0.0.1", "::1", "fe80::1", "224.0.0.1", "2001:db8::1", "203.0.113.9"])
    r.wait_phase("acted")
    assert set(r.told(r.outside)) == {"198.51.100.7", "203.0.113.9"}
    assert "2 of 8 addresses" in r.steps()["block"]["note"]


def test_blocks_outlive_a_restart_and_end(make, folder):
    import sqlite3
    r = make(respond="held block 1")
    r.order(state="held", addresses=["198.51.100.7"])
    r.order(state="held", code="OTHER", user="bela", addresses=["198.51.100.7", "198.51.100.8"])
    r.wait_phase("acted", "OTHER")
    assert set(r.told(r.outside)) == {"198.51.100.7", "198.51.100.8"}
    r.program.stop()
    r.start()
    assert set(r.told(r.outside, 2)) == {"198.51.100.7", "198.51.100.8"}  # doors are told anew
    r.ask("restore", "OTHER")  # what two incidents block stays blocked until both are given back
    told = r.told(r.outside)
    assert told["198.51.100.7"] > 80000 and told["198.51.100.8"] == 0
    r.program.stop()
    db = sqlite3.connect(folder / "state/respond/journal.sqlite")
    db.execute("update block set until = 1")
    db.commit()
    db.close()
    r.start()
    assert r.told(r.outside) == {}


def test_program(make):
    r = make(respond="stopped ticket program /usr/local/bin/ticket --queue abuse\nheld ticket program /bin/other")
    r.program_answer = (111, "later")
    r.order(state="stopped")
    wait_for(lambda: r.steps() and {s["note"] for s in r.steps().values()} == {"exit 111: later"})
    r.program_answer = (0, "RT#42")
    r.ask("retry", "anna")
    r.wait_phase("acted")
    text, given = r.programs[0]
    told = json.loads(given)
    assert text == b"ticket program /usr/local/bin/ticket --queue abuse"
    assert told["user"] == "anna" and told["code"] == "WJW-MWX" and told["addresses"] == ["192.0.2.7", "2001:db8::7"] and told["state"] == "stopped"
    assert {s["note"] for s in r.steps().values()} == {"exit 0: RT#42"}
    r.program_answer = (100, "never")
    r.order(state="held", code="N")
    r.wait_phase("acted", "N")
    assert {s["state"] for s in r.steps("N").values()} == {"refused"}


def test_orders_that_are_none(make):
    r = make(respond="held block 1")
    for text in (b"x", b"0:,", b"4:anna,", b"x" * 5000):
        r.orders.send(text)
    r.order(state="held", user="an\nna")
    r.order(state="held")
    r.order(state="held", user="bela")  # the code of another user's incident
    r.wait_phase("acted")
    assert len(r.program.log("respond-bad-order", count=6)) == 6
    assert [x["user"] for x in r.ask("list")] == ["anna"]


def test_commands(make):
    r = make(respond="held block 1")
    r.ask("show", "anna", code=1)
    r.ask("retry", "anna", code=1)
    assert r.ask("restore", "anna") == [] and "nothing was done" in r.text
    for wrong in (["list", "x"], ["show"], ["restore"], ["restore", ""], ["delete", "x"], ["show", "a", "b"]):
        r.ask(*wrong, code=100)
    r.order(state="held")
    r.wait_phase("acted")
    rows = r.ask("show", "anna")
    assert set(rows[0]) == {"kind", "code", "user", "state", "phase", "since", "time", "ended", "score", "rules", "why", "steps", "done", "failed", "limited"}
    assert set(rows[1]) == {"kind", "number", "name", "args", "state", "tries", "time", "next", "note"}
    assert [x["address"] for x in rows[2:]] == ["192.0.2.7", "2001:db8::7"]


class Killer:
    """strace kills postern-respond right before its nth CALL from now on; .died says whether it came to that."""
    def __init__(self, r, call, n):
        self.r = r
        self.tracer = strace([r.program.process.pid], "-f", "-o", "/dev/null", "-e", f"trace={call}", "-e", f"inject={call}:signal=KILL:when={n}")

    def wait(self, phase, code):
        """Until it died, or all is done without that."""
        def over():
            if self.r.program.process.poll() is not None:
                return True
            try:
                return any(x["code"] == code and x["phase"] == phase for x in self.r.ask("list", seconds=1))
            except OSError:
                return False
            except EOFError:
                return False
        wait_for(over, 20, "neither dead nor done")
        self.tracer.kill()
        self.tracer.wait()
        time.sleep(0.02)
        self.died = self.r.program.process.poll() is not None
        if self.died:
            self.r.start()


def one_kill(r, ldap, call, act, n, before, locked):
    code, mail = f"{act[0].upper()}{n}", len(r.mail)
    taking = Killer(r, call, n) if act == "take" else None
    r.order(code=code)
    if taking:
        taking.wait("acted", code)
        r.order(code=code)  # as skim does at its start: the first may have been lost with the process
    r.wait_phase("acted", code)
    after = dump(ldap)
    assert after == locked.setdefault("dump", after) and {s["state"] for s in r.steps(code).values()} == {"done"}, code
    assert len(set(r.mail[mail:])) == 1, code  # however often: the same message under the same id
    undoing = Killer(r, call, n) if act == "undo" else None
    try:
        r.ask("restore", code, seconds=5 if undoing else 60)
    except (OSError, EOFError):
        assert undoing
    if undoing:
        undoing.wait("restored", code)
        r.ask("restore", code)
    assert r.phase(code) == "restored" and dump(ldap) == before, code
    return (taking or undoing).died


# Each sync of the journal is the border between "written down" and "done"; each write is a request to the directory (or a log line) about to go out.
@pytest.mark.skipif(os.geteuid() != 0, reason="traces a process that is not dumpable")
@pytest.mark.parametrize("call", ["fdatasync", "write"])
def test_killed_at_every_point(folder, call):
    """SIGKILL at each of them in turn, while the steps are taken and again while they are undone: always the same end."""
    ldap = make_slapd(folder / "slapd")
    r = Responder(folder, ldap, skim="[score]\nmaxlocks=10000\n").start()
    try:
        before, locked = dump(ldap), {}
        for act in ("take", "undo"):
            n, died = 0, True
            while died:
                n += 1
                died = one_kill(r, ldap, call, act, n, before, locked)
            assert n > 8, (act, n)
    finally:
        r.stop()
        ldap.kill()


def test_two_processes_take_turns(make, ldap):
    """As on a reload: the new one is ready before the old one leaves."""
    r = make(ldap)
    first = r.program
    r.start()  # a second process on the same sockets
    r.order()
    r.wait_phase("acted")
    assert len(r.mail) == 1 and first.log("respond-step") and not r.program.log("respond-step", seconds=0.2)
    first.stop()
    wait_for(lambda: r.phase() == "acted")
    r.order(code="NEXT", user="bela")
    r.wait_phase("acted", "NEXT")
    assert r.program.log("code=NEXT")


@pytest.mark.skipif(os.geteuid() != 0 or not os.path.exists("/usr/sbin/nft"), reason="needs root and nft")
def test_nftables(folder):
    """In a network namespace of its own: the set is real."""
    name = f"postern-{os.getpid()}"
    subprocess.run(["ip", "netns", "add", name], check=True)

    def nft(*args):
        return subprocess.run(["ip", "netns", "exec", name, "nft", *args], check=True, capture_output=True, text=True).stdout

    r = None
    try:
        nft("add table inet postern; add set inet postern blocked4 { type ipv4_addr; flags timeout; }; "
            "add set inet postern blocked6 { type ipv6_addr; flags timeout; }; add element inet postern blocked4 { 198.51.100.9 }")
        r = Responder(folder, respond="held nftables inet postern blocked4 blocked6 30", skim="[trustednets]\nnet=192.0.2.0/24 campus\n")
        fd = os.open(f"/run/netns/{name}", os.O_RDONLY)
        mine = os.open("/proc/self/ns/net", os.O_RDONLY)
        os.setns(fd, os.CLONE_NEWNET) if hasattr(os, "setns") else setns(fd)
        try:
            r.start()
        finally:
            os.setns(mine, os.CLONE_NEWNET) if hasattr(os, "setns") else setns(mine)
        r.order(state="held", addresses=["198.51.100.7", "198.51.100.9", "2001:db8::7", "192.0.2.1"])
        r.wait_phase("acted")
        text = nft("list", "table", "inet", "postern")
        assert re.search(r"198\.51\.100\.7 timeout 30d expires", text) and re.search(r"2001:db8::7 timeout 30d", text) and "192.0.2.1" not in text
        r.ask("restore", "anna")
        text = nft("list", "table", "inet", "postern")
        assert "198.51.100.7" not in text and "2001:db8::7" not in text and "198.51.100.9" in text  # that one was somebody else's
        nft("delete", "table", "inet", "postern")
        r.order(state="held", code="GONE")
        wait_for(lambda: r.steps("GONE") and "there is no table postern" in r.steps("GONE")["nftables"]["note"])
    finally:
        if r:
            r.stop()
        subprocess.run(["ip", "netns", "del", name], check=True)


def setns(fd):
    import ctypes
    assert ctypes.CDLL(None, use_errno=True).setns(fd, 0x40000000) == 0


class From(smtplib.SMTP):
    """A client whose connection begins with a PROXY header: it comes from ADDRESS."""
    def __init__(self, address, port):
        self.address = address
        super().__init__("127.0.0.1", port, local_hostname="client.test", timeout=60)

    def _get_socket(self, host, port, timeout):
        s = super()._get_socket(host, port, timeout)
        s.sendall(f"PROXY TCP4 {self.address} 127.0.0.1 40000 587\r\n".encode())
        return s


def submit(port, address, rcpts, header="From: Anna <anna.miller@campus.test>", user="anna", secret="second secret"):
    with From(address, port) as s:
        s.starttls(context=NO_CHECK)
        s.login(user, secret)
        s.mail("anna.miller@campus.test")
        for r in rcpts:
            assert s.rcpt(r)[0] == 250
        return s.data((header + "\r\nTo: many@far.test\r\nSubject: your mailbox\r\n\r\nhttp://login.example.test/now\r\n").encode())


@pytest.mark.skipif(os.geteuid() != 0, reason="as root each program has its own user")
@pytest.mark.parametrize("forgotten", [False, True])
def test_from_theft_to_restore(suite, ldap, mmdb, forgotten):  # noqa: F811
    """The whole suite: a stolen account sends from another continent; one command gives everything back, also when skim's memory was lost."""
    ldap.modify(f"""dn: uid=helpdesk,{PEOPLE}
changetype: add
objectClass: inetOrgPerson
objectClass: qmailUser
cn: Helpdesk
sn: Helpdesk
uid: helpdesk
mail: helpdesk@campus.test
mailMessageStore: helpdesk
""")
    before = dump(ldap)
    port = free_port()
    hook, told = suite.folder / "ticket", suite.folder / "tickets"
    told.mkdir()
    told.chmod(0o1777)
    hook.write_text(f"#!/bin/sh\ncat >{told}/$$.$1\nid -un\n")
    hook.chmod(0o755)
    suite.control("directory.ldif", None)
    for name, text in {"ldapserver": f"ldap://127.0.0.1:{ldap.port}", "ldapbasedn": BASE, "ldapmessagestore": str(suite.state / "mail/"),
                       "respondlogin": ADMIN, "respondpassword": SECRET, "geoip.mmdb": mmdb, "respond": STEPS + f"held ticket program {hook} a;b",
                       "servercert.pem": certificate(suite.folder), "postmaster": "helpdesk@campus.test",
                       "smtproutes": "far.test:127.0.0.1:1", "listen": f"smtp 127.0.0.1:{suite.port} proxy\nsubmission 127.0.0.1:{port} proxy"}.items():
        suite.control(name, text)
    for f in ("respondpassword", "servercert.pem"):
        (suite.ctl / f).chmod(0o600)
    assert not suite.postern("check").returncode, suite.postern("check").stderr
    suite.start()
    usual = [{"type": "login", "user": "anna", "ip": "10.1.0.1", "service": "imap", "time": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() - d * 86400))}
             for d in range(12, 0, -1)]
    subprocess.run(suite.command("skim", "login"), input="".join(json.dumps(e) + "\n" for e in usual), text=True, check=True, capture_output=True)
    assert submit(port, "10.1.0.1", ["bela@campus.test"])[0] == 250
    wait_for(lambda: list((suite.state / "mail/bela/new").glob("*")))
    many = [f"r{i}@far.test" for i in range(120)] + ["bela@campus.test"]
    code, text = submit(port, "10.4.0.1", many, "From: IT Helpdesk <it@campus.test>\r\nReply-To: it@else.test")
    assert code == 250, text
    ident = text.decode().split()[-1]
    who, = wait_for(lambda: suite.json("skim", "list"))
    assert who["user"] == "anna" and who["state"] == "locked" and "Sydney" in who["why"]
    wait_for(lambda: len(suite.events("respond-step")) == 7)
    assert {e["result"] for e in suite.events("respond-step")} == {"done"}, suite.events("respond-step")
    locked = dump(ldap)
    assert all(p.startswith("{POSTERN-LOCKED}") for p in passwords(locked)) and f"member: uid=anna,{PEOPLE}" in locked[f"dn: cn=phished,{BASE}"]
    held = [m for m in suite.json("queue", "list") if m["id"] == ident]
    assert [m["hold"] for m in held] == ["skim"]
    with pytest.raises(smtplib.SMTPAuthenticationError):
        submit(port, "10.1.0.1", ["bela@campus.test"])
    for p in (port, suite.port):
        with pytest.raises(smtplib.SMTPConnectError) as refused:
            From("10.4.0.1", p)
        assert refused.value.smtp_code == 554 and b"blocked" in refused.value.smtp_error
    ticket, = wait_for(lambda: list((suite.state / "mail/helpdesk/new").glob("*")))
    assert f"[{who['code']}] account anna " in ticket.read_text() and "Sydney" in ticket.read_text()
    (given,) = told.glob("*")
    assert given.name.endswith(".a;b") and json.loads(given.read_text())["code"] == who["code"]
    assert [e["note"] for e in suite.events("respond-step") if "program" in e["step"]] == ["exit 0: postern-hook"]
    shown = suite.postern("skim", "show", "anna", check=0).stdout
    assert "Sydney" in shown and "anna is locked" in shown and "password" in shown
    assert "tried again now" in suite.postern("skim", "retry", "anna", check=0).stdout
    suite.postern("skim", "retry", "bela@nowhere", check=1)
    assert not [(r["program"], p) for r in suite.json("privileges", check=None)["programs"] for p in r["processes"] if p["differences"]]
    suite.reload()
    wait_for(lambda: len(suite.events("started")) and len([e for e in suite.events("started") if e["program"] == "respond"]) == 2)
    if forgotten:
        assert suite.stop() == 0
        for f in (suite.state / "skim").iterdir():
            f.unlink()
        suite.start()
        assert suite.json("skim", "list") == [] and dump(ldap) == locked
    out = suite.postern("skim", "restore", "anna", "--release", check=0).stdout
    assert "given back" in out
    suite.postern("skim", "restore", "nobody", check=1)
    assert dump(ldap) == before, out
    wait_for(lambda: len(list((suite.state / "mail/bela/new").glob("*"))) == 2)
    for p in (port, suite.port):
        From("10.4.0.1", p).quit()
    with From("10.1.0.1", port) as client:
        client.starttls(context=NO_CHECK)
        assert client.login("anna", "second secret")[0] == 235
    assert forgotten or [u["state"] for u in suite.json("skim", "list")] == ["recovering"]
    assert suite.stop() == 0
    assert not suite.events("syscall-refused")


TICKET = """#!/bin/sh
echo $$ >>{told}
grep -o '"code": *"[^"]*"' >>{codes}
[ $(wc -l <{told}) -gt 1 ] || until [ -e {killed} ]; do sleep 0.1; done
echo $$ >>{ended}
"""


@pytest.mark.parametrize("program,ended", [("hook", 1), ("respond", 2)])
def test_a_ticket_program_that_was_cut_off_is_run_again(suite, program, ended):
    """A ticket too many does less harm than none: whoever of the two is killed while the program runs, it is run again, with the same code.  Without
    postern-hook it does not go on: nobody would end it in time."""
    hook = suite.folder / "ticket"
    files = {name: suite.folder / name for name in ("told", "codes", "ended")}
    for f in files.values():
        f.touch()
        f.chmod(0o666)
    killed = suite.folder / "killed"
    hook.write_text(TICKET.format(killed=killed, **files))
    hook.chmod(0o755)
    suite.control("respond", f"held ticket program {hook}")
    suite.control("listen", f"smtp 127.0.0.1:{suite.port}\nsubmission 127.0.0.1:{free_port()}")
    suite.control("servercert.pem", certificate(suite.folder))
    (suite.ctl / "servercert.pem").chmod(0o600)
    suite.start()
    suite.postern("skim", "flag", "u1", "--lock", "--why", "phished", check=0)
    wait_for(lambda: files["codes"].read_text())
    pid, = suite.pids(program)
    os.kill(pid, signal.SIGKILL)
    wait_for(lambda: pid not in suite.pids(program))
    killed.touch()
    wait_for(lambda: [e for e in suite.events("respond-step") if e["result"] == "done"], 60)
    code = files["codes"].read_text().split("\n")
    assert len(code) == 3 and code[0] == code[1] and suite.events("respond-step")[-1]["code"] in code[0]
    assert len(files["told"].read_text().split()) == 2
    wait_for(lambda: len(files["ended"].read_text().split()) >= ended)
    time.sleep(0.3)  # and no more
    assert len(files["ended"].read_text().split()) == ended
    assert suite.stop() == 0


@pytest.mark.parametrize("later", ["respond", "listen"])
def test_switched_on_by_a_reload(suite, later):
    """control/respond comes after skim was started, or submission after control/respond: skim tells respond without a restart of the suite."""
    told = suite.folder / "told"
    told.touch()
    told.chmod(0o666)
    hook = suite.folder / "ticket"
    hook.write_text(f"#!/bin/sh\necho >>{told}\n")
    hook.chmod(0o755)
    suite.control("servercert.pem", certificate(suite.folder))
    (suite.ctl / "servercert.pem").chmod(0o600)
    files = {"respond": f"locked ticket program {hook}", "listen": f"smtp 127.0.0.1:{suite.port}\nsubmission 127.0.0.1:{free_port()}"}
    suite.control("listen", f"smtp 127.0.0.1:{suite.port}")
    for name, text in files.items():
        if name != later:
            suite.control(name, text)
    suite.start()
    assert not suite.pids("respond")
    suite.control(later, files[later])
    suite.reload()
    wait_for(lambda: suite.pids("respond") and suite.pids("skim") and suite.events("reloaded"))
    wait_for(lambda: suite.postern("skim", "flag", "u1", "--lock", "--why", "phished").returncode == 0)
    wait_for(told.read_text)
    assert not [(r["program"], p) for r in suite.json("privileges", check=None)["programs"] for p in r["processes"] if p["differences"]]
    assert suite.stop() == 0
