"""Samples of `make crash` (docs/crash.md): power cuts, SIGKILL and errors at system calls."""
import subprocess

import pytest

from conftest import BIN, ROOT

RIGS = ROOT / "build/tests/crash"


def rig(*command, seconds=600):
    """Run a rig; what it says.  77: this machine cannot."""
    p = subprocess.run([str(c) for c in command], capture_output=True, text=True, timeout=seconds, cwd=ROOT, env={"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "POSTERN_BIN": str(BIN)})
    if p.returncode == 77:
        pytest.skip(p.stdout.strip())
    print(p.stdout)
    assert p.returncode == 0, p.stdout + p.stderr
    return p.stdout


@pytest.mark.parametrize("fs", ["ext4", "xfs"])
def test_power_cuts(fs):
    said = rig(RIGS / "power", "-n", 20, fs)
    assert "lost in 0, half in 0, twice in 0, stuck 0" in said


def test_a_disk_that_does_not_flush_is_found_out():
    """The rig itself: without flushes mail must be seen to be lost."""
    said = rig(RIGS / "power", "-b", "-n", 8, "ext4")
    assert "lost in 0" not in said


@pytest.mark.parametrize("program", ["queue", "local"])
@pytest.mark.parametrize("what", ["kill", "error"])
def test_a_mishap_at_a_system_call(program, what):
    said = rig(RIGS / "calls", "-n", 24, program, what)
    assert "24 runs" in said and "lost in 0, half in 0, twice in 0, stuck 0" in said
