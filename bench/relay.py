"""Mail that leaves again: in by SMTP, out by SMTP or QMQP to a sink; in by QMQP.  Sinks and the QMQP load are Postfix's own tools (smtp-sink, qmqp-sink,
qmqp-source), out of the package that is unpacked for Postfix; they are not counted."""
import os
import re
import subprocess
import time

from servers import DIR, USERS, Postfix, free_port, wait_port

WORKS, SERVERS = ("relay", "relaykept", "qmqpin", "qmqpout"), ("postern", "postfix", "postfix-silent")
PKG = DIR / "postfix-package"


def tool(name, *args, **more):
    Postfix.unpack(PKG)
    return subprocess.Popen([str(PKG / "usr/sbin" / name), *map(str, args)], env=dict(os.environ, LD_LIBRARY_PATH=str(PKG / "usr/lib/postfix")), **more)


class Sink:
    """Counts what arrives; its running counter is what it prints."""

    def __init__(self, name):
        self.port = free_port()
        more = ["-h", "sink.test", "-u", "nobody", "-m", "1000"] if name == "smtp-sink" else []
        self.out = DIR / f"{name}.out"
        self.file = open(self.out, "wb")
        self.process = tool(name, "-c", *more, f"127.0.0.1:{self.port}", 1024, stdout=self.file, stderr=self.file)
        wait_port(self.port)

    def count(self):
        """smtp-sink prints "sess=n quit=n mesg=n", qmqp-sink a number, each over the line before."""
        with open(self.out, "rb") as f:
            f.seek(max(0, os.path.getsize(self.out) - 200))
            found = re.findall(rb"(?:mesg=|\r|^)(\d+)", f.read())
        return int(found[-1]) if found else 0

    def wait(self, goal, seconds=180):
        end = time.monotonic() + seconds
        while self.count() < goal and time.monotonic() < end:
            time.sleep(0.005)
        return goal - self.count()

    def stop(self):
        self.process.terminate()
        self.process.wait()
        self.file.close()


def relay(server, count, measured, load, how, kind):
    sink = Sink("qmqp-sink" if kind == "qmqp" else "smtp-sink")
    server.sink = server.qmqp_sink = sink.port
    server.start("relay")
    to = [server.rcpt(u) for u in USERS] if kind == "qmqp" else [server.held]
    load(server, 200, how, to)
    missing = sink.wait(200)
    before = sink.count()

    def work():
        nonlocal missing
        took = load(server, count, how, to)
        missing = sink.wait(before + count)
        return took
    result = measured(server, count, work)
    server.stop()
    sink.stop()
    if missing:
        print(f"  {server.name}: {missing} messages did not arrive in time", flush=True)
    return result


def qmqp_in(server, count, measured):
    def source(n):
        tool("qmqp-source", "-s", 32, "-m", n, "-l", 4096, "-f", "sender@client.test", "-t", server.held, f"127.0.0.1:{server.qmqp}").wait()
        return (0, 0, 0)
    server.start("accept")
    wait_port(server.qmqp)
    source(200)
    time.sleep(0.5)
    result = measured(server, count, lambda: source(count))
    server.stop()
    return result
