"""No cell of a file we write runs as a formula (S18)."""

from __future__ import annotations

import pytest

from sgpshop.domain.csv_writing import csv_guarded


@pytest.mark.parametrize(
    "text",
    [
        "=1+1",
        "+81",
        "-2",
        "@SUM(A1)",
        "  =1",
        "＝1",
        "＋1",
        "－1",
        "＠x",
        "\t=1",
        "\r=",
        "\nx",
        "\u3000=1",
    ],
)
def test_the_beginning_of_a_formula_gets_an_apostrophe(text: str) -> None:
    assert csv_guarded(text) == f"'{text}"


@pytest.mark.parametrize("text", ["", "P1", "佐藤 花子", "a=b", "3-5"])
def test_other_text_stays_as_it_is(text: str) -> None:
    assert csv_guarded(text) == text
