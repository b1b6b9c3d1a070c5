"""What a selection of orders amounts to before anything is prepared (R40, R42)."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from sgpshop.domain.order_rules import Refusal, capture_refusal
from sgpshop.services.order_facts import load_facts


@dataclass(frozen=True)
class Selection:
    """Chosen orders; `yen` is the sum of those that can be captured."""

    count: int = 0
    yen: int = 0
    left_out: tuple[tuple[Refusal, int], ...] = ()

    @property
    def left_out_count(self) -> int:
        """How many of the chosen cannot be captured."""
        return sum(count for _, count in self.left_out)


NOTHING_CHOSEN = Selection()


def weigh(order_ids: Sequence[int]) -> Selection:
    """Count and sum of these orders as they are now, and why some would be left out."""
    facts = load_facts(order_ids).values()
    refusals = [(order, capture_refusal(order)) for order in facts]
    reasons = Counter(refusal for _, refusal in refusals if refusal is not None)
    return Selection(
        count=len(refusals),
        yen=sum(order.total for order, refusal in refusals if refusal is None),
        left_out=tuple(reasons.most_common()),
    )
