"""Bring the database to this version of the program (P36).

Alembic is loaded only while migrating: a web process or worker that merely checks its version
starts faster and stays smaller without it.
"""

from __future__ import annotations

from pathlib import Path

import sqlalchemy as sa
from flask import current_app

from sgpshop.domain.errors import ShopError
from sgpshop.extensions import db

MIGRATIONS = Path(__file__).resolve().parent.parent / "migrations"


class NewerSchema(ShopError):
    """The database was written by a later version; starting on it could damage it."""

    def __init__(self) -> None:
        super().__init__(
            "データベースはこのプログラムより新しい版で作られています。新しい版のプログラムで起動してください。"
        )


def migrate() -> None:
    """Run the missing migrations.  Raises NewerSchema and then changes nothing."""
    present = _present()
    if present == _wanted():
        return
    if present is not None and present not in _known():
        raise NewerSchema
    from flask_migrate import Migrate, upgrade

    app = current_app._get_current_object()  # type: ignore[attr-defined]
    Migrate(app, db, directory=str(MIGRATIONS))
    upgrade()


def is_current() -> bool:
    """Whether the database is at this program's version."""
    return _present() == _wanted()


def _present() -> str | None:
    with db.engine.connect() as connection:
        if not sa.inspect(connection).has_table("alembic_version"):
            return None
        version: str | None = connection.execute(
            sa.text("SELECT version_num FROM alembic_version")
        ).scalar()
        return version


def _known() -> list[str]:
    """All revisions, oldest first: each file of migrations/versions begins with its number."""
    return sorted(path.stem.partition("_")[0] for path in (MIGRATIONS / "versions").glob("*_*.py"))


def _wanted() -> str:
    return _known()[-1]
