"""The fixture `suite`: a whole Postern on loopback in a temporary folder, started and stopped by the test.

    def test_x(suite):
        suite.control("databytes", "100000")              # before start(): writes a control file
        suite.start()                                     # waits for STATE/ready
        code, text = suite.send("a@far.test", ["u1@campus.test"], b"Subject: x\\r\\n\\r\\nhello\\r\\n")
        assert suite.wait_mail("u1")[0].endswith(b"hello\\n")

Everything below /tmp is searchable by all users, as the programs run as users of their own."""
import atexit
import collections
import contextlib
import json
import os
import pathlib
import random
import re
import shutil
import signal
import smtplib
import socket
import subprocess
import tempfile

import pytest

from processes import is_idle, kill
from timing import wait_for

ROOT = pathlib.Path(__file__).resolve().parents[2]
BIN = pathlib.Path(os.environ.get("POSTERN_BIN", ROOT / "build/bin")).resolve()


def everybody_may_search(path):
    return all(d.stat().st_mode & 0o001 for d in [path, *path.parents])


# The supervisor starts its programs while it is root, the tests of one program do so as another user, who cannot enter root's home.
if os.geteuid() == 0 and BIN.is_dir() and not everybody_may_search(BIN):
    copy = pathlib.Path(tempfile.mkdtemp(prefix="postern-build-"))
    os.chmod(copy, 0o755)
    atexit.register(shutil.rmtree, copy, ignore_errors=True)
    for part in ("bin", "man"):
        if (BIN.parent / part).is_dir():
            shutil.copytree(BIN.parent / part, copy / part)
    BIN = copy / "bin"
    os.environ["POSTERN_BIN"] = str(BIN)  # before the modules that read it

LDIF = "version: 1\n\n" + "\n".join(f"""dn: uid=u{i},ou=people,dc=campus,dc=test
objectClass: inetOrgPerson
objectClass: qmailUser
cn: User {i}
sn: {i}
uid: u{i}
mail: u{i}@campus.test
mailAlternateAddress: alias{i}@campus.test
userPassword: {{SSHA}}unused
""" for i in range(1, 51))


GIVEN = collections.deque(maxlen=5000)


def free_port():
    """Free for TCP and UDP, and not given lately.  Below those that the kernel gives to clients: one of theirs may be taken again before the server binds it."""
    while True:
        port = random.SystemRandom().randrange(10240, 32000)
        with socket.socket() as stream, socket.socket(type=socket.SOCK_DGRAM) as datagram, contextlib.suppress(OSError):
            for s in stream, datagram:
                s.bind(("127.0.0.1", port))
            if port not in GIVEN:
                GIVEN.append(port)
                return port


def undisturbed(read):
    """What READ() finds in files of which none is moved meanwhile, as mail programs move mail and the supervisor its log."""
    while True:
        with contextlib.suppress(FileNotFoundError):
            return read()


class Suite:
    def __init__(self, folder):
        self.folder = pathlib.Path(folder)
        self.ctl, self.state = self.folder / "control", self.folder / "state"
        self.ctl.mkdir()
        self.port = free_port()
        self.process = None
        self.err = self.folder / "stderr"
        self.control("me", "mx1.campus.test")
        self.control("locals", "campus.test")
        self.control("listen", f"smtp 127.0.0.1:{self.port}")
        self.control("directory.ldif", LDIF)
        self.control("postmaster", "u1@campus.test")
        self.control("maxperip", "1000")
        self.control("maxpernet", "1000")

    def control(self, name, text):
        """Write control file NAME (None: remove it), by rename as an editor does."""
        path = self.ctl / name
        path.parent.mkdir(exist_ok=True)
        if text is None:
            path.unlink(missing_ok=True)
            return
        new = self.folder / "new-control-file"
        new.write_bytes(text if isinstance(text, bytes) else (text.rstrip("\n") + "\n").encode())
        new.rename(path)

    def command(self, *args):
        return [str(BIN / "postern"), *args, "-c", str(self.ctl), "-s", str(self.state)]

    def postern(self, *args, check=None):
        """Run `postern ARGS`; CHECK is the exit code that is expected."""
        p = subprocess.run(self.command(*args), capture_output=True, text=True, timeout=60)
        if check is not None:
            assert p.returncode == check, (p.returncode, p.stdout, p.stderr)
        return p

    def json(self, *args, check=0):
        return json.loads(self.postern(*args, "--json", check=check).stdout)

    def launch(self):
        with open(self.err, "ab") as err:
            self.process = subprocess.Popen(self.command("serve"), stdout=subprocess.PIPE, stderr=err,
                                            stdin=subprocess.DEVNULL, start_new_session=True)
        return self.process

    def start(self, seconds=60):
        self.launch()

        def ready():
            assert self.process.poll() is None, f"postern serve ended with {self.process.returncode}:\n{self.stderr()}"
            return (self.state / "ready").exists()
        wait_for(ready, seconds, lambda: "the suite is not ready:\n" + self.stderr())
        return self

    def stop(self, seconds=60):
        if self.process and self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            self.process.wait(seconds)
        return self.process.returncode if self.process else None

    def kill(self):
        """The last resort: every process that names this state folder."""
        if not self.process:
            return
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()
        kill(self.pids())

    def reload(self):
        self.process.send_signal(signal.SIGHUP)

    def pids(self, name=None):
        """Process ids of the suite (of program postern-NAME): those with this state folder in their command line, parents first, then as they were started
        (not by number, which starts again at 300 when it has reached pid_max)."""
        found = {}
        for d in pathlib.Path("/proc").iterdir():
            if not d.name.isdigit():
                continue
            try:
                args = (d / "cmdline").read_bytes().split(b"\0")
                if str(self.state).encode() in args and (not name or os.path.basename(args[0]) == f"postern-{name}".encode()):
                    stat = (d / "stat").read_text().rpartition(")")[2].split()  # proc(5): from field 3 on
                    found[int(d.name)] = (int(stat[1]), int(stat[19]))
            except OSError:
                continue
        return sorted(found, key=lambda pid: (found[pid][0] in found, found[pid][1], pid))

    def stderr(self):
        return self.err.read_text(errors="replace") if self.err.exists() else ""

    def log(self):
        """All log lines, those of rotated files first: with everything that was written before, however late the supervisor is."""
        if self.process and self.process.poll() is None:
            with contextlib.suppress(AssertionError):  # it was stopped, or is killed
                wait_for(lambda: is_idle(self.process.pid), 5)

        def read():
            files = sorted((self.state / "log").glob("*"), key=lambda f: (f.name == "current", f.name))
            return "".join(f.read_text(errors="replace") for f in files)
        return undisturbed(read)

    def events(self, event, id=None):
        """Log lines of an event as dictionaries of their fields."""
        out = []
        for line in self.log().splitlines():
            m = re.match(r"(\S+) (\S+)\[(\d+)\] (\S+) (\S+)(.*)", line)
            if m and m[5] == event and (id is None or m[4] == id):
                fields = {k: (q if v.startswith('"') else v)
                          for k, v, q in re.findall(r' ([\w-]+)=("((?:[^"\\]|\\.)*)"|\S+)', m[6])}
                out.append({"program": m[2], "pid": int(m[3]), "id": m[4], **fields})
        return out

    def wait_event(self, event, id=None, seconds=20):
        return wait_for(lambda: self.events(event, id), seconds, f"no event {event} in the log")

    def smtp(self, **kw):
        return smtplib.SMTP("127.0.0.1", self.port, local_hostname="client.test", timeout=60, **kw)

    def send(self, sender, rcpts, message):
        """Send MESSAGE (bytes, CRLF); returns (code, text) of the reply to DATA, or of the first refusal."""
        if isinstance(rcpts, str):
            rcpts = [rcpts]
        s = self.smtp()
        try:
            s.ehlo()
            code, text = s.mail(sender, [f"SIZE={len(message)}"])
            if code != 250:
                return code, text.decode()
            for r in rcpts:
                code, text = s.rcpt(r)
                if code != 250:
                    return code, text.decode()
            code, text = s.data(message)
            return code, text.decode()
        finally:
            s.close()

    def maildir(self, user):
        return self.state / "mail" / user / "Maildir"

    def mails(self, user):
        """Contents of all messages in new/ and cur/, oldest id first."""
        d = self.maildir(user)
        return undisturbed(lambda: [f.read_bytes() for f in sorted([*d.glob("new/*"), *d.glob("cur/*")], key=lambda f: f.name)])

    def wait_mail(self, user, count=1, seconds=20):
        return wait_for(lambda: len(self.mails(user)) >= count and self.mails(user), seconds,
                        lambda: f"{count} message(s) for {user}; there are {len(self.mails(user))}")


@contextlib.contextmanager
def temporary_folder():
    """One that every user may search."""
    d = tempfile.mkdtemp(prefix="postern-")
    try:
        os.chmod(d, 0o755)
        yield pathlib.Path(d)
    finally:
        shutil.rmtree(d, ignore_errors=True)


@contextlib.contextmanager
def ended(suite):
    """SUITE, which is stopped at the end; that it does not stop is a fault."""
    try:
        yield suite
        try:
            suite.stop()
        except subprocess.TimeoutExpired:
            raise AssertionError("the suite did not stop:\n" + suite.stderr()[-4000:]) from None
    finally:
        suite.kill()


@contextlib.contextmanager
def whole_suite():
    """A Suite in a folder of its own, for fixtures that serve a whole module."""
    with temporary_folder() as d, ended(Suite(d)) as s:
        yield s


@contextlib.contextmanager
def many(make, end):
    """A function that makes as many as a test wants; END ends each of them."""
    made = []

    def one(*args, **kw):
        made.append(make(*args, **kw))
        return made[-1]
    try:
        yield one
    finally:
        for m in made:
            end(m)


@pytest.fixture
def folder():
    with temporary_folder() as d:
        yield d


@pytest.fixture
def suite(folder):
    with ended(Suite(folder)) as s:
        yield s
