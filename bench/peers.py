"""Other mail servers than Postfix: each from Debian's package in a root folder of its own below DIR, which debootstrap makes once.

notqmail is in no Debian release: it is measured when BENCH_NOTQMAIL names a root folder that has it installed in var/qmail (with its users and
ucspi-tcp), and left out otherwise.

Before 250, Exim syncs data, header and folder; notqmail two files, but not the name in todo/; OpenSMTPD syncs nothing: what it took before a power
cut may be gone, so it is no measure for a server that must not lose mail."""
import os
import pathlib
import shutil
import subprocess
import time

from servers import ASIDE, DIR, USERS, Server, free_port, put_aside, wait_port

ENV = dict(os.environ, DEBIAN_FRONTEND="noninteractive", PATH="/usr/sbin:/usr/bin:/sbin:/bin")
MAIL_UID = 65534


def base_root():
    root = DIR / "root-base"
    if not (root / ".ready").exists():
        shutil.rmtree(root, ignore_errors=True)
        source = subprocess.run(["apt-get", "indextargets", "--format", "$(REPO_URI)"], capture_output=True, text=True, check=True).stdout.split()
        subprocess.run(["debootstrap", "--variant=minbase", "bookworm", str(root), source[0]], check=True, stdout=subprocess.DEVNULL)
        (root / "usr/sbin/policy-rc.d").write_text("#!/bin/sh\nexit 101\n")
        (root / "usr/sbin/policy-rc.d").chmod(0o755)
        (root / ".ready").touch()
    return root


class Rooted(Server):
    packages = ""

    def __init__(self):
        self.root = DIR / f"root-{self.name}"
        self.mail = self.root / "srv/mail"
        if not (self.root / ".ready").exists():
            shutil.rmtree(self.root, ignore_errors=True)
            subprocess.run(["cp", "-a", str(base_root()), str(self.root)], check=True)
            (self.root / ".ready").unlink()
            shutil.copy("/etc/resolv.conf", self.root / "etc/resolv.conf")
            self.inside("apt-get", "update", "-qq")
            self.inside("apt-get", "install", "-qq", "-y", "--no-install-recommends", *self.packages.split())
            (self.root / ".ready").touch()
        (self.root / "etc/resolv.conf").write_text("")  # nothing to ask
        (self.root / "etc/hosts").write_text("127.0.0.1 localhost client.test mx.bench.test\n")

    def inside(self, *command):
        subprocess.run(["chroot", str(self.root), *command], check=True, env=ENV, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)

    def begin(self, *emptied):
        """Fresh Maildirs, an empty queue."""
        self.port = free_port()
        put_aside(self.mail)
        for u in USERS:
            for sub in ("new", "cur", "tmp"):
                (self.mail / u / sub).mkdir(parents=True)
        subprocess.run(["chown", "-R", f"{self.owner()}", str(self.mail)], check=True)
        for folder in emptied:
            self.empty(self.root / folder)

    def empty(self, folder):
        """Files go aside; folders, sockets and pipes stay."""
        aside = DIR / ASIDE / str(time.time_ns())
        aside.mkdir(parents=True)
        for n, f in enumerate(f for f in folder.rglob("*") if f.is_file() and not f.is_symlink()):
            f.rename(aside / str(n))

    def owner(self):
        return f"{MAIL_UID}:{MAIL_UID}"

    def new(self, user):
        return self.mail / user / "new"

    @staticmethod
    def missing():
        return None if shutil.which("debootstrap") else "debootstrap is missing: apt-get install debootstrap"


EXIM = """primary_hostname = mx.bench.test
domainlist local_domains = local.test
daemon_smtp_ports = {port}
local_interfaces = 127.0.0.1
smtp_accept_max = 1200
smtp_accept_max_per_host =
smtp_accept_queue = 0
smtp_accept_queue_per_connection = 0
smtp_accept_max_per_connection = 0
smtp_accept_max_nonmail = 1000
smtp_connect_backlog = 1024
smtp_enforce_sync = false
message_size_limit = 50M
rfc1413_query_timeout = 0s
host_lookup =
dns_dnssec_ok = 0
tls_advertise_hosts =
message_logs = false
log_file_path = /var/log/exim4/%slog
split_spool_directory = true
check_spool_space = 0
check_log_space = 0
queue_run_max = 20
deliver_drop_privilege = true
never_users =
queue_only = {hold}
acl_smtp_rcpt = acl_rcpt
begin acl
acl_rcpt:
  accept
begin routers
box:
  driver = accept
  domains = +local_domains
  transport = maildir
hold:
  driver = redirect
  allow_defer
  data = :defer: held
begin transports
maildir:
  driver = appendfile
  maildir_format
  directory = /srv/mail/${{lookup{{$local_part}}lsearch{{/etc/exim4/boxes}}}}
  create_directory
begin retry
* * F,2h,15m
"""


class Exim(Rooted):
    name, packages = "exim", "exim4-daemon-light"
    sessions = 200  # it keeps the answer to QUIT back for up to 200 ms: fewer sessions would measure that

    def owner(self):
        line = next(x for x in (self.root / "etc/passwd").read_text().splitlines() if x.startswith("Debian-exim:"))
        return ":".join(line.split(":")[2:4])

    def start(self, mode):
        self.begin("var/spool/exim4")
        (self.root / "etc/exim4/exim4.conf").write_text(EXIM.format(port=self.port, hold=str(mode == "accept").lower()))
        (self.root / "etc/exim4/boxes").write_text("".join(f"{u}: {u}\n" for u in USERS))
        for folder in ("run/exim4", "var/log/exim4"):
            (self.root / folder).mkdir(exist_ok=True)
            subprocess.run(["chown", self.owner(), str(self.root / folder)], check=True)
        self.process = self.launch(["chroot", self.root, "exim4", "-bdf"], env=ENV)
        wait_port(self.port)


OPENSMTPD = """table boxes file:/etc/mail/userbase
smtp max-message-size 50M
smtp limit max-mails 1000000
mda limit max-session 100
mda limit task-hiwat 5000
mda limit task-lowat 2000
mda limit task-release 1000
scheduler limit max-inflight 20000
scheduler limit max-schedule 100
listen on 127.0.0.1 port {port} hostname mx.bench.test
action "out" relay host smtp://127.0.0.1:1 helo mx.bench.test
action "box" maildir "/srv/mail/%{{user.username}}" userbase <boxes>
match from any for domain "local.test" action "box"
match from any for any action "out"
"""


class OpenSMTPD(Rooted):
    name, packages = "opensmtpd", "opensmtpd"
    sessions = 5  # its listen queue is 5: more sessions opened at once stall for seconds

    def start(self, mode):
        self.begin()
        for folder in ("queue", "corrupt", "temporary", "incoming", "purge"):
            put_aside(self.root / "var/spool/smtpd" / folder)  # it makes them
        (self.root / "etc/mail").mkdir(exist_ok=True)
        (self.root / "etc/mail/userbase").write_text("".join(f"{u} {MAIL_UID}:{MAIL_UID}:/srv/mail/{u}\n" for u in USERS))
        (self.root / "etc/mail/mailname").write_text("mx.bench.test\n")
        (self.root / "etc/smtpd.conf").write_text(OPENSMTPD.format(port=self.port))
        self.process = self.launch(["chroot", self.root, "smtpd", "-d"], env=ENV)
        wait_port(self.port)
        if mode == "accept":
            self.inside("smtpctl", "pause", "mta")


class Notqmail(Server):
    name = "notqmail"
    given = pathlib.Path(os.environ.get("BENCH_NOTQMAIL", "/nonexistent"))

    @classmethod
    def missing(cls):
        return None if (cls.given / "var/qmail/bin/qmail-send").exists() else "set BENCH_NOTQMAIL to a root folder with notqmail in var/qmail"

    def __init__(self):
        self.root, self.mail = self.given, self.given / "srv/mail"

    def start(self, mode):
        self.port = free_port()
        put_aside(self.mail)
        for u in USERS:
            for sub in ("new", "cur", "tmp"):
                (self.mail / u / sub).mkdir(parents=True)
        subprocess.run(["chown", "-R", f"{MAIL_UID}:{MAIL_UID}", str(self.mail)], check=True)
        qmail = self.root / "var/qmail"
        subprocess.run(["find", str(qmail / "queue"), "-mindepth", "2", "-type", "f", "!", "-path", "*/lock/*", "-delete"], check=True)
        for name, text in {"me": "mx.bench.test", "locals": "local.test", "rcpthosts": "local.test\nremote.test",
                           "concurrencylocal": "100", "concurrencyremote": "50"}.items():
            (qmail / "control" / name).write_text(text + "\n")
        (qmail / "users").mkdir(exist_ok=True)
        (qmail / "users/assign").write_text("".join(f"={u}:nobody:{MAIL_UID}:{MAIL_UID}:/srv/mail/{u}:::\n" for u in USERS) + ".\n")
        subprocess.run(["chroot", str(self.root), "/var/qmail/bin/qmail-newu"], check=True)
        env = {"PATH": "/var/qmail/bin:/usr/bin:/bin"}
        if mode != "accept":
            self.send = self.launch(["/usr/sbin/chroot", self.root, "qmail-start", "./"], env=env)
        uid, gid = self.user("qmaild")
        self.process = self.launch(["/usr/sbin/chroot", self.root, "tcpserver", "-v", "-H", "-R", "-l0", "-c", "1200", "-b", "1024", "-u", uid, "-g", gid,
                                    "127.0.0.1", self.port, "qmail-smtpd"], env=env)
        wait_port(self.port)

    def user(self, name):
        line = next(x for x in (self.root / "etc/passwd").read_text().splitlines() if x.startswith(name + ":"))
        return line.split(":")[2:4]

    def new(self, user):
        return self.mail / user / "new"


PEERS = [Exim, OpenSMTPD, Notqmail]
