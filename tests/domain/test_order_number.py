"""Numbers of orders and of their payments at SMBC-GP (R141, R142)."""

from __future__ import annotations

import re

import pytest

from sgpshop.domain.order_number import at_gateway, is_well_formed

#: what SMBC-GP takes
_THERE = re.compile(r"[A-Za-z0-9-]{1,27}")


@pytest.mark.parametrize(
    "number",
    ["P176430120000000001", "123456-20261128-0000000001", "#1001", "store-10000001", "x" * 27],
)
def test_every_number_of_an_order_fits_there_and_is_its_own(number: str) -> None:
    assert is_well_formed(number)
    there = [at_gateway(number, sequence) for sequence in range(100)]
    assert all(_THERE.fullmatch(one) for one in there)
    assert len(set(there)) == 100
    assert there[0] == number.removeprefix("#")


def test_long_numbers_that_differ_at_their_end_stay_apart() -> None:
    assert at_gateway("x" * 26 + "1", 1) != at_gateway("x" * 26 + "2", 1)


def test_numbers_as_they_always_were() -> None:
    assert at_gateway("P176430120000000001", 12) == "P176430120000000001-12"


@pytest.mark.parametrize("number", ["", "-1", "1#", "##1", "#", "x" * 28, "P 1", "Ｐ1"])
def test_what_is_no_number(number: str) -> None:
    assert not is_well_formed(number)
