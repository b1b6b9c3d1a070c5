"""A monthly file of which nobody knows whether SMBC-GP has it: charged once, told, never forgotten."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

import pytest
import sqlalchemy as sa
import time_machine

from sgpshop.domain.payment_status import PaymentStatus
from sgpshop.extensions import db
from sgpshop.models import BillingFile, BillingState, FileState
from sgpshop.services.subscriptions import billing
from tests.factories import fresh
from tests.gateway_world import Killed, World
from tests.services.arriving import open_shop
from tests.services.subscribing import Travel, jst
from tests.services.subscriptions.test_billing_faults import (
    THE_10TH,
    THE_18TH,
    delivered,
    explained,
    the_billing,
)

S, B = PaymentStatus, BillingState


@pytest.fixture
def overrides() -> dict[str, Any]:
    return {"QUIET_PERIOD": 0.0, "GATEWAY_TRIES": 1, "CONGESTION_TRIES": 1}


@pytest.fixture
def travel() -> Iterator[Travel]:
    """Our clock and the simulator's, which are this process's."""
    with time_machine.travel(jst(2026, 11, 12, 12), tick=True) as traveller:
        yield traveller.move_to


@pytest.fixture(autouse=True)
def _open(shop: World, travel: Travel) -> None:
    open_shop()
    billing.carry_on()  # the first registration of a new installation is nobody's


def charged(shop: World) -> list[str]:
    return [one["order_id"] for one in shop.ledger() if one["status"] == "CAPTURE"]


def the_file() -> BillingFile:
    db.session.rollback()
    return db.session.scalars(sa.select(BillingFile).order_by(BillingFile.id.desc()).limit(1)).one()


def killed_while_sending(shop: World, travel: Travel) -> None:
    """The file got to SMBC-GP, and our process died before it had the answer."""
    shop.wire.die_at("_batch")
    travel(THE_10TH)
    with contextlib.suppress(Killed):
        billing.carry_on()


class TestKilledWhileSending:
    def test_a_refusal_of_the_same_file_says_nothing_about_the_first(
        self, shop: World, travel: Travel
    ) -> None:
        order = delivered(shop)
        killed_while_sending(shop, travel)
        shop.fault("error:E01030002", "Batch")  # the password was renewed meanwhile
        travel(jst(2026, 12, 10, 7))
        billing.carry_on()
        assert fresh(order).payment_status is S.BILLING_REPORTED
        assert the_billing(order).state is B.REGISTERED
        travel(THE_18TH)
        billing.carry_on()
        assert the_billing(order).state is B.PAID
        assert charged(shop) == [f"{order.order_no}-1"]
        assert explained() == []

    def test_it_is_in_doubt_from_the_moment_it_is_sent(self, shop: World, travel: Travel) -> None:
        delivered(shop)
        killed_while_sending(shop, travel)
        assert the_file().state is FileState.PREPARED
        assert the_file().is_doubtful

    @pytest.mark.parametrize("trouble", ["unreachable", "E92000001"])
    def test_what_provably_did_not_get_there_leaves_no_doubt(
        self, shop: World, travel: Travel, trouble: str
    ) -> None:
        order = delivered(shop)
        if trouble == "unreachable":
            shop.wire.cut_off("_batch")
        else:
            shop.fault(f"error:{trouble}", "Batch")
        travel(THE_10TH)
        billing.carry_on()
        shop.wire.cut_off()
        shop.fault("error:E01030002", "Batch")
        travel(jst(2026, 12, 10, 7))
        billing.carry_on()
        assert not the_file().is_doubtful
        assert the_billing(order).state is B.POSTPONED

    def test_a_try_that_did_not_get_there_does_not_end_an_earlier_doubt(
        self, shop: World, travel: Travel
    ) -> None:
        order = delivered(shop)
        killed_while_sending(shop, travel)
        shop.wire.cut_off("_batch")
        travel(jst(2026, 12, 10, 7))
        billing.carry_on()
        assert the_file().is_doubtful
        shop.wire.cut_off()
        travel(jst(2026, 12, 10, 9))
        billing.carry_on()
        assert fresh(order).payment_status is S.BILLING_REPORTED

    def test_results_are_asked_for_of_every_file_that_may_have_got_there(
        self, shop: World, travel: Travel, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        order = delivered(shop)
        killed_while_sending(shop, travel)
        shop.fault("error:E01030002", "Batch")
        travel(jst(2026, 12, 10, 23, 58))
        with monkeypatch.context() as patched:  # a look-up does not show the line yet
            patched.setattr(shop.gateway, "search_trade", lambda _number: None)
            billing.carry_on()
        assert the_billing(order).state is B.POSTPONED
        assert the_file().results_due_at is not None
        travel(THE_18TH)
        billing.carry_on()
        assert the_billing(order).state is B.PAID
        assert fresh(order).payment_status is S.BILLING_REPORTED
