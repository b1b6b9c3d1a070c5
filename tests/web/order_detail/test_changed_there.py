"""The amount was changed in SMBC-GP's console: told as that, and nothing undoes it by itself (B5)."""

from __future__ import annotations

import pytest
import sqlalchemy as sa
from flask import Flask
from flask.testing import FlaskClient

from sgpshop.models import CardTransaction, Operation, Order, Role, utc_now
from sgpshop.storage.database import writing
from tests.factories import authorized_order, fresh
from tests.forms import form_of
from tests.gateway_world import World
from tests.services.acting import press
from tests.signing_in import signed_in
from tests.web.order_detail.test_notes import note
from tests.web.pages import flat


@pytest.fixture
def operator(app: Flask) -> FlaskClient:
    return signed_in(app, Role.OPERATOR, "田中")


@pytest.fixture
def order(app: Flask, operator: FlaskClient, world: World) -> Order:
    """Both said 2,479 yen when somebody noted something; then a look-up saw 1,111."""
    with app.app_context():
        order = authorized_order(world, total=2479)
    note(operator, order, "contacted", "")
    with app.app_context(), writing() as session:
        session.execute(
            sa.update(CardTransaction)
            .where(CardTransaction.order_id == order.id)
            .values(gateway_amount=1111)
        )
    return order


def test_it_is_told_with_both_ways_out_and_neither_is_the_primary_one(
    operator: FlaskClient, order: Order
) -> None:
    page = flat(operator.get(f"/orders/{order.order_no}"))
    assert "管理画面で金額が変更されています。" in page
    assert "合計金額を ¥1,111 に合わせる" in page
    assert "¥2,479 を送信し直す" in page
    assert "金額の変更がSMBC-GPに送信されていません" not in page
    panel = page[page.index('id="changed-there"') : page.index("other-acts")]
    assert "is-primary" not in panel


def test_also_on_the_screen_that_edits_nothing_undoes_it_by_itself(
    operator: FlaskClient, order: Order
) -> None:
    page = flat(operator.get(f"/orders/{order.order_no}/edit"))
    assert "管理画面で金額が変更されています。" in page
    panel = page[page.index('id="send-panel"') :]
    assert "is-primary" not in panel[: panel.index("</div>")]


@pytest.mark.parametrize(
    ("taken", "is_edited", "words"),
    [(2500, False, "一部返金 ¥500"), (2500, True, "売上額が¥500少ない"), (3000, False, "")],
)
def test_what_was_refunded_there_is_a_badge_of_its_own_and_never_unsent(
    app: Flask, operator: FlaskClient, world: World, taken: int, is_edited: bool, words: str
) -> None:
    with app.app_context():
        order = authorized_order(world, total=3000)
        press(order, Operation.CAPTURE)
        edited = {"edited_at": utc_now()} if is_edited else {}
        with writing() as session:
            session.execute(
                sa.update(CardTransaction)
                .where(CardTransaction.order_id == order.id)
                .values(gateway_amount=taken)
            )
            session.execute(
                sa.update(Order).where(Order.id == order.id).values(total=3000, **edited)
            )
    for path in ("/orders", f"/orders/{order.order_no}"):
        page = flat(operator.get(path))
        assert "未送信</span>" not in page
        assert ("一部返金" in page or "少ない</span>" in page) is bool(words)
        assert words in page


def test_our_total_follows_by_one_press(app: Flask, operator: FlaskClient, order: Order) -> None:
    address = f"/orders/{order.order_no}"
    form = form_of(operator.get(address), f"{address}/edit/total").fields
    operator.post(f"{address}/edit/total", data=form)
    with app.app_context():
        assert fresh(order).total == 1111
    assert "管理画面で金額が変更されています" not in operator.get(address).text


def test_a_correction_of_ours_is_still_called_unsent(
    operator: FlaskClient, order: Order, app: Flask
) -> None:
    address = f"/orders/{order.order_no}"
    page = operator.get(f"{address}/edit/total")
    form = dict(form_of(page, f"{address}/edit/total").fields) | {"total": "2000"}
    operator.post(f"{address}/edit/total", data=form)
    assert "金額の変更がSMBC-GPに送信されていません" in operator.get(address).text
