"""A real slapd in a temporary folder, with the schema of directory/qmail.schema."""
import atexit
import contextlib
import os
import pathlib
import socket
import subprocess
import time

from conftest import ROOT, free_port

BASE = "dc=campus,dc=test"
ADMIN, SECRET = "cn=admin," + BASE, "secret"
TREE = f"""dn: {BASE}
objectClass: dcObject
objectClass: organization
o: Campus
dc: campus

dn: ou=people,{BASE}
objectClass: organizationalUnit
ou: people

"""
CONF = """include /etc/ldap/schema/core.schema
include /etc/ldap/schema/cosine.schema
include /etc/ldap/schema/inetorgperson.schema
include /etc/ldap/schema/nis.schema
include {root}/directory/qmail.schema
pidfile {d}/slapd.pid
modulepath /usr/lib/ldap
moduleload back_mdb
{tls}
sizelimit unlimited
database mdb
suffix "{base}"
rootdn "{admin}"
rootpw {secret}
directory {d}/db
maxsize 1073741824
dbnosync
index objectClass,uid,mail,mailAlternateAddress eq
access to attrs=userPassword by self write by anonymous auth by * none
access to * by * read
"""


def with_tree(ldif):
    """LDIF of accounts as control/directory.ldif has it, for a server that has nothing yet."""
    return TREE + ldif.replace("version: 1\n\n", "", 1)


def person(uid, *lines, mail=True, classes=()):
    """LDIF of an account with the address UID@campus.test, unless its LINES have another one."""
    head = [f"dn: uid={uid},ou=people,{BASE}", "objectClass: inetOrgPerson", "objectClass: qmailUser", *classes, f"cn: {uid}", "sn: x", f"uid: {uid}"]
    return "\n".join(head + ([f"mail: {uid}@campus.test"] if mail else []) + list(lines)) + "\n\n"


def group(cn, *lines, classes=(), mail=None):
    """LDIF of a group with the address MAIL, or CN@campus.test."""
    return "\n".join([f"dn: cn={cn},ou=people,{BASE}", "objectClass: inetOrgPerson", "objectClass: qmailGroup", *classes, f"cn: {cn}", "sn: x",
                      f"mail: {mail or cn + '@campus.test'}", *lines]) + "\n\n"


def asked_by(suite, server, **files):
    """The control files with which SUITE asks SERVER instead of its directory.ldif, and more FILES."""
    for name, text in {"directory.ldif": None, "ldapserver": f"{server.address}:{server.port}", "ldapbasedn": BASE, **files}.items():
        suite.control(name, text)


class Slapd:
    def __init__(self, folder, ldif, tls="", host=None):
        """HOST: a netns.Host that it runs on, with port 389."""
        self.host, self.address = host, host.address if host else "127.0.0.1"
        self.folder, self.port, self.tls_port, self.process = pathlib.Path(folder), free_port(), free_port(), None
        self.port = 389 if host else self.port
        (self.folder / "db").mkdir(parents=True)
        self.conf = self.folder / "slapd.conf"
        self.conf.write_text(CONF.format(root=ROOT, d=self.folder, base=BASE, admin=ADMIN, secret=SECRET, tls=tls))
        self.tls = bool(tls)
        (self.folder / "load.ldif").write_bytes(ldif if isinstance(ldif, bytes) else ldif.encode())
        p = subprocess.run(["/usr/sbin/slapadd", "-q", "-f", self.conf, "-l", self.folder / "load.ldif"], capture_output=True, text=True)
        assert p.returncode == 0, p.stderr

    def start(self):
        urls = f"ldap://{self.address}:{self.port}/" + (f" ldaps://127.0.0.1:{self.tls_port}/" if self.tls else "")
        inside = self.host.inside if self.host else contextlib.nullcontext
        command = ["/usr/sbin/slapd", "-d", "0", "-f", str(self.conf), "-h", urls]
        self.process = subprocess.Popen(self.host.command(*command) if self.host else command,
                                        stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        atexit.register(self.kill)  # also when a test fails
        end = time.monotonic() + 60
        while time.monotonic() < end:
            assert self.process.poll() is None, "slapd ended"
            try:
                with inside():
                    socket.create_connection((self.address, self.port), 1).close()
                return self
            except OSError:
                time.sleep(0.02)
        raise AssertionError("slapd does not listen")

    def kill(self):
        if self.process and self.process.poll() is None:
            self.process.kill()
            self.process.wait()

    def modify(self, text):
        subprocess.run(["ldapmodify", "-x", "-H", f"ldap://127.0.0.1:{self.port}", "-D", ADMIN, "-w", SECRET],
                       input=text, text=True, check=True, capture_output=True, env={**os.environ, "LDAPNOINIT": "1"})
