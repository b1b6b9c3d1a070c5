"""Totals, taxes by rate, and amounts as people type them (R65, R77-R77c)."""

from __future__ import annotations

from dataclasses import dataclass

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sgpshop.domain.amounts import (
    MOST_YEN,
    AmountRefused,
    TaxRounding,
    TaxRule,
    break_down,
    break_down_order,
    typed_total,
)


@dataclass(frozen=True)
class Line:
    amount: int
    tax_rate: int


lines = st.lists(st.builds(Line, st.integers(0, 10**6), st.sampled_from([8, 10, 0])), max_size=8)
rules = st.builds(TaxRule, st.booleans(), st.sampled_from(TaxRounding))
ADDED = TaxRule(is_included=False)


def test_every_column_of_an_order_counts() -> None:
    order = {
        "carriage": 500,
        "commission": 300,
        "bulk_discount": 10,
        "coupon": 20,
        "points_used": 30,
        "discount": 40,
        "note": "何でも",
    }
    assert break_down_order(order, [Line(1000, 8)]).total == 1_700  # R77a


def test_reductions_never_make_it_less_than_nothing() -> None:
    parts = break_down([Line(1000, 8)], fees=0, reductions=5_000)
    assert (parts.total, [share.amount for share in parts.shares]) == (0, [0])


@pytest.mark.parametrize(
    ("rounding", "tax"),
    [(TaxRounding.DOWN, 90), (TaxRounding.HALF_UP, 91), (TaxRounding.UP, 91)],
)
def test_tax_is_rounded_once_per_rate(rounding: TaxRounding, tax: int) -> None:
    # three items whose taxes of 30.27 would each be rounded down to 30
    parts = break_down([Line(333, 10)] * 3, fees=0, reductions=0, rule=TaxRule(rounding=rounding))
    assert [share.tax for share in parts.shares] == [tax]  # R77b: 90.8


def test_what_bears_no_tax_takes_its_part_of_the_reductions() -> None:
    cart = [Line(1000, 8), Line(2000, 10), Line(1000, 0)]
    whole = break_down(cart, fees=0, reductions=400)
    assert [(share.rate, share.amount, share.tax) for share in whole.shares] == [
        (8, 900, 66),
        (10, 1800, 163),
        (0, 900, 0),
    ]
    without = break_down([Line(1000, 0)], fees=500, reductions=0, rule=ADDED)
    assert (without.total, without.tax_added) == (1550, 50)


@pytest.mark.parametrize(
    ("coupon", "left"), [(2_999, (0, 0, 1)), (2_998, (1, 0, 1)), (100, (967, 966, 967))]
)
def test_what_rounding_leaves_is_taken_from_what_is_there(
    coupon: int, left: tuple[int, int, int]
) -> None:
    cart = [Line(1000, 8), Line(1000, 10), Line(1000, 0)]
    shares = break_down(cart, fees=0, reductions=coupon).shares
    assert tuple(share.amount for share in shares) == left


@given(lines, st.integers(0, 10**5), st.integers(0, 10**6))
def test_no_rate_comes_below_nothing(items: list[Line], fees: int, reductions: int) -> None:
    sold = sum(line.amount for line in items) + fees
    for given_off in (reductions, sold - 1, sold - 2):
        parts = break_down(items, fees=fees, reductions=max(0, given_off))
        assert all(share.amount >= 0 for share in parts.shares)


def test_prices_without_tax_get_it_on_top() -> None:
    parts = break_down([Line(1000, 8), Line(999, 10)], fees=500, reductions=0, rule=ADDED)
    assert [(s.rate, s.amount, s.tax) for s in parts.shares] == [(8, 1080, 80), (10, 1648, 149)]
    assert (parts.tax_added, parts.total) == (229, 2_728)


def test_a_tax_set_by_hand_is_shown_and_counts_where_it_is_added() -> None:
    taxes = {8: 81, 10: None}
    inside = break_down([Line(1080, 8)], fees=0, reductions=0, taxes=taxes)
    assert (inside.total, inside.shares[0].tax) == (1080, 81)  # R76a
    on_top = break_down([Line(1000, 8)], fees=0, reductions=0, taxes=taxes, rule=ADDED)
    assert (on_top.total, on_top.shares[0].tax) == (1081, 81)


@pytest.mark.parametrize("rule", [TaxRule(), ADDED], ids=["included", "added"])
@pytest.mark.parametrize("total", [9_500, 10_800, 12_000, 1])
def test_what_a_typed_total_differs_is_taxed_at_10_percent(rule: TaxRule, total: int) -> None:
    plain = break_down([Line(10_000, 8)], fees=0, reductions=0, rule=rule)
    parts = break_down([Line(10_000, 8)], fees=0, reductions=0, rule=rule, total=total)
    assert parts.adjustment == total - plain.total  # R77c
    assert parts.shares[0] == plain.shares[0]
    assert sum(share.amount for share in parts.shares) == parts.total == total


@given(lines, st.integers(0, 10**5), st.integers(0, 10**6), st.integers(1, MOST_YEN), rules)
def test_lines_always_add_up_to_the_total(
    items: list[Line], fees: int, reductions: int, total: int, rule: TaxRule
) -> None:
    for wanted in (None, total):
        parts = break_down(items, fees=fees, reductions=reductions, rule=rule, total=wanted)
        assert sum(share.amount for share in parts.shares) == parts.total
        assert parts.total == (parts.calculated if wanted is None else total)
        assert all(abs(share.tax) <= abs(share.amount) for share in parts.shares)


@given(st.integers(0, 10**7), st.sampled_from([8, 10]), rules)
def test_a_refund_has_the_tax_of_its_sale(amount: int, rate: int, rule: TaxRule) -> None:
    assert rule.tax_in(-amount, rate) == -rule.tax_in(amount, rate)


@given(st.integers(1, MOST_YEN))
def test_a_total_is_understood_however_it_is_written(amount: int) -> None:
    wide = str(amount).translate({ord(str(n)): chr(0xFF10 + n) for n in range(10)})
    for text in (
        str(amount),
        f"{amount:,}",
        f"¥{amount}",
        f" {amount:,}円 ",
        wide,
        f"　￥{wide}円",
    ):
        assert typed_total(text) == amount  # R65


@pytest.mark.long
@given(st.text())
def test_no_text_is_taken_for_what_it_is_not(text: str) -> None:
    try:
        amount = typed_total(text)
    except AmountRefused:
        return
    assert 1 <= amount <= MOST_YEN
