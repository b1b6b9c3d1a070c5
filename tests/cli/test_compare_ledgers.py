"""`compare-ledgers`: is our book SMBC-GP's?  It asks about every order and changes nothing (P4)."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest
from click.testing import Result
from flask import Flask

from sgpshop.cli import commands
from sgpshop.extensions import db
from sgpshop.gateway import Cancellation
from sgpshop.models import HistoryEntry, Operation, Order, OrderKind
from sgpshop.services.payments import gateway_access
from sgpshop.services.reconciliation import ledgers
from tests.factories import authorized_order, fresh, make_order, order_number
from tests.gateway_world import GOOD_CARD, World
from tests.services.acting import press


@pytest.fixture(params=["sqlite", "postgresql"])
def database_kind(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def shop(app: Flask, monkeypatch: pytest.MonkeyPatch) -> Iterator[World]:
    monkeypatch.setattr(ledgers, "_PAUSE", 0.01)
    world = World()
    gateway_access.init_app(app, world.gateway)
    with app.app_context():
        yield world
        db.session.remove()


def compare(app: Flask, *arguments: str) -> Result:
    db.session.remove()
    return app.test_cli_runner().invoke(commands, ["compare-ledgers", *arguments])


def cancelled_by_hand(shop: World) -> Order:
    """仮売上 here, cancelled in the console."""
    order = authorized_order(shop)
    trade = shop.gateway.search_trade(order.order_no)
    assert trade is not None
    shop.gateway.cancel(trade.access, Cancellation.VOID)
    return order


@pytest.mark.postgresql
def test_equal_books_print_nothing_and_end_with_0(app: Flask, shop: World) -> None:
    authorized_order(shop)
    press(authorized_order(shop), Operation.CAPTURE)
    make_order(method="代金引換", status=None)  # nothing to compare
    result = compare(app)
    assert (result.exit_code, result.stdout) == (0, "")
    assert "2件を照合: 差異 0" in result.stderr
    assert json.loads(compare(app, "--json").stdout) == []


def test_a_difference_is_one_line_and_ends_with_1(app: Flask, shop: World) -> None:
    authorized_order(shop)
    order = cancelled_by_hand(shop)
    result = compare(app)
    assert result.exit_code == 1
    [line] = result.stdout.splitlines()
    assert order.order_no in line
    assert "こちら: 仮売上 3,000円" in line
    assert "SMBC-GP: 取消 3,000円" in line
    assert "状態が異なります" in line


def test_as_json_with_both_sides(app: Flask, shop: World) -> None:
    order = cancelled_by_hand(shop)
    result = compare(app, "--json")
    assert result.exit_code == 1
    [found] = json.loads(result.stdout)
    assert found == {
        "order_no": order.order_no,
        "result": "difference",
        "why": "状態が異なります",
        "payment_status": "authorized",
        "total": 3000,
        "gateway_amount": 3000,
        "gateway": {"order_id": order.order_no, "status": "VOID", "amount": 3000},
        "left": [],
        "open_operation": None,
        "open_since": None,
    }


@pytest.mark.postgresql
def test_an_order_taken_for_another_way_of_payment_is_named(app: Flask, shop: World) -> None:
    shop.authorize("1001", 2500)
    shop.enter("1003", 2500)  # never paid
    for number in ("#1001", "1002", "1003"):
        make_order(order_no=number, method="カード", status=None, total=2500)
    assert compare(app).exit_code == 0
    result = compare(app, "--others")
    assert result.exit_code == 1
    [line] = result.stdout.splitlines()
    assert "#1001  こちら: カード  SMBC-GP: 仮売上 2,500円" in line
    assert "3件を照合: 差異 1" in result.stderr
    assert json.loads(compare(app, "--others", "--json").stdout) == [
        {
            "order_no": "#1001",
            "result": "other_method",
            "method": "カード",
            "gateway": {"order_id": "1001", "status": "AUTH", "amount": 2500},
        }
    ]
    shop.fault("drop_before", "SearchTrade", times=50)
    assert compare(app, "--others").exit_code == 3
    assert compare(app, "--others", "--order", "1001").exit_code == 2


def test_another_amount_there_is_a_difference_an_unsent_edit_is_not(
    app: Flask, shop: World
) -> None:
    order = make_order(total=2500, access=shop.authorize("P7", 3000), gateway_amount=3000)
    assert compare(app).exit_code == 0  # 修正額が未送信: we know that they hold 3,000
    trade = shop.gateway.search_trade("P7")
    assert trade is not None
    shop.gateway.change_amount(trade.access, 3600, job="AUTH")
    result = compare(app)
    assert result.exit_code == 1
    assert "SMBC-GP側金額が異なります" in result.stdout
    assert order.order_no in result.stdout


def test_no_transaction_and_another_transaction(app: Flask, shop: World) -> None:
    make_order(order_no="P-NONE".replace("-", ""))
    make_order(order_no="POTHER", access=shop.authorize("POTHER", 3000))
    with app.app_context():
        db.session.execute(
            db.text(
                "UPDATE card_transactions SET access_id = 'x' WHERE gateway_order_id = 'POTHER'"
            )
        )
        db.session.commit()
    lines = compare(app).stdout.splitlines()
    assert any("PNONE" in line and "取引なし" in line for line in lines)
    assert any("POTHER" in line and "取引IDが異なります" in line for line in lines)


def test_an_operation_in_doubt_is_open_but_no_difference(app: Flask, shop: World) -> None:
    order = authorized_order(shop)
    shop.fault("drop_after")
    order = press(order, Operation.CAPTURE)
    assert order.open_attempt is not None
    result = compare(app, "--json")
    assert result.exit_code == 0
    [found] = json.loads(result.stdout)
    assert (found["result"], found["open_operation"]) == ("open", "capture")
    assert found["gateway"]["status"] == "SALES"


def test_what_cannot_be_asked_is_not_taken_for_equal(app: Flask, shop: World) -> None:
    order = authorized_order(shop)
    shop.fault("drop_before", "SearchTrade", times=50)
    result = compare(app, "--json")
    assert result.exit_code == 3  # nobody knows: neither «they agree» nor «they do not»
    [found] = json.loads(result.stdout)
    assert (found["result"], found["gateway"]) == ("unanswered", None)
    assert order.order_no == found["order_no"]


def test_congestion_is_waited_out(app: Flask, shop: World) -> None:
    authorized_order(shop)
    shop.fault("error:E92000001", "SearchTrade", times=3)
    assert compare(app).exit_code == 0


def test_only_the_orders_named(app: Flask, shop: World) -> None:
    good, bad = authorized_order(shop), cancelled_by_hand(shop)
    assert compare(app, "--order", good.order_no).exit_code == 0
    assert compare(app, "--order", good.order_no, "--order", bad.order_no).exit_code == 1


@pytest.mark.parametrize("arguments", [["--order", "NOBODY"], ["--order"], ["--what"], ["x"]])
def test_wrong_use_ends_with_2(app: Flask, shop: World, arguments: list[str]) -> None:
    assert compare(app, *arguments).exit_code == 2


def test_it_changes_nothing(app: Flask, shop: World) -> None:
    order = cancelled_by_hand(shop)
    before = (
        fresh(order).version,
        fresh(order).payment_status,
        db.session.query(HistoryEntry).count(),
    )
    compare(app)
    after = (
        fresh(order).version,
        fresh(order).payment_status,
        db.session.query(HistoryEntry).count(),
    )
    assert before == after
    asked = [entry["api"] for entry in all_requests(shop)]
    assert asked.count("AlterTran") == 1  # the cancel by hand


def all_requests(shop: World) -> list[dict[str, str]]:
    found = shop.simulator.test_client().get("/_control/requests").get_json()
    return list(found)


@pytest.mark.postgresql
def test_an_order_that_changes_meanwhile_is_asked_about_again(
    app: Flask, shop: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    order = authorized_order(shop)
    compared = ledgers._compared
    answers: list[object] = []

    def slow(ours: ledgers.BookedOrder, answer: object) -> ledgers.Comparison:
        if not answers:  # we read 仮売上, then somebody captured, then SMBC-GP answered
            press(order, Operation.CAPTURE)
            answer = (shop.gateway.search_trade(order.order_no),)
        answers.append(answer)
        return compared(ours, answer)  # type: ignore[arg-type]

    monkeypatch.setattr(ledgers, "_compared", slow)
    [found] = ledgers.compare()
    assert found.verdict is ledgers.Verdict.AGREES
    assert len(answers) == 2


def test_a_later_number_that_only_smbc_gp_knows_is_left(app: Flask, shop: World) -> None:  # P36
    number = order_number()
    access = shop.gateway.check_card(number, GOOD_CARD).access
    order = make_order(
        order_no=number, access=access, kind=OrderKind.PREORDER, gateway_state="CHECK",
        gateway_amount=None,
    )  # fmt: skip
    assert compare(app).exit_code == 0
    shop.authorize(f"{number}-2", order.total)  # -1 was used up without being entered
    result = compare(app)
    assert result.exit_code == 1
    assert f"別の取引が残っています({number}-2" in result.stdout
