"""The other side of the wire in tests: the real simulator, mounted without a socket.

`World` gives the gateway client for an app and lets a test look at the simulator's ledger, plant
faults and move its clock, the way interfaces.md §6 offers it to everybody.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from email.utils import format_datetime
from io import BytesIO
from types import SimpleNamespace
from typing import Any

import requests
from flask import Flask
from requests.adapters import BaseAdapter
from urllib3 import HTTPResponse
from urllib3.connection import HTTPConnection
from urllib3.exceptions import NewConnectionError

from sgpshop.gateway import Card, Job, ShopCredentials, SmbcGpGateway, TradeAccess
from sgpshop.gateway.transport import require_wanted
from sgpshop.simulator.server import ConnectionDropped
from sgpshop.simulator.server import create_app as create_simulator
from tests.sharing import share_addresses

GOOD_CARD = Card(number="4111111111111111", expire="4912")
CREDENTIALS = ShopCredentials("tshop00000001", "shoppass01", "tsite00000001", "sitepass01")
DECLINED_CARD = Card(number="4999000000000002", expire="4912")


class Killed(BaseException):
    """Our process died at this point: nothing of ours catches it, nothing is tidied up."""


class SimulatorAdapter(BaseAdapter):
    """Carries a `requests` call into the simulator's Flask test client."""

    def __init__(self, simulator: Flask) -> None:
        super().__init__()
        self._simulator = simulator
        #: "before" or "after" the next call arrives, our process dies
        self.die = ""
        self._die_at, self._moment = "", "after"
        self._cut_off = ""
        #: the next money call is given up waiting for, and carried out only when `arrive` says so
        self.is_slow = False
        #: whether the answers tell the time
        self.tells_time = False
        self._on_its_way: list[requests.PreparedRequest] = []

    def die_at(self, api: str, moment: str = "after") -> None:
        """Our process dies when it has sent the next call of that API, before the answer.

        `moment` "before": before it has sent it.  `api` "": it does not die after all.
        """
        self._die_at, self._moment = api, moment

    @contextmanager
    def spared(self) -> Iterator[None]:
        """Within the block it is somebody else who calls: our death waits for a call of ours."""
        waiting, self._die_at = self._die_at, ""
        try:
            yield
        finally:
            self._die_at = waiting

    def cut_off(self, api: str = "") -> None:
        """No connection can be made for calls of that API; without one, for none."""
        self._cut_off = api

    def send(self, request: requests.PreparedRequest, **_options: Any) -> requests.Response:
        assert request.url
        if request.method == "HEAD":  # what time is it there?
            return self._time_there(request)
        try:
            require_wanted(HTTPConnection("127.0.0.1"))
        except NewConnectionError as problem:
            raise requests.ConnectionError(SimpleNamespace(reason=problem)) from None
        if self._cut_off and f"/{self._cut_off}" in request.url:
            raise requests.exceptions.ConnectTimeout("nobody there")
        if self._die_at and f"/{self._die_at}" in request.url:
            self._die_at, self.die = "", self._moment
        if self.is_slow and "SearchTrade" not in request.url:
            self.is_slow = False
            self._on_its_way.append(request)
            raise requests.exceptions.ReadTimeout("no answer in time")
        die, self.die = self.die, ""
        if die == "before":
            raise Killed
        try:
            answer = self._simulator.test_client().open(
                request.path_url,
                method=request.method,
                data=request.body,
                headers=dict(request.headers),
            )
            body = answer.get_data()
            if die:
                raise Killed
        except ConnectionDropped as dropped:
            raise requests.exceptions.ConnectionError(str(dropped)) from None
        raw = HTTPResponse(
            body=BytesIO(body),
            headers=dict(answer.headers),
            status=answer.status_code,
            preload_content=False,
        )
        response = requests.Response()
        response.status_code = answer.status_code
        response.headers.update(dict(answer.headers))
        response.raw = raw
        response.url = request.url
        response.request = request
        return response

    def _time_there(self, request: requests.PreparedRequest) -> requests.Response:
        response = requests.Response()
        response.status_code = 404
        response.url = str(request.url)
        response.raw = HTTPResponse(body=BytesIO(b""), status=404, preload_content=False)
        if self.tells_time:
            response.headers["Date"] = format_datetime(datetime.now(UTC), usegmt=True)
        return response

    def close(self) -> None:
        pass

    def arrive(self) -> None:
        """What was given up waiting for is carried out now."""
        while self._on_its_way:
            with suppress(requests.RequestException):  # nobody waits for the answer any more
                self.send(self._on_its_way.pop(0))


class World:
    """A simulator with its ledger in memory, and a client that talks to it."""

    def __init__(self, credentials: ShopCredentials = CREDENTIALS) -> None:
        self.simulator = create_simulator(":memory:", seed=1)
        share_addresses(self.simulator)
        self._control = self.simulator.test_client()
        session = requests.Session()
        self.wire = SimulatorAdapter(self.simulator)
        session.mount("http://", self.wire)
        self.gateway = SmbcGpGateway(
            "http://127.0.0.1",
            credentials,
            session=session,
            pool_size=16,
            allow_loopback_http=True,
        )
        #: numbers under which a cart let the buyer pay without a word to us
        self.paid_past_us: set[str] = set()

    def authorize(self, order_id: str, amount: int) -> TradeAccess:
        """A transaction in AUTH at the simulator."""
        return self.gateway.authorize(order_id, amount, GOOD_CARD).access

    def enter(self, order_id: str, amount: int) -> TradeAccess:
        """A transaction the buyer never finished (UNPROCESSED)."""
        return self.gateway.enter(order_id, Job.AUTH, amount)

    def token(self, card_no: str = GOOD_CARD.number, expire: str = "4912") -> str:
        """A one-time token, as the token script makes one in the buyer's browser."""
        body = {"card_no": card_no, "expire": expire}
        answer = self._control.post("/_control/tokens", json=body)
        assert answer.status_code == 200, answer.text
        return str(answer.get_json()["token"])

    def fault(
        self,
        name: str,
        api: str = "AlterTran",
        *,
        times: int = 1,
        order_id: str | None = None,
        job_cd: str | None = None,
    ) -> None:
        """Plant a fault of protocol.md §13.8."""
        body = {"api": api, "times": times, "fault": name}
        if job_cd is not None:
            body["job_cd"] = job_cd
        if order_id is not None:
            body["order_id"] = order_id
        answer = self._control.post("/_control/faults", json=body)
        assert answer.status_code == 200, answer.text

    @contextmanager
    def elsewhere(self) -> Iterator[None]:
        """Within the block somebody else calls SMBC-GP: neither our death nor a planted fault is theirs."""
        planted = self._control.get("/_control/faults").get_json()["faults"]
        assert self._control.delete("/_control/faults").status_code == 200
        try:
            with self.wire.spared():
                yield
        finally:
            for rule in planted:
                assert self._control.post("/_control/faults", json=rule).status_code == 200

    def behave(self) -> None:
        """Forget every planted fault."""
        self.wire.die = ""
        assert self._control.delete("/_control/faults").status_code == 200

    def trade(self, order_id: str) -> dict[str, Any]:
        """The simulator's ledger entry: order_id, status, amount, history."""
        [entry] = self._control.get(f"/_control/ledger?order_id={order_id}").get_json()
        return dict(entry)

    def ledger(self) -> list[dict[str, Any]]:
        """All entries of the simulator's ledger."""
        entries = self._control.get("/_control/ledger").get_json()
        return [dict(entry) for entry in entries]

    def cards_of(self, order_ids: list[str]) -> dict[str, tuple[str | None, str]]:
        """Of these entries the last four digits of the card, and the member who keeps it."""
        context = self.simulator.extensions["endpoint"].context
        with context.ledger.reading() as db:
            rows = {
                order_id: db.execute(
                    "SELECT card_last4, member_id FROM trades WHERE order_id = ?", (order_id,)
                ).fetchone()
                for order_id in order_ids
            }
        return {order_id: (row[0], row[1]) for order_id, row in rows.items()}

    def set_result_day(self, day: int) -> None:
        """The day of the month on which results of monthly files come from now on."""
        answer = self._control.post("/_control/batch", json={"result_day": day})
        assert answer.status_code == 200, answer.text

    def spoil_results(self, what: str) -> None:
        """Let the results of the files that are there lack a line, or name another amount.

        `uncharged`: of those still to come, and the line is not charged either.
        """
        is_charged = what != "uncharged"
        if is_charged:
            self.ledger()  # charges what is due
        context = self.simulator.extensions["endpoint"].context
        spoilt = "amount = amount + 500" if what == "other amount" else "refused = 'lost'"
        with context.ledger.transaction() as db:
            db.execute(
                f"UPDATE monthly_lines SET {spoilt} WHERE refused = '' AND number = 1"
                " AND file_id IN (SELECT id FROM monthly_files WHERE is_settled = ?)",
                (is_charged,),
            )

    def sales(self, order_id: str) -> int:
        """How many captures were carried out for that order: never more than one (P1)."""
        return sum(
            entry["job"] == "SALES" and not entry["error"]
            for entry in self.trade(order_id)["history"]
        )

    def requests(self, order_id: str, api: str = "AlterTran") -> list[dict[str, Any]]:
        """What the simulator was asked about that order, in order."""
        log = self._control.get(f"/_control/requests?order_id={order_id}").get_json()
        return [entry for entry in log if entry["api"] == api]

    def advance(self, seconds: float) -> None:
        """Move the simulator's clock."""
        answer = self._control.post("/_control/clock", json={"advance_seconds": seconds})
        assert answer.status_code == 200, answer.text

    def set_clock(self, now: datetime) -> None:
        """Set the simulator's clock; `now` is aware."""
        answer = self._control.post("/_control/clock", json={"now": now.isoformat()})
        assert answer.status_code == 200, answer.text
