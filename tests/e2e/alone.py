"""One program of the suite without the others: the test plays the supervisor and its neighbours.

    door = Alone("door", tmp_path, {"me": "mx.test", "listen": ...}, ports=[smtpd_end, command, listener])
    door.start()                      # waits until it says that it is ready
    door.reload({...})                # new settings on the lifeline, as a keeps_state program gets them

The program gets just the descriptors of lib/program.h: 0 null, 1 and 2 the log, 3 the lifeline, 4 the settings, then the ports.  As root it has
its own user, which must exist; it is made when missing."""
import fcntl
import os
import pathlib
import pwd
import select
import signal
import socket
import subprocess
import threading
import time

ROOT = pathlib.Path(__file__).resolve().parents[2]
BIN = pathlib.Path(os.environ.get("POSTERN_BIN", ROOT / "build/bin"))
SEALS = 0xf


def netstring(text):
    text = text if isinstance(text, bytes) else str(text).encode()
    return b"%d:%s," % (len(text), text)


def netstrings(data):
    out = []
    while data:
        n, rest = data.split(b":", 1)
        out.append(rest[:int(n)])
        assert rest[int(n):int(n) + 1] == b","
        data = rest[int(n) + 1:]
    return out


def settings(files):
    """What control_pack() makes of these files."""
    fd = os.memfd_create("settings", os.MFD_ALLOW_SEALING | os.MFD_CLOEXEC)
    data = netstring("/etc/postern") + b"".join(netstring(k) + netstring(v) for k, v in files.items())
    os.write(fd, data)
    fcntl.fcntl(fd, 1033, SEALS)  # F_ADD_SEALS
    return fd


def make_user(name):
    try:
        pwd.getpwnam(name)
    except KeyError:
        subprocess.run(["useradd", "--system", "--no-create-home", "--user-group", "--shell", "/usr/sbin/nologin", name], check=True)


class Alone:
    def __init__(self, name, folder, files, ports, lane="outside", preexec=None):
        self.name, self.files, self.ports, self.lane, self.preexec = name, files, ports, lane, preexec
        self.state = pathlib.Path(folder) / "state"
        self.state.mkdir(exist_ok=True)
        (self.state / "empty").mkdir(exist_ok=True)
        for p in [self.state, *self.state.parents][:3]:
            p.chmod(p.stat().st_mode | 0o711)
        self.lines, self.process = [], None

    def _child(self, fds):
        def run():
            high = [fcntl.fcntl(fd, fcntl.F_DUPFD, 200) for fd in fds]
            for at, fd in enumerate(high):
                os.dup2(fd, at)
            os.closerange(len(fds), 400)
            if self.preexec:
                self.preexec()
        return run

    def start(self, wait=True):
        if os.geteuid() == 0:
            make_user("postern-" + self.name)
        self.lifeline, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        null = os.open("/dev/null", os.O_RDWR)
        read, write = os.pipe()
        memfd = settings(self.files)
        fds = [null, write, write, theirs.fileno(), memfd, *[p if isinstance(p, int) else p.fileno() for p in self.ports]]
        self.process = subprocess.Popen([str(BIN / f"postern-{self.name}"), self.lane, "0", str(self.state)],
                                        close_fds=False, preexec_fn=self._child(fds))
        for fd in (null, write, memfd):
            os.close(fd)
        theirs.close()
        threading.Thread(target=self._read_log, args=(read,), daemon=True).start()
        if wait:
            self.lifeline.settimeout(20)
            said = self.lifeline.recv(300)
            assert said == b"ready", said
        return self

    def _read_log(self, fd):
        with os.fdopen(fd, errors="replace") as f:
            for line in f:
                self.lines.append(line.rstrip("\n"))

    def log(self, word, seconds=5, count=1):
        """The lines that contain WORD, waiting until there are COUNT."""
        end = time.monotonic() + seconds
        while True:
            found = [s for s in list(self.lines) if word in s]
            if len(found) >= count or time.monotonic() > end:
                return found
            time.sleep(0.01)

    def reload(self, files):
        fd = settings(files)
        socket.send_fds(self.lifeline, [b"settings"], [fd])
        os.close(fd)

    def memory_kib(self, key="Pss"):
        for line in pathlib.Path(f"/proc/{self.process.pid}/smaps_rollup").read_text().splitlines():
            if line.startswith(key + ":"):
                return int(line.split()[1])
        raise AssertionError("no " + key)

    def descriptors(self):
        return len(os.listdir(f"/proc/{self.process.pid}/fd"))

    def cpu_seconds(self):
        f = pathlib.Path(f"/proc/{self.process.pid}/stat").read_text().rsplit(")", 1)[1].split()
        return (int(f[11]) + int(f[12])) / os.sysconf("SC_CLK_TCK")

    def stop(self, seconds=10):
        if self.process and self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            try:
                self.process.wait(seconds)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
                raise
        return self.process.returncode if self.process else None


def readable(sock, seconds):
    return bool(select.select([sock], [], [], seconds)[0])
