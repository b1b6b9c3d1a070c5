"""What a look-up found that a person has to acknowledge, and which daily work was begun (R121)."""

from __future__ import annotations

import hashlib
from datetime import date, datetime

import sqlalchemy as sa
from sqlalchemy.orm import Mapped, mapped_column, relationship

from sgpshop.domain.reconciliation import AlertKind
from sgpshop.models.base import Base, UtcDateTime, enum_column, index_of, utc_now
from sgpshop.models.order import Order

_OPEN = sa.text("acknowledged_at IS NULL")


class Alert(Base):
    """One difference that was found for one order; open until somebody acknowledges it."""

    __tablename__ = "alerts"
    __table_args__ = (
        # The same thing is said once, however often it is found before somebody looks.
        index_of("uq_alerts_open", "order_id", "kind", unique=True, where=_OPEN),
        sa.Index("ix_alerts_order_id", "order_id"),
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    order_id: Mapped[int] = mapped_column(sa.ForeignKey("orders.id", ondelete="CASCADE"))
    kind: Mapped[AlertKind] = mapped_column(enum_column(AlertKind, "kind"))
    #: what was seen, in a sentence for the merchant
    facts: Mapped[str] = mapped_column(sa.String(400))
    since: Mapped[datetime] = mapped_column(UtcDateTime, default=utc_now)
    acknowledged_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    acknowledged_by: Mapped[str] = mapped_column(sa.String(80), default="")
    #: what the person who acknowledged it noted
    reason: Mapped[str] = mapped_column(sa.String(200), default="")

    order: Mapped[Order] = relationship()

    @property
    def mark(self) -> str:
        """Tells what it says now from what it said before: an open one says what was seen last."""
        return hashlib.sha256(self.facts.encode()).hexdigest()[:16]


class DailyJob(Base):
    """One day's run of something that is done once a day, however many workers there are."""

    __tablename__ = "daily_jobs"

    name: Mapped[str] = mapped_column(sa.String(40), primary_key=True)
    #: the Japanese day it is done for
    day: Mapped[date] = mapped_column(primary_key=True)
    started_at: Mapped[datetime] = mapped_column(UtcDateTime, default=utc_now)
    finished_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    #: the last row that was taken on
    cursor: Mapped[int] = mapped_column(default=0)
    #: how many were taken on
    planned: Mapped[int] = mapped_column(default=0)
    #: not before then goes the next step on
    next_step_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
