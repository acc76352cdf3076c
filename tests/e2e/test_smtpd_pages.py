"""What a session costs that nobody sees: pages of a fresh process, segments (smtpd_alone.py)."""
import ctypes
import os
import pathlib
import platform
import re
import socket
import struct
import subprocess

import pytest

from processes import failing
from smtpd_alone import start  # noqa: F401 (a fixture)


ADDR_NO_RANDOMIZE = 0x40000
GOODBYE = b"221 2.0.0 goodbye\r\n"


def without_random_addresses():
    return ctypes.CDLL(None).personality(ADDR_NO_RANDOMIZE) >= 0


def test_page_faults_of_a_session(start):
    """A fresh process is paid by the page (docs/decisions.md): 8 faults up to EHLO's reply, 8 more for a small message; one may be added to each.  Filled holes in the
    parent's heap, and code and data that lie together, keep it so; without heap_settle() a message takes 36.  At random addresses a parent's sessions all take one or
    two more or less, by how its pages come to lie, so its addresses are fixed here; and before Linux 6.11 the program begins anywhere in a window (session.ld)."""
    more = 1 if tuple(map(int, re.findall(r"\d+", platform.release())[:2])) >= (6, 11) else 2
    if subprocess.run(["true"], preexec_fn=lambda: without_random_addresses() or os._exit(1)).returncode:
        pytest.skip("fixed addresses are forbidden here")
    d, seen = start(preexec=without_random_addresses), set()

    def faults(pid):
        return int(pathlib.Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[7])

    def session():
        c = d.connect()
        pid, = set(d.children()) - seen
        seen.add(pid)
        c.ehlo()
        greeted = faults(pid)
        c.envelope()
        assert c.do(b"Subject: x\r\n\r\nhello\r\n.\r\n")[0] == 250
        sent = faults(pid)
        c.close()
        return greeted, sent - greeted
    greeted, message = map(min, zip(*(session() for _ in range(10))))
    assert 0 < greeted <= 8 + more and 0 < message <= 8 + more, (greeted, message)


def test_the_last_reply_brings_the_end(start):
    """In one segment; another one may only acknowledge QUIT."""
    d = start()

    def segments(sock):
        return struct.unpack_from("I", sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 192), 140)[0]  # tcpi_segs_in

    def session():
        c = d.connect(tcp=True)
        before = segments(c.sock)
        assert c.code("QUIT") == 221 and c.closed()
        return segments(c.sock) - before
    assert min(session() for _ in range(5)) <= 2


@pytest.mark.parametrize("fault, said", [("sendto:error=EAGAIN:when=1", GOODBYE), ("sendto:retval=5:when=1", GOODBYE[5:])])
def test_a_last_reply_that_is_not_taken_at_once(start, fault, said):
    """Nothing of it, or its first five octets (which strace swallows): the rest still comes before the end, once."""
    d = start()
    c = d.connect()
    c.ehlo()
    with failing(d.children()[0], fault):
        c.send(b"QUIT\r\n")
        got = b""
        while more := c.sock.recv(1000):
            got += more
    assert got == said
