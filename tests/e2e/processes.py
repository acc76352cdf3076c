"""What /proc says of processes, what kills them, and what is done many times at once."""
import array
import concurrent.futures
import contextlib
import fcntl
import os
import pathlib
import signal
import subprocess
import tempfile
import termios
import threading
import time

import pytest

from timing import wait_for


def stat(pid):
    """The fields of /proc/PID/stat behind the name: state, parent, …"""
    return pathlib.Path(f"/proc/{pid}/stat").read_text().rsplit(") ", 1)[1].split()


def cpu_seconds(pid):
    fields = stat(pid)
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def started(pid):
    """Tells a process from a later one with the same number; 0 where there is none."""
    with contextlib.suppress(FileNotFoundError, ProcessLookupError):
        return int(stat(pid)[19])
    return 0


def children(pid, living=False):
    """By their numbers; if LIVING without those that have ended and wait for their parent."""
    found = []
    for other in (int(d) for d in os.listdir("/proc") if d.isdigit()):
        with contextlib.suppress(OSError):
            state, parent = stat(other)[:2]
            if int(parent) == pid and not (living and state == "Z"):
                found.append(other)
    return sorted(found)


def unread(path):
    """Octets that wait in the pipe at PATH, a descriptor below /proc; 0 where it was closed."""
    count = array.array("i", [0])
    with contextlib.suppress(FileNotFoundError):
        fd = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
        try:
            fcntl.ioctl(fd, termios.FIONREAD, count)
        finally:
            os.close(fd)
    return count[0]


def is_idle(pid):
    """A process sleeps and has read what came by its pipes, but for standard input and output; so has one that ended."""
    try:
        pipes = {os.readlink(f"/proc/{pid}/fd/{fd}"): fd for fd in sorted(os.listdir(f"/proc/{pid}/fd"), key=int, reverse=True)}  # each once, by its lowest number
        waiting = any(what.startswith("pipe:") and int(fd) > 2 and unread(f"/proc/{pid}/fd/{fd}") for what, fd in pipes.items())
        return not waiting and stat(pid)[0] in "SZX"
    except FileNotFoundError:
        return not os.path.exists(f"/proc/{pid}")  # or it closed one meanwhile
    except PermissionError:
        time.sleep(0.03)  # nobody may look: the supervisor takes log lines a hundred times a second
        return True


def threads(pid):
    """The state of each thread, S, R, T …; nothing where the process has ended."""
    with contextlib.suppress(FileNotFoundError, ProcessLookupError):
        return [stat(f"{pid}/task/{task}")[0] for task in os.listdir(f"/proc/{pid}/task")]
    return []


def descriptors(pid):
    try:
        return sorted(int(fd) for fd in os.listdir(f"/proc/{pid}/fd"))
    except PermissionError:
        pytest.skip("looks into a process that is not dumpable, as root alone may")


def memory_kib(pid, key="Pss"):
    for name in ("smaps_rollup", "status"):
        for line in pathlib.Path(f"/proc/{pid}/{name}").read_text().splitlines():
            if line.startswith(key + ":"):
                return int(line.split()[1])
    raise AssertionError("no " + key)


def memory(pid, mode):
    """(line of maps, octets) of each part of its memory that has MODE, "r" or "w"; nothing of a process that has ended."""
    with contextlib.suppress(FileNotFoundError, ProcessLookupError), open(f"/proc/{pid}/maps") as maps, open(f"/proc/{pid}/mem", "rb", 0) as mem:
        for line in maps:
            where, modes = line.split()[:2]
            if mode not in modes or "[v" in line:
                continue
            low, high = (int(x, 16) for x in where.split("-"))
            with contextlib.suppress(OSError, OverflowError):
                mem.seek(low)
                yield line, mem.read(high - low)


def kill(pids, sig=signal.SIGKILL):
    """A signal to those that are still there, whose numbers are the answer."""
    killed = []
    for pid in pids:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, sig)
            killed.append(pid)
    return killed


@contextlib.contextmanager
def standing_still(pids):
    """SIGSTOP to all, whose threads stand still when the block begins, and SIGCONT when it ends to those that are still there."""
    pids = list(pids)
    for pid in pids:
        os.kill(pid, signal.SIGSTOP)
    try:
        wait_for(lambda: all(state in "TtZX" for pid in pids for state in threads(pid)), 60, "they do not stop")
        yield
    finally:
        for pid in pids:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGCONT)


@contextlib.contextmanager
def killed_meanwhile(victims, pause):
    """Until the block ends: kills those that VICTIMS() lists, again and again after PAUSE() seconds.  Gives the list of those who were."""
    killed, done = [], threading.Event()

    def run():
        while not done.wait(pause()):
            killed.extend(kill(victims()))
    thread = threading.Thread(target=run)
    thread.start()
    try:
        yield killed
    finally:
        done.set()
        thread.join()


def is_traced(pid):
    """Or has ended."""
    with contextlib.suppress(FileNotFoundError, ProcessLookupError):
        return "TracerPid:\t0\n" not in pathlib.Path(f"/proc/{pid}/status").read_text()
    return True


def strace(pids, *options):
    """strace with OPTIONS, once it looks at all of PIDS: attached, and asleep again like they themselves."""
    with tempfile.TemporaryFile("w+") as said:
        tracer = subprocess.Popen(["strace", "-qq", *options, *(x for p in pids for x in ("-p", str(p)))], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=said)

        def looks():
            if tracer.poll() is not None:
                said.seek(0)
                raise AssertionError(f"strace ended: {said.read()}")
            return all(is_traced(p) for p in pids) and stat(tracer.pid)[0] == "S" and all(set(threads(p)) <= {"S", "Z"} for p in pids)
        try:
            wait_for(looks, 60, "strace does not trace")
        except AssertionError:
            tracer.kill()
            tracer.wait()
            raise
    return tracer


@contextlib.contextmanager
def traced(pids, *options):
    """Until the block ends strace with OPTIONS looks at PIDS."""
    tracer = strace(pids, *options)
    try:
        yield
    finally:
        tracer.terminate()
        tracer.wait()


@contextlib.contextmanager
def failing(pid, fault):
    """Until the block ends process PID meets FAULT, in the words of strace's inject: "write:error=ENOSPC:when=1"."""
    # syscall=getpid: a harmless call in its place; the usual number -1 would meet the program's seccomp filter
    with traced([pid], "-o", "/dev/null", "-e", f"trace={fault.split(':')[0]}", "-e", f"inject={fault}:syscall=getpid"):
        yield


def at_once(what, arguments):
    """WHAT(argument) of each in a thread of its own: the results, in the order of the arguments."""
    arguments = list(arguments)
    with concurrent.futures.ThreadPoolExecutor(len(arguments)) as pool:
        return list(pool.map(what, arguments))
