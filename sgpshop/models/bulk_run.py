"""Bulk runs: a list of orders somebody confirmed together, each worked off on its own (P22)."""

from __future__ import annotations

from datetime import datetime

import sqlalchemy as sa
from sqlalchemy.orm import Mapped, mapped_column, relationship

from sgpshop.domain.words import Labelled
from sgpshop.models.attempt import Attempt
from sgpshop.models.base import Base, UtcDateTime, enum_column, index_of, utc_now
from sgpshop.models.order import Order


class ItemResult(Labelled):
    """How one line of a run stands (R49)."""

    PENDING = "pending", "未実行"
    SUCCEEDED = "succeeded", "成功"
    FAILED = "failed", "失敗"
    UNCERTAIN = "uncertain", "確認中"
    SKIPPED = "skipped", "対象外"


class BulkRun(Base):
    """One bulk run.  Made when the confirmation is shown, started once when it is confirmed."""

    __tablename__ = "bulk_runs"
    __table_args__ = (
        index_of("ix_bulk_runs_work_due", "started_at", where="is_work_due"),
        sa.Index("ix_bulk_runs_started_at", "started_at"),
    )

    #: random, unguessable: it is the one-time token as well (P19)
    id: Mapped[str] = mapped_column(sa.String(32), primary_key=True)
    #: a word of services/bulk/actions; one of another version may stand here (no CHECK)
    action: Mapped[str] = mapped_column(sa.String(32))
    person_id: Mapped[int] = mapped_column(sa.ForeignKey("people.id"))
    actor: Mapped[str] = mapped_column(sa.String(80))
    created_at: Mapped[datetime] = mapped_column(UtcDateTime, default=utc_now)
    #: None: shown for confirmation, not confirmed
    started_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    #: the worker has lines to work off that are no attempts (配送完了)
    is_work_due: Mapped[bool] = mapped_column(default=False, server_default=sa.false())


class BulkItem(Base):
    """One order of a run, as it was seen when the person confirmed."""

    __tablename__ = "bulk_items"
    __table_args__ = (
        sa.UniqueConstraint("run_id", "order_id"),
        sa.Index("ix_bulk_items_run_id_position", "run_id", "position"),
        sa.Index("ix_bulk_items_run_id_result", "run_id", "result"),
        sa.Index("ix_bulk_items_attempt_id", "attempt_id"),
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    run_id: Mapped[str] = mapped_column(sa.ForeignKey("bulk_runs.id", ondelete="CASCADE"))
    position: Mapped[int]
    order_id: Mapped[int] = mapped_column(sa.ForeignKey("orders.id"))
    #: yen and version that the person saw (P20)
    amount: Mapped[int]
    version: Mapped[int]
    result: Mapped[ItemResult] = mapped_column(
        enum_column(ItemResult, "result"), default=ItemResult.PENDING
    )
    #: why it was left out: a value of the `reasons` of its action; or ""
    reason: Mapped[str] = mapped_column(sa.String(40), default="")
    attempt_id: Mapped[int | None] = mapped_column(sa.ForeignKey("attempts.id"))
    finished_at: Mapped[datetime | None] = mapped_column(UtcDateTime)

    order: Mapped[Order] = relationship()
    attempt: Mapped[Attempt | None] = relationship()
