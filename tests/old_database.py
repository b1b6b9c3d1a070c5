"""Databases as earlier versions left them: an old schema, and rows written with its columns alone."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from flask import current_app
from flask_migrate import Migrate, upgrade

from sgpshop.extensions import db
from sgpshop.models import utc_now
from sgpshop.storage import schema
from sgpshop.storage.database import writing

#: SQLite databases as the tests of this process were given them: key, what was written at the first
#: version, version.
_given: dict[tuple[str, Callable[[], None] | None, str], bytes] = {}


def upgrade_to(version: str, written: Callable[[], None] | None = None) -> None:
    """Run the migrations up to this one, as the program of that time did.

    `written` is called at the first version.  An empty SQLite database begins where an earlier test
    was given one of the same beginning: each migration on the way there is run once a process.
    """
    app = current_app._get_current_object()  # type: ignore[attr-defined]
    Migrate(app, db, directory=str(schema.MIGRATIONS))
    is_kept = db.engine.dialect.name == "sqlite" and not sa.inspect(db.engine).get_table_names()
    beginning = (app.config["ENCRYPTION_KEY"], written)
    given = [one for one in schema.known() if one <= version and (*beginning, one) in _given]
    if is_kept and given:
        db.engine.dispose()
        Path(str(db.engine.url.database)).write_bytes(_given[*beginning, given[-1]])
    elif written:
        upgrade(revision="0001")
        written()
    upgrade(revision=version)
    if not is_kept:
        return
    with db.engine.connect() as connection:
        driver = connection.connection.driver_connection
        assert driver is not None
        _given[*beginning, version] = driver.serialize()


def insert(table: str | sa.Table, *rows: dict[str, Any]) -> None:
    """Rows into `table` as the database has it now; what must not be empty gets something."""
    with writing() as session:
        if isinstance(table, str):
            of = session.connection()
            table = sa.Table(table, sa.MetaData(), autoload_with=of, resolve_fks=False)
        for one in rows:
            session.execute(sa.insert(table).values(_filler(table) | one))


def _filler(table: sa.Table) -> dict[str, Any]:
    words = {
        "method": "SGP", "kind": "normal", "processing_class": "unprocessed",
        "actor_kind": "import", "status": "unprocessed", "detail": {}, "version": 1,
        "is_current": True,
    }  # fmt: skip
    values: dict[str, Any] = {}
    for column in table.columns:
        if column.primary_key or column.nullable:
            continue
        if column.name in words:
            values[column.name] = words[column.name]
        elif isinstance(column.type, sa.DateTime):
            values[column.name] = utc_now()
        elif isinstance(column.type, sa.Date):
            values[column.name] = utc_now().date()
        elif isinstance(column.type, sa.Boolean):
            values[column.name] = False
        elif isinstance(column.type, sa.LargeBinary):
            values[column.name] = b""
        else:
            values[column.name] = 0 if isinstance(column.type, sa.Integer) else ""
    return values
