"""Mass mail: one message to many recipients is stored once and does not delay a person's mail; each recipient gets one copy.  MASS=20000 for the full size."""
import itertools
import os
import subprocess
import time

from conftest import BIN, wait_for
from timing import measured

COUNT = int(os.environ.get("MASS", "1000"))
BASE = "ou=people,dc=campus,dc=test"


def test_many_recipients(suite):
    users = "".join(f"\ndn: uid=m{i},{BASE}\nobjectClass: qmailUser\nuid: m{i}\nmail: m{i}@campus.test\n" for i in range(COUNT))
    suite.control("directory.ldif", (suite.ctl / "directory.ldif").read_text() + users)
    suite.start(60)
    before = suite.json("queue", "status")["live_octets"]
    for n, content in ((0, b"Subject: to all\n\n" + b"z" * 70 + b"\n" * 2 + b"y" * 60000 + b"\n"),
                       (1, b"Flist@campus.test\0" + b"".join(b"Tm%d@campus.test\0" % i for i in range(COUNT)) + b"\0")):
        (suite.folder / f"fd{n}").write_bytes(content)
    rounds = itertools.count(1)

    def one_behind_many():
        """To be measured: the seconds that a person's message takes."""
        round = next(rounds)
        with open(suite.folder / "fd0") as message, open(suite.folder / "fd1") as envelope:
            assert subprocess.run([str(BIN / "qmail-queue")], stdin=message, stdout=envelope, env={"POSTERN_STATE": str(suite.state)}).returncode == 0
        injected = time.monotonic()
        stored = suite.json("queue", "status")["live_octets"] - before
        assert round > 1 or stored < 60000 + 200 + 40 * COUNT, stored  # the body once, and the addresses
        sent = time.monotonic()
        assert suite.send("a@far.test", "u1@campus.test", b"Subject: one\r\n\r\nplease\r\n")[0] == 250
        suite.wait_mail("u1", round)
        took = time.monotonic() - sent
        left = suite.json("queue", "list")
        print(f"{COUNT} recipients first: one message delivered after {took:.2f} s, {left[0]['waiting'] if left else 0} of the many waiting")
        wait_for(lambda: suite.json("queue", "list") == [], 120)
        print(f"all of them after {time.monotonic() - injected:.1f} s")
        assert all(len(suite.mails(f"m{i}")) == round for i in range(COUNT))
        return None, took
    measured(2, one_behind_many)
