"""会計ソフト用ファイル (`/journals`), and the names it is written with (`/settings/files/journals`)."""

from __future__ import annotations

from datetime import timedelta

import pytest
from flask import Flask

from sgpshop.domain.payment_calendar import jst_day
from sgpshop.models import Operation, Role, utc_now
from sgpshop.services import journals, settings
from tests.factories import authorized_order
from tests.forms import form_of
from tests.gateway_world import World
from tests.services.acting import press
from tests.signing_in import signed_in
from tests.web.pages import flat

PAGE, NAMES = "/journals", "/settings/files/journals"
_TODAY = jst_day(utc_now())
FIRST, LAST = _TODAY - timedelta(days=396 - 2), _TODAY + timedelta(days=2)
TODAY = f"/journals?from={FIRST}&to={LAST}"


@pytest.fixture
def captured(app: Flask, world: World) -> str:
    with app.app_context():
        return press(authorized_order(world, told=True), Operation.CAPTURE).order_no


def test_the_sums_of_a_period_and_its_file(app: Flask, captured: str) -> None:
    operator = signed_in(app, Role.OPERATOR)
    page = operator.get(TODAY)
    assert 'data-total="3000"' in page.text
    assert 'data-at-8="3000" data-at-10="0"' in page.text
    for layout in ("freee", "mf", "yayoi"):
        sent = form_of(page.text, PAGE).hidden | {"layout": layout}
        answer = operator.post(PAGE, data=sent)
        assert answer.status_code == 200
        assert (
            f"journal-{layout}-{FIRST:%Y%m%d}-{LAST:%Y%m%d}.csv"
            in answer.headers["Content-Disposition"]
        )
        text = answer.data.decode("utf-8-sig" if layout == "freee" else "cp932")
        assert f"注文 {captured}" in text


def test_the_page_adds_up_without_reading_a_row(
    app: Flask, captured: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A viewer may open it 600 times a minute, and the rows of a year are many."""
    monkeypatch.setattr(journals, "movements", None)
    assert 'data-total="3000"' in signed_in(app, Role.VIEWER).get(TODAY).text


def test_it_opens_with_the_month_before(app: Flask, world: World) -> None:
    page = flat(signed_in(app, Role.VIEWER).get(PAGE))
    assert 'data-total="0"' in page
    assert "オーナーまたは担当者が利用できます" in page


@pytest.mark.parametrize(
    ("period", "words"),
    [
        ("from=&to=", "期間の最初の日と最後の日を入力してください"),
        ("from=2026-11-31&to=2026-12-01", "期間の最初の日と最後の日を入力してください"),
        ("from=2026-12-01&to=2026-11-01", "最初の日以降にしてください"),
        ("from=2025-12-01&to=2027-01-02", "13か月以内で入力してください"),
        ("from=0001-01-01&to=9999-12-31", "2000年から2099年の間"),
    ],
)
def test_a_period_that_is_none(app: Flask, world: World, period: str, words: str) -> None:
    answer = signed_in(app, Role.OPERATOR).get(f"{PAGE}?{period}")
    assert answer.status_code == 422
    assert words in flat(answer)


def test_no_program_chosen(app: Flask, world: World) -> None:
    operator = signed_in(app, Role.OPERATOR)
    sent = form_of(operator.get(TODAY).text, PAGE).hidden | {"layout": "sage"}
    answer = operator.post(PAGE, data=sent)
    assert "会計ソフトを選んでください" in flat(answer)


def test_the_owner_enters_the_names_of_the_books(app: Flask, world: World) -> None:
    owner = signed_in(app, Role.OWNER)
    assert "会計ソフトの設定" in flat(owner.get(NAMES))
    form = form_of(owner.get(NAMES).text, NAMES)
    sent = form.hidden | {"journal_sales": "商品売上", "journal_mf_tax_8": "課税売上 (軽)8% 二種"}
    assert owner.post(NAMES, data=sent).status_code == 303
    with app.app_context():
        shop = settings.load()
        assert (shop.journal_sales, shop.journal_receivable) == ("商品売上", "売掛金")
    for value, words in (("", "空欄にはできません"), ("あ" * 13, "全角12文字")):
        answer = owner.post(NAMES, data=form.hidden | {"journal_sales": value})
        assert answer.status_code == 422
        assert words in flat(answer)


def test_somebody_else_changed_the_settings_meanwhile(app: Flask, world: World) -> None:  # P20
    owner = signed_in(app, Role.OWNER)
    opened = form_of(owner.get(NAMES).text, NAMES).hidden
    with app.app_context():
        settings.save("鈴木", journal_sales="売上")
    answer = owner.post(NAMES, data=opened | {"journal_sales": "商品売上"})
    assert answer.status_code == 409
    assert "もう一度「保存」を押してください" in flat(answer)


@pytest.mark.parametrize("role", [Role.OPERATOR, Role.VIEWER])
def test_nobody_else_may(app: Flask, world: World, role: Role) -> None:
    client = signed_in(app, role)
    assert client.get(NAMES).status_code == 403
    assert client.get("/settings/files/nothing").status_code == 403
