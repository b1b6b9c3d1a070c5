"""A shop that speaks the protocol to the practice gateway, for tests."""

from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from typing import Any
from urllib.parse import quote, urlencode

from flask import Flask

JST = timezone(timedelta(hours=9))
SHOP = {"ShopID": "tshop00000001", "ShopPass": "shoppass01"}
SITE = {"SiteID": "tsite00000001", "SitePass": "sitepass01"}
FORM = "application/x-www-form-urlencoded"
VISA = {"CardNo": "4111111111111111", "Expire": "3012"}

Access = dict[str, str]


def form(params: dict[str, str]) -> bytes:
    """Parameters as they travel: percent-encoded cp932."""
    return urlencode(params, encoding="cp932").encode()


def fields(answer: bytes) -> dict[str, str]:
    """An answer by key; every piece must be `key=value`."""
    pieces = [piece.partition("=") for piece in answer.decode("cp932").split("&")]
    assert all(equals for _, equals, _ in pieces), answer
    return {key: value for key, _, value in pieces}


def jst(year: int, month: int, day: int, hour: int = 12, minute: int = 0) -> datetime:
    """A moment in Japan."""
    return datetime(year, month, day, hour, minute, tzinfo=JST)


@dataclass
class SettableClock:
    """A clock that stands still until it is moved."""

    time: datetime

    def __call__(self) -> datetime:
        return self.time


class Shop:
    """Calls of a shop over Flask's test client; `codes` are the ErrInfo of a refusal."""

    def __init__(self, app: Flask) -> None:
        self.http = app.test_client()

    def send(self, api: str, body: bytes) -> bytes:
        """One POST; the raw answer."""
        return self.http.post(f"/payment/{api}.idPass", data=body, content_type=FORM).data

    def call(self, api: str, **params: str) -> dict[str, str]:
        """One call of the shop."""
        return fields(self.send(api, form({**SHOP, **params})))

    def site_call(self, api: str, **params: str) -> dict[str, str]:
        """One call at site level."""
        return fields(self.send(api, form({**SITE, **params})))

    def codes(self, api: str, **params: str) -> list[str]:
        """The ErrInfo codes of a call that must be refused."""
        answer = self.call(api, **params)
        assert answer.keys() == {"ErrCode", "ErrInfo"}, answer
        return answer["ErrInfo"].split("|")

    def site_codes(self, api: str, **params: str) -> list[str]:
        """The ErrInfo codes of a call at site level that must be refused."""
        answer = self.site_call(api, **params)
        assert answer.keys() == {"ErrCode", "ErrInfo"}, answer
        return answer["ErrInfo"].split("|")

    def entered(self, order_id: str = "A-1", job: str = "AUTH", amount: int = 1000) -> Access:
        """Open a transaction."""
        return self.call("EntryTran", OrderID=order_id, JobCd=job, Amount=str(amount))

    def execute(self, access: Access, order_id: str = "A-1", **params: str) -> dict[str, str]:
        """Run the authorization, with a good card unless `params` say otherwise."""
        return self.call(
            "ExecTran", **{**access, "OrderID": order_id, "Method": "1", **VISA, **params}
        )

    def executed(
        self, order_id: str = "A-1", job: str = "AUTH", amount: int = 1000, **params: str
    ) -> Access:
        """A transaction in the state of `job`; SALES, VOID … go on from AUTH."""
        entry_job = job if job in ("AUTH", "CAPTURE", "SAUTH", "CHECK") else "AUTH"
        access = self.entered(order_id, entry_job, amount)
        assert "ErrInfo" not in self.execute(access, order_id, **params)
        if job != entry_job:
            assert "ErrInfo" not in self.alter(access, job, amount)
        return access

    def alter(self, access: Access, job: str, amount: int | None = None) -> dict[str, str]:
        """AlterTran."""
        more = {} if amount is None else {"Amount": str(amount)}
        return self.call("AlterTran", **access, JobCd=job, **more)

    def change(self, access: Access, job: str, amount: int) -> dict[str, str]:
        """ChangeTran."""
        return self.call("ChangeTran", **access, JobCd=job, Amount=str(amount))

    def look(self, order_id: str = "A-1") -> dict[str, str]:
        """SearchTrade."""
        return self.call("SearchTrade", OrderID=order_id)

    def status(self, order_id: str = "A-1") -> str:
        """The Status of a look-up."""
        return self.look(order_id)["Status"]

    def history(self, order_id: str = "A-1") -> list[dict[str, Any]]:
        """The gateway's own history of an order."""
        ledger = self.http.get(f"/_control/ledger?order_id={quote(order_id)}").json
        return ledger[0]["history"]

    def control(self, path: str, body: Any) -> Any:
        """POST to the control interface; what it answers."""
        answer = self.http.post(f"/_control/{path}", json=body)
        assert answer.status_code == 200, answer.text
        return answer.json
