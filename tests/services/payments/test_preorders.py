"""予約商品: only a card check at order time; the capture charges the kept card, by a number of its own."""

from __future__ import annotations

import contextlib
from typing import Any

import pytest

from sgpshop.domain.order_acts import Act, button
from sgpshop.domain.payment_status import PaymentStatus
from sgpshop.models import Operation, Order, OrderKind, utc_now
from sgpshop.services import settings
from sgpshop.services.bulk import runs
from sgpshop.services.orders.history_check import Verification
from sgpshop.services.payments import transaction_lookup
from tests.factories import fresh, make_order, order_number
from tests.faults.judging import settle, work_off
from tests.gateway_world import GOOD_CARD, Killed, World
from tests.seeds import each_once
from tests.services.acting import cancel, correct, last_attempt, press
from tests.services.running import prepare
from tests.signing_in import make_person

S = PaymentStatus


@pytest.fixture
def overrides() -> dict[str, Any]:
    return {"QUIET_PERIOD": 0.0}


def preorder(shop: World, **more: Any) -> Order:
    """A preorder of 3,000 yen whose card was found valid."""
    number = order_number()
    receipt = shop.gateway.check_card(number, GOOD_CARD)
    return make_order(
        access=receipt.access,
        kind=OrderKind.PREORDER,
        gateway_state="CHECK",
        order_no=number,
        gateway_amount=None,
        told=True,
        **more,
    )


def charges(shop: World, order: Order) -> dict[str, str]:
    """What SMBC-GP has under the numbers with a suffix: number -> status."""
    found = shop.simulator.test_client().get("/_control/ledger").get_json()
    return {
        trade["order_id"]: trade["status"]
        for trade in found
        if trade["order_id"].startswith(f"{order.order_no}-")
    }


def declining(shop: World) -> Order:
    """A preorder whose card is good for a check and for nothing more."""
    order = preorder(shop)
    shop.fault("error:42G550000", "ExecTran", order_id=f"{order.order_no}-1")
    return press(order, Operation.CAPTURE)


def explained(order: Order) -> list[str]:
    return [problem.what for problem in Verification([order.id]).problems()]


@pytest.mark.postgresql
def test_capture_charges_the_kept_card_with_a_new_number(shop: World) -> None:  # R112
    order = press(preorder(shop), Operation.CAPTURE)
    assert order.payment_status is S.CAPTURED
    assert charges(shop, order) == {f"{order.order_no}-1": "CAPTURE"}
    assert shop.trade(order.order_no)["status"] == "CHECK"
    assert order.transaction is not None
    assert order.transaction.gateway_order_id == f"{order.order_no}-1"
    assert order.transaction.gateway_amount == order.transaction.captured_amount == 3000
    assert explained(order) == []


def test_the_present_total_is_charged_without_sending_it_before(shop: World) -> None:  # R69, R112
    order = correct(preorder(shop), 3500)
    assert not button(Act.SEND_CHANGES, order, settings.load(), utc_now()).is_shown
    press(order, Operation.CAPTURE)
    assert shop.trade(f"{order.order_no}-1")["amount"] == 3500


def test_a_decline_is_explained_and_each_new_try_has_a_new_number(shop: World) -> None:  # R112
    order = declining(shop)
    assert order.payment_status is S.CAPTURE_FAILED
    assert last_attempt(order).error_codes == "42G550000"
    again = press(order, Operation.CAPTURE)
    assert again.payment_status is S.CAPTURED
    assert charges(shop, order) == {
        f"{order.order_no}-1": "UNPROCESSED",
        f"{order.order_no}-2": "CAPTURE",
    }
    assert explained(order) == []


def test_a_look_up_after_a_decline_leaves_it_as_it_is(shop: World) -> None:  # R120, R92
    order = declining(shop)
    assert order.transaction is not None
    transaction_lookup.look_soon(order.id)
    transaction_lookup.look_up(order.transaction.id)
    assert fresh(order).payment_status is S.CAPTURE_FAILED


@pytest.mark.parametrize("is_declined", [False, True])
def test_cancelling_what_was_not_charged_needs_no_void(shop: World, is_declined: bool) -> None:
    order = declining(shop) if is_declined else preorder(shop)
    assert cancel(order).payment_status is S.CANCELLED  # R92
    number = f"{order.order_no}-1" if is_declined else order.order_no
    assert shop.requests(number, "AlterTran") == []


def test_cancelling_a_charged_one_is_a_refund(shop: World) -> None:  # R99
    order = press(preorder(shop), Operation.CAPTURE)
    assert cancel(order).payment_status is S.CANCELLED
    assert charges(shop, order) == {f"{order.order_no}-1": "VOID"}


def test_in_bulk_too(shop: World) -> None:  # R12a
    tanaka, chosen = make_person("田中"), [preorder(shop), preorder(shop)]
    run_id = prepare(chosen, tanaka)
    assert runs.preview(run_id, tanaka.id).eligible == 2
    runs.start(run_id, person_id=tanaka.id)
    for order in chosen:
        settle(order.id)
    assert {fresh(order).payment_status for order in chosen} == {S.CAPTURED}


@pytest.mark.parametrize(
    ("api", "fault"),
    each_once(
        ["EntryTran", "ExecTran", "SaveMember", "TradedCard", "SearchCard"],
        [
            "drop_before",
            "drop_after",
            "garbage",
            "error:E92000001",
            "error_after:E91019999",
            "killed",
        ],
        always=["ExecTran"],
    ),
)
def test_whatever_gets_lost_it_is_charged_once(shop: World, api: str, fault: str) -> None:  # P1
    order = preorder(shop)
    if fault == "killed":
        shop.wire.die_at(api)
    else:
        shop.fault(fault, api)
    with contextlib.suppress(Killed):
        press(order, Operation.CAPTURE)
    shop.behave()
    settle(order.id)
    if fresh(order).payment_status is S.CAPTURE_FAILED:  # proved not carried out: press again
        press(order, Operation.CAPTURE)
        settle(order.id)
    assert fresh(order).payment_status is S.CAPTURED
    assert list(charges(shop, order).values()).count("CAPTURE") == 1
    assert explained(order) == []


@pytest.mark.postgresql
def test_what_a_crash_cut_off_goes_on_by_itself(shop: World) -> None:  # P2
    order = preorder(shop)
    shop.wire.die_at("ExecTran")
    with pytest.raises(Killed):
        press(order, Operation.CAPTURE)
    work_off(order.id)
    settle(order.id)
    assert fresh(order).payment_status is S.CAPTURED


def test_where_no_card_was_checked_nothing_is_charged(shop: World) -> None:
    order = make_order(
        kind=OrderKind.PREORDER, gateway_state="UNPROCESSED", access=shop.enter(order_number(), 1)
    )
    assert press(order, Operation.CAPTURE).payment_status is S.NEEDS_REVIEW
    assert charges(shop, order) == {}
