"""postern-remote alone: many messages by one connection, and its end."""
import os
import signal
import socket
import threading
import time

from conftest import wait_for
from processes import children
from remote_alone import converse, gone, remote, results  # noqa: F401 (fixtures)
from smtp_server import Scripted


def test_next_by_the_same_connection(remote):
    """The agent is ready for more, and the next messages go by its connection: after RSET where nobody was accepted; QUIT when the queue is done."""
    server = Scripted({"RSET": "250 2.0.0 ok\r\n", "RCPT": ["250 ok\r\n", "550 5.1.1 nobody\r\n", "250 ok\r\n"]})
    agent = remote(server)
    with agent.send(["x@far.test"], "far.test") as mine:
        mine.settimeout(60)
        assert results(mine, 1) == ([("K", "2.0.0", "[127.0.0.1]", "250 2.0.0 taken")], "R")
        assert converse(agent, mine, ["y@far.test"])[0][0][:2] == ("D", "5.1.1")
        got, mark = converse(agent, mine, ["z@far.test"], body=b"third\n")
        assert got[0][0] == "K" and mark == "R"
    wait_for(lambda: server.sessions[0].lines[-1:] == [b"QUIT\r\n"])
    verbs = [x.split()[0].split(b":")[0] for x in server.sessions[0].lines]
    assert verbs == b"EHLO MAIL RCPT DATA MAIL RCPT RSET MAIL RCPT DATA QUIT".split()
    assert len(server.sessions) == 1 and [m[-9:] for m in server.messages] == [b"\r\nhello\r\n", b"\r\nthird\r\n"]


def test_next_to_another_destination(remote):
    """A queue that was taken over cannot send mail of one destination by the connection of another; domains that go by one relay are one destination."""
    server, second = Scripted(), Scripted()
    agent = remote(server, smtproutes=f":127.0.0.1:{server.port}\nother.test:127.0.0.1:{second.port}")
    with agent.send(["x@far.test"], "far.test") as mine:
        results(mine, 1)
        assert converse(agent, mine, ["x@third.test"], destination="third.test")[0][0][0] == "K"
        assert len(server.sessions) == 1
        assert converse(agent, mine, ["x@other.test"], destination="other.test")[0][0][0] == "K"
        assert converse(agent, mine, ["y@FAR.test"], destination="FAR.test")[0][0][0] == "K"
    assert len(server.sessions) == 2 and len(second.sessions) == 1


def test_used_connection_that_serves_no_more(remote):
    """Ended by the far side while it was idle, or answered 421 to MAIL, or gone at MAIL: the message goes by a fresh one, at once."""
    def once(reply):
        state = []

        def answer(talk):
            state.append(talk)
            return reply if len(state) == 2 else "250 2.1.0 ok\r\n"
        return answer
    for replies, pause in (({".": "250 2.0.0 taken\r\n"}, True), ({"MAIL": once("421 4.7.0 enough\r\n")}, False), ({"MAIL": once(None)}, False)):
        server = Scripted(replies)
        agent = remote(server)
        with agent.send(["x@far.test"], "far.test") as mine:
            assert results(mine, 1)[1] == "R"
            if pause:
                server.sessions[0].sock.shutdown(socket.SHUT_RDWR)
                time.sleep(0.2)
            got, mark = converse(agent, mine, ["y@far.test"])
            assert got[0][:2] == ("K", "2.0.0") and mark == "R", (got, replies)
        assert len(server.sessions) == 2 and len(server.messages) == 2
        agent.stop()


def test_used_connection_that_dies(remote):
    """In the middle of the second message: it waits; the agent is not ready for more."""
    def once(at):
        state = []

        def answer(talk):
            state.append(talk)
            return None if len(state) == at else OK_ANSWER
        return answer
    OK_ANSWER = "250 2.0.0 taken\r\n"
    server = Scripted({".": once(2)})
    agent = remote(server)
    with agent.send(["x@far.test"], "far.test") as mine:
        assert results(mine, 1)[1] == "R"
        got, mark = converse(agent, mine, ["y@far.test"])
        assert got[0][:2] == ("Z", "4.4.2") and "twice" in got[0][3] and mark == ""
        assert gone(mine)


def test_how_long_a_connection_is_used(remote):
    server = Scripted()
    agent = remote(server)
    with agent.send(["x@far.test"], "far.test") as mine:
        marks = [results(mine, 1)[1]] + [converse(agent, mine, ["x@far.test"])[1] for _ in range(199)]
        assert marks == ["R"] * 199 + [""]
        assert gone(mine)


def test_too_much_is_marked(remote):
    """421 as the greeting, at MAIL and after the message."""
    for replies, greeting, first in (({}, "421 4.7.0 too many\r\n", "Z"), ({"MAIL": "421 4.7.0 no\r\n"}, "220 far\r\n", "Z"), ({".": "421 4.3.2 off\r\n"}, "220 far\r\n", "Z")):
        agent = remote(Scripted(replies, greeting))
        with agent.send(["x@far.test"], "far.test") as mine:
            got, mark = results(mine, 1)
            assert got[0][0] == first and mark == "B", (got, mark)
        agent.stop()


def test_told_to_stop_while_ready(remote):
    """What the queue has sent before the agent left is delivered, whenever SIGTERM comes."""
    server = Scripted()
    for pause in (0, 0.001, 0.01, 0.1):
        agent = remote(server)
        with agent.send(["x@far.test"], "far.test") as mine:
            assert results(mine, 1)[1] == "R"
            t = threading.Thread(target=agent.stop)
            t.start()
            time.sleep(pause)
            before = len(server.messages)
            try:
                agent.send_on(mine, ["y@far.test"], "far.test")
            except BrokenPipeError:
                assert gone(mine)
            else:
                assert results(mine, 1)[0][0][0] == "K" and len(server.messages) == before + 1
            t.join()


def test_told_to_stop_with_a_delivery_before_it(remote):
    """SIGTERM and the next delivery wait for the worker at the same moment: it leaves, and delivers first."""
    server = Scripted()
    agent = remote(server)
    with agent.send(["x@far.test"], "far.test") as mine:
        mine.settimeout(60)
        assert results(mine, 1)[1] == "R"
        workers = children(agent.process.pid)
        for sig in (signal.SIGSTOP, signal.SIGTERM):
            for pid in workers:
                os.kill(pid, sig)
        agent.send_on(mine, ["y@far.test"], "far.test")
        for pid in workers:
            os.kill(pid, signal.SIGCONT)
        got, mark = results(mine, 1)
        assert got[0][0] == "K", got
        assert gone(mine) and len(server.messages) == 2
