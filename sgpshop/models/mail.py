"""Mails to people of the shop, one row each (R156)."""

from __future__ import annotations

from datetime import datetime

import sqlalchemy as sa
from sqlalchemy.orm import Mapped, mapped_column

from sgpshop.domain.mail_kinds import MailKind, MailState
from sgpshop.models.base import Base, UtcDateTime, enum_column, index_of, utc_now

_OPEN = sa.text("state IN ('waiting', 'sending')")


class Mail(Base):
    """One occasion for one person.  What it says is made when it is sent, and kept nowhere."""

    __tablename__ = "mails"
    __table_args__ = (
        # However many workers see an occasion, and however often: one mail.
        sa.UniqueConstraint("person_id", "kind", "event"),
        index_of("ix_mails_due_at", "due_at", where=_OPEN),
        sa.Index("ix_mails_kind_event", "kind", "event"),
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    person_id: Mapped[int] = mapped_column(sa.ForeignKey("people.id", ondelete="CASCADE"))
    kind: Mapped[MailKind] = mapped_column(enum_column(MailKind, "kind"))
    #: which occasion of its kind: a day, a run, an hour
    event: Mapped[str] = mapped_column(sa.String(64))
    state: Mapped[MailState] = mapped_column(
        enum_column(MailState, "state"), default=MailState.WAITING
    )
    #: from then on a worker may take it: at once, after a pause, or when who has it gave no sign
    due_at: Mapped[datetime] = mapped_column(UtcDateTime, default=utc_now)
    tries: Mapped[int] = mapped_column(default=0)
    created_at: Mapped[datetime] = mapped_column(UtcDateTime, default=utc_now)
    ended_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    #: why it could not be sent, in Japanese
    problem: Mapped[str] = mapped_column(sa.String(200), default="")
