"""What may be captured and what its button looks like, as one table (rules.md §4.3, R40, R42)."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime

import pytest

from sgpshop.domain import order_acts
from sgpshop.domain.delivery_status import ProcessingClass
from sgpshop.domain.order_acts import Act
from sgpshop.domain.order_rules import (
    Refusal,
    ReviewCause,
    capture_refusal,
    is_unsent,
    review_cause,
)
from sgpshop.domain.payment_status import PaymentStatus as S

NOW = datetime(2026, 11, 23, tzinfo=UTC)


@dataclass(frozen=True)
class Transaction:
    gateway_amount: int | None = 3000
    sequence: int = 0
    is_linked: bool = True
    gateway_state: str | None = "AUTH"
    auth_expires_at: datetime | None = None
    next_look_at: datetime | None = None
    is_charge: bool = False
    others_live: bool = False
    is_mismatched: bool = False
    is_filed: bool = False
    captured_at: datetime | None = None
    given_by_hand: int = 0


CHECK = Transaction(gateway_amount=None, gateway_state="CHECK")
#: entered by us to charge a card that was checked, and not paid
UNPAID = Transaction(gateway_amount=None, gateway_state=None, is_charge=True)


@dataclass(frozen=True)
class Attempt:
    uncertain_since: datetime | None = None
    operation: str = "capture"


@dataclass(frozen=True)
class Order:
    payment_status: S | None = S.AUTHORIZED
    kind: str = "normal"
    is_sgp: bool = True
    total: int = 3000
    transaction: Transaction | None = field(default_factory=Transaction)
    open_attempt: Attempt | None = None
    ordered_at: datetime = NOW
    processing_class: ProcessingClass = ProcessingClass.UNPROCESSED
    is_called_off: bool = False
    is_asked: bool = False
    edited_at: datetime | None = None


@dataclass(frozen=True)
class Terms:
    extend_auth_enabled: bool = False
    cancel_lock_minutes: int = 0


TERMS = Terms()

#: order -> why it cannot be captured, whether the button is shown, whether it can be pressed
CASES = {
    "仮売上": (Order(), None, True, True),
    "売上失敗": (Order(S.CAPTURE_FAILED), None, True, True),
    "仮売上(予約)": (Order(kind="preorder", transaction=CHECK), None, True, True),
    "売上失敗(予約)": (Order(S.CAPTURE_FAILED, "preorder", transaction=UNPAID), None, True, True),
    "仮売上(予約)照会前": (
        Order(kind="preorder", transaction=Transaction(None, gateway_state=None)),
        Refusal.NOT_LINKED, True, False,
    ),
    "仮売上、予約とされた": (Order(kind="preorder"), None, True, True),
    "仮売上、定期とされた": (Order(kind="subscription"), None, True, True),
    "別の取引が残る": (
        Order(transaction=Transaction(others_live=True)), Refusal.OTHERS_LIVE, True, False,
    ),
    "番号を使い切った": (
        Order(kind="preorder", transaction=Transaction(None, sequence=99, gateway_state="CHECK")),
        Refusal.NUMBERS_USED_UP, True, False,
    ),
    "取引IDが一致しない": (
        Order(transaction=Transaction(is_mismatched=True)),
        Refusal.OTHER_TRANSACTION, True, False,
    ),
    "売上失敗(定期)": (
        Order(S.CAPTURE_FAILED, "subscription", transaction=UNPAID),
        Refusal.SUBSCRIPTION, False, False,
    ),
    "決済完了": (Order(S.CAPTURED), Refusal.CAPTURED, False, False),
    "要確認": (Order(S.NEEDS_REVIEW), Refusal.NEEDS_REVIEW, False, False),
    "決済待ち": (Order(S.AWAITING_BILLING, "subscription"), Refusal.SUBSCRIPTION, False, False),
    "売上報告済": (Order(S.BILLING_REPORTED, "subscription"), Refusal.SUBSCRIPTION, False, False),
    "注文キャンセル": (Order(S.CANCELLED), Refusal.CANCELLED, False, False),
    "処理中": (Order(open_attempt=Attempt()), Refusal.BUSY, True, False),
    "購入手続き中": (
        Order(S.NEEDS_REVIEW, open_attempt=Attempt(operation="authorize")),
        Refusal.BEING_PAID, True, False,
    ),
    "結果確認中": (
        Order(S.NEEDS_REVIEW, open_attempt=Attempt(NOW)), Refusal.NEEDS_REVIEW, True, False,
    ),
    "修正額が未送信": (
        Order(transaction=Transaction(gateway_amount=2500)), Refusal.UNSENT_AMOUNT, True, False,
    ),
    "照会前": (Order(transaction=Transaction(is_linked=False)), Refusal.NOT_LINKED, True, False),
    "取引なし": (Order(transaction=None), Refusal.NOT_LINKED, True, False),
    "0円": (Order(total=0, transaction=Transaction(0)), Refusal.NOTHING_TO_CAPTURE, True, False),
    "代金引換": (Order(None, is_sgp=False), Refusal.OTHER_METHOD, False, False),
}  # fmt: skip


@pytest.mark.parametrize("name", CASES)
def test_capture(name: str) -> None:
    order, refusal, is_shown, is_enabled = CASES[name]
    assert capture_refusal(order) is refusal
    button = order_acts.button(Act.CAPTURE, order, TERMS, NOW)
    assert (button.is_shown, button.is_enabled) == (is_shown, is_enabled)
    assert bool(button.reason) is (is_shown and not is_enabled)  # R60: a reason in words


@pytest.mark.parametrize("refusal", Refusal)
def test_every_refusal_has_words(refusal: Refusal) -> None:
    assert refusal.label
    assert refusal.sentence.endswith("。")


@pytest.mark.parametrize("kind", ["normal", "preorder", "subscription"])
def test_what_is_reserved_can_differ_whatever_the_order_is_said_to_be(kind: str) -> None:
    held = Transaction(gateway_amount=1)
    assert is_unsent(Order(kind=kind, transaction=held))
    assert not is_unsent(Order(kind=kind, transaction=CHECK))  # R69, R72a
    assert not is_unsent(Order(kind=kind, transaction=UNPAID))


def test_before_the_first_look_up_the_kind_says_what_may_be_unsent() -> None:
    claimed = Transaction(gateway_amount=1, gateway_state=None)
    assert is_unsent(Order(transaction=claimed))
    assert not is_unsent(Order(kind="preorder", transaction=claimed))
    assert not is_unsent(Order(kind="subscription", transaction=claimed))


def test_the_badge_beside_needs_review_names_the_cause() -> None:
    waiting = Transaction(gateway_state=None, next_look_at=NOW)
    assert review_cause(Order(S.NEEDS_REVIEW)) is ReviewCause.CHECKOUT_UNFINISHED  # R18
    assert review_cause(Order(S.NEEDS_REVIEW, transaction=waiting)) is ReviewCause.LOOKING_UP
    assert (
        review_cause(Order(S.NEEDS_REVIEW, open_attempt=Attempt(NOW)))
        is ReviewCause.OUTCOME_UNKNOWN
    )
    assert review_cause(Order()) is None


def test_while_something_is_under_way_no_button_appears_that_was_never_there() -> None:  # B14
    for act in Act:
        before = order_acts.button(act, Order(), TERMS, NOW)
        busy = order_acts.button(act, Order(open_attempt=Attempt()), TERMS, NOW)
        assert before.is_shown == busy.is_shown, act
