"""What a selection of orders amounts to before anything is prepared (R40, R42)."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from sgpshop.domain.errors import ShopError
from sgpshop.domain.words import Reason
from sgpshop.models import utc_now
from sgpshop.services import settings
from sgpshop.services.bulk.action import Action
from sgpshop.services.orders.facts import load_facts


@dataclass(frozen=True)
class Selection:
    """Chosen orders; `yen` is the sum of those that can take part, None when not weighed."""

    count: int = 0
    yen: int | None = 0
    left_out: tuple[tuple[Reason, int], ...] = ()

    @property
    def left_out_count(self) -> int:
        """How many of the chosen cannot take part."""
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


def weigh(order_ids: Sequence[int], action: Action | None) -> Selection:
    """Count and sum of these orders as they are now, and why `action` would leave some out.

    None: files, prints and look-ups are of every order.
    """
    if action is None:
        return Selection(count=len(set(order_ids)), yen=None)
    terms, now = settings.load(), utc_now()
    facts = load_facts(order_ids).values()
    refusals = [(order, action.refusal(order, terms, now)) for order in facts]
    reasons = Counter(reason for _, reason in refusals if reason is not None)
    taken = [order for order, reason in refusals if reason is None]
    return Selection(
        count=len(refusals),
        yen=sum(map(action.amount, taken)) if action.has_yen else None,
        left_out=tuple(reasons.most_common()),
    )
