"""Any number of made-up orders of all kinds and states, as rows alone: SMBC-GP knows none of them.

What is written with an order is written with these: history and its chain, money that moved, texts
they are found by.  A block is one transaction, so whoever is killed leaves whole orders, and the same
command goes on behind them.  Of many orders, processes of their own make the blocks and this one only
writes them: SQLite lets one write at a time.
"""

from __future__ import annotations

import gc
import multiprocessing
import os
import threading
from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import Executor, Future, ProcessPoolExecutor
from contextlib import contextmanager, nullcontext
from datetime import datetime

import sqlalchemy as sa
from flask import current_app
from sqlalchemy.orm import Session

from sgpshop.domain.errors import ShopError
from sgpshop.extensions import db
from sgpshop.models import (
    Alert,
    BeginningStep,
    HistoryEntry,
    Order,
    OrderChange,
    OrderEvent,
    OrderTextDue,
    utc_now,
)
from sgpshop.services import installation
from sgpshop.services.demo import blocks
from sgpshop.services.demo.blocks import Block, Made, number_of
from sgpshop.services.order_search import index, sums
from sgpshop.services.orders import beginnings, feed, history, money_days
from sgpshop.storage.database import chunks, take_time, writing
from sgpshop.storage.rows import free_ids, run

_BATCH = 5_000
#: Fewer are made before another process has begun.
_MANY = 20_000
#: More makers than this wait for the one who writes.
_MOST_MAKERS = 4
#: Blocks that lie ready, at most, so that nobody waits and no memory fills.
_AHEAD = 2


def seed_rows(count: int) -> int:
    """Write `count` made-up orders of the last three years, the oldest first; how many were new.

    Those that are there already are left as they are.  Raises ShopError outside test mode,
    EnvironmentUnusable when a shop works with this database.
    """
    if not current_app.config["TEST_MODE"]:
        raise ShopError("見本の取引は練習モード(SGPSHOP_TEST_MODE=1)でのみ作成できます。")
    installation.become_demo()
    now, new = utc_now().replace(microsecond=0), 0
    every = [range(at, min(at + _BATCH, count)) for at in range(0, count, _BATCH)]
    with _makers() if count >= _MANY else nullcontext() as makers:
        for numbers, ahead in _begun(makers, every, count, now):
            with writing() as session:
                take_time(session)
                new += _write(session, numbers, count, now, ahead)
            sums.fold()
    money_days.fold()
    return new


_Ahead = tuple[Block, Future[Made]]


def _begun(
    makers: Executor | None, every: Sequence[range], count: int, now: datetime
) -> Iterator[tuple[range, _Ahead | None]]:
    """The numbers of each block, with the block itself if somebody makes it, begun some blocks ahead."""
    ahead: deque[_Ahead] = deque()
    todo = iter(every)
    for numbers in every:
        while makers and len(ahead) < _AHEAD + _number_of_makers() and (coming := next(todo, None)):
            with writing() as session:
                block = _plan(session, coming, count, now, [block for block, _ in ahead])
            ahead.append((block, makers.submit(blocks.make, block)))
        yield numbers, ahead.popleft() if ahead else None


def _plan(
    session: Session, numbers: range, count: int, now: datetime, before: Sequence[Block] = ()
) -> Block:
    """The block of those of `numbers` that are missing, within an open write transaction.

    Its ids are free, and not those of the blocks `before` it, which are still to be written.
    """
    missing = _missing(session, numbers)
    connection, driver = session.connection(), db.engine.url.drivername
    ids = []
    for table, most in zip(blocks.TABLES, blocks.MOST, strict=True):
        free = free_ids(connection, table, len(missing) * most)
        if isinstance(free, range):
            at = max(
                [free.start, *(of.stop for b in before if isinstance(of := b.of(table), range))]
            )
            free = range(at, at + len(free))
        ids.append(free)
    return Block(missing, numbers.start, count, now, history.chain_key(), driver, tuple(ids))


def _missing(session: Session, numbers: range) -> list[int]:
    ends = Order.order_no.between(number_of(numbers[0]), number_of(numbers[-1]))
    there = set(session.scalars(sa.select(Order.order_no).where(ends)))
    return [n for n in numbers if number_of(n) not in there]


def _is_as_planned(session: Session, numbers: range, block: Block) -> bool:
    """Whether nobody wrote meanwhile what the block holds or whose ids it has."""
    connection = session.connection()
    return _missing(session, numbers) == block.numbers and all(
        # On PostgreSQL nobody else is given them.
        not isinstance(ids, range) or free_ids(connection, table, 1)[0] <= ids.start
        for table, ids in zip(blocks.TABLES, block.ids, strict=True)
    )


def _number_of_makers() -> int:
    return min(os.cpu_count() or 1, _MOST_MAKERS)


@contextmanager
def _makers() -> Iterator[Executor]:
    """Processes that make blocks; they end with this one, however it ends."""
    makers = ProcessPoolExecutor(
        _number_of_makers(), multiprocessing.get_context("spawn"), _become_maker
    )
    try:
        yield makers
    finally:
        makers.shutdown(cancel_futures=True)


def _become_maker() -> None:
    gc.disable()  # what a block is made of has no circles
    threading.Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    assert parent is not None
    parent.join()
    os._exit(1)


def _write(
    session: Session, numbers: range, count: int, now: datetime, ahead: _Ahead | None
) -> int:
    if ahead and _is_as_planned(session, numbers, ahead[0]):
        made = ahead[1].result()
    else:
        made = blocks.make(_plan(session, numbers, count, now))
    if not made.orders:
        return 0
    connection = session.connection()
    triggers = _take_off_triggers(connection)
    with index.merged_later(connection):
        run(connection, made.statements)
    beginnings.note(connection, BeginningStep.KEPT, made.orders)
    ids = [order_id for order_id, _ in made.orders]
    if triggers:
        _note_for_programs(session, ids[0], ids[-1], now)
        for statement in triggers:
            connection.exec_driver_sql(statement)
    else:
        for some in chunks(ids):
            session.execute(sa.delete(OrderTextDue).where(OrderTextDue.order_id.in_(some)))
    return len(ids)


def _take_off_triggers(connection: sa.Connection) -> list[str]:
    """Do without SQLite's triggers for new rows, one by one, until the end of this transaction.

    Killed before that, nothing happened.  Returns what brings them back; nothing on PostgreSQL.
    """
    if connection.dialect.name != "sqlite":
        return []
    found = connection.execute(sa.text(_TRIGGERS)).all()
    for name, _ in found:
        connection.exec_driver_sql(f"DROP TRIGGER {name}")
    return [statement for _, statement in found]


_TRIGGERS = """
SELECT name, sql FROM sqlite_master WHERE type = 'trigger'
AND (name LIKE '%\\_text\\_insert' ESCAPE '\\' OR name LIKE '%\\_feed\\_insert' ESCAPE '\\')
"""


def _note_for_programs(session: Session, first: int, last: int, now: datetime) -> None:
    """What the triggers would have noted, but for events that nobody is told of any more."""
    ids = sa.select(Order.id).where(Order.id.between(first, last))
    session.execute(sa.insert(OrderChange).from_select(["order_id"], ids))
    for model, column in ((HistoryEntry, "history_id"), (Alert, "alert_id")):
        at = HistoryEntry.at if model is HistoryEntry else Alert.since
        new = sa.select(model.order_id, model.id).where(
            model.order_id.between(first, last), at > now - feed.KEPT
        )
        session.execute(sa.insert(OrderEvent).from_select(["order_id", column], new))
