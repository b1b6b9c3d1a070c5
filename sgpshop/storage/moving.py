"""All rows of an SQLite file into an empty database of another kind (docs/operations.md)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from sgpshop.domain.errors import CouldNotAsk, ShopError
from sgpshop.extensions import db
from sgpshop.models import Base, Order, OrderTextDue, Person
from sgpshop.storage import schema
from sgpshop.storage.backup import NotEmpty

_SOME = 1_000


def move_in(file: Path) -> dict[str, int]:
    """Copy every row of the SQLite database `file` into ours; how many, by table.

    All of it or nothing.  Ours gets its tables first.  Raises NotEmpty where ours has orders or people,
    ShopError where `file` is none, CouldNotAsk where it is of another version.
    """
    if db.engine.dialect.name == "sqlite":
        raise ShopError("SGPSHOP_DATABASE_URL に移動先(postgresql+psycopg://…)を指定してください。")
    source = sa.create_engine(f"sqlite:///file:{file}?mode=ro&uri=true")
    try:
        with source.connect() as rows_from:
            _require_ours(rows_from, file)
            schema.migrate()
            with db.engine.begin() as rows_to:
                return dict(_copy(rows_from, rows_to))
    except sa.exc.OperationalError as problem:
        if problem.connection_invalidated or "sqlite" not in str(type(problem.orig)):
            raise
        raise ShopError(f"{file} を読み取れません。") from None
    finally:
        source.dispose()


def _require_ours(connection: sa.Connection, file: Path) -> None:
    try:
        version = connection.scalar(sa.text("SELECT version_num FROM alembic_version"))
    except sa.exc.DatabaseError:
        raise ShopError(f"{file} は、このプログラムのデータベースではありません。") from None
    if version != schema.wanted():
        raise CouldNotAsk(
            f"{file} は版 {version} です。先に、そのデータベースで python app.py migrate を"
            f"実行してください(このプログラムは版 {schema.wanted()})。"
        )


def _copy(rows_from: sa.Connection, rows_to: sa.Connection) -> Iterator[tuple[str, int]]:
    tables = [table for table in Base.metadata.sorted_tables if "is_derived" not in table.info]
    if any(rows_to.scalar(sa.select(sa.exists(sa.select(model.id)))) for model in (Order, Person)):
        raise NotEmpty
    for table in reversed(tables):  # what migrations wrote into empty tables comes along too
        # What triggers refuse to new rows was allowed when these came about.
        rows_to.execute(sa.text(f"ALTER TABLE {table.name} DISABLE TRIGGER USER"))
        rows_to.execute(sa.delete(table))
    for table in tables:
        found = rows_from.execution_options(stream_results=True).execute(sa.select(table))
        count = 0
        for some in found.mappings().partitions(_SOME):
            rows_to.execute(sa.insert(table), [dict(row) for row in some])
            count += len(some)
        _go_on_counting(rows_to, table)
        yield table.name, count
    for table in tables:
        rows_to.execute(sa.text(f"ALTER TABLE {table.name} ENABLE TRIGGER USER"))
    everything = sa.select(Order.id).order_by(Order.id.desc())  # is made findable by the worker
    rows_to.execute(sa.insert(OrderTextDue).from_select(["order_id"], everything))


def _go_on_counting(connection: sa.Connection, table: sa.Table) -> None:
    """Let the next row get the number after the last one."""
    keys: Sequence[sa.Column[Any]] = list(table.primary_key)
    if len(keys) != 1 or table.autoincrement_column is None:
        return
    [key] = keys
    sequence = sa.func.pg_get_serial_sequence(table.name, key.name)
    last = connection.scalar(sa.select(sa.func.max(key)))
    if last is not None and connection.scalar(sa.select(sequence)):
        connection.execute(sa.select(sa.func.setval(sequence, last)))
