"""Does the history explain the present, and is it as it was written (P5)?

Every order's entries are replayed: its chain is unbroken, each entry begins where the one before it
ended, and the last one ends where the order stands now.  And every order that began is there, with
its history: the chain of the beginnings says which (beginnings.py).  The chain of what people did is
as it was written, too.  Nothing is written.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby, pairwise
from typing import Any

import sqlalchemy as sa

from sgpshop.domain import history_chain
from sgpshop.domain.payment_calendar import JST
from sgpshop.extensions import db
from sgpshop.models import (
    CHECKOUTS,
    Attempt,
    AttemptState,
    BeginningStep,
    CardTransaction,
    HistoryEntry,
    Order,
    table_of,
)
from sgpshop.services.access import activities
from sgpshop.services.orders import beginnings, history
from sgpshop.storage.among import among

#: Orders read with one statement, so that each is seen as it was at one moment.
_BATCH = 500
#: The entry a migration wrote for orders that are older than the chain: the replay begins there.
_BEGINS = "chain_begins"
_GUARDED = {
    "history": "履歴",
    "activities": "操作の記録",
    "money_movements": "売上・返金の記録",
}

_entries = table_of(HistoryEntry)
_READ = (
    sa.select(
        Order.id.label("of_order"),
        Order.order_no,
        Order.payment_status,
        Order.total,
        Order.processing_class.label("class_now"),
        Order.history_state,
        CardTransaction.gateway_amount.label("held_now"),
        CardTransaction.captured_amount.label("captured_now"),
        history.PAID[-1].label("refunded_now"),
        beginnings.of_order().label("began"),
        # An order whose buyer is still paying has no history before it is known to stay; which
        # order that may be, the chain of the beginnings says.
        sa.exists()
        .where(
            Attempt.order_id == Order.id, Attempt.is_open, Attempt.operation.in_(sorted(CHECKOUTS))
        )
        .label("is_arriving"),
        _entries,
    )
    .outerjoin(Order.transaction)
    .outerjoin(_entries, _entries.c.order_id == Order.id)
    .order_by(Order.id, _entries.c.id)
)


@dataclass(frozen=True)
class HistoryProblem:
    """Something the history does not explain; `order_no` is empty when it is about all of it."""

    order_no: str
    what: str


@dataclass
class Verification:
    """One pass over the histories of all orders, or of those with the given ids."""

    order_ids: Sequence[int] | None = None
    orders: int = 0
    entries: int = 0

    def problems(self) -> Iterator[HistoryProblem]:
        """Find them, in the order of the orders; `orders` and `entries` count what was seen."""
        yield from _missing_guards()
        if self.order_ids is None:
            for chain in (beginnings.CHAIN, activities.CHAIN):
                connection = db.session.connection()
                yield from (HistoryProblem("", what) for what in chain.faults(connection))
            for order_no in beginnings.vanished():
                yield HistoryProblem(order_no, "注文がデータベースから削除されています")
        key = history.chain_key()
        for ids in self._batches():
            for order_id, rows in _read(ids):
                self.orders += 1
                if rows is None:
                    yield HistoryProblem(
                        _number(order_id), "注文か履歴に、ありえない値が入っています"
                    )
                    continue
                self.entries += sum(row.id is not None for row in rows)
                yield from (HistoryProblem(rows[0].order_no, what) for what in _faults(key, rows))
            yield from _untold_attempts(ids)
            db.session.rollback()

    def _batches(self) -> Iterator[list[int]]:
        wanted = sa.select(Order.id).order_by(Order.id).limit(_BATCH)
        if self.order_ids is not None:
            wanted = wanted.where(among(Order.id, self.order_ids))
        last = 0
        while ids := list(db.session.scalars(wanted.where(Order.id > last))):
            yield ids
            last = ids[-1]


def _read(ids: Sequence[int]) -> Iterator[tuple[int, list[Any] | None]]:
    """Each order's rows, one per entry, oldest first; None if they hold what no row of ours can."""
    try:
        found = db.session.execute(_READ.where(among(Order.id, ids))).all()
    except (ValueError, LookupError, TypeError):  # a word, time or JSON that is none
        if len(ids) == 1:
            yield ids[0], None
        else:
            for order_id in ids:
                yield from _read([order_id])
        return
    for order_id, rows in groupby(found, key=lambda row: int(row.of_order)):
        yield order_id, list(rows)


def _faults(key: bytes, rows: list[Any]) -> Iterator[str]:
    """What is wrong with one order, in words."""
    order, entries = rows[0], [row for row in rows if row.id is not None]
    if not entries:
        is_new = order.began is BeginningStep.PAYING and order.history_state == history_chain.START
        if not (order.is_arriving and is_new):
            yield "履歴がありません(削除されています)"
        return
    if order.began is not BeginningStep.KEPT:
        yield "注文を受け付けた記録がありません(削除されたか、注文が外から加えられています)"
    yield from _broken_links(key, order.history_state, entries)
    begin = max((i for i, entry in enumerate(entries) if entry.event == _BEGINS), default=0)
    yield from _gaps(entries[begin:])
    yield from _unexplained(order, entries[-1])


def _broken_links(key: bytes, state_now: str, entries: Sequence[Any]) -> Iterator[str]:
    state = history_chain.START
    for number, entry in enumerate(entries, start=1):
        values = {name: getattr(entry, name) for name in history.LINKED}
        state = history_chain.link(key, state, values)
        if entry.mark != history_chain.mark(key, state):
            yield (
                f"{number}件目の記録({entry.at.astimezone(JST):%Y/%m/%d %H:%M:%S})が"
                "書かれたときのままではないか、その前の記録が欠けています"
            )
            return
    if state != state_now:
        yield "最後の記録が削除されています"


def _gaps(entries: Sequence[Any]) -> Iterator[str]:
    """Changes of status or total that no entry tells of."""
    for before, after in pairwise(entries):
        at = f"{after.at.astimezone(JST):%Y/%m/%d %H:%M:%S}の記録"
        if after.status_before is not before.status_after:
            yield (
                f"{at}は{_label(after.status_before)}から始まりますが、"
                f"その前の記録は{_label(before.status_after)}で終わっています"
            )
        if after.amount_before != before.amount_after:
            yield (
                f"{at}は合計{_yen(after.amount_before)}から始まりますが、"
                f"その前の記録は{_yen(before.amount_after)}で終わっています"
            )


def _unexplained(order: Any, last: Any) -> Iterator[str]:
    """What the order says now, other than its last entry."""
    for what, now, recorded in (
        ("決済ステータス", _label(order.payment_status), _label(last.status_after)),
        ("合計金額", _yen(order.total), _yen(last.amount_after)),
        ("SMBC-GP側の金額", _yen(order.held_now), _yen(last.gateway_amount)),
        ("売上金額", _yen(order.captured_now), _yen(last.captured_amount)),
        ("返金額", _yen(order.refunded_now), _yen(last.refunded_amount)),
        ("処理区分", _label(order.class_now), _label(last.processing_class)),
    ):
        if now != recorded:
            yield f"{what}は{now}ですが、最後の記録では{recorded}です"


def _untold_attempts(ids: Sequence[int]) -> Iterator[HistoryProblem]:
    """Operations that ended and whose end no entry tells."""
    untold = db.session.execute(
        sa.select(Order.order_no, Attempt.operation, Attempt.created_at)
        .join(Order, Order.id == Attempt.order_id)
        .where(
            among(Attempt.order_id, ids),
            Attempt.state.in_((AttemptState.DONE, AttemptState.REJECTED)),
            ~sa.exists().where(
                HistoryEntry.order_id == Attempt.order_id, HistoryEntry.attempt_id == Attempt.id
            ),
        )
        .order_by(Attempt.id)
    )
    for order_no, operation, began in untold:
        at = f"{began.astimezone(JST):%Y/%m/%d %H:%M:%S}"
        yield HistoryProblem(order_no, f"{at}に始めた{operation.label}の結果が履歴にありません")


def _missing_guards() -> Iterator[HistoryProblem]:
    """Whether the database still refuses to change what is written."""
    for table, words in _GUARDED.items():
        if db.engine.dialect.name == "sqlite":
            query = "SELECT name FROM sqlite_master WHERE type = 'trigger' AND tbl_name = :table"
        else:
            query = (
                "SELECT tgname FROM pg_trigger"
                " WHERE tgrelid = to_regclass(:table) AND tgenabled IN ('O', 'A')"
            )
        there = set(db.session.scalars(sa.text(query), {"table": table}))
        if not there >= {f"{table}_no_update", f"{table}_no_delete"}:
            yield HistoryProblem(
                "",
                f"{words}の変更・削除を拒む仕組み(トリガー)がデータベースから外されています",
            )


def _number(order_id: int) -> str:
    return str(db.session.scalar(sa.select(Order.order_no).where(Order.id == order_id)))


def _label(word: Any) -> str:
    return f"「{word.label}」" if word is not None else "「なし」"


def _yen(amount: int | None) -> str:
    return "なし" if amount is None else f"{amount:,}円"
