"""The supervisor: what dies comes back, reload and stop keep their word, nothing starts half-way, the log stays bounded and honest."""
import collections
import json
import os
import re
import shutil
import signal
import smtplib
import socket
import subprocess
import threading
import time

import pytest

import conftest
from certificates import NO_CHECK, certificate
from conftest import free_port, wait_for

ALWAYS = ["door", "smtpd", "directory", "route", "local", "queue"]
AS_ROOT = pytest.mark.skipif(os.geteuid() != 0, reason="looks into processes of other users")


def leaders(suite, name):
    """Processes that the supervisor itself started (sessions and workers are forked by these)."""
    out = suite.postern("privileges", "--json").stdout or '{"programs": []}'  # a supervisor that is late
    return sorted(p["pid"] for row in json.loads(out)["programs"] if row["program"] == name for p in row["processes"] if not p["child"])


def start_fails(suite):
    p = suite.launch()
    out = p.stdout.read()
    assert p.wait(30) == 111
    assert b"ready" not in out
    assert not (suite.state / "ready").exists()
    assert suite.pids() == []
    return suite.stderr()


@pytest.mark.parametrize("name", ALWAYS + ["fixup"])
def test_killed_program_comes_back(suite, name):
    suite.control("fixupdomains", "old.test:campus.test")
    suite.start()
    before = leaders(suite, name)
    assert before
    for pid in before:
        os.kill(pid, signal.SIGKILL)
    wait_for(lambda: len(leaders(suite, name)) == len(before) and not set(before) & set(leaders(suite, name)), 20, f"{name} did not come back")
    died = [e for e in suite.events("died") if e["program"] == "supervise"]
    assert suite.log().count(f"died program={name} ") == len(before), died
    assert "signal=KILL" in suite.log()
    assert suite.process.poll() is None
    assert suite.stop() == 0


def test_back_off_grows(suite):
    suite.start()
    for n in range(1, 4):
        pid = wait_for(lambda: leaders(suite, "route"), 20)[0]
        os.kill(pid, signal.SIGKILL)
        wait_for(lambda: suite.log().count("died program=route ") == n)
        wait_for(lambda: len(leaders(suite, "route")) == 2 and pid not in leaders(suite, "route"), 20)
    again = [int(line.rsplit("again_msec=", 1)[1]) for line in suite.log().splitlines() if " died program=route " in line]
    assert again[0] == 0 and max(again) >= 0 and all(a in (0, 100, 200, 400) for a in again), again
    assert suite.stop() == 0


def test_stop_leaves_nothing(suite):
    suite.start()
    client = suite.smtp()  # a session that has nothing in hand
    client.ehlo()
    began = time.monotonic()
    assert suite.stop() == 0
    assert time.monotonic() - began < 15
    assert client.docmd("QUIT")[0] == 421
    client.close()
    assert suite.pids() == []
    assert not (suite.state / "ready").exists()
    assert suite.events("stopped")
    order = [e["program"] for e in suite.events("stopping")]
    if "queue" in order and "door" in order:
        assert order.index("door") < order.index("queue")
    suite.start()
    assert suite.stop() == 0


@pytest.mark.parametrize("name,text,says", [
    ("databytes", "12abc", "databytes:1"),
    ("listen", "smtp 127.0.0.1:99999", "listen:1"),
    ("me", None, "me"),
    ("logbytes", "# comment\n\n17", "logbytes:3"),
])
def test_faulty_control_file_starts_nothing(suite, name, text, says):
    suite.control(name, text)
    assert says in start_fails(suite)


def test_all_faults_are_told_at_once(suite):
    suite.control("databytes", "x")
    suite.control("maxhops", "1")
    said = start_fails(suite)
    assert "databytes:1" in said and "maxhops:1" in said


def test_address_in_use_starts_nothing(suite):
    with socket.socket() as s:
        s.bind(("127.0.0.1", suite.port))
        s.listen()
        said = start_fails(suite)
    assert f"127.0.0.1 port {suite.port}" in said and "in use" in said


def test_second_start_is_refused(suite):
    suite.start()
    p = subprocess.run(suite.command("serve"), capture_output=True, text=True, timeout=30)
    assert p.returncode == 111
    assert f"in use by another postern-supervise (process {suite.process.pid})" in p.stderr
    assert (suite.state / "ready").exists()
    assert suite.stop() == 0


def copy_programs(suite):
    bin_ = suite.folder / "bin"
    bin_.mkdir()
    for f in conftest.BIN.iterdir():
        shutil.copy2(f, bin_)
    return bin_


def test_missing_program_starts_nothing(suite):
    bin_ = copy_programs(suite)
    (bin_ / "postern-route").unlink()
    p = subprocess.run([str(bin_ / "postern"), "serve", "-c", str(suite.ctl), "-s", str(suite.state)], capture_output=True, text=True, timeout=30)
    assert p.returncode == 111
    assert "postern-route is missing; build or install it" in p.stderr
    assert suite.pids() == []


def test_program_that_cannot_start_stops_all(suite):
    bin_ = copy_programs(suite)
    shutil.copy2("/bin/false", bin_ / "postern-route")
    p = subprocess.run([str(bin_ / "postern"), "serve", "-c", str(suite.ctl), "-s", str(suite.state)], capture_output=True, text=True, timeout=60)
    assert p.returncode == 111
    assert "route did not start: exit code 1" in p.stderr
    assert "ready" not in p.stdout
    assert suite.pids() == []


def test_reload_with_a_fault_changes_nothing(suite):
    suite.start()
    before = suite.pids()
    suite.control("databytes", "100000\nmore\n")
    suite.reload()
    fault = suite.wait_event("control-fault")[0]
    assert "databytes" in fault["error"]
    time.sleep(0.5)
    assert suite.pids() == before
    suite.control("databytes", "100000")
    suite.reload()
    suite.wait_event("reloaded")
    assert suite.stop() == 0


def test_reload_replaces_what_has_no_state(suite):
    suite.start()
    before = {name: leaders(suite, name) for name in ALWAYS}
    suite.reload()
    suite.wait_event("reloaded")
    for name in ("smtpd", "directory", "route", "local"):
        wait_for(lambda: len(leaders(suite, name)) == len(before[name]) and not set(leaders(suite, name)) & set(before[name]), 20,
                 lambda: f"{name}: {before[name]} {leaders(suite, name)}")
    assert leaders(suite, "door") == before["door"]
    assert leaders(suite, "queue") == before["queue"]
    assert not suite.events("died") and not suite.events("reload-failed")
    assert suite.stop() == 0


def test_reload_during_the_start_is_not_lost(suite):
    suite.launch()
    wait_for(lambda: (suite.state / "lock").exists())
    suite.control("fixupdomains", "old.test:campus.test")
    suite.reload()
    wait_for(lambda: (suite.state / "ready").exists())
    wait_for(lambda: len(leaders(suite, "fixup")) == 2)
    assert suite.stop() == 0


@pytest.mark.skipif(os.geteuid() != 0, reason="becomes another user")
def test_not_as_root(suite):
    """One warning, no users, everything else as it is."""
    os.chown(suite.folder, 65534, 65534)
    with open(suite.err, "wb") as err:
        suite.process = subprocess.Popen(suite.command("serve"), stdout=subprocess.PIPE, stderr=err, stdin=subprocess.DEVNULL,
                                         user=65534, group=65534, extra_groups=[])
        wait_for(lambda: (suite.state / "ready").exists(), 20, suite.stderr)
    assert suite.stderr().count("start as root") == 1
    assert {os.stat(f"/proc/{p}").st_uid for p in suite.pids("supervise")} <= {65534}
    status = [open(f"/proc/{p}/status").read() for p in suite.pids() if p != suite.process.pid]
    assert len(status) >= 10
    for text in status:
        assert "\nUid:\t65534\t65534\t65534\t65534\n" in text and "\nSeccomp:\t2\n" in text and "\nNoNewPrivs:\t1\n" in text
    assert suite.send("a@far.test", "u1@campus.test", b"Subject: x\r\n\r\nx\r\n")[0] == 250
    suite.wait_mail("u1")
    assert suite.postern("privileges").returncode == 0
    assert suite.stop() == 0


def test_reload_starts_and_ends_stages(suite):
    suite.start()
    assert leaders(suite, "fixup") == []
    suite.control("fixupdomains", "old.test:campus.test")
    suite.reload()
    wait_for(lambda: len(leaders(suite, "fixup")) == 2)
    suite.control("fixupdomains", None)
    suite.reload()
    wait_for(lambda: not leaders(suite, "fixup"), 20, "fixup stays although nothing wants it")
    assert suite.postern("privileges").returncode == 0
    assert suite.stop() == 0


def test_reload_opens_and_closes_listeners(suite):
    suite.start()
    old, new = suite.port, free_port()
    suite.control("listen", f"smtp 127.0.0.1:{new}")
    suite.reload()
    suite.wait_event("reloaded")

    def greeted():
        try:
            with socket.create_connection(("127.0.0.1", new), 5) as s:
                return s.recv(3) == b"220"
        except OSError:
            return False
    wait_for(greeted, 20, "no greeting on the new port")

    def closed():
        try:
            socket.create_connection(("127.0.0.1", old), 1).close()
            return False
        except ConnectionRefusedError:
            return True
    wait_for(closed, 20, "the old port still listens")
    assert suite.stop() == 0


def test_reload_under_load(suite):
    """Nothing but 421 between two commands comes of a reload, and each acknowledged message is there once."""
    suite.control("fixupdomains", "old.test:campus.test")
    suite.control("banned", "*.exe")
    suite.start()
    stop, codes, acknowledged = threading.Event(), collections.Counter(), []

    def client(number):
        n = 0
        while not stop.is_set():
            n += 1
            try:
                code, text = suite.send("a@far.test", f"u{number}@old.test", b"Subject: m%d-%d\r\n\r\nx\r\n" % (number, n))
            except smtplib.SMTPServerDisconnected:
                code = 421  # the session answered 421 and left before the next command
            except (smtplib.SMTPConnectError, smtplib.SMTPDataError) as e:
                code = e.smtp_code
            codes[code] += 1
            if code == 250:
                acknowledged.append((number, f"m{number}-{n}"))
    clients = [threading.Thread(target=client, args=(i,)) for i in (1, 2, 3)]
    for c in clients:
        c.start()
    for n in range(10):
        suite.control("maxhops", str(20 + n))
        suite.reload()
        wait_for(lambda: len(suite.events("reloaded")) == n + 1)
        time.sleep(0.2)
    stop.set()
    for c in clients:
        c.join(60)
    assert set(codes) <= {250, 421}, (codes, [ln for ln in suite.log().splitlines() if "code=4" in ln])
    assert codes[250] > 10, codes
    wait_for(lambda: sum(len(suite.mails(f"u{i}")) for i in (1, 2, 3)) == len(acknowledged), 20, lambda: f"{len(acknowledged)} acknowledged, {codes}")
    found = collections.Counter((i, re.search(rb"^Subject: (\S+)", m, re.M)[1].decode()) for i in (1, 2, 3) for m in suite.mails(f"u{i}"))
    assert found == collections.Counter(acknowledged)
    assert not suite.events("died") and not suite.events("reload-failed")
    assert suite.stop() == 0


@AS_ROOT
def test_full_log_disk_costs_no_mail(suite):
    log = suite.state / "log"
    log.mkdir(parents=True)
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", str(log)], check=True)
    try:
        suite.start()
        with open(log / "filler", "wb", buffering=0) as filler:
            with pytest.raises(OSError):
                while True:
                    filler.write(b"x" * 512)
        for n in range(15):  # the log's last page may have room for the lines of some
            assert suite.send("a@far.test", "u1@campus.test", b"Subject: x\r\n\r\nx\r\n")[0] == 250
        suite.wait_mail("u1", 15)
        (log / "filler").unlink()
        assert suite.send("a@far.test", "u1@campus.test", b"Subject: x\r\n\r\nx\r\n")[0] == 250
        lost = suite.wait_event("log-lost")[0]
        assert int(lost["lines"]) > 0 and "log/current" in lost["error"]
        assert all(re.match(r"\d{4}-\d\d-\d\dT", line) for line in suite.log().splitlines())
        assert suite.stop() == 0
    finally:
        subprocess.run(["umount", "-l", str(log)], check=True)


def test_log_is_rotated_and_bounded(suite):
    suite.control("logbytes", "4096")
    suite.control("logfiles", "2")
    suite.start()
    for n in range(20):
        suite.reload()
        wait_for(lambda: suite.stderr().count(" reloaded") == n + 1)
    assert suite.stop() == 0  # programs that start late would have it rotate under our eyes
    files = sorted(f.name for f in (suite.state / "log").iterdir())
    assert files[-1] == "current" and len(files) == 3, files
    assert all((suite.state / "log" / f).stat().st_size <= 4096 for f in files)
    assert all(line.endswith("\n") for f in files for line in open(suite.state / "log" / f))


@AS_ROOT
def test_no_program_logs_in_anothers_name(suite):
    suite.start()
    line = "2026-11-22T10:00:00.000000Z queue[1] - started version=forged"
    with open(f"/proc/{leaders(suite, 'route')[0]}/fd/2", "w") as f:
        f.write(line + "\n")
        f.write("x" * 5000 + "\n")
    stray = wait_for(lambda: len(suite.events("stray")) >= 3 and suite.events("stray"))
    assert line in stray[0]["text"]
    assert not [ln for ln in suite.log().splitlines() if ln.startswith(line)]
    assert suite.stop() == 0


@AS_ROOT
def test_privileges_of_the_running_suite(suite):
    suite.control("fixupdomains", "old.test:campus.test")
    suite.control("banned", "*.exe")
    suite.control("scanpolicy", "banned quarantine")
    suite.control("respond", "held ticket program /bin/true\nlocked nftables inet postern blocked4 - 30")
    suite.control("lmtproutes", "lmtp.test:127.0.0.1:24")
    suite.control("dnsbl", "bl.test")
    suite.control("servercert.pem", certificate(suite.folder))
    suite.control("listen", f"smtp 127.0.0.1:{suite.port}\nsubmission 127.0.0.1:{free_port()}\nqmqp 127.0.0.1:{free_port()}")
    suite.control("tcp.qmqp", "127.0.0.1:allow")
    suite.start()
    with suite.smtp() as client:  # with a forked session and its TLS process
        client.starttls(context=NO_CHECK)
        client.ehlo()
        seen = suite.json("privileges", check=None)
        assert not [(row["program"], p) for row in seen["programs"] for p in row["processes"] if p["differences"]]
        assert not [(row["program"], row["lane"]) for row in seen["programs"] if not row["started"]]
        assert {row["program"] for row in seen["programs"] if any(p["child"] for p in row["processes"])} >= {"smtpd", "tls", "scanworker"}
        assert seen["running"] and seen["as_root"] and seen["differences"] == 0 and seen["unseen"] == 0
        for row in seen["programs"]:
            found = [p for p in row["processes"] if not p["child"]]
            assert len(found) == (row["workers"] if row["started"] else 0), row
    text = suite.postern("privileges", check=0).stdout
    assert "All processes are as the table says." in text
    assert suite.stop() == 0
    assert "does not run" in suite.postern("privileges", check=0).stdout


ROGUE = """#!/usr/bin/python3 -I
import socket, time
socket.socket(fileno=3).send(b"ready")
while True:
    time.sleep(1)
"""


@AS_ROOT
def test_privileges_tells_a_difference(suite, monkeypatch):
    """A program that does not confine itself is found out."""
    bin_ = copy_programs(suite)
    (bin_ / "postern-route").unlink()
    (bin_ / "postern-route").write_text(ROGUE)
    (bin_ / "postern-route").chmod(0o755)
    monkeypatch.setattr(conftest, "BIN", bin_)
    suite.start()
    p = suite.postern("privileges", check=1)
    for word in ("runs as user 0", "has capabilities", "has no seccomp filter", "has the root folder /,"):
        assert word in p.stdout, p.stdout
    assert "DIFFERENCES from the table" in p.stdout
    assert suite.stop() == 0


def test_killed_supervisor_takes_all_along(suite):
    suite.start()
    suite.process.kill()
    suite.process.wait()
    wait_for(lambda: not suite.pids(), why=lambda: f"still there: {suite.pids()}")
    (suite.state / "ready").unlink()  # stays behind until the next start removes it; not to be taken for that one's
    suite.start()
    assert suite.stop() == 0


@AS_ROOT
def test_state_folder_out_of_reach(suite):
    hidden = suite.folder / "hidden"
    hidden.mkdir(mode=0o700)
    suite.state = hidden / "state"
    said = start_fails(suite)
    assert "chmod o+x it" in said and str(hidden) in said


@AS_ROOT
def test_foreign_descriptors_reach_nobody(suite):
    """What the caller left open is in no program."""
    with open("/etc/hostname") as secret, open(suite.err, "ab") as err:
        os.set_inheritable(secret.fileno(), True)
        suite.process = subprocess.Popen(suite.command("serve"), stdout=subprocess.PIPE, stderr=err, stdin=secret, pass_fds=[secret.fileno()],
                                         start_new_session=True)
        wait_for(lambda: (suite.state / "ready").exists())
        pids = suite.pids() + [suite.process.pid]
        assert len(pids) >= 10
        for pid in pids:
            for fd in os.listdir(f"/proc/{pid}/fd"):
                assert os.readlink(f"/proc/{pid}/fd/{fd}") != "/etc/hostname", f"process {pid} has it as {fd}"
    assert suite.stop() == 0
