"""7002 beside 0007002: a file that Excel saved has no leading zeros, and no row means another order (R143)."""

from __future__ import annotations

import secrets
from collections.abc import Iterator

import pytest
import sqlalchemy as sa
from flask import Flask

from sgpshop.domain.payment_status import PaymentStatus as S
from sgpshop.domain.reconciliation import AlertKind
from sgpshop.extensions import db
from sgpshop.models import ItemResult, Order
from sgpshop.services import settings
from sgpshop.services.deliveries.slips import matching
from sgpshop.services.order_files import importing
from sgpshop.services.orders import alerts
from tests.factories import fresh, make_order
from tests.gateway_world import World
from tests.services.deliveries.test_labels import SENDER, made, rows, to
from tests.services.importing import NO_LIMITS, counts, messages, take_in
from tests.services.order_csv import csv_file, row
from tests.services.slip_files import NO_CAPTURE, prepare, results, slip, slip_file

BANK = {"決済方法": "銀行振込"}
LATER = {"注文日時": "2026/11/24 09:00"}


def numbers() -> dict[str, str]:
    """Every order's number and its buyer."""
    db.session.rollback()
    return {order.order_no: order.buyer_name for order in db.session.scalars(sa.select(Order))}


@pytest.fixture(autouse=True)
def _in_the_app(app: Flask) -> Iterator[None]:
    with app.app_context():
        yield


@pytest.fixture
def both(_in_the_app: None) -> None:
    first = row(注文番号="0007002", 注文者氏名="零", **BANK)
    take_in(first, row(注文番号="7002", 注文者氏名="七", **BANK, **LATER))
    assert numbers() == {"0007002": "零", "7002": "七"}


@pytest.mark.usefixtures("both")
class TestBothAreKnown:
    @pytest.mark.postgresql
    def test_a_row_that_may_be_either_changes_neither(self) -> None:
        said = row(注文番号="7002", 注文者氏名="誰か", **BANK)  # of the day of 0007002
        run = take_in(said)
        assert counts(run) == {"left_out": 1}
        assert (
            "注文 7002 とも、先頭の0がExcelなどで消えた注文 0007002 とも読めるため"
            in messages(run)[0]
        )
        run_id = secrets.token_hex(16)
        importing.prepare(run_id, "田中", [csv_file(said, encoding="utf-8")], NO_LIMITS)
        assert messages(importing.find(run_id)) == messages(run)  # the preview says it before
        assert numbers() == {"0007002": "零", "7002": "七"}

    def test_its_own_time_proves_which_it_is(self) -> None:
        run = take_in(row(注文番号="7002", 注文者氏名="七子", **BANK, **LATER))
        assert counts(run) == {"updated": 1}
        assert messages(run) == [
            "注文 0007002 もあるため、「注文日時」で注文 7002 と判断しました。"
        ]
        assert numbers() == {"0007002": "零", "7002": "七子"}

    def test_a_file_that_shows_zeros_lost_none(self) -> None:
        changed = row(注文番号="7002", 注文者氏名="七子", **BANK)
        run = take_in(changed, row(注文番号="0009", **BANK))
        assert (counts(run), messages(run)) == ({"added": 1, "updated": 1}, [])
        assert numbers() == {"0007002": "零", "7002": "七子", "0009": ""}

    def test_a_slip_is_registered_at_neither(self) -> None:
        run_id = prepare(slip_file(slip("7002")), NO_CAPTURE)
        [(result, why)] = results(run_id)
        assert result is ItemResult.FAILED
        assert "注文7002とも、先頭の0がExcelなどで消えた注文0007002とも読めるため" in why
        for content in (slip_file(slip("0007002")), slip_file(slip("7002"), slip("0007002"))):
            assert {result for result, _ in results(prepare(content, NO_CAPTURE))} == {
                ItemResult.PENDING
            }

    def test_a_slip_number_that_is_there_already_proves_it(self) -> None:
        order = db.session.scalars(sa.select(Order).where(Order.order_no == "7002")).one()
        order.deliveries[0].slip_no = "123456789012"
        db.session.commit()
        [(result, _)] = results(prepare(slip_file(slip("7002", "123456789012")), NO_CAPTURE))
        assert result is not ItemResult.FAILED

    def test_a_label_says_what_comes_back_as_its_order(self) -> None:
        settings.save("山田", **SENDER)
        orders = db.session.scalars(sa.select(Order).order_by(Order.order_no)).all()
        for order in orders:
            to(
                order,
                postal_code="100-0001",
                prefecture="東京都",
                address="千代田区1-1",
                tel="03-0000-0001",
            )
        [_, *labels] = rows(made("b2cloud", list(orders)))
        assert [label[0] for label in labels] == ["0007002", "7002-01"]
        found = matching.without_zeros(matching.meant(["7002-01"]))
        assert found["7002-01"].order_no == "7002"


def test_a_cancel_that_may_be_eithers_says_so_and_claims_nothing(shop: World) -> None:
    """The row is left out, a person hears of it, and both orders are named wherever it is told."""
    take_in(*(row(注文番号=f"000{number}", **BANK) for number in ("7002", "7003")))
    seen = make_order(order_no="7002", access=shop.authorize("7002", 3000))
    unseen = make_order(order_no="7003", status=S.NEEDS_REVIEW, gateway_state=None)
    cancel = {"配送ステータス": "注文キャンセル"}
    run = take_in(row(注文番号="7002", **cancel), row(注文番号="7003", **cancel))
    assert counts(run) == {"left_out": 2}
    for number in ("7002", "7003"):
        told = [words for words in messages(run) if f"注文 {number} " in words]
        assert [f"注文 000{number} " in words for words in told] == [True, True]
        assert any(f"注文 000{number} のどちらのことか" in words for words in told)
    [alert] = alerts.open_of(seen.id)
    assert alert.kind is AlertKind.CANCELLED_IN_FILE
    assert "注文 0007002 のことかもしれません" in alert.facts
    assert fresh(unseen).claimed_status is None  # nobody guesses


class TestOneIsKnown:
    def test_without_zeros_it_is_taken_for_no_new_order(self) -> None:
        take_in(row(注文番号="0007002", **BANK))
        run = take_in(row(注文番号="7002", **BANK, **LATER))
        assert counts(run) == {"left_out": 1}
        assert "登録済みの注文 0007002 の先頭の0がExcelなどで消えた" in messages(run)[0]

    def test_the_order_that_lost_its_zeros_is_not_taken_in_twice(self) -> None:
        """The damaged file came first, nobody could know; then the program's own."""
        take_in(row(注文番号="7002", **BANK))
        run = take_in(row(注文番号="0007002", **BANK))
        assert counts(run) == {"left_out": 1}
        assert "「注文日時」と「合計金額」が同じ注文 7002 が" in messages(run)[0]

    def test_another_order_is_taken_in_and_told(self) -> None:
        take_in(row(注文番号="7002", **BANK))
        run = take_in(row(注文番号="0007002", **BANK, **LATER))
        assert counts(run) == {"added": 1}
        assert messages(run) == [
            "先頭の0だけが違う注文 7002 もあります。同じ注文でないか確認してください。"
        ]


def test_two_new_ones_in_one_file_are_told() -> None:
    run = take_in(row(注文番号="0007002", **BANK), row(注文番号="7002", **BANK))
    assert counts(run) == {"added": 2}
    assert [words.partition("と違う番号")[0] for words in messages(run)] == [
        "先頭の0だけが「0007002」",
        "先頭の0だけが「7002」",
    ]


def test_numbers_of_other_signs_lose_nothing() -> None:
    order = make_order(order_no="A7002", method="銀行振込")
    run = take_in(row(注文番号="07002A", **BANK), row(注文番号="A7002", **BANK))
    assert counts(run)["added"] == 1
    assert fresh(order).order_no == "A7002"
