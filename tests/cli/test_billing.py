"""report-subscriptions: a month that is over is registered, counts and refused orders are printed."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
import time_machine
from click.testing import Result
from flask import Flask

from sgpshop.cli import commands
from sgpshop.domain.payment_status import PaymentStatus
from sgpshop.services import settings
from sgpshop.services.payments import gateway_access
from sgpshop.services.subscriptions import billing
from tests.factories import fresh
from tests.gateway_world import World
from tests.services.arriving import open_shop
from tests.services.subscribing import Travel, jst
from tests.services.subscriptions.test_subscriptions_list import placed


@pytest.fixture
def overrides() -> dict[str, Any]:
    return {"QUIET_PERIOD": 0.0}


@pytest.fixture
def travel() -> Iterator[Travel]:
    with time_machine.travel(jst(2026, 11, 12, 12), tick=True) as traveller:
        yield traveller.move_to


@pytest.fixture
def world(app: Flask, travel: Travel) -> World:
    world = World()
    gateway_access.init_app(app, world.gateway)
    with app.app_context():
        open_shop()
        billing.resume()  # the first registration of a new installation is nobody's
    return world


def run(app: Flask, *arguments: str) -> Result:
    return app.test_cli_runner().invoke(commands, ["report-subscriptions", *arguments])


def test_it_registers_what_was_delivered_once(app: Flask, world: World, travel: Travel) -> None:
    with app.app_context():
        order = placed(world)
    travel(jst(2026, 12, 2, 9))
    result = run(app, "--month", "2026-11")
    assert result.exit_code == 0, result.output
    assert "2026-11 分の売上報告: 新規 1件; 登録 1, 登録不可 0, 未登録 0, 登録中 0" in result.stdout
    with app.app_context():
        assert fresh(order).payment_status is PaymentStatus.BILLING_REPORTED
    again = run(app, "--month", "2026-11")
    assert again.exit_code == 0
    assert "新規 0件" in again.stdout


def test_a_refused_order_is_a_line_and_ends_with_1(
    app: Flask, world: World, travel: Travel
) -> None:
    with app.app_context():
        settings.save("test", billing_driver="api")
        order = placed(world)
    world.fault("error:42G550000", "ExecTran")
    travel(jst(2026, 12, 2, 9))
    result = run(app, "--month", "2026-11")
    assert result.exit_code == 1
    assert f"{order.order_no}: 登録不可: 42G550000 " in result.stdout
    assert "登録 0, 登録不可 1" in result.stdout


def test_put_off_or_under_way_ends_with_1(app: Flask, world: World, travel: Travel) -> None:
    with app.app_context():
        placed(world)
    travel(jst(2026, 12, 20, 9))  # the window has closed
    result = run(app, "--month", "2026-11")
    assert result.exit_code == 1
    assert "未登録 1" in result.stdout
    assert "決済待ちのまま" in result.stderr
    world.fault("drop_before", "Batch", times=9)
    travel(jst(2027, 1, 5, 9))
    result = run(app, "--month", "2026-12")
    assert result.exit_code == 1
    assert "登録中 1" in result.stdout
    world.fault("drop_before", "SearchTrade", times=9)
    result = run(app, "--month", "2026-12")
    assert result.exit_code == 3  # nobody answers
    assert "有効な応答がありませんでした" in result.stderr


@pytest.mark.parametrize("arguments", [(), ("--month", "2026-13"), ("--month", "先月")])
def test_wrong_use_ends_with_2(app: Flask, world: World, arguments: tuple[str, ...]) -> None:
    assert run(app, *arguments).exit_code == 2


@pytest.mark.parametrize("month", ["2026-11", "2027-01"])
def test_a_month_that_is_not_over_ends_with_2(app: Flask, world: World, month: str) -> None:
    result = run(app, "--month", month)  # R102
    assert result.exit_code == 2
    assert f"{month} はまだ終わっていない" in result.stderr
