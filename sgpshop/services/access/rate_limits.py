"""How often somebody may do what costs much, counted across processes (S23).

A use is counted for the person and for the address it comes from; who has used up either waits.
"""

from __future__ import annotations

import ipaddress
import logging
import math
from dataclasses import dataclass
from datetime import timedelta

import sqlalchemy as sa
from flask import current_app
from sqlalchemy.exc import OperationalError

from sgpshop import logs
from sgpshop.domain.errors import ShopError
from sgpshop.models import RecentUse, utc_now
from sgpshop.storage.database import writing


class TooOften(ShopError):
    """Not now: `retry_after` seconds must pass.  Nothing was done."""

    status = 429

    def __init__(self, why: str, retry_after: int) -> None:
        wait = f"約{math.ceil(retry_after / 60)}分" if retry_after > 60 else f"{retry_after}秒"
        super().__init__(f"{why}{wait}後にもう一度お試しください。")
        self.retry_after = retry_after


@dataclass(frozen=True)
class Limit:
    """One kind of use: its settings are `<NAME>_PER_PERSON`, `_PER_ADDRESS` and `_WINDOW`."""

    name: str
    #: what it is, for the sentence that refuses
    words: str


EXPORT = Limit("EXPORTS", "書き出し・印刷")


def count_use(limit: Limit, *, person_id: int, address: str) -> None:
    """Count one use now.  Raises TooOften; a refused use is not counted.

    While the database cannot be written the use is let through uncounted: reading goes on (P32).
    """
    config = current_app.config
    limits = (
        (f"person {person_id}", config[f"{limit.name}_PER_PERSON"]),
        (f"address {source_of(address)}", config[f"{limit.name}_PER_ADDRESS"]),
    )
    try:
        wait = _count(limit.name, limits, timedelta(seconds=config[f"{limit.name}_WINDOW"]))
    except OperationalError:
        logs.event("use_not_counted", level=logging.WARNING, what=limit.name)
        return
    if wait:
        logs.event("throttled", what=limit.name, person=person_id, address=address)
        raise TooOften(f"短い時間に{limit.words}が続いたため、一時的に受け付けていません。", wait)


def _count(what: str, limits: tuple[tuple[str, int], ...], window: timedelta) -> int:
    """Seconds to wait before this use is free; 0: it was counted."""
    now = utc_now()
    with writing() as session:
        if session.get_bind().dialect.name == "postgresql":  # SQLite has one writer anyway
            session.execute(sa.text("LOCK TABLE recent_uses IN SHARE ROW EXCLUSIVE MODE"))
        session.execute(
            sa.delete(RecentUse).where(RecentUse.what == what, RecentUse.at <= now - window)
        )
        for who, most in limits:
            # Of the newest `most` uses the oldest: when it leaves the window, one is free.
            oldest = session.scalar(
                sa.select(RecentUse.at)
                .where(RecentUse.what == what, RecentUse.who == who)
                .order_by(RecentUse.at.desc())
                .offset(most - 1)
                .limit(1)
            )
            if oldest is not None:
                return max(1, math.ceil((oldest + window - now).total_seconds()))
        session.add_all(RecentUse(what=what, who=who, at=now) for who, _ in limits)
    return 0


def source_of(address: str) -> str:
    """The address to count by: one subscriber holds a whole /64 of IPv6."""
    try:
        ip = ipaddress.ip_address(address)
    except ValueError:
        return ""
    if ip.version == 4:
        return str(ip)
    return str(ip.ipv4_mapped or ipaddress.ip_network((ip, 64), strict=False))
