"""注文キャンセル of many orders in 仮売上: each authorization is released, then its order cancelled (R91)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from sgpshop.domain.cancel_rules import CancelRefusal, cancel_refusal
from sgpshop.domain.order_acts import Act
from sgpshop.domain.order_rules import is_unsent
from sgpshop.models import Operation
from sgpshop.services.bulk.action import Action, Refused
from sgpshop.services.orders.facts import Facts
from sgpshop.services.payments.transaction_numbers import live_elsewhere
from sgpshop.storage.database import chunks


@dataclass(frozen=True)
class CancelFigures:
    """What its confirmation warns of: counts of orders."""

    #: their total is not what SMBC-GP holds, and is released
    unsent: int
    #: money stays under other numbers, to be cancelled in SMBC-GP's console (R91)
    left_elsewhere: int


def _figures(orders: Sequence[Facts], _refused: Sequence[Refused], _now: datetime) -> CancelFigures:
    left = {
        one.order_id
        for ids in chunks([order.id for order in orders])
        for one in live_elsewhere(ids)
    }
    return CancelFigures(sum(is_unsent(order) for order in orders), len(left))


ACTION = Action(
    word="cancel",
    label=Act.CANCEL.label,
    hint="カードの利用枠を解放し、注文をキャンセルします(仮売上の注文だけが対象です)。元に戻せません。",
    refusal=cancel_refusal,
    reasons=CancelRefusal,
    done="を注文キャンセル",
    failed="がキャンセルできず",
    nothing="まとめてキャンセルできる仮売上の注文がありません。",
    remark="キャンセルできなかった注文は、決済も注文もそのままです。在庫・使用ポイントは自動では戻りません。",
    operation=Operation.CANCEL,
    figures=_figures,
    asks_twice=lambda _orders, _yen: True,  # nothing brings an order back
)
