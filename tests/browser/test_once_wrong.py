"""What people saw on the screens once and stumbled over, in the order of the list of it.

The others have files of their own: B1 unsaved, B2 no_answer, B3 days and scanner, B4 and B18 print, B6
every_screen, B9 desk, B10 console_file, B11 find.
"""

from __future__ import annotations

import re

import pytest
import sqlalchemy as sa
from playwright.sync_api import Route, expect

from sgpshop.domain.payment_status import PaymentStatus
from sgpshop.gateway import Job
from sgpshop.models import CardTransaction
from sgpshop.storage.database import writing
from tests.browser.conftest import Site, Visitor
from tests.browser.test_main_job import changed_orders
from tests.factories import days_ago, fresh
from tests.services.order_search.test_preorders_list import ordered
from tests.services.subscribing import make_subscription

YES = "[data-confirm-yes]"


def test_an_amount_changed_in_smbc_gps_console_is_taken_over_and_never_undone(
    site: Site, visitor: Visitor
) -> None:  # B5
    [order] = site.orders(1, total=2479)
    page = visitor.open(f"/orders/{order.order_no}")
    page.get_by_role("button", name="照合", exact=True).click()
    expect(page.locator("#messages")).to_contain_text("一致しています")
    trade = site.world.gateway.search_trade(order.order_no)
    assert trade
    site.world.gateway.change_amount(trade.access, 1111, job=Job.AUTH)  # as a person does there
    page.get_by_role("button", name="照合", exact=True).click()
    told = page.locator("#changed-there")
    expect(told).to_contain_text("管理画面で金額が変更されています")
    expect(page.get_by_role("button", name="¥2,479 を送信し直す")).to_be_visible()
    expect(page.locator(".acts .is-primary")).to_have_count(0)
    expect(page.locator("main")).not_to_contain_text("修正額が未送信")
    told.get_by_role("button", name="合計金額を ¥1,111 に合わせる").click()
    expect(page.locator("[data-version]")).to_have_attribute("data-total", "1111")
    expect(told).to_have_count(0)
    assert site.world.trade(order.order_no)["amount"] == 1111


def test_the_pressed_button_keeps_its_colour(site: Site, visitor: Visitor) -> None:  # B7
    [order] = site.orders(1)
    page = visitor.open(f"/orders/{order.order_no}/capture")
    held: list[Route] = []
    page.route("**/capture", lambda route: held.append(route))
    button = page.locator(YES)
    before = button.evaluate("(one) => getComputedStyle(one).backgroundColor")
    button.click()
    expect(button).to_be_disabled()
    assert button.evaluate("(one) => getComputedStyle(one).backgroundColor") == before
    held[0].continue_()
    expect(page.locator("#messages")).to_contain_text("が完了しました")


def test_an_old_order_whose_answer_was_lost_just_now_has_not_waited_for_days(
    site: Site, visitor: Visitor
) -> None:  # B8
    [order] = site.orders(1, ordered_at=days_ago(6))
    site.world.fault("drop_after")
    site.world.fault("http:503", "SearchTrade", times=50)
    page = visitor.open(f"/orders/{order.order_no}/capture")
    page.locator(YES).click()
    stands = page.locator("[data-version]")
    expect(stands).to_have_attribute("data-payment-status", "needs_review")
    expect(page.locator("#payment-error")).to_contain_text("自動で確認しています")  # B13: in words
    expect(page.locator("main")).not_to_contain_text("経過")
    page.goto(f"{site.url}/orders?status=needs_review&from=&to=")
    row = page.locator(f"#row-{order.order_no}")
    expect(row).to_be_visible()
    expect(row).not_to_contain_text("経過")


def test_the_question_names_each_order_once_and_each_figure_by_itself(
    site: Site, visitor: Visitor
) -> None:  # B12
    unsent = changed_orders(site)
    ready = site.orders(2, total=1500)
    page = visitor.open("/orders?from=&to=")
    for order in [*unsent, *ready]:
        page.locator(f'input[name="order_no"][value="{order.order_no}"]').check()
    page.locator("#choose-action").click()
    page.get_by_role("button", name="SGPカード決済", exact=True).click()
    page.locator("#run-bulk:enabled").click()
    dialog = page.locator("#confirmation")
    expect(dialog.locator(".confirm-question")).to_have_text(
        "2件 ¥3,000 を購入者のカードに請求します"
    )
    for order in unsent:
        expect(dialog.get_by_role("listitem").filter(has_text=order.order_no)).to_have_count(1)
    expect(dialog.locator("#confirmation-figures .reasons li")).to_have_text(
        [re.compile(r"^\D+ 2件$")]
    )


class TestSlow:
    @pytest.fixture
    def overrides(self) -> dict[str, object]:
        return {"ANSWER_WAIT": 0.2}

    def test_while_it_is_processed_no_button_appears_that_was_never_there(
        self, site: Site, visitor: Visitor
    ) -> None:  # B14
        [order] = site.orders(1)
        site.world.fault("delay:2")
        page = visitor.open(f"/orders/{order.order_no}")
        buttons = page.locator(".acts button, .acts a.button")
        before = {one.strip() for one in buttons.all_inner_texts()}
        page.get_by_role("button", name="SGPカード実売上処理").click()
        page.locator(YES).click()
        expect(page.locator("#payment-error")).to_contain_text("処理中")
        assert {one.strip() for one in buttons.all_inner_texts()} <= before
        memo = page.locator("#memo")
        memo.focus()
        expect(page.locator("[data-version]")).to_have_attribute("data-payment-status", "captured")
        # What it did is said although nobody presses anything, and the focus stays.
        expect(page.locator("#said")).to_contain_text("が完了しました")
        expect(page.locator("#messages")).to_contain_text("が完了しました")
        expect(memo).to_be_focused()


def test_beside_the_button_it_is_said_that_the_hold_is_over(
    site: Site, visitor: Visitor
) -> None:  # B15
    [order] = site.orders(1, authorized_at=days_ago(90))
    page = visitor.open(f"/orders/{order.order_no}/capture")
    warning = page.locator("form.confirmation .notice.is-warning", has_text="オーソリ期限が切れて")
    expect(warning).to_be_visible()
    above, below = warning.bounding_box(), page.locator(YES).bounding_box()
    assert above
    assert below
    assert above["y"] < below["y"]


def test_with_no_preorder_ticked_the_list_stays_and_says_so(
    site: Site, visitor: Visitor
) -> None:  # B16
    with site.app.app_context():
        ordered(2)
    page = visitor.open(
        "/preorders?tab=all"
    )  # SMBC-GP does not know it: that may be seen meanwhile
    page.get_by_role("button", name="選択した注文を一括処理へ").click()
    expect(page.locator("#messages")).to_contain_text("注文が選択されていません")
    assert page.url.endswith("/preorders?tab=all")
    expect(page.locator("tbody tr")).to_have_count(1)


def test_a_value_that_is_none_is_said_beside_its_field_and_hides_nothing(
    site: Site, visitor: Visitor
) -> None:  # B19
    [order] = site.orders(1)
    page = visitor.open("/orders?amount_min=abc&fields=all")
    expect(page.locator("[aria-invalid=true]")).to_have_attribute("name", "amount_min")
    expect(page.locator(f"#row-{order.order_no}")).to_be_visible()
    expect(page.locator("main")).not_to_contain_text("この期間にはありません")


def test_a_phone_number_that_is_none_is_not_saved_and_stays_in_its_field(
    site: Site, visitor: Visitor
) -> None:  # B20
    [order] = site.orders(1, buyer_tel="03-1234-5678")
    page = visitor.open(f"/orders/{order.order_no}/edit")
    field = page.locator("[name=buyer_tel]")
    field.fill("abc")
    page.get_by_role("button", name="変更内容を保存").click()
    expect(page.locator("main")).to_contain_text("市外局番から")
    expect(field).to_have_value("abc")
    expect(field).to_have_attribute("aria-invalid", "true")
    with site.app.app_context():
        assert fresh(order).buyer_tel == "03-1234-5678"


def test_a_subscription_without_a_card_is_told_before_the_day_it_is_registered(
    site: Site, visitor: Visitor
) -> None:  # B21
    with site.app.app_context():
        order = make_subscription()
        with writing() as session:  # a look-up was made and shows no card
            session.execute(sa.update(CardTransaction).values(looks=1))
    page = visitor.open("/subscriptions?tab=attention")
    expect(page.locator("tbody tr")).to_contain_text([order.order_no])
    expect(page.locator("tbody tr")).to_contain_text(["カード未確認"])
    expect(page.locator("[data-figure=lacks-card]")).to_contain_text("登録できない")


def test_a_day_of_another_year_is_told_with_its_year(site: Site, visitor: Visitor) -> None:  # B22
    then = days_ago(400)
    site.orders(1, ordered_at=then, status=PaymentStatus.CAPTURE_FAILED)
    page = visitor.open("/orders?status=capture_failed&from=&to=")
    expect(page.locator("td.when")).to_contain_text(re.compile(rf"^{then.year}/\d+/\d+\(.\)"))
