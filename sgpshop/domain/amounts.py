"""How an order's total is made up, and the tax in it by rate (R77, R77a, R77b)."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Protocol

#: 送料 and 手数料 are taxed at this rate (R77b).
_FEES_RATE = 10


class Line(Protocol):
    """What counts of one item."""

    @property
    def amount(self) -> int: ...
    @property
    def tax_rate(self) -> int: ...


@dataclass(frozen=True)
class RateShare:
    """What is taxed at one rate, tax included, and the tax in it, rounded down once; yen."""

    rate: int
    amount: int
    tax: int


@dataclass(frozen=True)
class Breakdown:
    """The parts of a total in yen; prices include tax."""

    items: int
    fees: int
    reductions: int
    shares: tuple[RateShare, ...]

    @property
    def total(self) -> int:
        """What the parts come to, never below 0 (R77a)."""
        return max(0, self.items + self.fees - self.reductions)


def break_down(lines: Iterable[Line], *, fees: int, reductions: int) -> Breakdown:
    """Add up `lines` (tax included), fees and reductions, and split the result by tax rate.

    Reductions are spread over the rates in proportion; what rounding leaves goes to the larger.
    """
    by_rate = {8: 0, 10: 0}
    for line in lines:
        by_rate[line.tax_rate] += line.amount
    items = sum(by_rate.values())
    by_rate[_FEES_RATE] += fees
    gross = items + fees
    reductions = min(reductions, gross)
    smaller = min(by_rate, key=lambda rate: by_rate[rate])
    part = reductions * by_rate[smaller] // gross if gross else 0
    net = {
        rate: amount - (part if rate == smaller else reductions - part)
        for rate, amount in by_rate.items()
    }
    shares = tuple(
        RateShare(rate, amount, amount * rate // (100 + rate))
        for rate, amount in sorted(net.items())
        if by_rate[rate]
    )
    return Breakdown(items=items, fees=fees, reductions=reductions, shares=shares)
