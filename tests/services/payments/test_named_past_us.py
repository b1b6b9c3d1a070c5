"""Whoever names a payment past us, or says that there is one, is heard: a list, a file, a restore (P1, R141)."""

# ruff: noqa: F401, F811 - fixtures of the other files are used by their names
from __future__ import annotations

import io
from collections.abc import Callable
from datetime import timedelta

import pytest
import sqlalchemy as sa

from sgpshop.domain.errors import NotPossible
from sgpshop.domain.payment_status import PaymentStatus
from sgpshop.domain.reconciliation import AlertKind
from sgpshop.domain.row_files import Limits
from sgpshop.extensions import db
from sgpshop.gateway import Cancellation, Card, Job
from sgpshop.models import CardTransaction, InstallationFact, Operation, Order, utc_now
from sgpshop.services.installation import backups
from sgpshop.services.payments import transaction_lookup
from sgpshop.services.reconciliation import console_file
from sgpshop.storage.database import writing
from tests.factories import fresh
from tests.faults.judging import settle, work_off
from tests.gateway_world import GOOD_CARD, World
from tests.notifying import tell
from tests.seeds import each_once
from tests.services.acting import cancel, correct, press
from tests.services.answering import say_ours
from tests.services.arriving import open_shop
from tests.services.importing import take_in
from tests.services.order_csv import row
from tests.services.payments.test_earlier_transactions import told
from tests.services.payments.test_numbers_of_others import looked_up
from tests.services.subscribing import Travel, jst
from tests.services.subscriptions.test_charged_all_the_same import booked, pay
from tests.services.subscriptions.test_lines_of_lost_books import (
    _open,
    nights,
    overrides,
    sold,
    travel,
)

pytestmark = pytest.mark.long

S = PaymentStatus


def held(shop: World, number: str = "7002") -> Order:
    """仮売上, which never failed as far as we know; the buyer paid `-1` at the cart."""
    shop.authorize(number, 2500)
    take_in(row(注文番号=number))
    order = looked_up(number)
    pay(shop, f"{number}-1")
    return order


def list_of_console(shop: World) -> None:
    text = "オーダーID,状態,金額\r\n7002,仮売上,2500\r\n7002-1,即時売上,2500\r\n"
    found = console_file.compare(io.BytesIO(text.encode("utf-8-sig")), Limits())
    assert [row.order_id for row, _ in found.unknown_transactions] == ["7002-1"]


def file_that_names_it(shop: World) -> None:
    there = shop.gateway.search_trade("7002-1")
    assert there is not None
    take_in(
        row(
            注文番号="7002",
            決済方法ステータス="仮売上",
            取引ID=there.access.access_id,
            取引パスワード=there.access.access_pass,
        )
    )


def file_that_says_it(shop: World) -> None:
    take_in(row(注文番号="7002", 決済方法ステータス="決済完了"))


def books_put_back(shop: World) -> None:
    with writing() as session:
        session.add(InstallationFact(name=backups.RESTORED, value=utc_now().isoformat()))
    backups.finish_restore()


@pytest.mark.postgresql
@pytest.mark.parametrize(
    ("learn", "is_looked_up"),
    each_once(
        [list_of_console, file_that_names_it, file_that_says_it, books_put_back], [True, False]
    ),
)
def test_a_hold_is_not_captured_beside_what_we_heard_of(
    shop: World, learn: Callable[[World], None], is_looked_up: bool
) -> None:
    order = held(shop)
    learn(shop)
    if is_looked_up:
        work_off(order.id)
        assert told(order) == [AlertKind.UNKNOWN_NUMBER]
        with pytest.raises(NotPossible):
            press(fresh(order), Operation.CAPTURE)
    else:  # before the look-up's turn
        press(fresh(order), Operation.CAPTURE)
    assert told(order) == [AlertKind.UNKNOWN_NUMBER]
    assert sold(shop, order) == [("7002-1", 2500)]
    assert shop.trade("7002")["status"] == "AUTH"
    say_ours()
    work_off(order.id)
    assert fresh(order).payment_status is S.CAPTURED
    assert booked() == 2500


def test_the_number_that_is_named_is_asked_for_as_it_is_written(shop: World) -> None:
    """Of 25 signs: ours would be made shorter, the cart's need not be."""
    number = "2026112800010002000300012"
    order = held(shop, number)
    tell(f"{number}-1", Status="CAPTURE", JobCd="CAPTURE", Amount="2500")
    press(fresh(order), Operation.CAPTURE)
    assert told(order) == [AlertKind.UNKNOWN_NUMBER]
    assert shop.trade(number)["status"] == "AUTH"
    say_ours()
    work_off(order.id)
    order = fresh(order)
    assert order.payment_status is S.CAPTURED
    assert order.transaction is not None
    assert order.transaction.gateway_order_id == f"{number}-1"


@pytest.mark.postgresql
@pytest.mark.parametrize("act", [Operation.CAPTURE, Operation.CHANGE_AMOUNT])
def test_an_act_that_finds_its_hold_voided_asks_for_what_took_its_place(
    shop: World, act: Operation
) -> None:
    order = held(shop)
    there = shop.gateway.search_trade("7002")
    assert there is not None
    shop.gateway.cancel(there.access, Cancellation.VOID)
    if act is Operation.CHANGE_AMOUNT:
        correct(order, 2400)
    press(fresh(order), act)
    assert fresh(order).payment_status is not S.CANCELLED
    assert told(order) == [AlertKind.UNKNOWN_NUMBER]
    say_ours()
    work_off(order.id)
    assert fresh(order).payment_status is S.CAPTURED
    assert booked() == 2500


def test_a_number_that_a_buyer_left_is_watched_though_a_later_one_counts(
    shop: World, travel: Travel
) -> None:
    shop.gateway.check_card("7002", GOOD_CARD)
    take_in(row(注文番号="7002", 予約フラグ="1"))
    order = looked_up("7002")
    access = shop.gateway.enter("7002-1", Job.CAPTURE, 2500)
    transaction_lookup.look_soon(order.id)
    work_off(order.id)
    travel(jst(2026, 11, 12, 14))
    pay(shop, "7002-2")
    nights(travel, order, (2026, 11, 13))
    say_ours()
    work_off(order.id)
    assert fresh(order).payment_status is S.CAPTURED
    travel(jst(2026, 11, 15, 12))
    shop.gateway.execute(access, Card(token=shop.token()), job=Job.CAPTURE)
    nights(travel, order, (2026, 11, 16), (2026, 11, 17))
    assert told(order) == [AlertKind.UNKNOWN_NUMBER]
