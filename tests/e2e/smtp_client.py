"""A client that says what it likes to an SMTP server, octet by octet, and looks at the form of each reply."""
import socket
import ssl
import struct

from certificates import NO_CHECK


class Client:
    def __init__(self, sock, seconds=60):
        self.raw = self.sock = sock
        self.buffer = b""
        sock.settimeout(seconds)

    def send(self, data):
        self.sock.sendall(data if isinstance(data, bytes) else data.encode())

    def line(self):
        """The next line without its end; EOFError where the connection ended."""
        while b"\n" not in self.buffer:
            got = self.sock.recv(65536)
            if not got:
                raise EOFError(self.buffer)
            self.buffer += got
        line, self.buffer = self.buffer.split(b"\n", 1)
        assert line.endswith(b"\r"), line
        return line[:-1]

    def lines(self):
        """All lines of the next reply, which have one code."""
        lines = [self.line()]
        while lines[-1][3:4] == b"-":
            lines.append(self.line())
        assert len({x[:3] for x in lines}) == 1, lines
        return lines

    def reply(self):
        """(code, text of all lines)"""
        lines = [x.decode("latin-1") for x in self.lines()]
        return int(lines[0][:3]), "\n".join(x[4:] for x in lines)

    def do(self, command):
        """Octets as they are, or a text with the end of a line: the reply."""
        self.send(command if isinstance(command, bytes) else command.encode() + b"\r\n")
        return self.reply()

    def code(self, command):
        return self.do(command)[0]

    def ehlo(self):
        """The extensions."""
        code, text = self.do("EHLO client.test")
        assert code == 250, text
        return text.split("\n")[1:]

    def start(self, sender="a@far.test", rcpts=("u1@campus.test",)):
        self.ehlo()
        return self.envelope(sender, rcpts)

    def envelope(self, sender="a@far.test", rcpts=("u1@campus.test",)):
        for command, expected in [(f"MAIL FROM:<{sender}>", 250), *[(f"RCPT TO:<{r}>", 250) for r in rcpts], ("DATA", 354)]:
            code, text = self.do(command)
            assert code == expected, (command, code, text)
        return self

    def wrap(self, name=None):
        """TLS from here on, with NAME as server_name."""
        self.sock = NO_CHECK.wrap_socket(self.raw, server_hostname=name)

    def inside_tls(self):
        self.ehlo()
        code, text = self.do("STARTTLS")
        assert code == 220, text
        self.wrap()
        self.ehlo()
        return self

    def closed(self):
        """Nothing more comes, and the connection is closed; by TLS's measure that may be a fault."""
        try:
            return self.buffer == b"" and self.sock.recv(100) == b""
        except (ConnectionResetError, ssl.SSLError):
            return True

    def reset(self):
        self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.close()

    def close(self):
        self.sock.close()
        self.raw.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()
