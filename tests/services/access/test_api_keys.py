"""Keys of other programs, their requests and the count of them (S10, S13, S23, P19, P27)."""

from __future__ import annotations

import threading
from datetime import timedelta

import pytest
import sqlalchemy as sa
from flask import Flask

from sgpshop import logs
from sgpshop.cli import commands
from sgpshop.domain.errors import NotFound, ShopError
from sgpshop.domain.payment_calendar import jst_day
from sgpshop.extensions import db
from sgpshop.models import ApiCount, ApiKey, ApiRequest, Scope, utc_now
from sgpshop.services.access import api_keys, idempotency, rate_limits
from sgpshop.services.access.api_keys import AlreadyMade, KeyRefused
from sgpshop.services.access.idempotency import KeyReused, StillBusy
from sgpshop.services.access.rate_limits import TooOften
from sgpshop.storage.database import writing


@pytest.fixture
def key(app: Flask) -> str:
    with app.app_context():
        return api_keys.create("カート", [Scope.READ, Scope.INTAKE], by="店長")


def stored(app: Flask) -> ApiKey:
    db.session.rollback()
    return db.session.query(ApiKey).one()


@pytest.mark.postgresql
def test_a_key_is_recognized_with_its_scopes(app: Flask, key: str) -> None:  # S13
    with app.app_context():
        caller = api_keys.recognize(key)
        assert (caller.name, caller.scopes) == ("カート", (Scope.INTAKE, Scope.READ))
        assert key.startswith(f"{caller.prefix}_")
        for other in ("", "x", key[:-1], key + "x", key.upper(), "sgpk_" + "0" * 41):
            with pytest.raises(KeyRefused):
                api_keys.recognize(other)


def test_the_database_holds_no_key(app: Flask, key: str) -> None:  # S10
    secret = key.rpartition("_")[2] if "_" not in key[14:] else key[14:]
    assert len(secret) == 32  # 192 bits
    with app.app_context():
        row = db.session.execute(sa.text("SELECT * FROM api_keys")).one()
    assert secret not in str(row)


def test_two_keys_are_never_alike(app: Flask) -> None:  # S13
    with app.app_context():
        keys = {api_keys.create("カート", [Scope.READ], by="店長") for _ in range(20)}
    assert len({key[14:] for key in keys}) == 20


def test_a_revoked_key_is_worthless_at_once(app: Flask, key: str) -> None:  # S13
    with app.app_context():
        prefix = api_keys.recognize(key).prefix
        for _ in range(2):  # again does no harm
            assert api_keys.revoke(prefix, by="店長").revoked_by == "店長"
        with pytest.raises(KeyRefused):
            api_keys.recognize(key)
        with pytest.raises(NotFound):
            api_keys.revoke("sgpk_00000000", by="店長")


def test_a_key_ends_with_its_last_day(app: Flask) -> None:  # S13
    with app.app_context():
        today = jst_day(utc_now())
        key = api_keys.create("カート", [Scope.READ], by="店長", last_day=today)
        assert api_keys.recognize(key)
        assert stored(app).last_day == today
        with writing() as session:
            session.query(ApiKey).one().expires_at = utc_now()
        with pytest.raises(KeyRefused):
            api_keys.recognize(key)
        with pytest.raises(ShopError, match="今日以降"):
            api_keys.create("カート", [Scope.READ], by="店長", last_day=today - timedelta(days=1))


@pytest.mark.postgresql
def test_the_last_use_is_written_once_a_minute(app: Flask, key: str) -> None:  # S13
    with app.app_context():
        api_keys.recognize(key)
        first = stored(app).last_used_at
        assert first is not None
        api_keys.recognize(key)
        assert stored(app).last_used_at == first
        with writing() as session:
            session.query(ApiKey).one().last_used_at = first - timedelta(seconds=61)
        api_keys.recognize(key)
        assert stored(app).last_used_at >= first


@pytest.mark.parametrize("name", ["", " カート", "a\nb", "x" * 61, "a\u202eb"])
def test_names_that_cannot_be_told_apart_are_refused(app: Flask, name: str) -> None:  # S25
    with app.app_context(), pytest.raises(ShopError):
        api_keys.create(name, [Scope.READ], by="店長")


@pytest.mark.postgresql
def test_a_form_sent_twice_makes_one_key(app: Flask) -> None:  # P19
    with app.app_context():
        api_keys.create("カート", [Scope.READ], by="店長", request_token="a" * 32)
        with pytest.raises(AlreadyMade):
            api_keys.create("カート", [Scope.READ], by="店長", request_token="a" * 32)
        assert len(api_keys.all_keys()) == 1


class TestRequests:
    @pytest.fixture
    def key_id(self, app: Flask, key: str) -> int:
        with app.app_context():
            return stored(app).id

    def test_an_answer_is_kept_for_the_same_request(self, app: Flask, key_id: int) -> None:  # P27
        with app.app_context():
            begun = idempotency.begin(key_id, "POST /x", "k", b"1")
            assert begun.status is None
            with pytest.raises(StillBusy):
                idempotency.begin(key_id, "POST /x", "k", b"1")
            with pytest.raises(KeyReused):
                idempotency.begin(key_id, "POST /x", "k", b"2")
            idempotency.finish(begun, 201, "{}")
            again = idempotency.begin(key_id, "POST /x", "k", b"1")
            assert (again.token, again.status, again.body) == (begun.token, 201, "{}")
            assert idempotency.begin(key_id, "POST /y", "k", b"2").token != begun.token

    @pytest.mark.postgresql
    def test_broken_off_it_begins_again_with_the_same_token(
        self, app: Flask, key_id: int
    ) -> None:  # P1
        with app.app_context():
            begun = idempotency.begin(key_id, "POST /x", "k", b"1")
            idempotency.break_off(begun)
            again = idempotency.begin(key_id, "POST /x", "k", b"1")
            assert (again.token, again.status) == (begun.token, None)

    def test_forgotten_it_is_another(self, app: Flask, key_id: int) -> None:
        with app.app_context():
            begun = idempotency.begin(key_id, "POST /x", "k", b"1")
            idempotency.forget(begun)
            assert idempotency.begin(key_id, "POST /x", "k", b"2").token != begun.token

    @pytest.mark.postgresql
    def test_what_is_a_day_old_is_tidied_away(self, app: Flask, key_id: int) -> None:
        with app.app_context():
            for number in range(3):
                idempotency.begin(key_id, "POST /x", f"k{number}", b"1")
            with writing() as session:
                for old in session.query(ApiRequest):
                    old.created_at = utc_now() - idempotency.KEPT
            idempotency.begin(key_id, "POST /x", "new", b"1")
            assert db.session.query(ApiRequest).count() == 1

    @pytest.mark.postgresql
    def test_of_two_at_the_same_moment_one_goes_ahead(self, app: Flask, key_id: int) -> None:
        results: list[str] = []
        start = threading.Barrier(6)

        def call() -> None:
            start.wait()
            with app.app_context():
                try:
                    idempotency.begin(key_id, "POST /x", "k", b"1")
                    results.append("begun")
                except StillBusy:
                    results.append("busy")

        threads = [threading.Thread(target=call) for _ in range(6)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert sorted(results) == ["begun"] + ["busy"] * 5


class TestCounting:  # S23
    @pytest.mark.postgresql
    def test_the_limit_is_shared_by_all_threads(self, app: Flask) -> None:
        results: list[bool] = []
        start = threading.Barrier(8)

        def call() -> None:
            start.wait()
            for _ in range(5):
                with app.app_context():
                    try:
                        rate_limits.count_in_span({"key:1": 10, "address:x": 100}, is_reading=False)
                        results.append(True)
                    except TooOften:
                        results.append(False)

        threads = [threading.Thread(target=call) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        with app.app_context():
            spans = db.session.query(ApiCount.began_at).distinct().count()
            assert sum(results) <= 10 * spans
            assert sum(results) >= 10
            # A refused one is counted for nobody.
            counted = {row.subject: row.count for row in db.session.query(ApiCount)}
            assert spans > 1 or counted == {"key:1": 10, "address:x": 10}


def test_by_the_commands(app: Flask) -> None:
    run = app.test_cli_runner().invoke
    made = run(commands, ["create-api-key", "カート", "--scope", "read,capture"])
    assert made.exit_code == 0
    key = made.stdout.strip()
    with app.app_context():
        assert api_keys.recognize(key).scopes == (Scope.READ, Scope.CAPTURE)
    assert run(commands, ["create-api-key", "カート", "--scope", "all"]).exit_code == 2
    assert run(commands, ["create-api-key", "カート"]).exit_code == 2
    refused = run(commands, ["revoke-api-key", key])  # the key itself: not taken, not repeated
    assert refused.exit_code == 2
    assert key not in refused.output
    done = run(commands, ["revoke-api-key", key[:13]])
    assert (done.exit_code, "無効にしました" in done.stdout) == (0, True)
    with app.app_context(), pytest.raises(KeyRefused):
        api_keys.recognize(key)


def test_no_log_line_holds_a_key(
    app: Flask, key: str, capsys: pytest.CaptureFixture[str]
) -> None:  # S12
    logs.write_to("stdout")
    logs.event("odd", what=f"Authorization: Bearer {key}", where=f"/x?{key}")
    said = capsys.readouterr().out
    assert key[14:] not in said
    assert "odd" in said
