"""配送完了 of many orders: captures nothing and asks SMBC-GP nothing (R30, R51)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy.orm import Session

from sgpshop.domain.delivery_rules import DeliveryRefusal, delivery_refusal
from sgpshop.domain.payment_status import CAPTURABLE, PaymentStatus
from sgpshop.domain.rights import Role
from sgpshop.models import BulkRun, Order
from sgpshop.services.bulk.action import Action, Refused
from sgpshop.services.orders import history
from sgpshop.services.orders.facts import Facts
from sgpshop.services.orders.history import Actor
from sgpshop.services.orders.parcels import deliver_all, describe


@dataclass(frozen=True)
class DeliveryFigures:
    """What its confirmation warns of (R30); yen."""

    #: 仮売上 and 売上失敗: they will be 配送完了 without having been captured
    uncaptured: int
    uncaptured_yen: int
    #: subscription orders: they become billable (R101)
    billable: int


def _figures(
    orders: Sequence[Facts], _refused: Sequence[Refused], _now: datetime
) -> DeliveryFigures:
    uncaptured = [order.total for order in orders if order.payment_status in CAPTURABLE]
    return DeliveryFigures(
        uncaptured=len(uncaptured),
        uncaptured_yen=sum(uncaptured),
        billable=sum(o.payment_status is PaymentStatus.AWAITING_BILLING for o in orders),
    )


def _deliver(session: Session, order: Order, run: BulkRun, now: datetime) -> None:
    """The parcels of one order, and its history."""
    # Its month is that in which the person said so, however late the worker comes to it (P29).
    said_at = max(run.started_at or now, order.ordered_at)
    delivered = deliver_all(session, order, said_at)
    history.record_change(
        order,
        "delivered",
        Actor.person(run.actor),
        before=order.payment_status,
        parcels=describe(order, delivered),
        run=run.id,
    )


ACTION = Action(
    word="deliver",
    role=Role.SHIPPER,
    label="配送完了",
    hint="選んだ注文のお届け先をすべて配送完了にします。実売上処理は行いません。",
    refusal=delivery_refusal,
    reasons=DeliveryRefusal,
    done="が配送完了",
    nothing="配送完了にできる注文がありません。",
    remark="実売上処理は行っていません。仮売上・売上失敗の注文は、配送完了でも未売上のままです。",
    do=_deliver,
    figures=_figures,
)
