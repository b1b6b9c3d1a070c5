"""What the database knows of the installation it belongs to, and what its processes say of themselves."""

from __future__ import annotations

from datetime import datetime

import sqlalchemy as sa
from sqlalchemy.orm import Mapped, mapped_column

from sgpshop.models.base import Base, UtcDateTime, utc_now


class InstallationFact(Base):
    """One fact by name; services.installation knows the names."""

    __tablename__ = "installation"

    name: Mapped[str] = mapped_column(sa.String(40), primary_key=True)
    value: Mapped[str] = mapped_column(sa.Text)


class WorkerBeat(Base):
    """The last sign of life of a worker process (T3)."""

    __tablename__ = "worker_beats"

    worker: Mapped[str] = mapped_column(sa.String(80), primary_key=True)
    at: Mapped[datetime] = mapped_column(UtcDateTime, default=utc_now)


class GatewayShare(Base):
    """One process and its connections, by the database's clock; or, under one name, the pace of all."""

    __tablename__ = "gateway_shares"

    holder: Mapped[str] = mapped_column(sa.String(120), primary_key=True)
    slots: Mapped[int]
    #: so many it could use
    wanted: Mapped[int]
    until: Mapped[datetime] = mapped_column(UtcDateTime)
