"""The whole suite with each optional part left out: it starts, is ready, runs no program of that part, and mail passes."""
import smtplib

import pytest

from certificates import NO_CHECK, certificate
from conftest import free_port
from submission import SECRET, people, ssha

EVERYTHING = {"door", "smtpd", "tls", "directory", "fixup", "scan", "scanworker", "quarantine", "skim", "queue", "route", "local", "lmtp", "remote",
              "qmqpc", "qmqpd", "inject"}
LISTEN = ["smtp", "submission", "submissions", "qmqp"]
# name: (control files that differ, listeners that are not there, programs that are not there)
VARIANTS = {
    "everything": ({}, [], []),
    "no scanning": ({"scanners": None, "banned": None, "scanpolicy": None}, [], ["scan", "scanworker", "quarantine"]),
    "scanners, no quarantine": ({"scanpolicy": "virus reject\nbanned reject\nerror tempfail"}, [], ["quarantine"]),
    "only names of attachments": ({"scanners": None}, [], []),
    "no rewriting": ({"fixupdomains": None, "canonical": None}, [], []),
    "no rewriting, no submission": ({"fixupdomains": None, "canonical": None}, ["submission", "submissions"], ["fixup", "skim"]),
    "no submission": ({"tcp.submission": None}, ["submission", "submissions"], ["skim"]),
    "no TLS": ({"servercert.pem": None}, ["submission", "submissions"], ["tls", "skim"]),
    "no cluster": ({"qmqproutes": None, "tcp.qmqp": None}, ["qmqp"], ["qmqpd"]),
    "no LMTP": ({"lmtproutes": None}, [], ["lmtp"]),
    "no skim rules": ({"skim": None}, [], []),
    "nothing but mail": ({n: None for n in ("scanners", "banned", "scanpolicy", "fixupdomains", "canonical", "servercert.pem", "qmqproutes", "tcp.qmqp", "skim",
                                            "lmtproutes")}, ["submission", "submissions", "qmqp"],
                         ["scan", "scanworker", "quarantine", "fixup", "tls", "qmqpd", "lmtp", "skim"]),
}


@pytest.fixture(scope="module")
def certificate_file(tmp_path_factory):
    return certificate(tmp_path_factory.mktemp("certificate"))


@pytest.mark.parametrize("name", VARIANTS)
def test_without(suite, certificate_file, name):
    files, closed, absent = VARIANTS[name]
    signatures = suite.folder / "signatures"
    signatures.mkdir()
    (signatures / "test.ndb").write_text("Test-Signature:0:*:" + b"the virus of the test".hex() + "\n")
    ports = {n: suite.port if n == "smtp" else free_port() for n in LISTEN if n not in closed}
    full = {"listen": "\n".join(f"{n} 127.0.0.1:{p}" for n, p in ports.items()), "servercert.pem": certificate_file, "tcp.qmqp": "127.:allow\n:deny",
            "scanners": f"clamav embedded:{signatures}", "banned": "*.exe", "scanpolicy": "virus reject\nbanned quarantine\nerror tempfail",
            "fixupdomains": "old.test:campus.test", "canonical": "first.last@campus.test:u2@campus.test", "lmtproutes": "lmtp.test:127.0.0.1:9",
            "qmqproutes": "mx2.campus.test:127.0.0.1:9", "skim": "[trustednets]\nnet=10.0.0.0/8 campus\n", "tcp.submission": ":allow",
            "directory.ldif": people(ssha(SECRET))}
    for file, text in {**full, **files}.items():
        suite.control(file, text)
    suite.postern("check", check=0)
    suite.start()
    assert {p for p in EVERYTHING if not suite.pids(p)} == set(absent)
    suite.postern("privileges", check=0)
    assert suite.send("a@far.test", "u2@campus.test", b"Subject: x\r\n\r\nhello\r\n")[0] == 250
    assert suite.wait_mail("u2")[0].endswith(b"\nhello\n")
    scans = "scanners" not in files
    code, text = suite.send("a@far.test", "u2@campus.test", b"Subject: x\r\n\r\nthe virus of the test\r\n")
    assert (code, "Test-Signature" in text) == ((550, True) if scans else (250, False)), text
    if "submission" in ports:
        with smtplib.SMTP("127.0.0.1", ports["submission"], timeout=30) as s:
            s.starttls(context=NO_CHECK)
            s.login("u1", SECRET)
            s.sendmail("u1@campus.test", "u3@campus.test", b"Subject: mine\r\n\r\nx\r\n")
        assert b"\nMessage-ID: " in suite.wait_mail("u3")[0], "what is submitted is completed, rewriting or not"
    assert suite.stop() == 0
