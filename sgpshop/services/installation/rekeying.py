"""Another ENCRYPTION_KEY: all that hangs on the old one is written anew, in one transaction (S10, P5).

Passwords, one-time tokens and kept files are opened with the old key and sealed with ours.  The
chains of histories, beginnings and activities are proved with the old key, entry by entry, and linked with ours:
what somebody altered would otherwise count as written by us from now on, so nothing is changed then.
A process that is killed meanwhile leaves the old key's database, and the command is repeated.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import groupby
from typing import Any, NamedTuple

import sqlalchemy as sa
from sqlalchemy.exc import OperationalError
from sqlalchemy.orm import Session

from sgpshop.domain import history_chain
from sgpshop.domain.errors import ShopError
from sgpshop.extensions import db
from sgpshop.models import (
    Attempt,
    CardTransaction,
    HistoryEntry,
    ImportFile,
    Job,
    Order,
    Person,
    Setting,
    Webhook,
    table_of,
)
from sgpshop.services import installation, settings
from sgpshop.services.access import activities, one_time_codes
from sgpshop.services.order_files.importing import kept
from sgpshop.services.orders import beginnings, history
from sgpshop.services.outgoing.webhooks import receivers
from sgpshop.services.payments import stored_cards
from sgpshop.storage import jobs, schema, vault
from sgpshop.storage.among import among
from sgpshop.storage.chain import ChainBroken
from sgpshop.storage.database import WRITE_WAIT, writing

_entries, _orders = table_of(HistoryEntry), table_of(Order)
_GUARDED = ("history", "activities")
#: Rows written with one statement; orders whose histories are read with one.
_BATCH = 500
#: Seconds between two tries to have all tables for ourselves.
_TRY_EVERY = 0.02


@dataclass(frozen=True)
class Rekeyed:
    """What was written anew."""

    secrets: int
    entries: int


class _Altered(ShopError):
    """Nothing may be sealed as ours that is not as we wrote it."""

    def __init__(self, what: str) -> None:
        super().__init__(
            f"{what}。何も変更していません。verify-history で確認し、"
            "バックアップから戻すか、原因を調べてからもう一度実行してください。"
        )


def change_key(old_key: str) -> Rekeyed | None:
    """Bring the database from `old_key` to ours; None: it is ours already.

    Raises EnvironmentUnusable when the database is of neither key, AtWork while workers run, ShopError
    when something does not open or was altered.  Then nothing is changed.
    """
    schema.require_current()
    if not installation.require_to_be_rekeyed(old_key):
        return None
    with writing() as session:
        _keep_others_out(session)
        secrets = sum(_reseal(session, old_key, place) for place in _PLACES)
        with _writable(session):
            entries = _link_histories(session, old_key)
            _link_chains(session, old_key)
        installation.note_key(session)
    return Rekeyed(secrets, entries)


# ---- what is sealed -----------------------------------------------------------------------------


class _Place(NamedTuple):
    """A column that is sealed, what its seal is bound to, and how the context is made of that."""

    column: sa.Column[Any]
    bound: sa.ColumnElement[Any]
    context: Callable[[Any], str]
    #: rows that have any
    those: sa.ColumnElement[bool] = sa.true()


_settings, _cards, _attempts = map(table_of, (Setting, CardTransaction, Attempt))
_files, _jobs, _people, _webhooks = map(table_of, (ImportFile, Job, Person, Webhook))
_number = sa.select(_orders.c.order_no).where(_orders.c.id == _attempts.c.order_id)
_PLACES = (
    _Place(
        _settings.c.value,
        _settings.c.name,
        lambda name: f"setting:{name.removesuffix('_sealed')}",
        _settings.c.name.in_([f"{name}_sealed" for name in settings.SECRETS]),
    ),
    _Place(_cards.c.access_pass_sealed, _cards.c.gateway_order_id, vault.context_of_access_pass),
    _Place(_attempts.c.card_sealed, _number.scalar_subquery(), stored_cards.context_of),
    _Place(_files.c.content_sealed, _files.c.run_id, kept.context_of),
    _Place(_jobs.c.input_sealed, _jobs.c.token, jobs.context_of),
    _Place(_people.c.totp_sealed, _people.c.id, one_time_codes.context_of),
    _Place(_webhooks.c.secret_sealed, _webhooks.c.id, receivers.context_of),
)


def _reseal(session: Session, old_key: str, place: _Place) -> int:
    column = place.column
    table, [key] = column.table, list(column.table.primary_key)
    change = (
        sa.update(table).where(key == sa.bindparam("row")).values({column: sa.bindparam("new")})
    )
    wanted = sa.select(key, column.label("sealed"), place.bound.label("bound")).where(place.those)
    count = 0
    # Read whole before anything is written: the rows are short, and SQLite reads what it changes.
    rows = session.execute(wanted.where(sa.func.coalesce(column, "") != "")).all()
    for some in _batches(rows):
        changes = []
        for row in some:
            try:
                new = vault.reseal(row.sealed, place.context(row.bound), old_key)
            except vault.SealBroken as broken:
                raise _Altered(f"元の鍵で開けないものがあります({broken})") from None
            changes.append({"row": row[0], "new": new})
        session.connection().execute(change, changes)
        count += len(some)
    return count


# ---- chains -------------------------------------------------------------------------------------

_WITH_STATE = (
    sa.select(_orders.c.order_no, _orders.c.history_state, _entries)
    .join(_orders, _orders.c.id == _entries.c.order_id)
    .order_by(_entries.c.order_id, _entries.c.id)
)


def _link_histories(session: Session, old_key: str) -> int:
    old, new = vault.derived_key(history.CHAIN, old_key), vault.derived_key(history.CHAIN)
    move = sa.update(_orders).where(_orders.c.id == sa.bindparam("row"))
    move = move.values(history_state=sa.bindparam("state"))
    mark = sa.update(_entries).where(_entries.c.id == sa.bindparam("row"))
    mark = mark.values(mark=sa.bindparam("new"))
    connection, count = session.connection(), 0
    ids = session.scalars(sa.select(_orders.c.id).order_by(_orders.c.id)).all()
    for some in _batches(ids):
        moves, marks = [], []
        rows = connection.execute(_WITH_STATE.where(among(_orders.c.id, some))).mappings().all()
        for order_id, entries in groupby(rows, key=lambda row: int(row["order_id"])):
            before = after = history_chain.START
            for entry in entries:
                said = {name: entry[name] for name in history.LINKED}
                before = history_chain.link(old, before, said)
                after = history_chain.link(new, after, said)
                if entry["mark"] != history_chain.mark(old, before):
                    raise _Altered(
                        f"注文 {entry['order_no']} の履歴が、書かれたときのままではありません"
                    )
                marks.append({"row": entry["id"], "new": history_chain.mark(new, after)})
            if entry["history_state"] != before:
                raise _Altered(f"注文 {entry['order_no']} の履歴の最後の記録が削除されています")
            moves.append({"row": order_id, "state": after})
        if marks:
            connection.execute(mark, marks)
            connection.execute(move, moves)
        count += len(marks)
    return count


def _link_chains(session: Session, old_key: str) -> None:
    try:
        for chain in (beginnings.CHAIN, activities.CHAIN):
            chain.link_anew(session.connection(), old_key)
    except ChainBroken as broken:
        raise _Altered(str(broken)) from None


@contextmanager
def _writable(session: Session) -> Iterator[None]:
    """Without the guards that refuse changes of what is written, within this transaction alone."""
    if db.engine.dialect.name == "postgresql":
        for act in ("DISABLE", "ENABLE"):
            for table in _GUARDED:
                guard = f"ALTER TABLE {table} {act} TRIGGER {table}_no_update"
                session.execute(sa.text(guard))
            if act == "DISABLE":
                yield
        return
    query = sa.text("SELECT sql FROM sqlite_master WHERE type = 'trigger' AND name = :name")
    guards = []
    for table in _GUARDED:
        guard = session.scalar(query, {"name": f"{table}_no_update"})
        if guard is None:
            raise _Altered("履歴の変更を拒む仕組み(トリガー)がデータベースから外されています")
        guards.append(guard)
        session.execute(sa.text(f"DROP TRIGGER {table}_no_update"))
    yield
    for guard in guards:
        session.connection().exec_driver_sql(guard)


def _keep_others_out(session: Session) -> None:
    """Nobody writes meanwhile; on SQLite that is so anyway.

    All tables or none are taken: who holds none waits for nobody in a circle, whatever a writer has
    taken first.  Raises OperationalError when others write for WRITE_WAIT without a gap.
    """
    if db.engine.dialect.name != "postgresql":
        return
    chains = (beginnings.CHAIN, activities.CHAIN)
    tables = {column.table.name for column, *_ in _PLACES} | {_orders.name, _entries.name}
    tables |= {table.name for chain in chains for table in (chain.rows, chain.end)}
    lock = sa.text(f"LOCK TABLE {', '.join(sorted(tables))} IN EXCLUSIVE MODE NOWAIT")
    until = time.monotonic() + WRITE_WAIT
    while True:
        try:
            with session.begin_nested():
                session.execute(lock)
        except OperationalError:
            if time.monotonic() > until:
                raise
            time.sleep(_TRY_EVERY)
        else:
            return


def _batches(rows: Sequence[Any]) -> Iterator[Sequence[Any]]:
    for start in range(0, len(rows), _BATCH):
        yield rows[start : start + _BATCH]
