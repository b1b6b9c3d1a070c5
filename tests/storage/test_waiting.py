"""Places for requests that wait: nobody waits for a place where it would not help (P23)."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

import pytest
from flask import Flask

from sgpshop.storage import waiting


@contextmanager
def all_places_taken(app: Flask) -> Iterator[None]:
    """As many requests as may wait for the database, in one."""
    with app.test_request_context(), ExitStack() as places:
        for _ in range(waiting.MOST):
            assert places.enter_context(waiting.for_the_database())
        yield


def test_nobody_waits_for_a_place_at_a_database_that_lets_nobody_in(
    app: Flask, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(waiting, "_PATIENCE", 3600.0)
    with all_places_taken(app):
        monkeypatch.setattr(waiting, "_moved_at", waiting._moved_at - 3600)  # an hour ago
        with waiting.for_the_database() as has_place:
            assert not has_place


def test_one_too_many_has_a_place_when_somebody_had_his_turn(
    app: Flask, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(waiting, "_PATIENCE", 3600.0)
    asked, had_place = threading.Event(), []

    def come_later() -> None:
        with app.test_request_context():
            asked.set()
            with waiting.for_the_database() as has_place:
                had_place.append(has_place)

    with all_places_taken(app):
        later = threading.Thread(target=come_later)
        later.start()
        asked.wait()
    later.join()
    assert had_place == [True]
