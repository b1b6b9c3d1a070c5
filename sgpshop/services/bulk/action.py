"""What one action with many orders is: its words, whom it leaves out and why, what it starts (R47).

A run asks nothing but this object, so a new action is a module in `actions/` with its line in the
list there, and a confirmation in `templates/bulk_runs/`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, NamedTuple, Protocol

from sqlalchemy.orm import Session

from sgpshop.domain import words
from sgpshop.domain.order_acts import ActTerms
from sgpshop.domain.order_rules import OrderFacts, is_big
from sgpshop.domain.rights import Role
from sgpshop.domain.words import Reason
from sgpshop.models import BulkItem, BulkRun, Operation, Order
from sgpshop.services.orders.facts import Facts
from sgpshop.services.payments.acts import amount_of
from sgpshop.services.settings import ShopSettings


class Doing(Protocol):
    """One line of a run that asks SMBC-GP nothing, with its order locked; raises the version."""

    def __call__(self, session: Session, order: Order, run: BulkRun, now: datetime) -> None: ...


class Line(NamedTuple):
    """What a run keeps of one order: its place, and yen and version as they were seen (P20)."""

    id: int
    order_id: int
    amount: int
    version: int


@dataclass(frozen=True)
class Refused:
    """An order that was chosen and is left out."""

    order: Facts
    reason: Reason


def _nothing(_orders: Sequence[Facts], _refused: Sequence[Refused], _now: datetime) -> Any:
    return None


def _always(_shop: ShopSettings) -> bool:
    return True


def _by_size(orders: Sequence[Facts], yen: int) -> bool:
    return is_big(len(orders), yen)


@dataclass(frozen=True, kw_only=True)
class Action:
    """One entry of 一括処理選択 that is confirmed once and worked off order by order (R39, R51)."""

    #: stored with runs, used in hooks; never changes
    word: str
    #: whose right it needs (R150)
    role: Role = Role.OPERATOR
    #: after 処理内容:
    label: str
    #: beside its button in the chooser
    hint: str
    #: why an order cannot take part now, as the table of acts says; None: it can
    refusal: Callable[[OrderFacts, ActTerms, datetime], Reason | None]
    #: the words `refusal` answers with, and CHANGED among them (P20)
    reasons: type[Reason]
    #: after the counts in the heading of a run
    done: str
    failed: str = "が失敗"
    #: when every chosen order is left out
    nothing: str
    #: beside the result
    remark: str = ""
    #: what the worker asks of SMBC-GP for each order; None: `do` carries out each line
    operation: Operation | None = None
    do: Doing | None = None
    #: figures of its own for its confirmation, of the orders taken and of those left out
    figures: Callable[[Sequence[Facts], Sequence[Refused], datetime], Any] = _nothing
    #: whether these orders and so many yen are to be confirmed a second time (S21)
    asks_twice: Callable[[Sequence[Facts], int], bool] = _by_size
    #: whether the shop's settings offer it
    is_offered: Callable[[ShopSettings], bool] = _always

    @property
    def fragment(self) -> str:
        """The template of its confirmation."""
        return f"bulk_runs/_ask_{self.word}.html"

    @property
    def has_yen(self) -> bool:
        """Whether it is about money: a sum is shown and large ones are asked about twice."""
        return self.operation is not None

    @property
    def takes_money(self) -> bool:
        """Whether what succeeded was charged."""
        return self.operation is Operation.CAPTURE

    def amount(self, order: OrderFacts) -> int:
        """Yen that a line is about: what is confirmed, sent and shown (P20)."""
        return order.total if self.operation is None else amount_of(order, self.operation)

    def reason(self, word: str) -> Reason:
        """The reason that a line has stored, which may be one of another version."""
        return words.read(self.reasons, word)

    def left_out(
        self, line: Line | BulkItem, order: OrderFacts, terms: ActTerms, now: datetime
    ) -> Reason | None:
        """Why the order of this line is left out; also when it is not as it was seen (P20)."""
        refusal = self.refusal(order, terms, now)
        as_seen = (order.version, self.amount(order)) == (line.version, line.amount)
        if refusal is None and not as_seen:
            return self.reason("changed")
        return refusal
