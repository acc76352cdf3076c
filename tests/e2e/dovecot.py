"""A real Dovecot on the Maildirs of a suite, by IMAP, POP3 and LMTP: every user has the password "pw"."""
import grp
import os
import pwd
import shutil
import socket
import subprocess

from conftest import free_port, wait_for

CONF = """base_dir = {d}/run
state_dir = {d}/state
log_path = {d}/dovecot.log
protocols = imap pop3 lmtp
listen = 127.0.0.1
first_valid_uid = 1
mail_location = maildir:~/Maildir
disable_plaintext_auth = no
ssl = no
passdb {{
{passdb}
}}
userdb {{
{userdb}
}}
service imap-login {{
  inet_listener imap {{
    port = {imap}
  }}
}}
service pop3-login {{
  inet_listener pop3 {{
    port = {pop3}
  }}
}}
service lmtp {{
  inet_listener lmtp {{
    port = {lmtp_port}
  }}
  unix_listener {d}/lmtp.sock {{
    mode = 0666
  }}
}}
service anvil {{
  unix_listener anvil-auth-penalty {{
    mode = 0
  }}
}}
namespace inbox {{
  inbox = yes
  mailbox Archive {{
    auto = create
  }}
}}
"""
# driver and arguments of passdb and userdb: everybody, or those of a file alone
EVERYBODY = "  driver = static\n  args = password=pw", "  driver = static\n  args = {owner} allow_all_users=yes"
SOME = "  driver = passwd-file\n  args = scheme=PLAIN username_format=%n {d}/passwd", "  driver = passwd-file\n  args = username_format=%n {d}/passwd\n  default_fields = {owner}"
PROGRAM = shutil.which("dovecot", path="/usr/sbin:/usr/bin")
WHY_NOT = "Dovecot runs as root" if os.geteuid() != 0 else None if PROGRAM else "Dovecot is not installed"


class Dovecot:
    """MAIL belongs to the system user USER; USERS: those whom it knows, else it knows everybody."""
    def __init__(self, folder, mail, user="postern-mail", users=()):
        folder.mkdir()
        self.imap, self.pop3, self.lmtp, self.lmtp_port = free_port(), free_port(), folder / "lmtp.sock", free_port()
        self.conf, self.log = folder / "dovecot.conf", folder / "dovecot.log"
        (folder / "passwd").write_text("".join(f"{u}:pw::::::\n" for u in users))
        owner = f"uid={user} gid={grp.getgrgid(pwd.getpwnam(user).pw_gid).gr_name} home={mail}/%n"
        passdb, userdb = (text.format(d=folder, owner=owner) for text in (SOME if users else EVERYBODY))
        self.conf.write_text(CONF.format(d=folder, passdb=passdb, userdb=userdb, imap=self.imap, pop3=self.pop3, lmtp_port=self.lmtp_port))

    def start(self):
        self.process = subprocess.Popen([PROGRAM, "-F", "-c", str(self.conf)], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        wait_for(self.listens, why=lambda: self.log.read_text() if self.log.exists() else "Dovecot does not listen")
        return self

    def listens(self):
        try:
            for port in (self.imap, self.pop3, self.lmtp_port):
                socket.create_connection(("127.0.0.1", port), 5).close()
            return True
        except OSError:
            return False

    def stop(self):
        self.process.terminate()
        self.process.wait(60)
