"""What a web process has loaded before anybody asks it for something (issue 19: start and memory)."""

from __future__ import annotations

import subprocess
import sys
from importlib import import_module
from pathlib import Path

from sgpshop.environment import ROOT
from sgpshop.web.api.addresses import ADDRESSES

#: What one screen, one command or some shops use, is loaded by them.
_LATER = """
    alembic asyncpg datamodel flask_migrate nh3 pandas prometheus_client psycopg pydantic python_calamine
    redis segno sentry_sdk webauthn xlsxwriter
    sgpshop.cli.demo sgpshop.cli.backup sgpshop.cli.orders sgpshop.services.demo.rows sgpshop.simulator
    sgpshop.storage.moving sgpshop.web.api.document sgpshop.web.api.orders sgpshop.worker
"""
_LOOK = """
import sys
from sgpshop import create_app
import sgpshop.cli.run, sgpshop.web.server
from sgpshop.storage.queue import messages
with create_app().app_context():
    assert messages().store.queue_size() == 0
print(*sys.modules)
"""


def test_a_web_process_begins_without_what_others_use(tmp_path: Path) -> None:
    said = subprocess.run(
        [sys.executable, "-c", _LOOK],
        cwd=ROOT,
        env={"SGPSHOP_INSTANCE_PATH": str(tmp_path)},
        capture_output=True,
        text=True,
        check=True,
    )
    loaded = set(said.stdout.split())
    assert {"flask", "sgpshop.web.dashboard", "huey.storage"} <= loaded
    assert not loaded & set(_LATER.split())


def test_each_address_of_the_api_has_a_function_that_answers() -> None:
    for module, addresses in ADDRESSES.items():
        for _, address, name, _ in addresses:
            answers = getattr(import_module(f"sgpshop.web.api.{module}"), name)
            assert callable(answers), address
