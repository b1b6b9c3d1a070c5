"""Whoever asks what changed since misses nothing, in whatever order transactions end (interfaces.md §5)."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta

import pytest
import sqlalchemy as sa
from flask import Flask

from sgpshop.domain.errors import CursorInvalid
from sgpshop.domain.history import EventKind
from sgpshop.extensions import db
from sgpshop.models import Feed, Order, OrderChange, OrderEvent, utc_now
from sgpshop.services.orders import feed
from sgpshop.services.orders.feed import PlaceLost
from sgpshop.storage.database import writing
from tests.factories import make_order

pytestmark = pytest.mark.postgresql


@pytest.fixture(autouse=True)
def inside(app: Flask) -> Iterator[None]:
    with app.app_context():
        yield


def touch(*orders: Order) -> None:
    with writing() as session:
        for order in orders:
            session.execute(sa.update(Order).where(Order.id == order.id).values(note="x"))


def test_an_order_is_told_once_by_its_latest_change() -> None:
    first, second, third = (make_order(told=True) for _ in range(3))
    found, cursor, has_more = feed.changed("", 2)
    assert (found, has_more) == ([first.id, second.id], True)
    touch(first)
    found, cursor, has_more = feed.changed(cursor, 2)
    assert (found, has_more) == ([third.id, first.id], False)
    assert feed.changed(cursor, 2) == ([], cursor, False)


def test_one_that_may_yet_be_taken_back_is_not_told_of() -> None:
    make_order()
    assert feed.changed("", 9)[0] == []


@pytest.mark.parametrize("database_kind", ["postgresql"])
def test_a_transaction_that_ends_late_is_not_missed() -> None:
    early, late = make_order(told=True), make_order(told=True)
    _, cursor, _ = feed.changed("", 9)
    _, told, _ = feed.events("", 9)
    with db.engine.connect() as slow:
        slow.execute(sa.update(Order).where(Order.id == late.id).values(note="begun first"))
        slow.execute(
            sa.text(
                "INSERT INTO alerts (order_id, kind, facts, since, acknowledged_by, reason)"
                " VALUES (:order, 'uncollected', 'x', now(), '', '')"
            ),
            {"order": late.id},
        )
        touch(early)
        newer = make_order(told=True)
        found, cursor, _ = feed.changed(cursor, 9)
        assert found == [early.id, newer.id]
        rows, told, _ = feed.events(told, 9)
        assert [row.order_no for row in rows] == [newer.order_no]
        slow.commit()
    assert feed.changed(cursor, 9)[0] == [late.id]
    assert [row.order_no for row in feed.events(told, 9)[0]] == [late.order_no]


def test_since_a_time() -> None:
    old, new = make_order(told=True), make_order(told=True)
    feed.changed("", 9)
    feed.events("", 9)
    with writing() as session:
        for model in (OrderChange, OrderEvent):
            session.execute(
                sa.update(model)
                .where(model.order_id == old.id)
                .values(placed_at=utc_now() - timedelta(days=2))
            )
    yesterday = utc_now() - timedelta(days=1)
    assert feed.changed(yesterday, 9)[0] == [new.id]
    assert [row.order_no for row in feed.events(yesterday, 9)[0]] == [new.order_no]
    nothing, cursor, _ = feed.changed(utc_now() + timedelta(hours=1), 9)
    assert nothing == []
    touch(old)
    assert feed.changed(cursor, 9)[0] == [old.id]


def test_events_are_tidied_away_and_their_cursors_say_so() -> None:
    make_order(told=True)
    _, cursor, _ = feed.events("", 9)
    make_order(told=True)
    feed.events("", 9)
    with writing() as session:
        session.execute(sa.update(OrderEvent).values(placed_at=utc_now() - feed.KEPT * 2))
    make_order(told=True)
    assert len(feed.events("", 9)[0]) == 1
    with pytest.raises(PlaceLost):
        feed.events(cursor, 9)


def test_they_go_also_where_no_program_asks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(feed, "_AT_ONCE", 2)
    for _ in range(5):
        make_order(told=True)
    feed.tidy()
    assert db.session.scalar(sa.select(sa.func.count(OrderEvent.placed_at))) == 5
    with writing() as session:
        session.execute(sa.update(OrderEvent).values(placed_at=utc_now() - feed.KEPT * 2))
    feed.tidy()
    assert db.session.query(OrderEvent).count() == 0


def test_a_cursor_of_before_a_restore_says_so() -> None:
    make_order(told=True)
    _, cursor, _ = feed.changed("", 9)
    with writing() as session:
        feed.begin_anew(session)
    with pytest.raises(PlaceLost):
        feed.changed(cursor, 9)
    with pytest.raises(CursorInvalid):
        feed.changed("nonsense", 9)


def test_many_at_once_get_their_places_in_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    """As an import brings them; in their order."""
    monkeypatch.setattr(feed, "_AT_ONCE", 2)
    ids = [make_order(told=True).id for _ in range(5)]
    found, cursor = [], ""
    for _ in range(5):
        some, cursor, _ = feed.changed(cursor, 2)
        found += some
    assert found == ids
    assert db.session.execute(sa.select(Feed.position)).scalar_one() >= 5


def test_of_an_entry_is_told_what_matters_most() -> None:
    from sgpshop.domain.history import SENTENCES, kind_of

    def kind(event: str, *, status: bool = False, total: bool = False) -> EventKind:
        return kind_of(event, status_changes=status, total_changes=total)

    assert kind("received", status=True) is EventKind.RECEIVED
    assert kind("capture_done", status=True) is EventKind.PAYMENT_STATUS
    assert kind("content_edited", total=True) is EventKind.AMOUNT
    assert kind("change_amount_done") is EventKind.AMOUNT
    assert kind("slips_registered") is EventKind.DELIVERY
    assert kind("notes_changed") is EventKind.OTHER
    assert {kind(event) for event in SENTENCES} == set(EventKind) - {
        EventKind.PAYMENT_STATUS, EventKind.ALERT
    }  # fmt: skip
