"""Parcels of a file that says no company, of orders that say none: a person chooses it for all of them."""

from __future__ import annotations

import sqlalchemy as sa

from sgpshop.extensions import db
from sgpshop.models import Delivery, ItemResult, SlipRow

#: so many of the newest parcels say what is usual
_NEWEST = 1000


def unknown(run_id: str) -> set[int]:
    """Ids of the rows that would leave their parcel without a company."""
    is_meant = sa.or_(SlipRow.delivery_number == 0, Delivery.number == SlipRow.delivery_number)
    rows = db.session.scalars(
        sa.select(SlipRow.id)
        .join(Delivery, sa.and_(Delivery.order_id == SlipRow.order_id, is_meant))
        .where(
            SlipRow.run_id == run_id,
            SlipRow.result == ItemResult.PENDING,
            SlipRow.carrier_code == "",
            Delivery.carrier_code == "",
        )
    )
    return set(rows)


def usual() -> str:
    """The company that most of the newest parcels went by; "" before any did.  Only ever proposed."""
    newest = sa.select(Delivery.carrier_code).order_by(Delivery.id.desc()).limit(_NEWEST).subquery()
    code = newest.c.carrier_code
    most = sa.select(code).where(code != "").group_by(code).order_by(sa.func.count().desc(), code)
    return db.session.scalar(most.limit(1)) or ""
