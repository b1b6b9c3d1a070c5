"""Fixtures everybody uses: an app on a real database file, a browser-like client, people."""

from __future__ import annotations

import gc
import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import huey.storage  # noqa: F401 - with all clients: apps of one process have queues of all kinds
import hypothesis
import pytest
from flask import Flask
from flask.testing import FlaskClient

from sgpshop import create_app, logs
from sgpshop.domain.other_clock import OtherClock
from sgpshop.extensions import db
from sgpshop.services import installation, settings
from sgpshop.services.payments import clocks
from sgpshop.storage import news
from tests import own_worker
from tests.api_answers import CheckingClient
from tests.memory import in_memory
from tests.postgresql import PostgresqlServer
from tests.seeds import is_soaking
from tests.sharing import CompiledTemplates, share_addresses, share_statements
from tests.signing_in import cheap_hashes

# How long an example takes says how busy the machine is, and nothing about the program.
hypothesis.settings.register_profile(
    "tests",
    derandomize=not is_soaking(),
    database=None,
    deadline=None,
    suppress_health_check=[hypothesis.HealthCheck.too_slow],
)
hypothesis.settings.load_profile("tests")

# SQLite waits for the disk at each commit, as it should; tests have no use for that.
_memory = in_memory()
if _memory is not None:
    os.environ.setdefault("PYTEST_DEBUG_TEMPROOT", str(_memory))

#: What is done once a day is tested where it is called; else it would depend on the time of day.
NOT_DAILY = {"NIGHTLY_COMPARE_HOUR": None, "DAILY_DIGEST_HOUR": None}
KEYS = {
    "SECRET_KEY": "8c1f6d0a4be7935270fe28d6c1b9a3e4",
    "ENCRYPTION_KEY": "e93b70d5a2c4f8160b7de5493ac8f172",
}


@pytest.fixture(autouse=True, scope="session")
def _cheap_hashes() -> Iterator[None]:
    with cheap_hashes():
        yield


@pytest.fixture(autouse=True, scope="session")
def _cards_are_kept() -> Iterator[None]:
    with own_worker.waited_for():
        yield


@pytest.fixture(autouse=True, scope="session")
def _no_settings_from_outside() -> None:
    for name in [name for name in os.environ if name.startswith("SGPSHOP_")]:
        del os.environ[name]


#: Templates are read and compiled once for all apps of a test run: that takes longer than most tests.
_TEMPLATES = CompiledTemplates()


class NoClock(OtherClock):
    """Tests travel in time, and a database server does not come along: it is not asked."""

    age = 0.0


def make_app(path: Path, **overrides: Any) -> Flask:
    """An app whose local state lives in `path`, in test mode, not yet migrated."""
    app = create_app(
        {
            "INSTANCE_PATH": path,
            "TEST_MODE": True,
            "TESTING": True,
            **KEYS,
            **NOT_DAILY,
            **overrides,
        }
    )
    share_addresses(app)
    app.jinja_env.bytecode_cache = _TEMPLATES
    app.extensions[clocks.DATABASE] = NoClock()
    own_worker.install(app)
    app.test_client_class = CheckingClient
    with app.app_context():
        share_statements(db.engine)
    return app


@pytest.fixture(scope="session")
def empty_database(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An SQLite file at the newest schema, to be copied for each test."""
    path = tmp_path_factory.mktemp("schema")
    app = make_app(path)
    with app.app_context():
        installation.migrate()
        db.engine.dispose()
    return path / "sgpshop.db"


@pytest.fixture(scope="session")
def database_with_contract(empty_database: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of it in which the contract is filled in, as `World` knows it."""
    path = tmp_path_factory.mktemp("contract")
    shutil.copy(empty_database, path / "sgpshop.db")
    app = make_app(path)
    with app.app_context():
        settings.save("test", site_id="tsite00000001", shop_id="tshop00000001")
        db.session.remove()
        db.engine.dispose()
    return path / "sgpshop.db"


@pytest.fixture(scope="session")
def postgresql() -> Iterator[PostgresqlServer]:
    """A PostgreSQL server of our own, or the one TEST_DATABASE_URL names."""
    with PostgresqlServer() as server:
        yield server


@pytest.fixture(scope="session")
def empty_postgresql(postgresql: PostgresqlServer, tmp_path_factory: pytest.TempPathFactory) -> str:
    """The name of a PostgreSQL database at the newest schema, to be copied for each test."""
    url = postgresql.new_database()
    app = make_app(tmp_path_factory.mktemp("schema"), DATABASE_URL=url)
    with app.app_context():
        installation.migrate()
        db.engine.dispose()
    return url.rpartition("/")[2]


@pytest.fixture
def database_kind() -> str:
    """Overridden (parametrised) where a test must hold on PostgreSQL as well (P35)."""
    return "sqlite"


@pytest.fixture
def overrides() -> dict[str, Any]:
    """Settings a test wants different; override this fixture in a module or class."""
    return {}


@pytest.fixture
def first_database(empty_database: Path) -> Path:
    """The SQLite file an app begins with; overridden where most tests begin further on."""
    return empty_database


@pytest.fixture
def app(
    request: pytest.FixtureRequest,
    tmp_path: Path,
    database_kind: str,
    overrides: dict[str, Any],
) -> Iterator[Flask]:
    """The application on an empty database of its own."""
    server: PostgresqlServer | None = None
    if database_kind == "postgresql":
        server = request.getfixturevalue("postgresql")
        assert server is not None
        template = request.getfixturevalue("empty_postgresql")
        app = make_app(tmp_path, DATABASE_URL=server.new_database(template), **overrides)
    else:
        shutil.copy(request.getfixturevalue("first_database"), tmp_path / "sgpshop.db")
        app = make_app(tmp_path, **overrides)
    logs.write_to("stdout")  # a command run by an earlier test left them on stderr
    yield app
    own_worker.of(app).close()
    news.stop(app)
    with app.app_context():
        db.session.remove()
        db.engine.dispose()
    if server is not None:
        server.drop(app.config["DATABASE_URL"])


@pytest.fixture
def client(app: Flask) -> FlaskClient:
    """A browser without a session."""
    return app.test_client()


def pytest_collection_finish() -> None:
    """What is loaded by now stays: let the collector not walk through it again and again."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000, 20, 50)


#: In these rooms stories ask one SQL again and again.  Of them `make test` asks PostgreSQL only in these
#: modules: what locks, races, searches or adds up, and some for all others, which `make soak` asks, and the
#: lives of tests/faults come by.
ON_POSTGRESQL = {
    "payments": [
        "cancel",
        "capture",
        "clocks",
        "connections",
        "linking",
        "look_up_races",
        "notifications",
        "preorders",
        "refund_difference",
        "slow_questions",
        "three_ds",
        "uncertain",
    ],
    "subscriptions": [
        "billing",
        "billing_faults",
        "cards_ahead",
        "many_lines",
        "subscription_rounds",
        "subscriptions_list",
    ],
}
_ROOMS = tuple(f"tests/services/{room}/" for room in ON_POSTGRESQL)
_ASKED = {
    f"tests/services/{room}/test_{name}.py"
    for room, names in ON_POSTGRESQL.items()
    for name in names
}


def is_for_postgresql(test: pytest.Item) -> bool:
    """Whether this run asks PostgreSQL of this test, which may ask both databases.

    `make test`: where SQL or locking differ (marked `postgresql`).  The rest asks what every database
    answers alike, as does what is marked `alike` in a module marked as a whole; with ALL_DATABASES=1
    (`make soak`) everything runs on both (P35), with ONLY_SQLITE (`make test-fast`) nothing does.
    """
    if os.environ.get("ALL_DATABASES"):
        return True
    if "ONLY_SQLITE" in os.environ or test.get_closest_marker("postgresql") is None:
        return False
    module = test.nodeid.partition("::")[0]
    is_left_out = module.startswith(_ROOMS) and module not in _ASKED
    return not is_left_out and test.get_closest_marker("alike") is None


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """PostgreSQL where this run asks it, once for each such test: further values ask the same SQL again.

    What is marked `soak` is left to it on either.
    """
    if os.environ.get("ALL_DATABASES"):
        return
    seen: set[str] = set()
    kept, left_out = [], []
    for item in items:
        values = getattr(item, "callspec", None)
        is_second = values is not None and values.params.get("database_kind") == "postgresql"
        name = item.nodeid.partition("[")[0]
        is_later = item.get_closest_marker("soak") is not None
        is_wanted = not is_second or (name not in seen and is_for_postgresql(item))
        (kept if is_wanted and not is_later else left_out).append(item)
        if is_second and not is_later:
            seen.add(name)
    items[:] = kept
    config.hook.pytest_deselected(items=left_out)
