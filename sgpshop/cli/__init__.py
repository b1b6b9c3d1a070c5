"""The command line of contract.md §2: `python app.py COMMAND`.

Exit codes: 0 done, 1 the answer is «no», 2 wrong use.
"""

from __future__ import annotations

import sys
from importlib import import_module

import click
from flask.cli import ScriptInfo

from sgpshop import logs
from sgpshop.config import ConfigurationError
from sgpshop.domain.errors import ShopError

#: Command -> module and name; a module is loaded only for its own commands, so each starts fast.
_COMMANDS = {
    "demo": "run:demo",
    "web": "run:web",
    "worker": "run:worker",
    "simulator": "run:simulator",
    "migrate": "checks:migrate",
    "resolve": "checks:resolve",
    "compare-ledgers": "checks:compare_ledgers",
    "verify-history": "checks:verify_history",
    "create-user": "people:create_user",
    "create-api-key": "api_keys:create_api_key",
    "revoke-api-key": "api_keys:revoke_api_key",
    "routes-and-rights": "people:routes_and_rights",
    "import-orders": "orders:import_orders",
    "export-orders": "order_files:export_orders",
    "import-slips": "slips:import_slips",
    "seed-demo": "orders:seed_demo",
    "report-subscriptions": "billing:report_subscriptions",
}


class _Commands(click.Group):
    """Finds commands by the table above."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(_COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        return _load(cmd_name) if cmd_name in _COMMANDS else None


@click.group(cls=_Commands, invoke_without_command=True)
@click.pass_context
def commands(context: click.Context) -> None:
    """SGP Shop.  Without a command: the demo (web, worker and simulator)."""
    if context.invoked_subcommand not in ("web", "worker"):
        logs.write_to("stderr")  # stdout is for what the command answers
    if context.invoked_subcommand is None:
        context.invoke(_load("demo"))


def main() -> None:
    """Run the command line and exit with its code."""
    from sgpshop import create_app

    script = ScriptInfo(create_app=create_app, set_debug_flag=False)
    try:
        commands.main(obj=script, prog_name="app.py")
    except ConfigurationError as problem:
        click.echo(f"設定エラー: {problem}", err=True)
        sys.exit(2)
    except ShopError as problem:
        click.echo(problem.message, err=True)
        sys.exit(1)


def _load(command: str) -> click.Command:
    module, _, name = _COMMANDS[command].partition(":")
    found: click.Command = getattr(import_module(f"sgpshop.cli.{module}"), name)
    return found
