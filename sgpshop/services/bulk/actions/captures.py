"""SGPカード決済: the authorizations of many orders become sales (R40-R48)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from sgpshop.domain.delivery_status import ProcessingClass
from sgpshop.domain.order_rules import Refusal, capture_refusal
from sgpshop.domain.payment_status import PaymentStatus
from sgpshop.models import Operation
from sgpshop.services.bulk.action import Action, Refused
from sgpshop.services.orders.facts import Facts


@dataclass(frozen=True)
class CaptureFigures:
    """What its confirmation warns of (R47)."""

    #: of those taken: 売上失敗 before, and beyond the term of their authorization
    retries: int
    expired: int
    #: of those taken: nothing of it has gone out, and 予約, charged anew on the card that was checked
    not_sent: int
    preorders: int


def _figures(orders: Sequence[Facts], _refused: Sequence[Refused], now: datetime) -> CaptureFigures:
    terms = [order.transaction.auth_expires_at for order in orders if order.transaction]
    return CaptureFigures(
        retries=sum(order.payment_status is PaymentStatus.CAPTURE_FAILED for order in orders),
        expired=sum(term is not None and term <= now for term in terms),
        not_sent=sum(order.processing_class is ProcessingClass.UNPROCESSED for order in orders),
        preorders=sum(order.kind == "preorder" for order in orders),
    )


ACTION = Action(
    word="sgp_capture",
    label="SGPカード決済",
    hint="選んだ注文の実売上処理をします(仮売上・売上失敗の注文が対象です)。",
    refusal=lambda order, _terms, _now: capture_refusal(order),
    reasons=Refusal,
    done="が決済完了",
    failed="が売上失敗",
    nothing="実売上処理できる注文がありません。",
    operation=Operation.CAPTURE,
    figures=_figures,
)
