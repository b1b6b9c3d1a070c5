"""A monthly file of many orders: each is asked about for itself, several at a time, once a day (R105)."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from datetime import date, timedelta
from typing import Any

import pytest
import sqlalchemy as sa
import time_machine

from sgpshop.domain.payment_status import PaymentStatus
from sgpshop.extensions import db
from sgpshop.models import Billing, BillingFile, BillingState, FileState, Order, Setback
from sgpshop.services import subscriptions
from sgpshop.services.payments import acts, stored_cards
from sgpshop.services.subscriptions import SubscriptionCriteria, SubscriptionTab, billing
from sgpshop.services.subscriptions.billing import files, planning, preparing
from sgpshop.storage import setbacks
from sgpshop.storage.database import writing
from tests.factories import fresh
from tests.gateway_world import GOOD_CARD, Killed, World
from tests.notifying import tell
from tests.services.arriving import open_shop
from tests.services.subscribing import Travel, jst
from tests.services.subscriptions.test_billing_faults import delivered, the_billing

pytestmark = pytest.mark.long

S, B = PaymentStatus, BillingState
THE_10TH = jst(2026, 12, 10, 6, 1)


@pytest.fixture
def overrides() -> dict[str, Any]:
    return {"QUIET_PERIOD": 0.0, "CHECKOUT_WAIT": 10.0, "GATEWAY_TRIES": 1}


@pytest.fixture
def one_at_a_time(overrides: dict[str, Any]) -> None:
    overrides["GATEWAY_CONCURRENCY"] = 2


@pytest.fixture
def travel() -> Iterator[Travel]:
    """Our clock and the simulator's, which are this process's."""
    with time_machine.travel(jst(2026, 11, 12, 12), tick=True) as traveller:
        yield traveller.move_to


@pytest.fixture
def three(shop: World, travel: Travel) -> list[Order]:
    """Three orders that were delivered in November."""
    open_shop(billing_day=8)
    billing.resume()  # the first registration of a new installation is nobody's
    return [delivered(shop) for _ in range(3)]


def asked_about(shop: World, order: Order) -> int:
    """How often SMBC-GP was asked about the order before its file was made."""
    return len(shop.requests(order.order_no, "SearchTrade"))


def the_files() -> list[BillingFile]:
    db.session.rollback()
    wanted = sa.select(BillingFile).order_by(BillingFile.id)
    return list(db.session.scalars(wanted.execution_options(populate_existing=True)))


def breaking_for(bad: Order) -> Callable[..., Any]:
    """A fault of ours that nobody thought of, about one order."""
    real = stored_cards.for_later

    def broken(gateway: Any, order_id: int) -> Any:
        if order_id == bad.id:
            raise KeyError("unexpected")
        return real(gateway, order_id)

    return broken


@pytest.mark.postgresql
def test_one_that_breaks_off_is_put_off_and_told_and_stops_nobody(
    three: list[Order], travel: Travel, monkeypatch: pytest.MonkeyPatch
) -> None:
    bad, *others = three
    travel(THE_10TH)
    with monkeypatch.context() as patched:
        patched.setattr(stored_cards, "for_later", breaking_for(bad))
        billing.resume()
    assert [fresh(one).payment_status for one in others] == [S.BILLING_REPORTED] * 2
    assert the_billing(bad).state is B.POSTPONED
    [shown] = subscriptions.search(SubscriptionCriteria(tab=SubscriptionTab.ATTENTION)).rows
    assert (shown.order.order_no, shown.why[:10]) == (bad.order_no, "このシステムの不具合")
    travel(jst(2026, 12, 10, 7))
    billing.resume()
    assert fresh(bad).payment_status is S.BILLING_REPORTED


@pytest.mark.postgresql
def test_one_that_cannot_even_be_planned_stops_nobody(
    three: list[Order], travel: Travel, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else nobody is charged for that month."""
    bad, *others = three
    real = acts.open

    def broken(session: Any, orders: Any, *wanted: Any, **values: Any) -> Any:
        if orders[0].id == bad.id:
            raise KeyError("unexpected")
        return real(session, orders, *wanted, **values)

    travel(THE_10TH)
    with monkeypatch.context() as patched:
        patched.setattr(acts, "open", broken)
        for _ in range(2):
            billing.resume()
    assert [fresh(one).payment_status for one in others] == [S.BILLING_REPORTED] * 2
    assert fresh(bad).payment_status is S.AWAITING_BILLING
    with writing() as session:  # as if it had been tried often
        session.execute(sa.update(Setback).values(is_set_aside=True))
    assert [one.order_no for one in setbacks.set_aside()] == [bad.order_no]
    assert setbacks.count_set_aside() == 1
    travel(jst(2026, 12, 10, 7))
    billing.resume()
    assert fresh(bad).payment_status is S.BILLING_REPORTED
    assert setbacks.all_known() == frozenset()


@pytest.mark.postgresql
def test_several_are_asked_about_at_a_time_and_one_connection_is_left(
    three: list[Order], travel: Travel, monkeypatch: pytest.MonkeyPatch
) -> None:
    real, at_once = stored_cards.for_later, threading.Barrier(3)

    def together(gateway: Any, order_id: int) -> Any:
        at_once.wait(30)  # for all three, or it breaks
        return real(gateway, order_id)

    monkeypatch.setattr(stored_cards, "for_later", together)
    travel(THE_10TH)
    billing.resume()
    assert [fresh(one).payment_status for one in three] == [S.BILLING_REPORTED] * 3
    assert [file.lines for file in the_files()] == [3]


@pytest.mark.postgresql
def test_a_file_may_hold_more_yen_than_any_order(
    three: list[Order], shop: World, travel: Travel
) -> None:
    """Else none is made, and nobody is charged for that month."""
    travel(THE_10TH)
    planning.plan(date(2026, 11, 1))
    preparing.prepare(shop.gateway)
    with writing() as session:  # in place of hundreds of lines
        session.execute(sa.update(Billing).values(amount=999_999_999))
    assert files.make() == 3
    assert [file.yen for file in the_files()] == [2_999_999_997]


def test_told_of_a_payment_while_it_is_asked_about_it_is_asked_again(
    three: list[Order], shop: World, travel: Travel, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its other numbers were asked for already, and what is charged by file cannot be taken back (P1)."""
    real, told = stored_cards.for_later, []

    def meanwhile(gateway: Any, order_id: int) -> Any:
        if order_id == three[0].id and not told:
            told.append(f"{three[0].order_no}-2")
            shop.gateway.authorize(told[0], 2500, GOOD_CARD)
            tell(told[0], Status="AUTH", JobCd="AUTH")
        return real(gateway, order_id)

    monkeypatch.setattr(stored_cards, "for_later", meanwhile)
    travel(THE_10TH)
    billing.resume()
    assert [file.lines for file in the_files()] == [2]
    billing.resume()
    assert the_billing(three[0]).state is B.POSTPONED


@pytest.mark.usefixtures("one_at_a_time")
def test_a_restart_goes_on_and_asks_nobody_again_that_day(
    three: list[Order], shop: World, travel: Travel, monkeypatch: pytest.MonkeyPatch
) -> None:
    real, died = stored_cards.for_later, []

    def dying(gateway: Any, order_id: int) -> Any:
        if order_id == three[2].id and not died:
            died.append(order_id)
            raise Killed
        return real(gateway, order_id)

    monkeypatch.setattr(stored_cards, "for_later", dying)
    travel(jst(2026, 12, 8, 6, 1))
    with pytest.raises(Killed):
        billing.resume()
    assert the_files() == []
    before = [asked_about(shop, order) for order in three]
    billing.resume()
    assert [file.lines for file in the_files()] == [3]
    assert [asked_about(shop, order) for order in three][:2] == before[:2]


@pytest.mark.usefixtures("one_at_a_time")
def test_the_next_day_it_is_asked_about_again(
    three: list[Order], shop: World, travel: Travel, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever was found yesterday: a buyer may have paid since then."""
    real = stored_cards.for_later

    def dying(gateway: Any, order_id: int) -> Any:
        if order_id == three[1].id:
            raise Killed
        return real(gateway, order_id)

    travel(jst(2026, 12, 8, 6, 1))
    with monkeypatch.context() as patched:
        patched.setattr(stored_cards, "for_later", dying)
        with pytest.raises(Killed):
            billing.resume()
    assert the_billing(three[0]).ready_at is not None
    shop.gateway.authorize(f"{three[0].order_no}-2", 2500, GOOD_CARD)
    travel(jst(2026, 12, 9, 6, 1))
    billing.resume()
    assert [file.lines for file in the_files()] == [2]
    assert the_billing(three[0]).file_id is None


def test_while_a_file_is_being_made_another_is_sent(
    three: list[Order], shop: World, travel: Travel, monkeypatch: pytest.MonkeyPatch
) -> None:
    late = three[0]
    # Else its lines would be asked about again, and no file would be there to be sent.
    monkeypatch.setattr(files, "_FRESH", timedelta(hours=4))
    shop.wire.cut_off("_batch")
    travel(jst(2026, 12, 8, 6, 1))
    with monkeypatch.context() as patched:
        patched.setattr(stored_cards, "for_later", breaking_for(late))
        billing.resume()
    [waiting] = the_files()
    assert waiting.state is FileState.PREPARED
    shop.wire.cut_off()
    travel(jst(2026, 12, 8, 9))
    with monkeypatch.context() as patched:
        patched.setattr(preparing, "_TURN", -1.0)  # it is over before anybody was asked about
        billing.resume()
    assert [file.state for file in the_files()] == [FileState.CLOSED]
    assert (the_billing(late).state, the_billing(late).file_id) == (B.PLANNED, None)
    travel(jst(2026, 12, 8, 9, 5))
    billing.resume()
    assert fresh(late).payment_status is S.BILLING_REPORTED
