"""Many clients waiting in the door at once: what they cost, and that a clean client is greeted as quickly as without them.

With POSTERN_WAITING=10000 the figures of docs/decisions.md; make check does it with fewer."""
import itertools
import os
import pathlib
import resource
import socket
import statistics
import time

import pytest

from conftest import wait_for
from processes import cpu_seconds, descriptors, memory_kib
from test_dnsbl import Client, lists, start  # noqa: F401 (a fixture)
from timing import measured

WAITING = int(os.environ.get("POSTERN_WAITING", "1500"))


def pss_kib(suite, *names):
    return sum(memory_kib(pid) for name in names for pid in suite.pids(name))


def slab_kib():
    """Of the whole machine: unswappable kernel objects, the sockets of both sides among them."""
    return sum(int(line.split()[1]) for line in pathlib.Path("/proc/meminfo").read_text().splitlines() if line.split(":")[0] in ("Slab", "KernelStack"))


def greetings(suite, first, count):
    """Milliseconds until clients that no list has are greeted."""
    out = []
    for i in range(first, first + count):
        c = Client(suite, f"203.{i >> 8 & 255}.{i & 255}.1")
        out.append(c.waited * 1000)
        c.s.close()
    return sorted(out)


@pytest.mark.skipif(resource.getrlimit(resource.RLIMIT_NOFILE)[1] < WAITING + 500, reason="too few descriptors may be open here")
def test_many_wait(suite, lists):
    most = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    start(suite, lists[0], "bl.test weight=2\nbl6.test\nwl.test weight=-1", concurrencywaiting="20000", maxpernet="20000",
          connectionsperip="1000/60", tcp_smtp='10.:allow,GREETDELAY="300"\n203.:allow')
    door = suite.pids("door")[0]
    greetings(suite, 0, 50)  # what is needed once is fetched
    before, memory, slab = greetings(suite, 1000, 200), pss_kib(suite, "door"), slab_kib()
    waiting, begin, used = [], time.monotonic(), cpu_seconds(door)
    for i in range(WAITING):
        s = socket.create_connection(("127.0.0.1", suite.port), 20)
        s.sendall(f"PROXY TCP4 10.{i >> 16}.{i >> 8 & 255}.{i & 255} 192.0.2.1 4000 25\r\n".encode())
        waiting.append(s)
    wait_for(lambda: len(descriptors(door)) >= WAITING, 60)
    took, used = time.monotonic() - begin, cpu_seconds(door) - used
    first = itertools.count(2000, 200)

    def greet():
        got = greetings(suite, next(first), 200)
        return got, statistics.median(got)
    after = measured(2 * statistics.median(before) + 10, greet)
    own, with_them, total = pss_kib(suite, "door") - memory, slab_kib(), pss_kib(suite, "door", "dns")
    kernel = with_them - slab
    idle = cpu_seconds(door)
    time.sleep(2)
    idle = cpu_seconds(door) - idle
    print(f"\n{WAITING} waiting: door and dns {total} KiB together, {own * 1024 / WAITING:.0f} octets in the door for each; kernel objects of both sides {kernel} KiB; "
          f"{took:.1f} s to connect, {used / WAITING * 1e6:.0f} us of CPU each; greeting of a clean client, median and 99th of 100: "
          f"before {statistics.median(before):.1f} {before[-2]:.1f} ms, with them {statistics.median(after):.1f} {after[-2]:.1f} ms")
    assert all(s.getpeername() for s in waiting[::100])
    assert own < WAITING + 1024  # KiB
    assert idle < 0.3, "the loop spins"
    for s in waiting:
        s.close()
    wait_for(lambda: len(descriptors(door)) < 100, 60)
    # of the sockets half are the clients' own; what others on this machine hold beside is there afterwards too
    wait_for(lambda: total + max(min(kernel, with_them - slab_kib()), 0) / 2 < 65536)
