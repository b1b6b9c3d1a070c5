"""メールのお知らせ in アカウント: an address and what to hear of (R156)."""

from __future__ import annotations

from typing import Any

import pytest
from flask import Flask

from sgpshop.models import Role
from sgpshop.services.outgoing import mails
from tests.forms import form_of
from tests.signing_in import signed_in
from tests.web.pages import flat

ACCOUNT, PAGE = "/account", "/account/mails"


@pytest.fixture
def overrides() -> dict[str, Any]:
    return {"MAIL_SERVER": "127.0.0.1", "MAIL_PORT": 9, "MAIL_FROM": "shop@example.jp"}


def test_a_person_chooses_and_asks_for_a_mail(app: Flask) -> None:
    viewer = signed_in(app, Role.VIEWER)
    sent = form_of(viewer.get(ACCOUNT), PAGE).hidden
    chosen = sent | {"email": " tanaka@example.jp ", "mail_kinds": ["morning", "difference", "x"]}
    assert viewer.post(PAGE, data=chosen).status_code == 303
    form = form_of(viewer.get(ACCOUNT), PAGE)
    assert form.every["email"] == ["tanaka@example.jp"]
    assert form.every["mail_kinds"] == ["morning", "difference"]
    assert viewer.post(PAGE, data=sent | {"test": "1"}).status_code == 303
    page = flat(viewer.get(ACCOUNT))
    assert "送信の確認: <b>送信待ち</b>" in page
    with app.app_context():
        assert mails.is_any_due()


@pytest.mark.parametrize(
    ("email", "kinds", "words"),
    [
        ("tanaka", ["morning"], "メールアドレスの形ではありません"),
        ("a@example.jp\r\nBcc: b@example.jp", [], "メールアドレスの形ではありません"),
        ("", ["morning"], "お知らせを受け取るメールアドレスを入力してください"),
    ],
)
def test_what_cannot_be_an_address_stays_in_the_form(
    app: Flask, email: str, kinds: list[str], words: str
) -> None:
    viewer = signed_in(app, Role.VIEWER)
    sent = form_of(viewer.get(ACCOUNT), PAGE).hidden | {"email": email, "mail_kinds": kinds}
    answer = viewer.post(PAGE, data=sent)
    assert answer.status_code == 422
    assert words in flat(answer)
    assert form_of(answer, PAGE).every.get("mail_kinds", []) == kinds
    assert "mail_kinds" not in form_of(viewer.get(ACCOUNT), PAGE).every


class TestWithoutAServer:
    @pytest.fixture
    def overrides(self) -> dict[str, Any]:
        return {}

    def test_the_page_says_that_none_is_sent(self, app: Flask) -> None:
        assert "メールはまだ送信されません" in flat(signed_in(app, Role.VIEWER).get(ACCOUNT))
