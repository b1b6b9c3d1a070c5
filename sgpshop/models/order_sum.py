"""Count and yen of all orders by payment status, kept by triggers of migration 0055."""

from __future__ import annotations

import sqlalchemy as sa
from sqlalchemy.orm import Mapped, mapped_column

from sgpshop.models.base import Base


class OrderSum(Base):
    """One status, or on PostgreSQL what one statement added to it; all rows of a status add up."""

    __tablename__ = "order_sums"

    id: Mapped[int] = mapped_column(primary_key=True)
    #: "" stands for the orders that are not paid by SGP card
    status: Mapped[str] = mapped_column(sa.String(32), index=True)
    count: Mapped[int]
    yen: Mapped[int] = mapped_column(sa.BigInteger)
