"""A short run of tests/soak/run, and that it would notice."""
import importlib.machinery
import importlib.util
import os
import re
import subprocess

from conftest import ROOT

RIG = ROOT / "tests/soak/run"


def rig():
    loader = importlib.machinery.SourceFileLoader("soak", str(RIG))
    module = importlib.util.module_from_spec(importlib.util.spec_from_loader("soak", loader))
    loader.exec_module(module)
    return module


def test_short_soak():
    p = subprocess.run([RIG, "3000"], env={**os.environ, "SOAK_KILL_SECONDS": "0.4", "SOAK_ROUND": "1500"}, capture_output=True, text=True, timeout=300)
    print(p.stdout)
    assert p.returncode == 0, p.stdout + p.stderr
    assert re.search(r"^3000 messages acknowledged .*killed: \S", p.stdout, re.M) and p.stdout.endswith("\nlost 0\ntwice 0\ntorn 0\n")


def test_faults_are_noticed(folder):
    soak = rig()

    def put(user, name, text, where="new"):
        d = folder / f"u{user}/Maildir" / where
        d.mkdir(parents=True, exist_ok=True)
        data = text.encode()
        (d / f"{name}.mx,S={len(data)}").write_bytes(data)
    whole = "Received: x\nSubject: mark {} end\n\nhello" + soak.END.decode()
    put(1, "a", whole.format("1")), put(2, "b", whole.format("1")), put(1, "c", whole.format("2")), put(1, "d", whole.format("2"), "cur")
    put(3, "torn", whole.format("3")[:-3]), put(3, "of zeros", "\0" * 50)
    (folder / "u4/Maildir/new").mkdir(parents=True)
    (folder / "u4/Maildir/new/short,S=1000").write_text(whole.format("4"))
    found, torn = soak.take_out(folder)
    assert len(torn) == 3 and found == {("1", 1): 1, ("1", 2): 1, ("2", 1): 2}
    assert soak.compare([("1", [1, 2]), ("2", [1])], found) == ([], [("2", 1)])
    assert soak.compare([("1", [1, 2, 5]), ("7", [7])], found)[0] == [("1", 5), ("7", 7)]
    assert soak.take_out(folder) == ({}, [])
