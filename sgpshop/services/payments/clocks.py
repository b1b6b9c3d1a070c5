"""Is our clock right?  Compared with SMBC-GP's, the database server's and the workers' (P28, P30).

A wrong clock writes false dates, chooses the wrong kind of cancel and takes live workers for dead.
Over a minute everybody is told; over an hour no money moves until somebody has set the clock.
"""

from __future__ import annotations

import logging
import time
from contextlib import suppress
from dataclasses import dataclass
from datetime import timedelta

from flask import current_app

from sgpshop import logs
from sgpshop.domain.errors import CouldNotAsk, ShopError
from sgpshop.extensions import db
from sgpshop.gateway import GatewayError, SmbcGpGateway
from sgpshop.services.payments.gateway_access import current_gateway
from sgpshop.services.settings import ShopSettings
from sgpshop.storage import schema, shared_clock

#: Seconds apart from which everybody is told, and from which no money moves.
TELL, STOP = 60.0, 3600.0
#: A beat may be so far in the future and still count: clocks are never quite equal.
TOLERANCE = timedelta(seconds=TELL)

DATABASE = shared_clock.KEY
_ASKED = "sgpshop.gateway_clock_asked"
_TOLD = "sgpshop.clock_told"
#: The gateway's clock is asked for when it was not heard for so long, and not more often than this.
_STALE, _ASK_PAUSE = 600.0, 30.0


class ClockWrong(CouldNotAsk):
    """Our clock and another differ by more than an hour: no money moves."""

    status = 503


@dataclass(frozen=True)
class Skew:
    """`seconds` our clock is ahead (negative: behind) of `whose`."""

    whose: str
    seconds: float

    @property
    def sentence(self) -> str:
        """What to tell people."""
        direction = "進んで" if self.seconds > 0 else "遅れて"
        return f"このサーバーの時計が{self.whose}の時刻より{_duration(self.seconds)}{direction}います。"

    @property
    def stops_money(self) -> bool:
        """Whether no money may move."""
        return abs(self.seconds) > STOP


def usable_gateway(
    shop: ShopSettings | None = None, *, ask: bool = False, writes_first: bool = False
) -> SmbcGpGateway:
    """The client, when money may move.  `ask`: find out the gateway's time if it is not known.

    Raises ClockWrong, or what `current_gateway` raises.  With `ask` no transaction may be open (P8),
    and it raises what schema.require_unchanged raises; for who writes something first of all, that does.
    """
    gateway = current_gateway(shop)
    if ask:
        # Nobody moves money by the rules of another version.
        if writes_first:
            schema.leave_unasked(db.session())
        else:
            schema.require_unchanged()
        shared_clock.read()
        _hear(gateway, _STALE)
    found = _worst(gateway)
    if ask and found is not None and found.stops_money:
        _hear(gateway, TELL)  # after a sleep of the machine what was heard before proves nothing
        found = _worst(gateway)
    if found is not None and found.stops_money:
        raise ClockWrong(
            f"{found.sentence}正しい日付で処理できないため、決済の操作を停止しています。"
            "サーバーの時計を合わせると再開します(管理者に連絡してください)。"
        )
    return gateway


def is_wrong() -> bool:
    """Whether another clock that can be asked now is more than an hour from ours.

    For what goes by the day and cannot be undone.  No transaction may be open (P8).  Raises what
    schema.require_unchanged raises.
    """
    gateway = None
    with suppress(ShopError):  # no contract: then only a database server knows
        gateway = current_gateway()
    schema.require_unchanged()
    shared_clock.read()
    if gateway is not None:
        _hear(gateway, _STALE)
    found = _worst(gateway)
    return found is not None and found.stops_money


def watch() -> Skew | None:
    """The largest difference over a minute that is known; one that is new is logged.

    The database server is asked for its time now and then, SMBC-GP is not.  Raises SQLAlchemyError.
    """
    shared_clock.read()
    gateway = None
    with suppress(ShopError):  # no contract: others tell that
        gateway = current_gateway()
    found = _worst(gateway)
    last_reported = current_app.extensions.get(_TOLD)
    if (found and found.whose) != last_reported:
        current_app.extensions[_TOLD] = found and found.whose
        if found:
            logs.event(
                "clock_differs",
                level=logging.WARNING,
                whose=found.whose,
                seconds_ahead=round(found.seconds),
                is_money_stopped=found.stops_money,
            )
    return found


def _worst(gateway: SmbcGpGateway | None) -> Skew | None:
    known = (
        ("データベース", shared_clock.ahead()),
        ("SMBC-GP", gateway and gateway.clock.ahead()),
    )
    far = [Skew(whose, ahead) for whose, ahead in known if ahead and abs(ahead) > TELL]
    return max(far, key=lambda skew: abs(skew.seconds), default=None)


def _hear(gateway: SmbcGpGateway, older_than: float) -> None:
    """Read the gateway's clock, unless that was done just now."""
    asked = current_app.extensions.get(_ASKED, float("-inf"))
    if gateway.clock.age <= older_than or time.monotonic() - asked < _ASK_PAUSE:
        return
    current_app.extensions[_ASKED] = time.monotonic()
    try:
        gateway.read_clock()
    except GatewayError:  # the operation itself will tell
        logs.event("gateway_clock_unknown")


def _duration(seconds: float) -> str:
    minutes = abs(seconds) / 60
    if minutes < 120:
        return f"約{round(minutes)}分"
    hours = minutes / 60
    return f"約{round(hours)}時間" if hours < 48 else f"約{round(hours / 24)}日"
