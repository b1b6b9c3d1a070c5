"""Long work that a person asked for and a worker does: files that come in, go out or are compared."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import Mapped, mapped_column

from sgpshop.domain.words import Labelled
from sgpshop.models.base import Base, UtcDateTime, enum_column, index_of, utc_now


class JobKind(Labelled):
    """What is to be done."""

    #: `token` is import_runs.id
    IMPORT = "import", "注文ファイル取込"
    EXPORT = "export", "注文の書き出し"
    COMPARISON = "comparison", "取引一覧と突き合わせ"


class Job(Base):
    """One piece of such work (`storage/jobs.py`)."""

    __tablename__ = "jobs"
    __table_args__ = (index_of("ix_jobs_due_at", "due_at", where="finished_at IS NULL"),)

    id: Mapped[int] = mapped_column(primary_key=True)
    #: random, unguessable: the end of the address of its page
    token: Mapped[str] = mapped_column(sa.String(32), unique=True)
    kind: Mapped[JobKind] = mapped_column(enum_column(JobKind, "kind"))
    #: who alone may see it; None: everybody with the right
    person_id: Mapped[int | None] = mapped_column(sa.ForeignKey("people.id"))
    created_at: Mapped[datetime] = mapped_column(UtcDateTime, default=utc_now)
    #: what is wanted, in words of its kind
    asked: Mapped[dict[str, Any]] = mapped_column(sa.JSON, default=dict)
    #: a file to work on, sealed, for it may hold card data (S11); "" as soon as it is over
    input_sealed: Mapped[str] = mapped_column(sa.Text, default="")
    #: raised by each claim: who holds an earlier one writes nothing any more
    lease: Mapped[int] = mapped_column(default=0)
    #: from then on a worker may take it: at once, or when the one that has it gave no sign (P17)
    due_at: Mapped[datetime] = mapped_column(UtcDateTime)
    #: how far it is, in what its kind counts
    done: Mapped[int] = mapped_column(default=0)
    total: Mapped[int] = mapped_column(default=0)
    finished_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    #: why it ended without a result, in Japanese
    failed: Mapped[str] = mapped_column(sa.String(300), default="")
    result: Mapped[dict[str, Any] | None] = mapped_column(sa.JSON)

    @property
    def is_begun(self) -> bool:
        """Whether a worker ever took it."""
        return self.lease > 0


class JobPart(Base):
    """A piece of the file that a job makes, as that claim of it wrote it."""

    __tablename__ = "job_parts"

    id: Mapped[int] = mapped_column(primary_key=True)
    job_id: Mapped[int] = mapped_column(sa.ForeignKey("jobs.id", ondelete="CASCADE"), index=True)
    lease: Mapped[int]
    #: compressed
    content: Mapped[bytes] = mapped_column(sa.LargeBinary)
