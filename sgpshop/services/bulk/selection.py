"""What a selection of orders amounts to before anything is prepared (R40, R42)."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from sgpshop.domain.delivery_rules import DeliveryRefusal, delivery_refusal
from sgpshop.domain.errors import ShopError
from sgpshop.domain.order_rules import Refusal, capture_refusal
from sgpshop.models import BulkAction, utc_now
from sgpshop.services import settings
from sgpshop.services.orders.facts import load_facts


@dataclass(frozen=True)
class Selection:
    """Chosen orders; `yen` is the sum of those that can be captured, None when not weighed."""

    count: int = 0
    yen: int | None = 0
    left_out: tuple[tuple[Refusal | DeliveryRefusal, int], ...] = ()

    @property
    def left_out_count(self) -> int:
        """How many of the chosen cannot be captured."""
        return sum(count for _, count in self.left_out)


NOTHING_CHOSEN = Selection()


class TooMany(ShopError):
    """More orders were chosen than one run may have (R50); nothing was prepared."""

    def __init__(self, count: int, most: int) -> None:
        super().__init__(
            f"一度に処理できるのは{most:,}件までです({count:,}件が選択されています)。"
            "条件を絞り込んでください。"
        )
        self.count = count


def weigh(order_ids: Sequence[int], action: BulkAction | None = None) -> Selection:
    """Count and sum of these orders as they are now, and why `action` would leave some out.

    While nothing is chosen, capture is what people are after.
    """
    if action in _TAKES_ALL:
        return Selection(count=len(set(order_ids)), yen=None)
    if action is BulkAction.DELIVER:
        return _weigh_for_delivery(order_ids)
    facts = load_facts(order_ids).values()
    refusals = [(order, capture_refusal(order)) for order in facts]
    reasons = Counter(refusal for _, refusal in refusals if refusal is not None)
    return Selection(
        count=len(refusals),
        yen=sum(order.total for order, refusal in refusals if refusal is None),
        left_out=tuple(reasons.most_common()),
    )


#: files, prints and look-ups are of every order
_TAKES_ALL = (BulkAction.CSV_DOWNLOAD, BulkAction.PRINT, BulkAction.RECONCILE)


def _weigh_for_delivery(order_ids: Sequence[int]) -> Selection:
    terms, now = settings.load(), utc_now()
    refusals = [delivery_refusal(order, terms, now) for order in load_facts(order_ids).values()]
    reasons = Counter(refusal for refusal in refusals if refusal is not None)
    return Selection(len(refusals), yen=None, left_out=tuple(reasons.most_common()))
