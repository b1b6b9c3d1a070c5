"""ヘルプ explains every status, reason and badge, under the anchors other pages link to."""

from __future__ import annotations

import re

import pytest
from flask import Flask
from flask.testing import FlaskClient

from sgpshop.domain.billing_calendar import month_of, previous_month
from sgpshop.domain.order_rules import Refusal, ReviewCause
from sgpshop.domain.payment_status import PaymentStatus
from sgpshop.models import Role, utc_now
from tests.gateway_world import World
from tests.signing_in import signed_in
from tests.web.pages import flat


@pytest.fixture
def viewer(app: Flask, world: World) -> FlaskClient:
    return signed_in(app, Role.VIEWER)


@pytest.fixture
def page(viewer: FlaskClient) -> str:
    return flat(viewer.get("/help"))


@pytest.mark.parametrize("status", list(PaymentStatus))
def test_every_status_has_its_words(page: str, status: PaymentStatus) -> None:
    assert f'<dt id="{status.value}">' in page
    assert status.label in page


@pytest.mark.parametrize("cause", list(ReviewCause))
def test_every_cause_of_a_review_has_its_anchor(page: str, cause: ReviewCause) -> None:
    assert f'<dt id="{cause.name.lower()}">' in page  # the badge links there (R18)


@pytest.mark.parametrize("refusal", list(Refusal))
def test_every_reason_to_be_left_out_is_explained(page: str, refusal: Refusal) -> None:
    assert f"対象外:{refusal.label}" in page
    assert refusal.sentence in page  # R42


def test_the_parcel_acts_and_their_badge_are_explained(page: str) -> None:
    for anchor in ("deliver", "return", "status-change", "waive-cancel", "returned_open"):
        assert f'<dt id="{anchor}"' in page
    assert "SMBC-GPの決済は取り消されません" in page  # R90


def test_the_console_links_carry_the_ids_of_the_contract(page: str) -> None:
    assert "/mulpayconsole/shop/tshop00000001/login/" in page  # R4
    assert "/mulpayconsole/site/tsite00000001/login/" in page  # R3


def test_every_link_within_the_page_leads_somewhere(page: str) -> None:
    targets = set(re.findall(r'id="([^"]+)"', page))
    assert set(re.findall(r'href="#([^"]+)"', page)) <= targets


def test_the_files_that_can_be_used_come_from_the_layouts(page: str) -> None:
    for program in ("GMO MakeShop 注文データ", "楽天RMS 受注CSV", "Shopify 注文のエクスポート"):
        assert program in page
    assert "金額がないため、注文として取り込めません" in page  # Amazon


def found(viewer: FlaskClient, word: str) -> list[str]:
    """Headings that searching help for `word` shows, with their addresses."""
    page = viewer.get("/help", query_string={"q": word}).text
    return [
        f"{address} {heading}"
        for address, heading in re.findall(r'<h3><a href="([^"]+)">([^<]+)</a></h3>', page)
    ]


def test_help_is_searched_however_a_word_is_written(viewer: FlaskClient) -> None:
    assert found(viewer, "オーソリ期間延長")[0] == "/help#extend ボタン › オーソリ期間延長"
    assert found(viewer, "おーそり") == found(viewer, "オーソリ") == found(viewer, "オーソリ") != []
    assert any(one.startswith("/help/close-month#sums") for one in found(viewer, "未回収"))
    assert found(viewer, "払い戻し 取り消し") == [
        "/help#cancel ボタン › 注文キャンセル"
    ]  # other words for it
    assert found(viewer, "返品")[:2] == [
        "/help/close-month#returned 2. 返ってきた商品のお金を決める",
        "/help#cancel ボタン › 注文キャンセル",
    ]


def test_what_help_does_not_know_is_said(viewer: FlaskClient) -> None:
    page = flat(viewer.get("/help?q=%3Cb%3Ezzz"))
    assert "「<bdi>&lt;b&gt;zzz</bdi>」の説明 0件" in page
    assert "見つかりませんでした" in page
    assert found(viewer, "") == found(viewer, "  ") == []


@pytest.mark.parametrize(
    ("screen", "words"),
    [
        (
            "/",
            "いま対応が必要 SMBC-GPとの食い違い 要確認 返送済み・返金未対応 発送済み・売上処理待ち",
        ),
        ("/sales?month=2026-10", "実売上 返金 差引 未回収 うち8%対象 うち10%対象"),
        ("/sales?month=2026-10", "会計ソフト用ファイル のファイルの合計 CSV Excel"),
        ("/orders/reconcile", "照合する"),
        ("/settings/sgp", "会計ソフト"),
    ],
)
def test_what_closing_a_month_names_is_there_to_be_pressed(
    app: Flask, world: World, screen: str, words: str
) -> None:
    owner = signed_in(app, Role.OWNER)
    steps, page = flat(owner.get("/help/close-month")), flat(owner.get(screen))
    for one in words.split():
        assert one in steps
        assert one in page


def test_closing_a_month_is_about_the_month_before_this_one(app: Flask, world: World) -> None:
    before = previous_month(month_of(utc_now()))
    owner = signed_in(app, Role.OWNER)
    steps = owner.get("/help/close-month").text
    links = set(re.findall(r'href="(/[^"#]*)"', steps))
    assert f"/sales?month={before:%Y-%m}" in links
    assert {owner.get(link).status_code for link in links if "static" not in link} == {200}
    assert 'href="/help/close-month"' in owner.get("/help").text


@pytest.mark.parametrize(
    ("typed", "wanted"),
    [
        ("月次の締め", "/help/close-month#"),
        ("売上を締める方法", "/help/close-month#"),
        ("月末処理はどうするのですか", "/help/close-month#"),
        ("返金のしかた", "/help#refund-difference"),
        ("カードが断られたとき", "/help#errors"),
        ("SMBC-GPと金額が合わない", "/help/close-month#compare"),
        ("スマートフォンの機種変更をしたい", "/help#second-factor"),
    ],
)
def test_a_question_is_found_by_its_words(viewer: FlaskClient, typed: str, wanted: str) -> None:
    assert any(one.startswith(wanted) for one in found(viewer, typed)[:5])


def test_files_of_one_program_that_are_told_alike_are_told_once(viewer: FlaskClient) -> None:
    assert flat(viewer.get("/help")).count("<dt>GMO MakeShop") == 1
