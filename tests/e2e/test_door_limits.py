"""postern-door alone: how many clients, sessions and descriptors there may be at once, and how much of an address over time."""
import re
import resource
import socket
import time

import pytest

from alone import readable
from conftest import wait_for
from door_alone import door, rest  # noqa: F401 (fixtures)
from timing import sleep


def test_maxperip_counts_sessions_by_their_token(door):
    d = door({"maxperip": "2", "tcp_smtp": '127.0.0.7:allow,MAXPERIP="1"\n:allow'})
    clients = [d.connect() for _ in range(2)]
    sessions = [d.session() for _ in clients]
    over = d.connect()
    assert rest(over) == (b"421 4.7.0 too many connections from your address or network (maxperip 3 of 2), try again later\r\n")
    assert 'reason="maxperip 3 of 2"' in d.log("door-refused")[0]
    d.connect("127.0.0.2")
    d.session()
    first = d.connect("127.0.0.7")
    d.session()
    assert b"maxperip 2 of 1" in rest(d.connect("127.0.0.7"))
    first.close()  # the client's own end does not count: the session may live on
    assert b"maxperip 2 of 1" in rest(d.connect("127.0.0.7"))
    sessions[0].client.close()
    assert b"maxperip 3 of 2" in rest(d.connect())
    sessions[0].token.close()

    def let_in():
        c = d.connect()
        return d.session() if not d.none(0.2) else c.close()
    wait_for(let_in)


def test_a_report_is_no_end(door):
    """Who says something on its token and lives on is still counted, and wakes nobody."""
    d = door({"maxperip": "1"})
    d.connect()
    s = d.session()
    s.token.write(b"errors 1")
    time.sleep(0.1)
    used = d.cpu_seconds()
    assert b"maxperip 2 of 1" in rest(d.connect())
    time.sleep(0.5)
    assert d.cpu_seconds() - used < 0.2, "the door spins on a token that was written to"


def test_maxpernet(door):
    d = door({"maxpernet": "3"})
    for i in range(3):
        d.connect(f"127.0.0.{i + 1}")
        d.session()
    assert b"421 4.7.0" in rest(d.connect("127.0.0.200"))
    assert "maxpernet 4 of 3" in d.log("door-refused")[0]
    d.connect("127.0.1.1")
    d.session()


@pytest.mark.parametrize("listen,counts,other", [("", "concurrencyincoming", "concurrencysubmission"), ("submission", "concurrencysubmission", "concurrencyincoming")])
def test_sessions_full_then_waiting_then_421(door, listen, counts, other):
    d = door({counts: "2", other: "20", "concurrencywaiting": "3"}, listen=(listen,))
    running = [d.connect() for _ in range(2)]
    sessions = [d.session() for _ in running]
    waiting = [d.connect(f"127.0.0.{i + 2}") for i in range(3)]
    assert d.none()
    assert rest(d.connect("127.0.0.99")) == \
        b"421 4.3.2 too many clients are waiting (concurrencywaiting 4 of 3), try again later\r\n"
    assert d.log("door-full")
    waiting[1].close()
    for who in (0, 2):  # first come, first served; the one who left is passed over
        sessions.pop(0).end()
        s = d.session()
        assert s.ip == f"127.0.0.{who + 2}"
        sessions.append(s)
    assert d.none()


def test_waiting_clients_cost_little(door):
    d = door({"greetdelay": "120"})
    base = d.memory_kib("Pss_Anon")
    clients = [d.connect(f"127.0.{i % 7}.{i % 250 + 1}") for i in range(2000)]
    wait_for(lambda: d.descriptors() >= 2000, 60)
    grown = d.memory_kib("Pss_Anon") - base
    print(f"2000 waiting clients: {grown} KiB")
    assert grown < 2000
    idle = d.cpu_seconds()
    time.sleep(1)
    assert d.cpu_seconds() - idle < 0.1
    for c in clients:
        c.close()
    wait_for(lambda: d.descriptors() <= 50, 60)


def few_descriptors(n):
    return lambda: resource.setrlimit(resource.RLIMIT_NOFILE, (n, n))


def test_as_many_clients_as_descriptors_allow(door):
    d = door({"greetdelay": "5"}, preexec=few_descriptors(64))
    clients = [d.connect(f"127.0.0.{i + 1}") for i in range(60)]
    told = wait_for(lambda: len(found := [c for c in clients if readable(c, 0)]) + d.status()["waiting"] == 60 and found)
    assert 20 < len(told) < 40
    assert rest(told[0]).startswith(b"421 4.3.2 too many clients are waiting (descriptors 32 of 31)")
    assert {d.session().ip for _ in range(60 - len(told))}  # and all others get through


def test_out_of_descriptors(door):
    d = door({"greetdelay": "2"}, preexec=few_descriptors(12))
    clients = [d.connect(f"127.0.0.{i + 1}") for i in range(20)]
    start = d.cpu_seconds()
    time.sleep(1)
    assert d.cpu_seconds() - start < 0.3, "the loop spins"
    told = [rest(c) for c in wait_for(lambda: [c for c in clients if readable(c, 0)])]
    assert told and any(b"421 4.3.2 out of descriptors" in t for t in told), (told, d.lines)
    assert d.log("out of descriptors")
    for c in clients:
        c.close()
    sleep(2)
    again = d.connect("127.0.0.100")
    assert not readable(again, 0.5)  # it is let in


def test_session_reports_are_bounded(door):
    d = door()
    d.connect()
    s = d.session()
    used = d.cpu_seconds()
    while s.token.write(b"errors 1"):  # None: the pipe is full
        pass
    time.sleep(0.5)
    assert d.cpu_seconds() - used < 0.3
    s.end()
    assert reporting(d, "127.0.0.1", b"nonsense") == {}
    assert d.log("bad-question")
    d.connect()
    d.session()


def refusal(d, source, seconds=20):
    """What the door says at once, or what a session has LEFT where it hands over, of which the door knows everything at the end."""
    before = d.status()["sessions"]
    c = d.connect(source)
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if readable(c, 0.01):
            return rest(c).decode()
        if readable(d.smtpd, 0):
            s = d.session()
            left = {k: v for k, v in s.vars.items() if k.startswith("LEFT_")}
            s.end()
            wait_for(lambda: d.status()["sessions"] == before)
            return left
    raise AssertionError("neither")


def again(text):
    """A refusal without its last number, and that: the seconds until one may come again."""
    said, seconds = re.fullmatch(r"(.*, again in) (\d+) s.*", text.strip()).groups()
    return said, int(seconds)


def test_connections_per_time(door):
    d = door({"connectionsperip": "3/600", "connectionspernet": "5/60", "tcp_smtp": '127.0.0.9:allow,CONNECTIONSPERIP="0",CONNECTIONSPERNET="0"\n'
              '127.0.0.10:allow,RELAYCLIENT=""\n127.0.0.11:allow,RELAYCLIENT="",CONNECTIONSPERIP="1/60"\n:allow'})
    for _ in range(3):
        assert refusal(d, "127.0.0.1") == {}
    said, seconds = again(refusal(d, "127.0.0.1"))
    assert said == "421 4.7.0 too much from your address or network (connectionsperip 4 of 3 in 600 s, again in" and 180 < seconds <= 201
    assert f'reason="connectionsperip 4 of 3 in 600 s, again in {seconds} s' in d.log("door-refused")[0]
    assert refusal(d, "127.0.0.2") == {} and refusal(d, "127.0.0.2") == {}
    assert "connectionspernet 6 of 5 in 60 s, again in" in refusal(d, "127.0.0.3")
    assert refusal(d, "127.0.1.3") == {}  # another network
    for _ in range(5):
        assert refusal(d, "127.0.0.9") == refusal(d, "127.0.0.10") == {}
    assert refusal(d, "127.0.0.11") == {} and "connectionsperip 2 of 1 in 60 s" in refusal(d, "127.0.0.11")


def test_a_place_comes_back(door):
    d = door({"connectionspernet": "5/3"})
    for _ in range(8):
        refusal(d, "127.0.0.1")
    time.sleep(0.7)
    assert refusal(d, "127.0.0.3") == {}


def reporting(d, source, report):
    """The variables of a session that tells this at its end; the door has heard it then."""
    before = d.status()["sessions"]
    d.connect(source)
    s = d.session()
    s.token.write(report)
    s.end()
    wait_for(lambda: d.status()["sessions"] == before)
    return s.vars


def test_what_sessions_report_counts(door):
    d = door({"messagesperip": "4/86400", "recipientspernet": "100/86400", "errorsperip": "10/86400"})
    assert reporting(d, "127.0.0.1", b"messages 3 recipients 60") == {"LEFT_MESSAGES": "4 messagesperip 4 86400", "LEFT_RECIPIENTS": "100 recipientspernet 100 86400"}
    assert reporting(d, "127.0.0.1", b"messages 1") == {"LEFT_MESSAGES": "1 messagesperip 4 86400", "LEFT_RECIPIENTS": "40 recipientspernet 100 86400"}
    said, seconds = again(refusal(d, "127.0.0.1"))
    assert "(messagesperip 4 of 4 in 86400 s, again in" in said and 21500 < seconds <= 21601
    reporting(d, "127.0.0.2", b"recipients 20")
    assert reporting(d, "127.0.0.3", b"recipients 500 errors 3")["LEFT_RECIPIENTS"] == "20 recipientspernet 100 86400"
    said, seconds = again(refusal(d, "127.0.0.4"))
    assert "(recipientspernet 200 of 100 in 86400 s, again in" in said and 87164 < seconds <= 87265
    reporting(d, "127.0.7.1", b"errors 4 badrcpt 5")
    assert refusal(d, "127.0.7.1") != {} and isinstance(refusal(d, "127.0.7.1"), dict)
    reporting(d, "127.0.7.1", b"badrcpt 1")
    assert "errorsperip 10 of 10" in refusal(d, "127.0.7.1")


def test_failed_logins_count_in_submission(door):
    d = door({"authfailsperip": "3/600", "messagesperip": "1/600"}, listen=("submission",))
    for n in (2, 1):
        assert reporting(d, "127.0.0.1", b"authfail %d messages 5" % n) == {}  # messagesperip is for strangers
    said, seconds = again(refusal(d, "127.0.0.1"))
    assert "authfailsperip 3 of 3 in 600 s, again in" in said and 180 < seconds <= 201
    assert refusal(d, "127.0.0.2") == {}
