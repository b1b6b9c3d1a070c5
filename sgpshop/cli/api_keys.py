"""Commands about keys of the JSON API: `create-api-key`, `revoke-api-key` (interfaces.md §2, S13)."""

from __future__ import annotations

import sys
from datetime import date

import click

from sgpshop.cli.days import Day
from sgpshop.cli.shop import with_shop
from sgpshop.models import Scope
from sgpshop.services.access import api_keys

_COMMAND_LINE = "コマンド"


class _Scopes(click.ParamType[list[Scope]]):
    """Words of Scope divided by commas."""

    name = ",".join(Scope)

    def convert(
        self, value: str, param: click.Parameter | None, ctx: click.Context | None
    ) -> list[Scope]:
        try:
            return [Scope(word.strip()) for word in value.split(",")]
        except ValueError:
            self.fail(f"{value!r} is not among {self.name}", param, ctx)


@click.command("create-api-key")
@click.argument("name")
@click.option("--scope", "scopes", required=True, type=_Scopes(), help="divided by commas")
@click.option("--last-day", type=Day(), help="the key ends after that day")
@with_shop
def create_api_key(name: str, scopes: list[Scope], last_day: date | None) -> None:
    """Make a key for another program.  It is printed now and never again."""
    key = api_keys.create(name, scopes, by=_COMMAND_LINE, last_day=last_day)
    click.echo(key)
    click.echo(f"「{name}」のキーです。もう一度表示することはできません。", err=True)


@click.command("revoke-api-key")
@click.argument("prefix")
@with_shop
def revoke_api_key(prefix: str) -> None:
    """Make the key with that prefix (sgpk_ and 8 digits) worthless from the next request on."""
    if not prefix.startswith(api_keys.MARK) or len(prefix) > 20:  # perhaps the key itself
        click.echo(f"{api_keys.MARK}で始まるプレフィックスだけを指定してください。", err=True)
        sys.exit(2)
    key = api_keys.revoke(prefix, by=_COMMAND_LINE)
    click.echo(f"「{key.name}」({key.prefix}) を無効にしました。")
