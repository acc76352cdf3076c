"""One program of the suite without the others: the test plays the supervisor and its neighbours.

    door = Alone("door", folder, {"me": "mx.test", "listen": ...}, ports=[smtpd_end, command, listener])
    door.start()                      # waits until it says that it is ready
    door.reload({...})                # new settings on the lifeline, as a keeps_state program gets them

    route = Program("route", folder, {...}, ["in", directory_end])   # one that answers on its first port
    route.start().ask("question", "text")

The program gets just the descriptors of lib/program.h: 0 null, 1 and 2 the log, 3 the lifeline, 4 the settings, then the ports.  For root an
Alone has its own user, which is made when missing, and a Program is nobody."""
import array
import contextlib
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

import processes

ROOT = pathlib.Path(__file__).resolve().parents[2]
BIN = pathlib.Path(os.environ.get("POSTERN_BIN", ROOT / "build/bin"))
SEALS = 0xf  # SEAL, SHRINK, GROW, WRITE
NOBODY = 65534


def netstring(text):
    text = text if isinstance(text, bytes) else str(text).encode()
    return b"%d:%s," % (len(text), text)


def joined(*items):
    return b"".join(netstring(i) for i in items)


JOB_MAX = 1 << 16  # octets of a datagram with a message


def netstrings(data):
    out = []
    while data:
        n, rest = data.split(b":", 1)
        out.append(rest[:int(n)])
        assert rest[int(n):int(n) + 1] == b","
        data = rest[int(n) + 1:]
    return out


def sealed(data):
    fd = os.memfd_create("test", os.MFD_ALLOW_SEALING | os.MFD_CLOEXEC)
    view = memoryview(data)
    while view:
        view = view[os.write(fd, view):]
    fcntl.fcntl(fd, 1033, SEALS)  # F_ADD_SEALS
    return fd


def content(fd):
    """All of a memfd."""
    return os.pread(fd, os.fstat(fd).st_size, 0)


def message_of(text, fds, own=13):
    """(own text, head, body, other descriptors) of a datagram that carries a message (lib/content.h), OWN octets before it; its files are closed."""
    inside = netstrings(text[own:])
    files = fds[:2 - len(inside)]
    head, body = inside + [content(fd) for fd in files]
    for fd in files:
        os.close(fd)
    return text[:own], head, body, fds[len(files):]


def split_head(head):
    """(records, header) of a job's first memfd."""
    records, at = [], 0
    while True:
        colon = head.index(b":", at)
        n = int(head[at:colon])
        at = colon + 2 + n
        if n == 0:
            return records, head[at:]
        records.append(head[colon + 1:colon + 1 + n])


def settings(files, folder="/control"):
    """What control_pack() makes of these files."""
    return sealed(netstring(folder) + b"".join(joined(k, v) for k, v in files.items()))


def make_user(name):
    try:
        pwd.getpwnam(name)
    except KeyError:
        subprocess.run(["useradd", "--system", "--no-create-home", "--user-group", "--shell", "/usr/sbin/nologin", name], check=True)


# Ports of a row; those at its end that a test does not give (PORT_SKIM) lead nowhere.
ROW_PORTS = {"directory": 2, "smtpd": 5, "scan": 5}


class Alone:
    def __init__(self, name, folder, files, ports, lane="outside", preexec=None, nobody=False, said=b"ready"):
        """NOBODY: it runs as that, not as its own user.  SAID: its first word to the supervisor, None: anything."""
        self.name, self.files, self.ports, self.lane, self.preexec, self.nobody = name, files, ports, lane, preexec, nobody
        self.expected = said
        self.folder = pathlib.Path(folder)
        self.state = self.folder if nobody else self.folder / "state"
        self.state.mkdir(exist_ok=True)
        (self.state / "empty").mkdir(exist_ok=True)
        if os.geteuid() == 0:
            for p in [self.state, *self.state.parents][:3]:
                p.chmod(p.stat().st_mode | 0o711)
        self.process, self.said = None, None
        self._lines, self._half, self._reading = [], {}, threading.Lock()

    def _child(self, fds):
        def run():
            high = [fcntl.fcntl(fd, fcntl.F_DUPFD, 200) for fd in fds]
            for at, fd in enumerate(high):
                os.dup2(fd, at)
            os.closerange(len(fds), 400)
            if self.nobody and os.geteuid() == 0:
                os.setgroups([])
                os.setgid(NOBODY)
                os.setuid(NOBODY)
            if self.preexec:
                self.preexec()
        return run

    def open_log(self):
        """Where the program writes its log: a pipe, not a file, for it may be forbidden to make one grow."""
        read, write = os.pipe()
        os.set_blocking(read, False)
        self._half[read] = b""
        threading.Thread(target=self._read_log, args=(read,), daemon=True).start()
        return write

    def _read_log(self, fd):
        """Takes what comes until nobody writes any more, so that the pipe is never full."""
        come = select.poll()
        come.register(fd)
        while fd in self._half:
            come.poll()
            self._take_log()
        os.close(fd)

    def _take_log(self):
        with self._reading:
            for fd in list(self._half):
                with contextlib.suppress(BlockingIOError):
                    while data := os.read(fd, 65536):
                        *whole, self._half[fd] = (self._half[fd] + data).split(b"\n")
                        self._lines += [line.decode(errors="replace") for line in whole]
                    if last := self._half.pop(fd):  # nobody writes any more
                        self._lines.append(last.decode(errors="replace"))

    @property
    def lines(self):
        """Of the log.  Whoever sees an answer of the program sees what it logged before."""
        self._take_log()
        return self._lines

    def start(self, wait=True, seconds=60):
        if os.geteuid() == 0 and not self.nobody:
            make_user("postern-" + self.name)
        self.lifeline, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        null = os.open("/dev/null", os.O_RDWR)
        log, memfd = self.open_log(), settings(self.files)
        fds = [null, log, log, theirs.fileno(), memfd, *[p if isinstance(p, int) else p.fileno() for p in self.ports]]
        fds += [null] * (5 + ROW_PORTS.get(self.name, 0) - len(fds))
        self.process = subprocess.Popen([str(BIN / f"postern-{self.name}"), self.lane, "0", str(self.state)],
                                        close_fds=False, preexec_fn=self._child(fds))
        for fd in (null, log, memfd):
            os.close(fd)
        theirs.close()
        if wait:
            self.lifeline.settimeout(seconds)
            said = self.lifeline.recv(1000)
            assert self.expected is None or said == self.expected, said
            self.said = said.decode()
        return self

    def log(self, word, seconds=20, count=1):
        """The lines that contain WORD, waiting until there are COUNT."""
        end, late = time.monotonic() + seconds, False
        while True:
            found = [s for s in list(self.lines) if word in s]
            if len(found) >= count or late:
                return found
            time.sleep(0.01)
            late = time.monotonic() > end

    def reload(self, files):
        fd = settings(files)
        socket.send_fds(self.lifeline, [b"settings"], [fd])
        os.close(fd)

    def memory_kib(self, key="Pss"):
        return processes.memory_kib(self.process.pid, key)

    def descriptors(self):
        return len(processes.descriptors(self.process.pid))

    def cpu_seconds(self):
        return processes.cpu_seconds(self.process.pid)

    def stop(self, sig=signal.SIGTERM, seconds=30):
        """SIGTERM is repeated, as the supervisor does."""
        end = time.monotonic() + seconds
        while self.process and self.process.poll() is None:
            self.process.send_signal(sig)
            try:
                self.process.wait(0.2)
            except subprocess.TimeoutExpired:
                if time.monotonic() > end:
                    self.process.kill()
                    self.process.wait()
                    raise
        return self.process.returncode if self.process else None


class Program(Alone):
    """PORTS: the ends that the program gets, in the order of its row; "in" makes a pair whose other end is .ask_socket."""

    def __init__(self, name, folder, files, ports):
        self.ask_socket, self.theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
        super().__init__(name, folder, files, [self.theirs if p == "in" else p for p in ports], lane="-", nobody=True, said=None)

    def log(self):
        return "\n".join(list(self.lines)) + "\n"

    def wait_log(self, text, seconds=20):
        """What is logged after the answer."""
        assert Alone.log(self, text, seconds), self.log()
        return self.log()

    def send(self, *question):
        """Ask without waiting; returns the socket on which the answer comes."""
        mine, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        mine.settimeout(60)
        self.ask_socket.sendmsg([joined(*question)], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", [theirs.fileno()]))])
        theirs.close()
        return mine

    def ask(self, *question, seconds=20):
        """The answer's fields; [] when the program closed the reply without one."""
        with self.send(*question) as reply:
            reply.settimeout(seconds)
            return netstrings(reply.recv(1 << 18))


def readable(sock, seconds):
    return bool(select.select([sock], [], [], seconds)[0])
