"""When each hold ends that somebody still may capture: kept beside its transaction, found by an index.

Triggers (migration 0069) keep it in the transaction that changes the order or its transaction, whoever
writes, so whoever is killed leaves it true.  Once a night it is compared with both all the same.
"""

from __future__ import annotations

import sqlalchemy as sa

from sgpshop import logs
from sgpshop.domain.payment_status import CAPTURABLE
from sgpshop.extensions import db
from sgpshop.models import CardTransaction, Order, OrderKind
from sgpshop.storage.database import writing

#: Set only of an order's current transaction, while its authorization ends if nobody captures: of the
#: orders that show a deadline (R111, R130).
ends_at = CardTransaction.hold_ends_at
#: Its order's yen, looked up for those alone of which it is asked.
yen = (
    sa.select(Order.total)
    .where(Order.id == CardTransaction.order_id)
    .correlate(CardTransaction)
    .scalar_subquery()
)
#: Of a join of orders with their current transactions.
_IS_WAITED_FOR = sa.and_(
    CardTransaction.is_current,
    Order.kind == OrderKind.NORMAL,
    Order.payment_status.in_(sorted(CAPTURABLE)),
)
_ENDS_AT = sa.case((_IS_WAITED_FOR, CardTransaction.auth_expires_at))
#: From what is kept, and from the orders that are waited for: neither goes through all transactions.
_WRONG = sa.union(
    *(
        sa.select(CardTransaction.id)
        .join(Order, Order.id == CardTransaction.order_id)
        .where(where, ends_at.is_distinct_from(_ENDS_AT))
        for where in (ends_at.is_not(None), _IS_WAITED_FOR)
    )
)


def compare() -> int:
    """Mend what is kept by orders and transactions; how many were wrong, which is logged."""
    wrong = db.session.scalars(_WRONG).all()
    db.session.commit()
    if not wrong:
        return 0
    is_right = sa.select(_ENDS_AT).where(Order.id == CardTransaction.order_id)
    with writing() as session:
        # Asked anew: what was mended or changed meanwhile is left as it is.
        session.execute(
            sa.update(CardTransaction)
            .where(CardTransaction.id.in_(_WRONG))
            .values(hold_ends_at=is_right.correlate(CardTransaction).scalar_subquery())
            .execution_options(synchronize_session=False)
        )
    logs.event("holds_mended", transactions=len(wrong))
    return len(wrong)
