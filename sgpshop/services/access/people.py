"""People who may sign in: made on the command line, with a right each (S1, R150)."""

from __future__ import annotations

import secrets
from pathlib import Path

import sqlalchemy as sa
from flask import current_app
from sqlalchemy.exc import IntegrityError

from sgpshop import keys, logs
from sgpshop.domain.activities import ActivityEvent
from sgpshop.domain.errors import ShopError
from sgpshop.domain.rights import DEMO_NAME
from sgpshop.domain.text import is_name
from sgpshop.extensions import db
from sgpshop.models import Person, Role
from sgpshop.services.access import activities, passwords
from sgpshop.storage.database import writing

LONGEST_NAME = 80
_DEMO_FILE = "demo_login"


class NameTaken(ShopError):
    """Somebody of this name exists already; nobody was changed."""

    status = 409

    def __init__(self, name: str) -> None:
        super().__init__(f"「{name}」という名前の人はすでに登録されています。")


@passwords.one_of_few()
def create(name: str, password: str, role: Role) -> int:
    """Register a person and return the id.

    Raises NameTaken, PasswordRefused, TooOften, or ShopError for a name that cannot be used (S25).
    """
    person = make(name, password, role)
    try:
        with writing() as session:
            session.add(person)
            activities.record(session, ActivityEvent.PERSON_CREATED, name, note=role.label)
    except IntegrityError:
        raise NameTaken(name) from None
    logs.event("person_created", name=name, role=role)
    return person.id


def make(name: str, password: str, role: Role) -> Person:
    """A person to be written, within `passwords.one_of_few`.  Raises what `create` raises for either."""
    _check_name(name)
    passwords.check(password, name)
    return Person(name=name, role=role, password_hash=passwords.make_hash(password))


def ensure_demo_person() -> tuple[str, str]:
    """Name and password of the demo's owner, made at random at the first start (interfaces.md §1).

    The password is kept in the instance path, readable by its owner only, since every start of the
    demo prints it.  Raises ShopError outside test mode.
    """
    if not current_app.config["TEST_MODE"]:
        raise ShopError("デモ用のログインは練習モードでのみ使えます。")
    password = _kept_demo_password(Path(current_app.instance_path) / _DEMO_FILE)
    person = db.session.scalar(sa.select(Person).filter_by(name=DEMO_NAME))
    if person is None:
        create(DEMO_NAME, password, Role.OWNER)
    elif not passwords.matches(password, person.password_hash):
        with writing():
            person.password_hash = passwords.make_hash(password)
    return DEMO_NAME, password


def is_demo(name: str) -> bool:
    """Whether `name` is the demo's account, which is of no use outside test mode."""
    return name == DEMO_NAME


def _check_name(name: str) -> None:
    if not is_name(name, LONGEST_NAME):
        raise ShopError(
            f"名前は{LONGEST_NAME}文字以内で、前後の空白や見えない文字を含めずに入力してください。"
        )
    if is_demo(name) and not current_app.config["TEST_MODE"]:
        raise ShopError(f"「{name}」は練習モード専用の名前です。ほかの名前にしてください。")


def _kept_demo_password(path: Path) -> str:
    if path.exists() and not path.read_text().strip():  # a start was cut off while it was made
        path.unlink()
    if not path.exists():
        keys.keep(path, secrets.token_urlsafe(12))
    return path.read_text().strip()
