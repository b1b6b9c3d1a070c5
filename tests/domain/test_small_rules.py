"""Schedules, amounts, deliveries and search text: small rules with sharp edges."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sgpshop.domain.amounts import break_down
from sgpshop.domain.delivery_status import DeliveryStatus as D
from sgpshop.domain.delivery_status import ProcessingClass, processing_class
from sgpshop.domain.look_schedule import next_look
from sgpshop.domain.text import digits_only, has_control_characters, search_key

START = datetime(2026, 11, 23, tzinfo=UTC)
SCHEDULE = (0.0, 30.0, 95.0, 600.0)


@pytest.mark.parametrize(
    ("after", "planned"),
    [(-1, 0), (0, 30), (30, 95), (94.9, 95), (95, 600), (600, 4200), (4200, 7800)],
)
def test_look_ups_follow_the_schedule_then_the_hour(after: float, planned: float) -> None:
    moment = next_look(START, START + timedelta(seconds=after), SCHEDULE)
    assert moment == START + timedelta(seconds=planned)  # P13


def test_after_a_day_it_is_daily_and_never_ends() -> None:
    moment = START
    for _ in range(40):
        moment = next_look(START, moment, SCHEDULE)
    assert next_look(START, moment, SCHEDULE) - moment == timedelta(days=1)  # P15


@given(st.floats(0, 10**7))
def test_the_next_look_is_always_ahead(after: float) -> None:
    now = START + timedelta(seconds=after)
    assert next_look(START, now, SCHEDULE) > now


@dataclass(frozen=True)
class Line:
    amount: int
    tax_rate: int


def test_a_total_is_broken_down_by_rate() -> None:
    parts = break_down([Line(1080, 8), Line(2200, 10)], fees=550, reductions=0)
    assert parts.total == 3830
    assert [(s.rate, s.amount, s.tax) for s in parts.shares] == [(8, 1080, 80), (10, 2750, 250)]


@given(
    st.lists(st.builds(Line, st.integers(0, 10**6), st.sampled_from([8, 10])), max_size=8),
    st.integers(0, 10**5),
    st.integers(0, 10**6),
)
def test_shares_always_add_up_to_the_total(lines: list[Line], fees: int, reductions: int) -> None:
    parts = break_down(lines, fees=fees, reductions=reductions)
    assert sum(share.amount for share in parts.shares) == parts.total  # R77a, R77b
    assert all(share.amount >= 0 for share in parts.shares)


@pytest.mark.parametrize(
    ("deliveries", "expected"),
    [
        ([], ProcessingClass.UNPROCESSED),
        ([D.DELIVERED, D.UNPROCESSED], ProcessingClass.UNPROCESSED),
        ([D.DELIVERED, D.CANCELLED], ProcessingClass.DELIVERED),
        ([D.DELIVERED, D.RETURNED], ProcessingClass.RETURNED),
        ([D.RETURNED, D.PREPARING], ProcessingClass.UNPROCESSED),
        ([D.CANCELLED], ProcessingClass.CANCELLED),
    ],
)
def test_the_class_of_an_order_follows_its_deliveries(
    deliveries: list[D], expected: ProcessingClass
) -> None:
    assert processing_class(deliveries) is expected  # R29


def test_searching_ignores_width_case_kana_and_spaces() -> None:
    assert search_key("サトウ　ハナコ") == search_key("ｻﾄｳ ﾊﾅｺ") == search_key("さとう はなこ")
    assert search_key("ＡＢＣ") == "abc"
    assert search_key("佐藤", "花子") == "佐藤\n花子"  # no hit runs over two parts
    assert digits_only("０３-1234 5678") == "0312345678"


def test_control_characters_are_found() -> None:
    assert has_control_characters("a\x00b")
    assert has_control_characters("a\nb")
    assert not has_control_characters("a\nb", lines=True)
    assert has_control_characters("\ud800")
