"""A scripted SMTP or LMTP server: what a far side says and does is a list of steps, so that every odd behaviour can be played.

    server = Scripted(steps)        # steps: a function of a Talk, called for each connection
    server.port, server.sessions    # a list of Talk with .lines (what came), .message (the last), .messages"""
import socket
import ssl
import threading

OK = {"EHLO": "250-far.test\r\n250 PIPELINING\r\n", "LHLO": "250-far.test\r\n250 PIPELINING\r\n", "HELO": "250 far.test\r\n",
      "MAIL": "250 2.1.0 ok\r\n", "RCPT": "250 2.1.5 ok\r\n", "DATA": "354 go on\r\n", ".": "250 2.0.0 taken\r\n", "QUIT": "221 bye\r\n"}


class Talk:
    def __init__(self, sock, replies, greeting, lmtp):
        self.sock, self.replies, self.greeting, self.lmtp = sock, replies, greeting, lmtp
        self.lines, self.message, self.messages, self.accepted, self.rcpts, self.tls = [], None, [], 0, 0, None
        self.f = sock.makefile("rb")

    def say(self, text):
        self.sock.sendall(text if isinstance(text, bytes) else text.encode("latin1"))

    def read_message(self):
        out = b""
        while True:
            line = self.f.readline()
            if not line:
                return None
            if line == b".\r\n":
                return out
            out += line

    def reply(self, verb):
        """A text, a list (one for each time), bytes, None (close), or a function of the Talk."""
        r = self.replies.get(verb, OK.get(verb, "500 5.5.1 what\r\n"))
        if isinstance(r, list):
            r = r.pop(0) if len(r) > 1 else r[0]
        return r

    def answer(self, verb):
        r = self.reply(verb)
        if callable(r):
            r = r(self)
        if r is None:
            return False
        self.say(r)
        return r

    def run(self):
        if self.greeting is None:
            return
        self.say((self.greeting(self) or "") if callable(self.greeting) else self.greeting)
        while line := self.f.readline():
            self.lines.append(line)
            verb = line.strip().split(b" ")[0].split(b":")[0].decode("latin1").upper()
            r = self.answer(verb)
            if r is False:
                return
            first = r[:3] if isinstance(r, str) else ""
            if verb == "MAIL":
                self.accepted = 0
            if verb == "RCPT" and first.startswith("2"):
                self.accepted += 1
            if verb == "STARTTLS" and first == "220":
                if not self.start_tls():
                    return
            if verb == "DATA" and first == "354":
                self.message = self.read_message()
                if self.message is not None:
                    self.messages.append(self.message)
                for _ in range(self.accepted if self.lmtp else 1):
                    if self.message is None or self.answer(".") is False:
                        return
            if verb == "QUIT":
                return

    def start_tls(self):
        return False


class Scripted:
    def __init__(self, replies=None, greeting="220 far.test ESMTP\r\n", lmtp=False, address="127.0.0.1", port=0, cert=None, tls_bad=False):
        self.replies, self.greeting, self.lmtp, self.cert, self.tls_bad = replies or {}, greeting, lmtp, cert, tls_bad
        self.listener = socket.create_server((address, port))
        self.port = self.listener.getsockname()[1]
        self.sessions = []
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self):
        while True:
            try:
                sock, _ = self.listener.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=(sock,), daemon=True).start()

    def _serve(self, sock):
        sock.settimeout(60)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)  # replies one by one would each wait for the client's delayed ACK
        talk = Talk(sock, self.replies, self.greeting, self.lmtp)
        talk.start_tls = lambda: self._tls(talk)
        self.sessions.append(talk)
        try:
            talk.run()
        except OSError:
            pass
        finally:
            try:
                talk.f.close()
                talk.sock.close()
            except OSError:
                pass

    def _tls(self, talk):
        if not self.cert and not self.tls_bad:
            return False
        if self.tls_bad:
            talk.sock.recv(5)
            talk.say(b"this is no TLS\r\n" * 10)
            return False
        ctx = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        ctx.load_cert_chain(self.cert)
        talk.sock = ctx.wrap_socket(talk.sock, server_side=True)
        talk.tls = talk.sock.version()
        talk.f = talk.sock.makefile("rb")
        return True

    @property
    def messages(self):
        return [m for t in self.sessions for m in t.messages]

    def close(self):
        self.listener.close()
