"""The bench's own tools still work.  Its figures are nobody's business here."""
import os
import subprocess

import pytest

from conftest import ROOT

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="bench/run needs root")
LOOP = all(os.access(f, os.R_OK | os.W_OK) for f in ("/dev/fuse", "/dev/loop-control"))


def bench(folder, *words):
    """Run it; its table."""
    p = subprocess.run([ROOT / "bench/run", "-n", "40", "-r", "1", *words], capture_output=True, text=True, timeout=900, env={**os.environ, "BENCH_DIR": str(folder)})
    assert p.returncode == 0, p.stdout + p.stderr
    return p.stdout


def test_each_work(folder):
    works = {"accept": "messages/s", "kept": "messages/s", "deliver": "messages/s", "sessions": "sessions/s", "starttls": "sessions/s", "resumed": "sessions/s",
             "refused": "sessions/s", "memory": "MiB at rest", "syncs": "syncs a message"}
    said = bench(folder, "-w", ",".join(works), "postern", "floor", "forkfloor")
    assert sum(line.startswith("  postern ") for line in said.splitlines()) == len(works) and all(unit in said for unit in works.values()), said
    assert "did not arrive" not in said


@pytest.mark.skipif(not LOOP, reason="needs /dev/fuse and /dev/loop-control")
def test_slow_disk(folder):
    said = bench(folder, "-f", "5", "-w", "accept", "postern")
    took = next(line for line in said.splitlines() if line.startswith("  postern "))
    assert float(took.split("CPU (")[1].split(")")[1].split()[0]) >= 5, f"no answer waited for a flush: {took}"
