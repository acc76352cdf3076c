"""What a server costs: CPU and memory of all its processes, also of those that left their parents.

As root there is a control group for it (v1 cpuacct, or v2); elsewhere the tree of processes below the first one is counted, which misses daemons
that detach."""
import os
import pathlib

TICK = os.sysconf("SC_CLK_TCK")


def make_group():
    for top, usage in (("/sys/fs/cgroup/cpuacct", "cpuacct.usage"), ("/sys/fs/cgroup/unified", "cpu.stat"), ("/sys/fs/cgroup", "cpu.stat")):
        group = pathlib.Path(top) / os.path.basename(os.environ.get("BENCH_DIR", "postern-bench"))
        try:
            group.mkdir(exist_ok=True)
        except OSError:
            continue
        if (group / usage).exists():
            return group
    return None


GROUP = make_group()


def enter():
    """To be called in the new process, before it becomes the server."""
    if GROUP:
        (GROUP / "cgroup.procs").write_text(str(os.getpid()))


def tree(root):
    children = {}
    for d in pathlib.Path("/proc").iterdir():
        if d.name.isdigit():
            try:
                stat = (d / "stat").read_text().rsplit(")", 1)[1].split()
            except OSError:
                continue
            children.setdefault(int(stat[1]), []).append(int(d.name))
    found, todo = [], [root]
    while todo:
        p = todo.pop()
        found.append(p)
        todo += children.get(p, [])
    return found


def pids(root):
    return [int(p) for p in (GROUP / "cgroup.procs").read_text().split()] if GROUP else tree(root)


def cpu_seconds(root):
    if GROUP and (GROUP / "cpuacct.usage").exists():
        return int((GROUP / "cpuacct.usage").read_text()) / 1e9
    if GROUP:
        return int(dict(line.split() for line in (GROUP / "cpu.stat").read_text().splitlines())["usage_usec"]) / 1e6
    total = 0
    for p in tree(root):
        try:
            f = pathlib.Path(f"/proc/{p}/stat").read_text().rsplit(")", 1)[1].split()
            total += sum(int(x) for x in f[11:15])
        except OSError:
            pass
    return total / TICK


def pss_mib(root):
    total = 0
    for p in pids(root):
        try:
            for line in pathlib.Path(f"/proc/{p}/smaps_rollup").read_text().splitlines():
                if line.startswith("Pss:"):
                    total += int(line.split()[1])
        except OSError:
            pass
    return total / 1024
