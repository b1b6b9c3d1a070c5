"""Settings that people change on screens (rules.md §10), and what processes say of themselves."""

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
    #: no code reads it: it is evidence (SettingChange has what is shown)
    updated_by: Mapped[str] = mapped_column(sa.String(80))


class SettingChange(Base):
    """That somebody changed settings: when, who, which, from what to what; never a secret (R86)."""

    __tablename__ = "setting_changes"

    id: Mapped[int] = mapped_column(primary_key=True)
    at: Mapped[datetime] = mapped_column(UtcDateTime, default=utc_now)
    actor: Mapped[str] = mapped_column(sa.String(80))
    #: names of services.settings
    fields: Mapped[list[str]] = mapped_column(sa.JSON)
    #: by name the value before and after, in the words of then; None: from a time when none were kept
    told: Mapped[dict[str, list[str]] | None] = mapped_column(sa.JSON(none_as_null=True))


class WorkerBeat(Base):
    """The last sign of life of a worker process (T3)."""

    __tablename__ = "worker_beats"

    worker: Mapped[str] = mapped_column(sa.String(80), primary_key=True)
    at: Mapped[datetime] = mapped_column(UtcDateTime, default=utc_now)
