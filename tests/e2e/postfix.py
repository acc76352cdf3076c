"""Postfix as a far side: Debian's package, unpacked below /var/tmp and not installed, with a configuration of its own.  Its tools smtp-sink, qmqp-sink and
qmqp-source come from there too.  Needs root."""
import os
import pathlib
import re
import shutil
import subprocess

from conftest import free_port, wait_for

PKG = pathlib.Path("/var/tmp/postern-postfix")


def unpack():
    """None when it cannot be had."""
    if not (PKG / "usr/lib/postfix/sbin/master").exists():
        new = PKG.with_name(f"postern-postfix.{os.getpid()}")
        shutil.rmtree(new, ignore_errors=True)
        new.mkdir(mode=0o755)
        if subprocess.run(["apt-get", "download", "-qq", "postfix"], cwd=new, capture_output=True).returncode:
            return None
        subprocess.run(["dpkg", "-x", str(next(new.glob("postfix_*.deb"))), str(new)], check=True)
        try:
            new.rename(PKG)
        except OSError:
            shutil.rmtree(new)
    return PKG


def tool(name, *args, **more):
    return subprocess.Popen([str(PKG / "usr/sbin" / name), *map(str, args)], env=dict(os.environ, LD_LIBRARY_PATH=str(PKG / "usr/lib/postfix")), **more)


def listens(port):
    """Without connecting: a sink would count that."""
    want = f":{port:04X}"
    return any(line.split()[1].endswith(want) and line.split()[3] == "0A" for line in open("/proc/net/tcp").readlines()[1:])


class Sink:
    """smtp-sink or qmqp-sink; .seen() is what its counters say."""
    def __init__(self, folder, name):
        self.port, self.out = free_port(), folder / name
        self.file = open(self.out, "wb")
        self.process = tool(name, "-c", *(["-u", "nobody"] if name == "smtp-sink" else []), f"127.0.0.1:{self.port}", 100, stdout=self.file, stderr=self.file)
        wait_for(lambda: listens(self.port))

    def seen(self):
        text = self.out.read_text()
        named = dict(re.findall(r"(sess|quit|mesg)=(\d+)", text))
        return {k: int(v) for k, v in named.items()} or {"mesg": int((re.findall(r"\d+", text) or [0])[-1])}

    def stop(self):
        self.process.terminate()
        self.process.wait()
        self.file.close()


class FarPostfix:
    """Takes mail for DOMAINS by SMTP, with STARTTLS, and by QMQP; users x and y have Maildirs, the same in all domains.  Its own mail goes to the SMTP server at port BACK."""
    def __init__(self, folder, certificate, back, domains=("far.test",)):
        self.dir, self.port, self.qmqp = folder / "postfix", free_port(), free_port()
        etc, spool, data, self.mail = (self.dir / x for x in ("etc", "spool", "data", "mail"))
        for d in (etc, spool, data, self.mail):
            d.mkdir(parents=True)
        for d in "active bounce corrupt defer deferred hold incoming private trace flush saved maildrop public pid".split():
            (spool / d).mkdir(mode=0o700)
            if d != "pid":
                shutil.chown(spool / d, "mail", "staff" if d in ("maildrop", "public") else None)
        (spool / "public").chmod(0o710)
        (spool / "maildrop").chmod(0o730)
        shutil.chown(data, "mail")
        shutil.chown(self.mail, "nobody", "nogroup")
        self.log = self.dir / "log"
        (etc / "vmailbox").write_text("".join(f"x@{d} x/\ny@{d} y/\n" for d in domains))
        (etc / "main.cf").write_text(f"""compatibility_level = 3.6
queue_directory = {spool}
data_directory = {data}
daemon_directory = {PKG}/usr/lib/postfix/sbin
command_directory = {PKG}/usr/sbin
shlib_directory = {PKG}/usr/lib/postfix
meta_directory = {PKG}/etc/postfix
mail_owner = mail
setgid_group = staff
import_environment = MAIL_CONFIG LD_LIBRARY_PATH PATH
export_environment = MAIL_CONFIG LD_LIBRARY_PATH PATH
maillog_file = {self.log}
maillog_file_prefixes = {self.dir}
myhostname = mx.far.test
mydestination =
mynetworks = 127.0.0.0/8
inet_interfaces = 127.0.0.1
inet_protocols = ipv4
smtpd_peername_lookup = no
smtpd_tls_security_level = may
smtpd_tls_chain_files = {certificate}
smtpd_tls_received_header = yes
smtpd_relay_restrictions = permit_mynetworks, reject
qmqpd_authorized_clients = 127.0.0.0/8
alias_maps =
alias_database =
relayhost = [127.0.0.1]:{back}
virtual_mailbox_domains = {" ".join(domains)}
virtual_mailbox_base = {self.mail}
virtual_mailbox_maps = texthash:{etc}/vmailbox
virtual_uid_maps = static:65534
virtual_gid_maps = static:65534
virtual_minimum_uid = 100
""")
        (etc / "master.cf").write_text(f"""127.0.0.1:{self.port} inet n - n - 100 smtpd
127.0.0.1:{self.qmqp} inet n - n - 100 qmqpd
postlog unix-dgram n - n - 1 postlogd
smtp unix - - n - 10 smtp
cleanup unix n - n - 0 cleanup
qmgr unix n - n 300 1 qmgr
rewrite unix - - n - - trivial-rewrite
bounce unix - - n - 0 bounce
defer unix - - n - 0 bounce
trace unix - - n - 0 bounce
proxymap unix - - n - - proxymap
error unix - - n - - error
retry unix - - n - - error
virtual unix - n n - 20 virtual
anvil unix - - n - 1 anvil
tlsmgr unix - - n 1000? 1 tlsmgr
""")
        self.process = subprocess.Popen([str(PKG / "usr/lib/postfix/sbin/master"), "-d", "-c", str(etc)], start_new_session=True,
                                        env=dict(os.environ, LD_LIBRARY_PATH=str(PKG / "usr/lib/postfix"), MAIL_CONFIG=str(etc)),
                                        stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        wait_for(lambda: listens(self.port) and listens(self.qmqp))

    def mails(self, user):
        return [f.read_bytes() for f in (self.mail / user / "new").glob("*")]

    def connections(self):
        """That smtpd has seen."""
        return self.log.read_text().count(": connect from ") if self.log.exists() else 0

    def stop(self):
        self.process.terminate()
        self.process.wait(30)
