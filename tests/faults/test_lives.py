"""Lives of orders of every kind, by dice: each yen the gateway has is in our books, once (P1-P5, P26).

`make test` goes one way on each database, with half as many on PostgreSQL; `make soak` lives
SOAK_LIVES lives of three months and as many busy days on each, LIVES_SEED=…, DAYS_SEED=… and
BACK_SEED=… repeat a batch.
"""

from __future__ import annotations

import os
import random
from typing import Any

import pytest
import sqlalchemy as sa
from flask import Flask

from sgpshop.extensions import db
from sgpshop.gateway import Card
from sgpshop.models import Billing, BillingState, Order
from sgpshop.services.orders import alerts, money_movements
from sgpshop.services.payments import (
    filed_numbers,
    journal,
    notifications,
    other_numbers,
    outcomes,
    stored_cards,
)
from sgpshop.services.subscriptions import stages
from sgpshop.services.subscriptions.billing import planning
from tests.faults import lives
from tests.faults.lives import (
    BUSY_DAYS,
    GOOD,
    MONTHS,
    RESULTS,
    Span,
    Step,
    draw,
    put_back,
    stage,
)
from tests.seeds import is_soaking, seed_of

#: so many share a shop and its calendar: of months, and of busy days
LIVES, BUSY_LIVES = (25, 12) if is_soaking() else (6, 3)
BATCHES = max(1, int(os.environ.get("SOAK_LIVES", "0")) // LIVES)
WAYS = [
    *[(MONTHS, LIVES, "LIVES_SEED", batch) for batch in range(BATCHES)],
    *[(BUSY_DAYS, BUSY_LIVES, "DAYS_SEED", batch) for batch in range(max(1, BATCHES // 4))],
]


@pytest.fixture
def overrides() -> dict[str, Any]:
    return dict(lives.OVERRIDES)


@pytest.mark.parametrize(
    ("span", "number", "name", "batch"), WAYS, ids=[f"{name}-{batch}" for *_, name, batch in WAYS]
)
def test_every_yen_is_in_our_books_once(
    app: Flask, database_kind: str, span: Span, number: int, name: str, batch: int
) -> None:
    if database_kind == "postgresql" and not is_soaking():
        number //= 2
    steps = draw(random.Random(seed_of(name, batch + 1)), number, span)
    with stage(app) as shop:
        assert shop.play(steps, span) == [], told(steps)


@pytest.mark.parametrize("database_kind", ["sqlite"])
@pytest.mark.parametrize("batch", range(BATCHES))
def test_nor_is_any_lost_with_books_of_before_that_are_put_back(app: Flask, batch: int) -> None:
    dice = random.Random(seed_of("BACK_SEED", batch + 1))
    steps = put_back(dice, draw(dice, 12 if is_soaking() else 3, MONTHS))
    with stage(app) as shop:
        assert shop.play(steps, MONTHS) == [], told(steps)


def told(steps: list[Step]) -> str:
    return "\n".join(["", *map(str, steps)])


def order(**how: Any) -> Step:
    """An order of 2,500 yen that comes in on the first day."""
    usual = {"kind": "normal", "source": "token", "total": 2_500, "card": GOOD}
    return Step(0, 0, "place", usual | {"parcels": 1, "keep": True} | how)


@pytest.mark.parametrize("database_kind", ["sqlite"])
@pytest.mark.parametrize("what", RESULTS)
def test_what_becomes_of_results_strikes_before_they_are_read(
    app: Flask, what: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else no life would ever meet it."""
    steps = [
        Step(0, -1, "driver", {"driver": "file"}),
        order(kind="subscription"),
        Step(1, 0, "deliver", {"parcel": 0}),
        Step(46 + RESULTS[what], -1, "results", {"what": what}),
    ]
    with stage(app) as shop:
        with monkeypatch.context() as patched:
            patched.setattr(shop, "do_back", lambda: None)
            shop.play(steps, MONTHS._replace(days=47, end=48))
        [line] = db.session.scalars(sa.select(Billing))
        is_late = what in ("late", "uncharged")  # what is charged and unread a look-up shows
        assert (line.state is BillingState.REGISTERED) is is_late
        assert shop.play([], MONTHS._replace(days=62, end=82)) == []


@pytest.mark.parametrize("database_kind", ["sqlite"])
class TestItWouldNotice:
    """Each guard taken away once, in a story that needs it."""

    def ends(self, app: Flask, *steps: Step, days: int = 6) -> str:
        with stage(app) as shop:
            return "; ".join(shop.play(list(steps), MONTHS._replace(days=days, end=days + 3)))

    def test_nothing_in_a_plain_life(self, app: Flask) -> None:
        plain = [order(), Step(1, 0, "capture", {}), Step(2, 0, "deliver", {"parcel": 0})]
        assert self.ends(app, *plain) == ""

    def test_a_hold_of_an_order_that_was_refused(
        self, app: Flask, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """A lost answer to the buyer's payment, taken for a refusal."""
        monkeypatch.setattr(outcomes, "unknown", outcomes.rejected)
        lost = Step(0, 0, "fault", {"api": "ExecTran", "fault": "drop_after", "suffix": ""})
        found = self.ends(app, lost, order(keep=False))
        assert "AUTH 2500 yen of no order of ours" in found

    def test_nothing_in_a_capture_that_died_with_our_process(self, app: Flask) -> None:
        """Between sending and writing down; whoever comes after it asks what became of it."""
        crash = Step(1, 0, "die", {"api": "AlterTran", "moment": "after"})
        capture = Step(1, 0, "bulk", {"action": "sgp_capture", "others": 0, "begin": 0})
        assert self.ends(app, order(), crash, capture) == ""

    def test_what_died_and_is_asked_for_by_nobody(
        self, app: Flask, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def leave_it(_attempt_id: int) -> None:
            return

        monkeypatch.setattr(journal, "give_up_lost", leave_it)
        crash = Step(1, 0, "die", {"api": "AlterTran", "moment": "after"})
        found = self.ends(app, order(), crash, Step(1, 0, "capture", {}), days=1)
        assert "2500 yen taken there, authorized here and nobody is told" in found

    def test_a_refund_in_the_console_that_nobody_is_told(
        self, app: Flask, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(alerts, "raise_for", lambda *_, **__: None)
        console = {"suffix": "", "operation": "cancel", "amount": 2_500}
        found = self.ends(
            app,
            order(),
            Step(1, 0, "capture", {}),
            Step(2, 0, "deliver", {"parcel": 0}),
            Step(3, 0, "console", console),
        )
        assert "delivered, cancelled and nobody is told" in found

    def test_a_subscription_that_no_registration_takes(
        self, app: Flask, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(planning, "plan", lambda *_: 0)
        monkeypatch.setattr(planning, "plan_again", lambda *_: 0)
        for listed in ("was_passed_over", "was_left_behind"):  # nor listed
            monkeypatch.setattr(stages, listed, lambda *_: Order.id < 0)
        delivered = Step(1, 0, "deliver", {"parcel": 0})
        found = self.ends(app, order(kind="subscription"), delivered, days=75)
        assert "never billed and nobody is told" in found

    @pytest.mark.parametrize("is_guarded", [True, False])
    def test_a_charge_beside_what_the_shop_front_took(
        self, app: Flask, monkeypatch: pytest.MonkeyPatch, is_guarded: bool
    ) -> None:
        if not is_guarded:
            monkeypatch.setattr(other_numbers, "paid_there", lambda *_: None)
            for_later = Card(member_id="buyer0", card_seq=0)
            monkeypatch.setattr(stored_cards, "for_later", lambda *_: for_later)
        found = self.ends(
            app,
            Step(0, -1, "driver", {"driver": "api"}),
            order(kind="subscription", source="late"),
            Step(2, 0, "deliver", {"parcel": 0}),
            # The look-up of that night is not answered; the next comes after the registration.
            Step(39.86, 0, "fault", {"api": "SearchTrade", "fault": "http:503", "suffix": ""}),
            Step(39.87, 0, "front", {"what": "charge", "total": 2_500}),
            days=52,
        )
        assert ("taken 2 times" in found) is not is_guarded, found

    @pytest.mark.parametrize("is_guarded", [True, False])
    def test_a_charge_beside_the_line_of_a_lost_file(
        self, app: Flask, monkeypatch: pytest.MonkeyPatch, is_guarded: bool
    ) -> None:
        if not is_guarded:
            monkeypatch.setattr(filed_numbers, "whose", lambda *_: filed_numbers.Whose.OURS)
        found = self.ends(
            app,
            Step(0, -1, "driver", {"driver": "api"}),
            order(kind="subscription"),
            Step(2, 0, "deliver", {"parcel": 0}),
            Step(39.86, 0, "lost_file", {"further": 2}),
            days=52,
        )
        assert ("taken 2 times" in found) is not is_guarded, found

    def test_nothing_in_a_lost_file_that_went_out_before_the_buyer_paid_past_us(
        self, app: Flask
    ) -> None:
        """What was sent before a backup was put back is charged: no call of ours could ask before."""
        found = self.ends(
            app,
            Step(0, -1, "driver", {"driver": "api"}),
            order(kind="subscription"),
            Step(2, 0, "deliver", {"parcel": 0}),
            Step(30, 0, "cart_opens", {"tells": ("paid",)}),
            Step(39.86, 0, "lost_file", {"further": 2}),
            Step(39.87, 0, "cart_is_paid", {}),
            days=52,
        )
        assert found == ""

    def test_nothing_in_what_the_shop_front_took_after_the_buyer_paid_past_us(
        self, app: Flask
    ) -> None:
        """No call of ours took it; both are told."""
        tells = {"tells": ("paid",)}
        found = self.ends(
            app,
            order(kind="subscription", source="late", parcels=2),
            Step(5, 0, "cart_opens", tells),
            Step(5.02, 0, "cart_is_paid", {}),
            Step(5.4, 0, "deliver", {"parcel": 0}),
            Step(9, 0, "front", {"what": "charge", "total": 2_500}),
            days=45,
        )
        assert found == ""

    @pytest.mark.parametrize("is_guarded", [True, False])
    def test_a_charge_beside_what_we_were_notified_of(
        self, app: Flask, monkeypatch: pytest.MonkeyPatch, is_guarded: bool
    ) -> None:
        if not is_guarded:
            monkeypatch.setattr(other_numbers, "paid_there", lambda *_: None)
            monkeypatch.setattr(notifications, "ask_for_looks", lambda: 0)
        tells = {"tells": ("paid",)}
        found = self.ends(
            app,
            order(),
            Step(1, 0, "cart_opens", tells),
            Step(1.1, 0, "cart_is_paid", {}),
            Step(1.2, 0, "capture", {}),
        )
        assert ("charged though" in found) is not is_guarded, found

    @pytest.mark.parametrize("is_balanced", [True, False])
    def test_a_sale_that_was_called_ours_and_is_not(
        self, app: Flask, monkeypatch: pytest.MonkeyPatch, is_balanced: bool
    ) -> None:
        """Taken back, and said again in the next morning's comparison: it is booked once."""
        if not is_balanced:
            monkeypatch.setattr(money_movements, "book_back", lambda *_: None)
        found = self.ends(
            app,
            order(),
            Step(1, 0, "cart_opens", {"tells": ("paid",)}),
            Step(1.1, 0, "cart_is_paid", {}),
            Step(8.9, 0, "answer_taken_back", {}),
            days=9,
        )
        assert ("5000 yen in the journals" in found) is not is_balanced, found

    def test_another_card_of_the_buyer(self, app: Flask, monkeypatch: pytest.MonkeyPatch) -> None:
        """Whatever card comes first is charged, not the one that was checked."""
        first = Card(member_id="buyer0", card_seq=0)
        monkeypatch.setattr(stored_cards, "for_later", lambda *_: first)
        found = self.ends(
            app,
            order(kind="preorder", source="member"),
            Step(1, 0, "buyer_card", {"what": "delete first"}),
            Step(2, 0, "buyer_card", {"what": "add"}),
            Step(3, 0, "capture", {}),
        )
        assert "card 4444 was charged, {'1111'} was checked" in found
