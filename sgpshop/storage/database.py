"""How we use the database: safe SQLite settings, and one way to write (P31, P8)."""

from __future__ import annotations

import os
import sqlite3
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar, TypeVarTuple

import sqlalchemy as sa
from flask import current_app
from sqlalchemy import event
from sqlalchemy.dialects import sqlite as sqlite_dialect
from sqlalchemy.exc import DBAPIError, OperationalError
from sqlalchemy.orm import Session

from sgpshop import logs
from sgpshop.extensions import db
from sgpshop.models import Base
from sgpshop.storage import news, queue, schema, waiting
from sgpshop.storage.database_words import hide_row, is_unavailable

if TYPE_CHECKING:
    from sqlalchemy.dialects import postgresql

_V = TypeVar("_V")
_Columns = TypeVarTuple("_Columns")

_PARAMETERS = 900
_BEGIN = "sqlite_begin"
_WAIT = "sqlite_wait"
#: Seconds a writer waits for its turn; then it is told that the database is not to be had (P32).
WRITE_WAIT = 6
#: Seconds PostgreSQL lets a transaction stand still: a process that was stopped holds rows, and
#: loses them while the lease of its work still runs (P17).
_IDLE_IN_TRANSACTION = 30
#: A PostgreSQL server whose machine or network is gone says nothing, not even no.  Seconds until it is taken
#: for gone: while we connect, and while we wait for an answer; else it was two minutes, and two hours.
#: What DATABASE_URL says itself counts.
SILENT_SERVER = {
    "connect_timeout": 5,
    "keepalives_idle": 10,
    "keepalives_interval": 5,
    "keepalives_count": 3,
    "tcp_user_timeout": 20_000,  # milliseconds
}
#: Stands in a statement whose plan is a matter of its values: PostgreSQL plans it anew for them each time.  Others
#: it may plan once for all (kept_statements.py).
ANEW = "/* planned anew */"
#: And in one for which planning takes far longer than asking, whatever its values: a page's figures in one row.
#: PostgreSQL, which counts little for planning, would plan it for each.
ONCE = "/* planned once */"
#: Seconds for which a connection keeps what it prepared.
_PLANS_KEPT_FOR = 30.0
#: So many seconds nobody else waits for one that said nothing.
_SILENT_FOR = 5.0
_TRY_EVERY = 0.005
#: Pages of SQLite's log after which it is to begin anew, and bytes its file keeps then; milliseconds
#: that this may keep writers waiting.
LONG_LOG, _LOG_KEPT, _LOG_WAIT = 4_000, 48_000_000, 300
#: Bytes that SQLite takes for all connections of a process; beyond them each puts the next page into the place of
#: one of its own, as it would after 2 MB of them.  Half a megabyte of each is the schema.
_IN_MEMORY = 12_000_000
#: KiB of the database at hand for a command that writes very much.
_MUCH = 128_000
_PATIENCE = f"PRAGMA busy_timeout={WRITE_WAIT * 1000}"
_IMPATIENCE = "PRAGMA busy_timeout=200"
_PRAGMAS = (
    _PATIENCE,  # first: the next ones may have to wait themselves
    "PRAGMA journal_mode=WAL",
    "PRAGMA synchronous=FULL",
    "PRAGMA foreign_keys=ON",
    "PRAGMA temp_store=MEMORY",
    # A worker writes the log back (fold_back).  Where none runs, whoever commits does, while all writers wait.
    "PRAGMA wal_autocheckpoint=12000",
    f"PRAGMA journal_size_limit={_LOG_KEPT}",
    f"PRAGMA soft_heap_limit={_IN_MEMORY}",
)


def prepare_engine(engine: sa.Engine) -> None:
    """Give an SQLite engine durable settings and explicit BEGINs, PostgreSQL limits for waiting.

    Without an explicit BEGIN IMMEDIATE a read that turns into a write fails at once on SQLite,
    whatever the busy timeout says.
    """
    if engine.dialect.name != "sqlite":
        _limit_waiting(engine)
        return
    if engine.url.database:
        with suppress(OSError):  # exists already; if it cannot be made, connecting says so
            os.close(os.open(engine.url.database, os.O_CREAT | os.O_EXCL, 0o600))  # S12

    @event.listens_for(engine, "connect")
    def _on_connect(connection: sqlite3.Connection, _record: Any) -> None:
        connection.isolation_level = None  # we say BEGIN ourselves
        for pragma in _PRAGMAS:
            connection.execute(pragma)

    @event.listens_for(engine, "handle_error")
    def _on_error(context: sa.ExceptionContext) -> None:
        # A connection opened while the file was read-only stays so when the file is not any more:
        # it and its like are given up, and the next ones see the file as it is then (P32).
        code = getattr(context.original_exception, "sqlite_errorcode", None) or 0
        if code & 0xFF == sqlite3.SQLITE_READONLY:
            context.is_disconnect = True

    @event.listens_for(engine, "begin")
    def _on_begin(connection: sa.Connection) -> None:
        options = connection.get_execution_options()
        begin = "BEGIN " + options.get(_BEGIN, "DEFERRED")
        if _WAIT in options:
            _begin_within(options[_WAIT], connection, begin)
        elif _BEGIN in options:
            connection.exec_driver_sql(begin)
        else:  # it asks nothing of the file yet: nothing that could fail, and the shorter way
            _raw(connection).execute(begin)


def _limit_waiting(engine: sa.Engine) -> None:
    """PostgreSQL would wait for ever for a lock, and for the process that holds it (P32); and we for a
    server that says nothing.
    """
    # Loaded here: with SQLite nobody needs psycopg.
    from sgpshop.storage import kept_statements

    silent_until = float("-inf")

    @event.listens_for(engine, "do_connect")
    def _connecting(
        dialect: Any, _record: Any, arguments: list[Any], parameters: dict[str, Any]
    ) -> Any:
        if time.monotonic() < silent_until:
            raise dialect.loaded_dbapi.OperationalError("the server said nothing a moment ago")
        for name, value in SILENT_SERVER.items():
            parameters.setdefault(name, value)
        parameters["cursor_factory"] = kept_statements.Cursor
        return kept_statements.Connection.connect(*arguments, **parameters)

    @event.listens_for(engine, "handle_error")
    def _failed(context: sa.ExceptionContext) -> None:
        nonlocal silent_until
        hide_row(context.original_exception, context.sqlalchemy_exception)
        if isinstance(
            context.original_exception, context.dialect.loaded_dbapi.errors.ConnectionTimeout
        ):
            silent_until = time.monotonic() + _SILENT_FOR

    @event.listens_for(engine, "connect")
    def _on_connect(connection: Any, _record: Any) -> None:
        connection.execute(f"SET lock_timeout = '{WRITE_WAIT}s'")
        connection.execute(f"SET idle_in_transaction_session_timeout = '{_IDLE_IN_TRANSACTION}s'")
        # Of what its indexes hold of few rows PostgreSQL expects many: starting others to read them with takes
        # ten times as long as reading them, and they have other pages to serve.
        connection.execute("SET max_parallel_workers_per_gather = 0")
        connection.commit()


def keep_statements() -> None:
    """What PostgreSQL prepared for a page is kept for the next ones: said by processes that show pages."""
    if db.engine.dialect.name == "postgresql":
        from sgpshop.storage import kept_statements

        kept_statements.Connection.kept_for = _PLANS_KEPT_FOR


def _raw(connection: sa.Connection) -> sqlite3.Connection:
    """SQLite's own connection below."""
    raw = connection.connection.driver_connection
    assert isinstance(raw, sqlite3.Connection)
    return raw


def _begin_within(seconds: float, connection: sa.Connection, begin: str) -> None:
    """Try often: SQLite's own waiting sleeps longer and longer, and misses its turn for seconds
    while another process writes one transaction after the other."""
    raw = _raw(connection)
    until = time.monotonic() + seconds
    raw.execute("PRAGMA busy_timeout=0")
    try:
        while time.monotonic() < until:
            try:
                raw.execute(begin)
            except sqlite3.OperationalError:
                time.sleep(_TRY_EVERY)
            else:
                return
        connection.exec_driver_sql(begin)
    finally:
        _be_patient(raw)


def _be_patient(raw: sqlite3.Connection) -> None:
    with suppress(sqlite3.ProgrammingError):  # it was given up
        raw.execute(_PATIENCE)


_FOLDED_AT = "sgpshop.log"


def fold_back() -> None:
    """Write SQLite's log back into its file, if it was written to; let a long one begin anew.

    So whoever copies the file alone, without the one beside it, misses no more than the last seconds.  A
    log is written from its beginning again only when nobody reads in it.  So while a long one is written
    back, nobody writes until the reading transactions that are open have ended, for _LOG_WAIT at most;
    else the next time.
    """
    path = db.engine.url.database
    if db.engine.dialect.name != "sqlite" or path is None:
        return
    log = Path(f"{path}-wal")
    written_at = log.stat().st_mtime_ns if log.exists() else 0
    if current_app.extensions.get(_FOLDED_AT) == written_at:
        return
    with db.engine.connect() as connection:
        raw = _raw(connection)
        # Most of it while others write: neither waits for the other.
        pages, is_over = _checkpoint(raw, "PASSIVE", 0)
        if pages >= LONG_LOG:
            _, is_over = _checkpoint(raw, "RESTART", _LOG_WAIT)
    if is_over:
        current_app.extensions[_FOLDED_AT] = written_at


def _checkpoint(raw: sqlite3.Connection, how: str, milliseconds: int) -> tuple[int, bool]:
    """Pages in the log, and whether everything that was to be done is done."""
    raw.execute(f"PRAGMA busy_timeout={milliseconds}")
    try:
        [is_busy, pages, written] = raw.execute(f"PRAGMA wal_checkpoint({how})").fetchone()
    finally:
        _be_patient(raw)
    return pages, not is_busy and written == pages


def take_time(session: Session) -> None:
    """Of a command nobody waits for: let this transaction stand still for as long as what it writes is made.

    On SQLite its connection keeps more of the database at hand from now on: of a big one each new row
    belongs into pages all over it.
    """
    if session.get_bind().dialect.name == "postgresql":
        session.execute(sa.text("SET LOCAL idle_in_transaction_session_timeout = 0"))
    else:
        session.execute(sa.text("PRAGMA soft_heap_limit = 0"))
        session.execute(sa.text(f"PRAGMA cache_size = -{_MUCH}"))


@contextmanager
def planned_anew(session: Session) -> Iterator[None]:
    """Much is asked by many numbers: let PostgreSQL plan each of these statements for them, and go by indexes.

    A plan that is kept is one of when the tables were smaller: of an empty one it reads the whole.  And a page that is
    read out of order counts four times as much as it costs: it would rather read 100,000 rows than look 400 up.
    """
    is_postgresql = session.get_bind().dialect.name == "postgresql"
    if is_postgresql:
        session.execute(_BY_NUMBERS)
    yield
    if is_postgresql:  # triggers have plans of their own, for each row the same
        session.execute(sa.text("SET LOCAL plan_cache_mode = auto"))


_BY_NUMBERS = sa.text(
    "SELECT set_config('plan_cache_mode', 'force_custom_plan', true), set_config('random_page_cost', '1.1', true)"
)


def insert(session: Session, table: sa.Table) -> sqlite_dialect.Insert | postgresql.Insert:
    """INSERT that can say ON CONFLICT, which both databases spell alike."""
    if session.get_bind().dialect.name == "sqlite":
        return sqlite_dialect.insert(table)
    from sqlalchemy.dialects import postgresql  # 2 MB that SQLite has no use for

    return postgresql.insert(table)


def write_alone(session: Session, table: type[Base]) -> None:
    """Let nobody else write `table` until this transaction ends; on SQLite nobody does anyway.

    Others read on.  Before all reading of what is decided on: then it stays true until the commit.
    """
    if session.get_bind().dialect.name == "postgresql":
        session.execute(sa.text(f"LOCK TABLE {table.__tablename__} IN SHARE ROW EXCLUSIVE MODE"))


def chunks(values: Sequence[_V]) -> Iterator[Sequence[_V]]:
    """`values` in parts that SQLite is sure to take as parameters of one statement."""
    for start in range(0, len(values), _PARAMETERS):
        yield values[start : start + _PARAMETERS]


def read_alone(statement: sa.Select[_V]) -> list[_V]:
    """The values of a query's one column; the transaction that read them is over (P8)."""
    found = list(db.session.scalars(statement))
    db.session.commit()
    return found


def asked_alone(
    statement: sa.Select[*_Columns], values: Mapping[str, Any]
) -> sa.Row[*_Columns] | None:
    """The first row of one question on a connection of its own: nothing is held, in no transaction seen before."""
    with db.engine.connect() as connection:
        # There BEGIN and COMMIT would each be waited for.
        if connection.dialect.name == "postgresql":
            connection = connection.execution_options(isolation_level="AUTOCOMMIT")
        return connection.execute(statement, values).first()


def end_reading(session: Session) -> None:
    """Let go of what was read; where nothing was, even saying so would cost as much as a small question."""
    if session.in_transaction():
        session.commit()


_writer = threading.RLock()


@contextmanager
def writing_in_turn(within: float | None = None) -> Iterator[None]:
    """Let one thread of this process write at a time: SQLite's own waiting polls and wakes late."""
    if db.engine.dialect.name != "sqlite":
        yield
        return
    if not _writer.acquire(blocking=False):
        with waiting.for_the_database() as may_wait:
            patience = WRITE_WAIT if within is None else within
            if not (may_wait and _writer.acquire(timeout=patience)):
                raise _too_long()
    try:
        yield
    finally:
        _writer.release()


@contextmanager
def _room_for_locks() -> Iterator[None]:
    """On PostgreSQL any writing transaction may have to wait for rows that another one holds."""
    if db.engine.dialect.name != "postgresql":
        yield
        return
    with waiting.for_the_database() as may_wait:
        if not may_wait:
            raise _too_long()
        yield


def _too_long() -> OperationalError:
    problem = sqlite3.OperationalError("locked")
    problem.sqlite_errorcode = sqlite3.SQLITE_BUSY
    return OperationalError("waiting for other writers", None, problem)


@contextmanager
def writing(within: float | None = None) -> Iterator[Session]:
    """One write transaction on the request's or operation's session: commit, or roll back all.

    Yields the session.  Whatever was read before is let go of first, so read again, with
    `populate_existing`, what the decision rests on.  Never call the gateway inside (P8).
    Raises OperationalError when its turn has not come `within` so many seconds (WRITE_WAIT, P32).
    """
    within = WRITE_WAIT if within is None else within
    session = db.session()
    end_reading(session)  # SQLite cannot turn a reading transaction into a writing one
    until = time.monotonic() + within
    with writing_in_turn(max(0.0, within)), _room_for_locks():
        left = max(0.001, until - time.monotonic())
        # On SQLite the lock comes before the first read, so what was read stays true until the commit.
        options = {_BEGIN: "IMMEDIATE", _WAIT: left}  # one wait, whether for threads or processes
        connection = session.connection(execution_options=options)
        if within < WRITE_WAIT and connection.dialect.name != "sqlite":
            connection.exec_driver_sql(f"SET LOCAL lock_timeout = '{round(left * 1000)}ms'")
        try:
            schema.before_writing(session)
            yield session
            session.commit()
        except BaseException:
            session.rollback()
            queue.forget_told(session)
            news.forget_told(session)
            raise
    # After the commit, and after the next writer has its turn.
    queue.send_told(session)
    news.send_told(session)


@contextmanager
def short_write(within: float | None = None) -> Iterator[sa.Connection]:
    """A short write transaction beside the session's, on a connection of its own, in turn.

    Raises OperationalError when its turn does not come `within` so many seconds (WRITE_WAIT, P32).
    """
    within = WRITE_WAIT if within is None else within
    with writing_in_turn(within), db.engine.connect() as connection:
        options = {_BEGIN: "IMMEDIATE", _WAIT: within}
        with connection.execution_options(**options).begin():
            if within < WRITE_WAIT and connection.dialect.name != "sqlite":
                connection.exec_driver_sql(f"SET LOCAL lock_timeout = '{round(within * 1000)}ms'")
            yield connection


@contextmanager
def writing_without_waiting() -> Iterator[sa.Connection]:
    """A short write transaction on a connection of its own that gives up when it would have to wait.

    For what is better left out than waited for.  Raises OperationalError while the database is
    locked, full or read-only (P32).
    """
    with db.engine.connect() as connection:
        raw = connection.connection.driver_connection
        if not isinstance(raw, sqlite3.Connection):
            with connection.begin():
                connection.exec_driver_sql("SET LOCAL lock_timeout = '200ms'")
                yield connection
            return
        raw.execute(_IMPATIENCE)
        try:
            with connection.execution_options(**{_BEGIN: "IMMEDIATE"}).begin():
                yield connection
        finally:
            _be_patient(raw)


def write_if_free(statement: sa.Update, event: str) -> None:
    """Write what is better left out than waited for; `event` is logged where it was (P32)."""
    try:
        with writing_without_waiting() as connection:
            connection.execute(statement)
    except DBAPIError as problem:
        if not is_unavailable(problem):
            raise
        logs.event(event)
