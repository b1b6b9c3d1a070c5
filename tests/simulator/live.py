"""The practice gateway behind real sockets, served by waitress in a thread."""

import http.client
import json
import logging
import threading
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from sgpshop.simulator import GatewayServer, create_app

from .shop import FORM, SHOP, fields, form


class LiveGateway:
    """A gateway at `127.0.0.1:port`; a context manager."""

    def __init__(self, path: Path, **options: Any) -> None:
        # On a busy machine it tells that a request waited, among the lines that a test looks at.
        logging.getLogger("waitress.queue").setLevel(logging.ERROR)
        self.app = create_app(path, **options)
        self.endpoint = self.app.extensions["endpoint"]
        self._server = GatewayServer(self.app, 0)
        self.port = self._server.port
        self._thread = threading.Thread(target=self._server.run)
        self._connections = ExitStack()

    def __enter__(self) -> "LiveGateway":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._connections.close()
        self._server.stop()
        self._thread.join(10)
        assert not self._thread.is_alive()
        self.endpoint.context.ledger.close()

    def connect(self, timeout: float = 20) -> http.client.HTTPConnection:
        """A new connection, closed with the gateway at the latest."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=timeout)
        self._connections.callback(connection.close)
        return connection

    def post(self, api: str, *, timeout: float = 20, **params: str) -> http.client.HTTPResponse:
        """One call on a connection of its own; the answer is still to be read."""
        connection = self.connect(timeout)
        connection.request(
            "POST", f"/payment/{api}.idPass", form({**SHOP, **params}), {"Content-Type": FORM}
        )
        return connection.getresponse()

    def call(self, api: str, **params: str) -> dict[str, str]:
        """One call, its answer by key."""
        with self.post(api, **params) as answer:
            return fields(answer.read())

    def control(self, method: str, path: str, body: Any = None) -> Any:
        """One call of the control interface."""
        connection = self.connect()
        connection.request(method, f"/_control/{path}", json.dumps(body))
        with connection.getresponse() as answer:
            return json.loads(answer.read())

    def authorized(self, order_id: str, amount: int = 1000) -> dict[str, str]:
        """AccessID and AccessPass of an order in AUTH."""
        wish = {"order_id": order_id, "amount": amount, "job_cd": "AUTH"}
        made = self.control("POST", "transactions", [wish])[0]
        return {"AccessID": made["access_id"], "AccessPass": made["access_pass"]}

    def status(self, order_id: str) -> str:
        """The Status of a look-up."""
        return self.call("SearchTrade", OrderID=order_id)["Status"]
