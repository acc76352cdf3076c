"""A crowd of slow clients, in a process of its own: slow_clients.py PORT COUNT [SECONDS]

Each comes from an address and a /24 of its own (127.1.0.0 and up), as the hosts of a botnet do, goes through the session to the phase in
which it is slow, and stays there: an octet every SECONDS (3), sent or read, or nothing at all.  When all are there the program prints
`slow` and how many are in each phase; it ends when its input does, and prints how many connections were still open and how many were closed
by the other side."""
import collections
import json
import resource
import select
import socket
import sys
import time

AT_ONCE = 100       # that are on their way to their phase
EHLO, ENVELOPE = b"EHLO slow.test\r\n", b"MAIL FROM:<slow@far.test>\r\nRCPT TO:<u1@campus.test>\r\n"
FLOOD = b"HELP\r\n" * 90 + b"MAIL FROM:<a@far.test>\r\n" + b"RCPT TO:<u2@campus.test>\r\n" * 300


def phase(steps=(), drip=b"", reads=True, small=False):
    """STEPS: (command, replies until the next).  DRIP: sent octet by octet afterwards, again and again.  READS: True all, 1 an octet each time, 0 nothing."""
    return {"steps": steps, "drip": drip, "reads": reads, "small": small}


PHASES = {
    "silent": phase(),
    "first command": phase([(b"EH", 0)], b"LO slow.test "),
    "middle of a command": phase([(EHLO, 1), (b"MAIL FROM:<", 0)], b"a"),
    "recipients": phase([(EHLO, 1), (ENVELOPE + b"RCPT TO:<", 2)], b"b"),
    "header": phase([(EHLO, 1), (ENVELOPE + b"DATA\r\n", 3)], b"Subject: slow\r\n"),
    "body": phase([(EHLO, 1), (ENVELOPE + b"DATA\r\n", 3), (b"Subject: x\r\n\r\n", 0)], b"one octet after another\r\n"),
    "chunk": phase([(EHLO, 1), (ENVELOPE + b"BDAT 100000 LAST\r\n", 2)], b"x"),
    "TLS handshake": phase([(EHLO, 1), (b"STARTTLS\r\n", 1), (b"\x16\x03\x01\x3f\x00\x01\x00\x3e\xfc\x03\x03", 0)], b"r"),
    "reads an octet at a time": phase([(EHLO, 1), (FLOOD, 0)], reads=1, small=True),
    "never reads": phase([(EHLO, 1), (FLOOD, 0)], reads=0, small=True),
}


class Slow:
    def __init__(self, number, port, name):
        self.name, self.plan, self.step, self.replies, self.sent, self.tail = name, PHASES[name], -1, 1, 0, b""
        self.sock = socket.socket()
        if self.plan["small"]:
            self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 2048)
            self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4096)
        self.sock.bind((f"127.{1 + number // 250}.{number % 250}.{1 + number % 200}", 0))
        self.sock.setblocking(False)
        try:
            self.sock.connect(("127.0.0.1", port))
        except BlockingIOError:
            pass

    @property
    def arrived(self):
        return self.step >= len(self.plan["steps"])

    def next_step(self):
        self.step += 1
        if not self.arrived:
            command, self.replies = self.plan["steps"][self.step]
            self.sock.send(command)
            if not self.replies:
                self.next_step()

    def take(self):
        """Octets came; False: the connection is closed."""
        got = self.sock.recv(65536)
        if not self.arrived:
            *lines, self.tail = (self.tail + got).split(b"\n")
            self.replies -= sum(line[3:4] == b" " for line in lines)
            if self.replies <= 0:
                self.next_step()
        return bool(got)

    def drip(self):
        if self.plan["reads"] is not True:
            return self.plan["reads"] == 0 or bool(self.sock.recv(1))
        text = self.plan["drip"]
        if text:
            self.sock.send(text[self.sent % len(text):][:1])
            self.sent += 1
        return True


class Crowd:
    def __init__(self, port, count, pace=3):
        self.port, self.count, self.pace, self.epoll = port, count, pace, select.epoll()
        self.clients, self.on_the_way, self.ended, self.waiting = {}, set(), collections.Counter(), collections.deque()

    def add(self):
        number = len(self.clients) + sum(self.ended.values())
        c = Slow(number, self.port, list(PHASES)[number % len(PHASES)])
        self.clients[c.sock.fileno()] = c
        self.on_the_way.add(c)
        self.epoll.register(c.sock, select.EPOLLIN)

    def end(self, c):
        self.epoll_forget(c)
        self.on_the_way.discard(c)
        del self.clients[c.sock.fileno()]
        self.ended[c.name] += 1
        c.sock.close()

    def epoll_forget(self, c):
        try:
            self.epoll.unregister(c.sock)
        except (OSError, ValueError):
            pass

    def attempt(self, c, what):
        try:
            ok = what()
        except BlockingIOError:
            ok = True
        except OSError:
            ok = False
        if not ok:
            self.end(c)
        elif c.arrived and c in self.on_the_way:
            self.on_the_way.discard(c)
            self.waiting.append((time.monotonic() + self.pace, c))
            if c.plan["reads"] is not True:
                self.epoll_forget(c)
        return ok

    def events(self, seconds):
        for fd, _ in self.epoll.poll(seconds):
            if fd in self.clients:
                self.attempt(self.clients[fd], self.clients[fd].take)

    def drips(self):
        while self.waiting and self.waiting[0][0] <= time.monotonic():
            due, c = self.waiting.popleft()
            if c.sock.fileno() >= 0 and self.attempt(c, c.drip):
                self.waiting.append((due + self.pace, c))

    def gather(self):
        while len(self.clients) + sum(self.ended.values()) < self.count or self.on_the_way:
            while len(self.on_the_way) < AT_ONCE and len(self.clients) + sum(self.ended.values()) < self.count:
                self.add()
            self.events(0.05)
            self.drips()

    def hold(self):
        while not select.select([sys.stdin], [], [], 0)[0]:
            self.events(0.05)
            self.drips()


def main():
    most = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    crowd = Crowd(*map(int, sys.argv[1:]))
    crowd.gather()
    print("slow", json.dumps(collections.Counter(c.name for c in crowd.clients.values())), flush=True)
    crowd.hold()
    print("end", json.dumps({"open": len(crowd.clients), "closed": crowd.ended}), flush=True)


if __name__ == "__main__":
    main()
