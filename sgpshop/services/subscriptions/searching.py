"""One page of the list, and what stands on its tabs."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from datetime import date, datetime
from functools import lru_cache
from typing import Any

import sqlalchemy as sa

from sgpshop.domain.payment_status import PaymentStatus
from sgpshop.models import Order, OrderKind, utc_now
from sgpshop.models.order import IS_THROUGH
from sgpshop.services import settings
from sgpshop.services.order_search.totals import (
    Total,
    taken_otherwise,
    totals_of_kind,
)
from sgpshop.services.subscriptions import rows
from sgpshop.services.subscriptions.billing import planning
from sgpshop.services.subscriptions.outlook import Outlook
from sgpshop.services.subscriptions.rows import ListedSubscription
from sgpshop.services.subscriptions.stages import (
    SubscriptionCriteria,
    SubscriptionTab,
    needs_attention,
    searched,
    wanted,
)
from sgpshop.storage import keyset
from sgpshop.storage.keyset import NEWEST_FIRST, Page
from sgpshop.storage.rows import read as rows_of

PAGE_SIZE = 40


def search(criteria: SubscriptionCriteria, cursor: str = "") -> Page[ListedSubscription]:
    """The newest orders first; five queries whatever is found.  Raises CursorInvalid."""
    is_plain = criteria == SubscriptionCriteria(tab=criteria.tab)
    due_last = planning.due_last(utc_now())
    ids = (
        _all_of_tab(criteria.tab, due_last)
        if is_plain
        else sa.select(Order.id).where(*wanted(criteria))
    )
    page = keyset.find_ids(ids, NEWEST_FIRST, size=PAGE_SIZE, cursor=cursor)
    return page.showing(rows.load(page.rows, utc_now(), settings.load().billing_day))


@lru_cache(maxsize=16)
def _all_of_tab(tab: SubscriptionTab, _due_last: tuple[date, datetime]) -> sa.Select[int]:
    """The ids where nothing is searched for: made once a month, keyset keeps what it makes of it."""
    return sa.select(Order.id).where(*wanted(SubscriptionCriteria(tab=tab)))


def tab_totals(criteria: SubscriptionCriteria, of_all: Outlook) -> dict[SubscriptionTab, Total]:
    """Count and yen of each tab for the same search, captured yen where money moved; at most four queries.

    Where nothing is searched for, `of_all` has counted 要対応 and what waits already.
    """
    counts: Counter[SubscriptionTab] = Counter()
    sums: Counter[SubscriptionTab] = Counter()
    about = searched(criteria)
    are_all = len(about) == 1  # the subscriptions
    for status, delivered, count, yen in _by_status(about, of_all if are_all else None):
        for tab in (_tab_of(status, is_delivered=delivered), SubscriptionTab.ALL):
            if tab is not None:
                counts[tab] += count
                sums[tab] += int(yen)
    for status, more in ({} if are_all else taken_otherwise(about)).items():
        for tab in (_tab_of(status, is_delivered=True), SubscriptionTab.ALL):
            if tab is not None:
                sums[tab] += more
    found = {tab: Total(counts[tab], sums[tab]) for tab in SubscriptionTab}
    found[SubscriptionTab.ATTENTION] = of_all.attention if are_all else _attention(about)
    return found


def _attention(about: list[sa.ColumnElement[bool]]) -> Total:
    wanted = [*about, needs_attention()]
    figures = sa.func.count(), sa.func.coalesce(sa.func.sum(Order.total), 0)
    count, yen = rows_of(sa.select(*figures).where(*wanted)).one()
    return Total(count, int(yen) + sum(taken_otherwise(wanted).values()))


def _counted(*about: sa.ColumnElement[bool]) -> sa.Select[*tuple[Any, ...]]:
    return (
        sa.select(Order.payment_status, IS_THROUGH, sa.func.count(), sa.func.sum(Order.total))
        .where(*about)
        .group_by(Order.payment_status, IS_THROUGH)
    )


def _by_status(
    about: list[sa.ColumnElement[bool]], of_all: Outlook | None
) -> Iterator[tuple[PaymentStatus | None, bool, int, int]]:
    """Status, whether all is 配送完了, count and yen: of `about`, or as they are kept of all, with what was
    taken otherwise.
    """
    if of_all is None:
        for status, delivered, count, yen in rows_of(_counted(*about)):
            yield status, bool(delivered), count, int(yen)
        return
    for is_through, total in ((False, of_all.undelivered), (True, of_all.delivered)):
        yield PaymentStatus.AWAITING_BILLING, is_through, total.count, total.yen
    for kept, total in totals_of_kind(OrderKind.SUBSCRIPTION).items():
        if kept is not PaymentStatus.AWAITING_BILLING:
            yield kept, False, total.count, total.yen


def _tab_of(status: PaymentStatus | None, *, is_delivered: bool) -> SubscriptionTab | None:
    if status is PaymentStatus.AWAITING_BILLING:
        return SubscriptionTab.DELIVERED if is_delivered else SubscriptionTab.AWAITING
    return (
        {
            PaymentStatus.BILLING_REPORTED: SubscriptionTab.REPORTED,
            PaymentStatus.CAPTURE_FAILED: SubscriptionTab.FAILED,
        }.get(status)
        if status
        else None
    )
