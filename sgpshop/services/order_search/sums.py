"""Count and yen of all orders by status, as kept: read without looking at any order.

Triggers keep them in the transaction that changes an order, whoever writes, so whoever is killed
leaves them true.  Once a night they are compared with the orders all the same.
"""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa

from sgpshop import logs
from sgpshop.extensions import db
from sgpshop.models import Order, OrderSum, table_of
from sgpshop.storage.database import writing

#: Rows of PostgreSQL that are added up faster than anybody notices.
_FEW = 50
_sums = table_of(OrderSum)
_STATUS = sa.func.coalesce(sa.cast(Order.payment_status, sa.String), "")
#: status, count and yen that are lacking (or too many), seen in one statement.
_both = sa.union_all(
    sa.select(
        _STATUS.label("status"),
        sa.func.count().label("count"),
        sa.func.sum(Order.total).label("yen"),
    ).group_by(_STATUS),
    sa.select(_sums.c.status, -_sums.c.count, -_sums.c.yen),
).subquery()
_lacking = sa.func.sum(_both.c.count), sa.func.sum(_both.c.yen)
_DRIFT = (
    sa.select(_both.c.status, *_lacking)
    .group_by(_both.c.status)
    .having(sa.or_(*(one != 0 for one in _lacking)))
    .order_by(_both.c.status)
)


def by_status(place: int) -> sa.Select[*tuple[Any, ...]]:
    """Rows of `place`, status (NULL: not paid by SGP card), count and yen, as totals.py adds up."""
    status = sa.type_coerce(sa.func.nullif(_sums.c.status, ""), Order.payment_status.type)
    count, yen = sa.func.sum(_sums.c.count), sa.func.sum(_sums.c.yen)
    return (
        sa.select(sa.literal(place), status, count, yen).group_by(_sums.c.status).having(count != 0)
    )


def compare() -> int:
    """Mend the sums by the orders; how many statuses were not as they should be, which is logged."""
    drift = db.session.execute(_DRIFT).all()
    db.session.commit()
    if not drift:
        return 0
    with writing() as session:
        # Asked anew: only what is lacking in this one statement's view may be added.
        session.execute(sa.insert(_sums).from_select(["status", "count", "yen"], _DRIFT))
    logs.event(
        "order_sums_mended",
        statuses={status: {"count": int(count), "yen": int(yen)} for status, count, yen in drift},
    )
    return len(drift)


def fold() -> None:
    """Make one row a status of what PostgreSQL's statements left."""
    many = sa.select(_sums.c.id).limit(_FEW + 1).subquery()
    is_many = (db.session.scalar(sa.select(sa.func.count()).select_from(many)) or 0) > _FEW
    db.session.commit()
    if not is_many:
        return
    gone = sa.delete(_sums).returning(_sums.c.status, _sums.c.count, _sums.c.yen).cte("gone")
    whole = sa.select(gone.c.status, sa.func.sum(gone.c.count), sa.func.sum(gone.c.yen))
    with writing() as session:
        session.execute(
            sa.insert(_sums).from_select(["status", "count", "yen"], whole.group_by(gone.c.status))
        )
