"""The whole line, message in, message out: what reaches the Maildir, what is refused and how."""
import email
import re
import subprocess

from conftest import wait_for

MESSAGE = b"From: a@far.test\r\nTo: u1@campus.test\r\nSubject: hello\r\nDate: Sun, 22 Nov 2026 10:00:00 +0000\r\nMessage-ID: <1@far.test>\r\n\r\n"


def test_delivered_to_the_octet(suite):
    suite.start()
    body = b"first\r\n..dots\r\n\r\nl\xc3\xa4st\r\n" + b"x" * 5000 + b"\r\n"
    code, text = suite.send("a@far.test", "u1@campus.test", MESSAGE + body)
    assert code == 250 and re.fullmatch(r"2\.0\.0 ok [0-9a-z]{13}", text)
    mail = suite.wait_mail("u1")[0]
    assert mail.endswith(MESSAGE.replace(b"\r\n", b"\n") + body.replace(b"\r\n", b"\n"))
    added = mail[:mail.index(b"From: a@far.test")].decode()
    m = email.message_from_string(added)
    assert m["Return-Path"] == "<a@far.test>" and m["Delivered-To"] == "u1@campus.test"
    received = " ".join(m["Received"].split())
    assert "from client.test" in received and "[127.0.0.1]" in received and f"id {text.split()[-1]}" in received


def test_id_in_every_step(suite):
    suite.start()
    id = suite.send("a@far.test", "u2@campus.test", MESSAGE)[1].split()[-1]
    suite.wait_mail("u2")
    wait_for(lambda: {"smtpd", "queue"} <= {line.split()[1].split("[")[0] for line in suite.log().splitlines() if id in line}, why=lambda: "the id is not in the log of session and queue:\n" + suite.log())
    assert any(id in f.name for f in suite.maildir("u2").glob("new/*"))


def test_many_recipients_alias_case_extension(suite):
    suite.start()
    rcpts = ["u1@campus.test", "ALIAS2@Campus.Test", "u3+lists@campus.test", "u4@campus.test"]
    assert suite.send("", rcpts, MESSAGE)[0] == 250
    for i in range(1, 5):
        assert b"Return-Path: <>" in suite.wait_mail(f"u{i}")[0]


def test_refusals_name_the_reason(suite):
    suite.start()
    for sender, rcpt, code, word in [
        ("a@far.test", "nobody@campus.test", 550, "5.1.1"),
        ("a@far.test", "x@elsewhere.test", 550, "5.7.1"),
        ("a@far.test", "u1%elsewhere.test@campus.test", 550, "5.1.1"),
        ("a@far.test", "@campus.test:x@elsewhere.test", 550, "5.7.1"),
    ]:
        got, text = suite.send(sender, rcpt, MESSAGE)
        assert got == code and text.startswith(word), (rcpt, got, text)
    assert suite.json("queue", "list") == []


def test_postmaster(suite):
    suite.start()
    assert suite.send("a@far.test", "postmaster", MESSAGE)[0] == 250
    assert suite.send("a@far.test", "PostMaster@campus.test", MESSAGE)[0] == 250
    suite.wait_mail("u1", 2)


def test_old_domain_is_accepted_and_rewritten(suite):
    suite.control("fixupdomains", "mail.campus.test:campus.test\n.dept.campus.test:campus.test")
    suite.control("canonical", "old.name@campus.test:u5@campus.test")
    suite.start()
    for rcpt, user in [("u1@mail.campus.test", "u1"), ("u2@a.dept.campus.test", "u2"), ("old.name@campus.test", "u5"),
                       ("old.name@mail.campus.test", "u5")]:
        message = MESSAGE.replace(b"To: u1@campus.test", b"To: Some One <" + rcpt.encode() + b">")
        assert suite.send("a@far.test", rcpt, message)[0] == 250, rcpt
        assert f"To: Some One <{user}@campus.test>\n".encode() in suite.wait_mail(user)[0]
    assert suite.send("a@far.test", "nobody@mail.campus.test", MESSAGE)[0] == 550
    assert suite.send("a@far.test", "u1@other.mail.campus.test", MESSAGE)[0] == 550


def test_swaks(suite):
    suite.start()
    p = subprocess.run(["swaks", "--server", "127.0.0.1", "--port", str(suite.port), "--from", "a@far.test", "--to", "u6@campus.test",
                        "--header", "Subject: from swaks"], capture_output=True, text=True, timeout=60)
    assert p.returncode == 0, p.stdout
    assert b"Subject: from swaks" in suite.wait_mail("u6")[0]


def test_faulty_control_file_starts_nothing(suite):
    suite.control("databytes", "# most\n12abc")
    p = suite.postern("serve")
    assert p.returncode in (1, 111)
    assert "databytes:2" in p.stderr and "whole number" in p.stderr
    assert not (suite.state / "ready").exists()
    p = suite.postern("check")
    assert p.returncode == 1 and "databytes:2" in p.stdout + p.stderr
