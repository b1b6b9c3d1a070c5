"""What all tables share: naming, UTC times, words with a CHECK."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import Any, cast

import sqlalchemy as sa
from sqlalchemy.orm import DeclarativeBase

from sgpshop.domain import words


class Base(DeclarativeBase):
    """The base of every model; Flask-SQLAlchemy shares its metadata."""

    metadata = sa.MetaData(
        naming_convention={
            "ix": "ix_%(table_name)s_%(column_0_N_name)s",
            "uq": "uq_%(table_name)s_%(column_0_N_name)s",
            "ck": "ck_%(table_name)s_%(constraint_name)s",
            "fk": "fk_%(table_name)s_%(column_0_N_name)s",
            "pk": "pk_%(table_name)s",
        }
    )


class UtcDateTime(sa.types.TypeDecorator[datetime]):
    """An aware datetime, kept as UTC on every database (SQLite has no zone of its own)."""

    impl = sa.DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: sa.Dialect) -> datetime | None:
        if value is None:
            return None
        if value.tzinfo is None:
            raise ValueError("a time without zone cannot be stored")
        value = value.astimezone(UTC)
        return value.replace(tzinfo=None) if dialect.name == "sqlite" else value

    def process_result_value(self, value: Any, dialect: sa.Dialect) -> datetime | None:
        if value is None:
            return None
        moment: datetime = value
        return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)

    def bind_processor(self, dialect: sa.Dialect) -> Any:
        """The same in one step where times are kept as texts: files bring hundred thousands of them."""
        if dialect.name != "sqlite":
            return super().bind_processor(dialect)
        return _as_text

    def result_processor(self, dialect: sa.Dialect, coltype: object) -> Any:
        """The same in one step where times are kept as texts: a list reads hundreds of them."""
        if dialect.name != "sqlite":
            return super().result_processor(dialect, coltype)
        return lambda text: None if text is None else datetime.fromisoformat(f"{text}+00:00")


def _as_text(value: datetime | None) -> str | None:
    if value is None:
        return None
    if value.tzinfo is not UTC:
        if value.tzinfo is None:
            raise ValueError("a time without zone cannot be stored")
        value = value.astimezone(UTC)
    return value.isoformat(" ", "microseconds")[:26]


def _written_out(value: Any) -> Any:
    """Words of an enum as they stand in a statement; anything else as it is."""
    if isinstance(value, StrEnum):
        # What a row of another version holds may be any text.
        word = value.value.replace("'", "''")
        return sa.literal_column(f"'{word}'")
    if isinstance(value, list | tuple | set | frozenset):
        return [_written_out(one) for one in value]
    return value


class _Words(sa.Enum):
    """Its rows may hold words of another version of this program (domain/words.py).

    What it is compared with is written out, not bound: else SQLite plans a statement anew each time it
    is given a value that a partial index is about, and no PostgreSQL takes such an index for it; and
    the words of an IN would be spelled out anew each time.
    """

    inherit_cache = True

    class Comparator(sa.Enum.Comparator):
        """The comparisons of such a column."""

        def operate(self, op: Any, *other: Any, **options: Any) -> Any:
            """Written out."""
            return super().operate(op, *map(_written_out, other), **options)

    comparator_factory = Comparator

    def result_processor(self, dialect: sa.Dialect, coltype: object) -> Any:
        """Without asking Enum and String first, which have nothing to say here."""
        enum = cast(type[StrEnum], self.enum_class)
        known: Callable[[str | None], Any] = enum._value2member_map_.get
        return lambda text: known(text) or (None if text is None else words.read(enum, text))


#: For `__table_args__`: the id of a row that is gone is given to no other.  Whoever asked for an order and
#: waits for its end, or for the database, must not find the next one there (SQLite; PostgreSQL never does).
NUMBERED_ONCE = {"sqlite_autoincrement": True}


def index_of(
    name: str, *columns: str, where: str | sa.TextClause, unique: bool = False
) -> sa.Index:
    """An index of those rows alone that are as `where` says, on either database.

    What is said of PostgreSQL here loads its dialect, 2 MB that a shop on SQLite does without: who compares models
    with a database says it (migrations/env.py).
    """
    rows = sa.text(where) if isinstance(where, str) else where
    return sa.Index(name, *columns, unique=unique, sqlite_where=rows)


def enum_column(enum: type[StrEnum], name: str) -> sa.Enum:
    """A column type for the values of `enum`, checked by the database as well."""
    return _Words(
        enum,
        name=name,
        native_enum=False,
        create_constraint=True,
        length=32,
        values_callable=lambda members: [member.value for member in members],
    )


def table_of(model: type[Base]) -> sa.Table:
    """The bare table of `model`, for statements that run too often for the ORM."""
    return cast(sa.Table, model.__table__)


def join_codes(codes: Iterable[str]) -> str:
    """ErrInfo codes as columns named `error_codes` keep them."""
    return "|".join(codes)[:400]


def split_codes(text: str) -> tuple[str, ...]:
    """The codes of such a column."""
    return tuple(filter(None, text.split("|")))


_ahead = timedelta(0)


def set_clock_ahead(seconds: float) -> None:
    """Let this process live so much later (test mode only), as month ends are tried in a demo."""
    global _ahead
    _ahead = timedelta(seconds=seconds)


def utc_now() -> datetime:
    """The present moment, aware, in UTC."""
    return datetime.now(UTC) + _ahead
