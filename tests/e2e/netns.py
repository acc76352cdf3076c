"""Hosts of their own on this machine: network namespaces on one bridge.

    net = Net()                          # a namespace with a bridge
    a = net.host("10.99.0.1")            # a namespace with eth0 on the bridge
    with a.inside(): socket.create_connection(...)    # this thread's sockets are A's
    subprocess.Popen(a.command("slapd", ...))
    a.cable(False); a.loss(20); a.cable(True); net.close()"""
import contextlib
import ctypes
import itertools
import os
import shutil
import subprocess
import threading

LIBC = ctypes.CDLL(None, use_errno=True)
CLONE_NEWNET = 0x40000000
COUNT = itertools.count()


def run(*command, check=True):
    p = subprocess.run(command, capture_output=True, text=True)
    assert not check or p.returncode == 0, (command, p.stderr)
    return p


def why_not():
    """Why this machine cannot do it, or None."""
    if os.geteuid() != 0:
        return "network namespaces need root"
    for program in ("ip", "nft"):
        if not shutil.which(program, path="/usr/sbin:/sbin:/usr/bin"):
            return f"{program} is not installed"
    name = f"pst{os.getpid()}try"
    p = run("ip", "netns", "add", name, check=False)
    if p.returncode == 0:
        p = run("ip", "-n", name, "link", "add", "v0", "type", "veth", "peer", "name", "v1", check=False)
        p = p if p.returncode else run("ip", "-n", name, "link", "add", "br0", "type", "bridge", check=False)
        run("ip", "netns", "del", name, check=False)
    return f"the kernel forbids network namespaces here: {p.stderr.strip()}" if p.returncode else None


def enter(path):
    with open(path) as f:
        if LIBC.setns(f.fileno(), CLONE_NEWNET) < 0:
            raise OSError(ctypes.get_errno(), "setns")


class Namespace:
    def __init__(self, name):
        self.name = name
        run("ip", "netns", "add", name)
        self.ip("link", "set", "lo", "up")

    def ip(self, *args):
        return run("ip", "-n", self.name, *args)

    def command(self, *args):
        return ["ip", "netns", "exec", self.name, *map(str, args)]

    @contextlib.contextmanager
    def inside(self):
        """Sockets that this thread makes belong to this host, and stay its."""
        own = f"/proc/self/task/{threading.get_native_id()}/ns/net"
        with open(own) as before:
            enter(f"/run/netns/{self.name}")
            try:
                yield
            finally:
                assert LIBC.setns(before.fileno(), CLONE_NEWNET) == 0


class Host(Namespace):
    def __init__(self, net, name, address):
        super().__init__(name)
        self.net, self.address, self.plug = net, address, "p" + name[-6:]
        net.ip("link", "add", self.plug, "type", "veth", "peer", "name", "eth0", "netns", name)
        net.ip("link", "set", self.plug, "master", "br0", "up")
        self.ip("addr", "add", f"{address}/24", "dev", "eth0")
        self.ip("link", "set", "eth0", "up")
        run(*self.command("nft", "add", "table", "inet", "t"))
        run(*self.command("nft", "add", "chain", "inet", "t", "c", "{ type filter hook input priority 0 ; }"))

    def cable(self, plugged):
        self.net.ip("link", "set", self.plug, "up" if plugged else "down")

    def loss(self, percent):
        """Of the packets that come in by the cable."""
        run(*self.command("nft", "flush", "chain", "inet", "t", "c"))
        if percent:
            run(*self.command("nft", "add", "rule", "inet", "t", "c", "iifname", "eth0", "numgen", "random", "mod", "100", "<", str(percent), "drop"))


class Net(Namespace):
    def __init__(self):
        super().__init__(f"pst{os.getpid()}n{next(COUNT)}")
        self.ip("link", "add", "br0", "type", "bridge")
        self.ip("link", "set", "br0", "up")
        self.hosts = []

    def host(self, address):
        self.hosts.append(Host(self, f"{self.name}h{len(self.hosts)}", address))
        return self.hosts[-1]

    def close(self):
        for n in [*self.hosts, self]:
            run("ip", "netns", "del", n.name, check=False)
