"""Plain rows, past the ORM: for a short statement what it does for objects takes longer than asking.

Many rows are written past SQLAlchemy too, which makes the parameters of each row one by one.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import cache, lru_cache
from itertools import chain, repeat
from operator import is_
from typing import Any, NamedTuple, TypeVarTuple, cast

import sqlalchemy as sa
from sqlalchemy.sql.schema import CallableColumnDefault, ScalarElementColumnDefault

from sgpshop.extensions import db
from sgpshop.models.base import UtcDateTime
from sgpshop.storage.database_words import hide_row

_Columns = TypeVarTuple("_Columns")


def read(
    statement: sa.Select[*_Columns] | sa.CompoundSelect[*_Columns],
    values: Mapping[str, Any] | None = None,
) -> sa.CursorResult[*_Columns]:
    """What a statement of columns gives, in the transaction of the session.

    What the session has not written yet is written first, as where it is asked itself.
    """
    session = db.session()
    if session.autoflush:
        session.flush()
    return session.connection().execute(statement, values)


# ---- many rows are written ------------------------------------------------------------------------

#: Rows of one statement of SQLite, which makes the lists of words in a table's CHECKs anew for each
#: statement: written one by one, rows of attempts and history cost twice as much.
_TOGETHER = 100
#: psycopg takes the text of a long INSERT apart, sign by sign, for each hundred rows: that took longer than
#: all else.  More rows than this are copied.
_FEW, _COPY = 5, "COPY"


_given = sa.table("sqlite_sequence", sa.column("name", sa.String), sa.column("seq", sa.Integer))


def free_ids(connection: sa.Connection, table: sa.Table, count: int) -> Sequence[int]:
    """Ids for so many new rows, within an open write transaction."""
    if connection.dialect.name == "sqlite":  # one writes at a time there
        last = sa.select(sa.func.max(table.c.id)).scalar_subquery()
        # Where ids are given once, that of a row that is gone (NUMBERED_ONCE).
        gone = sa.select(_given.c.seq).where(_given.c.name == table.name).scalar_subquery()
        known = sa.select(sa.func.max(sa.func.coalesce(last, 0), sa.func.coalesce(gone, 0)))
        first = (connection.scalar(known) or 0) + 1
        return range(first, first + count)
    sequence = sa.func.pg_get_serial_sequence(table.name, "id")
    many = sa.func.generate_series(1, count).table_valued("at")
    return list(connection.scalars(sa.select(sa.func.nextval(sequence)).select_from(many)))


class Statement(NamedTuple):
    """A statement as the database's driver takes it, and its values: a list for one to be said for each.

    Of COPY, the rows that follow it.
    """

    text: str
    values: tuple[Any, ...] | list[tuple[Any, ...]]


def put(
    connection: sa.Connection, table: sa.Table, names: Sequence[str], rows: Sequence[Sequence[Any]]
) -> None:
    """Insert rows of the columns `names` within an open write transaction; the others get their default.

    Triggers and CHECKs hold as for any INSERT.
    """
    run(connection, inserts(connection.dialect, table, names, rows))


def run(connection: sa.Connection, statements: Iterable[Statement]) -> None:
    """Say them all, within an open write transaction."""
    for statement in statements:
        if statement.text.startswith(_COPY):
            _copy(connection, statement)
        else:
            connection.exec_driver_sql(*statement)


def _copy(connection: sa.Connection, statement: Statement) -> None:
    """Send the rows of a COPY, of which SQLAlchemy knows nothing; its errors are those of any statement."""
    dialect = connection.dialect
    assert dialect.dbapi is not None
    failure: Any = dialect.dbapi.Error
    try:
        cursor: Any = connection.connection.cursor()
        with cursor, cursor.copy(statement.text) as copy:
            for row in statement.values:
                copy.write_row(row)
    except failure as error:
        hide_row(error)
        raise sa.exc.DBAPIError.instance(
            statement.text, None, error, failure, dialect=dialect
        ) from error


def inserts(
    dialect: sa.Dialect, table: sa.Table, names: Sequence[str], rows: Sequence[Sequence[Any]]
) -> Iterator[Statement]:
    """The statements of `put`."""
    if not rows:
        return
    defaults = {
        column: column.default.arg
        if isinstance(column.default, ScalarElementColumnDefault)
        else column.default.arg(cast(Any, None))
        for column in table.c
        if column.name not in names
        and isinstance(column.default, ScalarElementColumnDefault | CallableColumnDefault)
    }
    columns = [*(table.c[name] for name in names), *defaults]
    makers = [_stored_form(column.type, dialect) for column in columns]
    given = zip(makers[: len(names)], zip(*rows, strict=True), strict=True)
    made: list[Sequence[Any]] = [_made(make, of) if make else of for make, of in given]
    for make, value in zip(makers[len(names) :], defaults.values(), strict=True):
        made.append([make(value) if make else value] * len(rows))
    into = f"{table.name} ({', '.join(c.name for c in columns)})"
    if dialect.name == "postgresql" and len(rows) > _FEW:
        yield Statement(f"{_COPY} {into} FROM STDIN", [*zip(*made, strict=True)])
        return
    place = "?" if dialect.paramstyle == "qmark" else "%s"
    row = f"({', '.join([place] * len(columns))})"
    into = f"INSERT INTO {into} VALUES "  # noqa: S608
    many = into + ", ".join([row] * _TOGETHER)
    for start in range(0, len(rows), _TOGETHER):
        some = [*zip(*(values[start : start + _TOGETHER] for values in made), strict=True)]
        text = many if len(some) == _TOGETHER else into + ", ".join([row] * len(some))
        yield Statement(text, tuple(chain.from_iterable(some)))


def _made(make: Callable[[Any], Any], values: Sequence[Any]) -> Sequence[Any]:
    # As of the moment in which all rows of a batch are written.
    if all(map(is_, values, repeat(values[0]))):
        return [make(values[0])] * len(values)
    return [*map(make, values)]


def _stored_form(
    kind: sa.types.TypeEngine[Any], dialect: sa.Dialect
) -> Callable[[Any], Any] | None:
    """What makes a value of Python one of the database's; None: nothing has to."""
    return _maker(_MOMENT if isinstance(kind, UtcDateTime) else kind, dialect)


_MOMENT = UtcDateTime()


@cache
def _maker(kind: sa.types.TypeEngine[Any], dialect: sa.Dialect) -> Callable[[Any], Any] | None:
    make = kind.dialect_impl(dialect).bind_processor(dialect)
    is_of_few = isinstance(kind, sa.Enum | sa.Date)
    return lru_cache(maxsize=2_000)(make) if make and is_of_few else make
