"""People for tests, and browsers that are signed in as them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from unittest.mock import patch

from argon2 import PasswordHasher
from flask import Flask
from flask.testing import FlaskClient

from sgpshop.extensions import db
from sgpshop.models import LoginSession, Person, Role
from sgpshop.services.access import passwords
from sgpshop.services.access.sessions import key_of
from sgpshop.web.frame import carried

PASSWORD = "correct horse battery staple"
_REAL, _NOBODY = passwords._hasher, passwords.NOBODY
_CHEAP = PasswordHasher(time_cost=1, memory_cost=8, parallelism=1)
_HASH = _CHEAP.hash(PASSWORD)


@contextmanager
def _hashing(hasher: PasswordHasher, nobody: str) -> Iterator[None]:
    with patch.object(passwords, "_hasher", hasher), patch.object(passwords, "NOBODY", nobody):
        yield


def cheap_hashes() -> AbstractContextManager[None]:
    """Hashing is slow on purpose; the tests do without that."""
    return _hashing(_CHEAP, _CHEAP.hash("nobody"))


def real_hashes() -> AbstractContextManager[None]:
    """Within the block it is as slow as it is for attackers."""
    return _hashing(_REAL, _NOBODY)


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
        person_id = person.id
    client = app.test_client()
    with client.session_transaction() as session:
        session["_user_id"] = token
        session[carried.PERSON] = person_id
    return client
