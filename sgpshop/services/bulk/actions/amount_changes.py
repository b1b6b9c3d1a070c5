"""変更内容をSMBC-GPに送信 of many orders: each gets an authorization of its new total (R66-R71)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import partial

from sgpshop.domain.hold_rules import HoldRefusal, hold_refusal
from sgpshop.domain.order_acts import Act
from sgpshop.domain.order_rules import increase, is_big
from sgpshop.models import Operation
from sgpshop.services.bulk.action import Action, Refused
from sgpshop.services.orders.facts import Facts


@dataclass(frozen=True)
class AmountChangeFigures:
    """What its confirmation says of the amounts; yen."""

    #: at SMBC-GP now
    held: int
    #: orders that become dearer, by so much together; the card company may refuse those (R71)
    increases: int
    increased_by: int
    decreases: int
    decreased_by: int


def _differences(orders: Sequence[Facts]) -> list[int]:
    """By order, yen by which its total is more than what SMBC-GP holds."""
    held = [order.transaction.gateway_amount or 0 for order in orders if order.transaction]
    return [order.total - amount for order, amount in zip(orders, held, strict=True)]


def _figures(
    orders: Sequence[Facts], _refused: Sequence[Refused], _now: datetime
) -> AmountChangeFigures:
    differences = _differences(orders)
    more = [yen for yen in differences if yen > 0]
    less = [-yen for yen in differences if yen < 0]
    return AmountChangeFigures(
        held=sum(order.total for order in orders) - sum(differences),
        increases=len(more),
        increased_by=sum(more),
        decreases=len(less),
        decreased_by=sum(less),
    )


def _asks_twice(orders: Sequence[Facts], yen: int) -> bool:
    """Large ones, and whatever reserves more of a buyer's money than the buyer agreed to."""
    return is_big(len(orders), yen) or any(increase(order) for order in orders)


ACTION = Action(
    word="send_changes",
    label=Act.SEND_CHANGES.label,
    hint="修正した合計金額をSMBC-GPに送信します(修正額が未送信の注文が対象です)。",
    refusal=partial(hold_refusal, Act.SEND_CHANGES),
    reasons=HoldRefusal,
    done="の金額変更を送信",
    failed="が送信失敗",
    nothing="金額の変更を送信できる注文がありません。",
    remark="実売上処理はまだ行っていません。実売上処理する場合は、処理内容に「SGPカード決済」を選んでください。",
    operation=Operation.CHANGE_AMOUNT,
    figures=_figures,
    asks_twice=_asks_twice,
)
