"""postern-smtpd alone on port 587 or 465: the test plays directory and postern-tls; the password of everybody is submission.SECRET."""
import contextlib
import socket
import threading

from alone import joined
from smtpd_alone import Smtpd
from submission import SECRET, plain


def carry(source, target):
    """Octets one way, and the end of file; where TARGET takes no more, SOURCE hears of it."""
    try:
        while got := source.recv(65536):
            target.sendall(got)
        target.shutdown(socket.SHUT_WR)
    except OSError:
        with contextlib.suppress(OSError):
            source.shutdown(socket.SHUT_RD)


class Submission(Smtpd):
    """What the client sends after STARTTLS goes through postern-tls's place as it is."""

    def __init__(self, **kw):
        self.auth_answer = True  # None: close without an answer
        self.tls_answer = True
        super().__init__(tls=True, **kw)
        threading.Thread(target=self._tls, daemon=True).start()

    def _tls(self):
        for _, fds in self._receive("tls"):
            client, clear = (socket.socket(fileno=fd) for fd in fds)
            answer = ("ok", "TLSv1.3", "TLS_AES_256_GCM_SHA384", "", "", 0) if self.tls_answer else ("failed", "no shared cipher")
            clear.sendall(joined(*answer).ljust(512, b"\0"))
            if not self.tls_answer:
                client.close()
                clear.close()
                continue
            threading.Thread(target=carry, args=(client, clear), daemon=True).start()
            threading.Thread(target=carry, args=(clear, client), daemon=True).start()

    def directory_says(self, question):
        if question[0] == "rcpt":
            return joined(self.USERS.get(question[1], "N"), "")
        if self.auth_answer:
            return self.entry(question[1]) if question[2] == SECRET else joined("N", "wrong name or password")
        return None

    @staticmethod
    def entry(user):
        return joined("Y", "", user, "u1@campus.test", "", "", "", -1, -1, "", 1, 0, 0, "", 0, 0, 0, 0, 2, "alias1@campus.test", "First.Last@campus.test")

    def inside(self, listener="submission", **kw):
        c = self.connect(listener=listener, **kw)
        if listener == "submission":
            c.ehlo()
            assert c.code("STARTTLS") == 220
        c.ehlo()
        return c

    def logged_in(self, **kw):
        c = self.inside(**kw)
        assert c.do("AUTH PLAIN " + plain("u1", SECRET)) == (235, "2.7.0 you are logged in")
        return c
