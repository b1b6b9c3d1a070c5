"""Another ENCRYPTION_KEY: everything opens with it, and nothing that was altered becomes ours (S10, P5)."""

from __future__ import annotations

import secrets
import threading
import time
from collections.abc import Callable
from datetime import timedelta

import pytest
import sqlalchemy as sa
from flask import Flask

from sgpshop.domain.errors import EnvironmentUnusable, ShopError
from sgpshop.domain.payment_status import PaymentStatus
from sgpshop.extensions import db
from sgpshop.models import (
    Attempt,
    CardTransaction,
    HistoryEntry,
    Order,
    Person,
    Setting,
    WorkerBeat,
    utc_now,
)
from sgpshop.services import installation, settings
from sgpshop.services.access import activities, one_time_codes
from sgpshop.services.installation import rekeying
from sgpshop.services.orders.acting import Seen
from sgpshop.services.orders.history import Actor
from sgpshop.services.orders.history_check import Verification
from sgpshop.services.outgoing import webhooks
from sgpshop.services.outgoing.webhooks import receivers
from sgpshop.services.payments import acts, notifications, runner, stored_cards
from sgpshop.storage import vault
from sgpshop.storage.database import write_alone, writing
from tests.factories import authorized_order, fresh, make_order
from tests.gateway_world import World
from tests.signing_in import make_person

pytestmark = pytest.mark.postgresql
TANAKA = Actor.person("田中")


@pytest.fixture
def old_key(app: Flask, shop: World) -> str:
    """The key of before, in a shop with a contract."""
    settings.save("test", shop_pass="shoppass01")
    installation.require_ours()
    return str(app.config["ENCRYPTION_KEY"])


@pytest.fixture
def order(shop: World) -> Order:
    return authorized_order(shop, told=True)


@pytest.fixture
def renew(app: Flask, old_key: str, order: Order) -> Callable[[], rekeying.Rekeyed | None]:
    """Run the command with a new key."""
    new = secrets.token_hex(32)

    def run() -> rekeying.Rekeyed | None:
        db.session.rollback()
        app.config["ENCRYPTION_KEY"] = new
        return rekeying.change_key(old_key)

    return run


def problems() -> list[str]:
    found = [problem.what for problem in Verification().problems()]
    db.session.rollback()
    return found


def test_everything_opens_with_the_new_key_and_the_history_holds(
    shop: World, order: Order, old_key: str, renew: Callable[[], rekeying.Rekeyed | None]
) -> None:
    attempt_id = acts.open_attempt(
        order.id, acts.CAPTURE, Seen(order.version, order.total, "t"), TANAKA
    )
    with writing() as session:
        attempt = session.get_one(Attempt, attempt_id)
        attempt.card_sealed = stored_cards.seal_token("tok_123", order.order_no)
        person = make_person("田中")
        person.totp_sealed = vault.seal("ABCD", one_time_codes.context_of(person.id))
    secret = webhooks.create("https://shop.example.jp/hook", by="店長")
    address = notifications.secret_of(settings.load())
    before = sealed()
    done = renew()
    assert done is not None
    assert done.secrets >= 3
    assert done.entries == db.session.scalar(sa.select(sa.func.count(HistoryEntry.id)))
    assert not before & sealed()
    assert problems() == []
    assert notifications.secret_of(settings.load()) != address
    installation.require_ours()
    [hook] = webhooks.all_receivers()
    assert vault.unseal(hook.secret_sealed, receivers.context_of(hook.id)) == secret
    with writing() as session:
        person = session.scalars(sa.select(Person)).one()
        assert vault.unseal(str(person.totp_sealed), one_time_codes.context_of(person.id)) == "ABCD"
        attempt = session.get_one(Attempt, attempt_id)
        assert vault.unseal(str(attempt.card_sealed), stored_cards.context_of(order.order_no)) == (
            "tok_123"
        )
        attempt.card_sealed = None
    runner.run_operation(attempt_id)
    assert fresh(order).payment_status is PaymentStatus.CAPTURED
    assert problems() == []
    assert renew() is None  # a second time changes nothing


def test_the_guard_of_the_history_stands_again(
    order: Order, renew: Callable[[], rekeying.Rekeyed | None]
) -> None:
    renew()
    with pytest.raises(sa.exc.DBAPIError), writing() as session:
        session.execute(sa.text("UPDATE history SET actor = 'x'"))
    assert problems() == []


def test_with_a_key_that_is_not_the_databases_nothing_changes(
    app: Flask, renew: Callable[[], rekeying.Rekeyed | None], old_key: str
) -> None:
    before = sealed()
    app.config["ENCRYPTION_KEY"] = secrets.token_hex(32)
    with pytest.raises(EnvironmentUnusable, match="OLD_ENCRYPTION_KEY"):
        rekeying.change_key(secrets.token_hex(32))
    app.config["ENCRYPTION_KEY"] = old_key
    assert sealed() == before
    assert problems() == []


def test_a_history_that_was_altered_is_not_made_ours(
    app: Flask, order: Order, old_key: str, renew: Callable[[], rekeying.Rekeyed | None]
) -> None:
    make_order(told=True)
    with writing() as session:
        session.execute(sa.update(Order).where(Order.id == order.id).values(history_state="0" * 64))
    before = sealed()
    with pytest.raises(ShopError, match=order.order_no):
        renew()
    app.config["ENCRYPTION_KEY"] = old_key
    assert sealed() == before
    installation.require_ours()
    assert len(problems()) == 1  # as before: the one that was altered


def test_a_process_killed_in_the_middle_changed_nothing_and_it_is_repeated(
    app: Flask,
    old_key: str,
    renew: Callable[[], rekeying.Rekeyed | None],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def killed(*_: object) -> None:
        raise KeyboardInterrupt

    before = sealed()
    with monkeypatch.context() as patch:
        patch.setattr(rekeying, "_link_chains", killed)
        with pytest.raises(KeyboardInterrupt):
            renew()
    assert sealed() == before
    assert renew() is not None
    assert problems() == []


def test_it_waits_for_nobody_who_works(
    renew: Callable[[], rekeying.Rekeyed | None], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(installation.time, "sleep", beat)
    beat(1)
    with pytest.raises(installation.AtWork):
        renew()


@pytest.mark.parametrize("database_kind", ["postgresql"])  # SQLite has one writer anyway
def test_it_waits_in_no_circle_for_who_locks_in_another_order(
    app: Flask, renew: Callable[[], rekeying.Rekeyed | None], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever saves settings writes the activity of it last."""
    tried, renewed = threading.Event(), list[rekeying.Rekeyed | None]()

    def waited(seconds: float) -> None:
        tried.set()
        sleep(seconds)

    def run() -> None:
        with app.app_context():
            renewed.append(renew())

    sleep = time.sleep
    monkeypatch.setattr(time, "sleep", waited)
    thread = threading.Thread(target=run)
    with writing() as session:
        write_alone(session, Setting)
        thread.start()
        assert tried.wait(30)
        session.execute(sa.select(activities.CHAIN.end).with_for_update())
    thread.join()
    assert renewed != [None] != []
    assert problems() == []


def test_a_forgotten_web_process_serves_nothing_any_more(
    app: Flask, old_key: str, renew: Callable[[], rekeying.Rekeyed | None]
) -> None:
    client = app.test_client()
    assert client.get("/login").status_code == 200
    renew()
    app.config["ENCRYPTION_KEY"] = old_key  # as it still is there
    assert client.post("/login", data={"name": "x"}).status_code == 503


def sealed() -> set[str]:
    """All that is sealed, and where the chains stand."""
    found = set(db.session.scalars(sa.select(CardTransaction.access_pass_sealed)))
    found |= set(db.session.scalars(sa.select(Order.history_state)))
    found |= set(db.session.scalars(sa.select(HistoryEntry.mark)))
    db.session.rollback()
    return {str(one) for one in found if one}


def beat(_seconds: float) -> None:
    """A worker gives a sign of life."""
    with writing() as session:
        session.merge(
            WorkerBeat(worker="w", at=utc_now() + timedelta(seconds=secrets.randbelow(9)))
        )
