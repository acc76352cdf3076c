"""One program of the suite alone, with the descriptors that the supervisor would give it (lib/program.h): the test holds the other
ends.  It runs as the user who runs the tests or, for root, as nobody, so that no user has to be made."""
import array
import fcntl
import os
import signal
import socket
import subprocess
import threading
import time

from conftest import BIN

SEALS = 0xF  # SEAL, SHRINK, GROW, WRITE
LAUNCH = """
import os, sys
fds = [int(x) for x in sys.argv[1].split(",")]
high = [os.dup(fd) for fd in fds]
high = [fd if fd >= 200 else os.dup2(fd, 200 + i) for i, fd in enumerate(high)]
for i, fd in enumerate(high):
    os.dup2(fd, 3 + i, inheritable=True)
os.execve(sys.argv[2], sys.argv[2:], {k: v for k, v in os.environ.items() if k == "ASAN_OPTIONS"})
"""


def netstrings(*items):
    items = [i if isinstance(i, bytes) else str(i).encode() for i in items]
    return b"".join(b"%d:%s," % (len(i), i) for i in items)


def split_netstrings(data):
    out = []
    while data:
        n, _, data = data.partition(b":")
        n = int(n)
        out.append(data[:n])
        assert data[n:n + 1] == b","
        data = data[n + 1:]
    return out


def settings(files):
    """FILES (name: text) as control_pack() makes them."""
    fd = os.memfd_create("settings", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
    data = netstrings("/control") + b"".join(netstrings(k, v) for k, v in files.items())
    view = memoryview(data)
    while view:
        view = view[os.write(fd, view):]
    fcntl.fcntl(fd, 1033, SEALS)  # F_ADD_SEALS
    return fd


class Program:
    """PORTS: the ends that the program gets, in the order of its row; "in" makes a pair whose other end is .ask_socket."""

    def __init__(self, name, folder, files, ports):
        self.name, self.folder, self.files, self.ports = name, folder, files, ports
        self.ask_socket, self.theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
        (folder / "empty").mkdir(exist_ok=True)
        self.lines = b""
        self.process = None

    def start(self, seconds=20):
        mine, lifeline = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        memfd = settings(self.files)
        ports = [self.theirs if p == "in" else p for p in self.ports]
        fds = [lifeline.fileno(), memfd, *[p.fileno() for p in ports]]
        who = {"user": 65534, "group": 65534, "extra_groups": []} if os.geteuid() == 0 else {}
        read_end, write_end = os.pipe()  # not a file: a program may be forbidden to make one grow
        self.process = subprocess.Popen(
            ["/usr/bin/python3", "-c", LAUNCH, ",".join(map(str, fds)), str(BIN / f"postern-{self.name}"), "-", "0", str(self.folder)],
            stdin=subprocess.DEVNULL, stdout=write_end, stderr=write_end, pass_fds=fds, **who)
        os.close(write_end)
        threading.Thread(target=self._keep_log, args=(read_end,), daemon=True).start()
        os.close(memfd)
        lifeline.close()
        mine.settimeout(seconds)
        self.said = mine.recv(1000).decode()
        self.lifeline = mine
        return self

    def _keep_log(self, fd):
        with open(fd, "rb", buffering=0) as pipe:
            while data := pipe.read(65536):
                self.lines += data

    def stop(self, sig=signal.SIGTERM):
        if self.process and self.process.poll() is None:
            end = time.monotonic() + 20
            while self.process.poll() is None and time.monotonic() < end:
                self.process.send_signal(sig)
                try:
                    self.process.wait(0.2)
                except subprocess.TimeoutExpired:
                    pass
        return self.process.returncode

    def log(self):
        return self.lines.decode(errors="replace")

    def wait_log(self, text, seconds=5):
        """The log reaches the test by a pipe, perhaps after the answer."""
        end = time.monotonic() + seconds
        while text not in self.log() and time.monotonic() < end:
            time.sleep(0.01)
        assert text in self.log(), self.log()
        return self.log()

    def send(self, *question):
        """Ask without waiting; returns the socket on which the answer comes."""
        mine, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self.ask_socket.sendmsg([netstrings(*question)], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", [theirs.fileno()]))])
        theirs.close()
        return mine

    def ask(self, *question, seconds=20):
        """The answer's fields; [] when the program closed the reply without one."""
        with self.send(*question) as reply:
            reply.settimeout(seconds)
            return split_netstrings(reply.recv(1 << 18))

    def memory_kib(self, key="VmRSS"):
        with open(f"/proc/{self.process.pid}/status") as f:
            return next(int(line.split()[1]) for line in f if line.startswith(key + ":"))
