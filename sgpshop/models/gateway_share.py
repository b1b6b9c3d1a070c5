"""Who may have how many connections to SMBC-GP just now."""

from __future__ import annotations

from datetime import datetime

import sqlalchemy as sa
from sqlalchemy.orm import Mapped, mapped_column

from sgpshop.models.base import Base, UtcDateTime


class GatewayShare(Base):
    """One process and its connections, by the database's clock; or, under one name, the pace of all."""

    __tablename__ = "gateway_shares"

    holder: Mapped[str] = mapped_column(sa.String(120), primary_key=True)
    slots: Mapped[int]
    #: so many it could use
    wanted: Mapped[int]
    until: Mapped[datetime] = mapped_column(UtcDateTime)
