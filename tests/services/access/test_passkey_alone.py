"""A passkey as the only step is its owner's own wish, and ends with what it rests on (S2)."""

from __future__ import annotations

import sys

import pytest
from flask import Flask

from sgpshop.domain.errors import NotFound
from sgpshop.extensions import db
from sgpshop.models import Passkey, Person
from sgpshop.services.access import passkeys, people_admin, second_factor, sessions
from sgpshop.services.access.passkeys import PasskeyRefused, Site
from sgpshop.services.access.sessions import SignedIn, SignInRefused
from sgpshop.storage.database import writing
from tests.signing_in import PASSWORD, make_person

SITE = Site("shop.example", "https://shop.example")
NEW = "another long enough password"


@pytest.fixture
def tanaka(app: Flask) -> SignedIn:
    """田中, with a key in hand."""
    with app.app_context():
        person = make_person("田中")
        signed_in = sessions.sign_in("田中", PASSWORD, address="127.0.0.1", browser="")
        with writing() as session:
            session.add(
                Passkey(
                    person_id=person.id, name="鍵", host=SITE.host, credential="abc",
                    public_key="x", sign_count=0,
                )
            )  # fmt: skip
    return signed_in


def alone(person: SignedIn) -> bool:
    db.session.rollback()
    return db.session.get_one(Person, person.id, populate_existing=True).passkey_alone


def test_a_shop_where_nobody_wants_it_loads_nothing_for_it(
    app: Flask, tanaka: SignedIn, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The sign-in page asks for it each time, and what makes the question takes 9 MiB."""
    monkeypatch.setitem(sys.modules, "webauthn", None)
    other = Site("other.example", "https://other.example")
    with app.app_context():
        assert passkeys.ask_alone(SITE) is None
        assert passkeys.ask(tanaka.id, other) is None
        with pytest.raises(ImportError):
            passkeys.ask(tanaka.id, SITE)


def test_nobody_is_asked_for_it_before_somebody_wants_it(app: Flask, tanaka: SignedIn) -> None:
    with app.app_context():
        assert passkeys.ask_alone(SITE) is None
        with pytest.raises(PasskeyRefused):
            passkeys.owner_of(SITE, '{"id": "abc"}')
        with pytest.raises(SignInRefused):
            sessions.sign_in_by_passkey(tanaka.id, lambda *_: None, address="", browser="")
        passkeys.choose_alone(tanaka, is_on=True)
        assert passkeys.owner_of(SITE, '{"id": "abc"}') == tanaka.id
        question = passkeys.ask_alone(SITE)
        assert question is not None
        assert '"userVerification": "required"' in question.options
        assert passkeys.ask_alone(Site("other.example", "https://other.example")) is None


@pytest.mark.parametrize("what", ["another password", "reset", "the last key removed"])
def test_it_ends_with_what_it_rests_on(app: Flask, tanaka: SignedIn, what: str) -> None:
    with app.app_context():
        passkeys.choose_alone(tanaka, is_on=True)
        assert alone(tanaka)
        if what == "another password":  # of an owner, after somebody else had been in
            people_admin.set_password(tanaka.id, NEW)
        elif what == "reset":
            second_factor.reset(tanaka.id)
        else:
            passkeys.remove(tanaka, passkeys.of_person(tanaka.id)[0].id)
        assert not alone(tanaka)
        with pytest.raises(SignInRefused):
            sessions.sign_in_by_passkey(tanaka.id, lambda *_: None, address="", browser="")


@pytest.mark.parametrize("name", [r"\ud800", r"abc\u0000", "", "鍵"])
def test_what_names_no_key_is_refused_as_one_of_nobody(
    app: Flask, tanaka: SignedIn, name: str
) -> None:
    """Whoever came in without signing in could else send what the database does not take."""
    with app.app_context():
        passkeys.choose_alone(tanaka, is_on=True)
        with pytest.raises(PasskeyRefused):
            passkeys.owner_of(SITE, f'{{"id": "{name}"}}')


def test_without_a_key_there_is_nothing_to_choose(app: Flask, tanaka: SignedIn) -> None:
    with app.app_context():
        passkeys.remove(tanaka, passkeys.of_person(tanaka.id)[0].id)
        with pytest.raises(NotFound):
            passkeys.choose_alone(tanaka, is_on=True)
