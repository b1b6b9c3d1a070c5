"""Count and yen of all orders by payment status and kind, kept by triggers of migrations 0055 and 0071."""

from __future__ import annotations

import sqlalchemy as sa
from sqlalchemy.orm import Mapped, mapped_column

from sgpshop.models.base import Base


class OrderSum(Base):
    """One status and kind, or on PostgreSQL what one statement added to it; all rows of both add up."""

    __tablename__ = "order_sums"

    id: Mapped[int] = mapped_column(primary_key=True)
    #: "" stands for the orders that are not paid by SGP card
    status: Mapped[str] = mapped_column(sa.String(32), index=True)
    kind: Mapped[str] = mapped_column(sa.String(32), default="normal", server_default="normal")
    count: Mapped[int]
    yen: Mapped[int] = mapped_column(sa.BigInteger)
