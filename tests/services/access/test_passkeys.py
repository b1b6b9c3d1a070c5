"""What a browser sends in place of a passkey's answer is refused in words, whatever it is (S2)."""

from __future__ import annotations

import json

import pytest
from flask import Flask

from sgpshop.models import Passkey, Person
from sgpshop.services.access import passkeys
from sgpshop.services.access.passkeys import PasskeyRefused, Site
from sgpshop.storage.database import writing
from tests.signing_in import make_person

SITE = Site("shop.example.jp", "https://shop.example.jp")
_RESPONSE = {"clientDataJSON": "AAAA", "authenticatorData": "AAAA", "signature": "AAAA"}
_ANSWER = {"id": "AAAA", "rawId": "AAAA", "type": "public-key", "response": _RESPONSE}


@pytest.fixture
def tanaka(app: Flask) -> Person:
    with app.app_context():
        person = make_person("田中")
        kept = {"credential": "AAAA", "public_key": "AAAA", "sign_count": 0}
        with writing() as session:
            session.add(Passkey(person_id=person.id, name="店", host=SITE.host, **kept))
        return person


def refused(app: Flask, person: Person, sealed: str, answer: str, site: Site = SITE) -> None:
    with app.app_context(), pytest.raises(PasskeyRefused), writing() as session:
        passkeys.use(session, session.get_one(Person, person.id), site, sealed, answer)


@pytest.mark.parametrize(
    "answer",
    [
        "",
        "x",
        "[]",
        "{}",
        '{"id": 7}',
        "[" * 15_000,
        json.dumps(_ANSWER),
        json.dumps(_ANSWER | {"id": "BBBB", "rawId": "BBBB"}),
        json.dumps(_ANSWER | {"response": None}),
        json.dumps(_ANSWER | {"response": dict.fromkeys(_RESPONSE, "é\x00")}),
        json.dumps(_ANSWER | {"padding": "A" * 30_000}),
    ],
)
def test_what_is_no_answer_opens_nothing(app: Flask, tanaka: Person, answer: str) -> None:
    with app.app_context():
        question = passkeys.ask(tanaka.id, SITE)
    assert question is not None
    refused(app, tanaka, question.sealed, answer)


def test_a_challenge_is_one_persons_and_for_signing_in(app: Flask, tanaka: Person) -> None:
    with app.app_context():
        other = make_person("鈴木")
        question = passkeys.ask(tanaka.id, SITE)
        assert question is not None
        assert passkeys.ask(other.id, SITE) is None
        assert passkeys.ask(tanaka.id, Site("evil.example", "https://evil.example")) is None
    for sealed in ("", "x", question.sealed[:-2]):
        refused(app, tanaka, sealed, json.dumps(_ANSWER))
    refused(app, other, question.sealed, json.dumps(_ANSWER))


def test_one_for_signing_in_is_none_for_asking_again(app: Flask, tanaka: Person) -> None:  # S5
    with app.app_context(), writing() as session:
        for is_again in (False, True):
            question = passkeys.ask(tanaka.id, SITE, is_again=is_again)
            assert question is not None
            passkeys._opened(question.sealed, passkeys._asked_of(tanaka.id, is_again))
            with pytest.raises(PasskeyRefused):
                passkeys.use(
                    session,
                    session.get_one(Person, tanaka.id),
                    SITE,
                    question.sealed,
                    json.dumps(_ANSWER),
                    is_again=not is_again,
                )
