"""The chain of the orders' beginnings: what shows that an order, or its history, was removed (P5).

Each order is noted when it is written down and when its history begins, in the transaction that
does it.  The end of the chain is one row; it is locked last, when every other lock is held, so
that nobody who has it waits for somebody who wants it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import aliased

from sgpshop.domain import history_chain
from sgpshop.extensions import db
from sgpshop.models import Beginning, BeginningsEnd, BeginningStep, Order, table_of, utc_now
from sgpshop.storage import vault

#: What the chain's key is derived for.
CHAIN = "beginnings"
_rows, _end = table_of(Beginning), table_of(BeginningsEnd)
_THE_END = sa.select(_end.c.last, _end.c.state).where(_end.c.id == 1)
_LAST = sa.select(_end.c.last).where(_end.c.id == 1).scalar_subquery()
#: Asked with the end, in one statement: rows that nobody with the key wrote.
_IS_LONGER = sa.exists().where(sa.or_(_rows.c.id < 1, _rows.c.id > _end.c.last))
_later = aliased(Beginning)
#: Rows of the chain read with one statement.
_BATCH = 5_000


def note(connection: sa.Connection, what: BeginningStep, orders: Sequence[tuple[int, str]]) -> None:
    """Add that these orders, by id and number, got so far, within an open write transaction."""
    if not orders:
        return
    end = connection.execute(_THE_END.with_for_update()).one_or_none()
    last, state = (end.last, end.state) if end else (0, history_chain.START)
    key, now, added = _key(), utc_now(), []
    for order_id, order_no in orders:
        last += 1
        values = {"id": last, "order_id": order_id, "order_no": order_no, "what": what, "at": now}
        state = history_chain.link(key, state, values)
        added.append(values | {"mark": history_chain.mark(key, state)})
    connection.execute(sa.insert(_rows), added)
    stands = {"last": last, "state": state}
    if end is None:  # taken away by somebody: the next check tells
        connection.execute(sa.insert(_end).values(id=1, **stands))
    else:
        connection.execute(sa.update(_end).where(_end.c.id == 1).values(**stands))


def of_order() -> sa.ScalarSelect[Any]:
    """How far the order of the enclosing query got; NULL: its beginning was never noted.

    Rows outside the chain say nothing: they can be written without the key.
    """
    return (
        sa.select(Beginning.what)
        .where(
            Beginning.order_no == Order.order_no,
            Beginning.order_id == Order.id,
            Beginning.id.between(1, _LAST),
        )
        .order_by(Beginning.id.desc())
        .limit(1)
        .correlate(Order)
        .scalar_subquery()
    )


def faults() -> Iterator[str]:
    """What is wrong with the chain as such, in words."""
    try:
        yield from _breaks()
    except (ValueError, LookupError, TypeError):  # a word or time that is none
        yield "注文の受付の記録に、ありえない値が入っています"


def _breaks() -> Iterator[str]:
    end = db.session.execute(_THE_END.add_columns(_IS_LONGER.label("is_longer"))).one_or_none()
    state, number, key = history_chain.START, 0, _key()
    if end is not None and end.is_longer:
        yield "注文の受付の記録に、あとから加えられたものがあります"
    while end is not None and number < end.last:
        found = db.session.execute(
            sa.select(_rows)
            .where(_rows.c.id > number, _rows.c.id <= end.last)
            .order_by(_rows.c.id)
            .limit(_BATCH)
        ).mappings()
        read = 0
        for row in found:
            read, number = read + 1, number + 1
            values = {name: value for name, value in row.items() if name != "mark"}
            state = history_chain.link(key, state, values)
            if row["id"] != number or row["mark"] != history_chain.mark(key, state):
                yield f"注文の受付の記録が、{number}件目から書かれたときのままではありません"
                return
        if not read:
            break
    if end is None or (number, state) != (end.last, end.state):
        yield "注文の受付の記録が削除されています"


def vanished() -> Iterator[str]:
    """Numbers of orders that began, were not taken back, and are not there."""
    return iter(
        db.session.scalars(
            sa.select(Beginning.order_no)
            .where(
                Beginning.what != BeginningStep.TAKEN_BACK,
                Beginning.id.between(1, _LAST),
                ~sa.exists().where(
                    _later.order_no == Beginning.order_no,
                    _later.id > Beginning.id,
                    _later.id <= _LAST,
                ),
                ~sa.exists().where(
                    Order.id == Beginning.order_id, Order.order_no == Beginning.order_no
                ),
            )
            .order_by(Beginning.id)
        ).all()
    )


def _key() -> bytes:
    """A key of its own, so that no entry of a history fits in here."""
    return vault.derived_key(CHAIN)
