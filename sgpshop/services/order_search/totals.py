"""Count and yen by payment status for the tabs over the list (R37), true and cheap.

Those of all orders are kept by whoever changes one (sums.py).  Adding up many orders takes longer than
the rest of the page, so the sums of any other search are remembered for as long as no order changes.
Every change of an order writes a history entry (P5), so the newest entry's id tells in one index
look-up whether anything did.
"""

from __future__ import annotations

import threading
import time
from collections import OrderedDict
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime
from functools import cache, lru_cache
from typing import Any

import sqlalchemy as sa
from flask import current_app
from sqlalchemy.orm import aliased

from sgpshop.domain.payment_calendar import jst_day, start_of_day
from sgpshop.domain.payment_status import UNPAID, PaymentStatus
from sgpshop.domain.reconciliation import AlertKind
from sgpshop.domain.text import asked_keys
from sgpshop.extensions import db
from sgpshop.models import Alert, CardTransaction, HistoryEntry, Order, OrderKind, utc_now
from sgpshop.models.order import NOT_UNPAID
from sgpshop.services.order_search import index, sums
from sgpshop.services.order_search.criteria import SearchCriteria, conditions, written
from sgpshop.services.order_search.index import MOST_COUNTED
from sgpshop.storage.among import among
from sgpshop.storage.questions import Question, answer, once
from sgpshop.storage.rows import read as rows_of


@dataclass(frozen=True)
class Total:
    """How many orders, and their sum in yen: of what was taken where it was, else of the totals."""

    count: int = 0
    yen: int = 0
    #: there may be more, which nobody counted, and no yen
    is_least: bool = False

    @property
    def words(self) -> str:
        """The count for people; nothing where nothing was counted."""
        if self.is_least and not self.count:
            return ""
        return f"{self.count:,}件" + "以上" * (self.is_least and self.count >= MOST_COUNTED)


#: by status; None stands for the orders that are not paid by SGP card
Totals = dict[PaymentStatus | None, Total]

#: a search, and the Japanese day on which it was made
_Key = tuple[SearchCriteria, date]

_KEY = "sgpshop.order_totals"
_MARKER = "newest history"
_NEWEST = Question(sa.select(sa.func.max(HistoryEntry.id)), lambda row: row[0] or 0)
_KEPT = 200
#: seconds; on PostgreSQL two changes may be committed in another order than their ids were given
_LONGEST = 15.0


class _Cache:
    """The latest sums by criteria, each with the history id it was made at."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._entries: OrderedDict[_Key, tuple[int, float, Totals]] = OrderedDict()

    def get(self, key: _Key, marker: int) -> Totals | None:
        with self._lock:
            entry = self._entries.get(key)
            if entry is None or entry[0] != marker or time.monotonic() - entry[1] > _LONGEST:
                return None
            self._entries.move_to_end(key)
            return entry[2]

    def put(self, key: _Key, marker: int, totals: Totals) -> None:
        with self._lock:
            self._entries[key] = (marker, time.monotonic(), totals)
            self._entries.move_to_end(key)
            while len(self._entries) > _KEPT:
                self._entries.popitem(last=False)


def status_totals(criteria: SearchCriteria) -> Totals:
    """Count and yen of each status among the orders of a search, its statuses ignored.

    Statuses without an order are absent.  At most two queries.  Where very many orders hold the word,
    there is one total of all, and one of the chosen status, that are least ones.
    """
    if criteria.word and _first(criteria.without_statuses()) >= MOST_COUNTED:
        found: Totals = {None: Total(MOST_COUNTED, is_least=True)}
        if criteria.statuses:
            found[criteria.statuses[0]] = Total(_first(criteria), is_least=True)
        return found
    return totals_of(criteria.without_statuses())[0]


def totals_of_found(order_ids: Sequence[int]) -> Totals:
    """The same where these are all orders of a search; at most one query."""
    if not order_ids:
        return {}
    [found] = _read(rows_of(_of_found(), {"ids": order_ids}), 1)
    return found


def _first(criteria: SearchCriteria) -> int:
    """How many orders a search for a word finds, as far as they are counted."""
    return once(criteria, lambda: index.number(*_words_and_others(criteria)))


def _words_and_others(criteria: SearchCriteria) -> tuple[Sequence[str], list[index.Condition]]:
    others = conditions(replace(criteria, word=""), utc_now())
    return asked_keys(criteria.word), others


def questions_ahead(criteria: SearchCriteria) -> list[Question[Any]]:
    """What `status_totals` of this search asks first; it asks no more for it where it was asked with others."""
    found: list[tuple[object, Question[int]]] = [(_MARKER, _NEWEST)]
    if criteria.word:
        whole = criteria.without_statuses()
        question = index.number_of(*_words_and_others(whole))
        if not question.is_typed:  # else nothing is asked with it
            found.append((whole, question))
    return [_kept(name, question) for name, question in found]


def _kept(name: object, question: Question[int]) -> Question[int]:
    return replace(question, read=lambda row: once(name, lambda: question.read(row)))


def total(criteria: SearchCriteria) -> Total:
    """Count and yen of all orders of a search, its statuses included; at most two queries."""
    return added(totals_of(criteria)[0])


def added(totals: Totals, statuses: Collection[PaymentStatus] = ()) -> Total:
    """The sum over `statuses`, or over all."""
    if not statuses and None in totals and totals[None].is_least:
        return totals[None]
    wanted = [total for status, total in totals.items() if not statuses or status in statuses]
    is_least = any(t.is_least for t in wanted)
    return Total(sum(t.count for t in wanted), sum(t.yen for t in wanted), is_least)


def totals_of_kind(kind: OrderKind) -> Totals:
    """Count and yen of all orders of a kind by status, as kept; one query, which reads no order but those of
    `taken_otherwise`.
    """
    [found] = _read(rows_of(_of_kind(kind)), 1)
    return found


@cache
def _of_kind(kind: OrderKind) -> sa.CompoundSelect[*tuple[Any, ...]]:
    return sa.union_all(sums.by_status(0, kind), _taken_otherwise([Order.kind == kind], place=0))


def totals_of(*searches: SearchCriteria) -> list[Totals]:
    """Count and yen by status of each search; at most two queries, however many searches."""
    now = utc_now()
    today = jst_day(now)  # オーソリ期限 counts in days
    marker = once(_MARKER, lambda: answer(_NEWEST))
    kept: _Cache = current_app.extensions.setdefault(_KEY, _Cache())
    found = {one: kept.get((one, today), marker) for one in searches}
    missing = [one for one, totals in found.items() if totals is None]
    for one, made in zip(missing, _add_up(missing, now) if missing else (), strict=True):
        found[one] = made
        if one.waiting_hours is None:  # that changes by the minute without any order changing
            kept.put((one, today), marker, made)
    return [found[one] or {} for one in searches]


#: To a planner not the column: grouped by that, all orders would be gone through by status.
_STATUS = sa.type_coerce(sa.func.nullif(Order.payment_status, ""), Order.payment_status.type)


def _add_up(searches: Sequence[SearchCriteria], now: datetime) -> list[Totals]:
    """The sums of all searches in one query, of which each part uses the index of its conditions."""
    make = _statement if any(one.is_typed for one in searches) else _kept_statement
    return _read(rows_of(make(tuple(searches), start_of_day(jst_day(now)))), len(searches))


def _read(rows: Iterable[Any], searches: int) -> list[Totals]:
    found: list[Totals] = [{} for _ in range(searches)]
    for place, status, number, amount in rows:
        before = found[place].get(status, Total())
        found[place][status] = Total(before.count + int(number), before.yen + int(amount or 0))
    return found


def _statement(
    searches: tuple[SearchCriteria, ...], now: datetime
) -> sa.CompoundSelect[*tuple[Any, ...]]:
    return sa.union_all(
        *(part for place, one in enumerate(searches) for part in _parts(one, now, place))
    )


#: What nobody typed is asked again all day.
_kept_statement = lru_cache(maxsize=64)(_statement)


#: The list as it is opened.
_FIRST_SEEN = SearchCriteria(unfinished=True)


def _parts(criteria: SearchCriteria, now: datetime, place: int) -> list[sa.Select[Any]]:
    wanted = conditions(criteria, now)
    if not wanted:
        return [sums.by_status(place), _taken_otherwise((), place=place)]
    if criteria == _FIRST_SEEN:  # of UNPAID all are unfinished, so their sums are kept
        rest, otherwise = _sums_of([*wanted, written(NOT_UNPAID)], place)
        return [sums.by_status(place, statuses=UNPAID), rest, otherwise]
    # These few have an index of their own.
    are_few = criteria.unfinished or criteria.shipped_uncaptured or criteria.unsent
    return _sums_of(wanted, place, None if are_few else Order.payment_status.expression)


def _sums_of(
    wanted: Sequence[sa.ColumnElement[bool]], place: int, status: Any = None
) -> list[sa.Select[Any]]:
    status = _STATUS if status is None else status
    figures = sa.func.count(), sa.func.sum(Order.total)
    counted = sa.select(sa.literal(place), status, *figures).where(*wanted).group_by(status)
    return [counted, _taken_otherwise(wanted, place=place)]


@cache
def _of_found() -> sa.CompoundSelect[Any]:
    return sa.union_all(*_sums_of([among(Order.id, "ids")], 0))


def taken_otherwise(
    wanted: Iterable[sa.ColumnElement[bool]],
) -> dict[PaymentStatus | None, int]:
    """By status, how many yen more (or less) than their totals were taken for the `wanted` orders.

    To be added to a sum of totals where money that already moved is meant.

    Only changes made at SMBC-GP itself lead there, each of which was told as AMOUNT_DIFFERS: so few
    orders are read.
    """
    rows = db.session.execute(_taken_otherwise(wanted, place=0))
    return {status: int(more or 0) for _, status, _, more in rows}


def more_taken(wanted: Iterable[sa.ColumnElement[bool]]) -> sa.ScalarSelect[Any]:
    """The same over all statuses, as a column of another query."""
    by_status = _taken_otherwise(wanted, place=0).subquery()
    return sa.select(sa.func.sum(by_status.c[3])).scalar_subquery()


#: the conditions speak of transactions of their own
_its_own = aliased(CardTransaction)
_IS_ITS_OWN = sa.and_(_its_own.order_id == Order.id, _its_own.is_current)
_MORE = sa.func.sum(_its_own.captured_amount - Order.total)
_IS_TAKEN_OTHERWISE = (
    Order.id.in_(
        sa.select(Alert.order_id).where(Alert.kind == AlertKind.AMOUNT_DIFFERS).correlate(None)
    ),
    # from the alerts, which are few
    sa.cast(Order.payment_status, sa.String).in_(
        (PaymentStatus.CAPTURED.value, PaymentStatus.BILLING_REPORTED.value)
    ),
    _its_own.captured_amount.is_not(None),
)


def _taken_otherwise(
    wanted: Iterable[sa.ColumnElement[bool]], *, place: int
) -> sa.Select[int, PaymentStatus | None, int, int | None]:
    """One row a status: `place`, the status, no further order, the yen."""
    return (
        sa.select(sa.literal(place), _STATUS, sa.literal(0), _MORE)
        .join(_its_own, _IS_ITS_OWN)
        .where(*wanted, *_IS_TAKEN_OTHERWISE)
        .group_by(_STATUS)
    )
