"""postern-smtpd alone: the real program between socket pairs on which the test plays door, directory, tls and the next stage, so that
each of them can die, hang, refuse or lie when the test wants it."""
import array
import os
import pathlib
import resource
import shutil
import socket
import subprocess
import tempfile
import threading

from alone import Alone, netstring, netstrings

ME = "mx1.campus.test"


def read_all(fd):
    return os.pread(fd, os.fstat(fd).st_size, 0)


class Job:
    """One job as the next stage gets it."""
    def __init__(self, text, fds):
        self.id = text.decode()
        head, body, self.reply_fd = fds
        data = read_all(head)
        self.records, at = [], 0
        while True:
            colon = data.index(b":", at)
            n = int(data[at:colon])
            record = data[colon + 1:colon + 1 + n]
            at = colon + 2 + n
            if not record:
                break
            self.records.append((record[:1].decode(), record[1:]))
        self.header, self.body = data[at:], read_all(body)
        os.close(head)
        os.close(body)

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
        try:
            s.send(text.encode())
        except OSError:
            pass
        s.close()
        self.close()

    def close(self):
        if self.reply_fd >= 0:
            os.close(self.reply_fd)
            self.reply_fd = -1


class Smtpd(Alone):
    USERS = {"u1@campus.test": "Y", "u2@campus.test": "Y", "off@campus.test": "D", "soft@campus.test": "T", f"postmaster@{ME}": "Y",
             "postmaster@campus.test": "Y", "U1@campus.test": "Y", "o'neill+tag@campus.test": "Y", f"u1@{ME}": "Y"}

    def __init__(self, tls=False, processes=None, **control):
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
        limit = (lambda: resource.setrlimit(resource.RLIMIT_NPROC, (processes, processes))) if processes else None
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

    def _directory(self):
        for data, fds in self._receive("directory"):
            question = [x.decode() for x in netstrings(data)]
            self.questions.append(question)
            reply = socket.socket(fileno=fds[0])
            if self.directory_answers:
                verdict = self.USERS.get(question[1], "N")
                text = {"T": "the server is down", "D": "disabled"}.get(verdict, "")
                try:
                    reply.send(netstring(verdict) + netstring(text))
                except OSError:
                    pass
            if self.directory_answers is False:
                self.kept.append(reply)
            else:
                reply.close()

    def _queue(self):
        for data, fds in self._receive("next"):
            if self.drop_jobs:
                with socket.socket(fileno=fds[2]) as reply:
                    reply.send(self.queue_answer.format(id=data.decode()).encode())
                os.close(fds[0])
                os.close(fds[1])
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
        mine, token = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        text = b"".join(netstring(x) for x in (listener, ip, 40000, local, 25))
        for k, v in (variables or {}).items():
            text += netstring(k) + netstring(v)
        socket.send_fds(self.pairs["in"][0], [text], [sock.fileno(), token.fileno()])
        token.close()
        return mine

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
        out = subprocess.run(["ps", "-o", "pid=", "--ppid", str(self.process.pid)], capture_output=True, text=True).stdout
        return [int(x) for x in out.split()]

    def close(self):
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()
        for a, b in self.pairs.values():
            try:
                a.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass
            a.close()
            b.close()
        shutil.rmtree(self.folder, ignore_errors=True)


class Client:
    def __init__(self, sock):
        self.sock, self.buffer = sock, b""
        sock.settimeout(15)

    def send(self, data):
        self.sock.sendall(data if isinstance(data, bytes) else data.encode())

    def line(self):
        while b"\n" not in self.buffer:
            got = self.sock.recv(65536)
            if not got:
                raise EOFError(self.buffer)
            self.buffer += got
        line, self.buffer = self.buffer.split(b"\n", 1)
        assert line.endswith(b"\r"), line
        return line[:-1].decode("latin-1")

    def reply(self):
        """(code, text of all lines)"""
        lines = [self.line()]
        while lines[-1][3:4] == "-":
            lines.append(self.line())
        assert len({x[:3] for x in lines}) == 1, lines
        return int(lines[0][:3]), "\n".join(x[4:] for x in lines)

    def do(self, command):
        self.send(command if isinstance(command, bytes) else command.encode() + b"\r\n")
        return self.reply()

    def ehlo(self):
        code, text = self.do("EHLO client.test")
        assert code == 250, text
        return text.split("\n")[1:]

    def start(self, sender="a@far.test", rcpts=("u1@campus.test",)):
        self.ehlo()
        return self.envelope(sender, rcpts)

    def envelope(self, sender="a@far.test", rcpts=("u1@campus.test",)):
        for command, expected in [(f"MAIL FROM:<{sender}>", 250), *[(f"RCPT TO:<{r}>", 250) for r in rcpts], ("DATA", 354)]:
            code, text = self.do(command)
            assert code == expected, (command, code, text)
        return self

    def closed(self):
        """Nothing more comes, and the connection is closed."""
        try:
            return self.buffer == b"" and self.sock.recv(100) == b""
        except ConnectionResetError:
            return True

    def close(self):
        self.sock.close()
