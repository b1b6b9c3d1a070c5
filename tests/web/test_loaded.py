"""What a process has loaded before anybody asks it for something (issue 19: start and memory)."""

from __future__ import annotations

import subprocess
import sys
from importlib import import_module
from pathlib import Path

import pytest

from sgpshop.environment import ROOT
from sgpshop.web.api.addresses import ADDRESSES

#: What one screen, one command or some shops use, is loaded by them; and letters of answers nobody guesses.
_LATER = """
    alembic asyncpg chardet charset_normalizer datamodel flask_mailman flask_migrate nh3 pandas prometheus_client
    psycopg pydantic python_calamine redis segno sentry_sdk sqlalchemy.dialects.postgresql webauthn xlsxwriter
    sgpshop.cli.demo sgpshop.cli.backup sgpshop.cli.orders sgpshop.services.demo.rows sgpshop.simulator
    sgpshop.storage.moving sgpshop.web.api.document sgpshop.web.api.orders
"""
#: By program: what it loads itself, what is there then, what the other needs.
_PROGRAMS = {
    "web": ("sgpshop.web.server", "flask sgpshop.web.dashboard", "requests sgpshop.worker"),
    "worker": (
        "sgpshop.worker.engine, sgpshop.gateway.transport",
        "requests",
        "waitress sgpshop.web.dashboard sgpshop.web.frame.security",
    ),
}
_LOOK = """
import sys
import click
from sgpshop import cli
with click.Context(click.Command(None), info_name="{program}"):
    app = cli._load_app()
from sgpshop.storage.queue import messages
with app.app_context():
    assert messages().store.queue_size() == 0
import sgpshop.cli.run, {more}
print(*sys.modules)
"""


@pytest.mark.parametrize("program", _PROGRAMS)
def test_a_process_begins_without_what_others_use(program: str, tmp_path: Path) -> None:
    more, wanted, others = _PROGRAMS[program]
    said = subprocess.run(
        [sys.executable, "-c", _LOOK.format(program=program, more=more)],
        cwd=ROOT,
        env={"SGPSHOP_INSTANCE_PATH": str(tmp_path)},
        capture_output=True,
        text=True,
        check=True,
    )
    loaded = set(said.stdout.split())
    assert {*wanted.split(), "huey.storage"} <= loaded
    assert not loaded & {*_LATER.split(), *others.split()}
    assert not said.stderr


def test_each_address_of_the_api_has_a_function_that_answers() -> None:
    for module, addresses in ADDRESSES.items():
        for _, address, name, _ in addresses:
            answers = getattr(import_module(f"sgpshop.web.api.{module}"), name)
            assert callable(answers), address
