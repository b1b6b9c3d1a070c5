"""A subscription order as the list and the file show it: two queries, however many there are."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime
from functools import lru_cache
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import aliased

from sgpshop.domain.billing_calendar import month_of, next_registration, registers_at
from sgpshop.domain.order_rules import TAKEN_STATES, Refusal
from sgpshop.domain.payment_status import PAID, PaymentStatus
from sgpshop.models import Billing, BillingState, CardTransaction, Order
from sgpshop.models.order import IS_THROUGH
from sgpshop.services.order_search.waits import HAS_SLIP
from sgpshop.services.orders import facts as order_facts
from sgpshop.services.orders.facts import Facts
from sgpshop.services.subscriptions.billing import planning, selecting
from sgpshop.services.subscriptions.billing.selecting import (
    DELIVERED_AT,
    HAS_A_NUMBER,
    IS_QUESTIONED,
)
from sgpshop.services.subscriptions.facts import COLUMNS, BillingFacts, made_from
from sgpshop.services.subscriptions.stages import (
    IS_HELD_UP,
    IS_PUT_OFF,
    LACKS_CARD,
    LATEST_BILLING,
    NEEDS_REFUND,
)
from sgpshop.storage.among import among
from sgpshop.storage.rows import read as rows_of

_QUESTIONED = (
    "確認されていない通知があるため、売上報告していません。"
    "注文の画面で通知を読み、注文キャンセルか「確認済みにする」を選んでください。"
)


@dataclass(frozen=True, slots=True)
class ListedSubscription:
    """One row."""

    order: Facts
    subscription_id: str
    round: int | None
    email: str
    #: since when everything is 配送完了, as far as it was noted
    delivered_at: datetime | None
    #: 登録予定日; None where nothing is to be registered any more
    registers_at: datetime | None
    #: its own registration day is over, and it was not registered
    is_late: bool
    has_slip: bool
    billing: BillingFacts | None
    #: 要返金 (R104)
    needs_refund: bool
    #: カード未確認: nothing shows yet which card is to pay
    lacks_card: bool
    #: through and not registered until a person has seen to it (stages.IS_HELD_UP)
    is_held_up: bool
    #: it was when its month was registered, and waits for the next registration (R102, R105)
    was_passed_over: bool
    #: it was to be registered as it left, was not, and is tried again (stages.IS_PUT_OFF)
    is_put_off: bool
    #: SMBC-GP takes no further number of it (R141)
    is_used_up: bool
    #: because of an alert that waits for an answer
    is_questioned: bool
    #: yen that SMBC-GP took, where it took any
    captured: int | None
    #: and has it still
    is_taken: bool

    @property
    def yen(self) -> int:
        """What was taken, where money moved; else what is to be charged."""
        if self.captured is None or self.order.payment_status not in PAID:
            return self.order.total
        return self.captured

    @property
    def is_changing(self) -> bool:
        """Whether more than what stands here is to be told: what is under way, or 要確認, and since when."""
        is_in_review = self.order.payment_status is PaymentStatus.NEEDS_REVIEW
        return is_in_review or self.order.open_attempt is not None

    @property
    def is_repaid(self) -> bool:
        """Whether the buyer paid after an NG (R106)."""
        return (
            self.billing is not None
            and self.billing.is_bad
            and self.order.payment_status is PaymentStatus.BILLING_REPORTED
            and self.is_taken
        )

    @property
    def result(self) -> str:
        """結果 in one word; "" before there was any registration."""
        if self.is_repaid:
            return "再決済OK"
        return self.billing.state.label if self.billing else ""

    @property
    def is_bad(self) -> bool:
        """Whether money is still missing because of the result."""
        return self.billing is not None and self.billing.is_bad and not self.is_repaid

    @property
    def _is_of_interest(self) -> bool:
        return self.is_bad or self.is_put_off

    @property
    def why(self) -> str:
        """Why the result is bad or the registration was put off, with what the codes mean."""
        if self.is_held_up:
            return _QUESTIONED if self.is_questioned else Refusal.OTHERS_LIVE.sentence
        if self.was_passed_over:
            return Refusal.NUMBERS_USED_UP.sentence if self.is_used_up else _PASSED_OVER
        return self.billing.why if self.billing and self._is_of_interest else ""

    @property
    def codes(self) -> tuple[str, ...]:
        """The codes of a bad result, or of a registration that was put off."""
        return self.billing.codes if self.billing and self._is_of_interest else ()

    @property
    def registered_at(self) -> datetime | None:
        """登録日."""
        return self.billing.registered_at if self.billing else None


_PASSED_OVER = (
    "確認待ちだった間に、その月の登録が終わりました。登録予定日に、次の月の分と一緒に登録します。"
    "それまでに請求しない場合は、配送完了を取り消して注文キャンセルをしてください。"
)


#: the conditions of the facts below speak of transactions of their own
_CURRENT = aliased(CardTransaction)

_FACTS = (
    Order.id,
    Order.subscription_id,
    Order.subscription_round,
    Order.buyer_email,
    DELIVERED_AT.label("delivered_at"),
    HAS_SLIP.label("has_slip"),
    IS_THROUGH.label("is_through"),
    NEEDS_REFUND.label("needs_refund"),
    LACKS_CARD.label("lacks_card"),
    IS_HELD_UP.label("is_held_up"),
    IS_PUT_OFF.label("is_put_off"),
    IS_QUESTIONED.label("is_questioned"),
    HAS_A_NUMBER.label("has_a_number"),
    _CURRENT.captured_amount,
    _CURRENT.gateway_state.in_(sorted(TAKEN_STATES)).label("is_taken"),
    Billing.id.label("billing_id"),
)


@lru_cache(maxsize=2)  # made once a month: making it takes longer than asking it
def _statement(month: date, punctual_until: datetime) -> sa.Select[*tuple[Any, ...]]:
    was_passed_over = selecting.was_passed_over(month, punctual_until)
    return (
        sa.select(*_FACTS, was_passed_over.label("was_passed_over"), *COLUMNS)
        .select_from(Order)
        .outerjoin(Billing, Billing.id == LATEST_BILLING)
        .outerjoin(_CURRENT, sa.and_(_CURRENT.order_id == Order.id, _CURRENT.is_current))
        .where(among(Order.id, "ids"))
    )


def load(order_ids: Sequence[int], now: datetime, billing_day: int) -> list[ListedSubscription]:
    """The rows of these orders, in this order."""
    if not order_ids:
        return []
    orders = {one.id: one for one in order_facts.with_ids(order_ids, with_parts=False)}
    asked, next_at = _statement(*planning.due_last(now)), next_registration(now, billing_day)
    facts = {row[0]: row for row in rows_of(asked, {"ids": order_ids})}
    return [
        _row(orders[order_id], facts[order_id], now, billing_day, next_at)
        for order_id in order_ids
        if order_id in orders and order_id in facts
    ]


def _row(
    order: Facts, facts: Any, now: datetime, billing_day: int, next_at: datetime
) -> ListedSubscription:
    is_delivered = bool(facts.is_through)
    is_awaiting = order.payment_status is PaymentStatus.AWAITING_BILLING
    left_at = facts.delivered_at if is_delivered else now  # at the earliest
    billing = made_from(facts[len(_FACTS) + 1 :]) if facts.billing_id is not None else None
    own_day = registers_at(month_of(left_at), billing_day)
    is_waiting = billing is None or billing.state is not BillingState.PLANNED
    return ListedSubscription(
        order=order,
        subscription_id=facts.subscription_id or "",
        round=facts.subscription_round,
        email=facts.buyer_email,
        delivered_at=facts.delivered_at if is_delivered else None,
        registers_at=(
            # Its own day, or when that is over the next on which sales are registered (R102).
            max(own_day, next_at)
            if is_awaiting
            and is_delivered
            and is_waiting
            and facts.has_a_number
            and not facts.is_held_up
            else None
        ),
        is_late=is_awaiting and is_delivered and is_waiting and own_day <= now,
        has_slip=bool(facts.has_slip),
        billing=billing,
        needs_refund=bool(facts.needs_refund),
        lacks_card=bool(facts.lacks_card),
        is_held_up=bool(facts.is_held_up),
        was_passed_over=bool(facts.was_passed_over),
        is_put_off=bool(facts.is_put_off),
        is_used_up=not facts.has_a_number,
        is_questioned=bool(facts.is_questioned),
        captured=facts.captured_amount,
        is_taken=bool(facts.is_taken),
    )
