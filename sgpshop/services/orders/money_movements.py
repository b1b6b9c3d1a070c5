"""Writing down once, as it is learned, what was taken and given back: the shop's books (R146).

Day and yen of a row never change: later look-ups change what is known of a transaction, not what was
said of the day before.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from datetime import date, datetime, timedelta
from typing import Any

import sqlalchemy as sa

from sgpshop.domain.amounts import (
    AMOUNT_COLUMNS,
    MOST_IN_LINES,
    RATES,
    RateShare,
    TaxRule,
    break_down_order,
)
from sgpshop.domain.delivery_status import ProcessingClass
from sgpshop.domain.payment_calendar import jst_day
from sgpshop.extensions import db
from sgpshop.gateway import TradeState
from sgpshop.models import (
    Delivery,
    InstallationFact,
    MoneyMovement,
    Order,
    OrderKind,
    OrderLine,
    table_of,
    utc_now,
)
from sgpshop.storage.among import among

#: What is learned by the end of the day after is of its own day: answers and the night's comparison.
GRACE = timedelta(days=1)
#: Fact of books that were put back (P36): up to which moment they know, and when they went on.
PUT_BACK = "put_back"
#: So long after that what moved in between comes to be known anew, told again, or handed in again.
_KNOWN_ANEW = timedelta(days=7)
#: What moved so long before its order came here stands in books that were kept elsewhere.
ELSEWHERE = timedelta(days=31)
_WENT_BACK = MoneyMovement.kept_before - MoneyMovement.kept_after
#: Yen that the shop has more than before.
MOVED = MoneyMovement.kept_after - MoneyMovement.kept_before
_INSERT = sa.insert(table_of(MoneyMovement))
_BOOKED = (
    sa.select(
        *(
            sa.func.coalesce(sa.func.sum(column), 0).label(f"booked_{column.key}")
            for column in (
                MoneyMovement.at_8,
                MoneyMovement.tax_8,
                MoneyMovement.tax_10,
                MoneyMovement.at_0,
            )
        ),
        sa.func.coalesce(sa.func.sum(_WENT_BACK).filter(MoneyMovement.is_by_hand), 0).label(
            "by_hand"
        ),
    )
    .where(MoneyMovement.transaction_id == sa.bindparam("transaction_id"))
    .subquery()
)
_SOLD = (
    sa.select(
        *(getattr(Order, name) for name in AMOUNT_COLUMNS),
        Order.kind,
        Order.total,
        Order.processing_class,
        sa.select(sa.func.max(Delivery.delivered_at))
        .where(Delivery.order_id == Order.id)
        .correlate(Order)
        .scalar_subquery()
        .label("gone_at"),
        # They may be of before MOST_IN_LINES, and PostgreSQL multiplies in 32 bits.
        (sa.cast(OrderLine.unit_price, sa.BigInteger) * OrderLine.quantity).label("amount"),
        OrderLine.tax_rate,
        *_BOOKED.c,
    )
    .outerjoin(OrderLine, OrderLine.order_id == Order.id)
    .join(_BOOKED, sa.true())
    .where(Order.id == sa.bindparam("order_id"))
)


def kept(state: str | None, captured: int | None) -> int:
    """Yen that SMBC-GP took under a number and did not give back."""
    return 0 if TradeState.of(state or "").is_cancelled else captured or 0


def last_by_hand(order: Order) -> int:
    """Yen of the newest record of 返金済み that was not taken back; it may have been none."""
    assert order.transaction is not None
    rows = db.session.scalars(
        sa.select(_WENT_BACK)
        .where(MoneyMovement.transaction_id == order.transaction.id, MoneyMovement.is_by_hand)
        .order_by(MoneyMovement.id)
    ).all()
    if order.refunded_on is not None and rows and rows[-1] == 0:
        return 0
    standing: list[int] = []
    for yen in rows:
        if yen > 0:
            standing.append(yen)
        elif yen < 0:
            standing.pop()
    return standing[-1] if standing else 0


def refunded_of(order_ids: Collection[int]) -> dict[int, int]:
    """Yen that went back of what was taken, by order; one with none is missing."""
    rows = db.session.execute(
        sa.select(MoneyMovement.order_id, sa.func.sum(_WENT_BACK))
        .where(
            among(MoneyMovement.order_id, order_ids),
            MoneyMovement.is_refund,
        )
        .group_by(MoneyMovement.order_id)
    )
    return {order_id: int(yen) for order_id, yen in rows}


def left_of(order: Order) -> int:
    """Yen that the shop still has of the sale that counts: no more can go back."""
    there = order.transaction
    if there is None:
        return 0
    has = kept(there.gateway_state, there.captured_amount)
    return max(0, has - there.given_by_hand) if has else 0


def book(order_id: int, transaction_id: int, before: int, after: int, at: datetime) -> None:
    """SMBC-GP had `before` yen of this number and has `after` since `at`; within a write transaction.

    What a person gave back already is booked already, whatever SMBC-GP does about it later.
    """
    if before == after:
        return
    sold = _sold(order_id, transaction_id)
    given = sold[0].by_hand
    left_before, left_after = max(0, before - given), max(0, after - given)
    if left_before != left_after:
        day = jst_day(at)
        late = day if _is_from_before(order_id, day) else None
        _add(order_id, transaction_id, left_before, left_after, day, sold, booked_on=late)


def _is_from_before(order_id: int, day: date) -> bool:
    """Whether the order was brought here long after that day, as all are when a shop begins."""
    if day > jst_day(utc_now() - ELSEWHERE):
        return False
    came_in = db.session.scalar(sa.select(Order.created_at).where(Order.id == order_id))
    return came_in is not None and day <= jst_day(came_in - ELSEWHERE)


def book_by_hand(order: Order, yen: int, day: date) -> None:
    """A person gave `yen` back on that day, or none; fewer than none: the record before was wrong."""
    there = order.transaction
    assert there is not None
    left = left_of(order)
    sold = _sold(order.id, there.id)
    _add(order.id, there.id, left, left - yen, day, sold, is_by_hand=True)


def book_back(order_id: int, transaction_id: int) -> None:
    """What was booked of this number was another's: each movement is balanced, on its own day.

    A row that was there is never changed (append-only); files that told it tell this as 「前回の期間に
    さかのぼる分」.  What was balanced before stays so.
    """
    moved = table_of(MoneyMovement)
    rows = db.session.execute(
        sa.select(moved).where(moved.c.transaction_id == transaction_id).order_by(moved.c.id)
    ).all()
    balanced = max((n for n, row in enumerate(rows, 1) if _is_against(row)), default=0)
    now = utc_now()
    for row in rows[balanced:]:
        turned = {name: -getattr(row, name) for name in ("at_8", "at_0", "tax_8", "tax_10")}
        against = {
            **row._mapping,
            "kept_before": row.kept_after,
            "kept_after": row.kept_before,
            "booked_on": row.booked_on
            if _is_from_before(order_id, row.day)
            else max(row.booked_on, _day_of_file(row.day, now)),
            "learned_at": now,
            **turned,
        }
        against.pop("id")
        db.session.connection().execute(_INSERT, against)


def _is_against(row: Any) -> bool:
    """Whether it balances another: a sale that is less afterwards, or 返金 of which more is left."""
    return bool(row.is_refund is not (row.kept_after < row.kept_before)) and not row.is_by_hand


def _sold(order_id: int, transaction_id: int) -> Sequence[Any]:
    """The lines of an order, or one row without; on each what is said of the order, and what was booked of the
    transaction so far: yen and tax by rate, and yen that went back by hand.
    """
    db.session.flush()
    of_both = {"order_id": order_id, "transaction_id": transaction_id}
    return db.session.connection().execute(_SOLD, of_both).all()


def _add(
    order_id: int,
    transaction_id: int,
    before: int,
    after: int,
    day: date,
    sold: Sequence[Any],
    *,
    booked_on: date | None = None,
    is_by_hand: bool = False,
) -> None:
    now = utc_now()
    db.session.connection().execute(
        _INSERT,
        {
            "order_id": order_id,
            "transaction_id": transaction_id,
            "day": day,
            "booked_on": booked_on or _day_of_file(day, now),
            "kept_before": before,
            "kept_after": after,
            "learned_at": now,
            "is_by_hand": is_by_hand,
            "is_refund": is_by_hand or after < before,
            **_of_the_order(
                sold,
                after,
                day,
                given=before - after if is_by_hand else 0,
                is_sale=after > before,
            ),
        },
    )


def _of_the_order(
    sold: Sequence[Any], after: int, day: date, *, given: int, is_sale: bool
) -> dict[str, Any]:
    """What the order says of a movement: its rates, and since when the money was owed.

    The rates of the sale as it is afterwards, less those booked before: so all movements add up to
    the tax of what the shop has in the end, whatever became of the order's lines (R77b, R77c).
    `given`: yen of it that a person gives back by hand.
    """
    booked = sold[0]
    columns: Mapping[str, Any] = {**booked._mapping}
    items = [line for line in sold if line.amount is not None]
    if sum(line.amount for line in items) > MOST_IN_LINES:
        items = []  # of before that limit: nobody sold goods for so much, and no books hold it
    now = _rates(columns, items, after, booked.by_hand + given)
    gone = columns["gone_at"]
    is_gone = is_sale and columns["processing_class"] is ProcessingClass.DELIVERED and gone
    return {
        "is_subscription": columns["kind"] is OrderKind.SUBSCRIPTION,
        "at_8": now[8].amount - booked.booked_at_8,
        "tax_8": now[8].tax - booked.booked_tax_8,
        "tax_10": now[10].tax - booked.booked_tax_10,
        "at_0": now[0].amount - booked.booked_at_0,
        "owed_since": gone_on
        if is_gone and (gone_on := jst_day(gone)) < day.replace(day=1)
        else None,
    }


def _rates(
    columns: Mapping[str, Any], items: list[Any], left: int, given: int
) -> dict[int, RateShare]:
    """What `left` yen are at each rate, where so much went back by hand.

    What was taken beyond the total goes back first (R77c); then each rate in its proportion, for it
    is goods that came back.  What rounding leaves goes yen by yen to the rates that lost a part of one
    by it, so that none has more than was sold at it.
    """
    whole = max(left, min(left + given, columns["total"])) or columns["total"]
    shares = {rate: RateShare(rate, 0, 0) for rate in RATES}
    shares |= {share.rate: share for share in break_down_order(columns, items, total=whole).shares}
    if left == whole:
        return shares
    rule = TaxRule.stored_in(columns)
    exact = {rate: divmod(shares[rate].amount * left, whole) for rate in (10, 8, 0)}
    parts = {rate: yen for rate, (yen, _) in exact.items()}
    rest = left - sum(parts.values())
    for rate in [rate for rate, (_, lost) in exact.items() if lost][:rest]:
        parts[rate] += 1
    return {rate: RateShare(rate, yen, rule.tax_in(yen, rate)) for rate, yen in parts.items()}


def learned_late(first: date, last: date) -> tuple[int, int]:
    """Yen of these days that are in files of later ones; and those of days before that are in the file
    of these.  One query, of the few that were learned late.
    """
    day, booked_on = MoneyMovement.day, MoneyMovement.booked_on
    # Written out, not bound: the index serves only a condition that it can be compared with; without
    # a type: of a Boolean SQLite is asked whether it is 1.
    is_late: sa.ColumnElement[Any] = sa.literal_column("(booked_on > day)")
    left_to_later, of_before = (
        sa.select(sa.func.coalesce(sa.func.sum(MOVED), 0)).where(is_late, *wanted).scalar_subquery()
        for wanted in (
            (day.between(first, last), booked_on > last),
            # Wrapped: by booked_on alone all of the month would be read.
            (day < first, sa.func.coalesce(booked_on, day).between(first, last)),
        )
    )
    row = db.session.execute(sa.select(left_to_later, of_before)).one()
    return int(row[0]), int(row[1])


#: A record of 返金済み that was taken back is one refund fewer, and what `book_back` balanced one sale.
COUNTED = sa.case(
    (sa.and_(MoneyMovement.is_refund, MoneyMovement.kept_after > MoneyMovement.kept_before), -1),
    (sa.and_(~MoneyMovement.is_refund, MoneyMovement.kept_after < MoneyMovement.kept_before), -1),
    else_=1,
)


def _day_of_file(day: date, now: datetime) -> date:
    """The day whose file tells of what moved on `day` and is learned now.

    The files of days that were lost with the books before these had it already (P36).
    """
    in_time = jst_day(now - GRACE)
    if day >= in_time or (fact := db.session.get(InstallationFact, PUT_BACK)) is None:
        return max(day, in_time)
    known_until, went_on = map(datetime.fromisoformat, fact.value.split())
    was_lost = jst_day(known_until - GRACE) <= day <= jst_day(went_on)
    return day if was_lost and now < went_on + _KNOWN_ANEW else in_time
