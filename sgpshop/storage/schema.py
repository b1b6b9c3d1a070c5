"""Bring the database to this version of the program (P36).

Alembic is loaded only while migrating: a web process or worker that merely checks its version
starts faster and stays smaller without it.
"""

from __future__ import annotations

import time
from functools import cache
from pathlib import Path

import sqlalchemy as sa
from flask import current_app
from sqlalchemy.orm import Session

from sgpshop.domain.errors import CouldNotAsk
from sgpshop.extensions import db

_ASKED_AT = _UNASKED = "sgpshop.schema"
MIGRATIONS = Path(__file__).resolve().parent.parent / "migrations"


class OtherSchema(CouldNotAsk):
    """The database is of an earlier version, or empty."""

    sentence = "データベースの準備ができていません: python app.py migrate"


class NewerSchema(CouldNotAsk):
    """The database was written by a later version; starting on it could damage it."""

    sentence = "データベースはこのプログラムより新しい版で作られています。新しい版のプログラムで起動してください。"


class HalfRestored(CouldNotAsk):
    """A restore was cut off before its end."""

    sentence = (
        "データベースの復元が途中で止まっています。空のデータベースを作り直して、"
        "もう一度 python app.py restore を実行してください。"
    )


def migrate() -> tuple[str | None, str]:
    """Run the missing migrations; the version before (None: empty) and the present one.

    Whether the key is the database's is asked before (services/installation.py).  Raises
    NewerSchema, and then changes nothing.
    """
    require_no_newer()
    present = _present()
    if present != wanted():
        from flask_migrate import Migrate, upgrade

        app = current_app._get_current_object()  # type: ignore[attr-defined]
        Migrate(app, db, directory=str(MIGRATIONS))
        upgrade()
    return present, wanted()


def require_no_newer() -> None:
    """Raise NewerSchema when the database is of a version this program does not know."""
    _require_known(_present())


def is_behind() -> bool:
    """Whether there is an earlier version's database to be brought to this one's."""
    return _present() not in (None, wanted())


def is_current() -> bool:
    """Whether the database is at this program's version."""
    return _present() == wanted()


def require_current() -> None:
    """Raise NewerSchema or OtherSchema unless the database is at this program's version."""
    _require(_present())


def require_unchanged(*, every: float = 0.0) -> bool:
    """The same while we run: somebody may have migrated the database under us (P36).

    Whether it was asked: one small query on the session, whose transaction is over afterwards; none
    within `every` seconds of the last good answer in this process, and then `before_writing` asks.
    """
    now, asked_at = time.monotonic(), current_app.extensions.get(_ASKED_AT, float("-inf"))
    is_left_out = db.session().info[_UNASKED] = now - asked_at < every
    if is_left_out:
        return False
    present = _present_to(db.session())
    db.session.commit()
    _require(present)
    current_app.extensions[_ASKED_AT] = now
    return True


def leave_unasked(session: Session) -> None:
    """The same is asked at the beginning of the write transaction that comes next, and not now."""
    session.info[_UNASKED] = True


def take_unasked(session: Session) -> bool:
    """Whether it was left out; who is told so asks, or has it asked by who writes for them."""
    return bool(session.info.pop(_UNASKED, False))


def before_writing(session: Session) -> None:
    """At the beginning of a write transaction: ask, if that was left out.  Raises as `require_current`."""
    if take_unasked(session):
        _require(_present_to(session))


def _present_to(session: Session) -> str | None:
    # On the connection: asked before each operation, and the session's own ways cost as much again.
    return session.connection().execute(_VERSION).scalar()


_VERSION = sa.text("SELECT version_num FROM alembic_version")


def _require(present: str | None) -> None:
    if present != wanted():
        _require_known(present)
        raise OtherSchema


def _require_known(present: str | None) -> None:
    if present is not None and present not in known():
        raise NewerSchema


def _present() -> str | None:
    with db.engine.connect() as connection:
        if not sa.inspect(connection).has_table("alembic_version"):
            return None
        version: str | None = connection.execute(_VERSION).scalar()
    if version is None:  # it is written last of all (storage/backup.py)
        raise HalfRestored
    return version


@cache
def known() -> list[str]:
    """All revisions, oldest first: each file of migrations/versions begins with its number.

    Those this process began with: the files of the next version may take their place under it.
    """
    return sorted(path.stem.partition("_")[0] for path in (MIGRATIONS / "versions").glob("*_*.py"))


def wanted() -> str:
    """The number of this program's newest migration."""
    return known()[-1]
