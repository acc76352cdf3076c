"""Groups of the directory in control/sendas: members of %group may send from an address.  The whole suite with directory.ldif and with a real slapd; and
postern-smtpd alone with a directory that the test plays, for what a directory does only when it is ill."""
import pytest

import submission
from alone import joined, netstring
from conftest import many, wait_for
from slapd import BASE, Slapd, asked_by, group, person, with_tree
from submission import SECRET, people, site, ssha, submit  # noqa: F401 (a fixture)
from submission_alone import Submission


def member(n):
    return f"dnmember: uid=u{n},ou=people,{BASE}"


GROUPS = "".join([
    group("staff", "rfc822member: Alias1@campus.test", member(2), "dnmember: uid=gone,ou=people," + BASE, "rfc822member: out@far.test"),
    group("old", "rfc822member: u2@old.campus.test"),
    group("moderated", member(2), "membersonly: TRUE"),
    group("off", "uid: off", member(1), "accountStatus: disabled", classes=["objectClass: qmailUser"]),
    group("empty"),
    person("catch", "mail: catchall@campus.test", "mailForwardingAddress: u1@campus.test", mail=False),
    person("plain", "mailForwardingAddress: u1@campus.test")])
SENDAS = """%staff@campus.test:registrar@campus.test
%old@campus.test:registrar@campus.test
%STAFF@campus.test:@lists.test
%moderated@campus.test:dean@campus.test
%off@campus.test:off-office@campus.test
%empty@campus.test:empty-office@campus.test
%nogroup@campus.test:catch-office@campus.test
%plain@campus.test:plain-office@campus.test
%staff+x@campus.test:ext-office@campus.test
%staff@elsewhere.test:far-office@campus.test
"""


LDIF = people(ssha(SECRET), ssha(SECRET), ssha(SECRET)) + "\n" + GROUPS


def prepare(site):
    site.control("fixupdomains", "old.campus.test:campus.test")
    site.control("sendas", SENDAS)
    site.control("sendasothers", "refuse")
    site.control("tarpitdelay", "0")
    site.control("smtproutes", ":127.0.0.1:1")


@pytest.fixture
def ldap(site):
    site.slapd = Slapd(site.folder / "slapd", with_tree(LDIF)).start()
    asked_by(site, site.slapd, ldaptimeout="20", directorycache="0")
    prepare(site)
    yield site
    site.slapd.kill()


@pytest.fixture(params=["ldif", "slapd", "slapd and cache"])
def groups(site, request):
    if request.param == "ldif":
        site.control("directory.ldif", LDIF)
        prepare(site)
        return site
    ldap = request.getfixturevalue("ldap")
    ldap.control("directorycache", "0" if request.param == "slapd" else "60")
    return ldap


def sent_as(*args):
    """To elsewhere, so that only the sender is looked up."""
    return submission.sent_as(*args, to="x@far.test")


def own(user):
    return f"{user}@campus.test"


# user, address, may send
WHO = [("u1", "registrar@campus.test", True),    # a member by an alias of the account
       ("u1", "Registrar@OLD.campus.test", True),  # the old name of the domain
       ("u2", "registrar@campus.test", True),    # by DN
       ("u3", "registrar@campus.test", False),
       ("u1", "any@lists.test", True), ("u3", "any@lists.test", False),
       ("u2", "dean@campus.test", True), ("u1", "dean@campus.test", False),  # rules about who writes to a group are no matter here
       ("u1", "off-office@campus.test", False), ("u1", "empty-office@campus.test", False),
       ("u1", "catch-office@campus.test", False),  # a catchall that forwards to u1 is no group
       ("u1", "plain-office@campus.test", False),  # nor is an account that does
       ("u1", "ext-office@campus.test", False), ("u1", "far-office@campus.test", False)]


def test_members_and_others(groups):
    groups.postern("check", check=0)
    groups.start()
    sessions = {u: submit(groups, u) for u in ("u1", "u2", "u3")}
    for user, address, may in WHO:
        assert sent_as(sessions[user], address, own(user)) == (250 if may else 553), (user, address)
        assert sent_as(sessions[user], own(user), f"Office <{address}>") == (250 if may else 550), (user, address)
    assert sent_as(sessions["u1"], own("u1"), "registrar@campus.test, u1@campus.test, x@lists.test") == 250
    assert sent_as(sessions["u1"], own("u1"), "registrar@campus.test, u2@campus.test") == 550
    assert not groups.events("smtpd-group")


def test_membership_by_address_in_old_domain(groups):
    """old@ has u2 by an address in the domain's old name; without staff only that lets it."""
    groups.control("sendas", "%old@campus.test:registrar@campus.test")
    groups.start()
    assert sent_as(submit(groups, "u1"), "registrar@campus.test", own("u1")) == 553
    assert sent_as(submit(groups, "u2"), "registrar@campus.test", own("u2")) == 250


def test_recorded_where_nothing_is_refused(groups):
    groups.control("sendasothers", "record")
    groups.start()
    assert sent_as(submit(groups, "u3"), "registrar@campus.test", own("u3")) == 250
    count = len(groups.wait_event("smtpd-foreign"))
    assert sent_as(submit(groups, "u1"), "registrar@campus.test", "registrar@campus.test") == 250
    assert len(groups.events("smtpd-foreign")) == count


def test_server_that_is_away(ldap):
    ldap.start()
    s = submit(ldap, "u2")
    ldap.slapd.kill()
    for _ in range(2):
        assert sent_as(s, "registrar@campus.test", own("u2")) == 451
        assert sent_as(s, own("u2"), "registrar@campus.test") == 451
    assert ldap.events("smtpd-group")[0]["group"] in ("staff@campus.test", "old@campus.test")
    assert sent_as(s, own("u2"), own("u2")) == 250
    ldap.slapd.start()
    wait_for(lambda: sent_as(s, "registrar@campus.test", own("u2")) == 250, why="the same session did not recover")
    s.close()


def test_membership_ends(ldap):
    ldap.start()
    assert sent_as(submit(ldap, "u2"), "any@lists.test", own("u2")) == 250
    ldap.slapd.modify(f"dn: cn=staff,ou=people,{BASE}\nchangetype: modify\ndelete: dnmember\n{member(2)}\n\n")
    assert sent_as(submit(ldap, "u2"), "any@lists.test", own("u2")) == 553


def test_faults_are_named(site):
    for text, fault in [("%staff:registrar@campus.test", "sendas:1: staff is not the address of a group"),
                        ("%@campus.test:registrar@campus.test", "sendas:1: @campus.test is not the address of a group"),
                        ("".join(f"%g{i}@campus.test:office@campus.test\n" for i in range(17)), "more than 16 groups for office@campus.test")]:
        site.control("sendas", text)
        p = site.postern("check", check=1)
        assert fault in p.stdout + p.stderr, p.stdout + p.stderr
    site.control("sendas", "".join(f"%g{i}@campus.test:office@campus.test\n" for i in range(16)))
    site.postern("check", check=0)


# ---- a played directory ----

class Played(Submission):
    """.groups: group to (verdict, members); None: no answer."""
    groups, wrong = {}, None

    def directory_says(self, question):
        if question[0] == "auth":
            return self.entry(question[1])
        if question[0] == "rcpt":
            return joined("Y", "")
        if self.wrong is None and self.groups.get(question[1]):
            verdict, members = self.groups[question[1]]
            fields = ["", "g@campus.test", "", "", "", -1, -1, "", 0, 1, 0, "", 0, 0, 0, len(members), *members, 0]
            return joined(verdict, "", *(fields if verdict == "Y" else []))
        return self.wrong

    def asked(self):
        return [q[1] for q in self.questions if q[0] == "group"]


@pytest.fixture
def played():
    with many(lambda **kw: Played(**{"sendasothers": "refuse", **kw}), Played.close) as make:
        yield make


def mail(c, address):
    code, text = c.do(f"MAIL FROM:<{address}>")
    if code == 250:
        c.do("RSET")
    return code, text


def test_each_group_is_asked_about_once(played):
    d = played(sendas="\n".join(f"%g{i}@campus.test:office@campus.test" for i in range(16)) + "\n%d@campus.test:@campus.test\nu9:office@campus.test\n")
    d.groups = {**{f"g{i}@campus.test": ("N", []) for i in range(16)}, "d@campus.test": ("Y", ["x@far.test", "FIRST.LAST@campus.test"])}
    c = d.logged_in()
    for _ in range(3):
        assert mail(c, "office@campus.test")[0] == 250   # the domain's group has an alias of the account, in other letters
    assert sorted(d.asked()) == sorted([*d.groups])
    assert mail(c, "another@campus.test")[0] == 250 and len(d.asked()) == 17
    assert mail(c, "office@far.test")[0] == 553 and len(d.asked()) == 17
    # who owns the address is not asked about
    assert mail(c, "u1@campus.test")[0] == 250 and len(d.asked()) == 17
    c.close()
    c = d.logged_in()
    assert mail(c, "office@campus.test")[0] == 250 and len(d.asked()) == 34
    c.close()


def test_an_ill_directory_is_temporary(played):
    d = played(sendas="%g@campus.test:office@campus.test\n%h@campus.test:both@campus.test\n%g@campus.test:both@campus.test\n")
    c = d.logged_in()
    ill = [b"", b"nonsense", netstring("Y"), netstring("Y") + netstring(""), netstring("T") + netstring("the server is down"), netstring("X") + netstring("")]
    for d.wrong in ill:
        code, text = mail(c, "office@campus.test")
        assert code == 451 and text.startswith("4.3.0 whether <office@campus.test> is an address of yours cannot be looked up"), (d.wrong, text)
    d.wrong = None                            # and none at all
    assert mail(c, "office@campus.test")[0] == 451
    d.groups = {"h@campus.test": ("Y", ["u1@campus.test"])}
    assert mail(c, "both@campus.test")[0] == 250   # one that lets is enough, whatever another would say
    d.groups = {"g@campus.test": ("Y", ["u1@campus.test"])}
    assert mail(c, "office@campus.test")[0] == 250
    d.groups = {"g@campus.test": ("Y", [])}
    assert mail(c, "office@campus.test")[0] == 250   # known for this session
    c.close()
    c = d.logged_in()
    assert mail(c, "office@campus.test")[0] == 553
    d.groups = {"g@campus.test": ("D", [])}
    c.close()
    c = d.logged_in()
    assert mail(c, "office@campus.test")[0] == 553
    c.close()


def test_what_is_not_known_accuses_nobody(played):
    d = played(sendas="%g@campus.test:office@campus.test\n", sendasothers="record")
    c = d.logged_in()
    for envelope, header, foreign in [("office@campus.test", "u1@campus.test", b""), ("u1@campus.test", "office@campus.test", b""),
                                      ("other@far.test", "u1@campus.test", b"F"), ("u1@campus.test", "other@far.test", b"G")]:
        c.envelope(envelope, ["u2@campus.test"])
        assert c.do(f"From: {header}\r\n\r\nx\r\n.\r\n".encode())[0] == 250
        flags = b"".join(k.encode() for k, v in d.jobs[-1].records if k in "FG")
        assert flags == foreign, (envelope, header)
    c.close()
