"""What changed since: orders and events in an order in which nothing comes late.

Transactions end in another order than they began, so neither ids nor times say what a program has
missed.  Triggers note what changed without a place (models/feed.py); whoever asks gives places first,
to what has ended by then, one asker at a time: so whatever ends later gets a later place.
"""

from __future__ import annotations

import re
import secrets
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

import sqlalchemy as sa
from sqlalchemy import bindparam
from sqlalchemy.exc import DBAPIError
from sqlalchemy.orm import Session

from sgpshop.domain.bounds import whole_number
from sgpshop.domain.errors import CursorInvalid, ShopError
from sgpshop.extensions import db
from sgpshop.models import (
    Alert,
    Feed,
    HistoryEntry,
    Order,
    OrderChange,
    OrderEvent,
    table_of,
    utc_now,
)
from sgpshop.storage.among import among
from sgpshop.storage.database import writing
from sgpshop.storage.database_words import is_unavailable

#: So long events are kept.
KEPT = timedelta(days=30)
#: So many get a place, or are tidied away, with one question: an import brings many at once.
_AT_ONCE = 1000
#: and so often at most when it is tidied
_ROUNDS = 200
_PATIENCE = 1.0
_CURSOR = re.compile(r"([0-9a-f]{8})-([0-9]{1,18})")
_MOST = 2**62

_changes, _events = table_of(OrderChange), table_of(OrderEvent)


class PlaceLost(ShopError):
    """The cursor is from before a restore, or of events that were tidied away since."""

    status = 410
    sentence = (
        "この位置からは続けられません(データの復元の前の位置か、30日より前の位置です)。"
        "日時を指定して、取得し直してください。"
    )


def changed(after: str | datetime, size: int) -> tuple[list[int], str, bool]:
    """Ids of up to `size` orders that changed after that cursor or time, each once, by its latest change.

    Also the cursor behind them, and whether more are there.  "" is the beginning.  A time may bring
    orders that were changed shortly before it.  Raises CursorInvalid or PlaceLost.
    """
    feed = _give_places()
    start = _start(after, feed, OrderChange)
    rows = db.session.execute(
        sa.select(OrderChange.order_id, OrderChange.position)
        .join(Order)
        # One whose payment has not begun to be told may yet be taken back (payments.checkouts).
        .where(OrderChange.position > start, Order.history_state != "")
        .order_by(OrderChange.position)
        .limit(size + 1)
    ).all()
    shown = rows[:size]
    return [row.order_id for row in shown], _behind(shown, start, feed), len(rows) > size


def events(after: str | datetime, size: int) -> tuple[Sequence[Any], str, bool]:
    """Up to `size` events after that cursor or time, as `changed` does; "" is the oldest that is kept.

    Rows of an OrderEvent, its HistoryEntry or Alert, and the order's number.
    """
    feed = _give_places()
    start = _start(after, feed, OrderEvent)
    if after and not isinstance(after, datetime) and start < feed.forgotten:
        raise PlaceLost
    rows = _events_behind(start, size + 1)
    shown = rows[:size]
    behind = _behind([row.OrderEvent for row in shown], start, feed)
    return shown, behind, len(rows) > size


def events_behind(position: int, size: int) -> Sequence[Any]:
    """Up to `size` events after that place, for who keeps it in this database; rows as of `events`."""
    _give_places()
    return _events_behind(position, size)


def last_position() -> int:
    """The place of whatever happened until now; what happens later has a later one."""
    return int(_give_places().position)


def cursor(generation: str, position: int) -> str:
    """A place in words."""
    return f"{generation}-{position}"


def generation() -> str:
    """What all places are of now."""
    return db.session.execute(sa.select(Feed.generation)).scalar_one()


def tidy() -> None:
    """Give places and forget what is old, also where no program ever asks: events come all the time."""
    for _ in range(_ROUNDS):
        with writing() as session:
            if not _place(session):
                return


def begin_anew(session: Session) -> None:
    """After a restore: who read on from before would miss what is otherwise now."""
    session.execute(sa.update(Feed).values(generation=secrets.token_hex(4)))


def _events_behind(position: int, size: int) -> Sequence[Any]:
    return db.session.execute(
        sa.select(OrderEvent, HistoryEntry, Alert, Order.order_no)
        .join(Order, Order.id == OrderEvent.order_id)
        .outerjoin(HistoryEntry, HistoryEntry.id == OrderEvent.history_id)
        .outerjoin(Alert, Alert.id == OrderEvent.alert_id)
        .where(OrderEvent.position > position)
        .order_by(OrderEvent.position)
        .limit(size)
    ).all()


def _behind(rows: Sequence[Any], start: int, feed: Any) -> str:
    return cursor(feed.generation, rows[-1].position if rows else start)


def _start(after: str | datetime, feed: Any, model: type[OrderChange] | type[OrderEvent]) -> int:
    if isinstance(after, datetime):
        first = db.session.scalar(
            sa.select(model.position)
            .where(model.placed_at >= after)
            .order_by(model.placed_at, model.position)
            .limit(1)
        )
        return feed.position if first is None else first - 1
    if not after:
        return 0
    found = _CURSOR.fullmatch(after)
    position = whole_number(found[2], _MOST) if found else None
    if found is None or position is None:
        raise CursorInvalid
    if found[1] != feed.generation or position > feed.position:
        raise PlaceLost
    return position


def _give_places() -> Any:
    """Give what has no place the next ones; the feed as it is now.

    While the database cannot be written, what has a place is shown: nothing is missed, it comes later.
    """
    is_new = sa.or_(
        *(sa.exists().where(table.c.position.is_(None)) for table in (_changes, _events))
    )
    if db.session.scalar(sa.select(is_new)):
        try:
            with writing(_PATIENCE) as session:
                _place(session)
        except DBAPIError as problem:
            if not is_unavailable(problem):
                raise
    return db.session.execute(sa.select(Feed.generation, Feed.position, Feed.forgotten)).one()


def _place(session: Session) -> bool:
    """Give places and forget, a part of each; whether it is worth coming again."""
    # Held until the commit: who asks at the same moment gives later places, and reads these.
    feed = session.execute(
        sa.select(Feed.id, Feed.position, Feed.at, Feed.forgotten).with_for_update()
    ).one()
    now, last = max(utc_now(), feed.at), feed.position
    for table, key in ((_changes, _changes.c.order_id), (_events, _events.c.id)):
        # Skipped: rows that somebody changes at this moment, and that have no place afterwards either.
        wanted = sa.select(key).where(table.c.position.is_(None)).order_by(key).limit(_AT_ONCE)
        keys = session.scalars(wanted.with_for_update(skip_locked=True)).all()
        if keys:
            session.connection().execute(
                sa.update(table)
                .where(key == bindparam("which"))
                .values(position=bindparam("place"), placed_at=now),
                [{"which": which, "place": last + n} for n, which in enumerate(keys, start=1)],
            )
            last += len(keys)
    old = session.execute(
        sa.select(_events.c.id, _events.c.position)
        .where(_events.c.placed_at < now - KEPT)
        .order_by(_events.c.placed_at, _events.c.position)
        .limit(_AT_ONCE)
    ).all()
    session.execute(sa.delete(_events).where(among(_events.c.id, [row.id for row in old])))
    forgotten = old[-1].position if old else feed.forgotten
    session.execute(sa.update(Feed).values(position=last, at=now, forgotten=forgotten))
    return bool(max(last - feed.position, len(old)) >= _AT_ONCE)
