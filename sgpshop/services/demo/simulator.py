"""Steering the gateway simulator: its clock, faults and bulk creation (interfaces.md §6)."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from typing import Any

import requests
from flask import current_app

from sgpshop.domain.errors import CouldNotAsk, ShopError
from sgpshop.models import utc_now

_TIMEOUT = 60.0  # seconds; thousands of transactions take their time


class Simulator:
    """The control interface of the simulator the shop is connected to."""

    def __init__(self, base_url: str) -> None:
        self._base_url = base_url
        self._session = requests.Session()
        self._session.trust_env = False

    @classmethod
    def connected(cls) -> Simulator:
        """The simulator behind GATEWAY_URL.

        Raises ShopError when there is none: nothing here may ever reach a real gateway.
        """
        config = current_app.config
        if not config["TEST_MODE"]:
            raise ShopError("見本の取引は練習モード(SGPSHOP_TEST_MODE=1)でのみ作成できます。")
        simulator = cls(config["GATEWAY_URL"])
        simulator.now()
        return simulator

    def now(self) -> datetime:
        """The time at the gateway."""
        return datetime.fromisoformat(self._control("clock", {"advance_seconds": 0})["now"])

    def set_clock(self, moment: datetime) -> None:
        """Let it be `moment` (aware) at the gateway."""
        self._control("clock", {"now": moment.isoformat()})

    @contextmanager
    def other_times(self) -> Iterator[None]:
        """Afterwards the gateway's clock is again as far from ours as it was."""
        ahead = timedelta(seconds=round((self.now() - utc_now()).total_seconds()))
        try:
            yield
        finally:
            self.set_clock(utc_now() + ahead)

    def fail_once(self, order_id: str, code: str, *, api: str = "AlterTran") -> None:
        """Refuse the next call of `api`, by default the capture, about this order with `code`."""
        self._control(
            "faults",
            {"api": api, "order_id": order_id, "times": 1, "fault": f"error:{code}"},
        )

    def create(self, transactions: list[dict[str, Any]]) -> list[dict[str, str]]:
        """Enter and authorize many at once; the answer has access_id, access_pass of each."""
        made: list[dict[str, str]] = self._control("transactions", transactions)
        return made

    def _control(self, name: str, body: Any) -> Any:
        url = f"{self._base_url}/_control/{name}"
        try:
            answer = self._session.post(url, json=body, timeout=_TIMEOUT)
            answer.raise_for_status()
            return answer.json()
        except requests.RequestException:
            raise CouldNotAsk(
                f"SMBC-GPシミュレーターを操作できません({self._base_url})。"
                "シミュレーターが起動しているか確認してください。"
            ) from None
