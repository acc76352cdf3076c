"""SCRAM-SHA-256 from the client's side, written from RFC 5802 and RFC 7677 alone: a second opinion beside the real clients, and for what they never send."""
import base64
import hashlib
import hmac
import secrets


def b64(data):
    return base64.b64encode(data if isinstance(data, bytes) else data.encode()).decode()


def sha(data):
    return hashlib.sha256(data).digest()


def mac(key, text):
    return hmac.digest(key, text if isinstance(text, bytes) else text.encode(), "sha256")


def stored(password, salt=None, iterations=4096):
    """userPassword."""
    salt = salt or secrets.token_bytes(16)
    salted = hashlib.pbkdf2_hmac("sha256", password.encode(), salt, iterations)
    return "{SCRAM-SHA-256}%d,%s,%s,%s" % (iterations, b64(salt), b64(sha(mac(salted, "Client Key"))), b64(mac(salted, "Server Key")))


class Exchange:
    """first, then final(server_first), then check(server_final)."""

    def __init__(self, user, password, header="n,,", binding=b"", nonce=None):
        self.password, self.header, self.binding = password, header, binding
        self.nonce = nonce or secrets.token_urlsafe(18)
        self.bare = f"n={user.replace('=', '=3D').replace(',', '=2C')},r={self.nonce}"
        self.first = header + self.bare

    def final(self, server_first, **change):
        self.said = dict(part.split("=", 1) for part in server_first.split(","))
        assert self.said["r"].startswith(self.nonce) and len(self.said["r"]) >= len(self.nonce) + 24
        salted = hashlib.pbkdf2_hmac("sha256", self.password.encode(), base64.b64decode(self.said["s"]), int(self.said["i"]))
        client_key = mac(salted, "Client Key")
        without = change.get("without", f"c={b64(self.header.encode() + self.binding)},r={change.get('nonce', self.said['r'])}")
        message = f"{self.bare},{server_first},{without}"
        signature = mac(sha(client_key), message)
        self.wanted = "v=" + b64(mac(mac(salted, "Server Key"), message))
        self.without = without
        self.proof = bytes(a ^ b for a, b in zip(client_key, signature))
        return f"{without},p={b64(self.proof)}"


def login(session, user, password, mechanism="SCRAM-SHA-256", initial=True, **kw):
    """Over an smtplib session that stands inside TLS: (code, text) of the last answer; 235 only if the server proved that it knows the password too."""
    e = Exchange(user, password, **kw)
    if initial:
        code, text = session.docmd(f"AUTH {mechanism} {b64(e.first)}")
    else:
        assert session.docmd(f"AUTH {mechanism}") == (334, b"")
        code, text = session.docmd(b64(e.first))
    if code != 334:
        return code, text.decode()
    code, text = session.docmd(b64(e.final(base64.b64decode(text).decode())))
    if code != 334:
        return code, text.decode()
    assert base64.b64decode(text).decode() == e.wanted
    code, text = session.docmd("")
    return code, text.decode()


def salt(session, user):
    """What the server says to USER; the exchange is then given up."""
    code, text = session.docmd(f"AUTH SCRAM-SHA-256 {b64(Exchange(user, '').first)}")
    assert code == 334, (code, text)
    assert session.docmd("*")[0] == 501
    return base64.b64decode(text).decode().split(",", 1)[1]
