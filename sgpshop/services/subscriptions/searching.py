"""One page of the list, and what stands on its tabs."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

import sqlalchemy as sa

from sgpshop.domain.payment_status import PaymentStatus
from sgpshop.extensions import db
from sgpshop.models import Order, OrderKind, utc_now
from sgpshop.models.order import IS_THROUGH
from sgpshop.services import settings
from sgpshop.services.order_search.totals import Total, taken_otherwise, totals_of_kind
from sgpshop.services.subscriptions import rows
from sgpshop.services.subscriptions.rows import ListedSubscription
from sgpshop.services.subscriptions.stages import (
    IS_SUBSCRIPTION,
    SubscriptionCriteria,
    SubscriptionTab,
    needs_attention,
    searched,
    wanted,
)
from sgpshop.storage import keyset
from sgpshop.storage.keyset import NEWEST_FIRST, Page

PAGE_SIZE = 40


def search(criteria: SubscriptionCriteria, cursor: str = "") -> Page[ListedSubscription]:
    """The newest orders first; five queries whatever is found.  Raises CursorInvalid."""
    page = keyset.find_ids(wanted(criteria), NEWEST_FIRST, size=PAGE_SIZE, cursor=cursor)
    return page.showing(rows.load(page.rows, utc_now(), settings.load().billing_day))


def tab_totals(criteria: SubscriptionCriteria) -> dict[SubscriptionTab, Total]:
    """Count and yen of each tab for the same search, captured yen where money moved; four queries."""
    counts: Counter[SubscriptionTab] = Counter()
    sums: Counter[SubscriptionTab] = Counter()
    for status, delivered, count, yen in _by_status(searched(criteria)):
        for tab in (_tab_of(status, is_delivered=delivered), SubscriptionTab.ALL):
            if tab is not None:
                counts[tab] += count
                sums[tab] += int(yen)
    for status, more in taken_otherwise(searched(criteria)).items():
        for tab in (_tab_of(status, is_delivered=True), SubscriptionTab.ALL):
            if tab is not None:
                sums[tab] += more
    count, yen = db.session.execute(
        sa.select(sa.func.count(), sa.func.coalesce(sa.func.sum(Order.total), 0)).where(
            *searched(criteria), needs_attention()
        )
    ).one()
    more = sum(taken_otherwise([*searched(criteria), needs_attention()]).values())
    counts[SubscriptionTab.ATTENTION], sums[SubscriptionTab.ATTENTION] = count, int(yen) + more
    return {tab: Total(counts[tab], sums[tab]) for tab in SubscriptionTab}


def _by_status(
    about: list[sa.ColumnElement[bool]],
) -> Iterator[tuple[PaymentStatus | None, bool, int, int]]:
    """Status, whether all is 配送完了, count and yen.  Of all there are only those that wait are counted."""
    waits = Order.payment_status == PaymentStatus.AWAITING_BILLING
    are_all = all(one is IS_SUBSCRIPTION for one in about)
    counted = (
        sa.select(Order.payment_status, IS_THROUGH, sa.func.count(), sa.func.sum(Order.total))
        .where(*about, *([waits] if are_all else []))
        .group_by(Order.payment_status, IS_THROUGH)
    )
    for status, delivered, count, yen in db.session.execute(counted):
        yield status, bool(delivered), count, int(yen)
    for kept, total in totals_of_kind(OrderKind.SUBSCRIPTION).items() if are_all else ():
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
