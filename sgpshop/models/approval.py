"""Big acts that wait for a second person's 承認 (R157): who asked for what, and what became of it."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import Mapped, mapped_column, relationship

from sgpshop.domain.second_look import LONGEST_REASON, ApprovalState
from sgpshop.models.attempt import ActorKind, FollowUp, Operation
from sgpshop.models.base import Base, UtcDateTime, enum_column, index_of, utc_now
from sgpshop.models.order import Order

_WAITING = sa.text("state = 'waiting'")


def _one_waiting(*columns: str) -> sa.Index:
    """However many ask at once: one request waits for each of these, by the database itself."""
    return index_of(f"uq_approvals_waiting_{columns[0]}", *columns, unique=True, where=_WAITING)


class Approval(Base):
    """One act somebody asked for: on one order, or a run of many.

    A run that is not started is forgotten after a while, its request stays.
    """

    __tablename__ = "approvals"
    __table_args__ = (
        _one_waiting("order_id", "operation"),
        _one_waiting("bulk_run_id"),
        _one_waiting("slip_run_id"),
        sa.Index("ix_approvals_state_asked_at", "state", "asked_at"),
        sa.Index("ix_approvals_order_id", "order_id"),
        sa.Index("ix_approvals_bulk_run_id", "bulk_run_id"),
        sa.Index("ix_approvals_slip_run_id", "slip_run_id"),
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    #: one of the three, while it is there
    order_id: Mapped[int | None] = mapped_column(sa.ForeignKey("orders.id", ondelete="CASCADE"))
    bulk_run_id: Mapped[str | None] = mapped_column(
        sa.ForeignKey("bulk_runs.id", ondelete="SET NULL")
    )
    slip_run_id: Mapped[str | None] = mapped_column(
        sa.ForeignKey("slip_runs.id", ondelete="SET NULL")
    )
    #: the act in words
    what: Mapped[str] = mapped_column(sa.String(80))
    operation: Mapped[Operation] = mapped_column(enum_column(Operation, "operation"))
    follow_up: Mapped[FollowUp | None] = mapped_column(enum_column(FollowUp, "follow_up"))
    #: what goes with the attempt (`Attempt.choices`)
    choices: Mapped[dict[str, Any]] = mapped_column(sa.JSON, default=dict)
    #: version and total of the one order that was seen (P20)
    version: Mapped[int | None]
    total: Mapped[int | None]
    #: orders of it, and yen that it takes or gives back
    orders: Mapped[int]
    yen: Mapped[int] = mapped_column(sa.BigInteger)

    actor_kind: Mapped[ActorKind] = mapped_column(enum_column(ActorKind, "actor_kind"))
    #: names of people are unique and stay theirs
    actor: Mapped[str] = mapped_column(sa.String(80))
    #: names of keys are not: the one that asked; None: of before 0070
    key_id: Mapped[int | None] = mapped_column(sa.ForeignKey("api_keys.id"))
    #: the one-time token of the form that asked, and what it asked for (P19)
    request_token: Mapped[str | None] = mapped_column(sa.String(64), unique=True)
    request_act: Mapped[str | None] = mapped_column(sa.String(64))
    asked_at: Mapped[datetime] = mapped_column(UtcDateTime, default=utc_now)
    expires_at: Mapped[datetime] = mapped_column(UtcDateTime)

    state: Mapped[ApprovalState] = mapped_column(enum_column(ApprovalState, "state"))
    #: who approved or refused it; "": nobody
    decided_by: Mapped[str] = mapped_column(sa.String(80), default="")
    decided_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    #: why it was refused, or is void, in Japanese
    reason: Mapped[str] = mapped_column(sa.String(LONGEST_REASON), default="")
    #: what was begun, of one order
    attempt_id: Mapped[int | None] = mapped_column(sa.ForeignKey("attempts.id"))

    order: Mapped[Order | None] = relationship()

    @property
    def is_waiting(self) -> bool:
        """Whether somebody may still say yes or no."""
        return self.state is ApprovalState.WAITING

    @property
    def is_refund(self) -> bool:
        """Whether the yen go back to buyers."""
        return self.operation in (Operation.CANCEL, Operation.REFUND_DIFFERENCE)

    @property
    def who(self) -> str:
        """Who asked, as people read it."""
        if self.actor_kind is ActorKind.API_KEY:
            return f"APIキー「{self.actor}」"
        return f"{self.actor}さん" if self.actor_kind is ActorKind.PERSON else self.actor
