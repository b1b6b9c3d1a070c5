"""That an order began, in one chain over all orders: none can vanish, or lose its history, unseen (P5)."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum

import sqlalchemy as sa
from sqlalchemy.orm import Mapped, mapped_column

from sgpshop.models.base import Base, UtcDateTime, enum_column, utc_now


class BeginningStep(StrEnum):
    """How far an order got."""

    #: written down while its buyer pays: nobody was told of it, it has no history yet
    PAYING = "paying"
    #: it stays: its history has its first entry
    KEPT = "kept"
    #: its card was declined, and it was taken back (interfaces.md §5)
    TAKEN_BACK = "taken_back"


class Beginning(Base):
    """One step of one order's beginning; rows are only ever added, one after the other."""

    __tablename__ = "beginnings"
    __table_args__ = (sa.Index("ix_beginnings_order_no_id", "order_no", "id"),)

    #: 1, 2, 3 … without a gap
    id: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    #: no foreign key: it outlives an order that was taken back
    order_id: Mapped[int]
    order_no: Mapped[str] = mapped_column(sa.String(28))
    what: Mapped[BeginningStep] = mapped_column(enum_column(BeginningStep, "what"))
    at: Mapped[datetime] = mapped_column(UtcDateTime, default=utc_now)
    #: mark of the chain at this row (domain/history_chain.py)
    mark: Mapped[str] = mapped_column(sa.String(32))


class BeginningsEnd(Base):
    """Where the chain of beginnings stands; a single row, which everybody who adds to it locks."""

    __tablename__ = "beginnings_end"

    id: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    #: id of the newest row
    last: Mapped[int]
    #: the chain's state (domain/history_chain.py)
    state: Mapped[str] = mapped_column(sa.String(64))
