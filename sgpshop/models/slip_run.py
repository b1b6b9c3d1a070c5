"""Slip files (伝票番号一括ステータス変更): what was handed in, row by row, and what became of it."""

from __future__ import annotations

from datetime import date, datetime

import sqlalchemy as sa
from sqlalchemy.orm import Mapped, mapped_column, relationship

from sgpshop.domain.delivery_status import DeliveryStatus
from sgpshop.domain.shop_terms import OnCaptureFailure
from sgpshop.models.attempt import Attempt
from sgpshop.models.base import Base, UtcDateTime, enum_column, index_of, utc_now
from sgpshop.models.bulk_run import ItemResult

_STARTED = sa.text("started_at IS NOT NULL")
_DUE = sa.text("is_due")


class SlipRun(Base):
    """One slip file, or what was typed into 発送: made with the preview, started once when it is confirmed (R81)."""

    __tablename__ = "slip_runs"
    __table_args__ = (
        # R82a: the same content under the same terms is started once, by the database itself.
        index_of("uq_slip_runs_started", "fingerprint", unique=True, where=_STARTED),
    )

    #: random, unguessable: it is the one-time token as well (P19)
    id: Mapped[str] = mapped_column(sa.String(32), primary_key=True)
    #: None: the command import-slips, or a program, by its key
    person_id: Mapped[int | None] = mapped_column(sa.ForeignKey("people.id"))
    key_id: Mapped[int | None] = mapped_column(sa.ForeignKey("api_keys.id"))
    actor: Mapped[str] = mapped_column(sa.String(80))
    #: of the content alone, and of content and terms
    content_hash: Mapped[str] = mapped_column(sa.String(64))
    fingerprint: Mapped[str] = mapped_column(sa.String(64))
    #: 実売り同時処理 and 実売り失敗時の動作 of this run (R79, R80)
    capture: Mapped[bool]
    on_failure: Mapped[OnCaptureFailure] = mapped_column(
        enum_column(OnCaptureFailure, "on_failure")
    )
    #: the headings of the file
    header: Mapped[list[str]] = mapped_column(sa.JSON)
    #: the program that wrote it, as people know it; "": ours, or none we know
    program: Mapped[str] = mapped_column(sa.String(80), default="", server_default="")
    #: typed or scanned into 発送, not a file
    is_typed: Mapped[bool] = mapped_column(default=False, server_default=sa.false())
    #: rows that ask for a mail, which we do not send
    mails: Mapped[int] = mapped_column(default=0)
    created_at: Mapped[datetime] = mapped_column(UtcDateTime, default=utc_now)
    #: None: shown for confirmation, not confirmed
    started_at: Mapped[datetime | None] = mapped_column(UtcDateTime)

    @property
    def names_all(self) -> bool:
        """Whether each row names all slip numbers of its parcel: a program's does, a file may have some."""
        return self.key_id is not None


class SlipRow(Base):
    """One row of a slip file; what cannot be read is empty, and `message` says why."""

    __tablename__ = "slip_rows"
    __table_args__ = (
        sa.Index("ix_slip_rows_run_id_line", "run_id", "line"),
        sa.Index("ix_slip_rows_run_id_result", "run_id", "result"),
        sa.Index("ix_slip_rows_attempt_id", "attempt_id"),
        sa.Index("ix_slip_rows_order_id", "order_id"),
        index_of("ix_slip_rows_due", "run_id", "order_id", where=_DUE),
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    run_id: Mapped[str] = mapped_column(sa.ForeignKey("slip_runs.id", ondelete="CASCADE"))
    #: first line of the row in the file
    line: Mapped[int]
    #: as they stood in the file, card numbers masked (S11)
    cells: Mapped[list[str]] = mapped_column(sa.JSON)
    order_no: Mapped[str] = mapped_column(sa.String(28), default="")
    #: 配送先番号; 0 is the only delivery
    delivery_number: Mapped[int] = mapped_column(default=0)
    #: "" keeps the carrier that is stored
    carrier_code: Mapped[str] = mapped_column(sa.String(3), default="")
    slip_no: Mapped[str] = mapped_column(sa.String(30), default="")
    #: further slip numbers of the parcel (複数個口), divided by blanks
    more_slips: Mapped[str] = mapped_column(sa.String(400), default="", server_default="")
    #: new 配送ステータス; None: the row could not be read
    status: Mapped[DeliveryStatus | None] = mapped_column(enum_column(DeliveryStatus, "status"))
    #: None: the day on which it is worked off
    ship_date: Mapped[date | None]

    order_id: Mapped[int | None] = mapped_column(sa.ForeignKey("orders.id"))
    #: version of the order that the person saw (P20)
    version: Mapped[int | None]
    #: yen to be captured with this row; one row of an order carries it (P20)
    amount: Mapped[int | None]
    result: Mapped[ItemResult] = mapped_column(
        enum_column(ItemResult, "result"), default=ItemResult.PENDING
    )
    #: why the capture is not even tried: a value of domain.order_rules.Refusal, or ""
    refusal: Mapped[str] = mapped_column(sa.String(40), default="")
    #: the problem, or a remark, in a sentence
    message: Mapped[str] = mapped_column(sa.String(300), default="")
    #: what to know about a row that can be carried out, whatever becomes of it
    remark: Mapped[str] = mapped_column(sa.String(300), default="", server_default="")
    #: to be worked off by the worker; no capture has to end before
    is_due: Mapped[bool] = mapped_column(default=False)
    #: slip number and status were written, whatever became of the capture (R80)
    is_written: Mapped[bool] = mapped_column(default=False)
    #: the capture whose end decides about this row
    attempt_id: Mapped[int | None] = mapped_column(sa.ForeignKey("attempts.id"))
    finished_at: Mapped[datetime | None] = mapped_column(UtcDateTime)

    attempt: Mapped[Attempt | None] = relationship()
