"""Count and yen of all orders by status and kind, as kept: read without looking at any order.

Triggers keep them in the transaction that changes an order, whoever writes, so whoever is killed
leaves them true.  Once a night they are compared with the orders all the same.
"""

from __future__ import annotations

from functools import cache
from typing import Any

import sqlalchemy as sa

from sgpshop import logs
from sgpshop.domain.payment_status import PaymentStatus
from sgpshop.extensions import db
from sgpshop.models import Order, OrderKind, OrderSum, table_of
from sgpshop.storage.database import write_alone, writing

#: Rows of PostgreSQL that are added up faster than anybody notices.
_FEW = 50
_sums = table_of(OrderSum)
#: Of an order, as `_sums` has it: "" where it is not paid by SGP card.
STATUS = sa.func.coalesce(sa.cast(Order.payment_status, sa.String), "")
_KIND = sa.cast(Order.kind, sa.String)
#: status, kind, count and yen that are lacking (or too many), seen in one statement.
_both = sa.union_all(
    sa.select(
        STATUS.label("status"),
        _KIND.label("kind"),
        sa.func.count().label("count"),
        sa.func.sum(Order.total).label("yen"),
    ).group_by(STATUS, _KIND),
    sa.select(_sums.c.status, _sums.c.kind, -_sums.c.count, -_sums.c.yen),
).subquery()
_lacking = sa.func.sum(_both.c.count), sa.func.sum(_both.c.yen)
_DRIFT = (
    sa.select(_both.c.status, _both.c.kind, *_lacking)
    .group_by(_both.c.status, _both.c.kind)
    .having(sa.or_(*(one != 0 for one in _lacking)))
    .order_by(_both.c.status, _both.c.kind)
)


@cache
def by_status(
    place: int, kind: OrderKind | None = None, statuses: frozenset[PaymentStatus] = frozenset()
) -> sa.Select[*tuple[Any, ...]]:
    """Rows of `place`, status (NULL: not paid by SGP card), count and yen, as totals.py adds up.

    Of all orders, or of those of `kind`, or of `statuses`.
    """
    status = sa.type_coerce(sa.func.nullif(_sums.c.status, ""), Order.payment_status.type)
    count, yen = sa.func.sum(_sums.c.count), sa.func.sum(_sums.c.yen)
    found = sa.select(sa.literal(place), status, count, yen).group_by(_sums.c.status)
    if kind is not None:
        found = found.where(_sums.c.kind == kind.value)
    if statuses:
        found = found.where(_sums.c.status.in_(sorted(statuses)))
    return found.having(count != 0)


def compare() -> int:
    """Mend the sums by the orders; how many were not as they should be, which is logged."""
    drift = db.session.execute(_DRIFT).all()
    db.session.commit()
    if not drift:
        return 0
    with writing() as session:
        write_alone(session, OrderSum)  # of two that mend at once the second finds nothing lacking
        # Asked anew: only what is lacking in this one statement's view may be added.
        session.execute(sa.insert(_sums).from_select(["status", "kind", "count", "yen"], _DRIFT))
    logs.event(
        "order_sums_mended",
        sums=[
            {"status": status, "kind": kind, "count": int(count), "yen": int(yen)}
            for status, kind, count, yen in drift
        ],
    )
    return len(drift)


def fold() -> None:
    """Make one row a status and kind of what PostgreSQL's statements left."""
    many = sa.select(_sums.c.id).limit(_FEW + 1).subquery()
    is_many = (db.session.scalar(sa.select(sa.func.count()).select_from(many)) or 0) > _FEW
    db.session.commit()
    if not is_many:
        return
    by, figures = (_sums.c.status, _sums.c.kind), (_sums.c.count, _sums.c.yen)
    gone = sa.delete(_sums).returning(*by, *figures).cte("gone").c
    whole = sa.select(gone.status, gone.kind, sa.func.sum(gone.count), sa.func.sum(gone.yen))
    names = [column.name for column in (*by, *figures)]
    with writing() as session:
        session.execute(sa.insert(_sums).from_select(names, whole.group_by(gone.status, gone.kind)))
