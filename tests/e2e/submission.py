"""Ports 587 and 465 of a whole suite: accounts with passwords, sessions of their owners, the fixture `site`."""
import hashlib
import smtplib

import pytest

from certificates import NO_CHECK, certificate
from conftest import LDIF, free_port
from scram import b64

MESSAGE = b"From: u1@campus.test\r\nTo: u2@campus.test\r\nSubject: hello\r\n\r\nhello\r\n"
SECRET = "s3cret pass"


def plain(user, password, whom=""):
    """What stands behind AUTH PLAIN."""
    return b64(f"{whom}\0{user}\0{password}")


def ssha(password):
    return "{SSHA}" + b64(hashlib.sha1(password.encode() + b"salt").digest() + b"salt")


def people(*hashes):
    """The accounts of conftest.LDIF with the passwords of u1, u2, …"""
    out = LDIF
    for text in hashes:
        out = out.replace("userPassword: {SSHA}unused", f"userPassword: {text}", 1)
    return out


def all_ports(suite):
    """SUITE listens on .port, .s587 and .s465, with a certificate."""
    suite.s587, suite.s465 = free_port(), free_port()
    suite.control("listen", f"smtp 127.0.0.1:{suite.port}\nsubmission 127.0.0.1:{suite.s587}\nsubmissions 127.0.0.1:{suite.s465}")
    suite.control("servercert.pem", certificate(suite.folder))


@pytest.fixture
def site(suite):
    """Not started.  u1 and u3 have SECRET, u2 "other"; u3 is disabled."""
    all_ports(suite)
    suite.control("directory.ldif", people(ssha(SECRET), ssha("other"), ssha(SECRET)).replace("uid: u3\n", "uid: u3\naccountStatus: disabled\n"))
    return suite


def submit(suite, user=None, password=SECRET, source="127.0.0.1", context=NO_CHECK):
    """A session on port 587 inside TLS, after EHLO, with USER logged in."""
    s = smtplib.SMTP("127.0.0.1", suite.s587, local_hostname="client.test", timeout=60, source_address=(source, 0))
    s.starttls(context=context)
    s.ehlo()
    if user:
        s.login(user, password)
    return s


def msmtp(suite, auth="on"):
    """The command with which u1 sends its input to the addresses behind it."""
    rc = suite.folder / "msmtprc"
    rc.write_text(f"account default\nhost 127.0.0.1\nport {suite.s587}\nfrom u1@campus.test\nauth {auth}\nuser u1\npassword {SECRET}\n"
                  "tls on\ntls_starttls on\ntls_certcheck off\n")
    rc.chmod(0o600)
    return ["msmtp", "-C", str(rc)]


def sent_as(s, envelope, header, to="u2@campus.test"):
    """The code of what refuses it, or of the answer to DATA."""
    code = s.mail(envelope)[0]
    if code != 250:
        s.rset()
        return code
    assert s.rcpt(to)[0] == 250
    return s.data(f"From: {header}\r\nSubject: x\r\n\r\nhello\r\n".encode())[0]
