"""注文検索/一括処理: the list, its conditions and its hooks (R32-R38, interfaces.md §4)."""

from __future__ import annotations

import re
from datetime import timedelta
from typing import Any

import pytest
import sqlalchemy as sa
from flask import Flask
from flask.testing import FlaskClient
from markupsafe import escape

from sgpshop.domain.delivery_status import ProcessingClass
from sgpshop.domain.payment_calendar import jst_day
from sgpshop.domain.payment_status import UNPAID, PaymentStatus
from sgpshop.extensions import db
from sgpshop.models import (
    CardTransaction,
    Delivery,
    Order,
    OrderKind,
    OrderLine,
    Person,
    Role,
    utc_now,
)
from sgpshop.models.order import NOT_UNPAID
from sgpshop.services.order_search import totals
from sgpshop.services.order_search.criteria import SearchCriteria, conditions
from sgpshop.storage.database import writing
from tests.factories import days_ago, make_order
from tests.forms import token_of
from tests.signing_in import signed_in
from tests.web.pages import flat
from tests.web.test_once_a_page import asked

RESULTS = {"HX-Request": "true", "HX-Target": "results"}
S = PaymentStatus

pytestmark = pytest.mark.usefixtures("world")


@pytest.fixture
def operator(app: Flask) -> FlaskClient:
    return signed_in(app, Role.OPERATOR)


def make(app: Flask, **details: object) -> Order:
    with app.app_context():
        return make_order(**details)  # type: ignore[arg-type]


def listed(page: str) -> list[str]:
    """The order numbers of the rows, in their order."""
    return re.findall(r'<tr id="row-([^"]+)"', page)


def row(page: str, order: Order) -> str:
    """The markup of one row."""
    start = page.index(f'<tr id="row-{order.order_no}"')
    return page[start : page.index("</tr>", start)]


def finished(app: Flask, **details: object) -> Order:
    """An order that was sent and paid."""
    order = make(app, status=S.CAPTURED, **details)
    with app.app_context(), writing() as session:
        session.execute(
            sa.update(Order)
            .where(Order.id == order.id)
            .values(processing_class=ProcessingClass.DELIVERED)
        )
    return order


@pytest.mark.postgresql
def test_the_first_look_shows_what_is_unfinished_newest_first(
    app: Flask, operator: FlaskClient
) -> None:
    new, older = make(app), make(app, ordered_at=days_ago(100), status=S.CAPTURED)
    done = finished(app)
    page = flat(operator.get("/orders"))
    assert listed(page) == [new.order_no, older.order_no]  # R36: paid, still to be sent
    assert chips(page) == ["注文日時:全期間", "未完了:だけ"]
    [everything] = re.findall(r'href="([^"]+)" aria-label="未完了の条件を外す"', page)
    assert listed(flat(operator.get(everything.replace("&amp;", "&")))) == [
        done.order_no,
        new.order_no,
        older.order_no,
    ]
    shipped = flat(operator.get("/orders?shipped_uncaptured=1"))
    assert chips(shipped)[1:] == ["発送済み・売上処理待ち:だけ"]


@pytest.mark.parametrize(
    ("query", "is_chosen"),
    [
        ("status=authorized", True),
        ("status=capture_failed", True),
        ("shipped_uncaptured=1", True),
        ("status=captured", False),
        ("status=authorized&status=captured", False),
        ("", False),
    ],
)
def test_where_orders_wait_to_be_captured_the_action_is_chosen(
    app: Flask, operator: FlaskClient, query: str, is_chosen: bool
) -> None:
    make(app)
    page = flat(operator.get(f"/orders?{query}"))
    assert ('name="action" value="sgp_capture"' in page) is is_chosen
    viewer = flat(signed_in(app, Role.VIEWER).get(f"/orders?{query}"))
    assert 'name="action"' not in viewer


def test_a_row_carries_the_hooks_of_the_contract(app: Flask, operator: FlaskClient) -> None:
    order = make(app, total=12345)
    html = row(flat(operator.get("/orders")), order)
    assert f'data-order-no="{order.order_no}"' in html
    assert 'data-payment-status="authorized"' in html
    assert 'data-amount="12345"' in html
    assert re.search(r"data-status-text>.*仮売上", html)
    assert f'type="checkbox" name="order_no" value="{order.order_no}"' in html
    assert f'href="/orders/{order.order_no}"' in html  # R52
    assert "¥12,345" in html
    assert 'id="select-page"' in flat(operator.get("/orders"))  # R44


def test_tabs_show_count_and_yen_of_each_status(app: Flask, operator: FlaskClient) -> None:
    make(app, total=1000)
    make(app, total=2500)
    make(app, total=700, status=S.CAPTURE_FAILED)
    page = flat(operator.get("/orders?status=capture_failed"))
    tabs = page[page.index('id="status-tabs"') : page.index("</nav>", page.index("status-tabs"))]
    words = re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", tabs))
    assert "すべて 3件 ¥4,200" in words  # R37
    assert "仮売上 2件 ¥3,500" in words
    assert "売上失敗 1件 ¥700" in words
    assert "2件 ¥3,500 は 未売上 です" in words  # R9
    assert "決済待ち" not in words  # R26


def test_the_tab_of_what_is_captured_says_that_it_counts_only_what_is_left_to_do(
    app: Flask, operator: FlaskClient
) -> None:
    make(app, status=PaymentStatus.CAPTURED)
    finished(app)
    assert re.search("決済完了・未発送など</span>.*?1件", flat(operator.get("/orders")))
    everything = flat(operator.get("/orders?from=&to="))
    assert "未発送など" not in everything
    assert re.search("決済完了</span>.*?2件", everything)


def test_subscription_statuses_appear_when_there_is_such_an_order(
    app: Flask, operator: FlaskClient
) -> None:
    order = make(app, status=S.AWAITING_BILLING, kind=OrderKind.SUBSCRIPTION)
    page = flat(operator.get("/orders"))
    assert "決済待ち" in page
    assert "定期" in row(page, order)  # R38


def test_a_search_by_htmx_brings_results_and_conditions_only(
    app: Flask, operator: FlaskClient
) -> None:
    order = make(app)
    answer = operator.get("/orders?status=authorized", headers=RESULTS)
    assert listed(flat(answer)) == [order.order_no]
    assert "<html" not in flat(answer)
    assert re.search(r'id="conditions"[^>]*hx-swap-oob="true"', flat(answer))
    assert "HX-Request" in answer.headers["Vary"]  # S9


def test_a_history_restore_gives_the_whole_page(app: Flask, operator: FlaskClient) -> None:
    assert "<html" in flat(operator.get("/orders?status=authorized"))  # S9
    assert '"historyRestoreAsHxRequest":false' in flat(operator.get("/orders"))
    restore = {**RESULTS, "HX-History-Restore-Request": "true"}
    assert "<html" in flat(operator.get("/orders?status=authorized", headers=restore))


BAD = [
    ("from=gestern", "日付は"),
    ("to=0001-01-01", "2000年から"),
    ("from=2026-11-23&to=2026-11-01", "開始日以降"),
    ("amount_min=abc", "整数で"),
    ("amount_min=5&amount_max=4", "下限以上"),
    ("status=paid", "選択肢にない値"),
    ("kind=%00", "選択肢にない値"),
    ("auth_days_left=-1", "整数で"),
    ("waiting_hours=1e9", "整数で"),
    ("item=" + "x" * 101, "100文字以内"),
    ("kw_field[]=nowhere&kw[]=x", "選び直してください"),
    ("cursor=abc", "先頭のページ"),
]


@pytest.mark.parametrize(("query", "words"), BAD, ids=[query[:20] for query, _ in BAD])
def test_a_wrong_value_is_explained_and_the_rest_still_works(
    app: Flask, operator: FlaskClient, query: str, words: str
) -> None:
    make(app)
    answer = operator.get(f"/orders?{query}")
    assert answer.status_code in (400, 422)  # 400: a control character, refused for every page
    if answer.status_code == 422:
        assert words in flat(answer)


def test_unknown_parameters_change_nothing(app: Flask, operator: FlaskClient) -> None:
    finished(app)
    assert listed(flat(operator.get("/orders?utm_source=x"))) == []  # still the unfinished ones


def test_an_empty_result_says_why_and_offers_the_next_step(
    app: Flask, operator: FlaskClient
) -> None:
    page = flat(operator.get("/orders"))
    assert "条件に合う注文はありません" in page  # R36
    assert "発送と決済が終わった注文も含めて探す" in page
    assert "<table" not in page
    long_ago = "/orders?from=2001-01-01&to=2001-01-31"
    make(app)
    period = flat(operator.get(long_ago))
    assert "この期間にはありません。全期間では1件見つかりました → <a" in period
    dear = flat(operator.get(f"{long_ago}&amount_min=999999"))
    assert "この期間にはありません。全期間でも見つかりませんでした。" in dear
    [address] = re.findall(r'→ <a href="([^"]+)">表示する', period)
    assert len(listed(flat(operator.get(address.replace("&amp;", "&"))))) == 1


def test_pages_follow_each_other_without_repeating(app: Flask, operator: FlaskClient) -> None:
    for _ in range(45):
        make(app)
    first = flat(operator.get("/orders?size=20"))
    seen = listed(first)
    page = first
    while found := re.search(r'rel="next" href="([^"]+)"', page):
        page = flat(operator.get(found[1].replace("&amp;", "&")))
        seen += listed(page)
    assert len(seen) == len(set(seen)) == 45
    assert 'rel="prev"' in page


def test_the_number_of_queries_does_not_grow_with_the_rows(
    app: Flask, operator: FlaskClient
) -> None:
    def queries() -> int:
        with asked(app) as statements:
            operator.get("/orders")
        return len(statements)

    make(app)
    operator.get("/orders")  # sums are kept from here on
    few = queries()
    for _ in range(30):
        make(app)
    assert queries() == few <= 8


def test_names_are_text_whatever_they_hold(app: Flask, operator: FlaskClient) -> None:
    order = make(app, buyer='<b hx-get="/x">\u202e"太郎"')
    html = row(flat(operator.get("/orders")), order)
    assert "<b hx" not in html  # S7
    assert re.search(r"<bdi[^>]*>&lt;b", html)  # S25


def test_an_unsent_amount_is_red_beside_the_old_one(app: Flask, operator: FlaskClient) -> None:
    order = make(app, total=9500)
    with app.app_context(), writing() as session:
        session.execute(sa.update(CardTransaction).values(gateway_amount=10000))
    html = row(flat(operator.get("/orders")), order)
    assert '<s class="muted">¥10,000</s>' in html
    assert '<span class="is-correction">¥9,500</span>' in html
    assert "修正額が未送信" in html  # R7


@pytest.mark.parametrize(
    ("days", "words", "tone"),
    [(14, "あと14日", "soon"), (3, "あと3日", "urgent"), (-1, "期限切れ", "expired")],
)
def test_the_deadline_warns_in_time(
    app: Flask, operator: FlaskClient, days: int, words: str, tone: str
) -> None:
    order = make(app)
    with app.app_context(), writing() as session:
        expires = utc_now() + timedelta(days=days)
        session.execute(sa.update(CardTransaction).values(auth_expires_at=expires))
    html = row(flat(operator.get("/orders")), order)
    assert f'<span class="badge is-hold-{tone}">{words}</span>' in html  # R130


@pytest.mark.parametrize(
    ("hours", "words", "has_link"),
    [(0.2, None, False), (5, "5時間経過", False), (25, "1日経過", True)],
)
def test_an_order_in_review_shows_its_cause_age_and_console(
    app: Flask, operator: FlaskClient, hours: float, words: str | None, has_link: bool
) -> None:
    order = make(app, status=S.NEEDS_REVIEW, ordered_at=days_ago(hours / 24))
    html = row(flat(operator.get("/orders")), order)
    assert "購入手続き未完了" in html  # R18
    assert ("経過" in html) is (words is not None)  # R20: nothing under 30 minutes
    assert words is None or words in html
    assert ("mulpayconsole/shop/tshop00000001/login/" in html) is has_link  # R19
    assert ('rel="noopener noreferrer"' in html) is has_link  # R6


def test_several_parcels_are_counted(app: Flask, operator: FlaskClient) -> None:
    order = make(app)
    with app.app_context(), writing() as session:
        session.add(Delivery(order_id=order.id, number=1, name="鈴木"))
    assert "2か所" in row(flat(operator.get("/orders")), order)  # R29


def test_a_viewer_reads_but_has_nothing_to_press(app: Flask) -> None:
    order = make(app)
    page = flat(signed_in(app, Role.VIEWER).get("/orders"))
    assert order.order_no in page
    assert 'type="checkbox" name="order_no"' not in page  # R150
    assert "処理を実行" not in page


def test_without_a_contract_no_sgp_button_is_shown(app: Flask, operator: FlaskClient) -> None:
    from sgpshop.services import settings

    make(app)
    with app.app_context():
        settings.save("test", shop_id="")
    page = flat(operator.get("/orders"))
    assert "処理を実行" not in page  # R2
    assert "SGPの契約情報が未登録です" in page


def test_everybody_chooses_which_conditions_to_see(app: Flask, operator: FlaskClient) -> None:
    page = flat(operator.get("/orders"))
    assert 'name="order_no" value=""' in page  # R32: shown at first
    assert 'name="item"' not in page
    answer = operator.post(
        "/orders/search-fields",
        data={
            "csrf_token": token_of(page),
            "fields": ["item", "nonsense"],
            "conditions": "from=&to=",
        },
    )
    assert answer.status_code == 303
    assert answer.location == "/orders?from=&to="
    page = flat(operator.get("/orders"))
    assert 'name="item"' in page
    assert 'id="search-order_no"' not in page
    with app.app_context():
        assert db.session.scalars(sa.select(Person.search_fields)).all() == [["item"]]


def test_a_condition_in_use_is_visible_even_if_not_chosen(operator: FlaskClient) -> None:
    assert 'name="amount_min" value="500"' in flat(operator.get("/orders?amount_min=500"))


def test_every_link_of_an_unlimited_search_stays_unlimited(
    app: Flask, operator: FlaskClient
) -> None:
    order = make(app, ordered_at=days_ago(300))
    page = flat(operator.get("/orders?status=authorized"))
    [everything] = re.findall(r'href="([^"]+)"\s+data-tab=""', page)
    assert listed(flat(operator.get(everything.replace("&amp;", "&")))) == [order.order_no]


def test_simulator_orders_are_marked_as_practice(app: Flask, operator: FlaskClient) -> None:
    assert "練習モード" not in flat(operator.get("/orders"))
    app.config["GATEWAY_URL"] = "http://127.0.0.1:8001"
    assert "練習モード" in flat(operator.get("/orders"))
    app.config["GATEWAY_URL"] = "https://p01.smbc-gp.co.jp"
    assert "練習モード" not in flat(operator.get("/orders"))


def test_a_name_typed_as_a_number_is_looked_for_as_a_name(
    app: Flask, operator: FlaskClient
) -> None:
    make(app, buyer="高橋 花子")
    number = make(app, buyer="鈴木 一郎").order_no
    assert listed(flat(operator.get("/orders?order_no=鈴木&from=&to="))) == [number]


def chips(page: str) -> list[str]:
    """The conditions in force, as they stand over the list."""
    bar = page[page.index("condition-chips") : page.index("condition-details")]
    return re.findall(r"<span>(.*?)</span>", re.sub(r"</?bdi>", "", bar))


def test_a_row_says_who_what_and_where_it_goes(app: Flask, operator: FlaskClient) -> None:
    order = make(app, buyer="高橋 花子")
    with app.app_context(), writing() as session:
        session.add(OrderLine(order_id=order.id, position=2, name="急須", unit_price=0, quantity=1))
        parcel = session.scalars(sa.select(Delivery).where(Delivery.order_id == order.id)).one()
        parcel.name, parcel.slip_no = "鈴木 一郎", "4000-0000-0000"
    shown = re.sub(r"<[^>]+>", "", row(flat(operator.get("/orders")), order))
    assert "高橋 花子" in shown
    assert "煎茶 他1点" in shown
    assert "未処理・ギフト 4000-0000-0000" in shown


def test_each_condition_in_force_can_be_taken_away(app: Flask, operator: FlaskClient) -> None:
    make(app)
    page = flat(operator.get("/orders?from=&to=&item=急須&has_slip=1&amount_min=3000&unsent=1"))
    assert chips(page) == [
        "注文日時:全期間",
        "合計金額:¥3,000〜",
        "商品名・商品コード:急須",
        "伝票番号:あり",
        "修正額が未送信:だけ",
    ]
    [without] = re.findall(r'href="([^"]+)" aria-label="商品名・商品コードの条件を外す"', page)
    assert "商品名・商品コード:急須" not in chips(flat(operator.get(without.replace("&amp;", "&"))))


def test_one_order_is_found_among_finished_ones_unless_a_period_was_chosen(
    app: Flask, operator: FlaskClient
) -> None:
    old = finished(app, ordered_at=days_ago(100))
    first = flat(operator.get("/orders"))
    assert 'name="unfinished" value="auto" checked' in first
    asked = f"/orders?from=&to=&unfinished=auto&order_no={old.order_no}"
    assert listed(flat(operator.get(asked))) == [old.order_no]
    today = jst_day(utc_now())
    by_hand = f"/orders?from={today}&to={today}&order_no={old.order_no}"
    assert listed(flat(operator.get(by_hand))) == []
    chosen = f"/orders?unfinished=1&order_no={old.order_no}"
    assert listed(flat(operator.get(chosen))) == []


def test_the_first_page_leads_to_a_list_with_all_of_them_chosen(
    app: Flask, operator: FlaskClient
) -> None:
    orders = [make(app, total=1500), make(app, total=500)]
    with app.app_context(), writing() as session:
        session.execute(sa.update(Order).values(processing_class=ProcessingClass.DELIVERED))
    [way] = set(re.findall(r'href="(/orders\?[^"]*choose_all[^"]*)"', flat(operator.get("/"))))
    page = flat(operator.get(way.replace("&amp;", "&")))
    assert sorted(listed(page)) == sorted(order.order_no for order in orders)
    assert "2件を選択" in page
    assert "¥2,000" in page
    assert 'data-all-hits="true"' in page
    assert re.search(r'id="run-bulk"[^>]*disabled', page) is None
    viewer = flat(signed_in(app, Role.VIEWER).get(way.replace("&amp;", "&")))
    assert "件を選択" not in viewer


@pytest.mark.postgresql
def test_the_unfinished_are_found_by_their_own_index_and_added_up_by_another(app: Flask) -> None:
    with app.app_context():
        wanted = conditions(SearchCriteria(unfinished=True), utc_now())
        statement = sa.select(Order.id).where(*wanted).order_by(Order.ordered_at, Order.id)
        assert "ix_orders_unfinished" in plan_of(statement)
        sums_of_what_is_paid = totals._parts(SearchCriteria(unfinished=True), utc_now(), 0)[1]
        assert "ix_orders_paid_unfinished" in plan_of(sums_of_what_is_paid)


def plan_of(statement: sa.Select[Any]) -> str:
    """How the database would go about it, if it could neither read nor sort all orders."""
    words = statement.compile(db.engine, compile_kwargs={"literal_binds": True})
    ask = "EXPLAIN QUERY PLAN "
    if db.engine.dialect.name == "postgresql":
        ask = "EXPLAIN "
        for way in ("seqscan", "sort"):
            db.session.execute(sa.text(f"SET LOCAL enable_{way} = off"))
    return str(db.session.execute(sa.text(ask + str(words))).all())


def test_what_is_not_unpaid_is_written_as_the_statuses_are() -> None:
    assert set(re.findall(r"'(\w+)'", NOT_UNPAID.text)) == UNPAID


def test_a_row_shows_what_others_wrote_as_text(app: Flask, operator: FlaskClient) -> None:
    bad = "<b a='1' b=\"2\">&amp;"
    order = make(app, buyer=f"{bad}買", method=f"{bad}代引")
    with app.app_context(), writing() as session:
        session.execute(sa.update(OrderLine).values(name=f"{bad}品"))
        session.execute(sa.update(Delivery).values(name=f"{bad}届", slip_no=f"{bad}1"))
    shown = row(operator.get("/orders").text, order)
    assert "<b" not in shown.replace("<bdi", "")
    for what in (f"{bad}買", f"{bad}代引", f"{bad}品", f"{bad}届", f"{bad}1"):
        assert str(escape(what)) in shown
