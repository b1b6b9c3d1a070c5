"""The monthly registration of subscription sales: one row an order and month, and the files (P29)."""

from __future__ import annotations

from datetime import date, datetime
from enum import StrEnum
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import Mapped, mapped_column, relationship

from sgpshop.domain.words import Labelled
from sgpshop.models.attempt import Attempt
from sgpshop.models.base import Base, UtcDateTime, enum_column, index_of, utc_now
from sgpshop.models.order import Order


class FileState(StrEnum):
    """How far a monthly file is."""

    #: its content is fixed; it is sent, and sent again, until SMBC-GP answered
    PREPARED = "prepared"
    #: taken in; the lines are still to be told
    RECEIVED = "received"
    #: refused, but an earlier try may have been taken in: each line is looked up
    IN_DOUBT = "in_doubt"
    #: refused as a whole; the lines are still to be told
    REFUSED = "refused"
    #: every line says how it went
    CLOSED = "closed"


class BillingState(Labelled):
    """How the registration of one order stands."""

    PLANNED = "planned", "登録中"
    REGISTERED = "registered", "結果待ち"
    REFUSED = "refused", "登録不可"
    POSTPONED = "postponed", "未登録"
    PAID = "paid", "OK"
    NOT_PAID = "not_paid", "NG"


#: Was to be registered, and was not, or was not paid.  Words are written out, not bound: the index serves
#: only a condition that it can be compared with.  With the cast no planner goes through all years by state.
PUT_OFF = sa.text("CAST(state AS VARCHAR) IN ('postponed', 'refused', 'not_paid')")


class BillingFile(Base):
    """One monthly file (protocol.md §13.9); what was sent is kept, to be sent again unchanged."""

    __tablename__ = "billing_files"
    __table_args__ = (sa.Index("ix_billing_files_due_at", "due_at"),)

    id: Mapped[int] = mapped_column(primary_key=True)
    #: first day of the month in whose window it is sent
    window: Mapped[date]
    content: Mapped[str] = mapped_column(sa.Text)
    lines: Mapped[int]
    yen: Mapped[int] = mapped_column(sa.BigInteger().with_variant(sa.Integer(), "sqlite"))
    state: Mapped[FileState] = mapped_column(
        enum_column(FileState, "state"), default=FileState.PREPARED
    )
    #: a try was begun of which no answer is known: it may have been taken in
    is_doubtful: Mapped[bool] = mapped_column(default=False)
    lease: Mapped[int] = mapped_column(default=0)
    tries: Mapped[int] = mapped_column(default=0)
    due_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    created_at: Mapped[datetime] = mapped_column(UtcDateTime, default=utc_now)
    sent_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    answered_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    receipt_no: Mapped[str] = mapped_column(sa.String(60), default="")
    #: order ids at the gateway of the lines it did not take, with their codes
    refused: Mapped[dict[str, Any]] = mapped_column(sa.JSON, default=dict)
    #: why it is not through: SMBC-GP's codes, or a short word
    error_codes: Mapped[str] = mapped_column(sa.String(400), default="", server_default="")
    reason: Mapped[str] = mapped_column(sa.String(120), default="")
    #: when its results are asked for next; None before it was taken in and once they are here
    results_due_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    #: a person took note that it was refused as a whole (R105)
    acknowledged_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    acknowledged_by: Mapped[str] = mapped_column(sa.String(80), default="")


class MonthlyResults(Base):
    """Whether the results of what was sent in a month are here: also of files our books do not know."""

    __tablename__ = "monthly_results"

    #: first day of the month in whose window the files were sent
    window: Mapped[date] = mapped_column(primary_key=True)
    #: when SMBC-GP is asked for them next; None once they were read
    due_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    #: when they were read first, or a person said that no more come
    read_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    #: numbers that they call not charged, also those our books do not know
    not_charged: Mapped[list[str]] = mapped_column(sa.JSON, default=list)
    #: a person said, after asking SMBC-GP, that nothing of that month is charged any more
    is_closed: Mapped[bool] = mapped_column(default=False)


class FiledNumber(Base):
    """A number in the content of a monthly file: asked without reading megabytes, and as unchanging."""

    __tablename__ = "filed_numbers"

    gateway_order_id: Mapped[str] = mapped_column(sa.String(27), primary_key=True)
    file_id: Mapped[int] = mapped_column(sa.ForeignKey("billing_files.id"), primary_key=True)


class Billing(Base):
    """The sale of one order in one month: registered once, whatever runs how often (P29)."""

    __tablename__ = "billings"
    __table_args__ = (
        sa.UniqueConstraint("order_id", "month"),
        sa.Index("ix_billings_state", "state"),
        sa.Index("ix_billings_file_id", "file_id"),
        sa.Index("ix_billings_attempt_id", "attempt_id"),
        sa.Index("ix_billings_retry_at", "retry_at"),
        sa.Index("ix_billings_gateway_order_id", "gateway_order_id"),
        # What may be tried again, of the last months: not of all years.
        index_of("ix_billings_put_off", "planned_at", "order_id", where=PUT_OFF),
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    order_id: Mapped[int] = mapped_column(sa.ForeignKey("orders.id"))
    #: first day of the month in which everything was delivered (R101)
    month: Mapped[date]
    #: fixed before the first call, the same in every try
    gateway_order_id: Mapped[str] = mapped_column(sa.String(27))
    amount: Mapped[int]
    state: Mapped[BillingState] = mapped_column(
        enum_column(BillingState, "state"), default=BillingState.PLANNED
    )
    attempt_id: Mapped[int] = mapped_column(sa.ForeignKey("attempts.id"))
    #: None while no file holds it, and where the stored card is charged by API
    file_id: Mapped[int | None] = mapped_column(sa.ForeignKey("billing_files.id"))
    #: whether it goes by file
    by_file: Mapped[bool]
    #: since when SMBC-GP was last asked about its card and its other numbers, if nothing spoke against it
    ready_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    #: how often in a row it was put off, through no fault of the card
    postponed: Mapped[int] = mapped_column(default=0)
    #: when it is tried again; None: with the next registration, or never
    retry_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    planned_at: Mapped[datetime] = mapped_column(UtcDateTime, default=utc_now)
    registered_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    result_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    #: SMBC-GP's word for an NG result: a value of gateway.FileResult
    result: Mapped[str] = mapped_column(sa.String(1), default="")
    error_codes: Mapped[str] = mapped_column(sa.String(400), default="")

    order: Mapped[Order] = relationship()
    attempt: Mapped[Attempt] = relationship()
