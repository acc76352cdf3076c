"""postern-qmqpd alone: each call that can fail on the way of a message fails once, and the queue dies or is deaf.  The client is never told K, and the next message
comes through."""
import os
import shutil
import socket
import threading
import time

import pytest

import qmqp_client
from alone import JOB_MAX, Program, joined, message_of
from processes import failing

MESSAGE = b"Subject: x\n\n" + b"hello\n" * 100


def framed(message=MESSAGE, sender=b"a@far.test", *rcpts):
    return qmqp_client.framed(message, sender, *(rcpts or [b"u1@campus.test"]))


class Qmqpd(Program):
    """The test is the door and the queue; what the queue does with a job is .queue: an answer, None (it dies with it) or False (it is deaf)."""

    def __init__(self, folder):
        self.jobs, self.queue = [], b"250 2.0.0 ok"
        self.in_queue, next_stage = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
        super().__init__("qmqpd", folder, {"me": "mx1.campus.test", "answerseconds": "10", "databytes": "1000000"}, ["in", next_stage])
        threading.Thread(target=self._queue, daemon=True).start()

    def _queue(self):
        while True:
            text, _, _, (reply,) = message_of(*socket.recv_fds(self.in_queue, JOB_MAX, 4)[:2])
            reply = socket.socket(fileno=reply)
            self.jobs.append(text)
            if self.queue is False:
                self.jobs.append(reply)
                continue
            if self.queue is not None:
                reply.send(self.queue)
            reply.close()

    def connect(self):
        mine, theirs = socket.socketpair()
        door, token = os.pipe()
        text = joined("qmqp", "192.0.2.7", 40000, "192.0.2.1", 628)
        socket.send_fds(self.ask_socket, [text], [theirs.fileno(), token])
        theirs.close()
        os.close(token)
        os.close(door)
        mine.settimeout(60)
        return mine

    def talk(self, data):
        """The answer's letter and text; "" without one."""
        with self.connect() as s:
            return qmqp_client.said(s, data).partition(b":")[2].rstrip(b",").decode()


@pytest.fixture
def qmqpd(folder):
    q = Qmqpd(folder).start()
    yield q
    q.stop()


@pytest.mark.parametrize("queue,letter", [(b"250 2.0.0 ok", "K"), (b"451 4.3.0 later", "Z"), (b"554 5.6.0 never", "D"), (b"what", "Z"), (b"", "Z"), (None, "Z")])
def test_what_the_queue_says(qmqpd, queue, letter):
    """K only after 250; a queue that dies with the message in hand, or says what is no answer, is temporary."""
    qmqpd.queue = queue
    assert qmqpd.talk(framed())[:1] == letter
    qmqpd.queue = b"250 2.0.0 ok"
    assert qmqpd.talk(framed())[:1] == "K"


def test_a_deaf_queue(qmqpd):
    """answerseconds, then Z; what it answers after that reaches nobody."""
    qmqpd.queue = False
    began = time.monotonic()
    assert qmqpd.talk(framed())[:1] == "Z" and 9 < time.monotonic() - began < 20
    with pytest.raises(OSError):
        qmqpd.jobs[-1].send(b"250 2.0.0 ok")


FAULTS = ["memfd_create:error=ENFILE:when=1", "memfd_create:error=EMFILE:when=2", "pwrite64:error=ENOSPC:when=1",
          "fcntl:error=EBUSY:when=1", "fcntl:error=EBUSY:when=2", "socketpair:error=EMFILE:when=1", "dup:error=EMFILE:when=1", "sendmsg:error=ENOBUFS:when=1"]


@pytest.mark.skipif(not shutil.which("strace") or os.geteuid() != 0, reason="needs strace and root")
@pytest.mark.parametrize("fault", FAULTS)
def test_faults_of_the_system(qmqpd, fault):
    """Of a message whose header is a file, too."""
    message = b"X: " + b"x" * 20_000 + b"\n" + MESSAGE
    with failing(qmqpd.process.pid, fault):
        assert qmqpd.talk(framed(message))[:1] in ("Z", ""), fault
        assert qmqpd.jobs == [], "nothing was handed on"
        assert qmqpd.talk(framed(message))[:1] == "K" and len(qmqpd.jobs) == 1
