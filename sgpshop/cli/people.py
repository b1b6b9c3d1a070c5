"""Commands about people and rights (interfaces.md §2)."""

from __future__ import annotations

import os
import sys

import click
from flask import current_app
from flask.cli import with_appcontext

from sgpshop.cli.shop import with_shop
from sgpshop.models import Role
from sgpshop.services import settings
from sgpshop.services.access import people, second_factor
from sgpshop.services.installation import first_set_up
from sgpshop.web.frame.security import list_rights

_PASSWORD = "SGPSHOP_NEW_PASSWORD"  # noqa: S105 - the name of a variable


@click.command("create-user")
@click.argument("name")
@click.option("--role", required=True, type=click.Choice([role.value for role in Role]))
@with_shop
def create_user(name: str, role: str) -> None:
    """Register somebody who may sign in.

    The password comes from SGPSHOP_NEW_PASSWORD or standard input (first line).
    """
    people.create(name, _new_password(), Role(role))
    click.echo(f"{name} ({Role(role).label}) を登録しました。")


@click.command("first-owner-link")
@with_shop
def first_owner_link() -> None:
    """Print the one-time link by which the first owner is registered in the browser.

    Exit 1 once anybody is registered.
    """
    base = current_app.config["PUBLIC_URL"] or "https://(このショップのアドレス)"
    click.echo(f"{base.rstrip('/')}/setup?link={first_set_up.make_link()}")
    click.echo(
        f"{first_set_up.LINK_HOURS}時間以内に、ブラウザーで開いてください。"
        "最初のオーナーを登録すると使えなくなります。ほかの人に渡さないでください。",
        err=True,
    )


@click.command("reset-second-factor")
@click.argument("name")
@with_shop
def reset_second_factor(name: str) -> None:
    """Turn 2段階認証 off for somebody who lost telephone and codes; their sessions end."""
    second_factor.reset_of(name)
    click.echo(f"{name} の2段階認証を解除し、ログインを終了しました。")


@click.command("allow-all-networks")
@with_shop
def allow_all_networks() -> None:
    """Lift 接続元 for whoever is locked out by it: screens and API open from everywhere again."""
    lifted = settings.save("allow-all-networks", screen_networks="", api_networks="")
    click.echo(
        "接続元の制限を解除しました。どこからでも開けます。"
        if lifted
        else "接続元の制限はありません。"
    )


@click.command("routes-and-rights")
@with_appcontext
def routes_and_rights() -> None:
    """Print every route with the right it needs; exit 1 if one names none."""
    rights = list_rights(current_app)
    for methods, rule, right in rights:
        click.echo(f"{methods:<12} {rule:<45} {right or '-'}")
    sys.exit(0 if all(right for _, _, right in rights) else 1)


def _new_password() -> str:
    if password := os.environ.get(_PASSWORD):
        return password
    if sys.stdin.isatty():
        return str(click.prompt("パスワード", hide_input=True, confirmation_prompt=True))
    return sys.stdin.readline().rstrip("\r\n")
