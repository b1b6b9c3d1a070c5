"""注文を探す: from one word to one order, or to the list of all that hold it (R35b)."""

from __future__ import annotations

import re

import pytest
from flask import Flask
from flask.testing import FlaskClient

from sgpshop.models import Role
from sgpshop.services.order_search import texts, totals
from tests.factories import days_ago, make_order
from tests.services.order_search.test_order_search import change_parcel
from tests.signing_in import signed_in
from tests.web.pages import flat

pytestmark = pytest.mark.usefixtures("world")


@pytest.fixture
def viewer(app: Flask) -> FlaskClient:
    return signed_in(app, Role.VIEWER)


def listed(page: str) -> list[str]:
    return re.findall(r'<tr id="row-([^"]+)"', page)


def test_one_hit_is_opened_and_several_are_listed(app: Flask, viewer: FlaskClient) -> None:
    with app.app_context():
        old = make_order(order_no="#A1001", buyer="渡邉 恵", status=None, method="銀行振込")
        others = [make_order(), make_order()]
        texts.renew()
    assert viewer.get("/find?q=渡辺").location == "/orders/%23A1001"
    assert viewer.get("/find?q=a1001").location == "/orders/%23A1001"
    answer = viewer.get("/find?q=  佐藤　花子 ", follow_redirects=True)
    assert answer.request.args["q"] == "佐藤 花子"
    page = flat(answer)
    assert listed(page) == [order.order_no for order in reversed(others)]
    assert 'value="佐藤 花子"' in page
    assert "<span>検索:<bdi>佐藤 花子</bdi></span>" in page
    assert "<span>2件</span>中 2件を表示" in page
    assert old.order_no not in page


def test_a_callers_order_is_opened_by_whatever_they_say(app: Flask, viewer: FlaskClient) -> None:
    with app.app_context():
        make_order()
        caller = make_order(
            buyer="髙﨑 邉子",
            buyer_kana="タカサキ クニコ",
            buyer_tel="090-1234-5678",
            tel_search="09012345678",
            buyer_email="kuniko@example.com",
            ordered_at=days_ago(100),
        )
        change_parcel(caller, slip_no="440012345678")
        texts.renew()
    number = caller.order_no
    said = [
        "高崎",
        "たかさき",
        "09012345678",
        "5678",
        number,
        number[-4:],
        "4400-1234-5678",
        "kuniko@",
    ]
    for words in said:
        answer = viewer.get("/find", query_string={"q": words})
        assert (words, answer.location) == (words, f"/orders/{number}")


@pytest.mark.parametrize(
    "typed", ["", "   ", "-", "い", "%", "x" * 5000, "\u202e", "'\"<b>", "どこにも"]
)
def test_nothing_typed_is_refused(app: Flask, viewer: FlaskClient, typed: str) -> None:
    with app.app_context():
        make_order()
        texts.renew()
    answer = viewer.get("/find", query_string={"q": typed}, follow_redirects=True)
    assert answer.status_code == 200


def test_a_word_stays_when_a_tab_is_pressed_or_a_condition_is_added(
    app: Flask, viewer: FlaskClient
) -> None:
    with app.app_context():
        make_order()
    page = flat(viewer.get("/orders?q=佐藤"))
    tab = re.search(r'href="([^"]+)"\s+data-tab="authorized"', page)
    assert tab is not None
    assert "q=%E4%BD%90%E8%97%A4" in tab.group(1)
    assert '<input type="hidden" name="q" value="佐藤">' in page


def test_very_many_hits_are_not_counted_before_they_are_shown(
    app: Flask, viewer: FlaskClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(totals, "MOST_COUNTED", 3)
    with app.app_context():
        for _ in range(21):
            make_order()
    page = flat(viewer.get("/orders?q=佐藤&size=20"))
    assert "<span>3件以上</span>中 20件を表示" in page
    assert "<b>3件以上</b>" in page
    assert "未売上" not in page.split('id="bulk"')[0].split('id="status-tabs"')[1]
    chosen = flat(viewer.get("/orders?q=佐藤&status=captured"))
    assert "<b>0件</b>" not in chosen
    # What stands on one page is counted there.
    assert "<span>21件</span>中 21件を表示" in flat(viewer.get("/orders?q=佐藤&size=40"))


def test_it_says_that_the_index_is_being_made(
    app: Flask, viewer: FlaskClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(texts, "_FEW", 1)
    with app.app_context():
        for _ in range(2):
            make_order()
    words = "検索の準備をしています(0%)"
    page = flat(viewer.get("/orders?q=佐藤"))
    assert words in page
    assert len(listed(page)) == 2
    assert words not in flat(viewer.get("/orders"))
