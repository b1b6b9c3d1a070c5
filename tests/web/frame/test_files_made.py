"""What makes a file holds a thread for seconds: so often a person, and only so many at once (S23, P23)."""

from __future__ import annotations

import pytest
from flask import Flask

from sgpshop.models import Role
from sgpshop.web.frame import limits
from tests.forms import form_of
from tests.signing_in import signed_in

#: the same few rows for everybody
_SAMPLES = ("/orders/imports/sample.csv", "/slips/template.csv")


@pytest.fixture
def overrides() -> dict[str, object]:
    return {"EXPORTS_PER_PERSON": 5}


@pytest.fixture
def files(app: Flask) -> list[str]:
    """Every address that gives out a CSV file, of a run that does not exist."""
    rules = [rule.rule for rule in app.url_map.iter_rules() if "GET" in (rule.methods or ())]
    files = [rule for rule in rules if rule.endswith(".csv") and rule not in _SAMPLES]
    assert len(files) >= 3
    return [rule.replace("<run_id>", "0" * 32) for rule in files]


def test_one_more_than_there_are_places_waits(app: Flask, files: list[str]) -> None:
    operator = signed_in(app, Role.OPERATOR)
    posted = {
        page: form_of(operator.get(page).text, page).hidden for page in ("/journals", "/sales")
    }
    for _ in range(limits._AT_ONCE):
        assert limits._writers.acquire(blocking=False)
    try:
        answers = [operator.get(address) for address in files]
        answers += [operator.post(page, data=data) for page, data in posted.items()]
    finally:
        for _ in range(limits._AT_ONCE):
            limits._writers.release()
    assert [answer.status_code for answer in answers] == [429] * len(answers)
    assert {answer.headers["Retry-After"] for answer in answers} == {"30"}


def test_each_counts_as_an_export_of_the_person(app: Flask, files: list[str]) -> None:
    for number, address in enumerate(files):
        person = signed_in(app, Role.OPERATOR, name=f"担当{number}")
        assert [person.get(address).status_code for _ in range(6)] == [404] * 5 + [429]
