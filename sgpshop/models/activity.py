"""What people and programs did, in one chain: sign-ins, settings, people, keys, files, money, refusals (P5a).

The database refuses to change or delete a row (triggers of migration 0062).  A new column has to be NULL
for the rows that are there: all columns are part of the chain (domain/history_chain.py).
"""

from __future__ import annotations

from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import Mapped, mapped_column

from sgpshop.domain import words
from sgpshop.domain.activities import ActivityEvent, ActivityKind
from sgpshop.models.attempt import ActorKind
from sgpshop.models.base import Base, UtcDateTime, utc_now


class Activity(Base):
    """One thing that somebody did, or was refused; rows are only ever added, one after the other."""

    __tablename__ = "activities"
    __table_args__ = (
        sa.Index("ix_activities_at_id", "at", "id"),
        sa.Index("ix_activities_kind_at_id", "kind", "at", "id"),
        sa.Index("ix_activities_actor_at_id", "actor", "at", "id"),
    )

    #: 1, 2, 3 … without a gap
    id: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    at: Mapped[datetime] = mapped_column(UtcDateTime, default=utc_now)
    #: words of ActorKind, domain.activities.ActivityKind and Event
    actor_kind: Mapped[str] = mapped_column(sa.String(20))
    #: "": a stranger
    actor: Mapped[str] = mapped_column(sa.String(80))
    #: IP address; "" where none is known
    address: Mapped[str] = mapped_column(sa.String(64))
    kind: Mapped[str] = mapped_column(sa.String(20))
    event: Mapped[str] = mapped_column(sa.String(40))
    #: whom or what it was about: a person, a key, an order number
    about: Mapped[str] = mapped_column(sa.String(200))
    #: `changes` ([name, before, after], of secrets the name alone), `note`, `count`, `yen`
    detail: Mapped[dict[str, Any]] = mapped_column(sa.JSON)
    #: mark of the chain at this row
    mark: Mapped[str] = mapped_column(sa.String(32))

    @property
    def who(self) -> str:
        """The actor as people read it."""
        if not self.actor:
            return "(不明)"
        return f"APIキー「{self.actor}」" if self.actor_kind == ActorKind.API_KEY else self.actor

    @property
    def what(self) -> str:
        """What was done, in words."""
        return words.read(ActivityEvent, self.event).label

    @property
    def kind_label(self) -> str:
        """What it is about, in words."""
        return words.read(ActivityKind, self.kind).label


class ActivitiesEnd(Base):
    """Where the chain of activities stands; a single row, which everybody who adds to it locks."""

    __tablename__ = "activities_end"

    id: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    #: id of the newest row
    last: Mapped[int]
    #: the chain's state (domain/history_chain.py)
    state: Mapped[str] = mapped_column(sa.String(64))
