"""A program on this machine that takes webhooks, and does as it is told."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from standardwebhooks import Webhook as Verifier


class Receiver:
    """It verifies what comes as the scheme's own library does, and keeps it."""

    def __init__(self) -> None:
        self.secret = ""
        #: what it answers: to everything, or to messages of one order
        self.status = 200
        self.says: dict[str, int] = {}
        self.headers: dict[str, str] = {}
        #: set by who wants it to hold what it takes, until it is set again
        self.goes_on = threading.Event()
        self.goes_on.set()
        #: what it does with each before it answers
        self.meanwhile: Callable[[], object] = lambda: None
        self.tried: list[tuple[str, Any]] = []
        self.got: list[tuple[str, Any]] = []
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                receiver.goes_on.wait(30)
                receiver.meanwhile()
                status = receiver.take(dict(self.headers), body)
                self.send_response(status)
                for name, value in receiver.headers.items():
                    self.send_header(name, value)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, *_: object) -> None:
                """Nothing."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.port: int = self._server.server_port
        threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True).start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/hook?shop=1"

    def take(self, headers: dict[str, str], body: bytes) -> int:
        said = Verifier(self.secret).verify(body, headers) if self.secret else json.loads(body)
        event_id = {name.lower(): value for name, value in headers.items()}["webhook-id"]
        self.tried.append((event_id, said))
        status = self.says.get(said["data"].get("order_no", ""), self.status)
        if status == 200:
            self.got.append((event_id, said))
        return status

    def of(self, order_no: str) -> list[str]:
        """What was taken of one order, in order."""
        return [
            said["data"]["action"] for _, said in self.got if said["data"]["order_no"] == order_no
        ]

    def stop(self) -> None:
        self.goes_on.set()
        self._server.shutdown()
        self._server.server_close()
