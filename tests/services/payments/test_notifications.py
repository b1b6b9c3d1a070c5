"""Notifications are hints: kept, matched, and never more than a reason to look (P24-P26, S15)."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any

import pytest
import sqlalchemy as sa
from flask import Flask
from sqlalchemy.orm import Session

from sgpshop.domain.order_number import at_gateway
from sgpshop.domain.payment_status import PaymentStatus
from sgpshop.domain.reconciliation import AlertKind
from sgpshop.extensions import db
from sgpshop.gateway import Job, Notice, SmbcGpGateway, TradeAccess, TradeStatus, read_notice
from sgpshop.models import (
    Attempt,
    AttemptState,
    CardTransaction,
    Notification,
    NotificationLook,
    NotificationState,
    Operation,
    Order,
    utc_now,
)
from sgpshop.services.installation.health import due_work
from sgpshop.services.order_files import card_order
from sgpshop.services.orders import alerts
from sgpshop.services.payments import (
    acts,
    attempt_lookup,
    cancelling,
    journal,
    notifications,
    runner,
    transaction_lookup,
)
from sgpshop.services.settings import ShopSettings
from sgpshop.storage.database import writing
from sgpshop.worker.engine import Worker
from tests.factories import authorized_order, fresh, make_order, order_number
from tests.faults.oracle import violations
from tests.gateway_world import GOOD_CARD, World
from tests.notifying import SHOP_ID, body, connect, received, tell, time_passes
from tests.seeds import LATER
from tests.services.acting import TANAKA, cancel, correct, last_attempt, press, seen

pytestmark = pytest.mark.long

S = PaymentStatus
N = NotificationState


def access_of(order: Order) -> TradeAccess:
    trade = fresh(order).transaction
    assert trade is not None
    from sgpshop.storage.vault import open_access_pass

    return TradeAccess(
        order_id=order.order_no,
        access_id=trade.access_id or "",
        access_pass=open_access_pass(trade.access_pass_sealed, order.order_no),
    )


def capture_by_hand(world: World, order: Order) -> None:
    """As in the console: SMBC-GP knows, we do not."""
    world.gateway.capture(access_of(order), order.total)


def work(app: Flask) -> None:
    Worker(app).run(until_idle=True)


def looks(world: World, order: Order) -> int:
    return len(world.requests(order.order_no, "SearchTrade"))


def states() -> list[NotificationState]:
    return [one.state for one in received()]


def judge(world: World, *orders: Order) -> list[str]:
    """What the oracle of all fault tests has to say about these orders (P4)."""
    log = world.simulator.test_client().get("/_control/requests").get_json()
    ledger = [world.trade(order.order_no) for order in orders]
    return violations(ledger, log, {o.order_no: fresh(o).payment_status for o in orders})


# ---- hints --------------------------------------------------------------------------------------


@pytest.mark.postgresql
def test_a_capture_by_hand_shows_up_by_its_notification(app: Flask, shop: World) -> None:
    order = authorized_order(shop)
    notices = connect(app, shop)
    capture_by_hand(shop, order)
    assert notices.deliver_due() == 1
    assert [n["state"] for n in notices.described(order.order_no)] == ["received"]
    assert fresh(order).payment_status is S.AUTHORIZED  # by itself it says nothing (P24)
    work(app)
    now = fresh(order)
    assert now.payment_status is S.CAPTURED
    assert now.transaction is not None
    assert now.transaction.captured_amount == 3000
    [arrival] = notifications.recent()
    assert (arrival.outcome, arrival.status_word) == ("確認済み", "実売上")
    assert arrival.order_no == order.order_no


FORGERIES: list[dict[str, str]] = [
    {},
    {"Amount": "1"},
    {"Amount": "9999999"},
    {"Status": "VOID", "JobCd": "VOID"},
    {"Status": "RETURNX", "JobCd": "RETURNX", "AccessID": "f" * 32},
    {"Status": "AUTH", "JobCd": "AUTH", "Amount": "1"},
    {"Status": "UNPROCESSED", "ErrCode": "42G", "ErrInfo": "42G020000"},
    {"Status": "WHATEVER", "Amount": "-5", "TranDate": "x"},
]


def forged(app: Flask, world: World) -> list[str]:
    """Every forgery for an order in 仮売上, each looked up; the oracle's complaints."""
    order = authorized_order(world)
    for said in FORGERIES:
        tell(order.order_no, **said)
        work(app)
        time_passes(60)
    complaints = judge(world, order)
    if fresh(order).total != 3000 or fresh(order).transaction.gateway_amount != 3000:  # type: ignore[union-attr]
        complaints.append("another amount")
    return complaints


def test_forged_content_changes_nothing(app: Flask, shop: World) -> None:
    assert forged(app, shop) == []


def test_a_trusted_notification_would_be_noticed(
    app: Flask, shop: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The planted fault: what it says is believed.  The same judge then complains."""
    store = notifications._store

    def believe(
        session: Session, notice: Notice, source: str, settings: ShopSettings
    ) -> NotificationState:
        meant = {"SALES": S.CAPTURED, "VOID": S.CANCELLED}.get(notice.status)
        if meant is not None:
            session.execute(
                sa.update(Order)
                .where(Order.order_no == notice.order_id)
                .values(payment_status=meant)
            )
        return store(session, notice, source, settings)

    monkeypatch.setattr(notifications, "_store", believe)
    monkeypatch.setattr(notifications, "ask_for_looks", lambda: 0)
    assert forged(app, shop) != []


def test_the_order_number_alone_decides_what_is_looked_up(app: Flask, shop: World) -> None:
    """One order's news under another's number: both end as SMBC-GP says."""
    one, other = authorized_order(shop), authorized_order(shop)
    capture_by_hand(shop, one)
    tell(other.order_no, AccessID=access_of(one).access_id)
    work(app)
    assert fresh(other).payment_status is S.AUTHORIZED
    assert judge(shop, other) == []


@pytest.mark.parametrize(
    "sending",
    [
        {},
        pytest.param({"duplicate": True}, marks=LATER),
        pytest.param({"order": "reverse"}, marks=LATER),
        {"before_answer": True},
        pytest.param({"lose": True}, marks=LATER),
        {"duplicate": True, "order": "reverse", "lose": 0.5},
        pytest.param({"delay_seconds": 7200}, marks=LATER),
    ],
    ids=str,
)
def test_however_they_come_the_orders_say_what_the_gateway_says(
    app: Flask, shop: World, sending: dict[str, Any]
) -> None:
    orders = [authorized_order(shop) for _ in range(4)]
    notices = connect(app, shop, **sending)
    press(orders[0], Operation.CAPTURE)
    capture_by_hand(shop, orders[1])
    cancel(orders[2])
    shop.fault("error:42G020000", order_id=orders[3].order_no)
    press(orders[3], Operation.CAPTURE)
    for _ in range(3):
        shop.advance(3600)
        notices.deliver_due()
        work(app)
        time_passes(60)
    told = {one["state"] for one in notices.described(None)}
    assert told == {"lost"} if sending.get("lose") is True else "received" in told
    by_us = [orders[0], orders[2], orders[3]]
    assert judge(shop, *by_us) == []
    if not sending.get("lose"):
        assert judge(shop, orders[1]) == []
    assert fresh(orders[3]).payment_status is S.CAPTURE_FAILED


# ---- together with an operation under way ---------------------------------------------------------


def test_before_our_own_answer_it_is_kept_and_does_not_interfere(shop: World) -> None:
    order = authorized_order(shop)
    attempt_id = acts.open_attempt(order.id, acts.CAPTURE, seen(order), TANAKA)
    journal.claim(attempt_id)  # SENDING: the answer is still to come
    tell(order.order_no)
    assert notifications.ask_for_looks() == 0
    assert states() == [N.WAITING]
    attempt = last_attempt(order)
    assert attempt.state is AttemptState.SENDING
    transaction = fresh(order).transaction
    assert transaction is not None
    assert transaction.next_look_at is None


def test_it_hurries_the_look_up_of_an_uncertain_operation(shop: World) -> None:
    order = authorized_order(shop)
    shop.fault("drop_after")
    press(order, Operation.CAPTURE)
    assert last_attempt(order).state is AttemptState.UNKNOWN
    planned = utc_now() + timedelta(minutes=50)
    with writing() as session:
        session.execute(sa.update(Attempt).values(due_at=planned))
    assert due_work.due_work(10).uncertain == []
    tell(order.order_no)
    notifications.ask_for_looks()
    [due] = due_work.due_work(10).uncertain
    attempt_lookup.look_up(due)
    assert fresh(order).payment_status is S.CAPTURED
    assert last_attempt(order).state is AttemptState.DONE
    assert shop.sales(order.order_no) == 1
    assert judge(shop, order) == []


def test_one_about_another_number_waits_until_an_uncertain_operation_is_over(
    app: Flask, shop: World
) -> None:
    """It neither hurries the look-ups of that operation, time and again, nor is it forgotten."""
    order = authorized_order(shop)
    shop.fault("drop_before", "ChangeTran")
    correct(order, 2000)
    press(fresh(order), Operation.CHANGE_AMOUNT)
    assert last_attempt(order).state is AttemptState.UNKNOWN
    shop.gateway.authorize(f"{order.order_no}-1", 2000, GOOD_CARD, job=Job.CAPTURE)
    assert tell(f"{order.order_no}-1") is N.WAITING
    time_passes(20)
    assert notifications.ask_for_looks() == 0
    time_passes(3600)
    for _ in range(3):
        work(app)
        time_passes(60)
    assert last_attempt(order).state is not AttemptState.UNKNOWN
    assert states() == [N.ASKED]
    assert [alert.kind for alert in alerts.open_of(order.id)] == [AlertKind.UNKNOWN_NUMBER]


@pytest.mark.postgresql
def test_a_look_up_under_way_is_left_alone(shop: World) -> None:
    order = authorized_order(shop)
    shop.fault("drop_after")
    press(order, Operation.CAPTURE)
    began = utc_now() - timedelta(seconds=20)
    with writing() as session:
        session.execute(
            sa.update(Attempt).values(looked_up_at=began, due_at=began + timedelta(seconds=60))
        )
    tell(order.order_no)
    assert notifications.ask_for_looks() == 0
    assert states() == [N.WAITING]


# ---- the pace -------------------------------------------------------------------------------------


def test_many_for_one_order_lead_to_one_look_up(app: Flask, shop: World) -> None:
    app.config["NOTIFY_LOOK_PAUSE"] = 600.0
    order = authorized_order(shop)
    for number in range(12):
        tell(order.order_no, TranID=f"{number}")
        work(app)
    assert looks(shop, order) == 1
    time_passes(600.5)
    work(app)
    assert looks(shop, order) == 2
    assert set(states()) == {N.ASKED}
    time_passes(60)
    work(app)
    assert looks(shop, order) == 2  # there is nothing left to ask


@pytest.mark.long
def test_each_further_number_that_is_named_is_a_pause_more(app: Flask, shop: World) -> None:
    order = authorized_order(shop)
    numbers = [at_gateway(order.order_no, n) for n in range(1, 100)]
    tell(order.order_no)
    for number in numbers:
        tell(number)
    work(app)
    assert [len(shop.requests(number, "SearchTrade")) for number in numbers] == [1] * 99
    tell(order.order_no, TranID="2")
    for seconds in (11, 60, 600):
        time_passes(seconds)
        work(app)
    assert looks(shop, order) == 1  # forged ones make no work by the hundred
    time_passes(99 * 10)
    work(app)
    assert looks(shop, order) == 2


def test_copies_are_counted_and_looked_up_at_the_same_pace(app: Flask, shop: World) -> None:
    order = authorized_order(shop)
    for _ in range(3):
        tell(order.order_no)
        work(app)
    assert looks(shop, order) == 1
    [one] = received()
    assert (one.copies, one.state) == (3, N.WAITING)
    time_passes(11)
    work(app)
    assert looks(shop, order) == 2


class TestPace:
    @pytest.fixture
    def overrides(self) -> dict[str, Any]:
        return {"NOTIFY_LOOKS_PER_MINUTE": 4}

    def test_what_is_over_the_limit_is_done_later(self, app: Flask, shop: World) -> None:
        orders = [authorized_order(shop) for _ in range(10)]
        for order in orders:
            tell(order.order_no)  # news to us: SALES
        work(app)
        asked = [sum(looks(shop, order) for order in orders)]
        for _ in range(2):
            time_passes(61)
            work(app)
            asked.append(sum(looks(shop, order) for order in orders))
        assert asked == [4, 8, 10]
        assert set(states()) == {N.ASKED}

    @pytest.mark.postgresql
    def test_a_storm_of_copies_does_not_get_around_the_limit(self, shop: World) -> None:
        orders = [authorized_order(shop) for _ in range(3)]
        for _ in range(5):
            for order in orders:
                tell(order.order_no)
            notifications.ask_for_looks()
            with writing() as session:  # as if looked up, ten seconds ago
                session.execute(sa.update(CardTransaction).values(next_look_at=None))
            time_passes(10.5)
        last_minute = sa.select(sa.func.count()).where(
            NotificationLook.at > utc_now() - timedelta(minutes=1)
        )
        assert db.session.scalar(last_minute) == 4

    def test_numbers_that_are_named_count_too(self, app: Flask, shop: World) -> None:
        """Named for every order, they would make a hundred questions of each look-up that is allowed."""
        orders = [authorized_order(shop) for _ in range(4)]
        numbers = [at_gateway(order.order_no, n) for order in orders for n in range(1, 9)]
        for number in numbers:
            tell(number)
        asked = []
        for _ in range(3):
            work(app)
            asked.append(sum(len(shop.requests(number, "SearchTrade")) for number in numbers))
            time_passes(61)
        assert asked == [8, 16, 24]
        news = authorized_order(shop)
        capture_by_hand(shop, news)
        tell(news.order_no)
        work(app)  # and wait for none of those that came before
        assert fresh(news).payment_status is S.CAPTURED

    @pytest.mark.postgresql
    def test_several_workers_together_keep_the_limit(self, app: Flask, shop: World) -> None:
        for _ in range(12):
            tell(authorized_order(shop).order_no)

        def ask(_: int) -> int:
            with app.app_context():
                return notifications.ask_for_looks()

        with ThreadPoolExecutor(6) as pool:
            asked = list(pool.map(ask, range(12)))
        assert sum(asked) == 4
        assert states().count(N.ASKED) == 4

    def test_news_goes_first_and_finds_room(self, app: Flask, shop: World) -> None:
        quiet = [authorized_order(shop) for _ in range(8)]
        for order in quiet:
            tell(order.order_no, Status="AUTH", JobCd="AUTH")  # what we know already
        work(app)
        assert sum(looks(shop, order) for order in quiet) == 2
        news = authorized_order(shop)
        capture_by_hand(shop, news)
        tell(news.order_no)
        work(app)
        assert fresh(news).payment_status is S.CAPTURED


# ---- orders we do not know ------------------------------------------------------------------------


def test_one_for_an_order_not_yet_known_is_matched_when_it_arrives(app: Flask, shop: World) -> None:
    number = order_number()
    access = shop.authorize(number, 3000)
    shop.gateway.capture(access, 3000)
    assert tell(number) is N.UNMATCHED
    work(app)
    assert states() == [N.UNMATCHED]
    [arrival] = notifications.recent()
    assert (arrival.outcome, arrival.order_no) == ("該当注文なし", None)
    order = make_order(order_no=number, status=S.NEEDS_REVIEW)
    work(app)
    assert fresh(order).payment_status is S.CAPTURED
    assert states() == [N.ASKED]
    assert notifications.recent()[0].order_no == number


@pytest.mark.postgresql
def test_one_about_a_payment_past_us_leads_to_the_question_whose_it_is(
    app: Flask, shop: World
) -> None:
    """Also of an order that never failed, of which nobody asks for other payments."""
    order = authorized_order(shop)
    press(order, Operation.CAPTURE)
    assert fresh(order).payment_status is S.CAPTURED
    time_passes(120)
    number = f"{order.order_no}-1"
    shop.gateway.authorize(number, order.total, GOOD_CARD, job=Job.CAPTURE)
    assert tell(number) is N.WAITING
    work(app)
    assert states() == [N.ASKED]
    assert [alert.kind for alert in alerts.open_of(order.id)] == [AlertKind.UNKNOWN_NUMBER]
    assert notifications.recent()[0].order_no == order.order_no


@pytest.mark.postgresql
@pytest.mark.parametrize("sequence", [1, 4, 99])
@pytest.mark.parametrize("act", ["capture", "cancel"])
def test_one_about_a_payment_past_us_is_asked_about_before_anything_is_done(
    shop: World, sequence: int, act: str
) -> None:
    """The act waits in a long run, or is pressed before the worker has looked; whichever number it names."""
    order = authorized_order(shop)
    wanted = acts.CAPTURE
    if act == "cancel":
        choices = {"refund_confirmed": True, "restock": False, "return_points": False}
        wanted = cancelling.operation_request(order.order_no, **choices)
    attempt_id = acts.open_attempt(order.id, wanted, seen(order), TANAKA)
    number = f"{order.order_no}-{sequence}"
    shop.gateway.authorize(number, order.total, GOOD_CARD, job=Job.CAPTURE)
    assert tell(number) is N.WAITING
    runner.run_operation(attempt_id)
    assert [trade["status"] for trade in shop.ledger()] == ["AUTH", "CAPTURE"]
    assert [alert.kind for alert in alerts.open_of(order.id)] == [AlertKind.UNKNOWN_NUMBER]


@pytest.mark.parametrize("sequence", [1, 7])
def test_one_about_a_payment_past_us_counts_however_late_it_is_looked_at(
    app: Flask, shop: World, sequence: int
) -> None:
    """Its order comes in after a weekend, or the worker was away."""
    number = order_number()
    shop.gateway.authorize(f"{number}-{sequence}", 3000, GOOD_CARD, job=Job.CAPTURE)
    assert tell(f"{number}-{sequence}") is N.UNMATCHED
    time_passes(3 * 24 * 3600)
    order = make_order(order_no=number, access=shop.authorize(number, 3000), total=3000)
    work(app)
    assert [alert.kind for alert in alerts.open_of(order.id)] == [AlertKind.UNKNOWN_NUMBER]


def test_a_question_that_comes_back_stands_there_again(
    app: Flask, shop: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """SMBC-GP shows nothing for a moment, as with another shop's id in the settings."""
    order = authorized_order(shop)
    number = f"{order.order_no}-1"
    shop.gateway.authorize(number, order.total, GOOD_CARD, job=Job.CAPTURE)
    tell(number)
    work(app)
    search = SmbcGpGateway.search_trade
    for shown, kinds in ((False, []), (True, [AlertKind.UNKNOWN_NUMBER])):

        def answer(gateway: SmbcGpGateway, no: str, *, shown: bool = shown) -> TradeStatus | None:
            return search(gateway, no) if shown or no != number else None

        monkeypatch.setattr(SmbcGpGateway, "search_trade", answer)
        time_passes(120)
        transaction_lookup.look_soon(order.id)
        work(app)
        db.session.rollback()
        assert [alert.kind for alert in alerts.open_of(order.id)] == kinds


@pytest.mark.postgresql
def test_one_about_a_payment_past_us_waits_for_its_order(app: Flask, shop: World) -> None:
    number = order_number()
    shop.gateway.authorize(f"{number}-1", 3000, GOOD_CARD, job=Job.CAPTURE)
    assert tell(f"{number}-1") is N.UNMATCHED
    order = make_order(order_no=number, status=S.AWAITING_BILLING)
    work(app)
    assert states() == [N.ASKED]
    assert [alert.kind for alert in alerts.open_of(order.id)] == [AlertKind.UNKNOWN_NUMBER]


LONG = ["2026-1128-0000-0000-0000-12", "ABCDEFGHIJKLMNOPQRSTUVWXYZ1", "#2026-1128-0000-0000-0000-1"]


@pytest.mark.parametrize("order_no", LONG)
def test_a_long_order_is_known_by_the_number_that_was_made_short(
    app: Flask, shop: World, order_no: str
) -> None:
    """SMBC-GP takes 27 signs, so `-n` stands behind a shortened number (R141)."""
    shown, first = at_gateway(order_no, 1), at_gateway(order_no)
    order = make_order(access=shop.authorize(first, 3000), order_no=order_no)
    shop.gateway.authorize(shown, 3000, GOOD_CARD, job=Job.CAPTURE)
    assert not shown.startswith(first)
    assert tell(shown) is N.WAITING
    work(app)
    assert [alert.kind for alert in alerts.open_of(order.id)] == [AlertKind.UNKNOWN_NUMBER]
    assert notifications.recent()[0].order_no == order_no


@pytest.mark.postgresql
def test_one_about_a_long_order_waits_for_it(app: Flask, shop: World) -> None:
    shown = [at_gateway(order_no, 2) for order_no in LONG]
    assert {tell(number) for number in shown} == {N.UNMATCHED}
    orders = [
        make_order(access=shop.authorize(at_gateway(order_no), 3000), order_no=order_no)
        for order_no in LONG
    ]
    with writing() as session:
        notifications.come_in(session, [LONG[0]])
    with writing() as session:
        notifications.come_in(session, LONG[1:] + [order_number() for _ in range(6)])
    told = {one.gateway_order_id: one.transaction_id for one in received()}
    assert told == {
        number: fresh(order).transaction.id  # type: ignore[union-attr]
        for number, order in zip(shown, orders, strict=True)
    }


@pytest.mark.postgresql
def test_one_about_an_order_of_another_way_of_payment_is_told(app: Flask, shop: World) -> None:
    """It is kept, and a person hears that its buyer perhaps paid by card as well."""
    number = order_number()
    shop.authorize(number, 3000)
    assert tell(number) is N.UNMATCHED  # before its order is here
    order = make_order(order_no=number, method="銀行振込")
    tell(order_number())  # of nobody
    for _ in range(2):  # once, however often it comes
        notifications.match_late()
        tell(number)
        [alert] = alerts.open_of(order.id)
        assert alert.kind is AlertKind.OTHER_METHOD
        assert "「銀行振込」の注文ですが" in alert.facts
    arrivals = notifications.recent()
    assert {(one.order_no, one.outcome) for one in arrivals} == {
        (number, "別の決済方法の注文"),
        (None, "該当注文なし"),
    }
    assert fresh(order).payment_status is None
    card_order.make(number, TANAKA)
    work(app)
    assert fresh(order).payment_status is S.AUTHORIZED
    assert alerts.open_of(order.id) == []  # it says nothing any more


@pytest.mark.parametrize("like", ["{}1", "{}-", "{}-1-2", "x{}-1", "{}-x", "{}-01", "{}-100"])
def test_a_number_that_only_looks_alike_is_nobodys(shop: World, like: str) -> None:
    order = authorized_order(shop)
    assert tell(like.format(order.order_no)) is N.UNMATCHED


@pytest.mark.postgresql
def test_a_number_that_smbc_gp_cannot_have_holds_nothing_back(shop: World) -> None:
    """It cannot be asked for, so a forged one about it would have shut every act of its order out."""
    number = "ABCDEFGHIJKLMNOPQRSTUVWXYZ1"
    order = make_order(order_no=number, access=shop.authorize(number, 3000))
    assert tell(f"{number}-1") is N.UNMATCHED
    press(order, Operation.CAPTURE)
    assert fresh(order).payment_status is S.CAPTURED


@pytest.mark.parametrize(
    ("said", "becomes"),
    [
        ({"ErrInfo": "E00000000", "ErrCode": "E00"}, N.TEST),
        ({"ShopID": "tshop99999999"}, N.IGNORED),
        ({"ShopID": ""}, N.IGNORED),
        ({"PayType": "3"}, N.IGNORED),
        ({"OrderID": ""}, N.IGNORED),
        ({"OrderID": "P" + "9" * 26}, N.UNMATCHED),
        ({"PayType": ""}, N.WAITING),
    ],
)
def test_what_is_not_about_our_cards_is_noted_and_nothing_more(
    app: Flask, shop: World, said: dict[str, str], becomes: NotificationState
) -> None:
    order = authorized_order(shop)
    assert tell(order.order_no, **said) is becomes
    work(app)
    assert looks(shop, order) == (becomes is N.WAITING)


# ---- what is kept ---------------------------------------------------------------------------------


def test_passwords_and_card_numbers_are_not_kept(shop: World) -> None:  # S11, S15
    tell(
        "P000000000000000001",
        ShopPass="shoppass01",
        AccessPass="b" * 32,
        CardNo="4111111111111111",
        SecurityCode="987",
        Expire="3012",
        ClientField1="カード 4111-1111-1111-1111 です",
        JobCd="5555555555554444",
        **{"4012888888881881": "x"},
    )
    [one] = received()
    # A digest, a key or a time of ours may hold three digits of anything by chance.
    by_chance = {"id", "fingerprint", "received_at", "last_at", "asked_at", "transaction_id"}
    names = {column.key for column in sa.inspect(Notification).columns} - by_chance
    kept = " ".join(str(getattr(one, name)) for name in sorted(names))
    for secret in ("shoppass01", "b" * 32, "987", "3012", "411111111111", "55555555", "401288888"):
        assert secret not in kept, secret
    assert "カード ****-****-****-1111 です" in one.content
    assert "PayType=0" in one.content


@pytest.mark.postgresql
@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"\xff\xfe\x00",
        b"no form at all",
        b"&&&=&==",
        b"OrderID=%00%0a%FF&Amount=" + b"9" * 5000,
        b"a=" + b"%E3%81%82" * 20_000,
        b"&".join(b"f%d=1" % n for n in range(9000)),
        b"ErrInfo=" + b"|".join(b"E01010001" for _ in range(500)),
        "ShopID=tshop00000001&OrderID=A&ClientField1=髙橋".encode("cp932"),
        "ShopID=tshop00000001&OrderID=A&ClientField1=髙橋".encode(),
        "ShopID=tshop00000001&OrderID=A&ClientField1=髙橋".encode("utf-16"),
    ],
    ids=range(11),
)
def test_whatever_comes_is_kept_bounded(shop: World, raw: bytes) -> None:
    notifications.receive(read_notice(raw), "192.0.2.7", ShopSettings(shop_id=SHOP_ID))
    [one] = received()
    assert len(one.content) <= 2000
    assert "\0" not in one.content
    assert notifications.recent()[0].outcome


def test_both_charsets_are_read() -> None:
    for charset in ("cp932", "utf-8"):
        assert "髙橋" in read_notice("ClientField1=髙橋".encode(charset)).content
    assert "髙橋" in read_notice(body("A", ClientField1="髙橋")).content


@pytest.mark.postgresql
def test_old_ones_are_forgotten_and_their_number_is_bounded(
    shop: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    order = authorized_order(shop)
    for number in range(6):
        tell(order.order_no, TranID=str(number))
    notifications.ask_for_looks()
    with writing() as session:
        session.execute(
            sa.update(Notification)
            .where(Notification.tran_id == "5")
            .values(last_at=utc_now() - timedelta(days=91))
        )
        session.execute(sa.update(NotificationLook).values(at=utc_now() - timedelta(days=2)))
    notifications.tidy()
    assert [one.tran_id for one in received()] == ["0", "1", "2", "3", "4"]
    assert db.session.scalar(sa.select(sa.func.count(NotificationLook.id))) == 0
    monkeypatch.setattr(notifications, "MOST_KEPT", 2)
    notifications.tidy()
    assert [one.tran_id for one in received()] == ["3", "4"]


def test_a_clock_set_back_does_not_stop_the_look_ups(app: Flask, shop: World) -> None:  # P30
    order = authorized_order(shop)
    tell(order.order_no)
    work(app)
    time_passes(-3600)  # what we wrote down lies in the future now
    with writing() as session:
        session.execute(sa.update(CardTransaction).values(next_look_at=None))
    tell(order.order_no, TranID="2")
    work(app)
    assert looks(shop, order) == 2


def test_nothing_waits_when_nothing_came(shop: World) -> None:
    assert notifications.ask_for_looks() == 0
    assert notifications.match_late() == 0
    assert not due_work.due_work(10)
    assert notifications.recent() == []
