"""A QMQP client that frames a message, or says what it likes."""
import socket

from alone import joined, netstring


def framed(message, sender, *rcpts):
    return netstring(netstring(message) + joined(sender, *rcpts))


def said(sock, data, close=False):
    """All that is answered to DATA, behind which CLOSE ends the client's side; b"" when the server closes without a word."""
    out = b""
    try:
        sock.sendall(data)
        if close:
            sock.shutdown(socket.SHUT_WR)
    except (BrokenPipeError, ConnectionResetError):  # it answered and left before the last octet
        pass
    try:
        while part := sock.recv(4096):
            out += part
    except ConnectionResetError:
        pass
    return out
