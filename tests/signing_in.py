"""People for tests, and browsers that are signed in as them."""

from __future__ import annotations

from flask import Flask
from flask.testing import FlaskClient

from sgpshop.extensions import db
from sgpshop.models import LoginSession, Person, Role
from sgpshop.services.access.sessions import key_of

PASSWORD = "correct horse battery staple"
#: of PASSWORD, made once: hashing is slow on purpose
_HASH = (
    "$argon2id$v=19$m=32768,t=3,p=1$TyzVEfkT0J37QwEmTLhoaQ$"
    "HeFL4jX9HkeQ7DvdkRIG1s8LD24Ehg9FwTUC55hKXWc"
)


def make_person(name: str, role: Role = Role.OPERATOR, *, is_active: bool = True) -> Person:
    """A person with PASSWORD; needs an app context."""
    person = Person(name=name, role=role, password_hash=_HASH, is_active=is_active)
    db.session.add(person)
    db.session.commit()
    return person


def signed_in(app: Flask, role: Role, name: str = "") -> FlaskClient:
    """A browser in which a person of that role (made here) is signed in."""
    token = f"session of {name or role}"
    with app.app_context():
        person = make_person(name or f"{role}さん", role)
        db.session.add(LoginSession(id=key_of(token), person_id=person.id))
        db.session.commit()
    client = app.test_client()
    with client.session_transaction() as session:
        session["_user_id"] = token
    return client
