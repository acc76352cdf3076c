"""postern-smtpd alone: the real program between socket pairs on which the test plays door, directory, tls and the next stage, so that
each of them can die, hang, refuse or lie when the test wants it."""
import array
import contextlib
import os
import pathlib
import resource
import shutil
import socket
import tempfile
import threading

import pytest

from alone import Alone, joined, message_of, netstring, netstrings, split_head
from conftest import many
from processes import children
from smtp_client import Client

ME = "mx1.campus.test"
MESSAGE = b"Subject: x\r\n\r\nhello\r\n"
M, R = "MAIL FROM:<a@far.test>", "RCPT TO:<u1@campus.test>"
E = "EHLO client.test"


class Job:
    """One job as the next stage gets it."""
    def __init__(self, text, fds):
        text, head, self.body, (self.reply_fd,) = message_of(text, fds)
        self.id = text.decode()
        records, self.header = split_head(head)
        self.records = [(r[:1].decode(), r[1:]) for r in records]

    def record(self, key):
        return [v for k, v in self.records if k == key]

    @property
    def message(self):
        """What the client sent: without our Received field."""
        lines = self.header.split(b"\n")
        n = 1
        while lines[n][:1] in (b" ", b"\t"):
            n += 1
        return b"\n".join(lines[n:]) + self.body

    @property
    def received(self):
        return self.header[:len(self.header) + len(self.body) - len(self.message)]

    def answer(self, text):
        s = socket.socket(fileno=os.dup(self.reply_fd))
        with contextlib.suppress(OSError):
            s.send(text.encode())
        s.close()
        self.close()

    def close(self):
        if self.reply_fd >= 0:
            os.close(self.reply_fd)
            self.reply_fd = -1


class Smtpd(Alone):
    USERS = {"u1@campus.test": "Y", "u2@campus.test": "Y", "off@campus.test": "D", "soft@campus.test": "T", f"postmaster@{ME}": "Y",
             "postmaster@campus.test": "Y", "U1@campus.test": "Y", "o'neill+tag@campus.test": "Y", f"u1@{ME}": "Y"}

    def __init__(self, tls=False, processes=None, preexec=None, **control):
        folder = pathlib.Path(tempfile.mkdtemp(prefix="smtpd-"))
        folder.chmod(0o755)
        self.log_path = folder / "log"
        control = {"me": ME, "locals": "campus.test\n" + ME, "rcpthosts": "relayed.test\n.below.test", "tarpitdelay": "0",
                   **control}
        self.jobs, self.questions = [], []
        self.directory_answers = True   # None: close the question without an answer; False: say nothing
        self.queue_answer = "250 2.0.0 ok {id}"   # None: close the job; False: keep it
        self.drop_jobs = False  # answered, but not read
        self.lock = threading.Condition()
        self.kept = []
        self.pairs = {n: socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM) for n in ("in", "next", "directory", "tls", "dns")}
        ports = [self.pairs[n][1] for n in ("in", "next", "directory")] + [self.pairs["tls"][1] if tls else os.open("/dev/null", os.O_RDWR)]
        self.space = os.memfd_create("space", os.MFD_CLOEXEC)  # lib/space.h: a page that the queue writes
        os.ftruncate(self.space, 4096)
        ports.append(os.open("/dev/null", os.O_RDWR))  # no skim
        ports.append(os.open(f"/proc/self/fd/{self.space}", os.O_RDONLY))
        ports.append(os.dup(self.pairs["dns"][1].fileno()))
        limit = (lambda: resource.setrlimit(resource.RLIMIT_NPROC, (processes, processes))) if processes else preexec
        control = {k.replace("__", "."): v for k, v in control.items()}
        super().__init__("smtpd", folder, control, ports, preexec=limit, nobody=True)
        self.start()
        for fd in ports[3 if not tls else 4:]:
            os.close(fd)
        self.threads = [threading.Thread(target=t, daemon=True) for t in (self._directory, self._queue)]
        for t in self.threads:
            t.start()

    def open_log(self):
        """A file: whoever sees a reply sees what was logged before it."""
        return os.open(self.log_path, os.O_CREAT | os.O_WRONLY | os.O_APPEND, 0o644)

    def log(self):
        return self.log_path.read_text(errors="replace")

    def _receive(self, name):
        sock = self.pairs[name][0]
        while True:
            try:
                data, anc, _, _ = sock.recvmsg(70000, socket.CMSG_SPACE(16))
            except OSError:
                return
            fds = array.array("i")
            for level, kind, cmsg in anc:
                fds.frombytes(cmsg[:len(cmsg) - len(cmsg) % 4])
            if not data:
                return
            yield data, list(fds)

    def directory_says(self, question):
        """The answer's octets; None: the question is closed without one, False: it stays open."""
        if not self.directory_answers:
            return self.directory_answers
        verdict = self.USERS.get(question[1], "N")
        return joined(verdict, {"T": "the server is down", "D": "disabled"}.get(verdict, ""))

    def _directory(self):
        for data, fds in self._receive("directory"):
            question = [x.decode(errors="surrogateescape") for x in netstrings(data)]
            self.questions.append(question)
            reply = socket.socket(fileno=fds[0])
            answer = self.directory_says(question)
            if answer is False:
                self.kept.append(reply)
                continue
            if answer is not None:
                with contextlib.suppress(OSError):
                    reply.send(answer)
            reply.close()

    def _queue(self):
        for data, fds in self._receive("next"):
            if self.drop_jobs:
                id, _, _, (reply,) = message_of(data, fds)
                with socket.socket(fileno=reply) as reply:
                    reply.send(self.queue_answer.format(id=id.decode()).encode())
                continue
            job = Job(data, fds)
            with self.lock:
                self.jobs.append(job)
                self.lock.notify_all()
            if self.queue_answer:
                job.answer(self.queue_answer.format(id=job.id))
            elif self.queue_answer is None:
                job.close()

    def wait_jobs(self, count, seconds=10):
        with self.lock:
            assert self.lock.wait_for(lambda: len(self.jobs) >= count, seconds), (len(self.jobs), self.log())
        return self.jobs

    def hand(self, sock, variables=None, ip="192.0.2.7", local="192.0.2.1", listener="smtp"):
        """Hand SOCK over as the door does; returns the door's end of the token."""
        mine, token = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)
        text = joined(listener, ip, 40000, local, 25)
        for k, v in (variables or {}).items():
            text += netstring(k) + netstring(v)
        socket.send_fds(self.pairs["in"][0], [text], [sock.fileno(), token])
        os.close(token)
        return open(mine, "rb", buffering=0)

    def connect(self, variables=None, greeting=True, tcp=False, **kw):
        if tcp:
            with socket.socket() as listener:
                listener.bind(("127.0.0.1", 0))
                listener.listen()
                mine = socket.create_connection(listener.getsockname())
                theirs, _ = listener.accept()
        else:
            mine, theirs = socket.socketpair()
        client = Client(mine)
        client.token = self.hand(theirs, variables, **kw)
        theirs.close()
        if greeting:
            assert client.reply()[0] == 220
        return client

    def children(self):
        return children(self.process.pid)

    def close(self):
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()
        for a, b in self.pairs.values():
            with contextlib.suppress(OSError):
                a.shutdown(socket.SHUT_RDWR)
            a.close()
            b.close()
        shutil.rmtree(self.folder, ignore_errors=True)


@pytest.fixture(scope="module")
def shared():
    d = Smtpd()
    yield d
    d.close()


@pytest.fixture
def start():
    with many(Smtpd, Smtpd.close) as make:
        yield make


def finish(c, message=MESSAGE):
    return c.do(message + b".\r\n")
