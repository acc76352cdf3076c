"""postern-respond alone: the test orders as postern-skim does, plays queue and doors, and asks as an operator; the directory is a real slapd."""
import os
import pwd
import socket
import subprocess
import threading
import time

from alone import JOB_MAX, Alone, make_user, message_of, netstring, netstrings, readable
from slapd import ADMIN, BASE, SECRET, Slapd

PEOPLE = f"ou=people,{BASE}"
GROUPS = f"ou=groups,{BASE}"
LDIF = f"""dn: {BASE}
objectClass: dcObject
objectClass: organization
o: Campus
dc: campus

dn: {PEOPLE}
objectClass: organizationalUnit
ou: people

dn: {GROUPS}
objectClass: organizationalUnit
ou: groups

dn: uid=anna,{PEOPLE}
objectClass: inetOrgPerson
objectClass: qmailUser
cn: Anna
sn: Miller
uid: anna
mail: anna.miller@campus.test
mailMessageStore: anna
accountStatus: active
userPassword: {{SSHA}}mBnTwKbpRnkNcG8OnRmnGXmJ5qrHJ4SNy8sMAg==
userPassword: second secret

dn: uid=bela,{PEOPLE}
objectClass: inetOrgPerson
objectClass: qmailUser
cn: Bela
sn: Kern
uid: bela
mail: bela@campus.test
mailMessageStore: bela
userPassword: bela's secret

dn: cn=mail,{GROUPS}
objectClass: groupOfNames
cn: mail
member: uid=bela,{PEOPLE}
member: uid=Anna,{PEOPLE}

dn: cn=vpn,{GROUPS}
objectClass: posixGroup
cn: vpn
gidNumber: 700
memberUid: anna
memberUid: bela

dn: cn=wifi,{GROUPS}
objectClass: groupOfUniqueNames
cn: wifi
uniqueMember: uid=anna,{PEOPLE}
uniqueMember: uid=bela,{PEOPLE}

dn: cn=phished,{BASE}
objectClass: groupOfNames
cn: phished
member: cn=nobody

dn: cn=other,{BASE}
objectClass: groupOfNames
cn: other
member: uid=anna,{PEOPLE}
"""
STEPS = f"""held ticket mail helpdesk@campus.test
locked groups-remove {GROUPS}
locked group-add cn=phished,{BASE}
locked password
locked accountstatus noaccess
locked block 30
"""


class Responder:
    def __init__(self, folder, ldap=None, **files):
        self.folder = folder
        self.ldap = ldap
        self.files = {"me": "mx.campus.test", "locals": "campus.test", "listen": "submission 127.0.0.1:587", "respond": STEPS}
        if ldap:
            self.files |= {"ldapserver": f"ldap://127.0.0.1:{ldap.port}", "ldapbasedn": BASE, "respondlogin": ADMIN, "respondpassword": SECRET,
                           "ldaptimeout": "20"}
        self.files |= {k.replace("_", "."): v for k, v in files.items()}
        self.orders, orders = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.queue, queue = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.hook, hook = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.outside, outside = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.submission, submission = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
        (folder / "state/run").mkdir(parents=True, exist_ok=True)
        (folder / "state/respond").mkdir(parents=True, exist_ok=True)
        self.path = folder / "state/run/respond.sock"
        self.command = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self.command.setblocking(False)
        self.command.bind(str(self.path))
        self.command.listen(16)
        self.ports = [orders, queue, hook, outside, submission, self.command]
        self.mail, self.answer, self.programs, self.program_answer = [], "250 2.0.0 ok", [], (0, "")
        self.stopping = False
        self.threads = [threading.Thread(target=self.play_queue, daemon=True), threading.Thread(target=self.play_hook, daemon=True)]
        for t in self.threads:
            t.start()

    def play_queue(self):
        while not self.stopping:
            if readable(self.queue, 0.05):
                text, head, body, (reply,) = message_of(*socket.recv_fds(self.queue, JOB_MAX, 4)[:2])
                self.mail.append((text.decode(), head, body))
                reply = socket.socket(fileno=reply)
                try:
                    reply.send(self.answer.encode())
                except OSError:
                    pass
                reply.close()

    def play_hook(self):
        while not self.stopping:
            if readable(self.hook, 0.05):
                text, fds, _, _ = socket.recv_fds(self.hook, 1 << 16, 4)
                self.programs.append(netstrings(text))
                reply = socket.socket(fileno=fds[0])
                reply.send(netstring(self.program_answer[0]) + netstring(self.program_answer[1]))
                reply.close()

    def start(self, wait=True):
        if os.geteuid() == 0:
            make_user("postern-respond")
            uid = pwd.getpwnam("postern-respond").pw_uid
            for f in [self.folder / "state/respond", *(self.folder / "state/respond").iterdir()]:
                os.chown(f, uid, -1)
        self.program = Alone("respond", self.folder, self.files, self.ports, lane="-")
        self.program.start(wait)
        return self

    def kill(self):
        self.program.process.kill()
        self.program.process.wait()

    def stop(self):
        self.stopping = True
        self.program.stop()

    def order(self, user="anna", code="WJW-MWX", state="locked", addresses=("192.0.2.7", "2001:db8::7"), why="logged in from Lagos 2 h after Potsdam",
              rules="L1,S3", since=1795000000, score=123):
        text = netstring(user) + netstring(code) + netstring(state[0]) + netstring(since) + netstring(score) + netstring(rules) + netstring(why)
        text += netstring(len(addresses)) + b"".join(netstring(a) for a in addresses)
        self.orders.send(text)

    def ask(self, *args, code=0, seconds=30):
        """Rows of the answer as dictionaries."""
        rows = []
        with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as s:
            s.settimeout(seconds)
            s.connect(str(self.path))
            s.send(b"".join(netstring(a) for a in args))
            while True:
                packet = s.recv(1 << 16)
                if not packet:
                    raise EOFError("the answer broke off")
                cells = [c.decode() for c in netstrings(packet)]
                if len(cells) == 3 and cells[0] == ".":
                    assert int(cells[1]) == code, (cells, rows, self.program.lines[-10:])
                    self.text = cells[2]
                    return rows
                rows.append(dict(zip(cells[::2], cells[1::2])))

    def steps(self, which="WJW-MWX"):
        return {r["name"]: r for r in self.ask("show", which) if r["kind"] == "step"}

    def phase(self, which="WJW-MWX"):
        with_code = [r for r in self.ask("list") if which in (r["code"], r["user"])]
        return with_code[0]["phase"] if with_code else None

    def wait_phase(self, phase, which="WJW-MWX", seconds=20):
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            if self.phase(which) == phase:
                return
            time.sleep(0.03)
        raise AssertionError((self.ask("show", which), self.program.lines[-20:]))

    def told(self, door, least=0):
        """What that door was told since the last time, the latest of each address; waits for LEAST of them."""
        found = {}
        while readable(door, 0.2 if len(found) >= least else 20):
            address, seconds = netstrings(door.recv(200))
            found[address.decode()] = int(seconds)
        return found


def dump(ldap):
    """The whole directory: entry -> sorted (attribute, value), as stored, without what the server keeps for itself."""
    text = subprocess.run(["ldapsearch", "-x", "-LLL", "-o", "ldif-wrap=no", "-H", f"ldap://127.0.0.1:{ldap.port}", "-D", ADMIN, "-w", SECRET, "-b", BASE],
                          capture_output=True, text=True, check=True, env={**os.environ, "LDAPNOINIT": "1"}).stdout
    return {e.split("\n")[0]: sorted(e.split("\n")[1:]) for e in text.strip().split("\n\n")}


def make_slapd(folder):
    return Slapd(folder, LDIF).start()
