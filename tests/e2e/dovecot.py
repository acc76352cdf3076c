"""A real Dovecot on the Maildirs of a suite, by IMAP, POP3 and LMTP: every user has the password "pw"."""
import os
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
  driver = static
  args = password=pw
}}
userdb {{
  driver = static
  args = uid={user} gid={user} home={mail}/%n allow_all_users=yes
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
PROGRAM = shutil.which("dovecot", path="/usr/sbin:/usr/bin")
WHY_NOT = "Dovecot runs as root" if os.geteuid() != 0 else None if PROGRAM else "Dovecot is not installed"


class Dovecot:
    def __init__(self, folder, mail, user="postern-mail"):
        folder.mkdir()
        self.imap, self.pop3, self.lmtp = free_port(), free_port(), folder / "lmtp.sock"
        self.conf, self.log = folder / "dovecot.conf", folder / "dovecot.log"
        self.conf.write_text(CONF.format(d=folder, mail=mail, user=user, imap=self.imap, pop3=self.pop3))

    def start(self):
        self.process = subprocess.Popen([PROGRAM, "-F", "-c", str(self.conf)], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        wait_for(self.listens, why=lambda: self.log.read_text() if self.log.exists() else "Dovecot does not listen")
        return self

    def listens(self):
        try:
            for port in (self.imap, self.pop3):
                socket.create_connection(("127.0.0.1", port), 5).close()
            return True
        except OSError:
            return False

    def stop(self):
        self.process.terminate()
        self.process.wait(20)
