"""import-slips: the screen's work without a screen, exit codes (interfaces.md §2)."""

from __future__ import annotations

import pytest
from click.testing import Result
from flask import Flask

from sgpshop.cli import commands
from sgpshop.domain.payment_calendar import jst_day
from sgpshop.domain.payment_status import PaymentStatus
from sgpshop.models import Order
from sgpshop.services import settings
from sgpshop.services.payments import gateway_access
from tests.factories import authorized_order, fresh
from tests.gateway_world import World
from tests.services.slip_files import parcel, slip, slip_file


@pytest.fixture
def world() -> World:
    return World()


@pytest.fixture
def orders(app: Flask, world: World) -> list[Order]:
    gateway_access.init_app(app, world.gateway)
    with app.app_context():
        settings.save("test", site_id="tsite00000001", shop_id="tshop00000001")
        return [authorized_order(world) for _ in range(2)]


def run(app: Flask, *arguments: str, given: bytes) -> Result:
    return app.test_cli_runner().invoke(commands, ["import-slips", "-", *arguments], input=given)


def test_registers_and_captures_without_a_worker(app: Flask, orders: list[Order]) -> None:
    content = slip_file(*map(slip, orders))
    result = run(app, "--capture", given=content)
    assert result.exit_code == 0, result.output
    assert "2行: 成功 2, 失敗 0" in result.stdout
    assert "実売上 2件 6,000円" in result.stdout
    with app.app_context():
        assert fresh(orders[0]).payment_status is PaymentStatus.CAPTURED
    again = run(app, "--capture", given=content)
    assert again.exit_code == 0
    assert "処理済み" in again.stderr


def test_without_the_option_the_settings_decide(app: Flask, orders: list[Order]) -> None:
    assert run(app, given=slip_file(slip(orders[0]))).exit_code == 0
    with app.app_context():
        assert parcel(orders[0]).slip_no == "1234-5678"
        assert fresh(orders[0]).payment_status is PaymentStatus.AUTHORIZED


@pytest.mark.parametrize("by", ["option", "settings"])
def test_a_large_sum_is_captured_only_when_it_is_confirmed(
    app: Flask, orders: list[Order], by: str
) -> None:
    with app.app_context():
        world = World()
        gateway_access.init_app(app, world.gateway)
        order = authorized_order(world, total=1_998_500)
        if by == "settings":
            settings.save("test", capture_on_slip=True)
    wanted = ["--capture"] if by == "option" else []
    content = slip_file(slip(order))
    asked = run(app, *wanted, given=content)
    assert asked.exit_code == 2
    assert "実売上 1件 1,998,500円" in asked.stderr
    assert "--confirm-large-amount" in asked.stderr
    with app.app_context():
        assert fresh(order).payment_status is PaymentStatus.AUTHORIZED
        assert not parcel(order).slip_no
    confirmed = run(app, *wanted, "--confirm-large-amount", given=content)
    assert confirmed.exit_code == 0, confirmed.output
    with app.app_context():
        assert fresh(order).payment_status is PaymentStatus.CAPTURED


def test_failed_rows_end_with_1(app: Flask, orders: list[Order]) -> None:
    result = run(app, given=slip_file(slip(orders[0]), slip("P999")))
    assert result.exit_code == 1
    assert "3行目 P999: 失敗: 該当注文なし" in result.stderr
    assert "3行目 P999: 失敗: 該当注文なし" in result.stdout
    assert run(app, given=slip_file(slip("P999"))).exit_code == 1


def test_captures_that_smbc_gp_does_not_answer_end_with_3(
    app: Flask, world: World, orders: list[Order]
) -> None:
    for api in ("AlterTran", "SearchTrade"):
        world.fault("drop_before", api, times=99)
    result = run(app, "--capture", given=slip_file(slip(orders[0])))
    assert result.exit_code == 3, result.output
    assert "確認中 1" in result.stdout
    assert "有効な応答がありませんでした" in result.stderr


def test_what_cannot_be_read_ends_with_2(app: Flask) -> None:
    result = run(app, given=b"a,b\n1,2\n")
    assert result.exit_code == 2
    assert "必要な項目名がありません" in result.stderr


def test_a_carriers_file_is_known_and_what_is_not_ours_is_told(
    app: Flask, orders: list[Order]
) -> None:
    """佐川 e飛伝Ⅱ: one order of ours, one of another shop, one label that was taken back."""
    lines = [
        ["お問合せ送り状№", "出荷日時", "お客様管理ナンバー", "削除区分"],
        ["400000001214", "2026/11/28", orders[0].order_no, "0"],
        ["400000001225", "2026/11/28", "X-77", "0"],
        ["400000001236", "2026/11/28", orders[1].order_no, "1"],
    ]
    day = jst_day(orders[0].ordered_at)
    text = "\r\n".join(",".join(cells) for cells in lines).replace("2026/11/28", f"{day:%Y/%m/%d}")
    result = run(app, given=text.encode("cp932"))
    assert result.exit_code == 0, result.output
    assert "「佐川急便 e飛伝Ⅱ」のファイルとして読みました" in result.stderr
    assert "3行目 X-77: 対象外: 該当注文なし" in result.stderr
    assert "4行目: 対象外: 取り消された送り状です" in result.stderr
    with app.app_context():
        assert (parcel(orders[0]).slip_no, parcel(orders[0]).carrier_code) == (
            "400000001214",
            "003",
        )
        assert parcel(orders[1]).slip_no == ""
