"""What programs are told of orders in the order in which it can be read: services/orders/feed.py.

Rows are noted by triggers of migrations 0041 and 0081 in the transaction that changes something, without a
place; they get one when they are first asked for.
"""

from __future__ import annotations

from datetime import datetime

import sqlalchemy as sa
from sqlalchemy.orm import Mapped, mapped_column

from sgpshop.models.base import Base, UtcDateTime, index_of

_UNPLACED = sa.text("position IS NULL")


class Feed(Base):
    """One row: the last place that was given, and when."""

    __tablename__ = "feeds"

    id: Mapped[int] = mapped_column(primary_key=True)
    #: another one after a restore: places of before mean nothing then
    generation: Mapped[str] = mapped_column(sa.String(8))
    position: Mapped[int] = mapped_column(sa.BigInteger, default=0)
    #: the last place of an event that was tidied away
    forgotten: Mapped[int] = mapped_column(sa.BigInteger, default=0)
    at: Mapped[datetime] = mapped_column(UtcDateTime)


class OrderChange(Base):
    """The place of an order's latest change."""

    __tablename__ = "order_changes"
    __table_args__ = (
        index_of("ix_order_changes_unplaced", "order_id", where=_UNPLACED),
        sa.Index("ix_order_changes_placed_at_position", "placed_at", "position"),
    )

    order_id: Mapped[int] = mapped_column(
        sa.ForeignKey("orders.id", ondelete="CASCADE"), primary_key=True, autoincrement=False
    )
    position: Mapped[int | None] = mapped_column(sa.BigInteger, index=True)
    placed_at: Mapped[datetime | None] = mapped_column(UtcDateTime)


class OrderEvent(Base):
    """The place of an entry of the history, or of an alert."""

    __tablename__ = "order_events"
    __table_args__ = (
        index_of("ix_order_events_unplaced", "id", where=_UNPLACED),
        sa.Index("ix_order_events_placed_at_position", "placed_at", "position"),
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    order_id: Mapped[int] = mapped_column(
        sa.ForeignKey("orders.id", ondelete="CASCADE"), index=True
    )
    history_id: Mapped[int | None] = mapped_column(sa.ForeignKey("history.id"))
    alert_id: Mapped[int | None] = mapped_column(sa.ForeignKey("alerts.id", ondelete="CASCADE"))
    position: Mapped[int | None] = mapped_column(sa.BigInteger, index=True)
    placed_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
