"""Commands that look after the database and uncertain outcomes."""

from __future__ import annotations

import sys

import click
from flask.cli import with_appcontext

from sgpshop.services import resolver, schema


@click.command("migrate")
@with_appcontext
def migrate() -> None:
    """Bring the database to this version."""
    schema.migrate()


@click.command("resolve")
@with_appcontext
def resolve() -> None:
    """Look up every uncertain outcome now; exit 1 if any stays uncertain."""
    left = resolver.resolve_all()
    click.echo(f"結果確認中: {left}件")
    sys.exit(1 if left else 0)
