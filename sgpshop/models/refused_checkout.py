"""Checkouts whose card was declined and whose order was not to be kept: the evidence that stays."""

from __future__ import annotations

from datetime import datetime

import sqlalchemy as sa
from sqlalchemy.orm import Mapped, mapped_column

from sgpshop.models.base import Base, UtcDateTime, utc_now


class RefusedCheckout(Base):
    """One declined checkout.  The same card token again gets the same answer (P27)."""

    __tablename__ = "refused_checkouts"

    id: Mapped[int] = mapped_column(primary_key=True)
    order_no: Mapped[str] = mapped_column(sa.String(28), index=True)
    #: a digest that tells one card token from another (`services.intake.card_token`)
    card_token: Mapped[str] = mapped_column(sa.String(64))
    at: Mapped[datetime] = mapped_column(UtcDateTime, default=utc_now, index=True)
    amount: Mapped[int]
    gateway_order_id: Mapped[str] = mapped_column(sa.String(27))
    #: whether its buyer was to pass 3-D Secure: SMBC-GP knows the number so; None: of before 0074
    by_three_ds: Mapped[bool | None]
    reason: Mapped[str] = mapped_column(sa.String(120), default="")
    error_codes: Mapped[str] = mapped_column(sa.String(400), default="")
