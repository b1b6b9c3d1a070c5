"""What owners do with people, and everybody with the own account (S1, S3, R150)."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

import pyotp
import pytest
from flask import Flask

from sgpshop.domain.errors import NotFound, ShopError
from sgpshop.extensions import db
from sgpshop.models import Person, Role
from sgpshop.services.access import (
    passkeys,
    passwords,
    people,
    people_admin,
    second_factor,
    sessions,
)
from sgpshop.services.access.people_admin import LastOwner
from sgpshop.services.access.sessions import SignedIn, SignInRefused
from tests.signing_in import PASSWORD, make_person

NEW = "another good passphrase"


@pytest.fixture(autouse=True)
def context(app: Flask) -> Any:
    with app.app_context():
        yield


def enter(name: str, password: str = PASSWORD) -> str:
    return sessions.sign_in(name, password, address="192.0.2.7", browser="test").token


def is_in(token: str) -> bool:
    return sessions.person_of_session(token) is not None


@pytest.mark.postgresql
def test_the_list_tells_who_is_signed_in() -> None:
    owner, viewer = make_person("店長", Role.OWNER).id, make_person("見学", Role.VIEWER).id
    make_person("退職者", is_active=False)
    enter("店長")
    enter("店長")
    listed = people_admin.everybody()
    assert [(c.name, c.sessions, c.is_active) for c in listed][-1] == ("退職者", 0, False)
    assert people_admin.get(owner).sessions == 2
    assert people_admin.get(owner).seen_at is not None
    assert (people_admin.get(viewer).sessions, people_admin.get(viewer).seen_at) == (0, None)
    with pytest.raises(NotFound):
        people_admin.get(9999)


def test_another_right_needs_another_sign_in() -> None:  # S3
    person = make_person("田中", Role.VIEWER)
    token = enter("田中")
    assert people_admin.set_rights(person.id, Role.OPERATOR, is_active=True)
    assert not is_in(token)
    again = sessions.person_of_session(enter("田中"))
    assert again is not None
    assert again.role is Role.OPERATOR


def test_what_stays_the_same_ends_nothing() -> None:
    person = make_person("田中", Role.VIEWER)
    token = enter("田中")
    assert not people_admin.set_rights(person.id, Role.VIEWER, is_active=True)
    assert is_in(token)


def test_a_disabled_person_is_out_and_back_only_by_a_new_sign_in() -> None:  # S3
    person = make_person("田中")
    token = enter("田中")
    people_admin.set_rights(person.id, Role.OPERATOR, is_active=False)
    assert not is_in(token)
    with pytest.raises(SignInRefused):
        enter("田中")
    people_admin.set_rights(person.id, Role.OPERATOR, is_active=True)
    assert not is_in(token)
    assert is_in(enter("田中"))


@pytest.mark.parametrize(
    ("role", "is_active"), [(Role.OPERATOR, True), (Role.VIEWER, True), (Role.OWNER, False)]
)
def test_one_owner_always_stays(role: Role, is_active: bool) -> None:
    owner = make_person("店長", Role.OWNER)
    make_person("元店長", Role.OWNER, is_active=False)
    token = enter("店長")
    with pytest.raises(LastOwner):
        people_admin.set_rights(owner.id, role, is_active=is_active)
    assert is_in(token)
    other = make_person("副店長", Role.OWNER)
    assert people_admin.set_rights(owner.id, role, is_active=is_active)
    with pytest.raises(LastOwner):
        people_admin.set_rights(other.id, Role.VIEWER, is_active=True)


def test_the_demo_login_is_no_owner_outside_test_mode(app: Flask) -> None:
    people.ensure_demo_person()
    owner = make_person("店長", Role.OWNER)
    app.config["TEST_MODE"] = False
    with pytest.raises(LastOwner):
        people_admin.set_rights(owner.id, Role.VIEWER, is_active=True)


@pytest.mark.postgresql
def test_two_owners_cannot_demote_each_other_at_once(app: Flask) -> None:
    ids = [make_person(f"店長{n}", Role.OWNER).id for n in range(2)]
    ready = threading.Barrier(2)

    def demote(person_id: int) -> None:
        with app.app_context():
            ready.wait()
            try:
                people_admin.set_rights(person_id, Role.VIEWER, is_active=True)
            except LastOwner:
                pass
            finally:
                db.session.remove()

    threads = [threading.Thread(target=demote, args=(person_id,)) for person_id in ids]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    db.session.rollback()
    assert [c.role for c in people_admin.everybody()].count(Role.OWNER) == 1


def test_a_new_password_ends_the_other_sessions() -> None:  # S3
    person = make_person("田中")
    here, elsewhere = enter("田中"), enter("田中")
    people_admin.set_password(person.id, NEW, keep_token=here)
    assert is_in(here)
    assert not is_in(elsewhere)
    with pytest.raises(SignInRefused):
        enter("田中")
    assert is_in(enter("田中", NEW))


OWN_CHANGES: dict[str, Callable[[SignedIn], object]] = {
    "password": lambda me: people_admin.set_password(me.id, NEW, keep_token=me.token),
    "telephone": lambda me: second_factor.set_up(me, *_first_code(me)),
    "codes": second_factor.renew_recovery_codes,
    "off": second_factor.turn_off,
    "passkey alone": lambda me: passkeys.choose_alone(me, is_on=False),
    "passkey removed": lambda me: passkeys.remove(me, 1),
}


def _first_code(me: SignedIn) -> tuple[str, str]:
    begun = second_factor.begin(me)
    return begun.sealed, pyotp.TOTP(begun.seed).now()


@pytest.mark.postgresql
@pytest.mark.parametrize("change", OWN_CHANGES.values(), ids=list(OWN_CHANGES))
def test_how_somebody_comes_in_changes_only_while_their_session_is_open(
    change: Callable[[SignedIn], object],
) -> None:
    """An owner shut them out, or gave them another password, while their request was under way (S3)."""
    make_person("店長", Role.OWNER)
    person = make_person("田中")
    me = sessions.sign_in("田中", PASSWORD, address="192.0.2.7", browser="test")
    people_admin.set_password(person.id, "a password by the owner")
    with pytest.raises(sessions.SessionOver):
        change(me)
    assert is_in(enter("田中", "a password by the owner"))


def test_a_password_set_by_an_owner_ends_them_all() -> None:
    person = make_person("田中")
    token = enter("田中")
    people_admin.set_password(person.id, NEW)
    assert not is_in(token)


@pytest.mark.parametrize("password", ["short", "password1234", "田中田中田中田中田中田中"])
def test_a_weak_password_changes_nothing(password: str) -> None:  # S1
    person = make_person("田中")
    token = enter("田中")
    with pytest.raises(passwords.PasswordRefused):
        people_admin.set_password(person.id, password)
    assert is_in(token)
    assert is_in(enter("田中"))


def test_the_demo_keeps_the_password_it_prints() -> None:
    name, password = people.ensure_demo_person()
    person = db.session.query(Person).filter_by(name=name).one()
    with pytest.raises(ShopError):
        people_admin.set_password(person.id, NEW)
    assert is_in(enter(name, password))


def test_own_sessions_are_listed_and_ended() -> None:  # S3
    make_person("田中")
    make_person("鈴木")
    here, elsewhere, other = enter("田中"), enter("田中"), enter("鈴木")
    me = sessions.person_of_session(here)
    assert me is not None
    listed = people_admin.sessions_of(me.id, this_token=here)
    assert sorted(open.is_this for open in listed) == [False, True]
    assert not any(open.mark in token for open in listed for token in (here, elsewhere))
    [mark] = [open.mark for open in listed if not open.is_this]
    somebody_else = sessions.person_of_session(other)
    assert somebody_else is not None
    people_admin.end_session_of(somebody_else.id, mark)  # not theirs
    assert is_in(elsewhere)
    people_admin.end_session_of(me.id, mark)
    assert not is_in(elsewhere)
    assert is_in(here)
    assert is_in(other)


def test_an_owner_ends_somebodys_sessions() -> None:  # S3
    person = make_person("田中")
    tokens = [enter("田中"), enter("田中")]
    assert people_admin.end_sessions(person.id) == 2
    assert not any(map(is_in, tokens))
