"""What somebody did lately, counted so that nobody does it without end (S23)."""

from __future__ import annotations

from datetime import datetime

import sqlalchemy as sa
from sqlalchemy.orm import Mapped, mapped_column

from sgpshop.models.base import Base, UtcDateTime, utc_now


class RecentUse(Base):
    """One use of something limited; forgotten when it leaves the window."""

    __tablename__ = "recent_uses"
    __table_args__ = (sa.Index("ix_recent_uses_what_who_at", "what", "who", "at"),)

    id: Mapped[int] = mapped_column(primary_key=True)
    what: Mapped[str] = mapped_column(sa.String(20))
    #: a person or an address, in the form services.limits gives it
    who: Mapped[str] = mapped_column(sa.String(80))
    at: Mapped[datetime] = mapped_column(UtcDateTime, default=utc_now)
