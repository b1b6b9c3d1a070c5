"""Order files that were taken in: how far, how many, and what was wrong with which line."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import Mapped, mapped_column, relationship

from sgpshop.domain.words import Labelled
from sgpshop.models.base import Base, UtcDateTime, enum_column, utc_now


class IssueLevel(Labelled):
    """Whether a line kept its order out, or is only worth a look."""

    ERROR = "error", "エラー"
    WARNING = "warning", "警告"


class ImportRun(Base):
    """One order file; counts are orders unless they say rows."""

    __tablename__ = "import_runs"

    #: random: it is the one-time token of the upload form as well (P19)
    id: Mapped[str] = mapped_column(sa.String(32), primary_key=True)
    actor: Mapped[str] = mapped_column(sa.String(80))
    created_at: Mapped[datetime] = mapped_column(UtcDateTime, default=utc_now)
    #: moves while orders are being written; a run that stopped moving was interrupted
    progress_at: Mapped[datetime] = mapped_column(UtcDateTime, default=utc_now)
    #: None: only its preview was made, and nothing of the file is in
    started_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    finished_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    #: id of the layout by which the file was read; "" for the general words
    layout: Mapped[str] = mapped_column(sa.String(10), default="")
    #: what would become of the file, as it is shown (importing/preview.py)
    preview: Mapped[dict[str, Any] | None] = mapped_column(sa.JSON)
    #: field -> heading, as a person said it of a file of no known layout
    mapping: Mapped[dict[str, str] | None] = mapped_column(sa.JSON)
    #: SHA-256 of the file, so that the token is good for no other; "" for runs of before
    content_hash: Mapped[str] = mapped_column(sa.String(64), default="")
    rows: Mapped[int] = mapped_column(default=0)
    orders: Mapped[int] = mapped_column(default=0)
    added: Mapped[int] = mapped_column(default=0)
    updated: Mapped[int] = mapped_column(default=0)
    unchanged: Mapped[int] = mapped_column(default=0)
    left_out: Mapped[int] = mapped_column(default=0)
    #: why the whole file was refused, in Japanese; "" otherwise
    refused: Mapped[str] = mapped_column(sa.String(300), default="")

    issues: Mapped[list[ImportIssue]] = relationship(order_by="ImportIssue.line")


class ImportFile(Base):
    """A file between its preview and its end: sealed, for it may hold access data (S10); then gone."""

    __tablename__ = "import_files"

    id: Mapped[int] = mapped_column(primary_key=True)
    run_id: Mapped[str] = mapped_column(
        sa.ForeignKey("import_runs.id", ondelete="CASCADE"), index=True
    )
    #: compressed, as text
    content_sealed: Mapped[str] = mapped_column(sa.Text)


class ImportMapping(Base):
    """What a person said once of files with these headings (この対応を覚える)."""

    __tablename__ = "import_mappings"

    #: SHA-256 of the headings in the form in which they are compared
    headings: Mapped[str] = mapped_column(sa.String(64), primary_key=True)
    #: our field -> their heading
    columns: Mapped[dict[str, str]] = mapped_column(sa.JSON)
    updated_at: Mapped[datetime] = mapped_column(UtcDateTime, default=utc_now, onupdate=utc_now)
    updated_by: Mapped[str] = mapped_column(sa.String(80))


class ImportIssue(Base):
    """Something about one line of the file, in a sentence that names the column."""

    __tablename__ = "import_issues"
    __table_args__ = (
        sa.Index("ix_import_issues_run_id_line", "run_id", "line"),
        sa.Index("ix_import_issues_order_no", "order_no"),
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    run_id: Mapped[str] = mapped_column(sa.ForeignKey("import_runs.id", ondelete="CASCADE"))
    line: Mapped[int]
    order_no: Mapped[str] = mapped_column(sa.String(28), default="")
    level: Mapped[IssueLevel] = mapped_column(enum_column(IssueLevel, "level"))
    message: Mapped[str] = mapped_column(sa.String(300))
