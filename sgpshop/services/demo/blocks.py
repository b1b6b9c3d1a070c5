"""A block of made-up orders, with all that is written with them, made without asking any database.

So a process of its own can make it while another writes the one before.  The same block is always the
same, but for the ids that it is given.
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from datetime import date, datetime, timedelta
from functools import cache, lru_cache
from itertools import accumulate
from typing import Any, NamedTuple

import sqlalchemy as sa

from sgpshop.domain import history_chain
from sgpshop.domain.delivery_status import DeliveryStatus, ProcessingClass
from sgpshop.domain.order_number import at_gateway, later_stem
from sgpshop.domain.payment_calendar import jst_day
from sgpshop.domain.payment_status import PaymentStatus
from sgpshop.domain.reconciliation import AlertKind
from sgpshop.gateway import TradeState
from sgpshop.models import (
    SGP_METHOD,
    ActorKind,
    Alert,
    Attempt,
    AttemptState,
    Billing,
    BillingState,
    CardTransaction,
    Delivery,
    HistoryEntry,
    MoneyMovement,
    Operation,
    Order,
    OrderKind,
    OrderLine,
    table_of,
)
from sgpshop.services.demo import made_up
from sgpshop.services.demo.made_up import Cart, Item, Person, Step, Story
from sgpshop.services.order_search import texts
from sgpshop.storage.rows import Statement, inserts

_SPREAD = timedelta(days=1095)
_TERM = timedelta(days=60)
_PEOPLE = ("田中", "鈴木", "中村")
_CARRIERS = ("001", "002", "003")
_OTHER_METHODS = ("代金引換", "銀行振込", "コンビニ決済")
_PARCELS = {
    ProcessingClass.UNPROCESSED: DeliveryStatus.UNPROCESSED,
    ProcessingClass.DELIVERED: DeliveryStatus.DELIVERED,
    ProcessingClass.RETURNED: DeliveryStatus.RETURNED,
    ProcessingClass.CANCELLED: DeliveryStatus.CANCELLED,
}
#: One in so many orders of the last two months has something to be acknowledged.
_ALERTS = 500
_FACTS = "SMBC-GPの取引は実売上です。"


class Block(NamedTuple):
    """What a block is made from."""

    #: those of `range(first, …)` that are not there yet
    numbers: Sequence[int]
    first: int
    #: of how many there will be, and when: so the moments follow
    total: int
    now: datetime
    #: of the history's chains
    key: bytes
    #: of the database, as SQLAlchemy's addresses name it
    driver: str
    #: free ones of orders, transactions and attempts, enough for all
    ids: tuple[Sequence[int], ...]

    def of(self, table: sa.Table) -> Sequence[int]:
        """The free ids of this table."""
        return self.ids[TABLES.index(table)]


#: The tables whose ids a block is given, and how many of each an order has at most.
TABLES = table_of(Order), table_of(CardTransaction), table_of(Attempt)
MOST = 1, 2, 2


class Made(NamedTuple):
    """A block, ready to be written."""

    #: id and number of each order
    orders: list[tuple[int, str]]
    statements: list[Statement]


def make(block: Block) -> Made:
    """Make all of it; asks and writes nothing."""
    chance = random.Random(block.first)  # noqa: S311
    batch = _Batch(chance, block.now, block.key, *map(iter, block.ids))
    whole, total = int(_SPREAD.total_seconds()), block.total
    for n in block.numbers:
        batch.add(n, block.now - timedelta(seconds=whole * (total - n) // total))
    dialect = _dialect(block.driver)
    statements = [
        statement
        for model, columns, made in (
            (Order, _Order._fields, batch.orders),
            (OrderLine, _LINE, batch.lines),
            (Delivery, _Parcel._fields, batch.parcels),
            (CardTransaction, _Transaction._fields, batch.transactions),
            (Attempt, _Attempt._fields, batch.attempts),
            (HistoryEntry, _ENTRY, batch.entries),
            (MoneyMovement, _Movement._fields, batch.movements),
            (Billing, _BILLING, batch.billings),
            (Alert, _ALERT, batch.alerts),
        )
        for statement in inserts(dialect, table_of(model), columns, made)
    ]
    statements += texts.inserts_of(dialect, batch.texts)
    return Made([(order.id, order.order_no) for order in batch.orders], statements)


@cache
def _dialect(driver: str) -> sa.Dialect:
    return sa.create_engine(f"{driver}://").dialect


def number_of(n: int) -> str:
    """The number of made-up order `n`: by time as shops have them, its end like any other."""
    return f"P1{n * 3_191 + 6_018_948_763:010d}{n * 7_368_787 % 10**7:07d}"


class _Order(NamedTuple):
    """Columns of orders that are not the same for all."""

    id: int
    order_no: str
    later_stem: str | None
    ordered_at: datetime
    kind: OrderKind
    method: str
    payment_status: PaymentStatus | None
    processing_class: ProcessingClass
    version: int
    history_state: str
    member_id: str | None
    buyer_name: str
    buyer_kana: str
    buyer_company: str
    buyer_prefecture: str
    buyer_address: str
    buyer_tel: str
    buyer_email: str
    buyer_search: str
    tel_search: str
    carriage: int
    coupon: int
    discount: int
    total: int
    subscription_id: str | None
    subscription_round: int | None
    created_at: datetime
    updated_at: datetime


class _Parcel(NamedTuple):
    order_id: int
    number: int
    name: str
    prefecture: str
    address: str
    tel: str
    wish_date: date | None
    carrier_code: str
    slip_no: str
    more_slips: str
    status: DeliveryStatus
    name_search: str
    delivered_at: datetime | None
    returned_on: date | None
    return_reason: str


class _Transaction(NamedTuple):
    id: int
    order_id: int
    sequence: int
    is_current: bool
    is_charge: bool
    entry_sent_at: datetime | None
    gateway_order_id: str
    access_id: str
    access_pass_sealed: str
    gateway_state: str
    gateway_amount: int | None = None
    authorized_at: datetime | None = None
    auth_expires_at: datetime | None = None
    captured_at: datetime | None = None
    captured_amount: int | None = None
    cancelled_at: datetime | None = None
    card_last4: str = "1111"


class _Attempt(NamedTuple):
    id: int
    order_id: int
    transaction_id: int
    operation: Operation
    state: AttemptState
    amount: int
    gateway_order_id: str
    actor_kind: ActorKind
    actor: str
    created_at: datetime
    sent_at: datetime
    finished_at: datetime
    error_codes: str
    status_before: PaymentStatus | None
    tries: int = 1
    lease: int = 1
    decided_by: str = "answer"


class _Movement(NamedTuple):
    order_id: int
    transaction_id: int
    day: date
    booked_on: date
    kept_before: int
    kept_after: int
    learned_at: datetime
    is_refund: bool
    is_subscription: bool
    at_8: int
    tax_8: int
    tax_10: int
    owed_since: date | None


#: In the order in which `_Batch` enters them.
_ENTRY = (
    *("order_id", "at", "actor_kind", "actor", "event", "status_before", "status_after"),
    *("amount_before", "amount_after", "attempt_id", "order_version", "detail"),
    *("processing_class", "gateway_amount", "captured_amount", "refunded_amount", "mark"),
)
_LINE = ("order_id", "delivery_number", *Item._fields)
_BILLING = (
    *("order_id", "month", "gateway_order_id", "amount", "state", "attempt_id", "by_file"),
    *("planned_at", "registered_at", "result_at"),
)
_ALERT = ("order_id", "kind", "facts", "since")


class _Told:
    """One order while its story is told."""

    def __init__(self, order_id: int, number: str, story: Story, cart: Cart, at: datetime) -> None:
        self.id, self.number, self.story, self.cart, self.at = order_id, number, story, cart, at
        self.total = cart.total
        self.status, self.processing = story.status, ProcessingClass.UNPROCESSED
        self.chain, self.version = "", 0
        is_held = story.state is TradeState.AUTH
        self.state = story.state.value if story.state else ""
        self.held = cart.total + story.more if is_held else None
        self.authorized_at = at if is_held else None
        self.captured: int | None = None
        self.captured_at: datetime | None = None
        self.cancelled_at: datetime | None = None
        self.delivered_at: datetime | None = None
        self.booked = (0, 0, 0)

    @property
    def kept(self) -> int:
        """Yen that the shop has."""
        return 0 if self.cancelled_at else self.captured or 0


class _Batch:
    """Orders as rows of each table, in the order in which they are to be written."""

    def __init__(
        self,
        chance: random.Random,
        now: datetime,
        key: bytes,
        order_ids: Iterator[int],
        transaction_ids: Iterator[int],
        attempt_ids: Iterator[int],
    ) -> None:
        self._chance, self._now, self._key = chance, now, key
        self._order_ids, self._transaction_ids = order_ids, transaction_ids
        self._attempt_ids = attempt_ids
        self.orders: list[_Order] = []
        self.lines: list[Any] = []
        self.parcels: list[_Parcel] = []
        self.transactions: list[_Transaction] = []
        self.attempts: list[_Attempt] = []
        self.entries: list[Any] = []
        self.movements: list[_Movement] = []
        self.billings: list[Any] = []
        self.alerts: list[Any] = []
        self.texts: list[dict[str, Any]] = []

    def add(self, n: int, ordered_at: datetime) -> None:
        """Make up order `n`."""
        chance, age = self._chance, self._now - ordered_at
        column = sum(age > most for most in made_up.AGES)
        story = chance.choices(made_up.STORIES, cum_weights=_weights()[column])[0]
        cart, order_id = chance.choice(made_up.carts()), next(self._order_ids)
        order = _Told(order_id, number_of(n), story, cart, ordered_at)
        self._enter(order, "imported", None, None, {"line": n + 2})
        if story.status is not None:
            self._tell_of_money(order)
        else:
            for step in story.steps:
                self._take(order, step, None)
        self._finish(n, order, ordered_at)

    def _tell_of_money(self, order: _Told) -> None:
        began, first = order.at, next(self._transaction_ids)
        is_check = order.story.state is TradeState.CHECK
        is_charged = is_check and any(s.state is TradeState.SALES for s in order.story.steps)
        charge = next(self._transaction_ids) if is_charged else first
        number = at_gateway(order.number)
        if is_charged:
            self._add_transaction(first, order.id, number, began, TradeState.CHECK.value, False)
            number = at_gateway(order.number, 1)
        for step in order.story.steps:
            self._take(order, step, (charge, number))
        since = order.authorized_at
        self._add_transaction(
            charge,
            order.id,
            number,
            began,
            order.state,
            True,
            sequence=int(is_charged),
            is_charge=is_charged,
            gateway_amount=order.held,
            authorized_at=since,
            auth_expires_at=since and since + _TERM,
            captured_at=order.captured_at,
            captured_amount=order.captured,
            cancelled_at=order.cancelled_at,
        )

    def _add_transaction(
        self,
        transaction_id: int,
        order_id: int,
        number: str,
        began: datetime,
        state: str,
        is_current: bool,
        *,
        sequence: int = 0,
        is_charge: bool = False,
        **more: Any,
    ) -> None:
        access_id = f"{transaction_id:08x}{self._chance.getrandbits(96):024x}"
        where = transaction_id, order_id, sequence, is_current, is_charge, began, number
        self.transactions.append(_Transaction(*where, access_id, "-", state, **more))

    def _take(self, order: _Told, step: Step, under: tuple[int, str] | None) -> None:
        """Let `step` happen to the order, under an id and number of a transaction."""
        before, kept = order.status, order.kept
        order.at = min(order.at + timedelta(hours=step.hours), self._now)
        order.status = step.status or before
        order.state = step.state.value if step.state else order.state
        order.processing = step.processing or order.processing
        if step.processing is ProcessingClass.DELIVERED:
            order.delivered_at = order.at
        if step.state is TradeState.SALES:
            order.held = order.captured = order.total + order.story.more
            order.captured_at = order.at
        elif step.state is not None:
            order.cancelled_at = order.at
        elif step.operation is Operation.REFUND_DIFFERENCE:
            order.held = order.captured = order.total
        attempt_id = self._try(order, step, under, before) if step.operation and under else None
        self._enter(order, step.event, before, attempt_id, step.detail)
        if under and kept != order.kept:
            self._move(order, under[0], kept)

    def _try(
        self, order: _Told, step: Step, under: tuple[int, str], before: PaymentStatus | None
    ) -> int:
        assert step.operation is not None
        state = AttemptState.REJECTED if step.codes else AttemptState.DONE
        attempt = _Attempt(
            next(self._attempt_ids),
            order.id,
            under[0],
            step.operation,
            state,
            order.total,
            under[1],
            ActorKind.PERSON,
            _PEOPLE[order.id % len(_PEOPLE)],
            created_at=order.at,
            sent_at=order.at,
            finished_at=order.at,
            error_codes=step.codes,
            status_before=before,
        )
        self.attempts.append(attempt)
        if step.operation is Operation.BILL:
            assert order.delivered_at is not None
            month = jst_day(order.delivered_at).replace(day=1)
            said = order.total, BillingState.PAID, attempt.id, False, *[order.at] * 3
            self.billings.append((order.id, month, under[1], *said))
        return attempt.id

    def _enter(
        self,
        order: _Told,
        event: str,
        before: PaymentStatus | None,
        attempt_id: int | None,
        detail: Any,
    ) -> None:
        is_first = order.version == 0
        order.version += 1
        entry = {
            "order_id": order.id,
            "at": order.at,
            "actor_kind": ActorKind.IMPORT if is_first else ActorKind.PERSON,
            "actor": "見本データ" if is_first else _PEOPLE[order.id % len(_PEOPLE)],
            "event": event,
            "status_before": before,
            "status_after": order.status,
            "amount_before": None if is_first else order.total,
            "amount_after": order.total,
            "attempt_id": attempt_id,
            "order_version": order.version,
            "detail": detail,
            "processing_class": order.processing,
            "gateway_amount": order.held,
            "captured_amount": order.captured,
            "refunded_amount": order.captured if order.cancelled_at else None,
        }
        order.chain = history_chain.link(self._key, order.chain, entry)
        self.entries.append((*entry.values(), history_chain.mark(self._key, order.chain)))

    def _move(self, order: _Told, transaction_id: int, before: int) -> None:
        day, rates = jst_day(order.at), order.cart.rates(order.kept)
        at_8, tax_8, tax_10 = (new - old for new, old in zip(rates, order.booked, strict=True))
        gone = order.delivered_at and jst_day(order.delivered_at)
        is_refund = order.kept < before
        self.movements.append(
            _Movement(
                order.id,
                transaction_id,
                day,
                day,
                before,
                order.kept,
                order.at,
                is_refund,
                order.story.kind is OrderKind.SUBSCRIPTION,
                at_8,
                tax_8,
                tax_10,
                gone if gone and not is_refund and gone < day.replace(day=1) else None,
            )
        )
        order.booked = rates

    def _finish(self, n: int, told: _Told, ordered_at: datetime) -> None:
        chance, kind = self._chance, told.story.kind
        common, rare = made_up.people()
        is_rare = n % made_up.ONE_IN == made_up.RARE_AT
        person = chance.choice(rare if is_rare else common)
        tel = f"0{70 + n % 3 * 10}-{n * 7919 % 10_000:04d}-{n * 31 % 10_000:04d}"
        place, is_round = made_up.PLACES[n % len(made_up.PLACES)], kind is OrderKind.SUBSCRIPTION
        is_sgp = told.story.status is not None
        order = _Order(
            id=told.id,
            order_no=told.number,
            later_stem=later_stem(told.number),
            ordered_at=ordered_at,
            kind=kind,
            method=SGP_METHOD if is_sgp else _OTHER_METHODS[n % len(_OTHER_METHODS)],
            payment_status=told.status,
            processing_class=told.processing,
            version=told.version,
            history_state=told.chain,
            member_id=f"M{n * 13 % 300_000:06d}" if n % 5 else None,
            buyer_name=person.name,
            buyer_kana=person.kana,
            buyer_company="株式会社見本商店" if n % 20 == 0 else "",
            buyer_prefecture=place[0],
            buyer_address=f"{place[1]}{n % 9 + 1}-{n % 30 + 1}",
            buyer_tel=tel,
            buyer_email=f"buyer{n}@example.jp",
            buyer_search=person.search,
            tel_search=tel.replace("-", ""),
            **told.cart.amounts,
            total=told.total,
            subscription_id=f"S{n // 12:08d}" if is_round else None,
            subscription_round=1 + n % 12 if is_round else None,
            created_at=ordered_at,
            updated_at=told.at,
        )
        items = told.cart.items
        numbers = (1, 2) if n % 12 == 0 else (0,)
        parcels = [self._parcel(n, order, told, person, number) for number in numbers]
        self.orders.append(order)
        self.parcels += parcels
        self.lines += [(order.id, numbers[at % len(numbers)], *i) for at, i in enumerate(items)]
        self.texts.append(texts.text_of(order, parcels, items, _lines_of_names))
        if is_sgp and n % _ALERTS == 0 and self._now - ordered_at < made_up.AGES[1]:
            self.alerts.append((order.id, AlertKind.CAPTURED_ELSEWHERE, _FACTS, told.at))

    def _parcel(self, n: int, order: _Order, told: _Told, person: Person, number: int) -> _Parcel:
        has_gone = told.delivered_at is not None
        came_back = told.processing is ProcessingClass.RETURNED
        slip = (
            f"44{(n * 3 + number) * 7_368_787_943 % 10**10:010d}" if has_gone or n % 4 == 0 else ""
        )
        is_waited_for = order.kind is OrderKind.PREORDER or n % 15 == 0
        wish = jst_day(order.ordered_at) + timedelta(days=3 + n % 40) if is_waited_for else None
        return _Parcel(
            order.id,
            number,
            person.name,
            order.buyer_prefecture,
            order.buyer_address,
            order.buyer_tel,
            wish,
            _CARRIERS[n % len(_CARRIERS)] if slip else "",
            slip,
            f"{slip[:-1]}9" if slip and n % 40 == 0 else "",
            _PARCELS[told.processing],
            person.name_search,
            told.delivered_at,
            jst_day(told.at) if came_back else None,
            "受取辞退" if came_back else "",
        )


#: Of some thousand people, with a company or without.
_lines_of_names = lru_cache(maxsize=20_000)(texts.lines_of)


@cache
def _weights() -> list[list[float]]:
    """Cumulated, by age."""
    return [
        list(accumulate(story.often[column] for story in made_up.STORIES)) for column in range(3)
    ]
