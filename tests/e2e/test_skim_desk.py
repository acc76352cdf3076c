"""`postern skim list|show|flag|clear|restore|travel|report|login` against postern-skim."""
import json
import socket
import subprocess
import time

from alone import BIN, netstring, netstrings
from skim_alone import held, mmdb, place, responding, skim  # noqa: F401 (fixtures)

LIST_KEYS = ["code", "rules", "score", "since", "state", "user", "why"]


def states(skim):
    return {u["user"]: u["state"] for u in skim.ask("list")}


def travelled(skim, user="anna"):
    """Chicago, then Sydney seconds later."""
    skim.login(user, "10.3.0.1")
    skim.login(user, "10.4.0.1")


def passes(skim, user, **more):
    skim.send(user, ["a@b.test"], **more)
    head, answer = skim.next()
    return "refused " + answer if head is None else "held" if held(head) else "passed"


def test_list_is_empty_then_names_keys(skim):
    assert skim.ask("list") == []
    assert skim.ask("list", json_out=False) == "no account is suspected\n"
    travelled(skim)
    got, = skim.ask("list")
    assert sorted(got) == LIST_KEYS
    assert got["user"] == "anna" and got["state"] == "stopped" and "L1" in got["rules"] and got["score"] >= 40
    assert len(got["code"]) == 7 and time.strptime(got["since"], "%Y-%m-%dT%H:%M:%SZ")
    assert "Sydney" in got["why"]
    assert "anna" in skim.ask("list", json_out=False) and got["code"] in skim.ask("list", json_out=False)


def test_show_by_name_and_code(skim):
    travelled(skim)
    got = skim.ask("show", "anna")
    assert got == skim.ask("show", got["code"].lower())
    assert [x["ip"] for x in got["recent_logins"]] == ["10.4.0.1", "10.3.0.1"] or {x["ip"] for x in got["recent_logins"]} == {"10.4.0.1", "10.3.0.1"}
    assert {x["country"] for x in got["recent_logins"]} == {"AU", "US"} and "Sydney" in {x["city"] for x in got["recent_logins"]}
    assert {e["rule"] for e in got["evidence"]} == set(got["rules"]) and all(e["points"] > 0 for e in got["evidence"] if e["rule"] == "L1")
    assert got["held"] == [] and got["actions"] == [] and "postern skim restore anna" in got["next"]
    words = skim.ask("show", "anna", json_out=False)
    for word in ("anna is stopped", "Sydney", "Evidence", "Held in the queue", "What to do next", "postern-respond does not run"):
        assert word in words
    skim.ask("show", "nobody", code=1)
    assert "nothing is known of nobody" in skim.err


def test_flag_holds_all_mail_until_cleared(skim):
    assert passes(skim, "bert") == "passed"
    skim.ask("flag", "bert", "--why", "gave the password away")
    assert states(skim) == {"bert": "flagged"}
    assert "gave the password away" in skim.ask("list")[0]["why"]
    skim.send("bert", ["a@b.test"])
    head, _ = skim.next()
    assert held(head) and b"W" in head and b"Ubert" in head
    assert states(skim) == {"bert": "flagged"}
    skim.ask("clear", "bert")
    assert states(skim) == {} and passes(skim, "bert") == "passed"


def test_lock_refuses_for_good_and_clear_does_not_undo_it(skim):
    skim.ask("flag", "bert", "--lock", "--why", "stolen")
    assert states(skim) == {"bert": "locked"}
    assert passes(skim, "bert").startswith("refused 550 5.7.1")
    skim.ask("clear", "bert", code=1)
    assert "restore" in skim.err


def test_restore_recovers_and_counts_double(skim):
    travelled(skim)
    assert passes(skim, "anna", ip="10.4.0.1").startswith("refused 451")
    got = skim.ask("restore", "anna", code=111)
    assert [s["step"] for s in got["steps"]] == ["account", "suspicion", "held mail"]
    assert got["steps"][1]["done"] and not got["steps"][2]["done"], "no queue runs here"
    one, = skim.ask("list")
    assert one["state"] == "recovering" and one["score"] == 0 and one["rules"] == []
    assert passes(skim, "anna", ip="10.3.0.1") == "passed", "the owner is not measured against the thief"
    skim.ask("report", "anna")
    one, = skim.ask("list")
    assert one["score"] == 80 and one["state"] in ("held", "stopped"), "40 points count twice"
    skim.ask("restore", "nobody", code=1)
    skim.ask("clear", "anna")
    assert states(skim) == {}


def test_travel_lowers_what_counts_and_what_counted(skim):
    skim.login("anna", "10.3.0.1")
    skim.ask("travel", "anna", "AU,NG", "until", time.strftime("%Y-%m-%d", time.gmtime(time.time() + 86400)))
    skim.login("anna", "10.4.0.1")
    one, = skim.ask("list")
    assert one["state"] == "flagged" and one["score"] <= 15
    assert skim.ask("show", "anna")["travel"]["countries"] == ["AU", "NG"]
    travelled(skim, "bert")
    before = skim.ask("show", "bert")["score"]
    skim.ask("travel", "bert", "au", "until", time.strftime("%Y-%m-%d", time.gmtime()))
    assert 0 < skim.ask("show", "bert")["score"] <= before / 3
    skim.ask("travel", "bert", "none")
    assert skim.ask("show", "bert")["travel"] is None


def test_report_adds_up(skim):
    for n, state, score in ((1, "held", 40), (2, "held", 40), (3, "held", 60)):
        skim.ask("report", "bert")
        one, = skim.ask("list")
        assert (one["state"], one["score"], one["rules"]) == (state, score, ["X1"]), n
    assert passes(skim, "bert") == "held"


def test_wrong_usage(skim):
    today = time.strftime("%Y-%m-%d", time.gmtime())
    for args in (["flag", "bert"], ["flag", "bert", "--why", ""], ["flag", "bert", "--why", "x" * 201], ["flag", "bert", "--why", "a\nb"], ["clear"],
                 ["restore", "bert", "--release", "--delete"], ["travel", "bert", "XYZ", "until", today], ["travel", "bert", "DE", "until", "tomorrow"],
                 ["travel", "bert", "DE", "until", "2020-01-01"], ["travel", "bert", "DE"], ["clear", "bert", "--lock"], ["list", "x"], ["dance", "bert"],
                 ["list", "--release"], ["travel", "bert", ",".join(["DE"] * 17), "until", today], ["flag", "b\nc", "--why", "x"]):
        skim.ask(*args, code=100)
    assert states(skim) == {}
    assert subprocess.run([BIN / "postern", "queue", "list", "--lock"], capture_output=True).returncode == 100


def test_login_lines(skim):
    out = skim.ask("login", code=1, json_out=False, text="\n".join([
        json.dumps({"user": "anna", "ip": "10.3.0.1"}), "nonsense", json.dumps({"type": "send", "user": "anna"}), json.dumps({"ip": "10.3.0.1"}), "",
        "x" * 40000, json.dumps({"user": "anna", "ip": "10.4.0.1", "time": "2099-01-01T00:00:00Z"})]) + "\n")
    assert "Sydney" in out
    for n, why in ((2, "not a JSON object"), (3, "only logins"), (4, "no user"), (6, "too long")):
        assert f"standard input:{n}: " in skim.err and why in skim.err
    assert skim.ask("show", "anna")["last"] < "2098", "a clock that is ahead does not count"
    assert skim.program.log(" skim-login ")


def test_each_act_leaves_one_audit_line(skim):
    travelled(skim)
    acts = [("flag", "bert", "--why", "told us so"), ("flag", "bert", "--lock", "--why", "x"), ("restore", "bert"), ("clear", "anna"), ("clear", "nobody"),
            ("travel", "anna", "FR", "until", "2099-01-01"), ("report", "anna")]
    for a in acts:
        subprocess.run([BIN / "postern", "skim", *a, "-s", skim.folder / "state"], capture_output=True)
    lines = skim.program.log(" skim-command ", count=len(acts))
    assert [next(w for w in s.split() if w.startswith("verb="))[5:] for s in lines] == ["flag", "lock", "restore", "clear", "clear", "travel", "report"]
    assert all("uid=" in s for s in lines) and 'what="told us so"' in lines[0] and "error=" in lines[4] and "code=" in lines[0]


def test_hostile_commands(skim):
    for text in (b"", b"4:show,", b"4:show,1:a,1:b,", b"999:x,", b"4:list,1:x,", b"4:flag,4:anna,0:,", b"\0" * 32000, b"5:login,2:{},", b"7:travel,1:a,1:b,1:c,"):
        s = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        s.connect(str(skim.folder / "state/run/skim.sock"))
        if text:
            s.send(text)
            s.settimeout(60)
            s.recv(40000)
        s.close()
    assert states(skim) == {} and passes(skim, "anna") == "passed"


def order(skim, seconds=60):
    skim.respond.settimeout(seconds)
    f = [x.decode() for x in netstrings(skim.respond.recv(5000))]
    return dict(zip(("user", "code", "state", "since", "score", "rules", "why"), f[:7]), rest=f[7:])


def test_respond_is_told_once_for_each_rise(responding):
    responding.login("anna", "10.3.0.1", time="2020-01-01T00:00:00Z")
    responding.login("anna", "10.3.0.1")
    responding.login("anna", "10.4.0.1")
    got = order(responding)
    one, = responding.ask("list")
    assert (got["user"], got["code"]) == ("anna", one["code"]) and "L1" in got["rules"] and "Sydney" in got["why"]
    assert "10.4.0.1" in str(got["rest"]) and "10.3.0.1" not in str(got["rest"]), "the thief's address, not the owner's"
    passes(responding, "anna", ip="10.4.0.1")
    responding.ask("flag", "anna", "--lock", "--why", "stolen")
    assert order(responding)["code"] == one["code"]
    responding.answer = 111
    got = responding.ask("restore", "anna", code=111)
    assert [(x["step"], x["done"]) for x in got["steps"]] == [("account", False)], "the account stays shut"
    assert states(responding) == {"anna": "locked"}
    responding.answer = 0
    got = responding.ask("restore", "anna", code=111)
    assert [(x["step"], x["done"]) for x in got["steps"]] == [("account", True), ("suspicion", True), ("held mail", False)], "no queue runs here"
    assert responding.asked[-1] == ["restore", "anna"]
    responding.ask("report", "anna")
    assert order(responding)["code"] != one["code"], "after it was given back it is another incident"


def test_respond_is_told_again_at_start(responding):
    responding.ask("flag", "bert", "--lock", "--why", "stolen")
    first = order(responding)
    responding.program.stop()
    responding.start()
    assert order(responding)["code"] == first["code"]


def test_respond_that_does_not_read_blocks_nobody(responding):
    for n in range(600):
        responding.feed.send(b"".join(netstring(x) for x in ("L", f"u{n}", "10.3.0.1", "imap", "", "y", 1)))
        responding.feed.send(b"".join(netstring(x) for x in ("L", f"u{n}", "10.4.0.1", "imap", "", "y", 1)))
    assert passes(responding, "zoe") == "passed"
    told, end = set(), time.monotonic() + 60
    while len(told) < 600 and time.monotonic() < end:
        told.add(order(responding)["user"])
    assert len(told) == 600, "those that did not fit are told later"


def test_what_respond_did_is_shown_and_undone_by_clear(responding):
    travelled(responding)
    step, = responding.ask("show", "anna")["actions"]
    assert (step["name"], step["state"], step["note"]) == ("ticket", "done", "told the helpdesk")
    assert "told the helpdesk" in responding.ask("show", "anna", json_out=False)
    responding.ask("clear", "anna")
    assert responding.asked[-1] == ["restore", "anna"] and states(responding) == {}


def test_programs_that_send_are_known_by_name(skim):
    for n in range(12):
        skim.send("anna", ["a@b.test"], header=f"User-Agent: Thunderbird {n}\n", wall=(time.time() - (20 - n) * 86400) * 1e6)
        skim.next()
    skim.send("anna", ["a@b.test"], header="X-Mailer: PHPMailer 6.1\n")
    skim.next()
    assert "L10" in skim.ask("show", "anna")["rules"]
