"""The command line of interfaces.md §2: `python app.py COMMAND`.

Exit codes: 0 done, 1 the answer is «no», 2 wrong use or a setting that cannot be used, 3 could not
ask (database or gateway away, other schema).  Every failure is one line.
"""

from __future__ import annotations

import gc
import sys
from importlib import import_module
from typing import TYPE_CHECKING, NoReturn

import click
from flask.cli import ScriptInfo

from sgpshop import logs
from sgpshop.domain.errors import CouldNotAsk, EnvironmentUnusable, ShopError

if TYPE_CHECKING:
    from flask import Flask

#: Command -> module and name; a module is loaded only for its own commands, so each starts fast.
_COMMANDS = {
    "demo": "run:demo",
    "web": "run:web",
    "worker": "run:worker",
    "simulator": "run:simulator",
    "migrate": "checks:migrate",
    "backup": "backup:backup",
    "restore": "backup:restore",
    "move-database": "backup:move_database",
    "change-encryption-key": "backup:change_encryption_key",
    "resolve": "checks:resolve",
    "check-search": "checks:check_search",
    "check-sums": "checks:check_sums",
    "compare-ledgers": "checks:compare_ledgers",
    "verify-history": "checks:verify_history",
    "first-owner-link": "people:first_owner_link",
    "create-user": "people:create_user",
    "reset-second-factor": "people:reset_second_factor",
    "allow-all-networks": "people:allow_all_networks",
    "create-api-key": "api_keys:create_api_key",
    "revoke-api-key": "api_keys:revoke_api_key",
    "routes-and-rights": "people:routes_and_rights",
    "import-orders": "orders:import_orders",
    "export-orders": "order_files:export_orders",
    "export-labels": "labels:export_labels",
    "export-journal": "journals:export_journal",
    "import-slips": "slips:import_slips",
    "seed-demo": "orders:seed_demo",
    "report-subscriptions": "billing:report_subscriptions",
    "close-results": "billing:close_results",
}


class _Commands(click.Group):
    """Finds commands by the table above."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(_COMMANDS)

    def invoke(self, ctx: click.Context) -> object:
        """Run a command; what it fails with becomes a line and an exit code."""
        try:
            return super().invoke(ctx)
        except EnvironmentUnusable as problem:
            _fail(f"設定エラー: {problem.message}", 2)
        except CouldNotAsk as problem:
            _fail(problem.message, 3)
        except ShopError as problem:
            _fail(problem.message, 1)
        except Exception as problem:
            line, code = _gateway_trouble(problem) or _database_trouble(ctx, problem)
            if not code:
                raise
            _fail(line, code)

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
    script = ScriptInfo(create_app=_load_app, set_debug_flag=False)
    commands.main(obj=script, prog_name="app.py")


def _load_app() -> Flask:
    """The application; what is loaded stays, so nobody looks for rubbish in it, now or later."""
    from sgpshop import create_app

    gc.disable()
    try:
        return create_app(with_screens=click.get_current_context().info_name != "worker")
    finally:
        gc.freeze()
        gc.enable()


def _gateway_trouble(problem: Exception) -> tuple[str, int] | None:
    """Line and exit code for what the gateway did not answer, or refused."""
    if "sgpshop.gateway" not in sys.modules:
        return None
    from sgpshop.gateway import GatewayError

    return (str(problem), 3) if isinstance(problem, GatewayError) else None


def _database_trouble(ctx: click.Context, problem: Exception) -> tuple[str, int]:
    """Line and exit code for a database that cannot be had; 0: it is something else."""
    if "sqlalchemy" not in sys.modules:  # the simulator does without, and starts faster
        return "", 0
    from sqlalchemy.exc import SQLAlchemyError

    from sgpshop.storage import database_words

    if not isinstance(problem, SQLAlchemyError):
        return "", 0
    is_address = database_words.is_wrong_address(problem)
    if not (is_address or database_words.is_unavailable(problem)):
        return "", 0
    with ctx.ensure_object(ScriptInfo).load_app().app_context():
        return database_words.what_is_wrong(problem), 2 if is_address else 3


def _fail(line: str, code: int) -> NoReturn:
    click.echo(line, err=True)
    sys.exit(code)


def _load(command: str) -> click.Command:
    module, _, name = _COMMANDS[command].partition(":")
    found: click.Command = getattr(import_module(f"sgpshop.cli.{module}"), name)
    return found
