"""Webhook (`/settings/webhooks`): a receiver taken in, tried, stopped, sent to again, deleted (S16a)."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest
from flask import Flask
from flask.testing import FlaskClient

from sgpshop.domain.history import EventKind
from sgpshop.models import Role
from sgpshop.services.outgoing import webhooks
from sgpshop.web.api.document import document
from tests.factories import make_order
from tests.forms import form_of, token_of
from tests.services.webhook_receiver import Receiver
from tests.signing_in import signed_in
from tests.web.api_calls import Program
from tests.web.pages import flat

URL = "/settings/webhooks"
KINDS = [kind.value for kind in EventKind]


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    receiver = Receiver()
    yield receiver
    receiver.stop()


@pytest.fixture
def owner(app: Flask) -> FlaskClient:
    return signed_in(app, Role.OWNER, "店長")


def press(owner: FlaskClient, path: str) -> str:
    """Press the button of the form to that address; the page that follows."""
    answer = owner.post(path, data=form_of(owner.get(URL), path).hidden)
    assert answer.status_code == 303
    return flat(owner.get(URL))


def send(app: Flask) -> None:
    with app.app_context():
        webhooks.write_due()
        for one in webhooks.all_receivers():
            webhooks.send_due(one.id)


def test_an_owner_lets_another_program_be_told(
    app: Flask, owner: FlaskClient, receiver: Receiver
) -> None:
    made = owner.post(
        URL, data={"csrf_token": token_of(owner.get(URL)), "url": receiver.url, "kinds": KINDS}
    )
    assert made.status_code == 201
    [receiver.secret] = re.findall(r'value="(whsec_[^"]+)"', made.text)
    page = owner.get(URL)
    assert receiver.secret not in page.text
    [number] = re.findall(r'data-webhook="(\d+)"', page.text)

    assert "テストを送信します" in press(owner, f"{URL}/{number}/test")
    with app.app_context():
        order_no = make_order(told=True).order_no
    send(app)
    assert [said["type"] for _, said in receiver.got] == ["test", "order.received"]
    page = owner.get(URL)
    assert page.text.count('data-state="sent"') == 2
    assert order_no in page.text

    [again, *_] = re.findall(rf'action="({URL}/{number}/messages/\d+)"', page.text)
    assert "もう一度送信します" in press(owner, again)
    send(app)
    assert len(receiver.got) == 3

    assert "送信を止めました" in press(owner, f"{URL}/{number}/off")
    assert "送信を再開しました" in press(owner, f"{URL}/{number}/on")
    asked = owner.get(f"{URL}/{number}/delete")
    assert "この送信先を削除しますか" in asked.text
    sent = form_of(asked, f"{URL}/{number}/delete").hidden
    assert owner.post(f"{URL}/{number}/delete", data=sent).status_code == 303
    assert "data-webhook=" not in owner.get(URL).text
    gone = owner.post(f"{URL}/{number}/test", data=sent)
    assert gone.status_code == 404


def test_what_cannot_be_a_receiver_stays_in_the_form(owner: FlaskClient) -> None:
    token = token_of(owner.get(URL))
    for url, words in (
        ("http://shop.example.jp/", "https:// で始めてください"),
        ("", "送信先のURLを入力してください"),
        ("https://10.0.0.1/hook", "内部のネットワーク"),
    ):
        answer = owner.post(URL, data={"csrf_token": token, "url": url, "kinds": KINDS})
        assert answer.status_code == 422
        assert words in flat(answer)
        assert form_of(answer, URL).every["url"] == [url]


def test_of_which_events_it_is_told(app: Flask, owner: FlaskClient, receiver: Receiver) -> None:
    sent = {"csrf_token": token_of(owner.get(URL)), "url": receiver.url}
    assert "1つ以上選んでください" in flat(owner.post(URL, data=sent))
    owner.post(URL, data=sent | {"kinds": ["delivery", "alert"]})
    assert "知らせるできごと:配送・食い違い" in flat(owner.get(URL)).replace(" ", "")
    with app.app_context():
        make_order(told=True)
    send(app)
    assert receiver.got == []

    [number] = re.findall(r'data-webhook="(\d+)"', owner.get(URL).text)
    form = form_of(owner.get(URL), f"{URL}/{number}/kinds")
    assert form.every["kinds"] == ["delivery", "alert"]
    for wrong in ([], ["nothing"]):
        refused = owner.post(f"{URL}/{number}/kinds", data=form.hidden | {"kinds": wrong})
        assert refused.status_code == 422
    done = owner.post(f"{URL}/{number}/kinds", data=form.hidden | {"kinds": ["received"]})
    assert done.status_code == 303
    with app.app_context():
        make_order(told=True)
    send(app)
    assert [said["type"] for _, said in receiver.got] == ["order.received"]
    missing = owner.post(f"{URL}/99/kinds", data=form.hidden | {"kinds": ["received"]})
    assert missing.status_code == 404


def test_home_says_that_one_was_switched_off(
    app: Flask, owner: FlaskClient, receiver: Receiver
) -> None:
    owner.post(
        URL, data={"csrf_token": token_of(owner.get(URL)), "url": receiver.url, "kinds": KINDS}
    )
    assert "Webhookの送信を止めています" not in flat(owner.get("/"))
    from sgpshop.models import Webhook, utc_now
    from sgpshop.storage.database import writing

    with app.app_context(), writing() as session:
        one = session.get_one(Webhook, 1)
        one.is_active, one.given_up_at = False, utc_now()
    assert "Webhookの送信を止めています" in flat(owner.get("/"))
    assert "オーナーに知らせてください" in flat(signed_in(app, Role.VIEWER).get("/"))
    assert "3日続けて届かなかったため" in flat(owner.get(URL))


def test_an_event_is_the_same_as_the_document_says(
    app: Flask, owner: FlaskClient, receiver: Receiver
) -> None:
    owner.post(
        URL, data={"csrf_token": token_of(owner.get(URL)), "url": receiver.url, "kinds": KINDS}
    )
    with app.app_context():
        make_order(told=True)
    send(app)
    [told] = Program(app).get("/api/v1/events?after=").get_json()["events"]
    assert [said["data"] for _, said in receiver.got] == [told]
    assert "orderEvent" in document()["webhooks"]
