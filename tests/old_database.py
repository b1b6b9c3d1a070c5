"""Databases as earlier versions left them: an old schema, and rows written with its columns alone."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from flask import current_app
from flask_migrate import Migrate, upgrade

from sgpshop.extensions import db
from sgpshop.models import utc_now
from sgpshop.storage import schema
from sgpshop.storage.database import writing


def upgrade_to(version: str) -> None:
    """Run the migrations up to this one, as the program of that time did."""
    app = current_app._get_current_object()  # type: ignore[attr-defined]
    Migrate(app, db, directory=str(schema.MIGRATIONS))
    upgrade(revision=version)


def insert(table: str, *rows: dict[str, Any]) -> None:
    """Rows into `table` as the database has it now; what must not be empty gets something."""
    with writing() as session:
        meta = sa.MetaData()
        found = sa.Table(table, meta, autoload_with=session.connection(), resolve_fks=False)
        for one in rows:
            session.execute(sa.insert(found).values(_filler(found) | one))


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
