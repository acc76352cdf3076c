"""postern-door alone: the test is the supervisor, the clients and smtpd."""
import socket

import pytest

from alone import Alone, netstring, netstrings, readable
from conftest import many, wait_for

BASE = {"me": "mx.test", "maxperip": "5000", "maxpernet": "5000"}


class Session:
    """What smtpd holds of a connection that was handed over."""

    def __init__(self, text, fds):
        parts = [p.decode() for p in netstrings(text)]
        self.listener, self.ip, self.port, self.local_ip, self.local_port = parts[:5]
        self.vars = dict(zip(parts[5::2], parts[6::2]))
        self.client = socket.socket(fileno=fds[0])
        self.token = open(fds[1], "wb", buffering=0)

    def end(self):
        self.client.close()
        self.token.close()


class Door(Alone):
    def __init__(self, folder, files=None, listen=("",), **kw):
        self.listeners = [self._listener(s) for s in listen]
        names = [next((n for n in ("submissions", "submission") if n in w), "smtp") for w in listen]
        lines = [f"{n} {'[::1]' if s.family == socket.AF_INET6 else '127.0.0.1'}:{s.getsockname()[1]} {'proxy' if 'proxy' in w else ''}"
                 for n, s, w in zip(names, self.listeners, listen)]
        if "smtp" not in names:  # the door of submission: lines of other lanes are not its own
            lines.insert(1, "smtp 127.0.0.1:25")
            kw.setdefault("lane", "submission")
        self.smtpd, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.dns, dns = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.respond, blocks = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.command = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self.command.bind(str(folder / "door.sock"))
        self.command.listen(5)
        self.kept = []  # nothing is closed by the garbage collector: that would end clients and sessions
        self.fixed = {"listen": "\n".join(lines)}
        self.address = self.listeners[0].getsockname()
        super().__init__("door", folder, {**BASE, **self.fixed, **(files or {})}, [theirs, dns, self.command, blocks, *self.listeners], **kw)

    @staticmethod
    def _listener(what):
        six = "6" in what
        s = socket.socket(socket.AF_INET6 if six else socket.AF_INET)
        s.bind(("::1" if six else "127.0.0.1", 0))
        s.listen(4096)
        return s

    def set(self, **files):
        before = len(self.log("door-settings", 0)) + len(self.log("control-fault", 0))
        files = {k.replace("_", "."): v for k, v in files.items()}
        self.reload({**BASE, **self.fixed, **files})
        wait_for(lambda: len(self.log("door-settings", 0)) + len(self.log("control-fault", 0)) > before)

    def status(self):
        with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as s:
            s.settimeout(60)
            s.connect(str(self.folder / "door.sock"))
            s.send(netstring("status"))
            row = [x.decode() for x in netstrings(s.recv(32768))]
            assert netstrings(s.recv(100))[:1] == [b"."]
        return {k: int(v) for k, v in zip(row[::2], row[1::2]) if v.isdigit()}

    def connect(self, source="127.0.0.1", listener=0, send=b""):
        s = socket.create_connection(self.listeners[listener].getsockname()[:2], 60, (source, 0))
        self.kept.append(s)
        if send:
            s.sendall(send)
        return s

    def session(self, seconds=20):
        assert readable(self.smtpd, seconds), f"nothing was handed over; log: {self.lines}"
        text, fds, flags, _ = socket.recv_fds(self.smtpd, 8192, 4)
        assert len(fds) == 2 and not flags & socket.MSG_CTRUNC
        self.kept.append(Session(text, fds))
        return self.kept[-1]

    def none(self, seconds=0.3):
        return not readable(self.smtpd, seconds)


@pytest.fixture
def door(tmp_path):
    with many(Door, Door.stop) as new:
        yield lambda files=None, **kw: new(tmp_path, files and {k.replace("_", "."): v for k, v in files.items()}, **kw).start()


def rest(s, seconds=60):
    """All that the server says until it closes."""
    s.settimeout(seconds)
    out = b""
    while True:
        try:
            got = s.recv(4096)
        except ConnectionResetError:
            return out + b"<reset>"
        if not got:
            return out
        out += got


def handed_over(d, source, **kw):
    """A client, to whom nothing is said, and its session until the door knows of its end."""
    before = d.status()["sessions"]
    c = d.connect(source, **kw)
    s = d.session()
    assert not readable(c, 0), source
    s.end()
    wait_for(lambda: d.status()["sessions"] == before)
