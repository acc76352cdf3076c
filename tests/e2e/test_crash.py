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


def test_what_was_not_tried_is_not_shown(folder):
    """A call that is never made, and programs that this machine cannot run, are no success of the rig."""
    p = subprocess.run([RIGS / "calls", "-c", "nosuchcall", "queue", "kill"], capture_output=True, text=True, timeout=60)
    if p.returncode != 77:
        assert p.returncode == 1 and "no nosuchcall among the calls" in p.stderr
    for code, want in ((77, 77), (1, 1), (0, 0)):
        for name in "tests/crash", "build/tests/crash":
            (folder / str(code) / name).mkdir(parents=True)
        (folder / str(code) / "tests/crash/run").write_bytes((ROOT / "tests/crash/run").read_bytes())
        for name in "power", "calls":
            program = folder / str(code) / "build/tests/crash" / name
            program.write_text(f"#!/bin/sh\nexit {code}\n")
            program.chmod(0o755)
        p = subprocess.run(["bash", folder / str(code) / "tests/crash/run"], capture_output=True, text=True, timeout=60)
        assert p.returncode == want and ("nothing lost" in p.stdout) == (code == 0), (code, p.stdout)


@pytest.mark.parametrize("program", ["queue", "local"])
@pytest.mark.parametrize("what", ["kill", "error"])
def test_a_mishap_at_a_system_call(program, what):
    said = rig(RIGS / "calls", "-n", 24, program, what)
    assert "24 runs" in said and "lost in 0, half in 0, twice in 0, stuck 0" in said
