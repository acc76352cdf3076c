"""postern-skim alone: the test submits jobs to it, takes what it passes on, and asks it as an operator does."""
import json
import os
import pathlib
import pwd
import socket
import subprocess
import tempfile
import threading
import time

import pytest

from alone import BIN, JOB_MAX, ROOT, Alone, make_user, message_of, netstring, netstrings, readable, sealed

PLACES = """10.1.0.0/16\tDE\t680\t52.4\t13.1\t20\tPotsdam
10.2.0.0/16\tNG\t29465\t6.5\t3.4\t50\tLagos
10.3.0.0/16\tUS\t7922\t41.8\t-87.6\t50\tChicago
10.4.0.0/16\tAU\t1221\t-33.9\t151.2\t50\tSydney
10.5.0.0/16\tFR\t3215\t48.8\t2.3\t50\tParis
10.6.0.0/16\tBR\t28573\t-23.5\t-46.6\t50\t-
10.7.0.0/16\tCN\t4134
10.8.0.0/16\tA1\t64500
"""
CONF = """[global]
verbose=2
enable=phishhook,phishlimit,phishfrom,ratelimit,envelope,headers,body
dryrun=envelope
webmail_aware=1

[phishhook]
interval=28800
safe_countries=A1,A2,US,MX,CA,PR
safe_users=trusty,user2
country_hop=1
country_count=4
test=phishphood,@4000000051427e313ac0850c,189.38.86.41,skimtest

[phishfrom]
maxrcptto=30

[phishlimit]
interval=60
maxrcptto=100

[ratelimit]
interval=500
maxrcptto=50

[envelope]
mailfrom=baduser@example.com
mailfrom=~baduser2
rcptto=~gullible2

[headers]
from=baduser
subject=~spammy

[body]
body=badidea
"""


@pytest.fixture(scope="module")
def mmdb(tmp_path_factory):
    path = tmp_path_factory.mktemp("geo") / "geoip.mmdb"
    subprocess.run([ROOT / "tests/skim/mmdb.pl", path], input=PLACES.encode(), check=True)
    return path.read_bytes()


class Skim:
    def __init__(self, folder, files, respond_runs=False):
        self.mine, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.after, after = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
        (folder / "state/run").mkdir(parents=True, exist_ok=True)
        path = folder / "state/run/skim.sock"
        path.unlink(missing_ok=True)
        self.command = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self.command.setblocking(False)
        self.command.bind(str(path))
        self.command.listen(16)
        self.respond, respond = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.feed, feed = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.ends = theirs, after, respond if respond_runs else os.open("/dev/null", os.O_RDWR), feed, self.command
        self.n = 0
        self.folder, self.files = folder, files

    def start(self):
        state = self.folder / "state"
        (state / "skim").mkdir(parents=True, exist_ok=True)
        self.program = Alone("skim", self.folder, self.files, [*self.ends], lane="submission")
        if os.geteuid() == 0:
            make_user("postern-skim")
            os.chown(state / "skim", pwd.getpwnam("postern-skim").pw_uid, -1)
        self.program.start()
        return self

    def send(self, user, rcpts, ip="10.1.0.1", header="", body="hello\n", class_="s", wall=None):
        self.n += 1
        ident = "%013d" % self.n
        head = netstring("V1") + netstring("I" + ident) + netstring("C" + class_) + netstring("T%d" % (wall or time.time() * 1e6)) + \
            netstring(f"S{user}@campus.test") + (netstring("U" + user) if user else b"") + netstring("A" + ip)
        head += b"".join(netstring("R" + r) for r in rcpts) + b"0:,"
        head += f"From: {user}@campus.test\n{header}\n".encode()
        self.reply, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        fds = [sealed(head), sealed(body.encode()), theirs.fileno()]
        socket.send_fds(self.mine, [ident.encode()], fds)
        os.close(fds[0]), os.close(fds[1])
        theirs.close()

    def ask(self, *args, code=0, text=None, json_out=True):
        """postern skim ARGS: its standard output, as JSON where it is.  CODE: its exit code, None: any."""
        r = subprocess.run([BIN / "postern", "skim", *args, *(["--json"] if json_out else []), "-s", self.folder / "state"], input=text, capture_output=True,
                           text=True, timeout=30)
        assert code in (None, r.returncode), (r.returncode, r.stdout, r.stderr)
        self.err = r.stderr
        return json.loads(r.stdout) if json_out and r.stdout.startswith(("[", "{")) else r.stdout

    def login(self, user, ip, code=0, **more):
        return self.ask("login", text=json.dumps({"type": "login", "user": user, "ip": ip, "service": "imap", **more}) + "\n", code=code)

    def next(self, seconds=60):
        """(head, None) of what was passed on, or (None, answer)."""
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            if readable(self.after, 0.02):
                text, fds, _, _ = socket.recv_fds(self.after, JOB_MAX, 4)
                _, head, _, (reply,) = message_of(text, fds)
                os.close(reply)
                return head, None
            if readable(self.reply, 0.02):
                return None, self.reply.recv(1000).decode()
        raise AssertionError("neither passed on nor answered: " + "\n".join(self.program.lines[-5:]))


def held(head):
    return b"Qskim" in netstrings(head[:head.index(b",0:,") + 4])


@pytest.fixture
def place():
    """A folder that every user may search, as a state folder is."""
    with tempfile.TemporaryDirectory(prefix="postern-skim-") as name:
        os.chmod(name, 0o755)
        yield pathlib.Path(name)


@pytest.fixture
def skim(place, mmdb):
    s = Skim(place, {"me": "mx.campus.test", "locals": "campus.test", "geoip.mmdb": mmdb, "skim": CONF})
    yield s.start()
    s.program.stop()


@pytest.fixture
def responding(place, mmdb):
    """The same, with a port to postern-respond, which the test plays: .asked is what operators' commands asked it."""
    s = Skim(place, {"me": "mx.campus.test", "locals": "campus.test", "geoip.mmdb": mmdb, "skim": CONF}, respond_runs=True).start()
    path = place / "state/run/respond.sock"
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    listener.bind(str(path))
    listener.listen(8)
    s.asked, s.answer = [], 0

    def answer():
        while True:
            try:
                c, _ = listener.accept()
            except OSError:
                return
            s.asked.append([x.decode() for x in netstrings(c.recv(40000))])
            if s.asked[-1][0] == "show":
                c.send(b"".join(netstring(x) for x in ("kind", "step", "number", 1, "name", "ticket", "args", "mail", "state", "done", "tries", 1, "time", 5, "next", 0,
                                                       "note", "told the helpdesk")))
            c.send(netstring(".") + netstring(s.answer) + netstring("all was undone" if s.answer == 0 else "not now"))
            c.close()
    threading.Thread(target=answer, daemon=True).start()
    yield s
    listener.close()
    s.program.stop()
