"""A TCP server that answers a real client exactly as a test says, byte by byte."""

from __future__ import annotations

import contextlib
import socket
import ssl
import struct
import threading
from collections.abc import Callable
from urllib.parse import parse_qsl

#: What a test writes: it gets the connection and the server, and does what it likes.
Script = Callable[[socket.socket, "ScriptedServer"], None]


class ScriptedServer:
    """Runs ``script`` for every connection, each in a thread, until closed."""

    def __init__(self, script: Script, *, tls: ssl.SSLContext | None = None) -> None:
        self.script = script
        self.tls = tls
        self.bodies: list[bytes] = []
        self.heads: list[bytes] = []
        self.connections = 0
        self.stopping = threading.Event()
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        self.url = f"{'https' if tls else 'http'}://localhost:{self.port}"
        self._threads = [threading.Thread(target=self._accept)]
        self._threads[0].start()

    @property
    def forms(self) -> list[dict[str, str]]:
        """The requests received, as fields."""
        return [
            dict(parse_qsl(body.decode("ascii"), keep_blank_values=True, encoding="cp932"))
            for body in self.bodies
        ]

    def _accept(self) -> None:
        while not self.stopping.is_set():
            with contextlib.suppress(OSError):
                connection, _ = self._listener.accept()
                if self.stopping.is_set():  # it was close() that knocked
                    connection.close()
                    return
                self.connections += 1
                thread = threading.Thread(target=self._serve, args=(connection,))
                self._threads.append(thread)
                thread.start()

    def _serve(self, connection: socket.socket) -> None:
        with connection, contextlib.suppress(OSError):
            connection.settimeout(10)
            if self.tls is None:
                self.script(connection, self)
                return
            with self.tls.wrap_socket(connection, server_side=True) as secured:
                self.script(secured, self)

    def read_request(self, connection: socket.socket) -> bool:
        """Read one whole request; False if the client closed instead of sending one."""
        received = b""
        while b"\r\n\r\n" not in received:
            part = connection.recv(65536)
            if not part:
                return False
            received += part
        head, _, body = received.partition(b"\r\n\r\n")
        length = int(head.lower().partition(b"content-length:")[2].partition(b"\r\n")[0])
        while len(body) < length:
            body += connection.recv(65536)
        self.heads.append(head)
        self.bodies.append(body)
        return True

    def pause(self, seconds: float) -> None:
        """Wait, but not beyond the end of the test."""
        if self.stopping.wait(seconds):
            raise OSError("the test is over")

    def close(self) -> None:
        """End every thread."""
        self.stopping.set()
        with contextlib.suppress(OSError):
            socket.create_connection(("127.0.0.1", self.port)).close()
        for thread in self._threads:
            thread.join(15)
        self._listener.close()


def http(body: bytes, *, status: str = "200 OK", headers: str = "") -> bytes:
    """A complete HTTP answer."""
    head = f"HTTP/1.1 {status}\r\nContent-Length: {len(body)}\r\n{headers}\r\n"
    return head.encode() + body


def answering(*answers: bytes) -> Script:
    """A script that gives these bytes to one request after the other, on kept connections."""
    queue = list(answers)

    def script(connection: socket.socket, server: ScriptedServer) -> None:
        while queue and server.read_request(connection):
            connection.sendall(queue.pop(0))

    return script


def reset(connection: socket.socket) -> None:
    """Close so that the other side sees ECONNRESET."""
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    connection.close()
