"""A shop with an API as interfaces.md §5 has it, as small as can be, over a real socket.

It charges at the practice gateway with the token it is given, and takes the buyer through 3-D
Secure; it keeps what it was sent.
"""

import json
import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs

KEY = "sgpk_practice"
#: Call the gateway: API name and parameters.
Call = Callable[..., dict[str, str]]


class SmallShop:
    """The shop at `url`; a context manager.  `call` reaches the gateway."""

    def __init__(self, call: Call) -> None:
        self.call = call
        self.orders: dict[str, dict[str, Any]] = {}
        self.keys: list[str] = []
        #: orders wanted with 3-D Secure
        self.uses_three_ds = False
        #: answer this in place of everything: status and body, or None to hang up
        self.answer_instead: list[tuple[int, bytes] | None] = []
        self._challenged: dict[str, tuple[str, dict[str, str]]] = {}
        shop = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                shop.keys.append(self.headers.get("Authorization", ""))
                if self.path.startswith("/three-ds/"):
                    target = shop.returned(self.path.rpartition("/")[2], body.decode())
                    self.send_response(303)
                    self.send_header("Location", target)
                    self.end_headers()
                elif shop.answer_instead:
                    self.reply(shop.answer_instead.pop(0))
                else:
                    assert self.path == "/api/v1/orders"
                    assert self.headers["Content-Type"] == "application/json"
                    order = json.loads(body)
                    assert self.headers["Idempotency-Key"] == order["order_no"]
                    self.reply(shop.place(order))

            def do_GET(self) -> None:
                order = shop.orders.get(self.path.removeprefix("/api/v1/orders/"))
                self.reply(encoded(200, order) if order else encoded(404, {"title": "ない"}))

            def reply(self, answer: tuple[int, bytes] | None) -> None:
                if answer is None:
                    self.close_connection = True
                    return
                self.send_response(answer[0])
                self.send_header("Content-Length", str(len(answer[1])))
                self.end_headers()
                self.wfile.write(answer[1])

            def log_message(self, *_: Any) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,))

    def __enter__(self) -> "SmallShop":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._thread.join(10)
        self._server.server_close()

    def place(self, order: dict[str, Any]) -> tuple[int, bytes]:
        """POST /orders: enter, execute, and say how it ended."""
        number = order["order_no"]
        if number in self.orders:
            return encoded(200, self.orders[number])
        job = {"normal": "AUTH", "preorder": "CHECK", "subscription": "CHECK"}[order["kind"]]
        wish = (
            {"TdFlag": "2", "Tds2Type": "3"} if self.uses_three_ds and order["return_url"] else {}
        )
        amount = {} if job == "CHECK" else {"Amount": str(order["total"]), "Method": "1"}
        access = self.call("EntryTran", OrderID=number, JobCd=job, **amount, **wish)
        back = {"RetUrl": f"{self.url}/three-ds/{number}"} if wish else {}
        done = self.call(
            "ExecTran", **access, OrderID=number, Token=order["payment"]["token"], **amount, **back
        )
        if done.get("ACS") == "2":
            url = "&".join([done["RedirectUrl"], *(f"{k}={v}" for k, v in list(done.items())[2:])])
            self._challenged[number] = (order["return_url"], access)
            return encoded(202, {"order_no": number, "redirect_url": url})
        if "ErrInfo" in done:
            return encoded(
                402, {"title": "承認されません", "detail": f"残高不足({done['ErrInfo']})"}
            )
        return encoded(201, self._keep(number, "authorized"))

    def returned(self, number: str, body: str) -> str:
        """The browser is back: finish; where it goes next."""
        target, access = self._challenged[number]
        assert parse_qs(body)["AccessID"] == [access["AccessID"]]
        if "ErrInfo" not in self.call("SecureTran2", **access):
            self._keep(number, "authorized")
        return target

    def _keep(self, number: str, status: str) -> dict[str, Any]:
        self.orders[number] = {
            "order_no": number,
            "payment_status": status,
            "redirect_url": None,
            "last_error": None,
        }
        return self.orders[number]


def encoded(status: int, content: Any) -> tuple[int, bytes]:
    """An answer as JSON."""
    return status, json.dumps(content, ensure_ascii=False).encode()
