"""Who waits for a row hears when it is worth looking at."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import pytest
from flask import Flask

from sgpshop.extensions import db
from sgpshop.storage import news
from sgpshop.storage.database import writing

pytestmark = pytest.mark.postgresql


@pytest.fixture(params=["sqlite", "postgresql"])
def database_kind(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(autouse=True)
def _context(app: Flask) -> Iterator[None]:
    with app.app_context():
        yield
        news.stop(app)
        db.session.remove()


def tell(app: Flask, order_id: int) -> None:
    with app.app_context(), writing() as session:
        news.tell(session, order_id)


def test_it_is_looked_at_again_at_news_and_at_no_other(
    app: Flask, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(news, "_SLOW_LOOK", 60.0)
    monkeypatch.setattr(news, "_QUICK_LOOK", 60.0)
    looks = 0
    heard = threading.Event()

    def is_so() -> bool:
        nonlocal looks
        looks += 1
        return heard.is_set()

    def worker() -> None:
        ears = app.extensions["sgpshop.news"]
        while not ears.can_hear:
            threading.Event().wait(0.01)
        tell(app, 8)
        heard.set()
        tell(app, 7)

    app.extensions.setdefault("sgpshop.news", news._Ears())
    thread = threading.Thread(target=worker)
    thread.start()
    assert news.wait_until(is_so, 7, 50.0)
    thread.join()
    assert looks == 2


def test_without_news_it_is_looked_at_all_the_same(
    app: Flask, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(news._Ears, "_listen", lambda *_: None)
    answers = iter([False, False, True])
    assert news.wait_until(lambda: next(answers), 7, 50.0)


def test_what_does_not_happen_is_not_waited_for_longer() -> None:
    assert not news.wait_until(lambda: False, 7, 0.05)
    assert not news.wait_until(lambda: False, 7, 0.0)
