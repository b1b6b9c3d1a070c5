"""The texts by which orders are found: renewed when an order changed, compared now and then.

Triggers note a changed order in the transaction that changes it; whoever renews its text takes the note
away in one transaction with the new text.  Killed anywhere in between, the note is still there.
"""

from __future__ import annotations

import secrets
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from functools import lru_cache
from operator import itemgetter
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import Session

from sgpshop import logs
from sgpshop.domain.text import digits_only, phone_key, search_key
from sgpshop.extensions import db
from sgpshop.models import Delivery, Order, OrderLine, OrderText, OrderTextDue, table_of
from sgpshop.services.order_search import index
from sgpshop.storage.among import among
from sgpshop.storage.database import chunks, writing
from sgpshop.storage.questions import Question
from sgpshop.storage.rows import Statement, inserts, run

#: Orders renewed in one transaction: others wait for it on SQLite.
_BATCH = 200
#: Fewer are renewed before anybody notices.
_FEW = 1_000
_DUE_UP_TO_MANY = sa.select(sa.func.count()).select_from(
    sa.select(OrderTextDue.id).limit(_FEW + 1).subquery()
)
#: Orders compared at once, now and then.
_SAMPLE = 200
_LOCK = 7426002

_texts = table_of(OrderText)
_FIELDS = {field.text.key: field for field in index.ALL}


def renew() -> bool:
    """Renew the texts of some orders that changed; whether there are more."""
    is_any = db.session.scalar(sa.select(sa.exists(sa.select(OrderTextDue.id))))
    db.session.commit()
    if not is_any:
        return False
    with writing() as session:
        if not _is_our_turn(session):
            return False
        # All notes of these first, then the orders: a change that is committed in between has one of its own.
        oldest = sa.select(OrderTextDue.order_id).order_by(OrderTextDue.id).limit(_BATCH)
        noted = sa.select(OrderTextDue.id, OrderTextDue.order_id)
        notes = session.execute(noted.where(OrderTextDue.order_id.in_(oldest))).all()
        _write(session, sorted({note.order_id for note in notes}))
        for some in chunks([note.id for note in notes]):
            session.execute(
                sa.delete(OrderTextDue)
                .where(OrderTextDue.id.in_(some))
                .execution_options(synchronize_session=False)
            )
    return len(notes) >= _BATCH


def forget(session: Session, order_ids: Sequence[int]) -> None:
    """Drop what these orders are found by, in the caller's transaction; a change brings it back."""
    for some in chunks(order_ids):
        _take_out(session, _stored(session, some))


def is_being_built() -> Question[bool]:
    """Whether many texts are still to be made, after an update or a big import."""
    return Question(_DUE_UP_TO_MANY, lambda row: row[0] > _FEW)


def share_built() -> float | None:
    """How many of all orders have their text, from 0 to 1; None: there is no order."""
    due = sa.select(sa.func.count(OrderTextDue.order_id.distinct())).scalar_subquery()
    orders = sa.select(sa.func.count(Order.id)).scalar_subquery()
    left, total = db.session.execute(sa.select(due, orders)).one()
    return max(0.0, 1 - left / total) if total else None


def compare_some() -> None:
    """Compare the texts of some orders, others each time, and mend what is not as it should be."""
    last = db.session.scalar(sa.select(sa.func.max(Order.id))) or 0
    db.session.commit()
    if last:
        compare_from(secrets.randbelow(last) + 1)


def compare_from(first: int) -> tuple[int, int | None]:
    """Compare and mend some orders from this id on: how many were not as they should be, the next id.

    The next id is None behind the last order.
    """
    # Each text is asked of the grams, which takes a second: so long nobody could write.
    ids = _ids_from(first)
    suspected = _wrong_among(db.session(), ids)
    db.session.commit()
    wrong: list[int] = []
    if suspected:
        with writing() as session:
            _wait_for_our_turn(session)
            wrong = _wrong_among(session, suspected)
            _write(session, wrong, even_if_same=True)
    if wrong:
        logs.event("search_texts_mended", orders=len(wrong), first=wrong[0])
    return len(wrong), ids[-1] + 1 if len(ids) == _SAMPLE else None


def _ids_from(first: int) -> list[int]:
    """The ids of the next orders, and of texts whose order is gone."""
    found: set[int] = set()
    for column in (Order.id, OrderText.order_id):
        window = sa.select(column).where(column >= first).order_by(column).limit(_SAMPLE)
        found.update(db.session.scalars(window))
    return sorted(found)[:_SAMPLE]


def _wrong_among(session: Session, ids: Sequence[int]) -> list[int]:
    """Those whose text or grams are not as they should be, and are not noted as due either."""
    noted = sa.select(OrderTextDue.order_id).where(among(OrderTextDue.order_id, ids))
    due = set(session.scalars(noted))
    stored, wanted = _stored(session, ids), _made(session, ids)
    return [
        order_id
        for order_id in ids
        if order_id not in due
        and (
            stored.get(order_id) != wanted.get(order_id)
            or not _has_grams(session, stored[order_id])
        )
    ]


def begin_anew() -> None:
    """Forget all texts and note every order: the worker makes them anew."""
    with writing() as session:
        _wait_for_our_turn(session)
        index.empty(session)
        session.execute(sa.delete(_texts))
        everything = sa.select(Order.id).order_by(Order.id.desc())
        session.execute(sa.insert(OrderTextDue).from_select(["order_id"], everything))


def _is_our_turn(session: Session) -> bool:
    """On PostgreSQL two that renew one order could write the older text last."""
    if session.get_bind().dialect.name == "sqlite":  # one writes at a time there
        return True
    return bool(session.scalar(sa.select(sa.func.pg_try_advisory_xact_lock(_LOCK))))


def _wait_for_our_turn(session: Session) -> None:
    if session.get_bind().dialect.name != "sqlite":
        session.execute(sa.select(sa.func.pg_advisory_xact_lock(_LOCK)))


#: A row of order_texts.
_Text = dict[str, Any]


def _write(session: Session, order_ids: Sequence[int], *, even_if_same: bool = False) -> None:
    stored, wanted = _stored(session, order_ids), _made(session, order_ids)
    changed = [one for one in order_ids if even_if_same or stored.get(one) != wanted.get(one)]
    there = {one: stored[one] for one in changed if one in stored}
    if even_if_same:  # FTS5 counts what it is told to forget
        lost = {one: row for one, row in there.items() if not _has_grams(session, row)}
        session.execute(sa.delete(_texts).where(among(_texts.c.order_id, lost)))
        there = {one: row for one, row in there.items() if one not in lost}
    _take_out(session, there)
    put_in(session, [wanted[one] for one in changed if one in wanted])


def put_in(session: Session, new: Sequence[_Text]) -> None:
    """Write these texts of orders that have none, in the caller's transaction."""
    connection = session.connection()
    run(connection, inserts_of(connection.dialect, new))


def inserts_of(dialect: sa.Dialect, new: Sequence[_Text]) -> Iterator[Statement]:
    """The statements of `put_in`."""
    if new:
        yield from inserts(dialect, _texts, _NAMES, [*map(_in_order, new)])
        yield from index.inserts_of(dialect, ((row["sort_key"], _grams(row)) for row in new))


_NAMES = ("order_id", "sort_key", *_FIELDS)
_in_order = itemgetter(*_NAMES)


def _take_out(session: Session, stored: dict[int, _Text]) -> None:
    index.take_out(session, ((row["sort_key"], _grams(row)) for row in stored.values()))
    session.execute(sa.delete(_texts).where(among(_texts.c.order_id, stored)))


def _stored(session: Session, order_ids: Sequence[int]) -> dict[int, _Text]:
    rows = session.execute(sa.select(_texts).where(among(_texts.c.order_id, order_ids)))
    return {row.order_id: dict(row._mapping) for row in rows}


def _grams(row: _Text) -> set[str]:
    return index.tokens_of((field, row[name]) for name, field in _FIELDS.items())


def _has_grams(session: Session, row: _Text) -> bool:
    found = sa.select(index.GRAMS.c.rowid).where(
        index.GRAMS.c.rowid == row["sort_key"], index.has_grams(sorted(_grams(row)))
    )
    return session.scalar(found) is not None


def _made(session: Session, order_ids: Sequence[int]) -> dict[int, _Text]:
    """The texts as the orders are now."""
    parcels, lines = _rows_of(session, Delivery, order_ids), _rows_of(session, OrderLine, order_ids)
    orders = session.execute(
        sa.select(
            Order.id,
            Order.order_no,
            Order.ordered_at,
            Order.member_id,
            Order.buyer_name,
            Order.buyer_kana,
            Order.buyer_company,
            Order.buyer_tel,
            Order.buyer_email,
        ).where(among(Order.id, order_ids))
    )
    return {order.id: text_of(order, parcels[order.id], lines[order.id]) for order in orders}


def lines_of(*texts: str | None) -> str:
    """Each text once, in the form of `search_key`, between line breaks."""
    keys = dict.fromkeys(filter(None, map(search_key, texts)))
    return "\n".join(["", *keys, ""]) if keys else ""


def text_of(
    order: Any,
    parcels: Sequence[Any],
    items: Sequence[Any],
    lines_of_names: Callable[..., str] = lines_of,
) -> _Text:
    """The row of order_texts of an order, from rows of it, its deliveries and its lines.

    Who has few names in many orders gives `lines_of_names`: what keeps the lines of each.
    """
    tels = dict.fromkeys([order.buyer_tel, *(parcel.tel for parcel in parcels)])
    slips = (number for p in parcels for number in (p.slip_no, *p.more_slips.split()))
    return {
        "order_id": order.id,
        "sort_key": index.sort_key(order.ordered_at, order.id),
        "buyer": lines_of_names(order.buyer_name, order.buyer_kana, order.buyer_company),
        "tel": lines_of(*map(phone_key, tels), *map(digits_only, tels)),
        "email": lines_of(order.buyer_email),
        "number": lines_of(order.order_no),
        "member": lines_of(order.member_id),
        "recipient": lines_of_names(*(parcel.name for parcel in parcels)),
        "slip": lines_of(*slips),
        "item": _lines_of_items([t for i in items for t in (i.name, i.code, i.option, i.jan)]),
    }


def _rows_of(
    session: Session, model: type[Delivery | OrderLine], order_ids: Sequence[int]
) -> dict[int, list[Any]]:
    table = table_of(model)
    rows = session.execute(
        sa.select(table).where(among(table.c.order_id, order_ids)).order_by(table.c.id)
    )
    found: dict[int, list[Any]] = defaultdict(list)
    for row in rows:
        found[row.order_id].append(row)
    return found


def _lines_of_items(texts: Sequence[str | None]) -> str:
    return (_lines_again if index.is_short(texts) else lines_of)(*texts)


#: The same things are in many orders.
_lines_again = lru_cache(maxsize=1_000)(lines_of)
