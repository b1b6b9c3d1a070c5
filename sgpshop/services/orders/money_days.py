"""Money by day, added up ahead: a month of 100,000 sales is read as fast as one of ten (R149).

Movements are only ever added (money_movements), so the sums of all up to a certain one stay true for
ever: a worker moves that mark forward now and then, and who reads adds what came after it.  Nothing is
kept by whoever books a movement: a row a day that every capture writes would make them wait for each
other.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any

import sqlalchemy as sa

from sgpshop import logs
from sgpshop.extensions import db
from sgpshop.models import MoneyDay, MoneyMovement, utc_now
from sgpshop.services.orders.money_movements import COUNTED, MOVED
from sgpshop.storage.database import write_alone, writing

#: One that is younger may stand behind one that is not committed yet: the mark stops before it.
_SETTLED = timedelta(minutes=10)
#: So many are added up in one transaction.
_AT_ONCE = 20_000

_BY = (MoneyMovement.day, MoneyMovement.is_refund, MoneyMovement.is_subscription)
_SUMS = (
    sa.func.sum(COUNTED),
    sa.func.sum(MOVED),
    sa.func.sum(MoneyMovement.at_8),
    sa.func.sum(MoneyMovement.at_0),
)
_KEPT = (
    MoneyDay.day,
    MoneyDay.is_refund,
    MoneyDay.is_subscription,
    MoneyDay.count,
    MoneyDay.yen,
    MoneyDay.at_8,
    MoneyDay.at_0,
)
_MARK = sa.select(sa.func.coalesce(sa.func.max(MoneyDay.up_to), 0)).scalar_subquery()
#: What came after the mark, one by one, as `_KEPT` has it.  OFFSET: asked for by day, SQLite would go
#: through all there is along the index of days, which stands in this order already.
_SINCE = (
    sa.select(
        *_BY, COUNTED.label("count"), MOVED.label("yen"), MoneyMovement.at_8, MoneyMovement.at_0
    )
    .where(MoneyMovement.id > _MARK, MOVED != 0)
    .offset(0)
    .subquery()
    .c
)


@dataclass(frozen=True)
class DaySums:
    """What one Japanese day came to: sales or refunds, of subscriptions or not; yen, with their sign."""

    day: date
    is_refund: bool
    is_subscription: bool
    count: int
    yen: int
    at_8: int
    at_0: int


def sums_by_day(first: date, last: date) -> list[DaySums]:
    """The sums of the days from `first` to `last`; one query, which reads what is kept and what came after."""
    by, sums_ = (_SINCE.day, _SINCE.is_refund, _SINCE.is_subscription), list(_SINCE)[3:]
    since = (
        sa.select(*by, *map(sa.func.sum, sums_))
        .where(_SINCE.day.between(first, last))
        .group_by(*by)
    )
    kept = sa.select(*_KEPT).where(MoneyDay.day.between(first, last))
    sums: dict[tuple[date, bool, bool], list[int]] = {}
    for one in db.session.execute(sa.union_all(kept, since)):
        found = sums.setdefault((one[0], bool(one[1]), bool(one[2])), [0] * len(_SUMS))
        for place, more in enumerate(one[3:]):
            found[place] += int(more)
    return [DaySums(*key, *sums[key]) for key in sorted(sums)]


def sold(first: date, last: date) -> sa.Subquery:
    """The same of sales alone, to be asked with more: rows of `day` and `yen`, several a day."""
    parts = (
        sa.select(rows.day, rows.yen).where(rows.day.between(first, last), ~rows.is_refund)
        for rows in (MoneyDay, _SINCE)
    )
    return sa.union_all(*parts).subquery()


def fold() -> None:
    """Move the mark forward over what is settled, in pieces; any worker may, any number of them."""
    while _fold_some():
        pass


def _fold_some() -> bool:
    """Whether there is more."""
    with writing() as session:
        write_alone(
            session, MoneyDay
        )  # the second adds to what the first one left, and no piece twice
        mark = session.scalar(sa.select(_MARK)) or 0
        top = mark + _AT_ONCE
        new = sa.and_(MoneyMovement.id > mark, MoneyMovement.id <= top)
        too_young = session.scalar(
            sa.select(sa.func.min(MoneyMovement.id)).where(
                new, MoneyMovement.learned_at > utc_now() - _SETTLED
            )
        )
        if too_young is not None:
            top = too_young - 1
        rows = session.execute(
            sa.select(*_BY, *_SUMS, sa.func.max(MoneyMovement.id))
            .where(MoneyMovement.id > mark, MoneyMovement.id <= top, MOVED != 0)
            .group_by(*_BY)
        ).all()
        for day, is_refund, is_subscription, count, yen, at_8, at_0, last in rows:
            known = session.get(MoneyDay, (day, is_refund, is_subscription))
            if known is None:
                known = MoneyDay(
                    day=day,
                    is_refund=is_refund,
                    is_subscription=is_subscription,
                    count=0,
                    yen=0,
                    at_8=0,
                    at_0=0,
                )
                session.add(known)
            known.count += int(count)
            known.yen += int(yen)
            known.at_8 += int(at_8)
            known.at_0 += int(at_0)
            known.up_to = last
        return bool(rows) and too_young is None


def compare() -> bool:
    """Add everything up anew: whether what is kept is right.  If not it is said, and made anew."""
    kept = sa.select(sa.literal(True), *_KEPT)
    anew = (
        sa.select(sa.literal(False), *_BY, *_SUMS)
        .where(MoneyMovement.id <= _MARK, MOVED != 0)
        .group_by(*_BY)
    )
    found: dict[bool, set[tuple[Any, ...]]] = {True: set(), False: set()}
    # One query: both of one moment.
    for is_kept, day, *sums in db.session.execute(sa.union_all(kept, anew)):
        found[bool(is_kept)].add((day, *(int(one) for one in sums)))
    db.session.rollback()
    if found[True] == found[False]:
        return True
    differing = sorted({one[0] for one in found[True] ^ found[False]})
    logs.event(
        "money_days_differ", level=logging.ERROR, first=str(differing[0]), days=len(differing)
    )
    with writing() as session:
        session.execute(sa.delete(MoneyDay))
    fold()
    return False
