"""Result notifications of SMBC-GP as they came in, and the look-ups they led to (P24, P25, S15)."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum

import sqlalchemy as sa
from sqlalchemy.orm import Mapped, mapped_column

from sgpshop.models.base import Base, UtcDateTime, enum_column, index_of, utc_now


class NotificationState(StrEnum):
    """What became of a notification."""

    #: its transaction is to be looked up as soon as the pace allows
    WAITING = "waiting"
    #: that look-up was asked for
    ASKED = "asked"
    #: no transaction of ours has that order number, yet
    UNMATCHED = "unmatched"
    #: the connectivity test of the console
    TEST = "test"
    #: not about a card payment of this shop
    IGNORED = "ignored"


_WAITING = sa.text("state = 'waiting'")
_UNMATCHED = sa.text("state = 'unmatched'")


class Notification(Base):
    """One notification, however often it came.  Its content is a hint, never the truth."""

    __tablename__ = "notifications"
    __table_args__ = (
        index_of("ix_notifications_waiting", "transaction_id", where=_WAITING),
        index_of("ix_notifications_unmatched", "gateway_order_id", where=_UNMATCHED),
        sa.Index("ix_notifications_last_at", "last_at"),
        sa.Index("ix_notifications_transaction_id", "transaction_id"),
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    received_at: Mapped[datetime] = mapped_column(UtcDateTime, default=utc_now)
    #: the same came again then, and so many times in all
    last_at: Mapped[datetime] = mapped_column(UtcDateTime, default=utc_now)
    copies: Mapped[int] = mapped_column(default=1)
    #: of everything it says, so that a copy is known as one
    fingerprint: Mapped[str] = mapped_column(sa.String(64), unique=True)
    source: Mapped[str] = mapped_column(sa.String(45))
    state: Mapped[NotificationState] = mapped_column(enum_column(NotificationState, "state"))
    transaction_id: Mapped[int | None] = mapped_column(
        sa.ForeignKey("card_transactions.id", ondelete="SET NULL")
    )
    asked_at: Mapped[datetime | None] = mapped_column(UtcDateTime)

    shop_id: Mapped[str] = mapped_column(sa.String(13))
    #: OrderID as it came
    gateway_order_id: Mapped[str] = mapped_column(sa.String(40))
    access_id: Mapped[str] = mapped_column(sa.String(32))
    status: Mapped[str] = mapped_column(sa.String(20))
    job: Mapped[str] = mapped_column(sa.String(20))
    #: Amount + Tax in yen
    amount: Mapped[int | None]
    tran_id: Mapped[str] = mapped_column(sa.String(28))
    tran_date: Mapped[str] = mapped_column(sa.String(14))
    error_codes: Mapped[str] = mapped_column(sa.String(200))
    pay_type: Mapped[str] = mapped_column(sa.String(2))
    #: bounded, without passwords and card numbers
    content: Mapped[str] = mapped_column(sa.Text)


class NotificationLook(Base):
    """A look-up that notifications asked for: what the limits of S15 count."""

    __tablename__ = "notification_looks"
    __table_args__ = (
        sa.Index("ix_notification_looks_at", "at"),
        sa.Index("ix_notification_looks_transaction_id_at", "transaction_id", "at"),
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    transaction_id: Mapped[int] = mapped_column(
        sa.ForeignKey("card_transactions.id", ondelete="CASCADE")
    )
    at: Mapped[datetime] = mapped_column(UtcDateTime, default=utc_now)
