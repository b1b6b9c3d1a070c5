"""Which big acts need a second person's 承認 before anything is sent (R157), by the shop's settings.

Asked by every entrance: one order's screens, runs, slip files, the API, commands.  What begins by
itself (the monthly registration, a look-up, the second step of what was agreed to) is no person's act.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import timedelta
from typing import Protocol

from sgpshop.domain.money_effect import money_effect
from sgpshop.domain.order_rules import OrderFacts, taken_too_much
from sgpshop.domain.words import Labelled

#: So long nobody said anything, then it has to be asked for anew.
EXPIRES_AFTER = timedelta(days=7)
LONGEST_REASON = 200


class ApprovalState(Labelled):
    """How far what somebody asked for is."""

    WAITING = "waiting", "承認待ち"
    APPROVED = "approved", "承認済み"
    REFUSED = "refused", "却下"
    WITHDRAWN = "withdrawn", "取り下げ"
    #: what it was about changed meanwhile
    VOID = "void", "無効"
    EXPIRED = "expired", "期限切れ"


class ApprovalTerms(Protocol):
    """The settings that say from how many yen on; 0: never."""

    @property
    def approve_refunds_from(self) -> int: ...
    @property
    def approve_captures_from(self) -> int: ...


def is_on(terms: ApprovalTerms) -> bool:
    """Whether the shop wants a second look at anything."""
    return terms.approve_refunds_from > 0 or terms.approve_captures_from > 0


def yen_back(order: OrderFacts, operation: str) -> int:
    """Yen that go, or may go, back to the buyer by `operation` on this order; 0 where none can."""
    held = order.transaction.gateway_amount if order.transaction else None
    if operation == "refund_difference":
        return taken_too_much(order)
    if operation == "cancel" and money_effect(order).may_refund:
        return max(order.total, held or 0)
    return 0


def yen_to_approve(
    orders: Iterable[OrderFacts], operation: str, terms: ApprovalTerms, *, captures: bool
) -> int:
    """Yen of one act on these orders that need a second person's yes; 0: it needs none.

    `captures`: it is, or ends with, 実売上処理.  All orders of the act count together.
    """
    if captures:
        return captured_to_approve(sum(order.total for order in orders), terms)
    back = sum(yen_back(order, operation) for order in orders)
    return back if 0 < terms.approve_refunds_from <= back else 0


def captured_to_approve(yen: int, terms: ApprovalTerms) -> int:
    """The same of captures of so many yen together."""
    return yen if 0 < terms.approve_captures_from <= yen else 0
