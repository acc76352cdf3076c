"""Servers under test: how each is set up, started, asked to hold or to deliver, and stopped.

mode "accept": what is taken is kept and not delivered (Postern: holdlocal and holdremote, Postfix: HOLD); mode "refuse": every client is barred, "limit": only its first connection is taken (both Postern and Postfix); mode "deliver": mail for USERS goes into Maildirs; mode "tls": STARTTLS is offered; mode "relay": mail for .held goes by SMTP to port .sink,
and where the server can do that, mail for USERS by QMQP to port .qmqp_sink.  One recipient address a user; .held is an address that mode "accept" keeps.
Each server writes its usual log into a file by its own means: where nobody listens on /dev/log a line would cost next to nothing.
.qmqp is the port where QMQP is taken, in modes "accept" and "relay".  Everything lies below DIR, which is on the disk under test."""
import os
import pathlib
import shutil
import signal
import socket
import subprocess
import time

from account import enter, pids

ROOT = pathlib.Path(__file__).resolve().parents[1]
BIN = pathlib.Path(os.environ.get("POSTERN_BIN", ROOT / "build/bin"))
DIR = pathlib.Path(os.environ.get("BENCH_DIR", "/var/tmp/postern-bench"))
USERS = [f"u{i:02}" for i in range(1, 51)]
ASIDE = "aside"
RECENT_SECONDS = 360


def put_aside(path):
    """PATH is no longer there.  Not removed yet: for so long ext4 passes over each inode that was deleted, one by one, whenever a file is made, and
    what a server left would slow down those after it."""
    if path.exists():
        aside = (DIR if path.stat().st_dev == DIR.stat().st_dev else path.parent) / ASIDE
        aside.mkdir(exist_ok=True)
        path.rename(aside / str(time.time_ns()))


def remove_aside():
    if (DIR / ASIDE).exists():
        shutil.rmtree(DIR / ASIDE)
        (DIR / "removed").touch()


def wait_for_removed():
    """The files of the run before are no longer recent."""
    mark = DIR / "removed"
    left = RECENT_SECONDS - (time.time() - mark.stat().st_mtime) if mark.exists() else 0
    if left > 0:
        print(f"waiting {left:.0f} s: the run before removed many files, and ext4 looks at each of them for six minutes", flush=True)
        time.sleep(left)


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def wait_port(port, seconds=30):
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        try:
            socket.create_connection(("127.0.0.1", port), 1).close()
            return
        except OSError:
            time.sleep(0.05)
    raise SystemExit(f"nothing answers on port {port}")


def certificate():
    """A key and a certificate, for mode "tls"."""
    key, cert = DIR / "key.pem", DIR / "cert.pem"
    if not cert.exists():
        subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "3650", "-keyout", key,
                        "-out", cert, "-subj", "/CN=mx.bench.test"], check=True, capture_output=True)
    return key, cert


class Server:
    held = "user@remote.test"
    sessions = 32  # at once
    sink = qmqp_sink = 1
    folder = DIR   # where it keeps its mail
    trace = None   # command to start the server with, for counting its system calls
    works = None   # those of bench/run that it can do; None: all but those of others

    def launch(self, command, **more):
        """What it prints is its log, or the beginning of it."""
        with open(self.folder / f"{self.name}.log", "ab") as log:
            return subprocess.Popen([*(self.trace or []), *map(str, command)], preexec_fn=enter, stdin=subprocess.DEVNULL, stdout=log, stderr=log, **more)

    def rcpt(self, user):
        return f"{user}@local.test"

    @staticmethod
    def missing():
        """Why this server cannot be measured here, or None."""
        return None

    def stop(self):
        """Whatever of the server is left goes too.  strace takes no signal; it ends when the server does."""
        if self.trace:
            subprocess.run(["pkill", "-TERM", "-P", str(self.process.pid)], check=False)
        else:
            self.process.terminate()
        try:
            self.process.wait(60)
        except subprocess.TimeoutExpired:
            self.process.kill()
        end = time.monotonic() + 5
        while left := [p for p in pids(self.process.pid) if pathlib.Path(f"/proc/{p}").exists()]:
            for p in left:
                try:
                    os.kill(p, signal.SIGTERM if time.monotonic() < end else signal.SIGKILL)
                except ProcessLookupError:
                    pass
            time.sleep(0.1)


class Postfix(Server):
    name = "postfix"
    logs = True

    def __init__(self):
        self.dir, self.pkg = self.folder / self.name, DIR / "postfix-package"
        self.env = dict(os.environ, LD_LIBRARY_PATH=str(self.pkg / "usr/lib/postfix"), MAIL_CONFIG=str(self.dir / "etc"))

        self.unpack(self.pkg)

    @staticmethod
    def unpack(pkg):
        if (pkg / "usr/lib/postfix/sbin/master").exists():
            return
        pkg.mkdir(parents=True, exist_ok=True)
        subprocess.run(["apt-get", "download", "-qq", "postfix"], cwd=DIR, check=True, stderr=subprocess.DEVNULL)
        deb = next(DIR.glob("postfix_*.deb"))
        subprocess.run(["dpkg", "-x", str(deb), str(pkg)], check=True)
        deb.unlink()

    def start(self, mode):
        put_aside(self.dir)
        etc, spool, data, mail = (self.dir / x for x in ("etc", "spool", "data", "mail"))
        for d in (etc, spool, data, mail):
            d.mkdir(parents=True)
        self.mail, self.port, self.qmqp = mail, free_port(), free_port()
        for d in "active bounce corrupt defer deferred hold incoming private trace flush saved maildrop public pid".split():
            (spool / d).mkdir(mode=0o700)
            if d != "pid":
                shutil.chown(spool / d, "mail", "staff" if d in ("maildrop", "public") else None)
        (spool / "public").chmod(0o710)
        (spool / "maildrop").chmod(0o730)
        shutil.chown(data, "mail")
        for u in USERS:
            for sub in ("new", "cur", "tmp"):
                (mail / u / sub).mkdir(parents=True)
            for p in (mail / u, *(mail / u).iterdir()):
                shutil.chown(p, "nobody", "nogroup")
        (etc / "vmailbox").write_text("".join(f"{u}@local.test {u}/\n" for u in USERS))
        hold = {"accept": "check_client_access static:HOLD", "refuse": "check_client_access static:REJECT"}.get(mode, "")
        sbin = self.pkg / "usr/lib/postfix/sbin"
        (etc / "main.cf").write_text(f"""compatibility_level = 3.6
queue_directory = {spool}
data_directory = {data}
daemon_directory = {sbin}
command_directory = {self.pkg}/usr/sbin
shlib_directory = {self.pkg}/usr/lib/postfix
meta_directory = {self.pkg}/etc/postfix
mail_owner = mail
setgid_group = staff
import_environment = MAIL_CONFIG LD_LIBRARY_PATH PATH
export_environment = MAIL_CONFIG LD_LIBRARY_PATH PATH
maillog_file = {f"{self.dir}/log" if self.logs else ""}
maillog_file_prefixes = {self.dir}
myhostname = mx.bench.test
mydestination =
mynetworks = 127.0.0.0/8
inet_interfaces = 127.0.0.1
inet_protocols = ipv4
smtpd_peername_lookup = no
smtpd_tls_security_level = none
message_size_limit = 52428800
mailbox_size_limit = 0
virtual_mailbox_limit = 0
max_use = 10000
in_flow_delay = 0
smtpd_client_connection_count_limit = 0
smtpd_client_event_limit_exceptions = {"" if mode == "limit" else "static:all"}
smtpd_client_connection_rate_limit = {int(mode == "limit")}
anvil_rate_time_unit = 1d
smtpd_recipient_restrictions = permit_mynetworks, reject
smtpd_relay_restrictions =
smtpd_client_restrictions = {hold}
qmqpd_authorized_clients = 127.0.0.0/8
header_checks = {"static:HOLD" if mode == "accept" else ""}
relayhost = [127.0.0.1]:{self.sink}
smtputf8_enable = no
alias_maps =
alias_database =
local_recipient_maps =
qmgr_message_active_limit = 20000
initial_destination_concurrency = 20
default_destination_concurrency_limit = 50
virtual_mailbox_domains = local.test
virtual_mailbox_base = {mail}
virtual_mailbox_maps = texthash:{etc}/vmailbox
virtual_uid_maps = static:65534
virtual_gid_maps = static:65534
virtual_minimum_uid = 100
""")
        if mode == "tls":
            key, cert = certificate()
            with open(etc / "main.cf", "a") as f:
                f.write(f"smtpd_tls_security_level = may\nsmtpd_tls_cert_file = {cert}\nsmtpd_tls_key_file = {key}\n"
                        f"smtpd_tls_session_cache_database = btree:{data}/tls\n")
        (etc / "master.cf").write_text(f"""127.0.0.1:{self.port} inet n - n - 1200 smtpd
127.0.0.1:{self.qmqp} inet n - n - 100 qmqpd
smtp unix - - n - 100 smtp
pickup unix n - n 60 1 pickup
cleanup unix n - n - 0 cleanup
qmgr unix n - n 300 1 qmgr
rewrite unix - - n - - trivial-rewrite
bounce unix - - n - 0 bounce
defer unix - - n - 0 bounce
trace unix - - n - 0 bounce
flush unix n - n 1000? 0 flush
proxymap unix - - n - - proxymap
error unix - - n - - error
retry unix - - n - - error
virtual unix - n n - 100 virtual
anvil unix - - n - 1 anvil
tlsmgr unix - - n 1000? 1 tlsmgr
postlog unix-dgram n - n - 1 postlogd
""")
        self.process = self.launch([sbin / "master", "-d", "-c", etc], env=self.env)
        wait_port(self.port)

    def new(self, user):
        return self.mail / user / "new"


class PostfixSilent(Postfix):
    """Nobody takes its log: what that costs."""
    name = "postfix-silent"
    logs = False


class Postern(Server):
    name = "postern"

    def start(self, mode):
        self.dir = self.folder / "postern"
        put_aside(self.dir)
        self.dir.mkdir(parents=True)
        self.ctl, self.state, self.port, self.qmqp = self.dir / "control", self.dir / "state", free_port(), free_port()
        self.ctl.mkdir()
        ldif = "version: 1\n\n" + "\n".join(
            f"dn: uid={u},dc=local,dc=test\nobjectClass: qmailUser\nuid: {u}\nmail: {u}@local.test\n" +
            ("mailHost: far.bench.test\n" if mode == "relay" else "") for u in USERS)
        files = {"me": "mx.bench.test", "locals": "local.test", "listen": f"smtp 127.0.0.1:{self.port}\nqmqp 127.0.0.1:{self.qmqp}", "directory.ldif": ldif,
                 "tcp.smtp": ':allow,RBLSMTPD="-refused"' if mode == "refuse" else '127.:allow,RELAYCLIENT=""', "maxperip": "20000", "maxpernet": "20000", "concurrencyincoming": "2000",
                 "concurrencylocal": "20", "concurrencyremote": "100", "smtproutes": f":127.0.0.1:{self.sink}", "tcp.qmqp": "127.:allow",
                 "qmqproutes": f"far.bench.test:127.0.0.1:{self.qmqp_sink}", "maxrcpt": "20000", "maxmessages": "1000000"}
        if mode == "accept":
            files.update(holdlocal="1", holdremote="1")
        if mode == "limit":
            files.update({"connectionsperip": "1/86400", "tcp.smtp": ":allow"})
        if mode == "tls":
            files["servercert.pem"] = "".join(f.read_text() for f in certificate())
        for name, text in files.items():
            (self.ctl / name).write_text(text + "\n")
            (self.ctl / name).chmod(0o600)
        self.resume()

    def resume(self):
        """Start with the state that is there."""
        (self.state / "ready").unlink(missing_ok=True)
        self.process = self.launch([BIN / "postern", "serve", "-c", self.ctl, "-s", self.state])
        end = time.monotonic() + 30
        while not (self.state / "ready").exists():
            if self.process.poll() is not None or time.monotonic() > end:
                raise SystemExit("postern did not start: " + (self.folder / f"{self.name}.log").read_text(errors="replace")[-2000:])
            time.sleep(0.05)

    def new(self, user):
        return self.state / "mail" / user / "Maildir/new"


class Floor(Server):
    """What TCP alone costs (floor.c)."""
    name = "floor"
    works = ("accept", "kept", "sessions", "refused")
    how = ()

    def start(self, mode):
        from driver import build
        self.port = free_port()
        self.process = self.launch([build("floor", "bench/floor.c", libraries=["-static"]), self.port, *self.how, *(["take"] if mode == "accept" else [])])
        wait_port(self.port)


class ForkFloor(Floor):
    """And what a process for each connection costs besides, when it does nothing."""
    name = "forkfloor"
    how = ("fork",)
