"""clauses.tsv against the whole suite: each clause of the SMTP standards that a server has to do with, on the port where it matters."""
import pathlib
import re
import socket

import pytest

from conftest import whole_suite
from smtp_client import Client
from submission import SECRET, all_ports, people, plain, ssha

TABLE = pathlib.Path(__file__).with_name("clauses.tsv")
SHORT = {"E": "EHLO client.test", "M": "MAIL FROM:<a@far.test>", "R": "RCPT TO:<u1@campus.test>"}
ESCAPES = {"r": b"\r", "n": b"\n", "t": b"\t", "0": b"\0", "\\": b"\\"}


def rows():
    for number, line in enumerate(TABLE.read_text().splitlines(), 1):
        if line and not line.startswith("#"):
            yield number, *line.split("\t")


def octets(text):
    """The octets of a command of the table."""
    end = b"\r\n"
    if text.endswith("\\c"):
        text, end = text[:-2], b""
    text = re.sub(r"\{(.)\*(\d+)\}", lambda m: m[1] * int(m[2]), text)
    return b"".join(ESCAPES[m[1]] if m[1] else bytes.fromhex(m[2]) if m[2] else m[0].encode()
                    for m in re.finditer(r"\\([rnt0\\])|\\x(..)|.", text)) + end


class Strict(Client):
    """On port 25, 587 or 465, with TLS ("t") or logged in too ("a").  A reply is its code and its lines."""
    def __init__(self, suite, on):
        port = {"25": suite.port, "58": suite.s587, "46": suite.s465}[on[:2]]
        super().__init__(socket.create_connection(("127.0.0.1", port), 20))
        if on == "465":
            self.wrap("mx1.campus.test")
        assert self.reply()[0] == "220"
        if on[-1] in "ta":
            self.must(b"EHLO client.test\r\n", "250")
            self.must(b"STARTTLS\r\n", "220")
            self.wrap("mx1.campus.test")
        if on[-1] == "a":
            self.must(b"EHLO client.test\r\n", "250")
            self.must(f"AUTH PLAIN {plain('u1', SECRET)}\r\n".encode(), "235")

    def line(self):
        line = super().line()
        assert len(line) + 1 < 512, line
        return line

    def reply(self):
        code, text = super().reply()
        return str(code), text.split("\n")

    def must(self, data, code):
        got = self.do(data)
        assert got[0] == code, (data, got)


def check(got, want):
    code, words = want[:3], want[4:]
    assert got[0] == code, f"{got} instead of {want}"
    if words.startswith("*"):
        assert words[1:] in got[1], got
    elif words.startswith("!"):
        assert not [line for line in got[1] if line.split(" ")[0] == words[1:]], got
    else:
        assert got[1][0].startswith(words), f"{got} instead of {want}"
        # RFC 2034 4: the class of the enhanced code is that of the reply; every other reply than those to EHLO, 3yz and 220 has one
        if code[0] in "245" and code != "220" and words[:1] in "245" and words:
            assert re.match(rf"{code[0]}\.\d{{1,3}}\.\d{{1,3}} ", got[1][0]), got


@pytest.fixture(scope="module")
def site():
    with whole_suite() as s:
        all_ports(s)
        s.control("rcpthosts", "relayed.test")
        s.control("smtproutes", ":127.0.0.1:1")
        s.control("directory.ldif", people(ssha(SECRET)).replace("uid: u2\n", "uid: u2\nmailAlternateAddress: jürgen@campus.test\n", 1))
        yield s.start()


def test_the_table_is_whole():
    table = list(rows())
    assert len(table) >= 200 and all(len(r) == 6 for r in table)
    named = {r[1].split()[0] for r in table}
    assert named >= {"5321", "3207", "4954", "1870", "2920", "3030", "3461", "6152", "6531"}
    assert len({r[2:6] for r in table}) == len(table), "no case stands there twice"


@pytest.mark.parametrize("row", rows(), ids=lambda r: f"{r[0]}-{r[1]}")
def test_clause(site, row):
    number, clause, on, before, send, expect = row
    c = Strict(site, on)
    try:
        for command in filter(None, before.split(" | ")):
            c.sock.sendall(octets(SHORT.get(command, command)))
            c.reply()
        c.sock.sendall(octets(send))
        wants = expect.split(" | ")
        for want in wants:
            if want == "closed":
                assert c.closed()
            else:
                check(c.reply(), want)
        if wants[-1] != "closed" and not wants[-1].startswith("3"):
            c.must(b"NOOP\r\n", "250")
    finally:
        c.close()
