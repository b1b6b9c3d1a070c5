"""Paper as the shop wants it: who sees amounts, the shop's own words and logo, and ピッキングリスト (R145, R145a)."""

from __future__ import annotations

import io
import zlib
from collections.abc import Callable
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient

from sgpshop.domain.delivery_status import DeliveryStatus
from sgpshop.domain.logos import LogoRefused, kind_of
from sgpshop.domain.payment_status import PaymentStatus
from sgpshop.extensions import db
from sgpshop.models import Delivery, Order, OrderLine, Role
from sgpshop.services import settings
from sgpshop.services.deliveries import picking
from tests.factories import make_order
from tests.forms import form_of, token_of
from tests.gateway_world import World
from tests.signing_in import signed_in
from tests.web.order_search.test_bulk_runs import Browser
from tests.web.order_search.test_delivery_notes import PRINT, sheets
from tests.web.pages import flat
from tests.web.test_once_a_page import asked

PAPER = "/settings/files/paper"


@pytest.fixture
def operator(app: Flask, world: World) -> Browser:
    return Browser(app)


@pytest.fixture
def gift(app: Flask, world: World) -> Order:
    with app.app_context():
        order = db.session.get_one(Order, make_order(total=3240, buyer="佐藤 花子").id)
        order.deliveries[0].name = "鈴木 一郎"
        db.session.commit()
        return order


def part(kind: bytes, body: bytes) -> bytes:
    return len(body).to_bytes(4) + kind + body + zlib.crc32(kind + body).to_bytes(4)


def png(width: int = 60, height: int = 20) -> bytes:
    head = width.to_bytes(4) + height.to_bytes(4) + bytes((8, 2, 0, 0, 0))
    rows = zlib.compress((b"\0" + b"\x20\x40\x90" * width) * height)
    parts = part(b"IHDR", head) + part(b"IDAT", rows) + part(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + parts


JPEG = bytes.fromhex("ffd8ffe000104a46494600010100000100010000ffc0000b080014003c0101110000ffd9")


def amounts(page: str) -> list[bool]:
    return ["¥" in sheet for sheet in sheets(page)]


def test_who_gets_a_gift_reads_no_amounts_unless_it_is_said(
    app: Flask, operator: Browser, gift: Order
) -> None:  # B4
    address = f"/orders/{gift.order_no}/print"
    page = flat(operator.get(address))
    assert amounts(page) == [False]
    assert "金額を印刷しません" in page
    assert "鈴木 一郎</bdi> 様" in page
    assert amounts(flat(operator.get(f"{address}?amounts=always"))) == [True]
    assert amounts(flat(operator.get(f"{address}?amounts=nonsense"))) == [False]
    with app.app_context():
        settings.save("test", paper_amounts="always")
    assert amounts(flat(operator.get(address))) == [True]
    assert amounts(flat(operator.get(f"{address}?amounts=never"))) == [False]


@pytest.mark.parametrize("name", ["佐藤花子", "", "佐藤　花子"])
def test_the_buyers_own_parcel_has_amounts(
    app: Flask, operator: Browser, gift: Order, name: str
) -> None:
    with app.app_context():
        db.session.get_one(Order, gift.id).deliveries[0].name = name
        db.session.commit()
    assert amounts(flat(operator.get(f"/orders/{gift.order_no}/print"))) == [True]


def test_the_switch_for_many_prints_the_same_orders_again(
    app: Flask, operator: Browser, gift: Order
) -> None:
    with app.app_context():
        own = make_order(total=1000).order_no
    numbers = [gift.order_no, own]
    page = operator.post(PRINT, order_no=numbers)
    assert sorted(amounts(flat(page))) == [False, True]
    form = form_of(page, PRINT)
    assert sorted(form.every["order_no"]) == sorted(numbers)
    again = operator.post(PRINT, **form.every, amounts="never")
    assert amounts(flat(again)) == [False, False]


def test_without_amounts_an_order_for_several_has_the_recipients_sheets_alone(
    app: Flask, operator: Browser, gift: Order
) -> None:
    with app.app_context():
        order = db.session.get_one(Order, gift.id)
        order.deliveries[0].number = 1
        order.deliveries.append(Delivery(number=2, name="高橋"))
        db.session.commit()
    assert amounts(flat(operator.get(f"/orders/{gift.order_no}/print"))) == [True, False, False]
    page = flat(operator.get(f"/orders/{gift.order_no}/print?amounts=never"))
    assert amounts(page) == [False, False]


@pytest.fixture
def owner(app: Flask) -> FlaskClient:
    return signed_in(app, Role.OWNER)


def send(owner: FlaskClient, path: str = f"{PAPER}/logo", **data: Any) -> str:
    token = token_of(owner.get(PAPER))
    return owner.post(path, data={"csrf_token": token} | data, follow_redirects=True).text


def test_the_shops_own_words_and_logo(
    app: Flask, owner: FlaskClient, operator: Browser, gift: Order
) -> None:
    send(owner, PAPER, paper_message="またのご利用を\r\nお待ちしております <b>")
    page = send(owner, paper_logo=(io.BytesIO(png()), "logo.png"))
    assert "ロゴを保存しました" in page
    address = page.partition('<img class="logo" src="')[2].partition('"')[0]
    picture = operator.get(address)
    assert (picture.data, picture.mimetype) == (png(), "image/png")
    sheet = operator.get(f"/orders/{gift.order_no}/print").text
    assert "またのご利用を\nお待ちしております &lt;b&gt;" in sheet
    assert f'<img src="{address}"' in sheet
    assert "納品書のロゴ" in page  # 変更履歴
    send(owner, remove="1")
    assert operator.get(address).status_code == 404
    assert "<img" not in operator.get(f"/orders/{gift.order_no}/print").text


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "ロゴの画像を選んでください"),
        (b"<svg onload=alert(1)>", "PNGかJPEG"),
        (png()[:-5], "壊れています"),
        (png() + b"<script>", "壊れています"),
        (png().replace(b"\x20\x40\x90", b"\x20\x40\x91").replace(b"IDAT", b"IDAU"), "壊れています"),
        (png(3000, 1), "2,000ピクセル"),
        (png() + b"\0" * 200_000, "200KB"),
        (b"\xff\xd8\xff" + b"\0" * 40, "壊れています"),
        (b"\xff\xd8\xff", "壊れています"),
    ],
)
def test_what_is_no_small_picture_is_refused_and_the_one_before_stays(
    owner: FlaskClient, content: bytes, words: str
) -> None:
    send(owner, paper_logo=(io.BytesIO(JPEG), "logo.jpg"))
    page = send(owner, paper_logo=(io.BytesIO(content), "logo.png"))
    assert words in page
    assert "jpeg-" in page
    assert owner.get(f"{PAPER}/logo").data == JPEG


def test_pictures_by_their_content() -> None:
    assert (kind_of(png()), kind_of(JPEG)) == ("png", "jpeg")
    for n in range(len(JPEG)):
        with pytest.raises(LogoRefused):
            kind_of(JPEG[:n])
    for n in range(len(png())):
        with pytest.raises(LogoRefused):
            kind_of(png()[:n])


def test_a_picking_list_by_product(app: Flask, operator: Browser, world: World) -> None:
    def line(code: str, name: str, quantity: int, number: int = 0) -> OrderLine:
        return OrderLine(
            position=quantity + 1, code=code, name=name, unit_price=1, quantity=quantity,
            delivery_number=number,
        )  # fmt: skip

    with app.app_context():
        first, second, sent, _ = (
            db.session.get_one(Order, make_order(order_no=no, **more).id)
            for no, more in (
                ("P00000001", {}),
                ("P00000002", {}),
                ("PSENT", {}),
                ("PCANCELLED", {"status": PaymentStatus.CANCELLED}),
            )
        )
        first.lines = [line("T-2", "湯呑", 2), line("T-1", "急須", 1)]
        second.lines = [line("T-2", "湯呑", 3, 1), line("T-9", "茶筒", 4, 2)]
        second.deliveries = [
            Delivery(number=1),
            Delivery(number=2, status=DeliveryStatus.DELIVERED),
        ]
        sent.deliveries[0].status = DeliveryStatus.DELIVERED
        db.session.commit()
    chosen = ["P00000001", "P00000002", "PSENT", "PCANCELLED"]
    page = flat(operator.post("/orders/bulk/picking", order_no=chosen))
    assert 'data-orders="2" data-quantity="6"' in page
    assert page.index("急須") < page.index("湯呑")  # by code
    assert "<b>5</b>" in page
    assert "00000001×2" in page
    assert "00000002×3" in page
    assert "茶筒" not in page
    assert "2件は含みません" in page
    for n in range(9):
        with app.app_context():
            make_order(order_no=f"PMANY{n}")
    page = flat(operator.post("/orders/bulk/picking", order_no=[f"PMANY{n}" for n in range(9)]))
    assert "PMANY5" in page
    assert "PMANY6" not in page
    assert "ほか3件" in page
    refused = operator.post("/orders/bulk/picking", order_no=["PSENT"])
    assert refused.status_code == 422
    assert "これから発送する商品がありません" in flat(refused)
    assert operator.get("/orders/bulk/picking").location == "/orders"


def test_a_picking_list_asks_the_same_for_many_orders(app: Flask, world: World) -> None:
    with app.app_context():
        ids = [make_order().id for _ in range(12)]
        counts: list[int] = []
        questions: Callable[[], None] = db.session.rollback
        for some in (ids[:1], ids):
            questions()
            with asked(app, "order") as statements:
                assert picking.of_orders(some).quantity == len(some)
            counts.append(len(statements))
    assert counts[0] == counts[1]


def test_the_chooser_offers_it(operator: Browser, gift: Order) -> None:
    page = flat(operator.post("/orders/bulk/selection", do="picking", order_no=[gift.order_no]))
    assert "処理内容: <b>ピッキングリスト</b>" in page
    assert 'formaction="/orders/bulk/picking"' in page
