"""Change which words a column takes, or how long they may be, on both databases.

SQLite cannot change a CHECK or a type: the table is made anew from its own text and filled from the old one,
with all its indexes and triggers.  (Migrations on SQLite run with foreign keys off, env.py.)
"""

from __future__ import annotations

import re
from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op


def take_words(table: str, column: str, words: Sequence[str], *, check: str) -> None:
    """Let `column` take exactly `words`; `check` is the name of its constraint."""
    if op.get_bind().dialect.name == "sqlite":
        listed = ", ".join(f"'{word}'" for word in words)
        _remake(table, check, f"{column} IN ({listed})")
        return
    op.drop_constraint(op.f(check), table, type_="check")
    op.create_check_constraint(op.f(check), table, sa.column(column, sa.String()).in_(words))


def take_any_word(table: str, *, check: str) -> None:
    """Drop the constraint `check`: which words there are is known to the program alone."""
    if op.get_bind().dialect.name == "sqlite":
        _remake(table, check, None)
        return
    op.drop_constraint(op.f(check), table, type_="check")


def take_condition(table: str, condition: str, *, check: str) -> None:
    """Let the rows of `table` be as `condition` says, in place of what the constraint `check` said."""
    if op.get_bind().dialect.name == "sqlite":
        _remake(table, check, condition)
        return
    op.drop_constraint(op.f(check), table, type_="check")
    op.create_check_constraint(op.f(check), table, sa.text(condition))


def add_words(table: str, column: str, words: Sequence[str], *, check: str) -> None:
    """Let `column` take `words` too, besides those it takes by now; `check` is its constraint."""
    known = re.findall(r"'(\w+)'", _condition(table, check))
    take_words(table, column, [*known, *(word for word in words if word not in known)], check=check)


def widen(table: str, column: str, length: int) -> None:
    """Let the text in `column` be `length` characters long."""
    if op.get_bind().dialect.name != "sqlite":
        op.alter_column(table, column, type_=sa.String(length))
        return
    text = _stored(table)[0]
    _make_anew(table, re.sub(rf"(\b{column} VARCHAR)\(\d+\)", rf"\1({length})", text))


def number_once(*tables: str) -> None:
    """Let no row of these get the id of one that is gone; on PostgreSQL none does.

    With no trigger in place: those of other tables name these, which are not there for a moment.
    """
    connection = op.get_bind()
    if connection.dialect.name != "sqlite":
        return
    query = sa.text("SELECT name, sql FROM sqlite_master WHERE type = 'trigger'")
    triggers = connection.execute(query).all()
    for trigger in triggers:
        connection.exec_driver_sql(f"DROP TRIGGER {trigger.name}")
    for table in tables:
        text, key = _stored(table)[0], re.compile(r"\bid INTEGER NOT NULL\b")
        whole = re.compile(rf",\s*CONSTRAINT pk_{table} PRIMARY KEY \(id\)")
        if not (key.search(text) and whole.search(text)):
            raise LookupError(f"no key of its own in {table}")
        counted = key.sub("id INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT", text, count=1)
        _make_anew(table, whole.sub("", counted))
    for trigger in triggers:
        connection.exec_driver_sql(trigger.sql)


def _condition(table: str, check: str) -> str:
    """The text of a CHECK as the database has it."""
    connection = op.get_bind()
    if connection.dialect.name == "sqlite":
        text = connection.scalar(
            sa.text("SELECT sql FROM sqlite_master WHERE type = 'table' AND name = :name"),
            {"name": table},
        )
        _, _, rest = str(text).partition(f"CONSTRAINT {check} CHECK (")
        return rest[: len(rest) - len(_after_clause(rest))]
    text = connection.scalar(
        sa.text(
            "SELECT pg_get_constraintdef(oid) FROM pg_constraint"
            " WHERE conname = :check AND conrelid = to_regclass(:name)"
        ),
        {"check": check, "name": table},
    )
    return str(text)


def _remake(table: str, check: str, condition: str | None) -> None:
    """Make the table anew with another `condition` of its constraint, or without it."""
    text = _stored(table)[0]
    head, _, rest = text.partition(f"CONSTRAINT {check} CHECK (")
    if not rest:
        raise LookupError(f"no constraint {check} in {table}")
    tail = _after_clause(rest)
    if condition is None:
        changed = head.rstrip().removesuffix(",") + tail
    else:
        changed = f"{head}CONSTRAINT {check} CHECK ({condition}){tail}"
    _make_anew(table, changed)


def _stored(table: str) -> list[str]:
    """How SQLite wrote down the table, then its indexes and triggers."""
    rows = op.get_bind().execute(
        sa.text("SELECT type, sql FROM sqlite_master WHERE tbl_name = :name AND sql IS NOT NULL"),
        {"name": table},
    )
    return [row.sql for row in sorted(rows, key=lambda row: row.type != "table")]


def _make_anew(table: str, changed: str) -> None:
    others = _stored(table)[1:]
    opening = changed.index("(")
    op.execute(f"CREATE TABLE {table}_new {changed[opening:]}")
    op.execute(f"INSERT INTO {table}_new SELECT * FROM {table}")  # noqa: S608 - names of our own
    op.drop_table(table)
    op.rename_table(f"{table}_new", table)
    for text in others:
        op.execute(text)


def _after_clause(rest: str) -> str:
    """What follows the bracket that closes the clause `rest` is inside of."""
    depth = 1
    for at, sign in enumerate(rest):
        depth += {"(": 1, ")": -1}.get(sign, 0)
        if depth == 0:
            return rest[at + 1 :]
    raise ValueError("the clause is not closed")
