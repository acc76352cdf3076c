"""postern-smtpd alone: what it passes on of a message that came by DATA, what it refuses, and what a message may cost."""
import itertools
import pathlib
import threading
import time

import pytest

from smtpd_alone import E, M, ME, MESSAGE, R, finish, shared, start  # noqa: F401 (fixtures)


def test_message(shared):
    c = shared.connect(ip="2001:db8::7", local="2001:db8::1")
    n = len(shared.jobs)
    c.start("Bounce+1@Far.Test", ["u1@campus.test", "any@relayed.test"])
    code, text = c.do(b"Subject: x\r\n y\r\n\r\n..dot\r\n.x\r\n\r\nend\r\n.\r\n")
    job = shared.wait_jobs(n + 1)[n]
    assert (code, text) == (250, f"2.0.0 ok {job.id}")
    assert job.message == b"Subject: x\n y\n\n.dot\nx\n\nend\n"
    assert job.header.endswith(b"\n\n") and job.body == b".dot\nx\n\nend\n"
    assert job.record("S") == [b"Bounce+1@far.test"] and job.record("R") == [b"u1@campus.test", b"any@relayed.test"]
    assert job.record("I") == [job.id.encode()] and job.record("C") == [b"o"] and job.record("A") == [b"2001:db8::7"]
    assert job.record("H") == [b"client.test"]
    r = job.received.decode()
    assert r.startswith(f"Received: from client.test ([IPv6:2001:db8::7])\n  by {ME} with ESMTP id {job.id};\n  "), r
    assert " for <" not in r
    assert c.do("NOOP")[0] == 250


def test_received_names_a_lone_recipient_and_the_protocol(shared):
    c = shared.connect()
    n = len(shared.jobs)
    c.do("HELO bad(name\\")
    c.envelope("", ["u1@campus.test"]).do(MESSAGE + b".\r\n")
    job = shared.wait_jobs(n + 1)[n]
    assert b" with SMTP id " in job.received and b"\n  for <u1@campus.test>;\n" in job.received
    assert b"from bad?name? ([192.0.2.7])\n" in job.received
    assert job.record("S") == [b""]


@pytest.mark.parametrize("sent,header,body", [
    (b"", b"\n", b""),
    (b"\r\n", b"\n", b""),
    (b"\r\nbody\r\n", b"\n", b"body\n"),
    (b"A: b\r\n", b"A: b\n\n", b""),
    (b"A: b\r\n\r\n", b"A: b\n\n", b""),
    (b"A: b\r\nno field\r\n", b"A: b\n\n", b"no field\n"),
    (b"no field\r\nA: b\r\n", b"\n", b"no field\nA: b\n"),
    (b" leading blank\r\n\r\nx\r\n", b"\n", b" leading blank\n\nx\n"),
])
def test_header_always_ends_with_a_blank_line(shared, sent, header, body):
    c = shared.connect()
    n = len(shared.jobs)
    c.start()
    assert c.do(sent + b".\r\n")[0] == 250
    job = shared.wait_jobs(n + 1)[n]
    assert job.header == job.received + header and job.body == body


def test_pipelining_replies_in_one_piece(shared):
    c = shared.connect()
    c.ehlo()
    c.send(f"{M}\r\n{R}\r\nRCPT TO:<nobody@campus.test>\r\nDATA\r\n")
    assert [c.reply()[0] for _ in range(4)] == [250, 250, 550, 354]
    n = len(shared.jobs)
    c.send(MESSAGE + b".\r\n" + f"{M}\r\n{R}\r\nQUIT\r\n".encode())
    assert [c.reply()[0] for _ in range(4)] == [250, 250, 250, 221]
    assert shared.wait_jobs(n + 1)[n].message == MESSAGE.replace(b"\r\n", b"\n") and c.closed()


@pytest.mark.parametrize("setup,group", [
    ([], b"EHLO client.test\r\nMAIL FROM:<a@far.test>\r\n"), ([], b"HELO client.test\r\nNOOP\r\n"),
    ([E, M, R], b"DATA\r\nSubject: x\r\n\r\n.\r\n"),
])
def test_pipelining_that_2920_forbids(shared, setup, group):
    c = shared.connect()
    for line in setup:
        c.do(line)
    n = len(shared.jobs)
    code, text = c.do(group)
    assert code == 554 and "5.5.0" in text and c.closed() and len(shared.jobs) == n


def test_split_at_every_octet(shared):
    whole = f"EHLO client.test\r\n{M}\r\n{R}\r\nDATA\r\n".encode()
    c = shared.connect()
    for b in whole:
        c.send(bytes([b]))
        time.sleep(0.0005)
    assert [c.reply()[0] for _ in range(4)] == [250, 250, 250, 354]
    n = len(shared.jobs)
    for b in b"A: b\r\n\r\n..x\r\n.\r\n":
        c.send(bytes([b]))
        time.sleep(0.0005)
    assert c.reply()[0] == 250
    assert shared.wait_jobs(n + 1)[n].message == b"A: b\n\n.x\n"


def sequences():
    """Every one; tests/unit/smtpd-outside/data.c has them at every split, with one letter more."""
    alphabet = [b"\r", b"\n", b"\0", b"."]
    for n in range(1, 7):
        yield from (b"".join(s) for s in itertools.product(alphabet, repeat=n))


def test_smuggling(shared):
    """A message with such a sequence in it is one message, octet for octet, or none; what is behind a false end never runs."""
    taken = 0
    for number, s in enumerate(sequences()):
        inner = b"Subject: one\r\n\r\nfirst" + s + b"MAIL FROM:<evil@far.test>\r\nRCPT TO:<u2@campus.test>\r\nDATA\r\nsecond\r\n"
        data = inner + b".\r\n"
        end = data.index(b"\r\n.\r\n") + 5
        message = data[:end - 3]
        bad = b"\0" in message or message.count(b"\r\n") != message.count(b"\r") or message.count(b"\r\n") != message.count(b"\n")
        n = len(shared.jobs)
        c = shared.connect()
        c.start()
        split = data.index(s) - 2 + number % (len(s) + 4)
        c.send(data[:split])
        time.sleep(0.001)
        c.send(data[split:])
        code, text = c.reply()
        if bad:
            assert (code, text[:5]) == (550, "5.6.0") and c.closed(), (s, code, text)
            assert len(shared.jobs) == n, s
        else:
            assert code == 250, (s, text)
            taken += 1
            job = shared.wait_jobs(n + 1)[n]
            want = b"".join((l[1:] if l.startswith(b".") else l) for l in message.replace(b"\r\n", b"\n").splitlines(True))
            assert job.message == want, s
            if end == len(data):
                assert len(shared.jobs) == n + 1, s
            for part in (job.header, job.body):
                assert b"\r" not in part and b"\0" not in part
        c.close()
    assert number == 5459 and 30 < taken < 300, taken


def test_refused_octets_are_named(shared):
    for octets, name in ((b"a\nb", "bare LF"), (b"a\rb", "bare CR"), (b"a\0b", "NUL")):
        c = shared.connect()
        c.start()
        code, text = c.do(b"Subject: x\r\n\r\n" + octets + b"\r\n.\r\n")
        assert code == 550 and text.startswith(f"5.6.0 the message contains a {name}"), text
        assert text.split()[-1].isalnum() and len(text.split()[-1]) == 13 and c.closed()


def test_dsn_and_utf8_records(shared):
    c = shared.connect()
    n = len(shared.jobs)
    c.ehlo()
    assert c.do("MAIL FROM:<jürgen@münchen.test> SMTPUTF8 BODY=8BITMIME RET=HDRS ENVID=a+2Bb".encode() + b"\r\n")[0] == 250
    assert c.do("RCPT TO:<käthe@relayed.test> NOTIFY=SUCCESS,DELAY ORCPT=utf-8;käthe@other.test".encode() + b"\r\n")[0] == 250
    assert c.do("RCPT TO:<u1@campus.test> NOTIFY=NEVER")[0] == 250
    assert c.do("RCPT TO:<u2@campus.test> ORCPT=rfc822;u2@old.test")[0] == 250
    assert c.do("DATA")[0] == 354 and finish(c)[0] == 250
    job = shared.wait_jobs(n + 1)[n]
    assert [r for r in job.records if r[0] in "SED86RON"] == [
        ("S", "jürgen@münchen.test".encode()), ("E", b"a+2Bb"), ("D", b"H"), ("8", b""), ("6", b""),
        ("R", "käthe@relayed.test".encode()), ("O", "utf-8;käthe@other.test".encode()), ("N", b"SD"),
        ("R", b"u1@campus.test"), ("N", b"N"), ("R", b"u2@campus.test"), ("O", b"rfc822;u2@old.test")]
    assert b" with UTF8SMTP id " in job.received
    c.envelope()
    finish(c)
    job = shared.wait_jobs(n + 2)[n + 1]
    assert not [r for r in job.records if r[0] in "ED86YON"], "nothing of the message before"


def test_huge_line_and_memory(start):
    d = start(timeoutsmtpd="60")
    c = d.connect()
    done = threading.Event()

    def pour():
        try:
            for _ in range(100):
                c.send(b"x" * 1_000_000)
        except OSError:
            pass
        done.set()
    pid = d.children()[0]
    peak = looked = 0
    while not done.is_set():
        try:
            status = pathlib.Path(f"/proc/{pid}/status").read_text()
        except FileNotFoundError:
            break
        if not looked:
            threading.Thread(target=pour, daemon=True).start()
        looked += 1
        peak = max([peak] + [int(l.split()[1]) for l in status.splitlines() if l.startswith("VmHWM")])
        time.sleep(0.02)
    assert c.reply()[0] == 500 and c.closed()
    assert 0 < peak < 8 * 1024, f"{peak} KiB"


def test_memory_of_a_huge_message(start):
    d = start(databytes="300000000")
    c = d.connect()
    c.start()
    pid = d.children()[0]
    block = b"y" * 70 + b"\r\n"
    c.send(b"Subject: x\r\n\r\n")
    for _ in range(200):
        c.send(block * 14000)
    status = pathlib.Path(f"/proc/{pid}/status").read_text()
    anonymous = [int(l.split()[1]) for l in status.splitlines() if l.startswith(("RssAnon", "VmData"))]
    assert max(anonymous) < 8 * 1024, status
    assert c.do(b".\r\n")[0] == 250
    assert len(d.jobs[0].body) == 71 * 14000 * 200


def test_size_lies(start):
    d = start(databytes="2000")
    c = d.connect()
    c.ehlo()
    assert c.do("MAIL FROM:<a@far.test> SIZE=100")[0] == 250
    assert c.do(R)[0] == 250 and c.do("DATA")[0] == 354
    code, text = c.do(b"A: b\r\n\r\n" + b"x" * 1981 + b"\r\n.\r\n")  # 2000 with its end
    assert code == 552 or code == 250
    c.envelope()
    code, text = c.do(b"A: b\r\n\r\n" + b"x" * 5000 + b"\r\n.\r\n")
    assert code == 552 and text.startswith("5.3.4 messages may have 2000 octets here"), text
    assert c.do("NOOP")[0] == 250, "the session goes on"
    c.envelope()
    code, text = c.do(b"A: b\r\n\r\n" + b"x" * 1000 + b"\r\n.\r\n")
    assert code == 250


def test_endless_message_is_cut_off(start):
    d = start(databytes="2000")
    c = d.connect(tcp=True)
    c.start()
    sent = 0
    try:
        while sent < 200_000_000:
            c.send(b"x" * 65536)
            sent += 65536
    except OSError:
        pass
    assert sent < 60_000_000, sent


def test_header_limit(shared):
    c = shared.connect()
    c.start()
    field = b"X: " + b"y" * 990 + b"\r\n"
    code, text = c.do(field * 1100 + b"\r\nbody\r\n.\r\n")
    assert (code, text[:5]) == (552, "5.3.4"), text
    c.envelope()
    assert c.do(field * 1000 + b"\r\nbody\r\n.\r\n")[0] == 250


def test_hops(start):
    d = start(maxhops="10")
    c = d.connect()
    c.start()
    assert c.do(b"Received: x\r\n" * 10 + b"\r\n.\r\n")[0] == 250
    c.envelope()
    code, text = c.do(b"Received: x\r\n" * 9 + b"delivered-to: a\r\nReceived: y\r\n" + b"\r\n.\r\n")
    assert (code, text[:5]) == (554, "5.4.6"), text


def test_maxrcpt(start):
    d = start(maxrcpt="100")
    c = d.connect()
    c.ehlo()
    c.do(M)
    for i in range(100):
        assert c.do(f"RCPT TO:<u{i}@relayed.test>")[0] == 250
    code, text = c.do("RCPT TO:<one@relayed.test>")
    assert (code, text[:5]) == (452, "4.5.3")
    assert c.do("DATA")[0] == 354 and c.do(MESSAGE + b".\r\n")[0] == 250
    assert len(d.wait_jobs(1)[0].record("R")) == 100
