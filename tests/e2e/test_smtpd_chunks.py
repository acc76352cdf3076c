"""postern-smtpd alone: messages in chunks (BDAT, RFC 3030)."""
import socket

import pytest

from smtpd_alone import E, M, R, shared, start  # noqa: F401 (fixtures)


def chunks(data, sizes, last=True):
    """DATA as BDAT commands of these sizes, the rest in the last one."""
    out, at = b"", 0
    for n in sizes:
        out += b"BDAT %d\r\n" % n + data[at:at + n]
        at += n
    return out + b"BDAT %d%s\r\n" % (len(data) - at, b" LAST" if last else b"") + data[at:]


def chunked(shared, data, sizes=(), pieces=None):
    """Send DATA by BDAT, pipelined with MAIL and RCPT; the last reply and the job, if any came."""
    c = shared.connect()
    n = len(shared.jobs)
    c.ehlo()
    whole = f"{M}\r\n{R}\r\n".encode() + chunks(data, sizes) + b"NOOP\r\n"
    for i in range(0, len(whole), pieces or len(whole)):
        c.send(whole[i:i + (pieces or len(whole))])
    replies = [c.reply() for _ in range(len(sizes) + 3)]
    assert [r[0] for r in replies[:-1]] == [250] * (len(sizes) + 2), replies
    if replies[-1][0] == 250:
        assert c.reply()[0] == 250, "the command behind the chunk is read"
    else:
        assert c.closed()
    c.close()
    return replies[-1], shared.jobs[n] if len(shared.jobs) > n else None


def test_bdat(shared):
    reply, job = chunked(shared, b"Subject: x\r\n\r\n.\r\n..x\r\nend\r\n")
    assert reply == (250, f"2.0.0 ok {job.id}") and job.message == b"Subject: x\n\n.\n..x\nend\n"
    for data, message in ((b"", b"\n"), (b"no end", b"\nno end\n"), (b"A: b", b"A: b\n\n"), (b"A: b\r\n\r\nx", b"A: b\n\nx\n"), (b"\r\n.", b"\n.\n")):
        assert chunked(shared, data)[1].message == message, data


def test_bdat_in_any_chunks_and_pieces(shared):
    data = b"A: b\r\nC: d\r\n e\r\n\r\n.\r\n\r\nbody\r\n"
    for at in range(len(data) + 1):
        assert chunked(shared, data, [at])[1].message == data.replace(b"\r\n", b"\n"), at
    assert chunked(shared, data, [1] * (len(data) - 1))[1].message == data.replace(b"\r\n", b"\n")
    for pieces in (1, 2, 3, 7):
        assert chunked(shared, data, [3, 0, 9], pieces)[1].message == data.replace(b"\r\n", b"\n"), pieces
    large = b"Subject: x\r\n\r\n" + (b"y" * 70 + b"\r\n") * 20000
    assert chunked(shared, large, [100_000, 1, 700_001], 65_521)[1].message == large.replace(b"\r\n", b"\n")


@pytest.mark.parametrize("data,name", [(b"a\nb\r\n", "bare LF"), (b"a\rb\r\n", "bare CR"), (b"a\0b\r\n", "NUL"), (b"a\r", "bare CR"), (b"\n", "bare LF")])
def test_bdat_keeps_to_the_rule_of_line_ends(shared, data, name):
    n = len(shared.jobs)
    for sizes in ([], [1]):
        c = shared.connect()
        c.ehlo()
        c.send(f"{M}\r\n{R}\r\n".encode() + chunks(data, sizes))
        replies = [c.reply()]
        while replies[-1][0] < 400:
            replies.append(c.reply())
        assert replies[-1][0] == 550 and name in replies[-1][1] and c.closed()
    assert len(shared.jobs) == n


def test_replies_do_not_wait_for_a_chunk(shared):
    """RFC 2920 3.2 (6): what was asked before BDAT is answered while the chunk is still to come, wanted or not."""
    c = shared.connect()
    c.ehlo()
    n = len(shared.jobs)
    c.send(f"{M}\r\n{R}\r\nBDAT 12 LAST\r\n")
    assert [c.reply()[0] for _ in range(2)] == [250, 250]
    c.send("Subject: x\r\n")
    assert c.reply()[0] == 250 and shared.wait_jobs(n + 1)[n].message == b"Subject: x\n\n"
    c.send(f"{M}\r\nBDAT 3 LAST\r\n")
    assert [c.reply()[0] for _ in range(2)] == [250, 503]
    assert c.do(b"abcNOOP\r\n")[0] == 250


def test_bdat_order(shared):
    c = shared.connect()
    c.ehlo()
    assert c.do(M)[0] == 250 and c.do(R)[0] == 250
    assert c.do(b"BDAT 8\r\nA: b\r\n\r\n")[0] == 250
    for command in (M, R, "DATA"):
        assert c.do(command)[0] == 503, command
    assert c.do("NOOP")[0] == 250
    assert c.do("RSET")[0] == 250
    assert c.do(b"BDAT 2 LAST\r\nxx")[0] == 503, "RSET forgot the chunk and its recipients"
    n = len(shared.jobs)
    assert c.do(M)[0] == 250 and c.do(R)[0] == 250
    assert c.do(b"BDAT 5 LAST\r\nhello")[0] == 250
    assert shared.wait_jobs(n + 1)[n].message == b"\nhello\n"
    assert c.do(b"BDAT 0 LAST\r\n")[0] == 503
    c.do(M), c.do(R)
    assert c.do(b"BDAT 5\r\nhello")[0] == 250
    assert c.do(E)[0] == 250
    assert c.do(R)[0] == 503, "EHLO forgot it too"


@pytest.mark.parametrize("argument", [b"", b"x", b"-1", b"18446744073709551616", b"9223372036854775808", b"1 LATE", b"1 LAST LAST"])
def test_bdat_of_another_form_closes(shared, argument):
    c = shared.connect()
    c.ehlo()
    c.do(M), c.do(R)
    code, text = c.do(b"BDAT " + argument + b"\r\nMAIL FROM:<x@y.z>\r\n")
    assert (code, text[:5]) == (501, "5.5.4") and c.closed()


def test_bdat_size(start):
    d = start(databytes="2000", timeoutsmtpd="20")
    c = d.connect()
    c.ehlo()
    c.do(M), c.do(R)
    assert c.do(b"BDAT 1500\r\n" + b"x" * 1500)[0] == 250
    assert c.do(b"BDAT 501\r\n" + b"x" * 501) [0] == 552
    assert c.do(b"BDAT 1 LAST\r\nx")[0] == 552, "the whole message failed"
    assert c.do("NOOP")[0] == 250
    c.do(M), c.do(R)
    assert c.do(b"BDAT 2000 LAST\r\n" + b"x" * 2000)[0] == 250
    for size in (2**31, 2**32, 2**62):
        c = d.connect()
        c.ehlo()
        c.do(M), c.do(R)
        c.send(b"BDAT %d LAST\r\n" % size)
        sent = 0
        try:
            while sent < 100_000_000:
                c.send(b"x" * 65536)
                sent += 65536
        except OSError:
            pass
        assert sent < 60_000_000
        assert c.reply()[0] == 552 and c.closed()
        c = d.connect()
        c.ehlo()
        code, text = c.do(b"BDAT %d LAST\r\n" % size)
        assert code == 503 and c.closed(), "too much to be skipped"
    assert len(d.jobs) == 1


def test_bdat_broken_off(start):
    """At every octet of two chunks: nothing is passed on, and nothing stays."""
    d = start()
    whole = chunks(b"A: b\r\n\r\nbody\r\n", [6])
    for at in range(len(whole)):
        c = d.connect()
        c.ehlo()
        c.do(M), c.do(R)
        c.send(whole[:at])
        c.sock.shutdown(socket.SHUT_WR)
        try:
            while True:
                assert c.reply()[0] == 250
        except (EOFError, ConnectionResetError):
            pass
        c.close()
    assert d.jobs == []
