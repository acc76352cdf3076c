"""Mail that waits for the directory alone, with a real slapd stopped and started."""
import datetime
import os
import signal
import subprocess
import time

import pytest

import slapd
from conftest import BIN, free_port, wait_for


COUNT = 250


def moments(suite, event):
    """When it was logged."""
    out = []
    for line in suite.log().splitlines():
        stamp, _, _, what = (line + "   ").split(" ")[:4]
        if what == event:
            out.append(datetime.datetime.fromisoformat(stamp.replace("Z", "+00:00")).timestamp())
    return out


@pytest.mark.skipif(not os.path.exists("/usr/sbin/slapd"), reason="slapd")
def test_directory_that_comes_back(suite, tmp_path):
    """While no LDAP server answers mail waits by the curve, one message being tried now and then; when it is back, what waits for it alone is delivered within seconds, a
    few first, whatever its next attempt was; what waits for another reason is left alone."""
    ldap = slapd.Slapd(tmp_path / "slapd", slapd.TREE + "".join(slapd.person(f"w{i}") for i in range(COUNT + 1))).start()
    slapd.asked_by(suite, ldap)
    suite.control("smtproutes", f"far.test:127.0.0.1:{free_port()}")
    suite.start()

    def inject(*to):
        env = {"PATH": os.environ["PATH"], "POSTERN_STATE": str(suite.state)}
        subprocess.run([str(BIN / "sendmail"), "-f", "w0@campus.test", *to], input=b"Subject: later\n\nhello\n", check=True, env=env, timeout=30)
    inject("w0@campus.test")
    wait_for(lambda: len(suite.mails("w0")) == 1)
    ldap.kill()
    away = time.monotonic()
    for i in range(1, COUNT + 1):
        inject(f"w{i}@campus.test")
    inject("w1@campus.test", "x@far.test")
    wait_for(lambda: len(suite.json("queue", "list", "state=waiting")) == COUNT + 1)
    p = suite.postern("queue", "status")
    assert f"{COUNT} messages wait because the directory gives no answer" in p.stdout, p.stdout
    time.sleep(25)
    waiting = suite.json("queue", "list", "state=waiting")
    tries = next(n for n in range(20) if 5 * (2 ** (n + 1) - 1) > time.monotonic() - away)  # queue/comeback.h: after 5 s at the earliest, then 10, 20, …
    assert len(waiting) == COUNT + 1 and sum(m["attempts"] for m in waiting) <= COUNT + 3 + tries
    assert sum(m["next"] - m["time"] > 90 for m in waiting) >= COUNT - 10  # by the curve, however long the machine took for 250 of them
    os.kill(suite.pids("queue")[0], signal.SIGKILL)  # and over a restart
    wait_for(lambda: suite.postern("queue", "status").returncode in (0, 1))
    began = time.time()
    ldap.start()
    try:
        wait_for(lambda: sum(len(suite.mails(f"w{i}")) for i in range(1, COUNT + 1)) == COUNT, 60, lambda: suite.postern("queue", "list").stdout)
        left = suite.json("queue", "list")
        assert [m["reason"].split(":")[0] for m in left] and len(left) == 1 and left[0]["waiting"] == 2
        assert time.time() - began < 60
        # no storm: few at first, then more
        back, done = moments(suite, "queue-comeback")[-1], [t for t in moments(suite, "queue-done") if t > began]
        assert len(done) == COUNT
        assert sum(t < back + 1 for t in done) <= 8 and sum(t < back + 2.5 for t in done) <= 40 and max(done) > back + 4, [round(t - back, 1) for t in done]
    finally:
        ldap.kill()
