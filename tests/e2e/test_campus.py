"""Everything at once, as on a campus: two hosts, slapd with 20,000 accounts, clamd, spamd, Dovecot on both, users who submit with their LDAP passwords.
The parts have tests of their own; here they meet."""
import poplib
import smtplib
import subprocess

import pytest

import dovecot as dovecot_module
from certificates import NO_CHECK, certificate
from conftest import Suite, free_port, wait_for
from scan_alone import EICAR, GTUBE, Clamd, Spamd, b64, multipart
from slapd import BASE, TREE, Slapd, person
from submission import SECRET, ssha
from test_directory_scale import GROUP_MEMBERS, HOSTS, USERS, account, group
from test_dovecot import fetch_all, imap

pytestmark = pytest.mark.skipif(dovecot_module.WHY_NOT is not None, reason=dovecot_module.WHY_NOT or "")

BOX = person("box", "mail: box@box.test", f"mailHost: {HOSTS[0]}", mail=False)


class Campus:
    def __init__(self, folder):
        self.stops = []
        ldif = TREE + "".join(account(i) for i in range(USERS)) + "".join(group(h) for h in range(USERS // 100)) + BOX
        ldif = ldif.replace("mail: u00001@campus.test\n", f"mail: u00001@campus.test\nuserPassword: {ssha(SECRET)}\n")
        self.slapd = Slapd(folder / "slapd", ldif).start()
        self.stops.append(self.slapd.kill)
        clamd, spamd = Clamd(), Spamd()
        self.stops += [clamd.stop, spamd.stop]
        self.hosts, ports = [], [free_port(), free_port()]
        for name, port in zip(HOSTS, ports):
            (folder / name).mkdir(mode=0o755)
            s = Suite(folder / name)
            s.submission, s.submissions = free_port(), free_port()
            for file, text in {
                    "me": name, "locals": "campus.test\nbox.test\nold.test", "directory.ldif": None, "ldapserver": f"127.0.0.1:{self.slapd.port}",
                    "ldapbasedn": BASE, "postmaster": "u00001@campus.test", "fixupdomains": "old.test:campus.test",
                    "scanners": f"clamav unix:{clamd.path}\nspamassassin unix:{spamd.path}",
                    "scanpolicy": "virus reject\nspam>=15 quarantine\nspam>=3 tag\nbanned reject\nerror tempfail", "banned": "*.exe",
                    "servercert.pem": certificate(folder / name), "tcp.qmqp": "127.:allow\n:deny",
                    "qmqproutes": "\n".join(f"{n}:127.0.0.1:{p}" for n, p in zip(HOSTS, ports)),
                    "lmtproutes": f"box.test:unix:{folder / HOSTS[0] / 'dovecot/lmtp.sock'}",
                    "listen": f"smtp 127.0.0.1:{s.port}\nsubmission 127.0.0.1:{s.submission}\nsubmissions 127.0.0.1:{s.submissions}\nqmqp 127.0.0.1:{port}",
                    }.items():
                s.control(file, text)
            s.start()
            self.stops.append(s.kill)
            s.dovecot = dovecot_module.Dovecot(s.folder / "dovecot", s.state / "mail").start()
            self.stops.append(s.dovecot.stop)
            self.hosts.append(s)

    def close(self):
        for stop in reversed(self.stops):
            stop()

    def read(self, i, count=1):
        """The mails of account I as its owner reads them by IMAP on its host."""
        host, user = self.hosts[i % 2], f"u{i:05d}"
        host.wait_mail(user, count)
        return [m for _, m in fetch_all(imap(host.dovecot, user)).values()]


@pytest.fixture
def campus(folder):
    c = Campus(folder)
    try:
        yield c
    finally:
        c.close()


def text(subject, body=b"hello\r\n", to=b"x@campus.test"):
    return b"From: u00001@campus.test\r\nTo: %s\r\nSubject: %s\r\n\r\n%s" % (to, subject, body)


def test_a_day_on_the_campus(campus):
    one, two = campus.hosts

    # submitted at the other host than the mailboxes', in the old domain, under the long name
    subprocess.run(["swaks", "--server", f"127.0.0.1:{two.submission}", "-tls", "--auth", "PLAIN", "--auth-user", "u00001", "--auth-password", SECRET,
                    "--from", "u00001@campus.test", "--to", "Given.Name2@old.test,u00003@campus.test", "--header", "Subject: from swaks", "--hide-all"],
                   check=True, timeout=60)
    (mail,) = campus.read(2)
    assert b"\r\nTo: Given.Name2@campus.test, u00003@campus.test\r\n" in mail or b"\r\nTo: Given.Name2@campus.test,u00003@campus.test\r\n" in mail, mail
    assert mail.count(b"\r\nReceived: ") == 2 and b" with QMQP id " in mail and b" with ESMTPSA id " in mail
    (mail,) = campus.read(3)
    assert b" with QMQP id " not in mail and b"Subject: from swaks" in mail

    # port 465, to a group over both hosts and to Dovecot by LMTP
    with smtplib.SMTP_SSL("127.0.0.1", one.submissions, context=NO_CHECK, timeout=60) as s:
        with pytest.raises(smtplib.SMTPAuthenticationError):
            s.login("u00001", "wrong")
        s.login("u00001", SECRET)
        s.sendmail("u00001@campus.test", ["group7@campus.test", "box@box.test"], text(b"to many"))
    for k in GROUP_MEMBERS:
        assert len(campus.read(700 + k)) == 1
    one.wait_mail("box")
    p = poplib.POP3("127.0.0.1", one.dovecot.pop3, timeout=30)
    p.user("box"), p.pass_("pw")
    assert p.stat()[0] == 1 and b"Subject: to many" in p.retr(1)[1]
    p.quit()

    # what the world sends
    virus = b"MIME-Version: 1.0\n" + multipart(b"\ntext\n", b64(EICAR))
    code, said = one.send("a@far.test", "u00004@campus.test", b"Subject: invoice\r\n" + virus.replace(b"\n", b"\r\n"))
    assert code == 550 and "Eicar" in said
    assert one.send("a@far.test", "u00050@campus.test", text(b"x"))[0] == 550, "disabled"
    assert one.send("a@far.test", "nobody@campus.test", text(b"x"))[0] == 550
    assert one.send("a@far.test", "u00005@campus.test", text(b"CAMPUSRULE"))[0] == 250
    assert b"X-Spam-Flag: YES\r\n" in campus.read(5)[0]
    code, said = one.send("a@far.test", "u00005@campus.test", text(b"spam", GTUBE + b"\r\n"))
    (kept,) = one.json("quarantine", "list")
    assert code == 250 and kept["id"] == said[-13:]
    one.postern("quarantine", "release", kept["id"], check=0)
    assert len(campus.read(5, 2)) == 2

    # the virus scanner is away: later, not never, and not unscanned
    campus.stops.pop(1)()  # clamd
    assert one.send("a@far.test", "u00006@campus.test", text(b"x"))[0] == 451
    assert not one.mails("u00006")
    wait_for(lambda: one.json("queue", "list") == [] and two.json("queue", "list") == [])
    for s in campus.hosts:
        s.postern("privileges", check=0)
        assert s.stop() == 0
