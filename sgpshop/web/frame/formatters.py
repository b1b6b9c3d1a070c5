"""What every template may use: filters for yen and times, icons, versioned static files.

Filters: `yen`, `number`, `jst`, `jst_date`, `jst_day`.  Functions: `icon(name)`, `asset(file)`,
`status_chip(status)`, `hold(order)`, `waiting(order, hours)`, `is_sent_elsewhere(order)`,
`new_token()` and the questions of domain.order_rules and domain.order_acts.
"""

from __future__ import annotations

import hashlib
import re
import secrets
from collections.abc import Callable
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from functools import lru_cache
from pathlib import Path
from typing import Any, NamedTuple, Protocol

from flask import Flask, request, url_for
from markupsafe import Markup

from sgpshop.domain import rights
from sgpshop.domain.handling import Handling, label_of
from sgpshop.domain.order_acts import (
    is_difference_open,
    is_refund_open,
    is_return_open,
    is_unbilled,
    may_undo_refund,
    may_waive_cancel,
    needs_cancelling,
    return_words,
    status_change,
    status_choices,
)
from sgpshop.domain.order_number import in_address
from sgpshop.domain.order_rules import (
    OrderFacts,
    given_back_there,
    increase,
    is_big,
    is_to_be_charged,
    is_unsent,
    review_cause,
)
from sgpshop.domain.payment_calendar import JST, HoldWarning, days_left, hold_warning, jst_day
from sgpshop.domain.payment_status import CAPTURABLE, PaymentStatus
from sgpshop.domain.second_look import captured_to_approve, yen_to_approve
from sgpshop.domain.text import search_key
from sgpshop.models import Order, Role, utc_now
from sgpshop.services.installation.health import readiness
from sgpshop.services.orders.parcels import can_deliver, can_return

_WEEKDAYS = "月火水木金土日"
_NOTHING = "—"
_STILL_PAYING = timedelta(minutes=30)


def yen(amount: int | None) -> str:
    """¥1,234 for 1234; a dash for None."""
    if amount is None:
        return _NOTHING
    return f"¥{amount:,}" if amount >= 0 else f"−¥{-amount:,}"


def number(value: int | None) -> str:
    """1,234 for 1234; a dash for None."""
    return _NOTHING if value is None else f"{value:,}"


def jst(moment: datetime | None) -> str:
    """An aware time as 11/23(月) 14:05 in Japan time, the full one as its title."""
    return _NOTHING if moment is None else _jst(moment, present_year())


@lru_cache(maxsize=4096)  # a list is looked at again and again, and each of its moments with it
def _jst(moment: datetime, this_year: int) -> Markup:
    local = moment.astimezone(JST)
    day, clock = _day(local.date(), this_year), f"{local.hour:02}:{local.minute:02}"
    seconds = f"{clock}:{local.second:02}"
    return _time(
        f"{local.date()}T{seconds}+09:00",
        f"{local.year}年{day.long} {seconds}",
        f"{day.short} {clock}",
    )


def jst_date(moment: datetime | None) -> str:
    """The Japanese day of an aware time as 11/23(月), with the year as its title."""
    return _NOTHING if moment is None else _jst_date(jst_day(moment), present_year())


@lru_cache(maxsize=1024)
def _jst_date(local: date, this_year: int) -> Markup:
    day = _day(local, this_year)
    return _time(str(local), f"{local.year}年{day.long}", day.short)


def jst_full_day(moment: datetime) -> str:
    """The Japanese day of an aware time as 2026年11月23日, for paper."""
    local = moment.astimezone(JST)
    return f"{local.year}年{local.month}月{local.day}日"


class _Day(NamedTuple):
    short: str
    long: str


def present_year() -> int:
    """The year in Japan now: days of another one say theirs."""
    return jst_day(utc_now()).year


def _day(local: date, this_year: int) -> _Day:
    month, day, weekday = local.month, local.day, _WEEKDAYS[local.weekday()]
    # A day of another year would else be taken for one of this (11/27 of last year).
    year = "" if local.year == this_year else f"{local.year}/"
    return _Day(f"{year}{month}/{day}({weekday})", f"{month}月{day}日({weekday})")


def _time(machine: str, full: str, words: str) -> Markup:
    # Only digits and our own words: nothing to escape, and Markup.format would cost a list page
    # a tenth of its time.
    return Markup(f'<time datetime="{machine}" title="{full}">{words}</time>')  # noqa: S704 - nothing of others in it


_HOLD = Markup('{} <span class="badge is-hold-{}">{}</span>')


def hold(order: OrderFacts) -> str:
    """オーソリ期限: the day the authorization ends, with a badge once that is near (R130).

    Empty where nothing is held or waited for any more (R111).
    """
    expires_at = order.transaction.auth_expires_at if order.transaction else None
    if expires_at is None or order.payment_status not in CAPTURABLE or order.kind != "normal":
        return ""
    now = utc_now()
    warning = hold_warning(expires_at, now)
    if warning is HoldWarning.NONE:
        return jst_date(expires_at)
    if warning is HoldWarning.EXPIRED:
        words = "期限切れ"
    else:
        left = days_left(expires_at, now)
        words = f"あと{left}日" if left else "今日まで"
    return _HOLD.format(jst_date(expires_at), warning.value, words)


def is_hold_expired(order: OrderFacts) -> bool:
    """Whether a capture is warned of, as on all ways to it: the hold is past its term (R47, R130)."""
    expires_at = order.transaction.auth_expires_at if order.transaction else None
    return expires_at is not None and hold_warning(expires_at, utc_now()) is HoldWarning.EXPIRED


class Dated(Protocol):
    """An order, as far as it tells since when something is unknown."""

    @property
    def ordered_at(self) -> datetime: ...
    @property
    def open_attempt(self) -> Any: ...


@dataclass(frozen=True)
class Wait:
    """How long an order has been 要確認 (R19, R20)."""

    words: str
    is_overdue: bool


def waiting(order: Dated, alert_hours: int) -> Wait | None:
    """The age to show beside 要確認; None while the buyer may still be paying (R20).

    It counts from when an outcome became unknown; else from the order, whose payment never ended.
    """
    attempt = order.open_attempt
    age = utc_now() - ((attempt and attempt.uncertain_since) or order.ordered_at)
    if age < _STILL_PAYING:
        return None
    hours = int(age.total_seconds()) // 3600
    words = f"{age.days}日経過" if age.days else f"{hours}時間経過" if hours else "30分以上経過"
    return Wait(words, is_overdue=hours >= alert_hours)


def is_sent_elsewhere(order: Order) -> bool:
    """Whether a parcel goes to another name or address than the buyer's (R59).

    What a delivery leaves empty is the buyer's; width, case and spaces make no difference.
    """
    name = search_key(order.buyer_name)
    address = search_key(order.buyer_prefecture + order.buyer_address)
    return any(
        search_key(parcel.name) not in ("", name)
        or search_key(parcel.prefecture + parcel.address) not in ("", address)
        for parcel in order.deliveries
    )


class Assets:
    """Addresses of an app's static files, and the icons of static/icons.svg."""

    def __init__(self, app: Flask) -> None:
        self._folder = Path(app.static_folder or "")
        self._url = app.static_url_path
        self._addresses: dict[str, str] = {}
        self._icons: dict[str, Markup] = {}
        self._chips: dict[PaymentStatus, Markup] = {}

    def address(self, filename: str) -> str:
        """The address of a file; it changes with the content, so browsers may keep it."""
        if filename not in self._addresses:
            digest = hashlib.sha256((self._folder / filename).read_bytes()).hexdigest()
            self._addresses[filename] = f"{self._url}/{filename}?v={digest[:10]}"
        return self._addresses[filename]

    def icon(self, name: str) -> Markup:
        """A decorative icon; the word always stands beside it (rules.md §3)."""
        if name not in self._icons:
            self._icons[name] = _ICON.format(self.address("icons.svg"), name)
        return self._icons[name]

    def chip(self, status: PaymentStatus) -> Markup:
        """A payment status as icon and word, the same everywhere (R7)."""
        if status not in self._chips:
            self._chips[status] = _CHIP.format(status.value, self.icon(status.value), status.label)
        return self._chips[status]


_ICON = Markup(
    '<svg class="icon" aria-hidden="true" focusable="false"><use href="{}#{}"></use></svg>'
)
_CHIP = Markup('<span class="chip is-{}" data-status-text>{}{}</span>')


def _for_every_page() -> dict[str, Any]:
    return {
        "Role": Role,
        "MAY": rights.MAY,
        "holds": rights.holds,
        "health_warnings": readiness.warnings,
    }


#: Order numbers that are their own address, and one that stands for any of them.
_PLAIN_NUMBER, _ANY = re.compile(r"[A-Za-z0-9-]+"), "any-order-number"


def _kept_addresses() -> Callable[..., str]:
    """url_for, which builds each address once: a page names fifty screens, a list forty orders' pages."""
    kept: dict[tuple[str, str, bool], str] = {}

    def find(endpoint: str, **values: Any) -> str:
        number = in_address(values["order_no"]) if values.keys() == {"order_no"} else ""
        if endpoint.startswith(".") or (values and not _PLAIN_NUMBER.fullmatch(number)):
            return url_for(endpoint, **values)
        try:
            key = request.script_root, endpoint, bool(values)
        except RuntimeError:  # no request: a mail
            return url_for(endpoint, **values)
        if key not in kept:
            any_of_them: dict[str, Any] = dict.fromkeys(values, _ANY)
            kept[key] = url_for(endpoint, **any_of_them)
        return kept[key].replace(_ANY, number)

    return find


def init_app(app: Flask) -> None:
    """Give the filters and functions to all templates of `app`."""
    app.jinja_env.filters.update(
        yen=yen,
        number=number,
        jst=jst,
        jst_date=jst_date,
        jst_day=jst_full_day,
    )
    assets = Assets(app)
    app.jinja_env.globals.update(
        url_for=_kept_addresses(),
        asset=assets.address,
        icon=assets.icon,
        status_chip=assets.chip,
        hold=hold,
        is_hold_expired=is_hold_expired,
        waiting=waiting,
        new_token=lambda: secrets.token_hex(16),
        CAPTURABLE=CAPTURABLE,
        Handling=Handling,
        handling_label=label_of,
        is_big=is_big,
        increase=increase,
        is_unsent=is_unsent,
        is_to_be_charged=is_to_be_charged,
        yen_to_approve=yen_to_approve,
        captured_to_approve=captured_to_approve,
        is_sent_elsewhere=is_sent_elsewhere,
        given_back_there=given_back_there,
        review_cause=review_cause,
        is_refund_open=is_refund_open,
        is_return_open=is_return_open,
        return_words=return_words,
        is_unbilled=is_unbilled,
        may_waive_cancel=may_waive_cancel,
        may_undo_refund=may_undo_refund,
        is_difference_open=is_difference_open,
        needs_cancelling=needs_cancelling,
        status_change=status_change,
        status_choices=status_choices,
    )
    app.jinja_env.tests.update(deliverable=can_deliver, returnable=can_return)
    app.context_processor(_for_every_page)
