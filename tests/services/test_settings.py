"""The shop's settings: one rule a name, whoever sets it; what changed is kept (rules.md §10, R86)."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import fields
from typing import Any

import pytest
import sqlalchemy as sa
from flask import Flask

from sgpshop.extensions import db
from sgpshop.models import Activity, Setting
from sgpshop.services import settings
from sgpshop.services.settings import ShopSettings, guide_html, logo, rules
from sgpshop.services.settings.rules import RULES, SECRETS, SettingRefused
from sgpshop.storage.database import writing
from tests.waiting import is_anybody_locked_out

# The rules, without a database


def test_every_setting_has_a_name_and_a_rule() -> None:
    kept = {field.name.removesuffix("_sealed") for field in fields(ShopSettings)}
    assert set(RULES) == kept
    assert all(rule.label for rule in RULES.values())


def test_the_defaults_obey_the_rules() -> None:
    for field in fields(ShopSettings):
        if not field.name.endswith("_sealed"):
            assert rules.read(field.name, field.default) == field.default  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("name", "given", "kept"),
    [
        ("billing_day", "10", 10),
        ("billing_day", 1, 1),
        ("bulk_max", "5,000", 5000),
        ("auth_valid_days", "90 ", 90),
        ("enabled", "True", True),
        ("enabled", False, False),
        ("title", "あ" * 15, "あ" * 15),
        ("title", "a" * 30, "a" * 30),
        ("title", " カード決済 ", "カード決済"),
        ("guide", "あ" * 6000, "あ" * 6000),
        ("guide", "1行目\r\n2行目", "1行目\n2行目"),
        ("sales_mode", "immediate", "immediate"),
        ("invoice_number", "t1234567890123", "T1234567890123"),
        ("invoice_number", "", ""),
        ("shop_tel", "03-1234-5678", "03-1234-5678"),
        ("shop_tel", "+81 (3) 1234 5678", "+81 (3) 1234 5678"),
        ("shop_tel", "", ""),
        ("shop_name", "お茶の見本堂", "お茶の見本堂"),
    ],
)
def test_what_a_setting_may_be(name: str, given: Any, kept: Any) -> None:
    assert rules.read(name, given) == kept


@pytest.mark.parametrize(
    ("name", "given"),
    [
        ("billing_day", 0),
        ("billing_day", 11),
        ("billing_day", "十日"),
        ("billing_day", True),
        ("auth_valid_days", 91),
        ("bulk_max", 5001),
        ("cancel_lock_minutes", -1),
        ("enabled", "はい"),
        ("title", "あ" * 16),
        ("title", "あ" * 15 + "a"),
        ("title", "一行\n二行"),
        ("title", "見え\u200bない"),
        ("guide", "a" * 12_001),
        ("guide", "&" * 12_000),  # what is kept is longer: &amp;
        ("guide", "ベル\a"),
        ("sales_mode", "later"),
        ("sales_mode", ""),
        ("on_capture_failure", "both"),
        ("billing_mode", "x"),
        ("billing_driver", "x"),
        ("tax_rounding", "x"),
        ("invoice_number", "1234567890123"),
        ("invoice_number", "T123456789012"),
        ("invoice_number", "T12345678901234"),
        ("shop_tel", "電話"),
        ("shop_tel", "03-1234"),
        ("shop_tel", "1" * 16),
        ("shop_name", "あ" * 61),
        ("shop_address", "あ" * 151),
        ("shop_id", "tshop-1"),  # R6
        ("site_id", "t" * 14),
        ("shop_pass", "パスワード"),
        ("site_pass", "x" * 65),
        ("shop_pass_sealed", "x"),
        ("no_such_setting", "x"),
    ],
)
def test_what_a_setting_may_not_be(name: str, given: Any) -> None:
    with pytest.raises(SettingRefused) as refused:
        rules.read(name, given)
    assert refused.value.field == name
    assert refused.value.message.endswith("。")


# 案内文: HTML that cannot do anything (§10, S7)


@pytest.mark.parametrize(
    ("typed", "kept"),
    [
        ("<b>太字</b>と<br>改行", "<b>太字</b>と<br>改行"),
        ('<a href="https://example.jp/">案内</a>', '<a href="https://example.jp/">案内</a>'),
        ('<a href="javascript:alert(1)">案内</a>', "<a>案内</a>"),
        ('<p onclick="alert(1)" style="x" class="top-bar" id="content">文</p>', "<p>文</p>"),
        ("<script>alert(1)</script>文", "文"),
        ("<style>body{display:none}</style>文", "文"),
        ('<img src="https://evil.example/x.png" onerror="alert(1)">文', "文"),
        ('<form action="/logout"><button hx-post="/x">押す</button></form>', "押す"),
        ("<iframe src=x></iframe>文", "文"),
        (
            "<table><tr><td colspan=2>文",
            '<table><tbody><tr><td colspan="2">文</td></tr></tbody></table>',
        ),
        ("</div></main>文", "文"),
        ("3 < 5 & 7", "3 &lt; 5 &amp; 7"),
        ("<!-- 注 -->文", "文"),
    ],
)
def test_the_guide_keeps_text_and_its_form_only(typed: str, kept: str) -> None:
    cleaned = guide_html.clean(typed)
    assert cleaned == kept
    assert guide_html.clean(cleaned) == cleaned  # saving again changes nothing


def test_a_guide_that_is_too_long_is_not_even_cleaned(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nested lists of 500 kB would take a minute, and answer nobody meanwhile."""
    cleaned: list[str] = []
    monkeypatch.setattr(guide_html, "clean", lambda html: cleaned.append(html) or html)
    with pytest.raises(SettingRefused):
        rules.read("guide", "<ul><li>" * 2_000)
    assert not cleaned


def test_links_of_the_guide_say_nothing_of_where_from() -> None:
    assert 'rel="noopener noreferrer"' in guide_html.shown('<a href="https://example.jp/">x</a>')


def test_the_guide_is_cleaned_in_any_thread() -> None:
    found: list[str] = []
    thread = threading.Thread(target=lambda: found.append(guide_html.clean("<b>x</b>")))
    thread.start()
    thread.join()
    assert found == ["<b>x</b>"]


# Saving


@pytest.fixture
def context(app: Flask) -> Any:
    with app.app_context():
        yield


@pytest.mark.postgresql
@pytest.mark.usefixtures("context")
def test_what_was_saved_is_loaded() -> None:
    wanted = {
        "enabled": True,
        "sales_mode": "immediate",
        "guide": "<b>x</b>",
        "billing_day": 8,
        "invoice_number": "T1234567890123",
        "shop_tel": "",
    }
    settings.save("店長", **wanted)  # type: ignore[arg-type]
    now = settings.load()
    assert {name: getattr(now, name) for name in wanted} == wanted


@pytest.mark.postgresql
@pytest.mark.parametrize("database_kind", ["postgresql"])  # SQLite has one writer anyway
@pytest.mark.usefixtures("context")
class TestTwoAtOnce:
    """The second waits for the first, and rests on what that one left."""

    @contextmanager
    def second(self, app: Flask, save: Callable[[], object]) -> Iterator[None]:
        """Somebody else saves now, waits at the latest for us, and is done after the block."""
        failed: list[Exception] = []

        def run() -> None:
            with app.app_context():
                try:
                    save()
                except Exception as problem:
                    failed.append(problem)

        with writing() as session:
            yield
            session.flush()
            thread = threading.Thread(target=run)
            thread.start()
            while thread.is_alive() and not is_anybody_locked_out():
                pass
        thread.join()
        assert failed == []

    def test_of_a_setting(self, app: Flask) -> None:
        for before, after in (("", "一番"), ("二番", "三番")):
            with self.second(app, lambda: settings.save("副店長", shop_name="二番")):
                settings.store(db.session(), "店長", {"shop_name": after})
            told = [change.detail["changes"] for change in settings.recent_changes()[:2]]
            assert told == [[["shop_name", after, "二番"]], [["shop_name", before, after]]]

    def test_of_the_logo(self, app: Flask) -> None:
        with self.second(app, lambda: logo.store("副店長", b"")):
            db.session.add(Setting(name="paper_logo", value="png-1", updated_by="店長"))
        assert settings.load().paper_logo == ""


@pytest.mark.usefixtures("context")
def test_one_bad_value_and_nothing_is_saved() -> None:
    with pytest.raises(SettingRefused):
        settings.save("店長", title="新しい名前", bulk_max=10, billing_day=11)
    assert settings.load() == ShopSettings()
    assert settings.recent_changes() == []


@pytest.mark.usefixtures("context")
def test_who_changed_what_is_kept_from_what_to_what_but_never_a_secret(
    capsys: pytest.CaptureFixture[str],
) -> None:  # R86
    settings.save("店長", shop_id="tshop00000001", shop_pass="shoppass01", bulk_max=5000)
    settings.save("副店長", title="カード")
    settings.save("副店長", title="カード", shop_pass="")  # nothing new: no entry
    newest, first = settings.recent_changes()
    assert (newest.actor, first.actor) == ("副店長", "店長")
    assert newest.detail == {"changes": [["title", "", "カード"]]}
    assert first.detail == {"changes": [["shop_id", "", "tshop00000001"], ["shop_pass"]]}
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    logged = [line for line in lines if line["event"] == "settings_changed"]
    assert [(line["by"], line["fields"]) for line in logged] == [
        ("店長", ["shop_id", "shop_pass"]),
        ("副店長", ["title"]),
    ]
    assert not any("tshop00000001" in line for line in map(json.dumps, logged))
    everything = [
        json.dumps(first.detail),
        *db.session.scalars(sa.select(Setting.value)),
        json.dumps(logged),
    ]
    assert not any("shoppass01" in text for text in everything)  # S10
    assert db.session.scalar(sa.select(sa.func.count(Activity.id))) == 2


@pytest.mark.usefixtures("context")
def test_an_empty_password_keeps_the_stored_one() -> None:
    settings.save("店長", shop_pass="shoppass01", site_pass="sitepass01")
    before = settings.load()
    assert settings.save("店長", **dict.fromkeys(SECRETS, "")) == []
    assert settings.load() == before
