"""購入者の情報 (`/settings/personal-data`): the term after which it ends, told before it is stored (S12a)."""

from __future__ import annotations

from datetime import timedelta

import pytest
import time_machine
from flask import Flask
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from sgpshop.domain.delivery_status import ProcessingClass
from sgpshop.domain.payment_status import PaymentStatus
from sgpshop.models import Role, utc_now
from sgpshop.services import settings
from tests.factories import make_order
from tests.forms import token_of
from tests.signing_in import PASSWORD, signed_in
from tests.web.pages import flat
from tests.web.settings.test_people_screen import let_time_pass

URL = "/settings/personal-data"


@pytest.fixture
def owner(app: Flask) -> FlaskClient:
    return signed_in(app, Role.OWNER, "店長")


def save(owner: FlaskClient, **fields: str) -> TestResponse:
    return owner.post(URL, data={"csrf_token": token_of(owner.get(URL))} | fields)


def term(app: Flask) -> str:
    with app.app_context():
        return settings.load().personal_data_for


def test_at_first_it_stays_for_ever_and_the_screen_says_what_would_go(owner: FlaskClient) -> None:
    page = flat(owner.get(URL))
    assert "いつまでも残す" in page
    for words in ("消えるもの", "残るもの", "ここでは消えないもの", "原則7年"):
        assert words in page


def test_a_term_is_stored_once_it_was_said_how_many_orders_it_means(
    app: Flask, owner: FlaskClient
) -> None:
    with app.app_context(), time_machine.travel(utc_now() - timedelta(days=400)):
        for status in (PaymentStatus.CAPTURED, PaymentStatus.CANCELLED, PaymentStatus.AUTHORIZED):
            make_order(status=status, processing_class=ProcessingClass.DELIVERED)
    asked = save(owner, personal_data_for="12")
    assert asked.status_code == 422
    assert "いま期間を過ぎている注文は<b>2件</b>" in flat(asked)
    assert term(app) == "0"
    assert (
        save(owner, personal_data_for="12", confirmed="6").status_code == 422
    )  # another was meant
    assert save(owner, personal_data_for="12", confirmed="12").status_code == 303
    assert term(app) == "12"
    assert "次の夜に消える注文:<b>2件</b>" in flat(owner.get(URL))
    assert save(owner, personal_data_for="0").status_code == 303  # to keep it needs no question
    assert save(owner, personal_data_for="7").status_code == 422
    assert term(app) == "0"


def test_the_password_is_asked_for(app: Flask, owner: FlaskClient) -> None:  # S5
    let_time_pass(app)
    assert save(owner, personal_data_for="12", confirmed="12").status_code == 422
    assert term(app) == "0"
    sent = {"personal_data_for": "12", "confirmed": "12", "current_password": PASSWORD}
    assert save(owner, **sent).status_code == 303
    assert term(app) == "12"
