"""Why a recipient cannot be looked up for the moment, in the log of the session (smtpd_alone.py)."""
import socket

import pytest

from smtpd_alone import start  # noqa: F401 (a fixture)


def rejects(d):
    return [line for line in d.log().splitlines() if " smtpd-reject " in line]


@pytest.mark.parametrize("how", [None, "gone", "soft"])
def test_each_reason(start, how):
    """No answer, no directory, an answer that says why."""
    d = start()
    if how == "gone":
        d.pairs["directory"][0].shutdown(socket.SHUT_RDWR)
        d.pairs["directory"][0].close()
    d.directory_answers = how if how is None else True
    c = d.connect()
    c.ehlo()
    c.do("MAIL FROM:<a@far.test>")
    assert c.do("RCPT TO:<soft@campus.test>")[0] == 451
    line, = rejects(d)
    assert line.endswith(' reason="the server is down"' if how == "soft" else ' reason="no answer from the directory: the other side is gone"')


def test_the_directory_s_reason_is_in_the_log(start):
    """For each recipient that has to wait, in the line of its refusal, so that a thousand recipients are a thousand lines as ever; the client does not hear it."""
    d = start()
    c = d.connect()
    c.ehlo()
    c.do("MAIL FROM:<a@far.test>")
    replies = {c.do("RCPT TO:<soft@campus.test>")[1].rsplit(" ", 1)[0] for _ in range(300)}
    assert replies == {"4.3.0 <soft@campus.test> cannot be looked up for the moment, try again"}
    assert c.do("RCPT TO:<nobody@campus.test>")[0] == 550
    c.do("QUIT")
    *soft, unknown = rejects(d)
    assert len(soft) == 300 and all(' argument=TO:<soft@campus.test> ' in line and line.endswith(' reason="the server is down"') for line in soft)
    assert " reply=\"550 5.1.1" in unknown and " reason=" not in unknown
    assert len(d.log().splitlines()) < 310
