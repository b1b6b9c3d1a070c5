"""Whether an order's prices include tax is kept with the order, from every entrance: what is
calculated and shown of it never moves with 価格の税区分 or 消費税の端数."""

from __future__ import annotations

import csv
import io
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from flask_migrate import Migrate, upgrade

from sgpshop.domain.amounts import Breakdown, TaxRounding
from sgpshop.domain.payment_status import PaymentStatus
from sgpshop.extensions import db
from sgpshop.models import Operation, Order, utc_now
from sgpshop.services import intake, settings
from sgpshop.services.deliveries import notes
from sgpshop.services.demo.sample import as_file, sample_orders
from sgpshop.services.intake.new_order import Item
from sgpshop.services.order_detail import editing
from sgpshop.services.order_detail.detail import get_detail
from sgpshop.services.order_detail.editing import ContentEdit
from sgpshop.services.order_files import exporting
from sgpshop.services.order_search.criteria import SearchCriteria
from sgpshop.services.payments import transaction_lookup
from sgpshop.storage import schema
from tests.conftest import make_app
from tests.factories import authorized_order, fresh
from tests.gateway_world import World
from tests.services.acting import TANAKA, correct, press, seen
from tests.services.arriving import SHOP_FRONT, new_order, open_shop
from tests.services.importing import counts, messages, take_in, take_in_file
from tests.services.order_csv import csv_file, number, row
from tests.services.orders.test_history import insert

pytestmark = pytest.mark.long

S = PaymentStatus
WITHOUT_TAX = {"tax_included": False, "tax_rounding": "up"}


@pytest.fixture
def overrides() -> dict[str, Any]:
    return {"QUIET_PERIOD": 0.0, "CHECKOUT_WAIT": 10.0}


def switch(**more: Any) -> None:
    settings.save("店長", **more)


def the_order(order_no: str) -> Order:
    db.session.rollback()
    wanted = sa.select(Order).where(Order.order_no == order_no)
    return db.session.scalars(wanted.execution_options(populate_existing=True)).one()


def by_api(world: World) -> Order:
    """Two of 1,080 yen at 8 %, tax included, handed in by a program."""
    new = new_order(
        world,
        items=(Item(name="煎茶", code="A-1", unit_price=1080, quantity=2, tax_rate=8),),
        shipping_fee=0,
        total=2160,
    )
    intake.place(new, SHOP_FRONT)
    return the_order(new.order_no)


def by_file(**cells: str) -> Order:
    """Two of 1,080 yen at 8 % from a file."""
    wanted = {"単価": "1080", "税率": "8", "送料": "0", "合計金額": "2160"} | cells
    take_in(row(**wanted))
    return the_order(row(**wanted)["注文番号"])


@dataclass(frozen=True)
class Shown:
    """What of an order's tax is shown anywhere."""

    detail: Breakdown
    sheet: Breakdown | None
    preview: Breakdown
    exported: list[str]


def shown(order: Order) -> Shown:
    [sheet] = notes.of_order(order.order_no).sheets
    draft = editing.work_out(the_order(order.order_no), ContentEdit())
    exported = b"".join(exporting.as_csv(exporting.chosen([order.id]))).decode("utf-8-sig")
    [line] = csv.DictReader(io.StringIO(exported, newline=""))
    titles = ("単価", "合計金額", "消費税8%", "消費税10%", "価格の税区分", "消費税の端数")
    return Shown(
        get_detail(order.order_no).breakdown,
        sheet.breakdown,
        draft.breakdown,
        [line[title] for title in titles],
    )


def taxes(breakdown: Breakdown) -> list[tuple[int, int, int]]:
    return [(share.rate, share.amount, share.tax) for share in breakdown.shares]


class TestInAShopThatKeepsPricesWithoutTax:
    @pytest.fixture(autouse=True)
    def _without_tax(self, shop: World) -> None:
        open_shop(**WITHOUT_TAX)

    @pytest.mark.postgresql
    def test_an_order_by_api_is_not_taxed_again(self, shop: World) -> None:
        order = by_api(shop)
        assert order.payment_status is S.AUTHORIZED
        breakdown = get_detail(order.order_no).breakdown
        assert (breakdown.tax_added, breakdown.adjustment, breakdown.total) == (0, 0, 2160)
        assert taxes(breakdown) == [(8, 2160, 160)]

    def test_nor_when_the_calculated_amount_is_taken(self, shop: World) -> None:
        order = correct(by_api(shop), 2000)
        editing.return_to_calculation(order.id, seen(order), TANAKA)
        assert fresh(order).total == 2160

    def test_nor_when_its_content_changes(self, shop: World) -> None:
        order = by_api(shop)
        edit = ContentEdit(values={"carriage": 540})
        editing.change_content(order.id, edit, seen(order), TANAKA)
        assert fresh(order).total == 2700

    def test_its_rounding_is_the_shop_s_at_that_moment(self, shop: World) -> None:
        order = by_api(shop)
        assert order.tax_rounding is TaxRounding.UP

    def test_an_order_by_file_gets_the_tax_on_top(self, shop: World) -> None:
        order = by_file(合計金額="2333")
        breakdown = get_detail(order.order_no).breakdown
        assert (breakdown.tax_added, breakdown.adjustment) == (173, 0)  # 172.8 rounded up
        assert taxes(breakdown) == [(8, 2333, 173)]

    def test_unless_the_file_says_that_its_prices_include_tax(self, shop: World) -> None:
        order = by_file(価格の税区分="税込", 消費税の端数="切り捨て")
        assert taxes(get_detail(order.order_no).breakdown) == [(8, 2160, 160)]

    def test_what_does_not_add_up_is_told_by_the_rule_the_order_keeps(self, shop: World) -> None:
        told = take_in(row(単価="1080", 税率="8", 送料="0", 合計金額="2160"))
        assert "計算2,333円と合いません" in messages(told)[0]
        told = take_in(
            row(
                注文番号=number(2),
                単価="1080",
                税率="8",
                送料="0",
                合計金額="2160",
                価格の税区分="税込",
            )
        )
        assert messages(told) == []

    def test_the_sample_says_that_its_prices_include_tax(self, shop: World) -> None:
        run = take_in_file(as_file(sample_orders(utc_now())).getvalue())
        assert run.added == 300
        said = db.session.execute(sa.select(Order.prices_include_tax).distinct()).scalars().all()
        assert said == [True]
        assert not any("明細の計算" in message for message in messages(run))


class TestNothingShownMovesWithASetting:
    @pytest.mark.parametrize("kept", [{}, WITHOUT_TAX], ids=["税込", "税別"])
    @pytest.mark.parametrize("came", ["api", "file"])
    def test_of_a_captured_order(self, shop: World, kept: dict[str, Any], came: str) -> None:
        open_shop(**kept)
        order = by_api(shop) if came == "api" else authorized_by_file(shop)
        order = press(order, Operation.CAPTURE)
        assert order.payment_status is S.CAPTURED
        before = shown(order)
        for is_included in (True, False):
            for rounding in TaxRounding:
                switch(tax_included=is_included, tax_rounding=rounding.value)
                assert shown(order) == before

    def test_nor_what_the_parts_of_an_open_order_come_to(self, shop: World) -> None:
        order = correct(fresh(authorized_order(shop, total=2160)), 2000)
        switch(**WITHOUT_TAX)
        editing.return_to_calculation(order.id, seen(order), TANAKA)
        assert fresh(order).total == 2160


def authorized_by_file(world: World) -> Order:
    access = world.authorize(row()["注文番号"], 2160)
    order = by_file(
        決済方法ステータス="仮売上",
        取引ID=access.access_id,
        取引パスワード=access.access_pass,
        承認日時="20261123101500",
        オーソリ金額="2160",
    )
    assert order.transaction is not None
    transaction_lookup.look_up(order.transaction.id)
    return fresh(order)


class TestFilesAfterTheFirst:
    def test_a_file_that_says_nothing_of_it_leaves_it(self, shop: World) -> None:
        by_file()
        switch(**WITHOUT_TAX)
        run = take_in(row(単価="1080", 税率="8", 送料="0", 合計金額="2160"))
        assert (counts(run), messages(run)) == ({"unchanged": 1}, [])
        run = take_in(
            row(単価="1080", 税率="8", 送料="0", 合計金額="2160", 価格の税区分="", 消費税の端数="")
        )
        assert counts(run) == {"unchanged": 1}
        order = by_file(備考="のし")
        assert (order.note, order.prices_include_tax) == ("のし", True)
        assert order.tax_rounding is TaxRounding.DOWN

    def test_one_that_says_it_makes_it_right_before_the_capture(self, shop: World) -> None:
        order = authorized_by_file(shop)
        again = {"単価": "1080", "税率": "8", "送料": "0", "合計金額": "2160"}
        assert counts(take_in(row(**again, 価格の税区分="税別"))) == {"updated": 1}
        assert not the_order(order.order_no).prices_include_tax

    def test_but_not_after_it(self, shop: World) -> None:
        order = press(authorized_by_file(shop), Operation.CAPTURE)
        before = shown(order)
        again = {"単価": "1080", "税率": "8", "送料": "0", "合計金額": "2160"}
        run = take_in(row(**again, 価格の税区分="税別"))
        assert counts(run) == {"left_out": 1}
        assert "金額は変更できません" in messages(run)[-1]
        assert shown(order) == before

    def test_nor_does_another_rate_move_what_is_shown_of_it(self, shop: World) -> None:
        order = press(authorized_by_file(shop), Operation.CAPTURE)
        before = shown(order)
        run = take_in(row(単価="1000", 税率="8"))
        assert "金額は変更できません" in messages(run)[-1]
        assert counts(run) == {"left_out": 1}
        assert shown(order) == before

    def test_other_words_are_refused_with_those_that_can_be(self, shop: World) -> None:
        run = take_in(row(価格の税区分="込み"))
        assert messages(run) == ["「価格の税区分」は次のどれかを入力してください: 税込・税別"]

    @pytest.mark.parametrize("kept", [{}, WITHOUT_TAX], ids=["税込", "税別"])
    def test_an_exported_file_is_the_same_order_in_another_shop(
        self, shop: World, kept: dict[str, Any]
    ) -> None:
        switch(**kept)
        order = by_file(決済方法="銀行振込")
        before = shown(order)
        exported = b"".join(exporting.as_csv(exporting.found(SearchCriteria())))
        assert counts(take_in_file(exported)) == {"unchanged": 1}
        switch(tax_included=bool(kept), tax_rounding="half_up")
        rows = list(csv.DictReader(io.StringIO(exported.decode("utf-8-sig"), newline="")))
        take_in_file(csv_file(*(one | {"注文番号": number(77)} for one in rows), encoding="utf-8"))
        after = shown(the_order(number(77)))
        assert (after.detail, after.exported) == (before.detail, before.exported)


@pytest.mark.postgresql
@pytest.mark.parametrize(
    ("stored", "file_includes", "rounding"),
    [
        ({}, True, "down"),
        ({"tax_included": "0", "tax_rounding": "half_up"}, False, "half_up"),
        ({"tax_included": "1", "tax_rounding": "?"}, True, "down"),
    ],
    ids=["untouched", "without tax", "unknown word"],
)
def test_orders_from_before_keep_what_was_shown_of_them(
    tmp_path: Path,
    database_kind: str,
    request: pytest.FixtureRequest,
    stored: dict[str, str],
    file_includes: bool,
    rounding: str,
) -> None:
    url = ""
    if database_kind == "postgresql":
        url = request.getfixturevalue("postgresql").new_database()
    app = make_app(tmp_path / "old", DATABASE_URL=url)
    with app.app_context():
        Migrate(app, db, directory=str(schema.MIGRATIONS))
        upgrade(revision="0013")
        insert("settings", *({"name": name, "value": value} for name, value in stored.items()))
        insert(
            "orders",
            {"id": 1, "order_no": "P1", "payment_status": "captured", "total": 2160},
            {
                "id": 2,
                "order_no": "P2",
                "payment_status": "captured",
                "total": 2160,
                "intake_fingerprint": "f" * 64,
            },
        )
        schema.migrate()
        kept = db.session.execute(
            sa.select(Order.prices_include_tax, Order.tax_rounding).order_by(Order.id)
        )
        assert [tuple(one) for one in kept] == [(file_includes, rounding), (True, rounding)]
        with pytest.raises(sa.exc.IntegrityError):
            db.session.execute(sa.text("UPDATE orders SET tax_rounding = 'sideways'"))
        db.session.remove()
        db.engine.dispose()
