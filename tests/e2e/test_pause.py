"""Deliveries that the postmaster pauses (control/holdlocal, control/holdremote) in the whole suite: Maildirs, an LMTP server, another host by SMTP."""
import os
import signal
import threading
import time

import pytest

from conftest import LDIF, wait_for
from smtp_server import Scripted

MESSAGE = b"From: a@far.test\r\nSubject: %s\r\n\r\nhello\r\n"
REASONS = {"holdlocal": "deliveries to mailboxes are paused (control/holdlocal)", "holdremote": "deliveries to other hosts are paused (control/holdremote)"}


@pytest.fixture
def line(suite):
    """The suite with a store by LMTP and another host."""
    suite.store, suite.host = Scripted({}, lmtp=True), Scripted({})
    suite.control("lmtproutes", f"store.test:127.0.0.1:{suite.store.port}")
    suite.control("rcpthosts", "store.test\nother.test")
    suite.control("smtproutes", f"other.test:127.0.0.1:{suite.host.port}")
    suite.control("locals", "campus.test")
    return suite


def subjects(messages):
    return sorted(line[9:].strip().decode() for m in messages for line in m.splitlines() if line.startswith(b"Subject: "))


def arrived(line):
    """Subjects that came: into Maildirs, by LMTP, at the other host."""
    boxes = [m for i in (1, 2, 3) for m in line.mails(f"u{i}")]
    return subjects(boxes), subjects(m for s in line.store.sessions for m in s.messages), subjects(m for s in line.host.sessions for m in s.messages)


def send(line, subject, *to):
    code, text = line.send("a@far.test", list(to), MESSAGE % subject.encode())
    assert code == 250, text
    return text.split()[-1]


def pause(line, **files):
    for name, value in files.items():
        line.control(name, value)
    line.reload()


def waits(line):
    return {m["id"]: m for m in line.json("queue", "list")}


def problems(line):
    return " ".join(line.json("queue", "status", check=None)["problems"])


@pytest.mark.parametrize("file", ["holdlocal", "holdremote"])
def test_one_side(line, file):
    """The paused side gets nothing and its mail waits with the reason; the other's flows; over a kill and a restart; at its end all of it arrives, once."""
    local = file == "holdlocal"
    line.control(file, "1")
    line.start()
    here, store, there = send(line, "a", "u1@campus.test"), send(line, "b", "x@store.test"), send(line, "c", "x@other.test")
    both = send(line, "d", "u2@campus.test", "y@other.test")
    held, free = ([here, store], [there]) if local else ([there], [here, store])
    expect = ([], [], ["c", "d"]) if local else (["a", "d"], ["b"], [])
    wait_for(lambda: arrived(line) == expect and {m["reason"] for m in waits(line).values()} == {REASONS[file]} and len(waits(line)) == len(held) + 1, 20,
             lambda: (arrived(line), waits(line)))
    p = line.postern("check")
    assert p.returncode == 0 and f"{file}: 1: deliveries to" in p.stdout + p.stderr, p.stdout + p.stderr
    for stop in (None, signal.SIGKILL, signal.SIGTERM):
        if stop == signal.SIGKILL:
            os.kill(line.pids("queue")[0], stop)
        elif stop:
            line.stop()
            line.start()
        wait_for(lambda: line.postern("queue", "status").returncode == 1)
        status = line.postern("queue", "status")
        assert f"{REASONS[file]}: {len(held) + 1} messages wait for that" in status.stdout, status.stdout
        rows = waits(line)
        assert sorted(rows) == sorted([*held, both]) and not set(free) & set(rows)
        assert all(rows[i]["reason"] == REASONS[file] and rows[i]["attempts"] == 0 and rows[i]["next"] == 0 and rows[i]["state"] == "waiting" for i in held), rows
        assert rows[both]["reason"] == REASONS[file] and rows[both]["waiting"] == 1 and rows[both]["attempts"] == 1
        assert "paused" in line.postern("queue", "list").stdout and "being delivered" not in line.postern("queue", "list").stdout
    late = send(line, "e", "u3@campus.test", "z@other.test")
    wait_for(lambda: "e" in arrived(line)[2 if local else 0] and waits(line)[late]["reason"] == REASONS[file])
    assert line.events("queue-paused")[-1]["text"] == REASONS[file]
    pause(line, **{file: "0"})
    wait_for(lambda: not waits(line))
    assert arrived(line) == (["a", "d", "e"], ["b"], ["c", "d", "e"])
    assert line.postern("queue", "status").returncode == 0 and line.postern("check").stdout.count("paused") == 0
    assert line.events("queue-resumed") and not line.events("queue-failed") and not line.events("queue-bounced")


def test_both(line):
    """Nothing is begun: not an answer is asked of the directory by route, not a connection made. What an operator asks for meanwhile he is told."""
    line.control("holdlocal", "1")
    line.start()
    pause(line, holdremote="1")
    wait_for(lambda: "all deliveries are paused" in problems(line))
    ids = [send(line, f"{i:03}", f"u{1 + i % 3}@campus.test", "x@store.test", "x@other.test") for i in range(60)]
    rows = waits(line)
    assert sorted(rows) == sorted(ids)
    assert all(m["reason"].startswith("all deliveries are paused") and m["attempts"] == 0 and m["next"] == 0 and m["waiting"] == 3 for m in rows.values())
    assert "all deliveries are paused (control/holdlocal, control/holdremote): 60 messages wait" in problems(line)
    os.kill(line.pids("queue")[0], signal.SIGKILL)
    wait_for(lambda: line.postern("queue", "status").returncode == 1)
    line.postern("queue", "retry", "all")
    line.postern("queue", "delete", ids[0], check=0)
    time.sleep(0.5)
    assert sorted(waits(line)) == sorted(ids[1:]) and arrived(line) == ([], [], []) and not line.store.sessions and not line.host.sessions
    pause(line, holdlocal="0")
    expect = [f"{i:03}" for i in range(1, 60)]
    wait_for(lambda: arrived(line)[:2] == (expect, expect), 30, lambda: arrived(line))
    wait_for(lambda: all(m["reason"] == REASONS["holdremote"] and m["waiting"] == 1 for m in waits(line).values()))
    assert not line.host.sessions
    pause(line, holdremote=None)
    wait_for(lambda: not waits(line))
    assert arrived(line) == (expect, expect, expect)


def test_switched_under_load(line):
    """Pauses that come and go, and a queue that is killed, while mail for both sides comes in: all of it arrives, none of it twice."""
    line.start()
    sent, stop = [], threading.Event()

    def work(n):
        i = 0
        while not stop.is_set():
            subject = f"{n}.{i:04}"
            try:
                if line.send("a@far.test", [f"u{1 + i % 3}@campus.test", "x@other.test"], MESSAGE % subject.encode())[0] == 250:
                    sent.append(subject)
            except OSError:
                pass
            i += 1
    threads = [threading.Thread(target=work, args=(n,)) for n in range(3)]
    for t in threads:
        t.start()
    try:
        for i, files in enumerate([{"holdlocal": "1"}, {"holdremote": "1"}, {"holdlocal": "0"}, {"holdlocal": "1", "holdremote": "0"}, {"holdlocal": "0"}] * 2):
            pause(line, **files)
            time.sleep(0.4)
            if i == 6:
                os.kill(line.pids("queue")[0], signal.SIGKILL)
                wait_for(lambda: line.postern("queue", "status").returncode in (0, 1))
    finally:
        stop.set()
        for t in threads:
            t.join()
    pause(line, holdlocal="0", holdremote="0")
    wait_for(lambda: not waits(line), 60, lambda: line.postern("queue", "list").stdout[-3000:])
    boxes, _, host = arrived(line)
    assert len(sent) > 20
    assert set(sent) <= set(boxes) and set(sent) <= set(host)
    assert len(boxes) == len(set(boxes))
    twice = len(host) - len(set(host))  # by SMTP only what was under way when the queue was killed may go again
    assert twice <= 20, twice


def test_mailhost(line):
    """Mailboxes on another host of the cluster, by QMQP, are the other side."""
    line.control("directory.ldif", LDIF + "\ndn: uid=away,ou=people,dc=campus,dc=test\nobjectClass: qmailUser\nuid: away\nmail: away@campus.test\nmailHost: mx2.campus.test\n")
    line.control("qmqproutes", "mx2.campus.test:127.0.0.1:9")
    line.control("holdremote", "1")
    line.start()
    id = send(line, "a", "away@campus.test")
    wait_for(lambda: waits(line)[id]["reason"] == REASONS["holdremote"])
    pause(line, holdlocal="1", holdremote="0")
    wait_for(lambda: waits(line)[id]["reason"].startswith("mx2.campus.test does not answer by QMQP"), 20, lambda: waits(line))
    assert waits(line)[id]["attempts"] == 1


def test_wrong_value(line):
    """A reload with a value that is none keeps what was."""
    line.control("holdlocal", "1")
    line.start()
    pause(line, holdlocal="no")
    assert line.postern("check").returncode == 1
    send(line, "a", "u1@campus.test")
    wait_for(lambda: REASONS["holdlocal"] in problems(line) and all(m["reason"] == REASONS["holdlocal"] for m in waits(line).values()))
    pause(line, holdlocal="0")
    line.wait_mail("u1")
