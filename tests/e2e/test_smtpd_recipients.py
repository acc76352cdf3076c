"""postern-smtpd alone: who is refused by lists, HELO checks and tables of recipients, and what those meet who look for recipients."""
import struct

import pytest

from smtpd_alone import E, M, ME, R, finish, shared, start  # noqa: F401 (fixtures)
from timing import measured, seconds_of, within


def test_harvest_ends_the_session(shared):
    c = shared.connect()
    c.ehlo()
    c.do(M)
    codes = []
    with pytest.raises((EOFError, OSError)):
        for i in range(100):
            codes.append(c.do(f"RCPT TO:<guess{i}@campus.test>")[0])
            if codes[-1] == 421:
                c.reply()
    assert codes.count(550) == 10 and codes.count(451) == 10 and codes.count(421) <= 1


def test_harvesters_get_one_answer(start):
    """From the limit on known and unknown recipients, of any domain of ours, cannot be told apart, and nobody is asked; what was accepted is kept."""
    d = start(brtlimit="5")
    c = d.connect()
    c.ehlo()
    c.do(M)
    assert c.do(R)[0] == 250
    for i in range(5):
        assert c.do(f"RCPT TO:<guess{i}@campus.test>")[0] == 550
    asked = len(d.questions)
    answers = {c.do(f"RCPT TO:<{r}>") for r in ("guess5@campus.test",)}
    assert len(d.questions) == asked + 1, "the guess that reaches the limit is still looked up"
    answers |= {c.do(f"RCPT TO:<{r}>") for r in ("u2@campus.test", "off@campus.test", "soft@campus.test", "any@relayed.test", "guess6@campus.test")}
    assert len(answers) == 1 and {a[0] for a in answers} == {451}, answers
    assert len(d.questions) == asked + 1
    assert c.do("RCPT TO:<postmaster@campus.test>")[0] == 250, "RFC 5321 4.5.1"
    assert c.do("DATA")[0] == 354 and finish(c)[0] == 250
    assert d.wait_jobs(1)[0].record("R") == [b"u1@campus.test", b"postmaster@campus.test"]
    c = d.connect({"VALIDRCPTTO_LIMIT": "1"})
    c.ehlo()
    c.do(M)
    assert [c.do(f"RCPT TO:<g{i}@campus.test>")[0] for i in range(3)] == [550, 451, 451]
    c = d.connect({"RELAYCLIENT": ""})
    c.ehlo()
    c.do(M)
    assert [c.do(f"RCPT TO:<g{i}@campus.test>")[0] for i in range(8)] == [550] * 8, "a campus host is believed"


def test_tarpit(start):
    d = start(tarpitdelay="1", tarpitcount="2")

    def quick(before, command, count, code, **variables):
        """A session in which the first COUNT times COMMAND are answered at once."""
        def measure():
            c = d.connect(variables)
            for line in before:
                c.do(line)
            codes, seconds = seconds_of(lambda: [c.do(command)[0] for _ in range(count)])
            assert codes == [code] * count
            return c, seconds
        return measured(0.5, measure)
    c = quick([E, M], R, 2, 250)
    assert within(2, lambda: c.do(R), 0.9)[0] == 250
    quick([E, M], R, 5, 250, TARPITDELAY="0")
    c = quick([], "FOO", 10, 500)
    assert within(2, lambda: c.do("FOO"), 0.9)[0] == 500


LISTS = {"badhelo": "localhost\n.dyn.test\n-mail.dyn.test\n", "badhelonorelay": "*-*-*.isp.test\n", "badmailfrom": "spam@far.test\n@bad.test\n-good@bad.test\n",
         "badmailfromnorelay": "@campus.test\n", "badrcptto": "trap@relayed.test\n", "badmailto": "u2@campus.test\n", "badrcpttonorelay": "staff@relayed.test\n"}
LIST_ROWS = [
    ("ok.test", "a@far.test", "u1@campus.test", {}, 250, ""),
    ("localhost", "a@far.test", "u1@campus.test", {}, 553, "hosts that say this name"),
    ("LocalHost", "a@far.test", "u1@campus.test", {"RELAYCLIENT": ""}, 553, "hosts that say this name"),
    ("localhost", "a@far.test", "u1@campus.test", {"NOBADHELO": ""}, 250, ""),
    ("a.dyn.test", "a@far.test", "u1@campus.test", {}, 553, "hosts that say this name"),
    ("mail.dyn.test", "a@far.test", "u1@campus.test", {}, 250, ""),
    ("1-2-3.isp.test", "a@far.test", "u1@campus.test", {}, 553, "hosts that say this name"),
    ("1-2-3.isp.test", "a@far.test", "u1@campus.test", {"RELAYCLIENT": ""}, 250, ""),
    ("ok.test", "Spam@Far.test", "u1@campus.test", {}, 553, "mail from this sender"),
    ("ok.test", "any@bad.test", "u1@campus.test", {"RELAYCLIENT": ""}, 553, "mail from this sender"),
    ("ok.test", "good@bad.test", "u1@campus.test", {}, 250, ""),
    ("ok.test", "u9@campus.test", "u1@campus.test", {}, 553, "mail from this sender"),
    ("ok.test", "u9@campus.test", "u1@campus.test", {"RELAYCLIENT": ""}, 250, ""),
    ("ok.test", "", "u1@campus.test", {}, 250, ""),
    ("ok.test", "a@far.test", "trap@relayed.test", {}, 553, "mail for <trap@relayed.test>"),
    ("ok.test", "a@far.test", "u2@campus.test", {}, 553, "mail for <u2@campus.test>"),
    ("ok.test", "a@far.test", "staff@relayed.test", {}, 553, "mail for <staff@relayed.test>"),
    ("ok.test", "a@far.test", "staff@relayed.test", {"RELAYCLIENT": ""}, 250, ""),
    ("localhost", "spam@far.test", "postmaster@campus.test", {}, 250, ""),
    ("localhost", "spam@far.test", "postmaster", {}, 250, ""),
    ("localhost", "spam@far.test", "postmaster@relayed.test", {}, 250, ""),
    ("localhost", "spam@far.test", "postmaster@other.test", {}, 553, "hosts that say this name"),
]


def test_lists(start):
    d = start(**LISTS)
    for helo, sender, rcpt, variables, code, text in LIST_ROWS:
        c = d.connect(variables)
        assert c.do(f"EHLO {helo}")[0] == 250 and c.do(f"MAIL FROM:<{sender}>")[0] == 250
        got = c.do(f"RCPT TO:<{rcpt}>")
        assert got[0] == code and got[1].startswith("5.7.1 " + text if text else "2.1.5"), (helo, sender, rcpt, variables, got)
        c.close()
    log = d.log().replace('"', "")
    for line in ("badmailfrom line=@bad.test", "badmailfromnorelay line=@campus.test", "badhelo line=localhost", "badhelonorelay line=*-*-*.isp.test", "badrcptto line=trap@relayed.test",
                 "badrcpttonorelay line=staff@relayed.test"):
        assert f"smtpd-listed list={line}\n" in log, line


HELO_ROWS = [
    ("mail.far.test", "u1@campus.test", {}, "250 "),
    ("[192.0.2.7]", "u1@campus.test", {}, "250 "),
    ("friend", "u1@campus.test", {}, "550 5.7.1 the name in your HELO is no full host name; say your host's full name"),
    ("192.0.2.7", "u1@campus.test", {}, "550 5.7.1 the name in your HELO is no full host name"),
    ("[192.0.2.99]", "u1@campus.test", {}, "550 5.7.1 the name in your HELO is not your address"),
    (ME, "u1@campus.test", {}, "550 5.7.1 the name in your HELO is this site's own"),
    ("campus.test", "u1@relayed.test", {}, "550 5.7.1 the name in your HELO is this site's own"),
    ("friend", "postmaster@campus.test", {}, "250 "),
    ("friend", "u1@campus.test", {"RELAYCLIENT": ""}, "250 "),
    ("friend", "u1@campus.test", {"NOBADHELO": ""}, "250 "),
    ("friend", "u1@campus.test", {"HELOCHECK": "0"}, "250 "),
]


def test_helocheck(start):
    d = start(helocheck="1")
    for helo, rcpt, variables, answer in HELO_ROWS:
        c = d.connect(variables)
        assert c.do(f"EHLO {helo}")[0] == 250 and c.do(M)[0] == 250, "refused at RCPT alone, so that the log has sender and recipient"
        got = "%d %s" % c.do(f"RCPT TO:<{rcpt}>")
        assert got.startswith(answer), (helo, rcpt, variables, got)
        c.close()
    assert "helo=friend" in d.log() and "your HELO is no full host name" in d.log()


def test_helocheck_is_off_by_default(start):
    d = start()
    for variables, code in ({}, 250), ({"HELOCHECK": "1"}, 550):
        c = d.connect(variables)
        c.do("HELO friend")
        c.do(M)
        assert c.do("RCPT TO:<u1@campus.test>")[0] == code
        c.close()


def cdb(records):
    """A constant database (D. J. Bernstein's format)."""
    data, tables = b"", [[] for _ in range(256)]
    for k, v in records.items():
        k, v = k.encode(), v.encode()
        h = 5381
        for b in k:
            h = ((h << 5) + h ^ b) & 0xffffffff
        tables[h & 255].append((h, 2048 + len(data)))
        data += struct.pack("<II", len(k), len(v)) + k + v
    head, tail = b"", b""
    for t in tables:
        slots = [(0, 0)] * (2 * len(t))
        for h, at in t:
            i = (h >> 8) % len(slots)
            while slots[i][1]:
                i = (i + 1) % len(slots)
            slots[i] = (h, at)
        head += struct.pack("<II", 2048 + len(data) + len(tail), len(slots))
        tail += b"".join(struct.pack("<II", *s) for s in slots)
    return head + data + tail


def test_validrcptto(start):
    d = start(validrcptto__cdb=cdb({"known@relayed.test": "", "list-default@relayed.test": "", "gone@relayed.test": "-", "@x.below.test": "", "u2@campus.test": "-",
                                    "soft@campus.test": ""}))

    def rcpt(address, variables=None):
        c = d.connect(variables)
        c.ehlo()
        c.do(M)
        code = c.do(f"RCPT TO:<{address}>")[0]
        c.close()
        return code
    assert rcpt("known@relayed.test") == 250 and rcpt("Known@Relayed.test") == 250
    assert rcpt("list-any-thing@relayed.test") == 250 and rcpt("any@x.below.test") == 250
    assert rcpt("other@relayed.test") == 550 and rcpt("gone@relayed.test") == 550 and rcpt("any@y.below.test") == 550
    assert rcpt("other@relayed.test", {"RELAYCLIENT": ""}) == 250, "as in the patch: not for clients that relay"
    assert rcpt("postmaster@relayed.test") == 250, "RFC 5321 4.5.1"
    asked = len(d.questions)
    assert rcpt("u2@campus.test") == 550 and len(d.questions) == asked, "an entry with - refuses whom the directory knows"
    assert rcpt("u1@campus.test") == 250, "the directory knows it; the table need not"
    assert rcpt("nobody@campus.test") == 550
    assert rcpt("soft@campus.test") == 250, "the table knows it while the directory does not answer"
    assert "smtpd-recipient" not in d.log()
    assert rcpt("u1@campus.test", {"VALIDRCPTTO_LOG": "2"}) == 250 and "smtpd-recipient rcpt=u1@campus.test" in d.log()


def test_a_stale_list_is_no_harvest(shared):
    c = shared.connect()
    c.ehlo()
    c.do(M)
    for i in range(60):
        assert c.do("RCPT TO:<u1@campus.test>")[0] == 250
        assert c.do(f"RCPT TO:<gone{i}@campus.test>")[0] == 550
    assert c.do("DATA")[0] == 354
