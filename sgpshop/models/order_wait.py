"""What is kept of orders that wait for their money, by triggers of migrations 0079 and 0081."""

from __future__ import annotations

from datetime import date, datetime

import sqlalchemy as sa
from sqlalchemy.orm import Mapped, mapped_column

from sgpshop.models.base import Base, UtcDateTime


class OrderWait(Base):
    """A 定期購入 that waits for its month, or a 予約 that waits for its charge (order_search/waits.py).

    One row an order, and none of any other order: few, so what is asked of all of them at once is read from
    these rows, which lie side by side.
    """

    __tablename__ = "order_waits"
    __table_args__ = (
        # 予約 page through one status by the day they are to be shipped.
        sa.Index("ix_order_waits_ships_on", *("kind", "status", "ships_on", "order_id"), "total"),
        # All that is asked of 定期購入, from the index alone.
        sa.Index(
            "ix_order_waits_left_at",
            *("kind", "is_through", "left_at"),
            *("total", "seems_gone", "is_suspect", "order_id"),
        ),
    )

    order_id: Mapped[int] = mapped_column(
        sa.ForeignKey("orders.id", ondelete="CASCADE"), primary_key=True, autoincrement=False
    )
    #: as its order has them
    kind: Mapped[str] = mapped_column(sa.String(32))
    status: Mapped[str] = mapped_column(sa.String(32))
    total: Mapped[int]
    #: models.order.IS_THROUGH
    is_through: Mapped[bool]
    #: the earliest 配送希望日 of its parcels; NEVER where none has one
    ships_on: Mapped[date]
    #: the last 配送完了 of its parcels, as far as it was noted
    left_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    #: a parcel has a slip number or is done with, and 配送完了 of all was not said
    seems_gone: Mapped[bool]
    #: a transaction of it has money, or was looked up and does not show the card that is to pay
    is_suspect: Mapped[bool]
