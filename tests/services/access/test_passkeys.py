"""What a browser sends in place of a passkey's answer is refused in words, whatever it is (S2)."""

from __future__ import annotations

import hashlib
import json

import cbor2
import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from flask import Flask

from sgpshop.models import Passkey, Person
from sgpshop.services.access import passkeys, sessions
from sgpshop.services.access.passkeys import PasskeyRefused, Site
from sgpshop.storage.database import writing
from tests.signing_in import PASSWORD, make_person

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


def made_key(id_: bytes, challenge: str) -> str:
    """What a browser sends of a key that a device made under that id, without a word of its maker."""
    at = ec.generate_private_key(ec.SECP256R1()).public_key().public_numbers()
    cose = {1: 2, 3: -7, -1: 1, -2: at.x.to_bytes(32, "big"), -3: at.y.to_bytes(32, "big")}
    device = hashlib.sha256(SITE.host.encode()).digest() + bytes([0x45]) + bytes(4 + 16)
    key = len(id_).to_bytes(2, "big") + id_ + cbor2.dumps(cose)
    attested = cbor2.dumps({"fmt": "none", "attStmt": {}, "authData": device + key})
    said = {"type": "webauthn.create", "challenge": challenge, "origin": SITE.origin}
    client = json.dumps(said).encode()
    response = {"clientDataJSON": client, "attestationObject": attested}
    return json.dumps(
        {
            "id": passkeys._text(id_),
            "rawId": passkeys._text(id_),
            "type": "public-key",
            "response": {name: passkeys._text(part) for name, part in response.items()},
        }
    )


@pytest.mark.parametrize(("length", "is_kept"), [(1023, True), (1051, False)])
def test_an_id_longer_than_any_key_has_is_refused(
    app: Flask, length: int, is_kept: bool
) -> None:  # S25: on PostgreSQL it did not fit
    with app.app_context():
        make_person("佐藤")
        person = sessions.sign_in("佐藤", PASSWORD, address="", browser="")
        question = passkeys.ask_for_new(person, SITE, "店")
        answer = made_key(b"k" * length, json.loads(question.options)["challenge"])
        try:
            passkeys.add(person, SITE, question.sealed, answer, "鍵")
        except PasskeyRefused:
            assert not is_kept
        assert len(passkeys.of_person(person.id)) == is_kept


#: What a device says of who is at it: somebody touched it; the owner, by finger, face or PIN.
_TOUCHED, _OWNER = 0x01, 0x05


@pytest.mark.parametrize(
    ("is_again", "who", "is_enough"),
    [(False, _TOUCHED, True), (True, _TOUCHED, False), (True, _OWNER, True)],
)
def test_in_place_of_the_password_the_device_knows_its_owner(
    app: Flask, tanaka: Person, is_again: bool, who: int, is_enough: bool
) -> None:  # S5
    key = ec.generate_private_key(ec.SECP256R1())
    at = key.public_key().public_numbers()
    cose = {1: 2, 3: -7, -1: 1, -2: at.x.to_bytes(32, "big"), -3: at.y.to_bytes(32, "big")}
    with app.app_context(), writing() as session:
        [kept] = passkeys.of_person(tanaka.id)
        kept.public_key = passkeys._text(cbor2.dumps(cose))
    with app.app_context():
        question = passkeys.ask(tanaka.id, SITE, is_again=is_again)
    assert question is not None
    options = json.loads(question.options)
    assert options["userVerification"] == ("required" if is_again else "preferred")
    said = {"type": "webauthn.get", "challenge": options["challenge"], "origin": SITE.origin}
    client = json.dumps(said).encode()
    device = hashlib.sha256(SITE.host.encode()).digest() + bytes([who]) + bytes(4)
    signature = key.sign(device + hashlib.sha256(client).digest(), ec.ECDSA(SHA256()))
    signed = {"clientDataJSON": client, "authenticatorData": device, "signature": signature}
    response = {name: passkeys._text(part) for name, part in signed.items()}
    answer = json.dumps(_ANSWER | {"response": response})
    with app.app_context(), writing() as session:
        person = session.get_one(Person, tanaka.id)
        try:
            passkeys.use(session, person, SITE, question.sealed, answer, is_again=is_again)
        except PasskeyRefused:
            assert not is_enough
        else:
            assert is_enough
