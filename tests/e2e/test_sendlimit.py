"""Limits of what users send ([sendlimit] in control/skim): many sessions at once, restarts and kills, exceptions, what is refused behind skim; the same as a
filter in an existing qmail."""
import os
import re
import signal

from conftest import wait_for
from processes import at_once, standing_still
from skim_alone import mmdb  # noqa: F401 (a fixture)
from submission import MESSAGE, SECRET, people, site, ssha, submit  # noqa: F401 (a fixture)
from test_skim_filter import qmail  # noqa: F401 (a fixture)
from timing import sleep

def send(suite, rcpts=("u2@campus.test",), message=MESSAGE, user="u1", source="127.0.0.1", password=SECRET, login=None):
    """(code, text) of the answer to DATA."""
    s = submit(suite, login or user, password, source)
    assert s.mail(f"{user}@campus.test")[0] == 250
    for r in rcpts:
        assert s.rcpt(r)[0] == 250
    code, text = s.data(message)
    s.close()
    return code, text.decode()


def limits(suite, user="u1"):
    return {x["counter"]: (x["used"], x["most"]) for x in suite.json("skim", "show", user)["limits"]}


def settle(suite, want, user="u1"):
    """A message that was refused behind skim is counted out by a datagram after the answer."""
    wait_for(lambda: limits(suite, user) == want, why=lambda: f"{limits(suite, user)} is not {want}")


def test_parallel_sessions_are_one_user(site):
    site.control("skim", "[sendlimit]\nmessages_hour=5\n")
    site.start()
    answers = at_once(lambda i: send(site, source=f"127.0.{i}.1", login=("u1", "u1@campus.test", "alias1@campus.test", "U1")[i % 4]), range(20))
    assert sorted(code for code, _ in answers) == [250] * 5 + [451] * 15
    for code, text in answers:
        if code == 451:
            assert re.fullmatch(r"4\.7\.1 You have sent as much as you may for now; messages_hour: 5 of 5, again in (1 h [0-5]|60) min \(\w{13}\)", text), text
    assert len(site.wait_mail("u2", 5)) == 5
    assert len(site.events("skim-limit")) == 15 and site.events("skim-limit")[0]["user"] == "u1"
    assert limits(site) == {"messages_hour": (5, 5)}
    text = site.postern("skim", "show", "u1", check=0).stdout
    assert re.search(r"Sending limits\S*\n  messages_hour    5 of 5; reached, more from 20\d\d-", text), text
    # others send as before, and so do strangers
    assert send(site, user="u2", password="other")[0] == 250
    assert site.send("x@far.test", "u2@campus.test", MESSAGE)[0] == 250


def test_who_tries_again_is_not_suspected(site):
    """A program that repeats a mailing of 200 every minute would have 400 recipients in an hour (S1) at once, if attempts counted."""
    site.control("skim", "[sendlimit]\nmessages_hour=1\n")
    site.start()
    assert send(site)[0] == 250
    assert [send(site, [f"r{i}@far.test" for i in range(200)])[0] for _ in range(4)] == [451] * 4
    assert site.json("skim", "show", "u1")["evidence"] == []


def test_restart_kill_reload(site):
    site.control("skim", "[sendlimit]\nmessages_day=2\nrecipients_day=10\n")
    site.start()
    assert send(site)[0] == 250 and send(site, ("u2@campus.test", "u1@campus.test"))[0] == 250
    want = {"messages_day": (2, 2), "recipients_day": (3, 10)}
    assert limits(site) == want
    site.stop()
    site.start()
    assert limits(site) == want and send(site)[0] == 451
    sleep(3)  # what is older than two seconds is kept
    pid, = site.pids("skim")
    os.kill(pid, signal.SIGKILL)
    wait_for(lambda: site.pids("skim") not in ([], [pid]), why="skim was not started again")
    wait_for(lambda: site.postern("skim", "show", "u1").returncode == 0)
    assert limits(site) == want and send(site)[0] == 451
    site.control("skim", "[sendlimit]\nmessages_day=3\n")
    site.reload()
    wait_for(lambda: limits(site) == {"messages_day": (2, 3)})
    assert send(site)[0] == 250 and send(site)[0] == 451
    site.control("skim", "[sendlimit]\nmessages_day=many\n")
    p = site.postern("check", check=1)
    assert "skim:2: messages_day is a whole number" in p.stdout + p.stderr


def test_classes_and_users(site):
    site.control("directory.ldif", people(ssha(SECRET), ssha(SECRET)).replace("uid: u2\n", "uid: u2\nuserClass: bulk\n", 1))
    site.control("skim", "[sendlimit]\nmessages_hour=1\nrecipients_hour=3\n[sendlimit class bulk]\nmessages_hour=2\n[sendlimit user u1]\nrecipients_hour=4\n")
    site.start()
    four = ["u1@campus.test", "u2@campus.test", "a@far.test", "b@far.test"]
    code, text = send(site, four, user="u2")
    assert code == 550 and text.startswith("5.7.1 This message has more recipients than you may send to; recipients_hour: 3, and this message has 4 recipients ("), text
    assert [send(site, user="u2")[0] for _ in range(3)] == [250, 250, 451]
    assert [send(site, four, user="u1")[0] for _ in range(2)] == [250, 451]
    assert limits(site) == {"messages_hour": (1, 1), "recipients_hour": (4, 4)}
    assert limits(site, "u2") == {"messages_hour": (2, 2), "recipients_hour": (2, 3)}


def test_what_is_refused_later_does_not_count(site):
    site.control("skim", "[sendlimit]\nmessages_hour=1\n")
    site.control("banned", "*.exe")
    site.control("answerseconds", "10")
    site.start()
    banned = b"From: u1@campus.test\r\nContent-Type: application/octet-stream; name=a.exe\r\n\r\nMZ\r\n"
    for _ in range(3):
        assert send(site, message=banned)[0] == 550
        settle(site, {"messages_hour": (0, 1)})
    # nobody answers: the client is told 451, the queue drops the message when it looks
    with standing_still(site.pids("queue")):
        assert send(site)[0] == 451
    settle(site, {"messages_hour": (0, 1)})
    assert send(site)[0] == 250
    code, text = send(site)
    assert code == 451 and "messages_hour: 1 of 1" in text
    assert len(site.wait_mail("u2", 1)) == 1


def test_held_mail_counts(site):
    site.control("skim", "[sendlimit]\nmessages_hour=2\n")
    site.start()
    assert send(site)[0] == 250
    site.postern("skim", "flag", "u1", "--why", "test", check=0)
    assert send(site)[0] == 250   # held
    assert send(site)[0] == 451
    wait_for(lambda: len(site.json("queue", "list")) == 1)


def test_filter(qmail):
    (qmail.folder / "conf").write_text("[sendlimit]\nmessages_hour=2\nrecipients_hour=5\n[sendlimit user bert]\nmessages_hour=0\n")
    assert [qmail.send(ip="") for _ in range(3)] == [0, 0, 71]
    assert " skim-limit " in qmail.err and "messages_hour: 2 of 2, again in" in qmail.err and qmail.got is None
    assert qmail.send(ip="", rcpts=[f"r{i}@far.test" for i in range(6)]) == 31
    assert [qmail.send(user="bert", ip="") for _ in range(4)] == [0] * 4
