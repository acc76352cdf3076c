"""The stolen account of the demonstration: a third host whose people are in a real slapd.  Clara lives in Potsdam; somebody has her password and sends from
Sydney.  Both come through a balancer that says their addresses (PROXY protocol), so that all of it happens on loopback."""
import json
import os
import pathlib
import smtplib
import ssl
import subprocess
import time

ROOT = pathlib.Path(__file__).resolve().parents[2]
BASE, ADMIN, SECRET, PASSWORD = "dc=campus,dc=test", "cn=admin,dc=campus,dc=test", "secret", "violet harbour"
HOME, SYDNEY = "10.1.0.1", "10.4.0.1"
PLACES = "10.1.0.0/16\tDE\t680\t52.4\t13.1\t20\tPotsdam\n10.4.0.0/16\tAU\t1221\t-33.9\t151.2\t50\tSydney\n"
CONF = """include /etc/ldap/schema/core.schema
include /etc/ldap/schema/cosine.schema
include /etc/ldap/schema/inetorgperson.schema
include /etc/ldap/schema/nis.schema
include {root}/directory/qmail.schema
pidfile {d}/slapd.pid
modulepath /usr/lib/ldap
moduleload back_mdb
database mdb
suffix "{base}"
rootdn "{admin}"
rootpw {secret}
directory {d}/db
dbnosync
index objectClass,uid,mail,mailAlternateAddress eq
access to attrs=userPassword by anonymous auth by * none
access to * by * read
"""


def person(uid, name, address):
    return f"""dn: uid={uid},ou=people,{BASE}
objectClass: inetOrgPerson
objectClass: qmailUser
cn: {name}
sn: {name.split()[-1]}
uid: {uid}
mail: {address}
userPassword: {PASSWORD}

"""


def group(name, *members):
    return f"dn: cn={name},{BASE}\nobjectClass: groupOfNames\ncn: {name}\n" + "".join(f"member: {m}\n" for m in members) + "\n"


CLARA, DAN = f"uid=cdoe,ou=people,{BASE}", f"uid=dlee,ou=people,{BASE}"
LDIF = f"""dn: {BASE}
objectClass: dcObject
objectClass: organization
o: Campus
dc: campus

dn: ou=people,{BASE}
objectClass: organizationalUnit
ou: people

dn: ou=services,{BASE}
objectClass: organizationalUnit
ou: services

""" + person("cdoe", "Clara Doe", "clara.doe@campus.test") + person("dlee", "Dan Lee", "dan.lee@campus.test") \
    + person("helpdesk", "Help Desk", "helpdesk@campus.test") + group("mail,ou=services", CLARA, DAN) + group("vpn,ou=services", DAN, CLARA) \
    + group("phished", "cn=nobody")
RESPOND = f"""held ticket mail helpdesk@campus.test
locked groups-remove ou=services,{BASE}
locked group-add cn=phished,{BASE}
locked password
locked block 30
"""


class From(smtplib.SMTP):
    """A client that comes from ADDRESS."""
    def __init__(self, address, port):
        self.address = address
        super().__init__("127.0.0.1", port, local_hostname="client.test", timeout=60)

    def _get_socket(self, host, port, timeout):
        s = super()._get_socket(host, port, timeout)
        s.sendall(f"PROXY TCP4 {self.address} 127.0.0.1 40000 587\r\n".encode())
        return s


class Theft:
    def __init__(self, folder, make_host, certificate, free_port, wait_for, say):
        self.folder, self.wait_for, self.say = folder / "slapd", wait_for, say
        self.port, self.ldap = free_port(), free_port()
        (self.folder / "db").mkdir(parents=True)
        (self.folder / "places").write_text(PLACES)
        mmdb = self.folder / "geoip.mmdb"
        subprocess.run([ROOT / "tests/skim/mmdb.pl", mmdb], input=PLACES.encode(), check=True)
        self.host = make_host(folder, "mx3.campus.test", {
            "listen": f"submission 127.0.0.1:{self.port} proxy", "servercert.pem": certificate, "ldapserver": f"ldap://127.0.0.1:{self.ldap}",
            "ldapbasedn": BASE, "respond": RESPOND, "respondlogin": ADMIN, "respondpassword": SECRET, "postmaster": "helpdesk@campus.test",
            "smtproutes": "far.test:127.0.0.1:1"})
        for absent in ("directory.ldif", "banned", "scanpolicy", "tcp.qmqp", "fixupdomains"):
            (self.host.ctl / absent).unlink()
        (self.host.ctl / "geoip.mmdb").write_bytes(mmdb.read_bytes())
        (self.host.ctl / "respondpassword").chmod(0o600)

    def start(self):
        conf = self.folder / "slapd.conf"
        conf.write_text(CONF.format(root=ROOT, d=self.folder, base=BASE, admin=ADMIN, secret=SECRET))
        (self.folder / "load.ldif").write_text(LDIF)
        subprocess.run(["/usr/sbin/slapadd", "-q", "-f", conf, "-l", self.folder / "load.ldif"], check=True, capture_output=True)
        self.slapd = subprocess.Popen(["/usr/sbin/slapd", "-d", "0", "-f", conf, "-h", f"ldap://127.0.0.1:{self.ldap}/"], stdout=subprocess.DEVNULL,
                                      stderr=subprocess.DEVNULL)
        if not self.wait_for(self.dump, 20):
            raise SystemExit("slapd does not answer")
        self.host.start()
        # what Dovecot would have told of the days before
        days = "".join(json.dumps({"type": "login", "user": "cdoe", "ip": HOME, "service": "imap",
                                   "time": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() - d * 86400))}) + "\n" for d in range(12, 0, -1))
        subprocess.run(self.host.postern("skim", "login"), input=days, text=True, check=True, capture_output=True)

    def stop(self):
        self.host.stop()
        if getattr(self, "slapd", None):
            self.slapd.terminate()
            self.slapd.wait()

    def dump(self):
        """Every entry of the directory with its values, in order."""
        r = subprocess.run(["ldapsearch", "-x", "-LLL", "-o", "ldif-wrap=no", "-H", f"ldap://127.0.0.1:{self.ldap}", "-D", ADMIN, "-w", SECRET, "-b", BASE],
                           capture_output=True, text=True, env={**os.environ, "LDAPNOINIT": "1"})
        return {} if r.returncode else {e.split("\n")[0]: sorted(e.split("\n")) for e in r.stdout.strip().split("\n\n")}

    def submit(self, address, rcpts, header):
        try:
            with From(address, self.port) as s:
                s.starttls(context=ssl._create_unverified_context())
                s.login("cdoe", PASSWORD)
                s.mail("clara.doe@campus.test")
                for r in rcpts:
                    code, text = s.rcpt(r)
                    if code != 250:
                        return code, text.decode()
                code, text = s.data((header + "\r\n\r\nhttp://campus-login.example/now\r\n").encode())
                return code, text.decode()
        except smtplib.SMTPResponseException as e:
            return e.smtp_code, e.smtp_error.decode()

    def rows(self):
        before = self.dump()
        code, text = self.submit(HOME, ["dan.lee@campus.test"], "From: clara.doe@campus.test\r\nTo: dan.lee@campus.test\r\nSubject: lunch")
        f = self.wait_for(lambda: self.host.landed("dlee", "Subject: lunch"), 20)
        yield "Clara submits from Potsdam, as on other days", (code, text), str(f or "not delivered"), bool(code == 250 and f)

        code, text = self.submit(SYDNEY, [f"p{i}@far.test" for i in range(120)] + ["dan.lee@campus.test"],
                                 "From: IT Support <it@campus.test>\r\nReply-To: it@else.test\r\nTo: all\r\nSubject: your mailbox is full")
        held = [m for m in self.host.json("queue", "list") if m["id"] == text.split()[-1]]
        yield "somebody with her password sends to 121 people from Sydney", (code, text), \
            f"held in the queue ({held[0]['hold']})" if held else "not held", bool(code == 250 and held and held[0]["hold"] == "skim")

        who = self.wait_for(lambda: [u for u in self.host.json("skim", "list") if u["state"] == "locked"], 20)
        locked = self.wait_for(lambda: (d := self.dump()) and "{POSTERN-LOCKED}" in str(subprocess.run(
            ["base64", "-d"], input="".join(v.split(":: ")[1] for v in d[f"dn: {CLARA}"] if v.startswith("userPassword::")), capture_output=True,
            text=True).stdout) and d, 20) or {}
        groups = [e for e, v in locked.items() if e != f"dn: {CLARA}" and any(CLARA in x for x in v)]
        blocked = self.wait_for(lambda: (r := self.submit(SYDNEY, [], "")) and r[0] == 554 and r, 20) or self.submit(SYDNEY, [], "")
        ticket = self.wait_for(lambda: self.host.landed("helpdesk", "looks stolen"), 20)
        good = bool(who and locked and groups == [f"dn: cn=phished,{BASE}"] and blocked[0] == 554 and ticket)
        yield "the same client again", blocked, \
            f"incident {who[0]['code']}: out of all service groups, in cn=phished, password locked, address blocked, ticket {ticket}" if good \
            else f"not as it should be: {who} {groups} {blocked} {ticket}", good

        shown = subprocess.run(self.host.postern("skim", "show", "cdoe"), capture_output=True, text=True)
        self.say("".join(f"     | {line}\n" for line in shown.stdout.splitlines()).rstrip())
        yield "postern skim show cdoe (above, what the helpdesk sees)", (shown.returncode, "exit code"), \
            who[0]["why"].split(";")[0] + " ..." if who else "nothing", bool(shown.returncode == 0 and who and "Sydney" in shown.stdout)

        done = subprocess.run(self.host.postern("skim", "restore", "cdoe", "--delete"), capture_output=True, text=True)
        after = self.dump()
        left = [m for m in self.host.json("queue", "list") if m.get("hold")]
        home = self.submit(HOME, ["dan.lee@campus.test"], "From: clara.doe@campus.test\r\nTo: dan.lee@campus.test\r\nSubject: back again")
        good = done.returncode == 0 and after == before and not left and home[0] == 250
        yield "postern skim restore cdoe --delete", (done.returncode, "exit code"), \
            "groups and password exactly as before, the address free, what was held deleted" if good else f"not as before: {done.stdout}{done.stderr}", good
