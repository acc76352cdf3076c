"""postern-fixup alone: jobs in on one socket, jobs out on another, the session's answer on a third."""
import array
import email.headerregistry
import email.policy
import fcntl
import os
import random
import signal
import socket
import subprocess
import time

import pytest
from alone import JOB_MAX, Program, SEALS, joined as netstrings, message_of, sealed, split_head
from conftest import BIN, wait_for
from processes import stat

ID = b"0123456789abc"
RULES = {
    "me": "mx1.campus.test",
    "fixupdomains": "mail.campus.test:campus.test\n.dept.campus.test:campus.test\nmerged.test:campus.test\n.wide.test:campus.test\nkeep.wide.test:keep.wide.test\n",
    "canonical": "old.name@campus.test:new.name@campus.test\n",
}


def records(sender=b"s@far.test", rcpts=(b"u@campus.test",), cls=b"o"):
    return netstrings(b"V1", b"I" + ID, b"C" + cls, b"T1795343760000000", b"S" + sender, *[b"R" + r for r in rcpts], b"")


class Fixup:
    def __init__(self, folder, files=RULES):
        self.next, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.program = Program("fixup", folder, files, ["in", theirs])
        self.theirs = theirs
        self.program.start()
        assert self.program.said == "ready", self.program.said + self.program.log()
        self.next.settimeout(60)

    def send(self, head, body=b"body\n", fds=None):
        """One job; returns the session's end of the reply socket."""
        mine, reply = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        own = [sealed(head), sealed(body)] if fds is None else []
        self.program.ask_socket.sendmsg([ID], [(socket.SOL_SOCKET, socket.SCM_RIGHTS,
                                               array.array("i", (fds if fds is not None else [*own, reply.fileno()])))])
        for fd in own:
            os.close(fd)
        reply.close()
        mine.settimeout(60)
        return mine

    def receive(self):
        try:
            text, fds, _, _ = socket.recv_fds(self.next, JOB_MAX, 4)
        except TimeoutError:
            raise AssertionError("no job came out:\n" + self.program.log()) from None
        assert all(fcntl.fcntl(fd, 1034) & SEALS == SEALS for fd in fds[:-1])  # F_GET_SEALS
        text, head, body, (reply,) = message_of(text, fds)
        os.close(reply)
        assert text == ID
        return head, body

    def through(self, header, **envelope):
        """(records, header) as they come out; the answer's socket is closed."""
        mine = self.send(records(**envelope) + header)
        head, body = self.receive()
        mine.close()
        assert body == b"body\n"
        return split_head(head)


@pytest.fixture
def fixup(folder):
    f = Fixup(folder)
    yield f
    assert f.program.stop() == 0 or f.program.process.returncode == -signal.SIGKILL, f.program.log()


WHOLE = b"Date: x\nMessage-ID: <x>\n"


@pytest.mark.parametrize("more", [0, 20_000])
def test_unchanged_goes_on_as_it_came(fixup, more):
    """A head of few octets in the datagram, a long one as the same file; the body is never looked at."""
    head = records() + b"To: u@campus.test\n" + WHOLE + b"X: " + b"x" * more + b"\n\n"
    fds = [sealed(head), sealed(b"body\n")]
    mine, reply = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    fixup.send(None, fds=[*fds, reply.fileno()])
    text, out, _, _ = socket.recv_fds(fixup.next, JOB_MAX, 4)
    assert [os.fstat(a).st_ino for a in fds[0 if more else 1:]] == [os.fstat(b).st_ino for b in out[:-1]]
    _, got, body, (reply,) = message_of(text, out)
    assert (got, body) == (head, b"body\n")
    os.write(reply, b"250 2.0.0 ok")
    assert mine.recv(100) == b"250 2.0.0 ok"


def test_rewritten(fixup):
    rec, header = fixup.through(b"From: A <old.name@mail.campus.test>\nTo: \"U, V\" <u@x.dept.campus.test>,\n\tv@far.test (x)\n" + WHOLE + b"\n",
                                sender=b"old.name@merged.test", rcpts=[b"u@mail.campus.test", b"u@campus.test", b"v@far.test"])
    assert header == (b"From: A <new.name@campus.test>\nTo: \"U, V\" <u@campus.test>,\n\tv@far.test (x)\n" + WHOLE + b"\n")
    assert b"Snew.name@campus.test" in rec
    assert rec[rec.index(b"Ru@campus.test"):] == [b"Ru@campus.test", b"Orfc822;u@mail.campus.test", b"Rv@far.test"]


def test_completed(fixup):
    _, header = fixup.through(b"To: u@campus.test\n\n")
    assert header == b"To: u@campus.test\nDate: Sun, 22 Nov 2026 10:36:00 +0000\nMessage-ID: <0123456789abc@mx1.campus.test>\n\n"


def test_submitted_mail_gets_a_from_field(fixup):
    _, header = fixup.through(b"To: u@campus.test\nDate: x\nMessage-ID: <x>\n\n", cls=b"s", sender=b"s@mail.campus.test")
    assert header == b"To: u@campus.test\nDate: x\nMessage-ID: <x>\nFrom: s@campus.test\n\n", "as it was rewritten"
    _, header = fixup.through(b"To: u@campus.test\nDate: x\nMessage-ID: <x>\n\n")
    assert header == b"To: u@campus.test\nDate: x\nMessage-ID: <x>\n\n", "mail of others is not completed by guessing"


def test_submitted_mail_tells_nobody_of_bcc(fixup):
    """Postfix and ofmipd drop it too; mail of others stays as it was signed."""
    head = b"From: s@campus.test\nDate: x\nMessage-ID: <x>\n"
    bcc = b"Bcc: hidden@campus.test,\n u@mail.campus.test\nTo: u@campus.test\nresent-bcc:\nBCC : x\nX-Bcc: y\n\n"
    _, header = fixup.through(head + bcc, cls=b"s")
    assert header == head + b"To: u@campus.test\nX-Bcc: y\n\n"
    _, header = fixup.through(head + bcc)
    assert header == head + bcc.replace(b"mail.campus.test", b"campus.test")


# ---- random address lists: Python's parser sees the same list with other domains

OURS = {b"mail.campus.test": b"campus.test", b"a.b.dept.campus.test": b"campus.test", b"MERGED.Test": b"campus.test", b"x.wide.test": b"campus.test"}
OTHERS = [b"far.test", b"campus.test", b"dept.campus.test", b"keep.wide.test", b"notmerged.test", b"merged.test.example", b"[192.0.2.1]"]


class Generator:
    def __init__(self, seed):
        self.r = random.Random(seed)

    def blank(self, also_none=True):
        return self.r.choice([b"", b" "][0 if also_none else 1:] + [b" ", b"  ", b"\n ", b"\n\t"])

    def atom(self):
        return bytes(self.r.choices(b"abcxyzABC019!#$%&'*+-/^_`{|}~", k=self.r.randint(1, 8)))

    def quoted(self):
        inside = [self.r.choice([b"a", b" ", b",", b"<", b">", b"@", b"(", b";", b":", b".", b"\\\"", b"\\\\", b"u@mail.campus.test"])
                  for _ in range(self.r.randint(0, 6))]
        return b'"q' + b"".join(inside) + b'"'

    def comment(self, depth=0):
        inside = [self.r.choice([b"c", b" ", b",", b"<u@mail.campus.test>", b"\"", b"\\)", b"\\("]) for _ in range(self.r.randint(0, 4))]
        if depth < 3 and self.r.random() < 0.3:
            inside.append(self.comment(depth + 1))
        return b"(" + b"".join(inside) + b")"

    def cfws(self):
        return self.blank() + (self.comment() + self.blank() if self.r.random() < 0.15 else b"")

    def phrase(self):
        words = [self.r.choice([self.atom, self.atom, self.quoted, lambda: b"=?utf-8?Q?J=C3=BCrgen?=", lambda: b"=?iso-8859-1?B?5Oo=?="])()
                 for _ in range(self.r.randint(1, 4))]
        return self.blank(False).join(words)

    def spec(self):
        """(before, after) of one addr-spec"""
        local = self.r.choice([lambda: b".".join(self.atom() for _ in range(self.r.randint(1, 3))), self.quoted])()
        old = self.r.choice([*OURS, *OURS, *OTHERS])
        return local + b"@" + old, local + b"@" + OURS.get(old, old)

    def mailbox(self):
        a, b = self.spec()
        if self.r.random() < 0.4:
            return a, b
        before = self.phrase() + self.blank(False) if self.r.random() < 0.8 else b""
        return before + b"<" + a + b">", before + b"<" + b + b">"

    def wrap(self, pair):
        before, after = self.cfws(), b"" if pair[0].endswith(b";") else self.cfws()  # Python 3.11 fails on a blank after a group
        return before + pair[0] + after, before + pair[1] + after

    def group(self):
        name = self.atom()
        members = [self.wrap(self.mailbox()) for _ in range(self.r.randint(0, 3))]
        return tuple(name + b":" + b",".join(m[i] for m in members) + b";" for i in (0, 1))

    def field(self):
        items = [self.wrap(self.group() if self.r.random() < 0.1 else self.mailbox()) for _ in range(self.r.randint(1, 6))]
        name = self.r.choice([b"To", b"Cc", b"Reply-To", b"From", b"Resent-To", b"BCC"])
        return tuple(name + b": x@far.test," + b",".join(i[k] for i in items) + b"\n" for k in (0, 1))


PARSE = email.headerregistry.HeaderRegistry(use_default_map=False, default_class=email.headerregistry.AddressHeader)


def addresses(field):
    value = field.partition(b":")[2].decode().replace("\n", "")
    return [(g.display_name, [(a.display_name, a.username, a.domain) for a in g.addresses]) for g in PARSE("To", value).groups]


def test_random_address_lists(fixup):
    domains = {k.decode(): v.decode() for k, v in OURS.items()}
    rewritten = 0
    for seed in range(30):
        generator = Generator(seed)
        pairs = [generator.field() for _ in range(20)]
        _, header = fixup.through(b"".join(p[0] for p in pairs) + WHOLE + b"\n")
        want = b"".join(p[1] for p in pairs) + WHOLE + b"\n"
        assert header == want, f"seed {seed}"
        for before, after in pairs:
            mapped = [(g, [(n, u, domains.get(d, d)) for n, u, d in members]) for g, members in addresses(before)]
            assert addresses(after) == mapped, (seed, before)
            rewritten += before != after
    assert rewritten > 300


# ---- what goes wrong

def answer(mine):
    return mine.recv(1000).decode()


def test_too_large_is_451_with_the_id(folder):
    f = Fixup(folder, {**RULES, "fixupdomains": "s.test:a-much-longer-name-than-before.campus.test\n"})
    field = b"To: u@s.test\n"
    mine = f.send(records() + field * ((1 << 20) // len(field) - 5) + WHOLE + b"\n")
    assert answer(mine) == "451 4.3.0 0123456789abc cannot be rewritten now, try again later"
    assert f.through(WHOLE + b"To: u@s.test\n\n")[1] == WHOLE + b"To: u@a-much-longer-name-than-before.campus.test\n\n"
    assert "0123456789abc fault error=" in f.program.log()
    assert f.program.stop() == 0


def test_bad_jobs_are_dropped(fixup):
    good, body = sealed(records() + b"\n"), sealed(b"")
    unsealed = os.memfd_create("test", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
    os.write(unsealed, records() + b"\n")
    for fds in ([], [good], [good, body], [unsealed, body, "reply"], [good, unsealed, "reply"], [sealed(b""), body, "reply"],
                [sealed(b"1:x,"), body, "reply"], [sealed(records()[:-5]), body, "reply"], [good, body, "reply", good], [good] * 9):
        mine, reply = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        fixup.send(None, fds=[reply.fileno() if f == "reply" else f for f in fds])
        reply.close()
        mine.settimeout(60)
        assert mine.recv(100) == b"", fds
    fixup.program.ask_socket.send(b"")
    fixup.program.ask_socket.send(b"x" * 1000)
    assert fixup.through(b"To: u@mail.campus.test\n" + WHOLE + b"\n")[1].startswith(b"To: u@campus.test\n")
    assert fixup.program.log().count(" bad-job ") == 12, fixup.program.log()
    pid = fixup.program.process.pid
    if os.geteuid() == 0:
        wait_for(lambda: len(os.listdir(f"/proc/{pid}/fd")) == 6, why="descriptors were left open")


def test_killed_with_a_job_in_hand(folder):
    f = Fixup(folder)
    for s in (f.theirs, f.program.ask_socket):
        s.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 1)  # soon full
    f.program.ask_socket.settimeout(0.5)
    sessions, full = [], 0
    while len(sessions) < 100 and full < 2:  # twice, the program being asleep meanwhile
        try:
            sessions.append(f.send(records() + b"To: u@mail.campus.test\n" + WHOLE + b"\n"))
            full = 0
        except TimeoutError:
            full += stat(f.program.process.pid)[0] == "S"
    assert 3 < len(sessions) < 100
    f.program.stop(signal.SIGKILL)
    gone = 0
    for s in sessions:
        s.settimeout(0)
        try:
            assert s.recv(100) == b""
            gone += 1
        except BlockingIOError:
            pass
    assert gone == 1
    f.program.start()
    for _ in range(len(sessions) - 1):
        assert b"To: u@campus.test\n" in f.receive()[0]
    assert f.program.stop() == 0


def test_hostile_headers_take_linear_time(fixup):
    def seconds(shape, times):
        start = time.monotonic()
        fixup.through(b"To: " + shape * times + b"\n" + WHOLE + b"\n")
        return time.monotonic() - start
    for shape in (b"(", b"<", b"<>()", b"u@mail.campus.test,", b"\"", b"=?", b"@a,", b"a:;,", b"\\", b"(\\"):
        one = min(seconds(shape, 5000) for _ in range(3))
        ten = min(seconds(shape, 50000) for _ in range(3))
        assert ten < 20 * one + 0.1, (shape, one, ten)


def test_bad_rules_start_nothing(folder):
    p = Program("fixup", folder, {**RULES, "fixupdomains": "a.test:b.test\nb.test:c.test\n"}, ["in", socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)[0]])
    p.start()
    assert p.said == "fatal:/control/fixupdomains:1: b.test is itself rewritten, to c.test by line 2: rewrite to the last domain at once"
    assert p.process.wait(60) == 111


# ---- postern fixup ADDRESS

@pytest.fixture
def explain(folder):
    for name, text in RULES.items():
        (folder / name).write_text(text)

    def run(*args):
        p = subprocess.run([BIN / "postern", "fixup", "-c", folder, *args], capture_output=True, text=True, timeout=60)
        return p.returncode, p.stdout, p.stderr
    return run


def test_explain(explain):
    assert explain("old.name@mail.campus.test") == (0, "old.name@mail.campus.test becomes new.name@campus.test\n"
                                                    "  fixupdomains:1: mail.campus.test:campus.test\n"
                                                    "  canonical:1: old.name@campus.test:new.name@campus.test\n", "")
    assert explain("u@far.test") == (0, "u@far.test stays as it is\n", "")
    assert explain("u@keep.wide.test")[1].endswith("fixupdomains:5: keep.wide.test:keep.wide.test\n")
    assert explain("--json", "u@merged.test")[1] == ('{"address":"u@merged.test","result":"u@campus.test","changed":true,'
                                                    '"rules":[{"file":"fixupdomains","line":3,"from":"merged.test","to":"campus.test"}]}\n')
    assert explain("not an address")[0] == 100
    assert explain()[0] == 100


def test_explain_with_faulty_rules(explain, folder):
    (folder / "canonical").write_text("# x\na@b\n")
    code, out, err = explain("u@far.test")
    assert code == 1 and out == "" and "canonical:2: old@domain:new@domain is wanted" in err


# ---- in the whole suite

def mail(to):
    return b"From: a@far.test\r\nTo: " + to.encode() + b"\r\nSubject: x\r\n\r\nTo: " + to.encode() + b"\r\n"


def test_id_tells_the_story_and_the_body_is_untouched(suite):
    suite.control("fixupdomains", "mail.campus.test:campus.test")
    suite.start()
    code, text = suite.send("a@far.test", ["u1@mail.campus.test", "u1@campus.test"], mail("u1@mail.campus.test"))
    assert code == 250
    event = suite.wait_event("fixup-changed", text.split()[-1])[0]
    assert event["program"] == "fixup"
    assert (event["rcpts"], event["merged"], event["fields"], event["added"]) == ("1", "1", "1", "2")
    content = suite.wait_mail("u1")[0]
    header, _, body = content.partition(b"\n\n")
    assert b"\nTo: u1@campus.test\n" in header and body == b"To: u1@mail.campus.test\n"
    assert b"\nMessage-ID: <" + text.split()[-1].encode() + b"@mx1.campus.test>" in header
    time.sleep(0.5)
    assert len(suite.mails("u1")) == 1


def test_reload_takes_new_rules_and_refuses_bad_ones(suite):
    suite.control("fixupdomains", "mail.campus.test:campus.test")
    suite.start()

    def answered(to, code):
        def check():
            try:
                return suite.send("a@far.test", to, mail(to))[0] == code
            except OSError:
                return False
        wait_for(check, why=f"{to} is not answered {code}")

    answered("u1@mail.campus.test", 250)
    answered("u1@second.campus.test", 550)
    suite.control("fixupdomains", "mail.campus.test:campus.test\nsecond.campus.test:campus.test")
    suite.reload()
    answered("u1@second.campus.test", 250)
    suite.control("fixupdomains", "mail.campus.test:second.campus.test\nsecond.campus.test:campus.test")
    suite.reload()
    wait_for(lambda: "fixupdomains:1: second.campus.test is itself rewritten" in suite.log(), why="no word of the bad rule")
    answered("u2@mail.campus.test", 250)
    assert b"To: u2@campus.test\n" in suite.wait_mail("u2")[0]
    suite.control("fixupdomains", None)
    suite.reload()
    answered("u1@mail.campus.test", 550)
    wait_for(lambda: suite.pids("fixup") == [], why="fixup is still there")
    suite.send("a@far.test", "u3@campus.test", mail("u3@mail.campus.test"))
    assert b"To: u3@mail.campus.test\n" in suite.wait_mail("u3")[0]
