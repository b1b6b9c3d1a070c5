"""Orders from a file meet their transactions by a look-up; what a file claims is not believed."""

from __future__ import annotations

import pytest

from sgpshop.domain.payment_status import PaymentStatus
from sgpshop.extensions import db
from sgpshop.gateway import Job
from sgpshop.models import CardTransaction, HistoryEntry, Order, OrderKind, utc_now
from sgpshop.services.payments import transaction_lookup
from sgpshop.storage.database import writing
from sgpshop.storage.vault import open_access_pass
from tests.factories import fresh, make_order, order_number
from tests.gateway_world import GOOD_CARD, World

pytestmark = pytest.mark.usefixtures("says_ours")

S = PaymentStatus


def imported(status: PaymentStatus = S.NEEDS_REVIEW, **more: object) -> Order:
    """An order as a file brought it: no transaction data, a look-up due now."""
    order = make_order(status=status, **more)  # type: ignore[arg-type]
    with writing() as session:
        transaction = session.query(CardTransaction).filter_by(order_id=order.id).one()
        transaction.next_look_at = utc_now()
    return order


def look(order: Order) -> Order:
    transaction = fresh(order).transaction
    assert transaction is not None
    transaction_lookup.look_up(transaction.id)
    return fresh(order)


@pytest.mark.postgresql
def test_an_authorized_transaction_makes_the_order_capturable(shop: World) -> None:
    number = order_number()
    access = shop.authorize(number, 3000)
    order = look(imported(order_no=number))
    assert order.payment_status is S.AUTHORIZED  # T6
    transaction = order.transaction
    assert transaction is not None
    assert transaction.access_id == access.access_id
    assert open_access_pass(transaction.access_pass_sealed, number) == access.access_pass
    assert access.access_pass not in (transaction.access_pass_sealed or "")  # S10
    assert transaction.gateway_amount == 3000
    assert transaction.auth_expires_at is not None  # R130
    assert transaction.next_look_at is None


@pytest.mark.parametrize(
    ("job", "kind", "claimed", "becomes"),
    [
        (Job.CAPTURE, OrderKind.NORMAL, S.NEEDS_REVIEW, S.CAPTURED),
        (Job.AUTH, OrderKind.NORMAL, S.AUTHORIZED, S.AUTHORIZED),
        (Job.CHECK, OrderKind.PREORDER, S.NEEDS_REVIEW, S.AUTHORIZED),  # R110
        (Job.CHECK, OrderKind.SUBSCRIPTION, S.NEEDS_REVIEW, S.AWAITING_BILLING),  # R21
        (Job.CHECK, OrderKind.NORMAL, S.AUTHORIZED, S.NEEDS_REVIEW),
    ],
)
def test_the_gateway_decides(
    shop: World, job: Job, kind: OrderKind, claimed: S, becomes: S
) -> None:
    number = order_number()
    if job is Job.CHECK:
        shop.gateway.check_card(number, GOOD_CARD)
    else:
        shop.gateway.authorize(number, 3000, GOOD_CARD, job=job)
    assert look(imported(claimed, order_no=number, kind=kind)).payment_status is becomes  # R120


def test_a_cancelled_transaction_shows_as_cancelled(shop: World) -> None:
    number = order_number()
    access = shop.authorize(number, 3000)
    shop.gateway.cancel(access, "VOID")  # type: ignore[arg-type]
    assert look(imported(order_no=number)).payment_status is S.CANCELLED


def test_an_unfinished_purchase_stays_for_review_and_is_looked_up_again(shop: World) -> None:
    number = order_number()
    shop.enter(number, 3000)
    order = look(imported(order_no=number))
    assert order.payment_status is S.NEEDS_REVIEW  # R18
    assert order.transaction is not None
    assert order.transaction.next_look_at is not None


def test_no_transaction_at_the_gateway_is_said_plainly(shop: World) -> None:
    order = look(imported(S.AUTHORIZED))
    assert order.payment_status is S.NEEDS_REVIEW  # R120: 仮売上 × なし
    assert order.transaction is not None
    assert order.transaction.look_problem == "not_found"
    assert order.transaction.next_look_at is not None


def test_a_file_with_another_access_id_is_not_linked(shop: World) -> None:
    number = order_number()
    shop.authorize(number, 3000)
    order = imported(order_no=number)
    with writing() as session:
        transaction = session.query(CardTransaction).filter_by(order_id=order.id).one()
        transaction.access_id = "f" * 32
    order = look(order)
    assert order.payment_status is S.NEEDS_REVIEW
    assert order.transaction is not None
    assert order.transaction.look_problem == "mismatch"


def test_an_unanswered_look_up_decides_nothing(shop: World) -> None:
    number = order_number()
    shop.authorize(number, 3000)
    shop.fault("drop_before", "SearchTrade")
    order = look(imported(order_no=number))
    assert order.payment_status is S.NEEDS_REVIEW
    assert order.transaction is not None
    assert order.transaction.look_problem == "unanswered"
    assert order.transaction.next_look_at is not None


def test_a_look_up_that_is_not_due_is_not_made(shop: World) -> None:
    number = order_number()
    shop.authorize(number, 3000)
    order = look(imported(order_no=number))
    before = len(shop.requests(number, "SearchTrade"))
    look(order)
    assert len(shop.requests(number, "SearchTrade")) == before


def test_linking_is_told_in_the_history_once(shop: World) -> None:
    number = order_number()
    shop.authorize(number, 3000)
    order = look(imported(order_no=number))
    [entry] = db.session.query(HistoryEntry).filter_by(order_id=order.id)
    assert entry.event == "linked"
    assert "仮売上 3,000円" in entry.detail["found"]


class TestPaidAgain:
    """R106: the buyer's second payment has the order's number with a suffix."""

    def test_after_a_decline_the_latest_number_counts(self, shop: World) -> None:
        number = order_number()
        shop.enter(number, 3000)
        shop.enter(f"{number}-1", 3000)
        shop.authorize(f"{number}-2", 3000)
        order = look(imported(order_no=number))
        assert order.payment_status is S.AUTHORIZED
        assert order.transaction is not None
        assert (order.transaction.gateway_order_id, order.transaction.sequence) == (
            f"{number}-2",
            2,
        )
        assert shop.requests(f"{number}-3", "SearchTrade") != []  # until none is found

    def test_a_preorder_charged_elsewhere(self, shop: World) -> None:
        number = order_number()
        shop.gateway.check_card(number, GOOD_CARD)
        shop.gateway.authorize(f"{number}-1", 3000, GOOD_CARD, job=Job.CAPTURE)
        order = look(imported(S.AUTHORIZED, order_no=number, kind=OrderKind.PREORDER))
        assert order.payment_status is S.CAPTURED

    @pytest.mark.parametrize(
        ("kind", "after"),
        [(OrderKind.PREORDER, S.CAPTURED), (OrderKind.SUBSCRIPTION, S.BILLING_REPORTED)],
    )
    def test_a_number_that_was_never_entered_hides_no_payment(
        self, shop: World, kind: OrderKind, after: S
    ) -> None:  # P1: it would be paid once more
        number = order_number()
        shop.gateway.check_card(number, GOOD_CARD)
        shop.gateway.authorize(f"{number}-2", 3000, GOOD_CARD, job=Job.CAPTURE)
        before = S.AUTHORIZED if kind is OrderKind.PREORDER else S.AWAITING_BILLING
        order = look(imported(before, order_no=number, kind=kind))
        assert order.payment_status is after
        assert order.transaction is not None
        assert order.transaction.gateway_order_id == f"{number}-2"

    def test_what_is_paid_under_its_own_number_is_not_asked_for_again(self, shop: World) -> None:
        number = order_number()
        shop.authorize(number, 3000)
        look(imported(S.AUTHORIZED, order_no=number))
        assert shop.requests(f"{number}-1", "SearchTrade") == []
