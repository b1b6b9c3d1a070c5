"""What a spreadsheet program left of a cell, told from another value."""

from __future__ import annotations

import pytest

from sgpshop.domain.spreadsheets import is_cut_number, is_left_of


@pytest.mark.parametrize(
    ("found", "known"),
    [("12", "0012"), ("100000", "1e5"), ("10月20日", "10-20"), ("2026/03/04", "3/4"), ("09:00:00", "9:00")],
)  # fmt: skip
def test_what_is_left_of_a_cell(found: str, known: str) -> None:
    assert is_left_of(found, known)
    assert not is_left_of(known, known)


@pytest.mark.parametrize(
    ("found", "known"),
    [("13", "0012"), ("10月21日", "10-20"), ("12", ""), ("", "0"), ("茶", "緑茶")],
)
def test_another_value_is_another_value(found: str, known: str) -> None:
    assert not is_left_of(found, known)


def test_the_ends_of_long_numbers_are_lost_in_both_programs_forms() -> None:
    assert is_cut_number("4.90715E+11")
    assert is_cut_number("1.23456789012346E+020")
    assert not is_cut_number("1E5")
