"""What is still to go out: parcels without a slip number, of orders that may be sent (R9, R18, R78)."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime
from itertools import accumulate

import sqlalchemy as sa

from sgpshop.domain.delivery_rules import delivery_refusal
from sgpshop.domain.delivery_status import OPEN_STATUSES, ProcessingClass
from sgpshop.domain.payment_status import PaymentStatus
from sgpshop.domain.text import search_key
from sgpshop.extensions import db
from sgpshop.models import Delivery, Order, utc_now
from sgpshop.services import settings
from sgpshop.services.orders.facts import Facts, ParcelFacts, load_facts
from sgpshop.storage import keyset
from sgpshop.storage.among import among
from sgpshop.storage.keyset import Page, Sorting

#: orders on one page, and rows: at least those of one order
PAGE_SIZE, MOST_ROWS = 50, 200
Condition = sa.ColumnElement[bool]
_OLDEST_FIRST = Sorting("ordered_at", Order.ordered_at.expression, datetime)


@dataclass(frozen=True)
class WaitingFilter:
    """Which of them are wanted; nothing: all."""

    #: a part of the order's number, or of the buyer's or the recipient's name
    word: str = ""
    #: 配送希望日 up to this day, or none
    until: date | None = None


@dataclass(frozen=True)
class WaitingParcel:
    """One row of 発送."""

    order: Facts
    parcel: ParcelFacts
    wish_date: date | None
    wish_time: str
    #: why it cannot be 配送完了 now; "" when it can
    reason: str

    @property
    def recipient(self) -> str:
        """Whose name is on the parcel."""
        return self.parcel.name or self.order.buyer_name


def order_ids() -> list[int]:
    """All orders with such a parcel."""
    return list(db.session.scalars(sa.select(Order.id).where(*_conditions(WaitingFilter()))))


def count(wanted: WaitingFilter) -> int:
    """How many orders there are."""
    found = sa.select(sa.func.count()).select_from(Order).where(*_conditions(wanted))
    return db.session.scalar(found) or 0


def page(wanted: WaitingFilter, cursor: str = "") -> Page[WaitingParcel]:
    """The parcels of some orders, the oldest first; six queries.  Raises CursorInvalid."""
    statement = sa.select(Order.id).where(*_conditions(wanted))
    found = keyset.find_ids(statement, _OLDEST_FIRST, size=PAGE_SIZE, cursor=cursor)
    from_end = keyset.is_backwards(cursor, _OLDEST_FIRST)
    if (size := _that_fit(found.rows[:: -1 if from_end else 1])) < len(found.rows):
        found = keyset.find_ids(statement, _OLDEST_FIRST, size=size, cursor=cursor)
    orders = load_facts(found.rows, with_parcels=True, with_items=True)
    wishes = {
        row.id: row
        for row in db.session.execute(
            sa.select(Delivery.id, Delivery.wish_date, Delivery.wish_time).where(
                among(Delivery.order_id, found.rows)
            )
        )
    }
    shop, now = settings.load(), utc_now()
    rows = []
    for order in (orders[order_id] for order_id in found.rows if order_id in orders):
        refusal = delivery_refusal(order, shop, now)
        reason = "" if refusal is None else refusal.sentence
        rows += [
            WaitingParcel(order, one, wishes[one.id].wish_date, wishes[one.id].wish_time, reason)
            for one in order.deliveries
            if one.status in OPEN_STATUSES and not one.slip_no and one.id in wishes
        ]
    return found.showing(rows)


def _that_fit(order_ids: Sequence[int]) -> int:
    """With how many of these orders a page is full."""
    theirs = sa.select(Delivery.order_id).where(among(Delivery.order_id, order_ids), *_IS_ROW)
    rows = Counter(db.session.scalars(theirs))
    sums = accumulate(rows[order_id] for order_id in order_ids)
    return max(1, sum(so_far <= MOST_ROWS for so_far in sums))


#: A parcel that has a row.
_IS_ROW = (Delivery.status.in_(OPEN_STATUSES), Delivery.slip_no == "")


def _conditions(wanted: WaitingFilter) -> list[Condition]:
    is_open = Order.processing_class == ProcessingClass.UNPROCESSED
    may_be_sent = sa.or_(
        Order.payment_status.is_(None),
        Order.payment_status.not_in((PaymentStatus.CANCELLED, PaymentStatus.NEEDS_REVIEW)),
    )
    of_parcel = [Delivery.order_id == Order.id, *_IS_ROW]
    if wanted.until is not None:
        of_parcel.append(sa.or_(Delivery.wish_date.is_(None), Delivery.wish_date <= wanted.until))
    found = [is_open, may_be_sent, sa.exists().where(*of_parcel)]
    if key := search_key(wanted.word):
        found.append(
            sa.or_(
                sa.func.lower(Order.order_no).contains(
                    wanted.word.strip().lower(), autoescape=True
                ),
                Order.buyer_search.contains(key, autoescape=True),
                sa.exists().where(
                    Delivery.order_id == Order.id,
                    Delivery.name_search.contains(key, autoescape=True),
                ),
            )
        )
    return found
