"""What happened to an order, one append-only row per change (P5).

The database refuses to change or delete a row (triggers of migration 0003; a migration that makes
the table anew has to make them anew).  A new column has to be NULL for the rows that are there:
all columns are part of the order's chain (domain/history_chain.py).
"""

from __future__ import annotations

from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import Mapped, mapped_column

from sgpshop.domain.delivery_status import ProcessingClass
from sgpshop.domain.payment_status import PaymentStatus
from sgpshop.models.attempt import ActorKind
from sgpshop.models.base import Base, UtcDateTime, enum_column, utc_now


class HistoryEntry(Base):
    """One change of one order: who, when, what, from and to, and the attempt it rests on."""

    __tablename__ = "history"
    __table_args__ = (
        sa.Index("ix_history_order_id_id", "order_id", "id"),
        sa.Index("uq_history_request_token", "request_token", unique=True),
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    order_id: Mapped[int] = mapped_column(sa.ForeignKey("orders.id"))
    at: Mapped[datetime] = mapped_column(UtcDateTime, default=utc_now)
    actor_kind: Mapped[ActorKind] = mapped_column(enum_column(ActorKind, "actor_kind"))
    actor: Mapped[str] = mapped_column(sa.String(80))
    #: a key of domain.history.SENTENCES
    event: Mapped[str] = mapped_column(sa.String(40))
    status_before: Mapped[PaymentStatus | None] = mapped_column(
        enum_column(PaymentStatus, "status_before")
    )
    status_after: Mapped[PaymentStatus | None] = mapped_column(
        enum_column(PaymentStatus, "status_after")
    )
    amount_before: Mapped[int | None]
    amount_after: Mapped[int | None]
    attempt_id: Mapped[int | None] = mapped_column(sa.ForeignKey("attempts.id"))
    #: the order's version after this change, so that a stale form can be told what came since
    order_version: Mapped[int | None]
    #: one-time token of the form that asked for it: the same form again finds this result (P19)
    request_token: Mapped[str | None] = mapped_column(sa.String(64))
    #: what that form asked for (`acting.Seen.act`): the token is good for nothing else
    request_act: Mapped[str | None] = mapped_column(sa.String(64))
    #: what the sentence needs besides: error codes, file line, what was found
    detail: Mapped[dict[str, Any]] = mapped_column(sa.JSON, default=dict)
    #: what we knew SMBC-GP to hold after this change, in yen; None: nothing, or an old entry
    gateway_amount: Mapped[int | None]
    #: 処理区分 after this change; None for an entry older than this column
    processing_class: Mapped[ProcessingClass | None] = mapped_column(
        enum_column(ProcessingClass, "processing_class")
    )
    #: yen that were taken, and of them given back again, after this change; None: none
    captured_amount: Mapped[int | None]
    refunded_amount: Mapped[int | None]
    #: mark of the order's chain at this entry
    mark: Mapped[str] = mapped_column(sa.String(32), default="")

    @property
    def who(self) -> str:
        """The actor as people say it: 田中さん, APIキー「店頭」; the name alone for a part of ours."""
        if self.actor_kind is ActorKind.API_KEY:
            return f"APIキー「{self.actor}」"
        return f"{self.actor}さん" if self.actor_kind is ActorKind.PERSON else self.actor


#: By which a file said that the order is 売上失敗, however it stands at SMBC-GP.
CLAIMS_FAILURE = HistoryEntry.detail["claimed"].as_string() == PaymentStatus.CAPTURE_FAILED.value
#: By which a file said that it is paid, though it is not under the number that counts.
CLAIMS_PAYMENT = HistoryEntry.detail["claimed"].as_string() == PaymentStatus.CAPTURED.value
#: By which the order was 売上失敗, or said to be: its buyer was told, and may pay past us (R106).
IS_FAILURE = sa.or_(HistoryEntry.status_after == PaymentStatus.CAPTURE_FAILED, CLAIMS_FAILURE)
