"""Receivers of webhooks, and one row for each message to each of them (services/outgoing/webhooks)."""

from __future__ import annotations

from datetime import datetime

import sqlalchemy as sa
from sqlalchemy.orm import Mapped, mapped_column

from sgpshop.domain.webhook_rules import LONGEST_URL, WebhookState
from sgpshop.models.base import (
    NUMBERED_ONCE,
    Base,
    UtcDateTime,
    enum_column,
    index_of,
    utc_now,
)

LONGEST_BY = 60
_OPEN = sa.text("state IN ('waiting', 'sending')")


class Webhook(Base):
    """One receiver."""

    __tablename__ = "webhooks"
    __table_args__ = NUMBERED_ONCE

    id: Mapped[int] = mapped_column(primary_key=True)
    url: Mapped[str] = mapped_column(sa.String(LONGEST_URL))
    #: what its messages are signed with; bound to the id
    secret_sealed: Mapped[str] = mapped_column(sa.String(200))
    #: the beginning of the name; 操作の記録 has all of it
    created_by: Mapped[str] = mapped_column(sa.String(LONGEST_BY))
    created_at: Mapped[datetime] = mapped_column(UtcDateTime, default=utc_now)
    #: of which events it is told, words of EventKind with blanks between; "": of all, those to come too
    kinds: Mapped[str] = mapped_column(sa.String(100), default="", server_default="")
    is_active: Mapped[bool] = mapped_column(default=True)
    #: the place of the last event of which there is a message (services/orders/feed.py)
    position: Mapped[int] = mapped_column(sa.BigInteger)
    #: since then nothing arrived that was tried
    failing_since: Mapped[datetime | None] = mapped_column(UtcDateTime)
    #: when we switched it off because of that
    given_up_at: Mapped[datetime | None] = mapped_column(UtcDateTime)


class WebhookMessage(Base):
    """One event for one receiver."""

    __tablename__ = "webhook_messages"
    __table_args__ = (
        sa.UniqueConstraint("webhook_id", "event_id"),
        index_of("ix_webhook_messages_due", "webhook_id", "due_at", where=_OPEN),
        index_of("ix_webhook_messages_order", "webhook_id", "order_no", "id", where=_OPEN),
        sa.Index("ix_webhook_messages_created_at", "created_at"),
        NUMBERED_ONCE,
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    webhook_id: Mapped[int] = mapped_column(sa.ForeignKey("webhooks.id", ondelete="CASCADE"))
    #: by which a receiver knows one that comes twice; the `id` of GET /events
    event_id: Mapped[str] = mapped_column(sa.String(40))
    #: "": a test
    order_no: Mapped[str] = mapped_column(sa.String(40))
    type: Mapped[str] = mapped_column(sa.String(32))
    #: JSON, the same bytes at each try
    body: Mapped[str] = mapped_column(sa.Text)
    state: Mapped[WebhookState] = mapped_column(
        enum_column(WebhookState, "state"), default=WebhookState.WAITING
    )
    #: from then on a worker may take it: at once, after a pause, or when who has it gave no sign
    due_at: Mapped[datetime] = mapped_column(UtcDateTime, default=utc_now)
    tries: Mapped[int] = mapped_column(default=0)
    first_tried_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    created_at: Mapped[datetime] = mapped_column(UtcDateTime, default=utc_now)
    ended_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    #: why the last try failed, in Japanese
    problem: Mapped[str] = mapped_column(sa.String(200), default="")
