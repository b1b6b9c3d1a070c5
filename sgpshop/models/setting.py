"""Settings that people change on screens (rules.md §10)."""

from __future__ import annotations

from datetime import datetime

import sqlalchemy as sa
from sqlalchemy.orm import Mapped, mapped_column

from sgpshop.models.base import Base, UtcDateTime, utc_now


class Setting(Base):
    """One named value; services.settings knows the names, types and defaults."""

    __tablename__ = "settings"

    name: Mapped[str] = mapped_column(sa.String(60), primary_key=True)
    value: Mapped[str] = mapped_column(sa.Text)
    updated_at: Mapped[datetime] = mapped_column(UtcDateTime, default=utc_now, onupdate=utc_now)
    #: no code reads it: it is evidence (activities have what is shown)
    updated_by: Mapped[str] = mapped_column(sa.String(80))
