"""注文内容修正: what a correction changes, records and refuses, on both databases (R62-R77c)."""

from __future__ import annotations

import secrets
from datetime import UTC, datetime
from typing import Any

import pytest
import sqlalchemy as sa

from sgpshop.domain.amounts import AmountRefused, TaxRounding, TaxRule
from sgpshop.domain.errors import FormUsed, NotPossible, OrderChanged
from sgpshop.domain.history import sentence
from sgpshop.domain.order_rules import is_unsent
from sgpshop.domain.payment_status import PaymentStatus
from sgpshop.extensions import db
from sgpshop.models import (
    Delivery,
    HistoryEntry,
    Order,
    OrderKind,
    OrderLine,
)
from sgpshop.services.order_detail import editing
from sgpshop.services.order_detail.editing import (
    ChoiceNeeded,
    ContentEdit,
    EditRefused,
    LineEdit,
    SaveResult,
)
from sgpshop.services.orders import history
from sgpshop.services.orders.acting import Seen
from sgpshop.services.orders.history import Actor
from sgpshop.storage.database import writing
from tests.factories import authorized_order, fresh, make_order
from tests.gateway_world import World

TANAKA = Actor.person("田中")
NOTEBOOK = {"name": "ノート", "unit_price": 300, "quantity": 2}


def seen(order: Order, **changes: Any) -> Seen:
    """The form a person has open: what the order says now."""
    return Seen(
        **{"version": order.version, "amount": order.total, "token": secrets.token_hex(16)}
        | changes
    )


def correct(order: Order, total: int, form: Seen | None = None) -> SaveResult:
    return editing.correct_total(order.id, total, form or seen(order), TANAKA)


def change(order: Order, form: Seen | None = None, **parts: Any) -> Order:
    """The order after a change of content that was saved."""
    result = editing.change_content(order.id, ContentEdit(**parts), form or seen(order), TANAKA)
    assert result is SaveResult.DONE
    return fresh(order)


def line_of(order: Order, **values: Any) -> list[LineEdit]:
    """A change of the order's first line."""
    return [LineEdit(order.lines[0].id, values)]


def told(order: Order) -> list[list[str]]:
    """What the newest entry of the history lists as changed."""
    return list(history.entries(order.id)[0].detail["corrections"])


@pytest.fixture
def order(shop: World) -> Order:
    """仮売上 of ¥10,000 at both sides."""
    return fresh(authorized_order(shop, total=10_000))


class TestTotal:
    @pytest.mark.postgresql
    def test_a_corrected_total_is_the_new_one_and_remembers_the_old(self, order: Order) -> None:
        assert correct(order, 9_500) is SaveResult.DONE
        after = fresh(order)
        assert (after.total, after.original_total) == (9_500, 10_000)  # R64
        assert after.is_total_set
        assert after.edited_at
        assert after.version == 2
        assert is_unsent(after)  # SMBC-GP still holds ¥10,000 (R72a)

    def test_the_history_tells_who_changed_what(self, order: Order) -> None:
        correct(order, 9_500)
        entry = history.entries(order.id)[0]
        assert sentence(entry.event, entry.who, entry.detail) == "田中さんが合計金額を修正しました"
        assert told(order) == [["合計金額", "10,000円", "9,500円"]]  # P5
        assert (entry.amount_before, entry.amount_after) == (10_000, 9_500)
        assert entry.order_version == fresh(order).version

    def test_later_corrections_are_told_against_the_first_amount(self, order: Order) -> None:
        correct(order, 9_500)
        correct(fresh(order), 12_000)
        assert fresh(order).original_total == 10_000

    def test_the_same_total_records_nothing(self, order: Order) -> None:
        assert correct(order, 10_000) is SaveResult.UNCHANGED  # R65
        after = fresh(order)
        assert (after.version, after.edited_at, after.is_total_set) == (1, None, False)
        assert history.entries(order.id) == []

    @pytest.mark.parametrize("total", [0, -1, 10_000_000, 2**40])
    def test_what_cannot_be_charged_changes_nothing(self, order: Order, total: int) -> None:
        with pytest.raises(AmountRefused):  # R65
            correct(order, total)
        assert fresh(order).total == 10_000

    def test_the_calculation_comes_back(self, order: Order) -> None:
        correct(order, 9_500)
        form = seen(fresh(order))
        assert editing.return_to_calculation(order.id, form, TANAKA) is SaveResult.DONE
        after = fresh(order)
        assert (after.total, after.is_total_set) == (10_000, False)  # R76b
        assert after.original_total == 10_000  # no red line any more: it is what it was
        form = seen(after)
        assert editing.return_to_calculation(order.id, form, TANAKA) is SaveResult.UNCHANGED

    def test_a_tax_set_by_hand_is_not_kept_for_another_amount(self, order: Order) -> None:
        with writing():
            fresh(order).tax_10 = 900
        correct(fresh(order), 9_500)
        assert fresh(order).tax_10 is None  # R77c: 金額調整 is at 10 %
        assert ["消費税10%", "900円", "自動計算"] in told(order)


class TestTwoPeople:
    @pytest.mark.postgresql
    def test_the_same_form_again_gives_the_first_result(self, order: Order) -> None:
        form = seen(order)
        assert correct(order, 9_500, form) is SaveResult.DONE
        assert correct(order, 9_500, form) is SaveResult.BEFORE  # P19
        assert len(history.entries(order.id)) == 1
        assert fresh(order).version == 2

    def test_a_token_of_another_order_opens_nothing(self, shop: World, order: Order) -> None:
        form = seen(order)
        correct(order, 9_500, form)
        other = fresh(make_order(total=3000))
        with pytest.raises(FormUsed):
            correct(other, 9_500, seen(other, token=form.token))
        assert fresh(other).total == 3000

    @pytest.mark.parametrize("stale", [{"version": 7}, {"amount": 9_999}])
    def test_what_was_not_seen_is_not_changed(self, order: Order, stale: dict[str, int]) -> None:
        for act in (
            lambda form: correct(order, 9_500, form),
            lambda form: change(order, form, values={"note": "急ぎ"}),
            lambda form: editing.return_to_calculation(order.id, form, TANAKA),
        ):
            with pytest.raises(OrderChanged):  # P20, R61
                act(seen(order, **stale))
        assert fresh(order).version == 1

    def test_a_stale_form_can_be_told_what_came_since(self, order: Order) -> None:
        form = seen(order)
        correct(order, 9_500)
        change(fresh(order), values={"note": "急ぎ"})
        with pytest.raises(OrderChanged):
            correct(order, 8_000, form)
        since = history.since_version(order.id, form.version)
        assert [entry.event for entry in since] == ["total_corrected", "content_edited"]


class TestWhoMayBeEdited:
    @pytest.mark.parametrize(
        "status",
        [
            PaymentStatus.CAPTURED,
            PaymentStatus.CANCELLED,
            PaymentStatus.NEEDS_REVIEW,
            PaymentStatus.BILLING_REPORTED,
        ],
    )
    def test_paid_uncertain_and_cancelled_orders_stay(
        self, shop: World, status: PaymentStatus
    ) -> None:
        order = fresh(make_order(status=status))
        with pytest.raises(NotPossible):  # R75a, R75b
            correct(order, 2_000)
        with pytest.raises(NotPossible):
            change(order, values={"note": "急ぎ"})
        assert fresh(order).version == 1

    def test_the_reason_wins_over_a_stale_form(self, shop: World) -> None:
        order = fresh(make_order(status=PaymentStatus.CAPTURED))
        with pytest.raises(NotPossible, match="決済完了"):
            correct(order, 2_000, seen(order, version=9))

    def test_orders_of_other_methods_can_be_edited(self, shop: World) -> None:
        order = fresh(make_order(method="銀行振込", total=3000))
        correct(order, 2_000)
        assert fresh(order).total == 2_000

    @pytest.mark.parametrize("kind", [OrderKind.PREORDER, OrderKind.SUBSCRIPTION])
    def test_preorders_and_subscriptions_have_nothing_to_send(
        self, shop: World, kind: OrderKind
    ) -> None:
        status = {
            OrderKind.PREORDER: PaymentStatus.AUTHORIZED,
            OrderKind.SUBSCRIPTION: PaymentStatus.AWAITING_BILLING,
        }[kind]
        order = fresh(make_order(kind=kind, status=status))
        correct(order, 2_000)  # R69, R103
        assert not is_unsent(fresh(order))


class TestItems:
    def test_quantity_and_price_change_the_total(self, order: Order) -> None:
        after = change(order, lines=line_of(order, unit_price=4_000, quantity=2))
        assert after.total == 8_000  # R76a
        assert (after.original_total, after.is_total_set) == (10_000, False)
        assert told(order) == [
            ["合計金額", "10,000円", "8,000円"],
            ["煎茶 単価", "10,000円", "4,000円"],
            ["煎茶 数量", "1", "2"],
        ]

    def test_a_line_may_bear_no_tax(self, order: Order) -> None:  # R77
        after = change(order, lines=line_of(order, tax_rate=0))
        assert (after.lines[0].tax_rate, after.total) == (0, 10_000)
        assert ["煎茶 税率", "8%", "0%"] in told(order)

    def test_a_line_is_added_and_found_by_its_name(self, order: Order) -> None:
        after = change(order, lines=[LineEdit(None, NOTEBOOK)])
        assert [(line.position, line.name) for line in after.lines] == [(1, "煎茶"), (2, "ノート")]
        assert after.total == 10_600
        assert after.lines[1].tax_rate == 10
        assert "のーと" in after.lines[1].item_search
        assert ["商品の追加", "", "ノート 300円×2"] in told(order)

    def test_quantity_0_deletes_and_the_place_is_not_given_away(self, order: Order) -> None:
        after = change(order, lines=[LineEdit(None, NOTEBOOK)])
        after = change(after, lines=line_of(after, quantity=0))
        assert [line.name for line in after.lines] == ["ノート"]  # R76c
        assert after.total == 600
        after = change(after, lines=[LineEdit(None, NOTEBOOK)])
        assert len({line.position for line in after.lines}) == 2
        assert ["商品の削除", "煎茶 10,000円×1", ""] in list(
            history.entries(order.id)[1].detail["corrections"]
        )

    def test_the_last_line_stays(self, order: Order) -> None:
        with pytest.raises(EditRefused, match="注文キャンセル"):  # R76c
            change(order, lines=line_of(order, quantity=0))
        assert len(fresh(order).lines) == 1

    def test_what_the_form_does_not_show_is_kept(self, shop: World) -> None:
        order = fresh(authorized_order(shop, total=3000, kind=OrderKind.PREORDER))
        with writing():
            line = fresh(order).lines[0]
            line.is_preorder, line.jan = True, "4900000000000"
        after = change(fresh(order), lines=line_of(order, quantity=2))
        assert after.kind is OrderKind.PREORDER
        assert (after.lines[0].is_preorder, after.lines[0].jan) == (True, "4900000000000")

    def test_foreign_lines_parcels_and_deliveries_are_refused(
        self, shop: World, order: Order
    ) -> None:
        other = fresh(make_order())
        for parts in (
            {"lines": [LineEdit(other.lines[0].id, {"quantity": 5})]},
            {"lines": line_of(order, delivery_number=9)},
            {"deliveries": {other.deliveries[0].id: {"name": "他人"}}},
        ):
            with pytest.raises(EditRefused, match="この注文にない"):
                change(order, **parts)
        assert fresh(other).lines[0].quantity == 1
        assert fresh(order).version == 1

    def test_fifty_kinds_and_no_more(self, order: Order) -> None:
        new = [LineEdit(None, NOTEBOOK | {"name": f"品{n}"}) for n in range(50)]
        with pytest.raises(EditRefused, match="50種類"):  # R76c
            change(order, lines=new)
        assert len(change(order, lines=new[:49]).lines) == 50

    def test_lines_of_more_yen_than_books_hold_are_refused_whatever_the_total(
        self, order: Order
    ) -> None:
        lines = line_of(order, unit_price=9_999_999, quantity=101)
        with pytest.raises(EditRefused, match="999,999,999円以下"):
            change(order, lines=lines, total=2500)
        assert fresh(order).version == 1

    @pytest.mark.parametrize(
        ("values", "words"),
        [({"unit_price": 0}, "0円"), ({"unit_price": 9_999_999, "quantity": 9_999}, "7桁")],
    )
    def test_a_total_smbc_gp_does_not_know_is_refused(
        self, order: Order, values: dict[str, int], words: str
    ) -> None:
        with pytest.raises(EditRefused, match=words):
            change(order, lines=line_of(order, **values))
        assert fresh(order).total == 10_000

    def test_an_order_paid_otherwise_may_come_to_nothing(self, shop: World) -> None:
        order = fresh(make_order(method="銀行振込", total=3000))
        assert change(order, values={"points_used": 3000}).total == 0


class TestFeesAndTax:
    def test_fees_and_reductions_count(self, order: Order) -> None:
        after = change(
            order,
            values={
                "carriage": 500,
                "commission": 300,
                "bulk_discount": 100,
                "coupon": 200,
                "points_used": 50,
                "discount": 150,
            },
        )
        assert after.total == 10_300  # R77a
        assert ["値引き", "0円", "150円"] in told(order)

    def test_a_tax_can_be_set_by_hand(self, order: Order) -> None:
        after = change(order, values={"tax_8": 700})
        assert (after.tax_8, after.total) == (700, 10_000)  # R76a
        assert told(order) == [["消費税8%", "自動計算", "700円"]]

    def test_a_tax_left_as_shown_goes_back_to_automatic_with_other_amounts(
        self, order: Order
    ) -> None:
        after = change(order, values={"tax_8": 700})
        after = change(after, values={"tax_8": 700}, lines=line_of(after, quantity=2))
        assert after.tax_8 is None
        after = change(after, values={"tax_8": 650}, lines=line_of(after, quantity=1))
        assert after.tax_8 == 650  # typed for the new amounts

    @pytest.mark.parametrize("tax", [{"tax_8": 10_001}, {"tax_10": 1}])
    def test_a_tax_above_its_amount_is_refused(self, order: Order, tax: dict[str, int]) -> None:
        with pytest.raises(EditRefused, match="対象の金額"):
            change(order, values=tax)

    def test_prices_without_tax_get_it_on_top(self, shop: World) -> None:
        rule = TaxRule(is_included=False, rounding=TaxRounding.UP)
        order = fresh(authorized_order(shop, total=10_000, **rule.columns))
        after = change(order, lines=line_of(order, unit_price=9_991, tax_rate=10), keep_total=False)
        assert after.total == 9_991 + 1_000  # R77a, R77b: 999.1 rounded up


class TestTypedTotalAndItems:
    @pytest.fixture
    def typed(self, order: Order) -> Order:
        """¥10,000 of goods for which ¥9,500 was typed in."""
        correct(order, 9_500)
        return fresh(order)

    def test_changed_items_ask_what_becomes_of_it(self, typed: Order) -> None:
        with pytest.raises(ChoiceNeeded):  # R76b
            change(typed, lines=line_of(typed, quantity=2))
        assert fresh(typed).lines[0].quantity == 1

    def test_it_stays_when_told_so(self, typed: Order) -> None:
        after = change(typed, lines=line_of(typed, quantity=2), keep_total=True)
        assert (after.total, after.is_total_set) == (9_500, True)

    def test_the_calculation_wins_when_told_so(self, typed: Order) -> None:
        after = change(typed, lines=line_of(typed, quantity=2), keep_total=False)
        assert (after.total, after.is_total_set) == (20_000, False)
        assert after.original_total == 10_000

    def test_another_total_typed_with_them_stands(self, typed: Order) -> None:
        typed = change(typed, lines=line_of(typed, quantity=2), total=3_000)
        assert (typed.total, typed.is_total_set, typed.tax_10) == (3_000, True, None)
        assert told(typed)[0] == ["合計金額", "9,500円", "3,000円"]

    def test_other_fields_do_not_ask(self, typed: Order) -> None:
        after = change(typed, values={"note": "急ぎ"})
        assert (after.total, after.is_total_set) == (9_500, True)

    def test_an_imported_total_that_never_added_up_is_asked_about_too(self, shop: World) -> None:
        order = fresh(authorized_order(shop, total=3000))
        with writing():
            fresh(order).lines[0].unit_price = 2_900
        with pytest.raises(ChoiceNeeded):
            change(fresh(order), values={"carriage": 500})
        assert change(fresh(order), values={"note": "急ぎ"}).total == 3000


class TestPeople:
    def test_buyer_parcel_and_note_are_changed_and_found(self, order: Order) -> None:
        parcel = order.deliveries[0]
        after = change(
            order,
            values={
                "buyer_name": "鈴木 一郎",
                "buyer_tel": "090-0000-1111",
                "note": "置き配\n不可",
            },
            deliveries={parcel.id: {"name": "鈴木 次郎", "slip_no": "1234-5678"}},
        )
        assert after.buyer_search == "鈴木一郎"
        assert after.tel_search == "09000001111"
        assert after.deliveries[0].name_search == "鈴木次郎"
        assert after.deliveries[0].slip_no == "1234-5678"
        assert after.total == 10_000
        assert after.edited_at  # R66: content counts as a modification
        assert after.original_total is None
        assert ["備考", "なし", "置き配 不可"] in told(order)

    def test_what_a_parcel_went_through_is_kept(self, order: Order) -> None:
        moment = datetime(2026, 11, 1, tzinfo=UTC)
        with writing():
            fresh(order).deliveries[0].delivered_at = moment
        parcel = fresh(order).deliveries[0]
        change(fresh(order), deliveries={parcel.id: {"address": "港区1-1"}})
        assert fresh(order).deliveries[0].delivered_at == moment

    def test_several_parcels_are_told_apart(self, order: Order) -> None:
        with writing() as session:
            session.add(Delivery(order_id=order.id, number=2, name="二人目"))
        second = fresh(order).deliveries[1]
        change(fresh(order), deliveries={second.id: {"name": "三人目"}})
        assert told(order) == [["お届け先2 お届け先氏名", "二人目", "三人目"]]

    def test_nothing_changed_is_told_and_not_recorded(self, order: Order) -> None:
        edit = ContentEdit(
            values={"buyer_name": order.buyer_name, "carriage": 0},
            lines=line_of(order, quantity=1, name="煎茶"),
        )
        result = editing.change_content(order.id, edit, seen(order), TANAKA)
        assert result is SaveResult.UNCHANGED
        assert fresh(order).edited_at is None

    def test_a_record_stays_readable_however_much_changed(self, order: Order) -> None:
        new = [LineEdit(None, NOTEBOOK | {"name": f"{n}" + "長" * 390}) for n in range(49)]
        change(order, lines=new, values={"note": "備" * 4000})
        listed = told(order)
        assert len(listed) == 41
        assert listed[-1] == ["ほか", "", "11項目"]
        assert all(len(text) <= 80 for one in listed for text in one)


def test_one_entry_per_correction_and_one_token_each(order: Order) -> None:
    correct(order, 9_500)
    correct(fresh(order), 9_000)
    tokens = db.session.scalars(sa.select(HistoryEntry.request_token)).all()
    assert len(set(tokens)) == 2
    assert db.session.scalar(sa.select(sa.func.count()).select_from(OrderLine)) == 1
