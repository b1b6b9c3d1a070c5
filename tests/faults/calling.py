"""Captures asked of a web process over sockets, as programs and people ask."""

from __future__ import annotations

import re

import requests
from flask import Flask
from flask.sessions import SecureCookieSessionInterface

from sgpshop.models import LoginSession, Order, Person, Role
from sgpshop.services.access.sessions import key_of
from sgpshop.storage.database import writing
from tests.api_answers import checked
from tests.web.api_calls import ORDERS

#: Seconds that only a server which answers nobody lets pass.
PATIENCE = 60


def signed_cookie(app: Flask, token: str) -> str:
    """The cookie of a browser in which that session is open."""
    with app.test_request_context():
        serializer = SecureCookieSessionInterface().get_signing_serializer(app)
        assert serializer is not None
        return str(serializer.dumps({"_user_id": token, "_fresh": True}))


def sign_in(app: Flask, name: str) -> str:
    """The cookie of a browser in which somebody of that name (made here) is signed in."""
    token = f"session of {name}"
    with writing(PATIENCE) as session:  # other processes are writing too
        person = Person(name=name, role=Role.OPERATOR, password_hash="none")
        session.add(person)
        session.flush()
        session.add(LoginSession(id=key_of(token), person_id=person.id))
    return signed_cookie(app, token)


def capture_by_form(url: str, cookie: str, order: Order) -> int:
    """Open the confirmation and go ahead; the status of the answer, or of the page that did not open."""
    with requests.Session() as browser:
        browser.cookies.set("sgpshop", cookie, domain="127.0.0.1")
        address = f"{url}/orders/{order.order_no}/capture"
        page = browser.get(address, timeout=PATIENCE)
        if not page.ok:
            return page.status_code
        names = "csrf_token|version|amount|request_token"
        form = dict(re.findall(rf'name="({names})" value="([^"]*)"', page.text))
        answer = browser.post(address, data=form, timeout=PATIENCE, allow_redirects=False)
        return answer.status_code


def capture_by_api(url: str, key: str, order: Order) -> int:
    """The status of the answer."""
    answer = requests.post(
        f"{url}{ORDERS}/{order.order_no}/capture",
        json={"version": order.version, "amount": order.total},
        headers={"Authorization": f"Bearer {key}", "Idempotency-Key": order.order_no},
        timeout=PATIENCE,
    )
    return checked(answer).status_code
