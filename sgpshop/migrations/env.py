"""Alembic's entry: runs the migrations on the app's own engine (see `python app.py migrate`)."""

from typing import Any, Literal

from alembic import context
from flask import current_app

from sgpshop.models.base import UtcDateTime


def render_item(kind: str, item: Any, _context: Any) -> str | Literal[False]:
    """Write our time type as the plain one it is in the database, so old migrations stay true."""
    return "sa.DateTime(timezone=True)" if isinstance(item, UtcDateTime) else False


engine = current_app.extensions["migrate"].db.engine
metadata = current_app.extensions["migrate"].db.metadata

with engine.connect() as connection:
    context.configure(
        connection=connection,
        target_metadata=metadata,
        render_as_batch=True,
        compare_type=True,
        render_item=render_item,
    )
    with context.begin_transaction():
        context.run_migrations()
