"""A database belongs to one key, and a demo's stays a demo's (S10, S12)."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from click.testing import Result
from flask import Flask

from sgpshop import create_app
from sgpshop.cli import commands
from sgpshop.domain.errors import EnvironmentUnusable
from sgpshop.extensions import db
from sgpshop.models import InstallationFact, Person, Role, Setting
from sgpshop.services import installation, settings
from sgpshop.storage import vault
from sgpshop.storage.database import writing
from tests.conftest import KEYS, NOT_DAILY, make_app
from tests.factories import make_order
from tests.old_database import insert, upgrade_to
from tests.seeds import each_once
from tests.signing_in import make_person

OTHER = KEYS | {"ENCRYPTION_KEY": "5b0f7a3ce8d21694f0a7c3b58e6d9214"}

Reopen = Callable[..., Flask]


@pytest.fixture
def reopen(app: Flask, tmp_path: Path) -> Iterator[Reopen]:
    """Another process on the database of `app`: what it is given instead of the usual."""
    opened = []

    def another(**instead: Any) -> Flask:
        usual = {"INSTANCE_PATH": tmp_path / "other", "DATABASE_URL": app.config["DATABASE_URL"]}
        opened.append(create_app(usual | {"TEST_MODE": True, **KEYS, **NOT_DAILY} | instead))
        return opened[-1]

    yield another
    for other in opened:
        with other.app_context():
            db.session.remove()
            db.engine.dispose()


def run(app: Flask, *words: str) -> Result:
    with app.app_context():
        db.session.remove()
    return app.test_cli_runner().invoke(commands, [*words])


class TestAnotherKey:
    """A second web with its own folder, or a database restored without its keys."""

    @pytest.mark.postgresql
    @pytest.mark.parametrize(
        "command",
        [
            ["worker", "--until-idle"],
            ["web", "--port", "0"],
            ["verify-history"],
            ["create-user", "佐藤", "--role", "owner"],
            ["migrate"],
        ],
    )
    def test_nothing_starts_and_the_line_names_both_keys(
        self, app: Flask, reopen: Reopen, command: list[str]
    ) -> None:
        with app.app_context():
            make_order(told=True)
        result = run(reopen(GATEWAY_URL="http://127.0.0.1:9", **OTHER), *command)
        assert (result.exit_code, result.stdout) == (2, "")
        [line] = result.stderr.splitlines()
        assert line.startswith("設定エラー: SGPSHOP_ENCRYPTION_KEY: ")
        assert "元の鍵を戻して" in line
        assert "登録し直さないでください" in line
        with app.app_context():
            assert db.session.scalar(sa.select(sa.func.count(Person.id))) == 0

    def test_the_file_to_copy_from_and_the_file_to_copy_to_are_named(
        self, app: Flask, reopen: Reopen, tmp_path: Path
    ) -> None:
        first = reopen(INSTANCE_PATH=tmp_path / "first", ENCRYPTION_KEY="")
        with app.app_context(), writing() as session:  # as if the first start had been `first`'s
            session.execute(sa.delete(InstallationFact))
        with first.app_context():
            installation.require_ours()
        second = reopen(INSTANCE_PATH=tmp_path / "second", ENCRYPTION_KEY="")
        line = run(second, "verify-history").stderr
        assert f"{tmp_path}/first/encryption_key" in line
        assert f"{tmp_path}/second/encryption_key" in line

    def test_a_lost_key_made_anew_in_the_same_place_is_to_come_from_a_backup(
        self, app: Flask, reopen: Reopen, tmp_path: Path
    ) -> None:
        with app.app_context(), writing() as session:
            session.execute(sa.delete(InstallationFact))
        with reopen(ENCRYPTION_KEY="").app_context():
            installation.require_ours()
        (tmp_path / "other" / "encryption_key").unlink()
        assert (
            "バックアップから元の鍵を戻して"
            in run(reopen(ENCRYPTION_KEY=""), "verify-history").stderr
        )

    def test_a_wsgi_server_serves_no_page_and_no_api(self, app: Flask, reopen: Reopen) -> None:
        client = reopen(**OTHER).test_client()
        for path in ("/login", "/api/v1/orders", "/readyz"):
            assert client.get(path).status_code == 503
        assert "設定に誤りがある" in client.get("/login").text
        assert client.get("/healthz").status_code == 200
        assert app.test_client().get("/login").status_code == 200

    @pytest.mark.postgresql
    @pytest.mark.parametrize("left", ["history", "password"])
    def test_what_an_earlier_version_wrote_tells_its_key(
        self, app: Flask, reopen: Reopen, left: str
    ) -> None:
        with app.app_context():
            if left == "history":
                make_order(told=True)
            else:
                settings.save("test", shop_pass="shoppass01")
            with writing() as session:
                session.execute(sa.delete(InstallationFact))
        wrong = reopen(**OTHER)
        with wrong.app_context(), pytest.raises(EnvironmentUnusable, match="ENCRYPTION_KEY"):
            installation.require_ours()
        with reopen().app_context():
            installation.require_ours()
            assert "key_fingerprint" in db.session.scalars(sa.select(InstallationFact.name)).all()

    @pytest.mark.postgresql
    def test_migrating_tells_the_new_database_its_key(self, app: Flask) -> None:
        with app.app_context():
            facts = dict(
                db.session.execute(sa.select(InstallationFact.name, InstallationFact.value)).all()
            )
            assert KEYS["ENCRYPTION_KEY"] not in str(facts)
            assert len(facts["key_fingerprint"]) == 12

    def test_a_new_database_takes_no_key_that_can_be_guessed(
        self, app: Flask, reopen: Reopen
    ) -> None:
        with app.app_context(), writing() as session:
            session.execute(sa.delete(InstallationFact))
        weak = reopen(ENCRYPTION_KEY="a" * 32)
        with weak.app_context(), pytest.raises(EnvironmentUnusable, match="推測"):
            installation.migrate()


def everything() -> dict[str, Any]:
    """All that is in the database, by table."""
    db.session.rollback()
    meta = sa.MetaData()
    meta.reflect(db.engine)
    return {
        name: sorted(map(repr, db.session.execute(sa.select(table)).all()))
        for name, table in meta.tables.items()
    }


@pytest.fixture
def bare(request: pytest.FixtureRequest, tmp_path: Path, database_kind: str) -> Iterator[Flask]:
    """An app, inside its context, whose database has no table yet."""
    url: dict[str, str] = {}
    if database_kind == "postgresql":
        url["DATABASE_URL"] = request.getfixturevalue("postgresql").new_database()
    app = make_app(tmp_path, **url)
    with app.app_context():
        yield app
        db.session.remove()
        db.engine.dispose()


def _told_order(number: int) -> None:
    """An order of version 0002, to whose history version 0003 begins a chain."""
    order_no = f"P{number}"
    insert(
        "orders",
        {"id": number, "order_no": order_no, "payment_status": "captured", "total": 2000},
    )
    trade = {"gateway_order_id": order_no, "gateway_amount": 2000, "captured_amount": 2000}
    insert("card_transactions", {"order_id": number, "gateway_state": "SALES"} | trade)
    insert(
        "history",
        {"order_id": number, "event": "imported", "status_after": "captured"}
        | {"amount_after": 2000},
    )


def _leave(what: str) -> None:
    """Something that an earlier version wrote with its key."""
    upgrade_to("0002")
    if what == "history":
        _told_order(1)
    elif what == "password":
        sealed = vault.seal("shoppass01", "setting:shop_pass")
        insert("settings", {"name": "shop_pass_sealed", "value": sealed})
    else:
        insert("orders", {"id": 1, "order_no": "P1", "payment_status": "authorized"})
        sealed = vault.seal("accesspass", "access_pass:P1")
        passed = {"gateway_order_id": "P1", "access_pass_sealed": sealed}
        insert("card_transactions", {"order_id": 1} | passed)


@pytest.mark.long
class TestMigratingWithAnotherKey:
    """The key was lost, or the database restored without it, and then the program renewed."""

    @pytest.mark.parametrize(
        ("version", "left"), each_once(["0005", "0009"], ["history", "password", "access"])
    )
    def test_is_refused_before_anything_is_changed(
        self, bare: Flask, version: str, left: str
    ) -> None:
        _leave(left)
        upgrade_to(version)
        before = everything()
        bare.config.update(OTHER)
        result = run(bare, "migrate")
        assert (result.exit_code, result.stdout) == (2, "")
        [line] = result.stderr.splitlines()
        assert line.startswith("設定エラー: SGPSHOP_ENCRYPTION_KEY: ")
        assert "別の鍵で使われています" in line
        assert everything() == before
        bare.config.update(KEYS)  # the right key is put back
        assert run(bare, "migrate").exit_code == 0
        assert run(bare, "verify-history").exit_code == 0

    @pytest.mark.parametrize("first", ["history", "password"])
    def test_what_agrees_with_our_key_does_not_outvote_what_does_not(
        self, bare: Flask, first: str
    ) -> None:
        _leave(first)
        upgrade_to("0005")
        bare.config.update(OTHER)
        sealed = vault.seal("sitepass01", "setting:site_pass")
        insert("settings", {"name": "site_pass_sealed", "value": sealed})
        before = everything()
        for keys in (OTHER, KEYS):
            bare.config.update(keys)
            with pytest.raises(EnvironmentUnusable, match="別の鍵で書かれたものが混じっています"):
                installation.migrate()
            assert everything() == before

    def test_a_key_that_can_be_guessed_makes_no_tables(self, bare: Flask) -> None:
        bare.config["ENCRYPTION_KEY"] = "a" * 32
        with pytest.raises(EnvironmentUnusable, match="推測"):
            installation.migrate()
        assert everything() == {}


class TestDemo:
    """The demo's login, key and orders are no use outside test mode."""

    @pytest.fixture
    def demo(self, app: Flask) -> Flask:
        with app.app_context():
            installation.become_demo()
            make_person("demo", Role.OWNER)
        return app

    @pytest.mark.parametrize(
        "command", [["worker"], ["web"], ["create-user", "x", "--role", "owner"]]
    )
    def test_live_mode_refuses_its_database_with_words(
        self, demo: Flask, reopen: Reopen, command: list[str]
    ) -> None:
        live = reopen(TEST_MODE=False, GATEWAY_URL="https://p01.smbc-gp.co.jp")
        result = run(live, *command)
        assert result.exit_code == 2
        [line] = result.stderr.splitlines()
        assert line.startswith("設定エラー: SGPSHOP_")
        assert "見本(demo)のデータベース" in line
        assert live.test_client().get("/login").status_code == 503

    def test_in_test_mode_it_goes_on(self, demo: Flask, reopen: Reopen) -> None:
        assert reopen().test_client().get("/login").status_code == 200
        with demo.app_context():
            installation.become_demo()  # every start of the demo does
            assert installation.is_demo()

    @pytest.mark.parametrize("what", ["contract", "person", "order"])
    def test_a_demo_is_not_made_of_a_shop(self, app: Flask, what: str) -> None:
        with app.app_context():
            if what == "contract":
                settings.save("test", site_id="tsite00000009", shop_id="9101234567890")
            elif what == "person":
                make_person("店長", Role.OWNER)
            else:
                make_order()
            with pytest.raises(EnvironmentUnusable, match="店舗のデータ"):
                installation.become_demo()
            assert not installation.is_demo()

    @pytest.mark.postgresql
    def test_a_demo_of_an_earlier_version_is_known_by_its_contract(self, app: Flask) -> None:
        with app.app_context():
            settings.save("demo", site_id="tsite00000001", shop_id="tshop00000001")
            make_order()
            installation.become_demo()
            assert installation.is_demo()


LIVE = {"TEST_MODE": False, "GATEWAY_URL": "https://p01.smbc-gp.co.jp"}


class TestADemoThatMarkedNothing:
    """A demo's database of a version that did not mark it."""

    @pytest.fixture(params=["contract", "other contract"])
    def old_demo(self, request: pytest.FixtureRequest, bare: Flask) -> Flask:
        upgrade_to("0005")
        if request.param == "contract":
            insert("settings", {"name": "shop_id", "value": "tshop00000001"})
        else:  # somebody entered a shop's own; the practice shop's key is there all the same
            insert("settings", {"name": "shop_id", "value": "9101234567890"})
            insert("api_keys", {"name": "練習ショップ", "created_by": "demo"})
        return bare

    @pytest.mark.postgresql
    def test_is_not_migrated_for_live_work(self, old_demo: Flask) -> None:
        before = everything()
        old_demo.config.update(LIVE)
        result = run(old_demo, "migrate")
        assert result.exit_code == 2
        assert "見本(demo)のデータベース" in result.stderr
        assert everything() == before

    @pytest.mark.postgresql
    def test_stays_a_demo_when_it_was_migrated_in_test_mode(
        self, old_demo: Flask, tmp_path: Path
    ) -> None:
        assert run(old_demo, "migrate").exit_code == 0
        assert installation.is_demo()
        live = make_app(tmp_path / "live", **LIVE, DATABASE_URL=old_demo.config["DATABASE_URL"])
        assert run(live, "worker", "--until-idle").exit_code == 2
        assert live.test_client().get("/api/v1/orders").status_code == 503
        with live.app_context():
            db.engine.dispose()


def test_the_mark_is_no_setting_of_the_shop(app: Flask) -> None:
    with app.app_context():
        installation.become_demo()
        assert db.session.scalar(sa.select(sa.func.count()).select_from(Setting)) == 0
