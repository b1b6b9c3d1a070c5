"""Before the day of registration each due subscription's card is looked for, and told in time (R102a)."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import datetime
from typing import Any

import pytest
import sqlalchemy as sa
import time_machine

from sgpshop.domain.mail_kinds import MailKind
from sgpshop.domain.payment_calendar import JST, jst_day
from sgpshop.domain.payment_status import PaymentStatus
from sgpshop.domain.reconciliation import AlertKind
from sgpshop.extensions import db
from sgpshop.gateway import GatewayUnreachable, SmbcGpGateway
from sgpshop.models import Alert, CardTransaction, Mail, Order, utc_now
from sgpshop.services import intake, subscriptions
from sgpshop.services.intake.new_order import CardSource
from sgpshop.services.orders import acting, alerts, parcels
from sgpshop.services.outgoing.mails import contents
from sgpshop.services.payments import stored_cards
from sgpshop.services.subscriptions import billing
from sgpshop.services.subscriptions.searching import search
from sgpshop.services.subscriptions.stages import SubscriptionCriteria, SubscriptionTab
from sgpshop.storage.database import writing
from tests.factories import fresh
from tests.gateway_world import World
from tests.services.acting import TANAKA, cancel, seen
from tests.services.arriving import SHOP_FRONT, open_shop, orders, subscription

pytestmark = pytest.mark.long

Travel = Callable[[datetime], None]


def jst(*parts: int) -> datetime:
    """A moment on a Japanese clock."""
    return datetime(*parts, tzinfo=JST)  # type: ignore[misc]


@pytest.fixture
def overrides() -> dict[str, Any]:
    return {"QUIET_PERIOD": 0.0, "CHECKOUT_WAIT": 10.0}


@pytest.fixture(autouse=True)
def travel(shop: World) -> Iterator[Travel]:
    """Our clock and the simulator's: the shop registers on the 10th."""
    with time_machine.travel(jst(2026, 11, 12, 12), tick=True) as traveller:
        open_shop()
        billing.resume()  # the first registration of a new installation is nobody's
        yield traveller.move_to


def delivered(shop: World, **more: Any) -> Order:
    """A subscription order that was handed in and set to 配送完了 just now."""
    placed = intake.place(subscription(shop, **more), SHOP_FRONT)
    [order] = [order for order in orders() if order.order_no == placed.order_no]
    parcels.deliver(order.id, seen(order), TANAKA, [0])
    return fresh(order)


def soon_over(shop: World) -> CardSource:
    """A card that is good for its check in November, and over in December."""
    return CardSource(token=shop.token(expire="2611"))


def good_until_then(shop: World) -> CardSource:
    return CardSource(token=shop.token(expire="2612"))


def told(order: Order) -> list[str]:
    """What is open of the order."""
    db.session.rollback()
    return list(
        db.session.scalars(
            sa.select(Alert.facts).where(
                Alert.order_id == order.id,
                Alert.kind == AlertKind.CARD_UNFIT,
                Alert.acknowledged_at.is_(None),
            )
        )
    )


def forget_card(shop: World, order: Order) -> None:
    """SMBC-GP has the card no more."""
    transaction = order.transaction
    assert transaction is not None
    answer = shop.simulator.test_client().post(
        "/payment/DeleteCard.idPass",
        data={
            "SiteID": "tsite00000001",
            "SitePass": "sitepass01",
            "MemberID": transaction.member_id,
            "SeqMode": "0",
            "CardSeq": str(transaction.card_seq),
        },
    )
    assert answer.text == f"CardSeq={transaction.card_seq}", answer.text


def look(travel: Travel, *day: int) -> None:
    travel(jst(*day, 6, 1))
    assert billing.is_due()
    billing.resume()
    assert not billing.is_due()


@pytest.mark.postgresql
def test_a_card_that_is_over_by_then_is_told_five_days_before(shop: World, travel: Travel) -> None:
    order, other = (
        delivered(shop, payment=soon_over(shop)),
        delivered(shop, payment=good_until_then(shop)),
    )
    travel(jst(2026, 12, 5, 5, 59))
    assert not billing.is_due()
    look(travel, 2026, 12, 5)
    [facts] = told(order)
    assert "有効期限が、次の登録日までに切れます" in facts
    assert "2611" not in facts  # S11
    assert told(other) == []
    found = subscriptions.outlook(10)
    assert found.unfit_card.count == found.attention.count == 1
    page = search(SubscriptionCriteria(tab=SubscriptionTab.ATTENTION))
    assert [row.order.order_no for row in page.rows] == [order.order_no]
    assert fresh(order).payment_status is PaymentStatus.AWAITING_BILLING
    mail = contents.content_of(Mail(kind=MailKind.DIFFERENCE, event="2026-12-04T21:00:00+00:00"))
    assert mail is not None
    assert AlertKind.CARD_UNFIT.label in str(mail.rows)


def test_one_that_is_gone_too_until_there_is_one_again(shop: World, travel: Travel) -> None:
    order = delivered(shop)
    look(travel, 2026, 12, 5)
    assert told(order) == []
    kept = fresh(order).transaction
    assert kept is not None
    member, seq = kept.member_id, kept.card_seq
    forget_card(shop, fresh(order))
    look(travel, 2026, 12, 6)
    [facts] = told(order)
    assert "登録されていません" in facts
    look(travel, 2026, 12, 7)
    assert told(order) == [facts]  # once
    shop.gateway.store_traded_card(order.order_no, member)
    look(travel, 2026, 12, 8)
    assert told(order) == []
    assert seq == 0
    forget_card(shop, fresh(order))
    look(travel, 2026, 12, 9)
    assert told(order) == [facts]  # nobody knows of it any more


def test_and_one_whose_member_is_gone(shop: World, travel: Travel) -> None:
    order = delivered(shop)
    assert order.transaction is not None
    shop.simulator.test_client().post(
        "/payment/DeleteMember.idPass",
        data={
            "SiteID": "tsite00000001",
            "SitePass": "sitepass01",
            "MemberID": order.transaction.member_id,
        },
    )
    look(travel, 2026, 12, 9)
    assert len(told(order)) == 1


def test_what_was_acknowledged_is_not_told_again(shop: World, travel: Travel) -> None:
    order = delivered(shop, payment=soon_over(shop))
    look(travel, 2026, 12, 5)
    db.session.execute(sa.update(Alert).values(acknowledged_at=jst(2026, 12, 5, 9)))
    db.session.commit()
    look(travel, 2026, 12, 6)
    assert told(order) == []


def minutes_later() -> None:
    """The pause after an answer that says nothing is over."""
    assert not billing.is_due()
    db.session.execute(sa.text("UPDATE daily_jobs SET next_step_at = NULL"))
    db.session.commit()
    billing.resume()


def test_while_smbc_gp_cannot_be_reached_nobody_is_passed_over(
    shop: World, travel: Travel, monkeypatch: pytest.MonkeyPatch
) -> None:
    order = delivered(shop, payment=soon_over(shop))
    travel(jst(2026, 12, 5, 6, 1))
    with monkeypatch.context() as away:

        def cannot(*_: Any) -> Any:
            raise GatewayUnreachable("refused")

        away.setattr(SmbcGpGateway, "search_cards", cannot)
        billing.resume()
    assert told(order) == []
    minutes_later()
    assert len(told(order)) == 1


@pytest.mark.parametrize("fault", ["drop_before", "error:E92000001", "http:503", "garbage"])
def test_an_answer_that_says_nothing_of_a_card_holds_up_no_other_and_is_asked_for_the_next_day(
    shop: World, travel: Travel, fault: str
) -> None:
    silent, other = (delivered(shop, payment=soon_over(shop)) for _ in range(2))
    for day, of_other in ((5, 0), (6, 1)):  # always the first that is asked about
        shop.fault(fault, "SearchCard")
        travel(jst(2026, 12, day, 6, 1))
        billing.resume()
        assert (len(told(silent)), len(told(other))) == (0, of_other)
        minutes_later()
        assert (len(told(silent)), len(told(other))) == (0, 1)
        assert not billing.is_due()
    look(travel, 2026, 12, 7)
    assert (len(told(silent)), len(told(other))) == (1, 1)


@pytest.mark.postgresql
def test_one_that_is_cancelled_while_its_card_is_looked_for_is_not_told(
    shop: World, travel: Travel, monkeypatch: pytest.MonkeyPatch
) -> None:
    order = delivered(shop, payment=soon_over(shop))
    real = stored_cards.for_later

    def slowly(*args: Any, **more: Any) -> Any:
        try:
            return real(*args, **more)
        finally:
            came_back = parcels.ParcelReturn([0], jst_day(utc_now()))
            parcels.take_back(order.id, seen(fresh(order)), TANAKA, came_back)
            cancel(fresh(order))

    monkeypatch.setattr(stored_cards, "for_later", slowly)
    look(travel, 2026, 12, 5)
    assert fresh(order).payment_status is PaymentStatus.CANCELLED
    assert told(order) == []


def test_a_refusal_of_one_holds_up_no_other(shop: World, travel: Travel) -> None:
    first, second = delivered(shop), delivered(shop, payment=soon_over(shop))
    shop.fault("error:E01210002", "SearchCard")
    look(travel, 2026, 12, 5)
    assert (told(first), len(told(second))) == ([], 1)


def test_an_end_of_the_order_ends_it(shop: World, travel: Travel) -> None:
    cancelled, registered = (delivered(shop, payment=soon_over(shop)) for _ in range(2))
    look(travel, 2026, 12, 5)
    assert len(told(cancelled)) == len(told(registered)) == 1
    with writing() as session:  # nor does «このままでは請求されます» say anything any more
        for one in (cancelled, registered):
            order = acting.lock_order(session, one.id)
            alerts.raise_once(session, order, AlertKind.CANCELLED_UNBILLED, found="取消")
    came_back = parcels.ParcelReturn([0], jst_day(utc_now()))
    parcels.take_back(cancelled.id, seen(fresh(cancelled)), TANAKA, came_back)
    cancel(fresh(cancelled))
    assert told(cancelled) == []
    travel(jst(2026, 12, 10, 6, 1))
    billing.resume()  # refused or taken by SMBC-GP's own rules: that is told, not what was feared
    assert fresh(registered).payment_status is PaymentStatus.BILLING_REPORTED
    assert told(registered) == []
    assert alerts.count_open() == 0


def test_nothing_is_charged_and_nobody_is_looked_at_who_is_not_due(
    shop: World, travel: Travel
) -> None:
    placed = intake.place(subscription(shop, payment=soon_over(shop)), SHOP_FRONT)  # not 配送完了
    [waiting] = [order for order in orders() if order.order_no == placed.order_no]
    before = shop.ledger()
    travel(jst(2026, 12, 6, 12))
    assert not billing.is_due()
    billing.resume()
    assert told(waiting) == []
    assert shop.ledger() == before
    assert db.session.scalar(sa.select(sa.func.count(CardTransaction.id))) == 1
