"""Stolen accounts: `postern skim replay` on events, and postern-skim alone between two sockets."""
import itertools
import json
import pathlib
import subprocess
import sys
import time

import pytest

from alone import BIN, netstring, netstrings
from skim_alone import CONF, Skim, held, mmdb, place, skim  # noqa: F401 (fixtures)
from timing import sleep, within

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tests/skim"))


@pytest.fixture
def run(tmp_path, mmdb):
    """Replays events (dicts; missing id and time are filled in), gives the decisions."""
    def go(events, skim=None, code=0):
        ctl = tmp_path / "control"
        ctl.mkdir(exist_ok=True)
        (ctl / "geoip.mmdb").write_bytes(mmdb)
        (ctl / "locals").write_text("campus.test\n")
        if skim is not None:
            (ctl / "skim").write_text(skim)
        lines = "".join((e if isinstance(e, str) else json.dumps({"id": str(i), **e})) + "\n" for i, e in enumerate(events))
        r = subprocess.run([BIN / "postern", "skim", "replay", "--json", "-", "-c", ctl, "-s", tmp_path / "state"], input=lines,
                           capture_output=True, text=True)
        assert r.returncode == code, r.stderr
        go.err = r.stderr
        return [json.loads(x) for x in r.stdout.splitlines()]
    return go


def at(minutes, day=0):
    return f"2026-03-{1 + day:02}T{8 + minutes // 60:02}:{minutes % 60:02}:00Z"


def login(minutes, ip, user="anna", **k):
    return {"time": at(minutes), "type": "login", "user": user, "ip": ip, "service": "imap", "success": True, **k}


def send(minutes, ip=None, n=1, user="anna", **k):
    e = {"time": at(minutes), "type": "send", "user": user, "mail_from": f"{user}@campus.test", "header_from": f"{user}@campus.test", "recipients": n,
         "external": n, **k}
    if ip:
        e["ip"] = ip
    return e


def test_theft(run):
    got = run([login(0, "10.1.0.1"), login(120, "10.2.0.1"), send(125, "10.2.0.1", 412, unknown_recipients=97), send(126, "10.2.0.1")])
    assert [(d["id"], d["action"]) for d in got] == [("1", "hold"), ("2", "lock"), ("3", "stop")]
    assert "logged in from Lagos/NG 2 h after DE" in got[0]["why"]
    assert "412 recipients, 97 of them nonexistent" in got[1]["why"]
    assert set(got[1]) == {"id", "time", "user", "action", "score", "rules", "why"} and got[1]["time"] == at(125)
    assert {"L1", "S3"} <= set(got[1]["rules"]) and got[1]["score"] >= 100


def test_honest_passes(run):
    assert run([login(0, "10.1.0.1"), send(5, "10.1.0.1", 3), login(600, "10.5.0.1"), send(610, "10.5.0.1", 2)]) == []


def test_bad_lines_are_named_and_skipped(run):
    got = run(["nonsense", login(0, "10.1.0.1"), '{"time":"yesterday"}', '{"type":"send","user":"x","recipients":"9"}', "", "x" * 70000,
               login(60, "10.2.0.1"), "{}", '{"user":null,"ip":"999.1.1.1"}'], code=1)
    assert [d["id"] for d in got] == ["6"]
    for n in (1, 3, 4, 6):
        assert f"standard input:{n}: " in run.err
    assert run.err.count("standard input:") == 4


def test_exit_codes(run, tmp_path):
    assert run([]) == []
    assert subprocess.run([BIN / "postern", "skim", "replay"], capture_output=True).returncode == 100
    r = subprocess.run([BIN / "postern", "skim", "replay", "--json", tmp_path / "none", "-c", tmp_path / "control"], capture_output=True)
    assert r.returncode == 111
    run([], skim="[rules]\nL1=maybe\n", code=1)
    assert "control/skim:2: a rule is on, log or off" in run.err


def test_out_of_order_by_minutes(run):
    got = run([login(0, "10.1.0.1"), login(120, "10.2.0.1"), login(115, "10.1.0.1"), send(110, "10.1.0.1", 1), send(125, "10.2.0.1", 412,
               unknown_recipients=97)])
    assert got[-1]["action"] == "lock"


# the checks of qmail-skim.conf as its documentation describes them, on the configuration that stands there
CASES = [
    ("hop: last login safe, this one not", [login(0, "10.3.0.1"), login(5, "10.4.0.1")], "phishhook"),
    ("hop on sending", [send(0, "10.3.0.1"), send(5, "10.4.0.1")], "phishhook"),
    ("no hop: interval over", [login(0, "10.3.0.1"), login(481, "10.4.0.1")], None),
    ("no hop: back to a safe country", [login(0, "10.4.0.1"), login(5, "10.3.0.1")], None),
    ("no hop: vacation, from foreign to foreign", [login(0, "10.4.0.1"), login(5, "10.2.0.1")], None),
    ("no hop: safe user", [login(0, "10.3.0.1", "trusty"), login(5, "10.4.0.1", "trusty")], None),
    ("count: four unsafe countries", [login(i, ip) for i, ip in enumerate(["10.1.0.1", "10.2.0.1", "10.4.0.1", "10.5.0.1"])], "phishhook"),
    ("count: three are not four", [login(i, ip) for i, ip in enumerate(["10.1.0.1", "10.2.0.1", "10.4.0.1"])], None),
    ("count: safe ones do not count", [login(i, ip) for i, ip in enumerate(["10.4.0.1", "10.2.0.1", "10.1.0.1", "10.3.0.1"])], None),
    ("test user", [login(0, "10.3.0.1", "phishphood")], "phishhook"),
    ("from: envelope, 31 recipients", [send(0, None, 31, mail_from="deals@spam.test")], "phishfrom"),
    ("from: 30 are allowed", [send(0, None, 30, mail_from="deals@spam.test")], None),
    ("from: own name", [send(0, None, 31)], None),
    ("limit: over 100 in 60 s", [send(0, None, 60), send(0, None, 41)], "phishlimit"),
    ("limit: 100", [send(0, None, 50), send(0, None, 50)], None),
    ("limit: interval over", [send(0, None, 60), send(2, None, 41)], None),
    ("rate: over 50 in 500 s by sender", [send(0, None, 26), send(5, None, 25, user="bert", mail_from="anna@campus.test")], "ratelimit"),
    ("envelope: exact", [send(0, mail_from="baduser@example.com")], "envelope"),
    ("envelope: regex", [send(0, mail_from="x.baduser2@y")], "envelope"),
    ("envelope: neither", [send(0, mail_from="notbaduser@example.com")], None),
    ("headers: exact", [send(0, header_from="baduser")], "headers"),
    ("headers: not part of it", [send(0, header_from="baduser <a@b>")], None),
]


@pytest.mark.parametrize("spec,events,rule", CASES, ids=[c[0] for c in CASES])
def test_original(run, spec, events, rule):
    got = [d for d in run(events, CONF) if rule is None or rule in d["rules"]]
    names = {r for d in got for r in d["rules"] if not r[0].isupper()}
    assert (rule in names) if rule else not names & {"phishhook", "phishfrom", "phishlimit", "ratelimit", "envelope", "headers"} - ({"ratelimit"} if "limit" in spec else set())
    if rule == "envelope":
        assert got[-1]["action"] == "log", "envelope stands in dryrun"
    elif rule in ("phishhook", "phishfrom", "phishlimit"):
        assert got[-1]["action"] in ("stop", "lock")
    elif rule:
        assert got[-1]["action"] in ("hold", "stop")


# the faults of the original program, one by one
def test_defect_1_count_runs_after_foreign_last_login(run):
    got = run([login(i, ip) for i, ip in enumerate(["10.2.0.1", "10.4.0.1", "10.1.0.1", "10.5.0.1"])], CONF)
    assert "phishhook" in got[-1]["rules"] and "4 countries" in got[-1]["why"]


def test_defect_2_header_from_counts(run):
    got = run([send(0, None, 31, header_from="The Bank <bank@spam.test>")], CONF)
    assert "phishfrom" in got[-1]["rules"]


def test_defect_3_no_shell_no_forged_lines(run, tmp_path):
    evil = "x';touch " + str(tmp_path / "pwned") + ";'\n{\"id\":\"forged\"}"
    got = run([login(0, "10.3.0.1", evil), login(5, "10.4.0.1", evil), login(6, "10.4.0.1", ".*")], CONF)
    assert [d["user"] for d in got] == [evil] and not (tmp_path / "pwned").exists()


def test_defect_4_services_share_one_history(run):
    got = run([login(0, "10.3.0.1", service="imap"), login(5, "10.4.0.1", service="webmail")], CONF)
    assert "phishhook" in got[-1]["rules"]


def test_defect_5_vpn_networks_are_settings(run):
    vpn = CONF + "[trustednets]\nnet=10.3.0.0/24 vpn\n"
    assert run([login(0, "10.3.0.1"), login(5, "10.4.0.1")], vpn) == []
    assert run([login(0, "10.3.1.1"), login(5, "10.4.0.1")], vpn)
    assert run([login(0, "137.143.78.9"), login(1, "10.3.0.1"), login(5, "10.4.0.1")], CONF)


def test_defect_6_the_message_itself_counts(run):
    got = run([send(0, None, 10000)], CONF)
    assert "phishlimit" in got[0]["rules"] and got[0]["action"] in ("stop", "lock")


def test_defect_7_anonymous_proxies_are_not_safe(run):
    got = run([login(i, ip) for i, ip in enumerate(["10.8.0.1", "10.4.0.1", "10.1.0.1", "10.5.0.1"])], CONF)
    assert "phishhook" in got[-1]["rules"]


def test_defect_8_one_lock_for_one_incident(run):
    got = run([login(0, "10.1.0.1"), login(120, "10.2.0.1")] + [send(125 + i, "10.2.0.1", 300, unknown_recipients=90) for i in range(10)])
    assert [d["action"] for d in got].count("lock") == 1


def test_defect_9_recipients_are_checked(skim):
    skim.send("anna", ["x@gullible2.test"])
    head, _ = skim.next()
    assert not held(head), "envelope stands in dryrun"
    assert skim.program.log(" skim ")[-1].count("envelope") >= 1


def test_defect_10_held_not_deferred(skim):
    skim.send("anna", ["a@b.test"], header="Subject: spammy\n")
    head, answer = skim.next()
    assert held(head) and answer is None


def test_travel_declared(run):
    conf = CONF + "[travel]\nanna=AU,NG until 2026-03-01\n"
    assert all(d["action"] == "log" for d in run([login(0, "10.3.0.1"), login(5, "10.4.0.1")], conf))
    later = [dict(e, time=e["time"].replace("-01T", "-02T")) for e in (login(0, "10.3.0.1"), login(5, "10.4.0.1"))]
    assert run(later, conf)[-1]["action"] == "stop"


def test_maxlocks(run):
    events = []
    for i in range(12):
        events += [login(0, "10.1.0.1", f"v{i}"), login(120, "10.2.0.1", f"v{i}"), send(125, "10.2.0.1", 400, f"v{i}", unknown_recipients=99)]
    got = [d["action"] for d in run(sorted(events, key=lambda e: e["time"]))]
    assert got.count("lock") == 10 and got.count("stop") == 2


def test_simulation_floor(tmp_path):
    import simulate
    res = simulate.measure(simulate.arguments(["--users", "300", "--days", "30", "--stolen", "40"]), tmp_path)
    print(res)
    assert res["caught"]["hold"] >= 0.8 * res["stolen"] and res["honest"]["lock"] <= 3


def test_speed(tmp_path, mmdb):
    """A million events take less than a minute; here fewer, and time for a busy machine."""
    ctl = tmp_path / "control"
    ctl.mkdir()
    (ctl / "geoip.mmdb").write_bytes(mmdb)
    n = 200000
    with open(tmp_path / "e", "w") as f:
        for i in range(n):
            f.write(json.dumps(login(i % 600, f"10.{1 + i % 7}.{i % 250}.{i % 99}", f"u{i * 7 % 100000}") if i % 3 else
                               send(i % 600, f"10.1.{i % 250}.9", i % 9, f"u{i * 7 % 100000}", url_host=f"h{i % 1000}.test")) + "\n")
    start = time.monotonic()
    r = subprocess.run([BIN / "postern", "skim", "replay", "--json", tmp_path / "e", "-c", ctl, "-s", tmp_path], stdout=subprocess.DEVNULL,
                       stderr=subprocess.PIPE, text=True)
    took = time.monotonic() - start
    print(f"{n / took:.0f} events/s", r.stderr)
    assert r.returncode == 0 and took < 60


# postern-skim itself
def test_passes_unchanged(skim):
    skim.send("anna", ["a@b.test"])
    head, answer = skim.next()
    assert answer is None and not held(head)


def test_unauthenticated_passes(skim):
    skim.send("", ["a@b.test"], header="Subject: spammy\n", class_="o")
    assert not held(skim.next()[0])


def test_stopped_then_refused(skim):
    skim.send("anna", ["a@b.test"], ip="10.3.0.1")
    assert not held(skim.next()[0])
    skim.send("anna", ["a@b.test"], ip="10.4.0.1")
    head, _ = skim.next()
    assert held(head) and b"Wanna" in netstrings(head[:head.index(b",0:,") + 4]), "the message that shows it is held for its owner"
    skim.send("anna", ["a@b.test"], ip="10.4.0.1")
    head, answer = skim.next()
    assert head is None and answer.startswith("451 4.7.1 ") and "code" in answer
    skim.send("bert", ["a@b.test"], ip="10.3.0.1")
    assert not held(skim.next()[0]), "others go on"
    flag = skim.ask("list")
    assert [f["user"] for f in flag] == ["anna"] and flag[0]["state"] == "stopped" and flag[0]["code"] in answer


def test_locked_is_refused_for_good(skim):
    for n in (1, 2):
        skim.send("anna", ["a@b.test"], ip="10.3.0.1" if n == 1 else "10.4.0.1")
        skim.next()
    skim.send("eve", ["a@b.test"], ip="10.1.0.1")
    skim.next()
    skim.send("eve", [f"x{i}@far.test" for i in range(600)], ip="10.2.0.1", header="Reply-To: <a@free.test>\n", body="http://evil.test/x\n")
    head, _ = skim.next()
    assert held(head)
    skim.send("eve", ["a@b.test"], ip="10.2.0.1")
    head, answer = skim.next()
    assert answer and answer[0] in "45"


def test_memory_outlives_a_restart(skim):
    skim.send("anna", ["a@b.test"], ip="10.3.0.1")
    skim.next()
    assert skim.program.stop() == 0
    skim.start()
    assert "users=2" in skim.program.log("skim-memory")[0], "anna, and her address as a sender"
    skim.send("anna", ["a@b.test"], ip="10.4.0.1")
    assert held(skim.next()[0])


def test_killed_after_a_batch_loses_nothing(skim):
    skim.send("anna", ["a@b.test"], ip="10.3.0.1")
    skim.next()
    skim.ask("flag", "bert", "--why", "told us")
    skim.ask("travel", "carl", "JP", "until", "2099-01-01")
    skim.feed.send(b"".join(netstring(x) for x in ("L", "dora", "10.3.0.1", "imap", "", "n", 1)))
    sleep(3)  # a batch every 2 s
    skim.program.process.kill()
    skim.program.process.wait()
    skim.start()
    assert [f["user"] for f in skim.ask("list")] == ["bert"] and skim.ask("show", "carl")["travel"] and skim.ask("show", "dora")["failures"] == 1
    skim.send("anna", ["a@b.test"], ip="10.4.0.1")
    assert held(skim.next()[0])


def test_killed_in_the_middle_starts_again(skim):
    """Killed at any time: the database is whole, and nobody known at the last batch is gone."""
    for n in range(6):
        for i in range(300):
            skim.feed.send(b"".join(netstring(x) for x in ("L", f"user{n}-{i}", "10.3.0.1", "imap", "", "y", 1)))
        sleep(0.5 + n * 0.45)
        skim.program.process.kill()
        skim.program.process.wait()
        skim.start()
        assert "error=" not in skim.program.log("skim-memory")[0]
    assert int(skim.program.log("skim-memory")[0].split("users=")[1].split()[0]) >= 600


def test_damaged_memory_is_put_aside(skim):
    skim.send("anna", ["a@b.test"], ip="10.3.0.1")
    skim.next()
    skim.program.stop()
    path = skim.folder / "state/skim/history.db"
    whole = path.read_bytes()
    for damaged in (b"x" * 5000, b"y" + whole[1:], whole[:100] + b"z" * (len(whole) - 100)):
        path.write_bytes(damaged)
        skim.start()
        assert "error=" in skim.program.log("skim-memory")[0]
        assert (path.parent / "history.db.damaged").exists()
        skim.send("anna", ["a@b.test"], ip="10.4.0.1")
        assert not held(skim.next()[0]), "learns anew"
        skim.program.stop()
    skim.start()
    assert "error=" not in skim.program.log("skim-memory")[0]


def test_a_memory_that_cannot_be_written_stops_no_mail(skim):
    skim.program.stop()
    folder = skim.folder / "state/skim"
    for f in folder.iterdir():
        f.unlink()
    (folder / "history.db").mkdir()
    skim.start()
    assert "error=" in skim.program.log("skim-memory")[0]
    skim.send("anna", ["a@b.test"], ip="10.3.0.1")
    assert not held(skim.next()[0])
    skim.send("anna", ["a@b.test"], ip="10.4.0.1")
    assert held(skim.next()[0]), "the detection works all the same"


def test_busy_database_delays_no_mail(skim):
    """Somebody holds the database: batches wait, mail does not, and nothing is lost."""
    import sqlite3
    db = sqlite3.connect(skim.folder / "state/skim/history.db", isolation_level=None)
    db.execute("begin immediate")
    number = itertools.count()

    def six():
        for _ in range(6):
            skim.send(f"user{next(number)}", ["a@b.test"], ip="10.3.0.1")
            assert not held(skim.next()[0])
            time.sleep(0.5)
    within(4.5, six)
    db.execute("rollback")
    db.close()
    assert skim.program.stop() == 0
    skim.start()
    assert skim.ask("show", "user0")["logins_seen"] == 1


def test_reload_takes_settings_and_keeps_the_old_on_a_fault(skim):
    files = dict(skim.files, skim=CONF.replace("spammy", "other"))
    skim.program.reload(files)
    skim.send("anna", ["a@b.test"], header="Subject: spammy\n")
    assert not held(skim.next()[0])
    skim.program.reload(dict(files, skim="[nonsense]\nx=1\n"))
    assert skim.program.log("control-fault")
    skim.send("anna", ["a@b.test"], header="Subject: other\n")
    assert held(skim.next()[0])


def test_hostile_body_against_a_slow_pattern(place, mmdb):
    s = Skim(place, {"me": "mx.campus.test", "locals": "campus.test", "skim": CONF.replace("body=badidea", "body=(a+)+$")}).start()
    s.send("anna", ["a@b.test"], body="a" * 5000 + "b")
    assert not held(s.next()[0])
    assert s.program.log("skim-pattern")
    s.program.stop()
