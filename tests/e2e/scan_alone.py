"""postern-scan and postern-scanworker alone: the real programs between socket pairs on which the test plays the session before them and the queue
behind them; and real or hostile scanners for them."""
import base64
import os
import pathlib
import pwd
import shutil
import signal
import socket
import struct
import subprocess
import tempfile
import threading
import time
import zipfile
import io

from alone import JOB_MAX, Alone, make_user, message_of, netstring, sealed, split_head
from processes import children

EICAR = b"X5O!P%@AP[4\\PZX54(P^)7CC)7}$EICAR-" + b"STANDARD-ANTIVIRUS-TEST-FILE!$H+H*"
GTUBE = b"XJS*C4JDBQADN1.NSBN3*2IDNEN*" + b"GTUBE-STANDARD-ANTI-UBE-TEST-EMAIL*C.34X"
DIGITS = "0123456789abcdefghjkmnpqrstvwxyz"


def signatures(folder, name="Test.Eicar"):
    folder.mkdir(exist_ok=True)
    folder.chmod(0o755)
    new = folder / "new"
    new.write_text(f"{name}:0:0:{EICAR.hex()}\n")
    new.rename(folder / "eicar.ndb")
    return folder


def b64(data, type="application/octet-stream; name=x.bin"):
    return b"Content-Type: " + type.encode() + b"\nContent-Transfer-Encoding: base64\n\n" + base64.encodebytes(data)


def multipart(*parts, boundary=b"bb"):
    return b"Content-Type: multipart/mixed; boundary=" + boundary + b"\n\n" + b"".join(b"--" + boundary + b"\n" + p + b"\n" for p in parts) + \
        b"--" + boundary + b"--\n"


HEAD = b"From: a@far.test\nTo: u1@campus.test\nSubject: hello\nDate: Sun, 22 Nov 2026 10:00:00 +0000\nMessage-ID: <1@far.test>\n"
PLAIN = HEAD + b"\nhello\n"
BAD = HEAD + b"MIME-Version: 1.0\n" + multipart(b"\ntext\n", multipart(b64(EICAR), boundary=b"inner"))


def crlf(message):
    return message.replace(b"\n", b"\r\n")


def zipped(data):
    f = io.BytesIO()
    with zipfile.ZipFile(f, "w", zipfile.ZIP_DEFLATED) as z:
        z.writestr("inside.com", data)
    return f.getvalue()


class Message:
    """What came out of the stage to the queue."""
    def __init__(self, data, fds):
        data, head, self.body, (reply,) = message_of(data, fds)
        self.id, self.header = data.decode(), split_head(head)[1]
        self.whole = self.header + self.body
        self.reply = socket.socket(fileno=reply)

    def answer(self):
        try:
            self.reply.send(f"250 2.0.0 ok {self.id}".encode())
        except OSError:
            pass
        self.reply.close()


class ScanLine:
    def __init__(self, scans=1, **control):
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="scan-"))
        self.folder.chmod(0o755)
        self.control = {"me": "mx.test", **control}
        self.scans, self.count, self.passed = scans, 0, {}
        self.jobs, self.next, self.questions = (socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM) for _ in range(3))
        self.worker = None
        self.stages = []

    def start(self):
        scan = self.folder / "state/scan"
        scan.mkdir(parents=True, exist_ok=True)
        scan.parent.chmod(0o755)
        if os.geteuid() == 0:
            make_user("postern-scanworker")
            os.chown(scan, pwd.getpwnam("postern-scanworker").pw_uid, -1)
        self.start_worker()
        for _ in range(self.scans):
            self.stages.append(Alone("scan", self.folder, self.control, [self.jobs[1], self.next[0], self.questions[0], os.open("/dev/null", os.O_RDWR)]).start())
        threading.Thread(target=self._queue, daemon=True).start()
        return self

    def start_worker(self):
        self.worker = Alone("scanworker", self.folder, self.control, [self.questions[1]]).start()

    def _queue(self):
        while True:
            try:
                data, fds, _, _ = socket.recv_fds(self.next[1], JOB_MAX, 4)
            except OSError:
                return
            if not fds:
                return
            m = Message(data, fds)
            self.passed[m.id] = m
            m.answer()

    def submit(self, message, sender="a@far.test", files=True):
        """Send MESSAGE (LF lines) into the line, in files or as few octets go; returns (id, socket on which the answer comes)."""
        self.count += 1
        n, id = self.count, ""
        for _ in range(13):
            id, n = DIGITS[n % 32] + id, n // 32
        cut = message.find(b"\n\n")
        header, body = (message[:cut + 2], message[cut + 2:]) if cut >= 0 else (message, b"")
        records = [b"V1", b"I" + id.encode(), b"Co", b"T1700000000000000", b"S" + sender.encode(), b"Ru1@campus.test"]
        octets = b"".join(netstring(r) for r in records) + b"0:," + header, body
        fds = [sealed(x) for x in octets] if files else []
        mine, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        socket.send_fds(self.jobs[0], [id.encode() + (b"" if files else b"".join(map(netstring, octets)))], [*fds, theirs.fileno()])
        theirs.close()
        for fd in fds:
            os.close(fd)
        return id, mine

    def answer(self, waiting, seconds=150):
        """(id, answer): b"" when the stage died, as the session sees it."""
        id, sock = waiting
        sock.settimeout(seconds)
        text = sock.recv(600).decode()
        sock.close()
        return id, text

    def send(self, message, seconds=150, **kw):
        id, text = self.answer(self.submit(message, **kw), seconds)
        return text.replace(id, "ID")

    def through(self, message, **kw):
        """MESSAGE must pass; what comes out."""
        id, text = self.answer(self.submit(message, **kw))
        assert text == f"250 2.0.0 ok {id}", text
        return self.passed[id]

    def workers(self):
        """The processes forked from the scan worker's parent."""
        end = time.monotonic() + 20
        while not (found := children(self.worker.process.pid)) and time.monotonic() < end:
            time.sleep(0.01)
        return found

    def logs(self, word, seconds=20, count=1):
        end, late = time.monotonic() + seconds, False
        while True:
            found = [s for p in [self.worker, *self.stages] for s in list(p.lines) if word in s]
            if len(found) >= count or late:
                return found
            time.sleep(0.02)
            late = time.monotonic() > end

    def stop(self):
        codes = [p.stop() for p in self.stages] + ([self.worker.stop()] if self.worker else [])
        for pair in (self.jobs, self.next, self.questions):
            for s in pair:
                try:
                    s.shutdown(socket.SHUT_RDWR)
                except OSError:
                    pass
                s.close()
        shutil.rmtree(self.folder, ignore_errors=True)
        return codes


def wait_socket(path, greeting, answer, seconds=120):
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        try:
            with socket.socket(socket.AF_UNIX) as s:
                s.settimeout(5)
                s.connect(str(path))
                s.sendall(greeting)
                if answer in s.recv(100):
                    return
        except OSError:
            time.sleep(0.05)
    raise AssertionError(f"{path} does not answer")


class Clamd:
    def __init__(self, **more):
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="clamd-"))
        self.folder.chmod(0o755)
        (self.folder / "tmp").mkdir()
        signatures(self.folder / "db")
        self.path = self.folder / "clamd.sock"
        settings = {"Foreground": "yes", "LocalSocket": self.path, "LocalSocketMode": 666, "DatabaseDirectory": self.folder / "db",
                    "TemporaryDirectory": self.folder / "tmp", "LogFile": self.folder / "log", "ConcurrentDatabaseReload": "no",
                    "SelfCheck": 0, "IdleTimeout": 1, "AlertExceedsMax": "yes", **more}
        (self.folder / "conf").write_text("".join(f"{k} {v}\n" for k, v in settings.items()))
        self.process = subprocess.Popen(["/usr/sbin/clamd", "-c", str(self.folder / "conf")], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        wait_socket(self.path, b"zPING\0", b"PONG")

    def stop(self):
        self.process.kill()
        self.process.wait()
        shutil.rmtree(self.folder)


class Spamd:
    """spamd without network tests; with DNS, a port on 127.0.0.1 that it asks, and more RULES."""
    def __init__(self, children=2, dns=None, rules=""):
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="spamd-"))
        self.folder.chmod(0o755)
        cfg = self.folder / "cfg"
        cfg.mkdir()
        for f in pathlib.Path("/etc/spamassassin").glob("*.pre"):
            shutil.copy(f, cfg)
        (cfg / "local.cf").write_text("required_score 5.0\nreport_safe 0\nuse_razor2 0\nuse_pyzor 0\nuse_bayes 0\n"
                                      "header CAMPUS_TEST Subject =~ /CAMPUSRULE/\nscore CAMPUS_TEST 3.21\n"
                                      + (f"dns_available yes\ndns_server [127.0.0.1]:{dns}\nskip_rbl_checks 1\n" if dns else "dns_available no\n") + rules)
        self.path = self.folder / "spamd.sock"
        self.process = subprocess.Popen(
            ["/usr/sbin/spamd", *([] if dns else ["-L"]), "-C", "/usr/share/spamassassin", f"--siteconfigpath={cfg}", f"--socketpath={self.path}",
             "--socketmode=0666", "-m", str(children), "--min-children=1", "-x", "-u", "nobody", "-r", str(self.folder / "pid"), "-s", "stderr"],
            stdout=subprocess.DEVNULL, stderr=open(self.folder / "log", "wb"), start_new_session=True)
        wait_socket(self.path, b"PING SPAMC/1.5\r\n\r\n", b"PONG")

    def stop(self):
        os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()
        shutil.rmtree(self.folder)


class Fake:
    """A scanner that was taken over: SCRIPT(connection, request bytes so far) does as it likes."""
    def __init__(self, script, kind="clamd"):
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="fake-"))
        self.folder.chmod(0o755)
        self.path, self.script, self.kind = self.folder / "sock", script, kind
        self.listen = socket.socket(socket.AF_UNIX)
        self.listen.bind(str(self.path))
        self.path.chmod(0o666)
        self.listen.listen(64)
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self):
        while True:
            try:
                c, _ = self.listen.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=(c,), daemon=True).start()

    def _serve(self, c):
        try:
            self.script(c)
        except OSError:
            pass
        finally:
            c.close()

    def stop(self):
        self.listen.close()
        shutil.rmtree(self.folder)


def exactly(c, n):
    data = b""
    while len(data) < n:
        got = c.recv(n - len(data))
        if not got:
            raise OSError("closed")
        data += got
    return data


def instream(c):
    """Read a whole zINSTREAM request; the message."""
    assert exactly(c, 10) == b"zINSTREAM\0"
    message = b""
    while True:
        n = struct.unpack(">I", exactly(c, 4))[0]
        if n == 0:
            return message
        message += exactly(c, n)


def spamc(c):
    """Read a whole SPAMC request; (header, message)."""
    data = b""
    while True:
        got = c.recv(65536)
        if not got:
            break
        data += got
    header, message = data.split(b"\r\n\r\n", 1)
    return header, message


def spamd_reply(score, required=5.0, tests=b"A_RULE"):
    word = b"True" if score >= required else b"False"
    return b"SPAMD/1.1 0 EX_OK\r\nContent-length: %d\r\nSpam: %s ; %.1f / %.1f\r\n\r\n%s" % (len(tests), word, score, required, tests)
