"""予約商品 (R110-R114): the orders by the day they are to be shipped, and which are overdue (R113)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import date
from functools import lru_cache
from typing import Any

import sqlalchemy as sa

from sgpshop.domain.payment_calendar import jst_day
from sgpshop.domain.payment_status import CAPTURABLE, PaymentStatus
from sgpshop.domain.words import Labelled
from sgpshop.models import CardTransaction, Order, OrderKind, OrderLine, utc_now
from sgpshop.services.order_search.totals import Total, added, totals_of_kind
from sgpshop.services.order_search.waits import IS_PREORDER, NEVER, SHIPS_ON, kept
from sgpshop.services.orders import facts as order_facts
from sgpshop.services.orders.facts import Facts
from sgpshop.storage import keyset
from sgpshop.storage.among import among
from sgpshop.storage.keyset import Page, Sorting
from sgpshop.storage.questions import Question
from sgpshop.storage.rows import read as rows_of

PAGE_SIZE = 40
Condition = sa.ColumnElement[bool]


class PreorderTab(Labelled):
    """Whether the card was charged."""

    OPEN = "open", "未決済"
    FAILED = "failed", "売上失敗"
    OVERDUE = "overdue", "出荷予定日超過"
    CAPTURED = "captured", "決済完了"
    ALL = "all", "すべて"


#: None: whatever it is.
_STATUS_OF_TAB = {
    PreorderTab.OPEN: PaymentStatus.AUTHORIZED,
    PreorderTab.FAILED: PaymentStatus.CAPTURE_FAILED,
    PreorderTab.CAPTURED: PaymentStatus.CAPTURED,
    PreorderTab.ALL: None,
}
_IS_PREORDER: Condition = Order.kind == OrderKind.PREORDER
_BY_SHIPPING_DAY = Sorting(
    "ships_on", sa.func.coalesce(SHIPS_ON, sa.literal(NEVER, sa.Date())), date
)
#: The same of what is kept of those that wait.
_KEPT_BY_SHIPPING_DAY = replace(_BY_SHIPPING_DAY, key=kept.c.ships_on, row_id=kept.c.order_id)


@dataclass(frozen=True, slots=True)
class ListedPreorder:
    """One row."""

    order: Facts
    #: 出荷予定日, the earliest 配送希望日
    ships_on: date | None
    days_left: int | None
    card_last4: str
    #: the first item, and how many more kinds there are
    item: str
    more_items: int

    @property
    def is_overdue(self) -> bool:
        """The day has passed and the card was not charged (R113)."""
        is_open = self.order.payment_status in CAPTURABLE
        return is_open and self.days_left is not None and self.days_left < 0


def search(tab: PreorderTab, cursor: str = "") -> Page[ListedPreorder]:
    """The ones to be shipped first, those without a date last.  Raises CursorInvalid."""
    today = jst_day(utc_now())
    page = keyset.find_ids(*_of_tab(tab, today), size=PAGE_SIZE, cursor=cursor)
    return page.showing(_load(page.rows, today))


def tab_totals(overdue_ones: Total) -> dict[PreorderTab, Total]:
    """Count and yen of each tab, captured yen where money moved; one query.

    `overdue_ones` is what `overdue` says, which may be asked together with others.
    """
    by_status = totals_of_kind(OrderKind.PREORDER)
    totals = {
        tab: by_status.get(status, Total()) if status else added(by_status)
        for tab, status in _STATUS_OF_TAB.items()
    }
    totals[PreorderTab.OVERDUE] = overdue_ones
    return totals


def overdue() -> Question[Total]:
    """Preorders whose 出荷予定日 has passed without a charge, for the first page (R113)."""
    return Question(_overdue(jst_day(utc_now())), lambda row: Total(row[0], int(row[1] or 0)))


@lru_cache(maxsize=2)
def _overdue(today: date) -> sa.Select[*tuple[Any, ...]]:
    figures = sa.func.count(), sa.func.sum(kept.c.total)
    return sa.select(*figures).where(*_overdue_ones(today))


def _overdue_ones(today: date) -> tuple[Condition, ...]:
    # By each status they may have: so they are a piece of the index.
    capturable = sorted(status.value for status in CAPTURABLE)
    return IS_PREORDER, kept.c.status.in_(capturable), kept.c.ships_on < today


@lru_cache(maxsize=16)  # made once a day: keyset keeps what it makes of it
def _of_tab(tab: PreorderTab, today: date) -> tuple[sa.Select[int], Sorting]:
    """The ids on a tab, and what they are sorted by: of those that wait, what is kept of them."""
    waiting = sa.select(kept.c.order_id)
    if tab is PreorderTab.OVERDUE:
        return waiting.where(*_overdue_ones(today)), _KEPT_BY_SHIPPING_DAY
    status = _STATUS_OF_TAB[tab]
    if status in CAPTURABLE:
        return waiting.where(IS_PREORDER, kept.c.status == status.value), _KEPT_BY_SHIPPING_DAY
    wanted = [_IS_PREORDER] + ([Order.payment_status == status] if status else [])
    return sa.select(Order.id).where(*wanted), _BY_SHIPPING_DAY


#: A new transaction charges the same card: whichever of them shows it (R112).
_LAST4 = sa.select(sa.func.max(CardTransaction.card_last4)).where(
    CardTransaction.order_id == Order.id
)
_FIRST_ITEM = (
    sa.select(OrderLine.name)
    .where(OrderLine.order_id == Order.id)
    .order_by(OrderLine.is_preorder.desc(), OrderLine.position)
    .limit(1)
)
_ITEMS = sa.select(sa.func.count()).where(OrderLine.order_id == Order.id)
_MORE = sa.select(
    Order.id,
    SHIPS_ON.label("ships_on"),
    _LAST4.correlate(Order).scalar_subquery().label("last4"),
    _ITEMS.correlate(Order).scalar_subquery().label("items"),
    _FIRST_ITEM.correlate(Order).scalar_subquery().label("first"),
).where(among(Order.id, "ids"))


def _load(order_ids: Sequence[int], today: date) -> list[ListedPreorder]:
    """The rows of these orders, in this order; two queries."""
    if not order_ids:
        return []
    orders = {one.id: one for one in order_facts.with_ids(order_ids, with_parts=False)}
    facts = {row.id: row for row in rows_of(_MORE, {"ids": order_ids})}
    return [
        ListedPreorder(
            order=orders[order_id],
            ships_on=facts[order_id].ships_on,
            days_left=(
                (facts[order_id].ships_on - today).days if facts[order_id].ships_on else None
            ),
            card_last4=facts[order_id].last4 or "",
            item=facts[order_id].first or "",
            more_items=max(facts[order_id].items - 1, 0),
        )
        for order_id in order_ids
        if order_id in orders and order_id in facts
    ]
