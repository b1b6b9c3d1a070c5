"""Payments found at SMBC-GP that may be an order's, or another's: a person says whose (R141)."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.ext.hybrid import hybrid_property
from sqlalchemy.orm import Mapped, mapped_column

from sgpshop.models.base import NUMBERED_ONCE, Base, UtcDateTime, utc_now


class UnknownNumber(Base):
    """What stands under `<order number>-n`, which no act of ours entered, as it was seen last."""

    __tablename__ = "unknown_numbers"
    __table_args__ = (sa.UniqueConstraint("order_id", "gateway_order_id"), NUMBERED_ONCE)

    id: Mapped[int] = mapped_column(primary_key=True)
    order_id: Mapped[int] = mapped_column(sa.ForeignKey("orders.id", ondelete="CASCADE"))
    gateway_order_id: Mapped[str] = mapped_column(sa.String(27), index=True)
    #: the n
    sequence: Mapped[int]
    #: word of the gateway's own state machine (protocol.md §3.1)
    gateway_state: Mapped[str] = mapped_column(sa.String(20))
    #: yen
    amount: Mapped[int]
    found_at: Mapped[datetime] = mapped_column(UtcDateTime, default=utc_now)
    #: what a person said of it; None: not yet
    is_ours: Mapped[bool | None]
    #: or said that its buyer left without paying, and that no monthly file brought it; asked anew
    #: once something is paid there
    is_left: Mapped[bool] = mapped_column(default=False, server_default=sa.false())
    #: how the order stood when it was called its own (payments.answers_taken_back)
    taken_over: Mapped[dict[str, Any] | None] = mapped_column(sa.JSON(none_as_null=True))

    @property
    def mark(self) -> str:
        """Tells what was seen there last from what was seen before."""
        return f"{self.gateway_state} {self.amount}"

    @hybrid_property
    def is_open(self) -> bool:
        """Whether a person still has to answer."""
        return self.is_ours is None and not self.is_left

    @is_open.inplace.expression
    @classmethod
    def _is_open_expression(cls) -> sa.ColumnElement[bool]:
        return sa.and_(cls.is_ours.is_(None), sa.not_(cls.is_left))
