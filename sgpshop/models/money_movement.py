"""Money that SMBC-GP or a person moved, one append-only row as it is learned (R146), and its sums by day.

The database refuses to change or delete a row, as it does for the history.
"""

from __future__ import annotations

from datetime import date, datetime

import sqlalchemy as sa
from sqlalchemy.orm import Mapped, mapped_column

from sgpshop.models.base import Base, UtcDateTime, index_of, utc_now


class MoneyMovement(Base):
    """What the shop has of one transaction before and after, in yen; the difference is what moved."""

    __tablename__ = "money_movements"
    __table_args__ = (
        sa.Index("ix_money_movements_booked_on", "booked_on"),
        sa.Index("ix_money_movements_transaction_id", "transaction_id"),
        # A declined order is taken back: the database looks whether a row here refers to it.
        sa.Index("ix_money_movements_order_id", "order_id"),
        # 売上集計 adds up days from the index alone, and in its order.
        sa.Index(
            "ix_money_movements_day",
            "day",
            "is_refund",
            "is_subscription",
            "kept_before",
            "kept_after",
            "at_8",
            "at_0",
            "order_id",
        ),
        # Few are learned too late for the file of their day.
        index_of("ix_money_movements_late", "day", "booked_on", where="booked_on > day"),
        # 未回収: few goods are paid in a later month than they went out.
        index_of(
            "ix_money_movements_owed_since", "day", "owed_since", where="owed_since IS NOT NULL"
        ),
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    order_id: Mapped[int] = mapped_column(sa.ForeignKey("orders.id"))
    transaction_id: Mapped[int] = mapped_column(sa.ForeignKey("card_transactions.id"))
    #: Japanese day on which SMBC-GP processed it, or a person gave it back
    day: Mapped[date]
    #: the Japanese day whose file has it: `day`, or a later one where it was learned too late
    booked_on: Mapped[date]
    kept_before: Mapped[int]
    kept_after: Mapped[int]
    learned_at: Mapped[datetime] = mapped_column(UtcDateTime, default=utc_now)
    #: 返金済み, or the taking back of such a record (R104): not SMBC-GP moved it, a person says so
    is_by_hand: Mapped[bool] = mapped_column(default=False)
    #: what counts as 返金: yen that went back, and whatever a person says of that
    is_refund: Mapped[bool]
    #: it is the money of a 定期購入 order
    is_subscription: Mapped[bool]
    #: of the yen that moved those taxed at 8 % and at none, the others are at 10 %; and the tax in both
    at_8: Mapped[int]
    at_0: Mapped[int] = mapped_column(default=0, server_default="0")
    tax_8: Mapped[int]
    tax_10: Mapped[int]
    #: a sale of goods that had all gone out in a month before that of `day`: since then
    owed_since: Mapped[date | None]


class MoneyDay(Base):
    """The sums of a day's movements up to one of them (services/orders/money_days); yen with their sign."""

    __tablename__ = "money_days"

    day: Mapped[date] = mapped_column(primary_key=True)
    is_refund: Mapped[bool] = mapped_column(primary_key=True)
    is_subscription: Mapped[bool] = mapped_column(primary_key=True)
    count: Mapped[int]
    yen: Mapped[int] = mapped_column(sa.BigInteger)
    at_8: Mapped[int] = mapped_column(sa.BigInteger)
    at_0: Mapped[int] = mapped_column(sa.BigInteger, default=0, server_default="0")
    #: the last movement in these sums; the greatest of all days is the last one that is in any
    up_to: Mapped[int] = mapped_column(index=True)
