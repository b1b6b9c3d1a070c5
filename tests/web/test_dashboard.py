"""The first page: what needs somebody today, each figure a link to exactly these orders (R155)."""

from __future__ import annotations

import re
from datetime import timedelta

import pytest
import sqlalchemy as sa
from flask import Flask
from flask.testing import FlaskClient

from sgpshop.domain.delivery_status import ProcessingClass
from sgpshop.domain.payment_status import PaymentStatus
from sgpshop.domain.reconciliation import AlertKind
from sgpshop.extensions import db
from sgpshop.models import (
    Alert,
    CardTransaction,
    DailyJob,
    Operation,
    OrderKind,
    Queue,
    Role,
    Setback,
    utc_now,
)
from sgpshop.services import settings
from sgpshop.services.bulk import runs
from sgpshop.services.installation.health import due_work
from sgpshop.services.orders import alerts, money_movements
from sgpshop.storage.database import writing
from tests.factories import authorized_order, days_ago, make_order
from tests.forms import token_of
from tests.gateway_world import World
from tests.services.acting import press
from tests.signing_in import make_person, signed_in
from tests.web.pages import flat

S = PaymentStatus


@pytest.fixture
def viewer(app: Flask, world: World) -> FlaskClient:
    return signed_in(app, Role.VIEWER)


def lines(page: str) -> dict[str, tuple[int, str, str]]:
    """Words -> count, yen, address of each line of 「いま対応が必要」, in its order."""
    return {
        words: (int(count.replace(",", "")), yen, address.replace("&amp;", "&"))
        for address, words, count, yen in re.findall(
            r'class="work-name" href="([^"]+)">([^<]+)</a>.*?<b>([\d,]+)</b>.*?(¥[\d,]+)',
            page,
            re.S,
        )
    }


def test_each_line_counts_its_orders_and_links_to_them(app: Flask, viewer: FlaskClient) -> None:
    with app.app_context():
        make_order(total=1000, ordered_at=days_ago(50))
        soon = make_order(total=200)
        make_order(total=30, status=S.CAPTURE_FAILED, processing_class=ProcessingClass.DELIVERED)
        told = make_order(total=4, status=S.NEEDS_REVIEW)
        make_order(total=5, status=S.NEEDS_REVIEW, ordered_at=days_ago(2))
        make_order(total=600, gateway_amount=500, status=S.CAPTURE_FAILED)
        sent = {"processing_class": ProcessingClass.DELIVERED, "kind": OrderKind.SUBSCRIPTION}
        make_order(total=100, status=S.CAPTURE_FAILED, **sent)  # registered again, never captured
        make_order(total=900, status=S.CAPTURED, processing_class=ProcessingClass.DELIVERED)
        back = {"processing_class": ProcessingClass.RETURNED, "cancel_waived_at": utc_now()}
        make_order(total=70, status=S.CAPTURE_FAILED, kind=OrderKind.PREORDER, **back)
        back = {"status": S.CAPTURED, "processing_class": ProcessingClass.RETURNED}
        make_order(total=7000, **back)
        make_order(total=80, cancel_waived_at=utc_now(), **back)  # R90a: 返金しない
        with writing() as session:
            session.add(Alert(order_id=told.id, kind=AlertKind.HOLD_MISSING, facts="…"))
            session.execute(
                sa.update(CardTransaction)
                .where(CardTransaction.order_id == soon.id)
                .values(auth_expires_at=utc_now() + timedelta(days=14))
            )
    page = flat(viewer.get("/"))
    found = lines(page)
    assert {words: line[:2] for words, line in found.items()} == {
        "期限が近い・切れた": (1, "¥200"),
        "売上失敗": (4, "¥800"),
        "要確認": (2, "¥9"),
        "修正額が未送信": (1, "¥600"),
        "発送済み・売上処理待ち": (2, "¥100"),
        "返送済み・返金未対応": (1, "¥7,000"),
        "SMBC-GPとの食い違い": (1, "¥4"),
    }
    # What may be lost comes first, and the most of it.
    assert "うち24時間超 1件" in page
    # Whoever may not capture is led to the list alone.
    assert "2件を売上処理" not in page
    assert "2件を売上処理" in flat(signed_in(app, Role.OPERATOR, name="担当").get("/"))
    assert list(found)[:3] == ["返送済み・返金未対応", "売上失敗", "期限が近い・切れた"]
    assert ">¥1,200</a>" in page  # 未回収
    assert "問題なし" not in page or "売上失敗" not in page[page.index("問題なし") :][:80]
    for count, _yen, address in found.values():
        assert flat(viewer.get(address)).count("<tr id=") == count


def table(page: str, name: str) -> dict[str, str]:
    """What a picture shows, as its table says it to readers."""
    rows = page[page.index(f'hidden">{name}</caption>') :]
    rows = rows[: rows.index("</table>")]
    return dict(
        re.findall(r'<th scope="row"><a href="[^"]+">([^<]+)</a></th> <td[^>]*>([^<]+)<', rows)
    )


def test_the_pictures_show_what_was_captured_what_ends_and_why_it_failed(
    app: Flask, viewer: FlaskClient
) -> None:
    now = utc_now()
    with app.app_context():
        for yen, days in ((500, 0), (70, 0), (3000, 3), (9, 40)):
            paid = make_order(total=yen, status=S.CAPTURED, gateway_state="CAPTURE")
            with writing():
                money_movements.book(
                    paid.id, paid.transaction.id, 0, yen, now - timedelta(days=days)
                )
        for days in (-2, 1, 60):
            change(make_order().id, auth_expires_at=now + timedelta(days=days))
    page = flat(viewer.get("/"))
    by_day = table(page, "日ごとの実売上")
    assert list(by_day.values())[-4:] == ["¥3,000", "¥0", "¥0", "¥570"]
    assert sum(value != "¥0" for value in by_day.values()) == 2  # 40 days ago is no more drawn
    holds = table(page, "オーソリ期限までの日数と仮売上の件数")
    assert (holds["切れ"], holds["3日内"], holds["31日以上"]) == ("1件", "1件", "1件")
    assert "売上失敗の理由" not in page
    assert '<span class="work-why">切れた 1件・3日以内 1件 ' in page
    assert len(by_day) == 14
    longer = table(flat(viewer.get("/?days=30")), "日ごとの実売上")
    assert list(longer.values())[-14:] == list(by_day.values())
    assert len(longer) == 30
    [today] = re.findall(r'<a href="([^"]+)"> <title>[^<]* ¥570</title>', page)
    assert flat(viewer.get(today.replace("&amp;", "&"))).count("<tr id=") == 2


def test_what_has_no_problem_is_named_with_the_last_comparison(
    app: Flask, viewer: FlaskClient
) -> None:
    assert "問題なし:" in flat(viewer.get("/"))
    assert "最終照合" not in flat(viewer.get("/"))  # there was none yet
    with app.app_context(), writing() as session:
        session.add(DailyJob(name=alerts.COMPARE, day=utc_now().date(), finished_at=utc_now()))
    assert "、修正額が未送信、要確認" in flat(viewer.get("/"))
    assert "(SMBC-GPとの最終照合 <time" in flat(viewer.get("/"))


def test_the_reasons_of_failures_are_told_in_few_words(
    app: Flask, world: World, viewer: FlaskClient
) -> None:
    with app.app_context():
        orders = [authorized_order(world) for _ in range(6)]
        for error, times in (("42G550000", 3), ("42G020000", 2), ("42G830000", 1)):
            world.fault(f"error:{error}", "AlterTran", times=times)
            for order in [orders.pop() for _ in range(times)]:
                press(order, Operation.CAPTURE)
    page = flat(viewer.get("/"))
    found = table(page, "売上失敗の理由と件数")
    assert found == {"限度額超過": "3件", "残高不足": "2件", "カードの有効期限切れ": "1件"}
    told = flat(viewer.get(lines(page)["売上失敗"][2]))  # 理由を見る: each beside its order
    assert told.count('<span class="muted">限度額超過</span>') == 3
    assert told.count('<span class="muted">残高不足</span>') == 2
    assert '<span class="work-why">限度額超過 3・残高不足 2・ほか 1</span>' in page


def change(order_id: int, **values: object) -> None:
    """Let the order's transaction be so."""
    with writing() as session:
        session.execute(
            sa.update(CardTransaction).where(CardTransaction.order_id == order_id).values(**values)
        )


def test_it_says_that_an_authorization_brings_no_money(viewer: FlaskClient) -> None:
    assert "仮売上のままではSGPから入金されません" in flat(viewer.get("/"))  # R9


def test_the_first_day_ticks_itself_off(app: Flask, world: World) -> None:
    owner = signed_in(app, Role.OWNER)

    def steps() -> list[str]:
        return re.findall(r'<li data-done="(true|false)">', owner.get("/").text)

    with app.app_context():
        settings.save("test", shop_id="")
    page = owner.get("/").text
    assert steps() == ["false"] * 3
    assert 'href="/settings/sgp"' in page
    assert 'href="/orders/imports"' in page
    with app.app_context():
        settings.save("test", shop_id="tshop00000001")
    assert steps() == ["true", "false", "false"]
    with app.app_context():
        order = authorized_order(world, told=True)
    assert steps() == ["true", "true", "false"]
    assert "購入者のカードに請求されます" in owner.get("/").text
    app.config["GATEWAY_URL"] = "http://127.0.0.1:8001"
    assert "練習で1件、売上処理する" in owner.get("/").text
    app.config["GATEWAY_URL"] = "https://p01.smbc-gp.co.jp"
    with app.app_context():
        press(order, Operation.CAPTURE)
    assert steps() == []
    assert "はじめての日" not in owner.get("/").text


def test_the_tab_says_how_much_is_to_do(app: Flask, viewer: FlaskClient) -> None:
    def title() -> str:
        return viewer.get("/").text.partition("<title>")[2].partition("</title>")[0].strip()

    assert title() == "ホーム | SGP Shop"
    with app.app_context():
        make_order(status=S.CAPTURE_FAILED)
        make_order(
            status=S.NEEDS_REVIEW, ordered_at=days_ago(2), told=True
        )  # in two lines, yet one order
    assert title() == "(2) ホーム | SGP Shop"


def test_a_shop_without_contract_is_told_so(app: Flask, viewer: FlaskClient) -> None:
    assert "SGPの契約情報が未登録です" not in flat(viewer.get("/"))
    with app.app_context():
        settings.save("test", shop_id="")
    assert "SGPの契約情報が未登録です" in flat(viewer.get("/"))  # R2


@pytest.mark.parametrize("path", ["/", "/orders"])
def test_only_an_owner_is_led_to_the_settings(app: Flask, viewer: FlaskClient, path: str) -> None:
    with app.app_context():
        settings.save("test", shop_id="")
    page, owners_page = flat(viewer.get(path)), flat(signed_in(app, Role.OWNER).get(path))
    link = '<a href="/settings/sgp">設定画面で登録してください'
    assert "オーナーに依頼してください" in page  # R150
    assert link not in page
    assert link in owners_page


def test_running_bulk_runs_are_linked(app: Flask, world: World, viewer: FlaskClient) -> None:
    with app.app_context():
        person = make_person("田中")
        order = authorized_order(world)
        other = make_order(method="銀行振込")
        chosen = [order.id, other.id]
        run_id = runs.prepare(chosen, "sgp_capture", person_id=person.id, actor="田中")
        runs.start(run_id, person_id=person.id)
    page = flat(viewer.get("/"))
    assert f'href="/orders/bulk/{run_id}"' in page
    assert "SGPカード決済 2件" in page
    assert "処理中 1・成功 0・対象外 1" in page


def test_work_that_does_not_go_through_is_told_and_tried_again(app: Flask, world: World) -> None:
    with app.app_context():
        order = authorized_order(world)
        transaction = order.transaction
        assert transaction is not None
        with writing() as session:
            transaction = session.get_one(CardTransaction, transaction.id)
            transaction.next_look_at = utc_now()
            session.add(
                Setback(
                    queue=Queue.LOOK_UP,
                    row_id=transaction.id,
                    times=4,
                    next_try_at=utc_now() + timedelta(days=1),
                    is_set_aside=True,
                    error="OwnFault",
                )
            )
    operator = signed_in(app, Role.OPERATOR)
    shown = operator.get("/")
    page = flat(shown)
    assert "何度試しても途中で止まる処理が1件あります" in page  # the bar of every page
    assert "SMBC-GPでの確認" in page
    assert order.order_no in page
    pressed = {"csrf_token": token_of(shown)}
    answer = operator.post("/set-aside/try-again", data=pressed, follow_redirects=True)
    assert "止まっている処理1件を、もう一度試します。" in flat(answer)
    with app.app_context():
        assert due_work.due_work(10).links == [transaction.id]


def test_all_sums_are_one_query(app: Flask, viewer: FlaskClient) -> None:
    with app.app_context():
        make_order(status=S.NEEDS_REVIEW)
        engine = db.engine
    found: list[str] = []
    listen = lambda *arguments: found.append(str(arguments[2]))  # noqa: E731 - to listen and to stop
    sa.event.listen(engine, "before_cursor_execute", listen)
    assert viewer.get("/").status_code == 200
    sa.event.remove(engine, "before_cursor_execute", listen)
    assert sum("max(history.id)" in statement for statement in found) == 1
    # those by status, and those of the other questions of the page
    assert sum("UNION ALL" in one and "sum(orders.total)" in one for one in found) == 2
    assert not [one for one in found if one.startswith("SELECT orders.payment_status, count(*)")]


def test_its_long_statement_is_made_once(app: Flask, viewer: FlaskClient) -> None:
    """Putting it together takes longer than asking it."""
    with app.app_context():
        engine = db.engine
    asked: list[object] = []
    listen = lambda *arguments: asked.append(arguments[1])  # noqa: E731 - to listen and to stop
    sa.event.listen(engine, "before_execute", listen)
    for _ in range(2):
        assert viewer.get("/").status_code == 200
    sa.event.remove(engine, "before_execute", listen)
    first, second = (
        one for one in asked if isinstance(one, sa.Select) and len(one.selected_columns) > 30
    )
    assert first is second


def test_the_frame_bears_the_name_of_the_shop(app: Flask, viewer: FlaskClient) -> None:
    assert ">SGP Shop</a>" in viewer.get("/").text
    with app.app_context():
        settings.save("店長", shop_name="お茶と季節の和菓子の見本堂")
    assert 'title="お茶と季節の和菓子の見本堂">お茶と季節の和菓…</a>' in viewer.get("/").text
    assert "見本堂" not in app.test_client().get("/login").text
