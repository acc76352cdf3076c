"""postern-remote and postern-lmtp alone: the test plays the queue, which hands them deliveries."""
import array
import os
import socket

import pytest

from alone import Program, joined as netstrings, netstrings as split_netstrings, sealed
from conftest import many

HEADER = b"Subject: x\nFrom: a@near.test\n\n"


def results(mine, count):
    """([(status, enhanced, host, text)] of each recipient, mark)."""
    got = [b"C"]
    while got == [b"C"]:
        got = split_netstrings(mine.recv(1 << 18))
    mark = got.pop().decode() if len(got[-1:]) and len(got[-1]) == 1 else ""
    got = [split_netstrings(x) for x in got]
    assert [int(g[0]) for g in got] == list(range(count))
    return [tuple(x.decode() for x in g[1:5]) for g in got], mark


class Agent(Program):
    """Deliveries to one program alone."""

    def __init__(self, name, folder, files):
        super().__init__(name, folder, {"me": "near.test", "timeoutconnect": "2", "timeoutremote": "20", "resolver": "127.0.0.1:9", **files}, ["in"])
        self.letter = "r" if name == "remote" else "m"

    def send(self, rcpts, destination, **kw):
        mine, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self.send_on(self.ask_socket, rcpts, destination, [theirs.fileno()], **kw)
        theirs.close()
        return mine

    def send_on(self, sock, rcpts, destination, fds=(), header=HEADER, body=b"hello\n", sender="a@near.test", utf8=0, tls=0, ret="-", envid="",
                notify="", orcpt=""):
        """A delivery by SOCK: the agent's port, or a conversation that is ready for more."""
        fields = ["0123456789abc", sender, 1, 0, len(header) + len(body), utf8, tls, ret, envid, len(rcpts)]
        for i, r in enumerate(rcpts):
            to = destination if isinstance(destination, str) else destination[i]
            fields += [i, netstrings(self.letter, r, to, "", -1, -1, 0, 0, 0, "-", "", ""), r, notify, orcpt]
        both = [sealed(b"0:," + header), sealed(body)]
        sock.sendmsg([netstrings(*fields)], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", [*both, *fds]))])
        for fd in both:
            os.close(fd)

    def deliver(self, rcpts, destination, seconds=120, **kw):
        """[(status, enhanced, host, text)] of each recipient."""
        with self.send(rcpts, destination, **kw) as mine:
            mine.settimeout(seconds)
            return results(mine, len(rcpts))[0]


@pytest.fixture
def remote(folder):
    with many(Agent, Agent.stop) as new:
        def start(server=None, **files):
            routes = {"smtproutes": f":127.0.0.1:{server.port}"} if server else {}
            return new("remote", folder, {**routes, **files}).start()
        yield start


def converse(agent, mine, *deliveries, destination="far.test", **kw):
    """Further deliveries by one conversation; the last results and the mark."""
    for rcpts in deliveries:
        agent.send_on(mine, rcpts, destination, **kw)
        got = results(mine, len(rcpts))
    return got


def gone(mine):
    mine.settimeout(60)
    return mine.recv(1000) == b""


def allow_relay(suite):
    suite.control("tcp.smtp", '127.:allow,RELAYCLIENT=""\n:allow')


MESSAGE = b"From: u1@campus.test\r\nTo: x@far.test\r\nSubject: far\r\nMessage-ID: <r1@campus.test>\r\n\r\n.dot\r\nhello\r\n"
