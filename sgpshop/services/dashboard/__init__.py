"""What needs somebody today: the figures of the first page (R155), in a handful of queries.

Beside them `pictures` and `recent`.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

import sqlalchemy as sa

from sgpshop.domain.payment_status import PaymentStatus
from sgpshop.extensions import db
from sgpshop.models import Webhook, utc_now
from sgpshop.services import approvals, subscriptions
from sgpshop.services.dashboard.pictures import DAYS, Captured, captured, holds
from sgpshop.services.order_search import holds as kept
from sgpshop.services.order_search import preorders
from sgpshop.services.order_search.criteria import SearchCriteria
from sgpshop.services.order_search.totals import Total, added, totals_of
from sgpshop.services.orders.alerts import last_compared
from sgpshop.services.settings import ShopSettings
from sgpshop.services.subscriptions import ListedFile, Urgent
from sgpshop.storage import setbacks
from sgpshop.storage.questions import Question, answers

#: Receivers that were switched off because nothing arrived.
_GIVEN_UP_WEBHOOKS = Question(
    sa.select(sa.func.count()).where(Webhook.given_up_at.is_not(None)), lambda row: int(row[0])
)


@dataclass(frozen=True)
class Figures:
    """Counts and yen of the orders that wait for something."""

    authorized: Total
    deadline_soon: Total
    capture_failed: Total
    needs_review: Total
    #: 要確認 for longer than the shop's limit (R20)
    review_overdue: Total
    #: 修正額が未送信: our total is not what SMBC-GP holds (R72a)
    unsent: Total
    #: 発送済み・売上処理待ち: it left, or came back and its payment stays; the money was not taken (R130)
    shipped_uncaptured: Total
    #: 返送済み・返金未対応: the goods are back, the payment is not cancelled (R90a)
    returned_open: Total
    #: orders for which a look-up found something nobody has acknowledged yet (R121)
    alerts: Total
    #: 定期:今月末締め, where subscriptions are used or some are under way (R26, R87)
    subscriptions: Urgent | None
    #: files of the monthly registration that were refused, until acknowledged (R105)
    refused_files: list[ListedFile]
    #: files whose results are overdue (R105)
    overdue_files: list[ListedFile]
    #: 予約:出荷予定日超過: not charged although the day has passed (R113)
    preorders_overdue: Total
    #: whether the shop has any order at all, and one that was paid by our doing
    has_orders: bool
    has_captured: bool
    #: what was taken day by day, and how many holds end when (`pictures`)
    captured: Captured
    holds: list[int]
    #: something broke off however often it was tried (P15)
    has_set_aside: bool
    #: receivers of webhooks that were switched off because nothing arrived (S16a)
    given_up_webhooks: int
    #: what waits for a second person (R157)
    approvals: Total
    #: when all was compared with SMBC-GP last, None: never yet
    compared_at: datetime | None


def figures(shop: ShopSettings, *, days: int = DAYS) -> Figures:
    """The figures as they are now, in three queries, and one more where a file is in trouble.

    `days` of captures are told one by one.
    """
    now = utc_now()
    totals, *sums = totals_of(
        SearchCriteria(),
        SearchCriteria(waiting_hours=shop.needs_review_alert_hours),
        SearchCriteria(unsent=True),
        SearchCriteria(shipped_uncaptured=True),
        SearchCriteria(returned_open=True),
        SearchCriteria(alert=True),
    )
    overdue, unsent, shipped, returned, alerts = (added(one) for one in sums)
    taken, ending, late, urgent, is_in_trouble, is_set_aside, compared_at, _, given_up, asked = (
        answers(
            captured(now, days),
            holds(now),
            preorders.overdue(),
            subscriptions.urgent_question(now),
            subscriptions.trouble_question(),
            setbacks.is_set_aside_question(),
            last_compared(),
            subscriptions.in_use_question(),
            _GIVEN_UP_WEBHOOKS,
            approvals.waiting_question(),
        )
    )
    has_subscriptions = subscriptions.in_use(shop)
    refused, late_files = subscriptions.trouble() if is_in_trouble else ([], [])
    return Figures(
        authorized=totals.get(PaymentStatus.AUTHORIZED, Total()),
        deadline_soon=ending.soon,
        capture_failed=totals.get(PaymentStatus.CAPTURE_FAILED, Total()),
        needs_review=totals.get(PaymentStatus.NEEDS_REVIEW, Total()),
        review_overdue=overdue,
        unsent=unsent,
        shipped_uncaptured=shipped,
        returned_open=returned,
        alerts=alerts,
        subscriptions=urgent if has_subscriptions else None,
        refused_files=refused if has_subscriptions else [],
        overdue_files=late_files if has_subscriptions else [],
        preorders_overdue=late,
        has_orders=bool(totals),
        has_captured=PaymentStatus.CAPTURED in totals or PaymentStatus.BILLING_REPORTED in totals,
        captured=taken,
        holds=ending.heaps,
        has_set_aside=is_set_aside,
        given_up_webhooks=given_up,
        approvals=asked,
        compared_at=compared_at,
    )


def expired(now: datetime) -> Total:
    """Authorizations whose term is over, as far as we know it (R130)."""
    over = sa.select(sa.func.count(), sa.func.sum(kept.yen)).where(kept.ends_at <= now)
    count, yen = db.session.execute(over).one()
    return Total(count, int(yen or 0))
