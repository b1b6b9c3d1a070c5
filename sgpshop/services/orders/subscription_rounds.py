"""One order a round of a subscription: two of them would both be billed.

The database refuses a second one (`uq_orders_subscription_round`); this says so in words first.  An
order that was cancelled frees its round.
"""

from __future__ import annotations

from collections.abc import Collection

import sqlalchemy as sa
from sqlalchemy.orm import Session

from sgpshop.domain.errors import ShopError
from sgpshop.domain.payment_status import PaymentStatus
from sgpshop.models import Order

#: 定期購入ID and 定期回数
Round = tuple[str, int]


class RoundTaken(ShopError):
    """Another order is for the same round; nothing was changed."""

    status = 409

    def __init__(self, order_no: str) -> None:
        super().__init__(
            f"同じ定期購入IDと回数の注文({order_no})がすでにあるため、受け付けませんでした。"
            "二重に請求しないためです。先の注文が不要なら、キャンセルしてからもう一度登録してください。"
        )


def round_of(subscription_id: str | None, number: int | None) -> Round | None:
    """The round of an order that says both; None for any other, which cannot be told apart."""
    return (subscription_id, number) if subscription_id and number is not None else None


def holders(session: Session, rounds: Collection[Round]) -> dict[Round, str]:
    """The numbers of the orders that hold these rounds now."""
    if not rounds:
        return {}
    rows = session.execute(
        sa.select(Order.subscription_id, Order.subscription_round, Order.order_no)
        .where(
            Order.subscription_id.in_(sorted({name for name, _ in rounds})),
            Order.subscription_round.is_not(None),
            Order.payment_status != PaymentStatus.CANCELLED,
        )
        .order_by(Order.id.desc())  # of several from earlier days the first one is told
    )
    found = {(name, number): order_no for name, number, order_no in rows}
    return {one: found[one] for one in rounds if one in found}


def share_if_taken(session: Session, order: Order) -> str:
    """A cancelled order (locked) is to stand again: another may hold its round by now.

    The number of that one; "" for none.
    """
    one = round_of(order.subscription_id, order.subscription_round)
    holder = holders(session, [one]).get(one, "") if one is not None else ""
    order.is_round_shared = order.is_round_shared or bool(holder)
    return holder
