"""What is kept beside each transaction of what it depends on together with its order, and found by an index.

That is when a hold ends that somebody still may capture, and whether what is held differs from what the
order comes to.  Triggers (migrations 0069, 0077, 0081) keep both in the transaction that changes the order or its
transaction, whoever writes, so whoever is killed leaves them true.  Once a night they are compared all the same.
"""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa

from sgpshop import logs
from sgpshop.domain.order_rules import HOLDING_STATUSES
from sgpshop.domain.payment_status import CAPTURABLE
from sgpshop.extensions import db
from sgpshop.models import CardTransaction, Order, OrderKind
from sgpshop.storage.database import writing

#: Set only of an order's current transaction, while its authorization ends if nobody captures: of the
#: orders that show a deadline (R111, R130).
ends_at = CardTransaction.hold_ends_at
_its_order_comes_to = (
    sa.select(Order.total)
    .where(Order.id == CardTransaction.order_id)
    .correlate(CardTransaction)
    .scalar_subquery()
)
#: Where it has an end: its order's yen, looked up for those alone of which another amount is held.
yen = sa.case(
    (
        sa.or_(CardTransaction.differs, CardTransaction.gateway_amount.is_(None)),
        _its_order_comes_to,
    ),
    else_=CardTransaction.gateway_amount,
)
#: Orders that are not paid yet and of which another amount is held than they come to: few, 修正額が未送信 is
#: among them (order_rules.is_unsent).  Without a type: of a Boolean SQLite is asked whether it is 1, and
#: then it takes no index for it.
of_other_amounts = sa.select(CardTransaction.order_id).where(
    sa.literal_column("card_transactions.differs")
)
#: Of a join of orders with their current transactions.
_IS_WAITED_FOR = sa.and_(
    CardTransaction.is_current,
    Order.kind == OrderKind.NORMAL,
    Order.payment_status.in_(sorted(CAPTURABLE)),
)
_ENDS_AT = sa.case((_IS_WAITED_FOR, CardTransaction.auth_expires_at))
_IS_HELD = sa.and_(CardTransaction.is_current, Order.payment_status.in_(sorted(HOLDING_STATUSES)))
_DIFFERS = sa.case(
    (sa.and_(_IS_HELD, CardTransaction.gateway_amount != Order.total), sa.true()), else_=sa.false()
)


def _wrong(column: Any, right: Any, *where: Any) -> sa.CompoundSelect[int]:
    """Transactions of which something else is kept: looked for among these, not among all there are."""
    return sa.union(
        *(
            sa.select(CardTransaction.id)
            .join(Order, Order.id == CardTransaction.order_id)
            .where(one, column.is_distinct_from(right))
            for one in where
        )
    )


#: column -> what it should be, and where it is not
_KEPT = {
    ends_at: (_ENDS_AT, _wrong(ends_at, _ENDS_AT, ends_at.is_not(None), _IS_WAITED_FOR)),
    CardTransaction.differs: (
        _DIFFERS,
        _wrong(
            CardTransaction.differs,
            _DIFFERS,
            CardTransaction.order_id.in_(of_other_amounts),
            _IS_HELD,
        ),
    ),
}


def compare() -> int:
    """Mend what is kept by orders and transactions; how many were wrong, which is logged."""
    return sum(_compare(column, *is_right) for column, is_right in _KEPT.items())


def _compare(column: Any, right: Any, where_wrong: sa.CompoundSelect[int]) -> int:
    wrong = db.session.scalars(where_wrong).all()
    db.session.commit()
    if not wrong:
        return 0
    is_right = sa.select(right).where(Order.id == CardTransaction.order_id)
    with writing() as session:
        # Asked anew: what was mended or changed meanwhile is left as it is.
        session.execute(
            sa.update(CardTransaction)
            .where(CardTransaction.id.in_(where_wrong))
            .values({column.key: is_right.correlate(CardTransaction).scalar_subquery()})
            .execution_options(synchronize_session=False)
        )
    logs.event("holds_mended", kept=column.key, transactions=len(wrong))
    return len(wrong)
