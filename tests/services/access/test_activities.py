"""操作の記録: one chain that nobody alters unseen, kept by everything that changes something (P5a)."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime

import pytest
import sqlalchemy as sa
from flask import Flask
from sqlalchemy.exc import DBAPIError

from sgpshop.domain.activities import ActivityEvent, ActivityKind
from sgpshop.extensions import db
from sgpshop.models import Activity, ActorKind, Operation, Person, Role
from sgpshop.services import settings
from sgpshop.services.access import activities, api_keys, people, people_admin, sessions
from sgpshop.services.access.activities import Wanted
from sgpshop.services.access.passwords import PasswordRefused
from sgpshop.services.orders.history_check import Verification
from sgpshop.storage.database import writing
from tests.factories import authorized_order
from tests.gateway_world import World
from tests.services.acting import press
from tests.services.running import started
from tests.signing_in import PASSWORD, make_person

pytestmark = pytest.mark.postgresql


def told() -> list[tuple[str, str]]:
    """Every entry, the oldest first: what, and about whom or what."""
    rows = list(db.session.execute(sa.select(Activity.event, Activity.about).order_by(Activity.id)))
    db.session.rollback()
    return [(row.event, row.about) for row in rows]


def newest() -> Activity:
    entry = db.session.scalars(sa.select(Activity).order_by(Activity.id.desc()).limit(1)).one()
    db.session.expunge(entry)
    db.session.rollback()
    return entry


def problems() -> list[str]:
    found = [problem.what for problem in Verification().problems()]
    db.session.rollback()
    return found


def entered(name: str, password: str = PASSWORD) -> sessions.SignedIn:
    activities.act_as(ActorKind.PERSON, "", "203.0.113.7")
    return sessions.sign_in(name, password, address="203.0.113.7", browser="Firefox")


@pytest.fixture
def context(app: Flask) -> Iterator[None]:
    with app.app_context():
        yield


@pytest.fixture
def three(context: None) -> None:
    """Three entries."""
    settings.save("店長", bulk_max=10)
    people.create("田中", PASSWORD, Role.OPERATOR)
    settings.save("店長", bulk_max=20)


@pytest.mark.alike
@pytest.mark.usefixtures("context")
def test_signing_in_both_ways_is_kept_with_the_address_but_no_name_that_nobody_has() -> None:
    person = make_person("田中")
    entered("田中")
    first = newest()
    assert (first.event, first.actor, first.address) == ("signed_in", "田中", "203.0.113.7")
    for name in ("田中", "my-secret-password"):
        with pytest.raises(sessions.SignInRefused):
            entered(name, "wrong password here")
    db.session.rollback()
    known, stranger = db.session.scalars(sa.select(Activity).order_by(Activity.id)).all()[1:]
    assert (known.event, known.actor) == ("sign_in_refused", "田中")
    assert (stranger.event, stranger.who) == ("sign_in_refused", "(不明)")
    everything = [str(vars(entry)) for entry in (first, known, stranger)]
    assert not any("my-secret-password" in text or PASSWORD in text for text in everything)
    db.session.rollback()
    people_admin.end_sessions(person.id)
    assert told()[-1] == ("sessions_ended", "田中")
    assert problems() == []


@pytest.mark.alike
@pytest.mark.usefixtures("context")
def test_people_rights_passwords_and_keys_are_kept_from_what_to_what() -> None:
    make_person("店長", Role.OWNER)
    person_id = people.create("田中", PASSWORD, Role.OPERATOR)
    people_admin.set_rights(person_id, Role.OWNER, is_active=False)
    assert newest().detail == {
        "changes": [["権限", "担当者", "オーナー"], ["ログイン", "できる", "できない"]]
    }
    people_admin.set_password(person_id, "another long password")
    key = api_keys.create("倉庫", [api_keys.Scope.READ], by="店長")
    prefix = api_keys.all_keys()[0].prefix
    api_keys.revoke(prefix, by="店長")
    assert told() == [
        ("person_created", "田中"),
        ("rights_changed", "田中"),
        ("password_changed", "田中"),
        ("api_key_created", f"倉庫({prefix})"),
        ("api_key_revoked", f"倉庫({prefix})"),
    ]
    everything = "".join(map(str, db.session.execute(sa.select(Activity.detail)).all()))
    assert key not in everything
    assert "password" not in everything


@pytest.mark.usefixtures("context")
def test_what_is_not_done_leaves_no_entry() -> None:
    with pytest.raises(PasswordRefused):
        people.create("田中", "short", Role.OPERATOR)
    people.create("田中", PASSWORD, Role.OPERATOR)
    with pytest.raises(people.NameTaken):
        people.create("田中", PASSWORD, Role.OPERATOR)
    assert told() == [("person_created", "田中")]


@pytest.mark.alike
def test_a_capture_and_a_run_are_kept_with_who_asked(shop: World) -> None:
    order = authorized_order(shop, total=3000, told=True)
    press(order, Operation.CAPTURE)
    entry = newest()
    assert (entry.event, entry.actor, entry.about) == ("money_asked", "田中", order.order_no)
    assert entry.detail == {"note": "実売上処理", "yen": 3000}
    orders = [authorized_order(shop, total=1000, told=True) for _ in range(2)]
    started(orders, make_person("佐藤"))
    entry = newest()
    assert (entry.event, entry.actor) == ("money_run_started", "佐藤")
    assert entry.detail == {"count": 2, "yen": 2000}
    assert problems() == []


@pytest.mark.usefixtures("three")
def test_the_database_refuses_to_change_or_delete_an_entry() -> None:
    for change in ("UPDATE activities SET actor = 'x'", "DELETE FROM activities"):
        with pytest.raises(DBAPIError, match="append-only"), writing() as session:
            session.execute(sa.text(change))
    assert len(told()) == 3


@pytest.mark.usefixtures("three")
@pytest.mark.parametrize(
    ("change", "found"),
    [
        ("UPDATE activities SET actor = 'x' WHERE id = 2", "2件目から書かれたときのまま"),
        ("UPDATE activities SET at = '2026-01-01 00:00:00' WHERE id = 1", "1件目から"),
        ("UPDATE activities SET address = '192.0.2.1' WHERE id = 3", "3件目から"),
        ("DELETE FROM activities WHERE id = 2", "2件目から"),
        ("DELETE FROM activities WHERE id = 3", "削除されています"),
        ("DELETE FROM activities_end", "あとから加えられた|削除されています"),
        ("UPDATE activities_end SET last = last - 1", "あとから加えられた"),
    ],
)
def test_whoever_alters_the_record_behind_our_back_is_seen(change: str, found: str) -> None:
    assert problems() == []
    with writing() as session:
        is_sqlite = session.get_bind().dialect.name == "sqlite"
        for act in ("update", "delete"):
            on = "" if is_sqlite else " ON activities"
            session.execute(sa.text(f"DROP TRIGGER activities_no_{act}{on}"))
        session.execute(sa.text(change))
    guard, *others = problems()
    assert guard == "操作の記録の変更・削除を拒む仕組み(トリガー)がデータベースから外されています"
    assert any(any(part in other for part in found.split("|")) for other in others), others


def test_many_who_write_at_once_make_one_chain(app: Flask) -> None:
    def save(number: int) -> None:
        with app.app_context(), writing() as session:
            activities.record(session, ActivityEvent.PERSON_CREATED, f"人{number}")

    with ThreadPoolExecutor(4) as threads:
        list(threads.map(save, range(12)))
    with app.app_context():
        assert len(told()) == 12
        assert problems() == []


@pytest.mark.usefixtures("context")
def test_of_very_many_refusals_the_first_are_kept_and_it_says_so() -> None:
    for count in range(30):
        activities.act_as(ActorKind.PERSON, "", "203.0.113.7")
        activities.refused(ActivityEvent.REFUSED, f"{count}")
    assert [about for _, about in told()] == [str(count) for count in range(20)]
    assert "ログにだけ" in newest().detail["note"]
    activities.act_as(ActorKind.PERSON, "田中", "203.0.113.7")
    activities.refused(ActivityEvent.REFUSED, "of somebody who is signed in")
    assert newest().actor == "田中"


@pytest.mark.usefixtures("context")
def test_pages_and_parts_narrow_by_kind_person_and_period(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(activities, "PAGE_SIZE", 4)
    monkeypatch.setattr(activities, "_PART", 3)
    for number in range(10):
        settings.save("店長" if number % 2 else "副店長", bulk_max=number + 1)
    people.create("田中", PASSWORD, Role.OPERATOR)

    def walked(wanted: Wanted) -> list[int]:
        page = activities.find(wanted)
        ids = [entry.id for entry in page.rows]
        while page.next_cursor:
            page = activities.find(wanted, page.next_cursor)
            assert page.previous_cursor
            ids += [entry.id for entry in page.rows]
        assert ids == [entry.id for some in activities.parts(wanted) for entry in some]
        return ids

    assert walked(Wanted()) == list(range(11, 0, -1))
    assert walked(Wanted(ActivityKind.SETTINGS, "店長")) == [10, 8, 6, 4, 2]
    assert walked(Wanted(before=datetime(2020, 1, 1, tzinfo=UTC))) == []
    moment = db.session.scalars(sa.select(Activity.at).where(Activity.id == 5)).one()
    assert walked(Wanted(since=moment)) == list(range(11, 4, -1))
    assert walked(Wanted(before=moment)) == [4, 3, 2, 1]


@pytest.mark.usefixtures("three")
def test_it_outlives_the_person_it_tells_of() -> None:
    with writing() as session:
        session.execute(sa.delete(Person))
    assert ("person_created", "田中") in told()
    assert problems() == []
