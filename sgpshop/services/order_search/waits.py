"""What is kept of orders that wait for their money: 定期購入 for a month, 予約 for a charge (R26, R110).

What screens ask of all of them lies in orders, parcels and transactions that were written weeks apart;
triggers (migrations 0079, 0081, 0083) keep it in rows side by side, in the transaction that changes any of these,
whoever writes, so whoever is killed leaves it true.  Once a night they are compared all the same.  Of one
order, and before money moves, the order itself is asked.
"""

from __future__ import annotations

from datetime import date

import sqlalchemy as sa

from sgpshop import logs
from sgpshop.domain.delivery_status import DeliveryStatus, ProcessingClass
from sgpshop.domain.order_rules import CHECK_STATE, LIVE_STATES
from sgpshop.domain.payment_status import CAPTURABLE, PaymentStatus
from sgpshop.extensions import db
from sgpshop.models import CardTransaction, Delivery, Order, OrderKind, OrderWait, table_of
from sgpshop.models.order import IS_THROUGH
from sgpshop.storage.among import among
from sgpshop.storage.database import writing

#: Stands for "no date", so that such orders come last.
NEVER = date(9999, 12, 31)
_IS_ITS_PARCEL = Delivery.order_id == Order.id
#: 出荷予定日: there is no such field in an order; the earliest 配送希望日 of its parcels stands for it.
SHIPS_ON = (
    sa.select(sa.func.min(Delivery.wish_date))
    .where(_IS_ITS_PARCEL)
    .correlate(Order)
    .scalar_subquery()
)
#: The last 配送完了 of its parcels, as far as it was noted.
LEFT_AT = (
    sa.select(sa.func.max(Delivery.delivered_at))
    .where(_IS_ITS_PARCEL)
    .correlate(Order)
    .scalar_subquery()
)
HAS_SLIP: sa.ColumnElement[bool] = (
    sa.exists().where(_IS_ITS_PARCEL, Delivery.slip_no != "").correlate(Order)
)
#: Of several parcels one is done with, and another is not.
_IS_PARTLY_THROUGH: sa.ColumnElement[bool] = (
    sa.exists()
    .where(_IS_ITS_PARCEL, Delivery.status.in_((DeliveryStatus.DELIVERED, DeliveryStatus.RETURNED)))
    .correlate(Order)
)
#: It seems to have left, but nobody said 配送完了 of all of it: it would be forgotten for good.
SEEMS_GONE: sa.ColumnElement[bool] = sa.and_(
    Order.processing_class == ProcessingClass.UNPROCESSED, sa.or_(HAS_SLIP, _IS_PARTLY_THROUGH)
)
#: Money of the order is reserved or taken already: a subscription is never charged beside that (P1).
HAS_LIVE_MONEY: sa.ColumnElement[bool] = (
    sa.exists()
    .where(
        CardTransaction.order_id == Order.id,
        CardTransaction.gateway_state.in_(sorted(LIVE_STATES)),
    )
    .correlate(Order)
)
#: Such a transaction shows the card that is to pay.
SHOWS_CARD: sa.ColumnElement[bool] = sa.or_(
    CardTransaction.card_seq.is_not(None),
    CardTransaction.member_id != "",
    sa.func.coalesce(CardTransaction.gateway_state, "") == CHECK_STATE,
)
#: HAS_LIVE_MONEY, or a look-up may have found no card: what it is has to be asked of the order.
_IS_SUSPECT = sa.or_(
    HAS_LIVE_MONEY,
    sa.exists()
    .where(CardTransaction.order_id == Order.id, CardTransaction.looks > 0, ~SHOWS_CARD)
    .correlate(Order),
)
_WAITS = sa.or_(
    sa.and_(
        Order.kind == OrderKind.SUBSCRIPTION,
        Order.payment_status == PaymentStatus.AWAITING_BILLING,
    ),
    sa.and_(
        Order.kind == OrderKind.PREORDER,
        Order.payment_status.in_(sorted(CAPTURABLE)),
    ),
)
kept = table_of(OrderWait)
IS_SUBSCRIPTION = kept.c.kind == OrderKind.SUBSCRIPTION.value
IS_PREORDER = kept.c.kind == OrderKind.PREORDER.value
#: What the triggers write, as it is asked here.
_RIGHT = sa.select(
    Order.id,
    sa.cast(Order.kind, sa.String),
    sa.cast(Order.payment_status, sa.String),
    Order.total,
    IS_THROUGH,
    sa.func.coalesce(SHIPS_ON, sa.literal(NEVER, sa.Date())),
    LEFT_AT,
    SEEMS_GONE,
    _IS_SUSPECT,
).where(_WAITS)


def compare() -> int:
    """Mend the rows by the orders; of how many orders they were wrong, which is logged."""
    there = sa.select(kept)
    differ = _RIGHT.except_(there), there.except_(_RIGHT)
    wrong = {row[0] for one in differ for row in db.session.execute(one)}
    db.session.commit()
    if not wrong:
        return 0
    with writing() as session:
        # Who changes one has its order locked, or its row here (0083).  What is right is asked anew, once that is so.
        session.execute(sa.select(Order.id).where(among(Order.id, wrong)).with_for_update())
        session.execute(sa.delete(kept).where(among(kept.c.order_id, wrong)))
        right = _RIGHT.where(among(Order.id, wrong))
        session.execute(sa.insert(kept).from_select([column.name for column in kept.c], right))
    logs.event("order_waits_mended", orders=len(wrong))
    return len(wrong)
