"""Backups of this installation, and what has to be done first after one was restored (P36)."""

from __future__ import annotations

import re
import time
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import sqlalchemy as sa
from flask import current_app

from sgpshop import logs
from sgpshop.domain.payment_calendar import JST
from sgpshop.extensions import db
from sgpshop.models import (
    Attempt,
    Billing,
    BillingState,
    CardTransaction,
    InstallationFact,
    LoginSession,
    Order,
    WorkerBeat,
    utc_now,
)
from sgpshop.services.orders import feed, money_movements
from sgpshop.services.payments import transaction_lookup
from sgpshop.storage import backup, queue, schema, vault
from sgpshop.storage.database import writing

#: Fact of a database that was filled from a backup, until `finish_restore`: when that was taken.
RESTORED = "restored"
_LAST = "last_backup"
_DAILY = re.compile(r"sgpshop-\d{8}-\d{6}\.backup")


@dataclass(frozen=True)
class Taken:
    """A backup that was written."""

    size: int
    has_keys: bool


def take(path: Path) -> Taken:
    """Write the backup `path` while everybody works on.  Raises what storage.backup.write raises."""
    began, config = time.monotonic(), current_app.config
    keys = {name: str(config[name]) for name in ("SECRET_KEY", "ENCRYPTION_KEY")}
    passphrase = str(config["BACKUP_PASSPHRASE"])
    is_sqlite = db.engine.dialect.name == "sqlite"
    about = backup.About(
        version=schema.wanted(),
        database="sqlite" if is_sqlite else "postgresql",
        taken_at=utc_now(),
        key_fingerprint=vault.fingerprint(),
        has_keys=bool(passphrase),
    )
    size = backup.write(path, about, keys, passphrase)
    with writing() as session:
        session.merge(InstallationFact(name=_LAST, value=f"{about.taken_at.isoformat()} {size}"))
    logs.event("backup", size=size, seconds=round(time.monotonic() - began, 1))
    return Taken(size, about.has_keys)


def take_daily(now: datetime) -> None:
    """Write a backup named after `now` into BACKUP_FOLDER, and keep the newest BACKUP_KEEP."""
    folder = Path(current_app.config["BACKUP_FOLDER"])
    taken = folder / now.astimezone(JST).strftime("sgpshop-%Y%m%d-%H%M%S.backup")
    take(taken)
    others = [file for file in folder.iterdir() if _DAILY.fullmatch(file.name) and file != taken]
    # This one stays whatever others are called: a clock that was wrong once named them after the future.
    for old in sorted(others, reverse=True)[current_app.config["BACKUP_KEEP"] - 1 :]:
        old.unlink(missing_ok=True)


def last() -> tuple[datetime, int] | None:
    """When the newest backup was taken, and its bytes; None before any."""
    value = db.session.scalar(sa.select(InstallationFact.value).filter_by(name=_LAST))
    if value is None:
        return None
    taken_at, _, size = value.partition(" ")
    return datetime.fromisoformat(taken_at), int(size)


def restore(path: Path, about: backup.About) -> int | None:
    """Fill our empty database from `path`; how many payments are looked up now.

    None: it is of an earlier version, and `migrate` goes on.  Raises NewerSchema for a later one,
    EnvironmentUnusable where our key is not the backup's, and what storage.backup.restore raises.
    """
    if about.version not in schema.known():
        raise schema.NewerSchema
    backup.restore(path, about, {RESTORED: about.taken_at.isoformat()})
    logs.event("restored", taken_at=about.taken_at.isoformat(), version=about.version)
    if not schema.is_current():
        return None
    queue.make_tables()
    return finish_restore()


def finish_restore() -> int:
    """Have everything looked up that may have moved since the backup was taken; how much that is.

    Nothing is sent for a payment before it was (journal.claim).  Nobody is signed in any more: who
    left or changed a password since would be back.  Once; 0 where nothing was restored.
    """
    now = utc_now()
    with writing() as session:
        restored = session.get(InstallationFact, RESTORED, with_for_update=True)
        if restored is None:
            return 0
        may_change = sa.exists().where(
            Order.id == CardTransaction.order_id,
            sa.or_(
                Order.payment_status.not_in(transaction_lookup.SETTLED),
                Order.updated_at >= now - transaction_lookup.CHANGEABLE,
                CardTransaction.captured_at >= now - transaction_lookup.CHANGEABLE,
            ),
        )
        table = sa.update(CardTransaction).execution_options(synchronize_session=False)
        session.execute(table.values(is_restored=True))
        due = session.execute(
            table.where(transaction_lookup.MAY_HOLD_MONEY, may_change).values(
                next_look_at=now, first_look_at=None
            )
        )
        # Whoever held them works on the books of before, or not at all: the worker goes on with them.
        # What a monthly file carries is due by that file alone (P29): a call would charge it besides.
        session.execute(
            sa.update(Attempt)
            .where(Attempt.is_open, Attempt.due_at.is_not(None))
            .values(due_at=now)
            .execution_options(synchronize_session=False)
        )
        # What was asked about a line before does not know what was told since (preparing.is_ready).
        is_planned = Billing.state == BillingState.PLANNED
        session.execute(sa.update(Billing).where(is_planned).values(ready_at=None))
        for model in (LoginSession, WorkerBeat):
            session.execute(sa.delete(model))
        feed.begin_anew(session)
        since = f"{restored.value} {now.isoformat()}"
        session.merge(InstallationFact(name=money_movements.PUT_BACK, value=since))
        session.delete(restored)
    return int(due.rowcount)  # type: ignore[attr-defined]
