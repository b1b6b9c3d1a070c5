"""CSV files that people take away: no cell of them runs as a formula (S18, §14.3)."""

from __future__ import annotations

from datetime import UTC, date, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sgpshop.domain.csv_writing import Encoding, csv_file, csv_guarded, csv_text, csv_texts


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


ROWS = [
    [["=1+1", 1200, None], ["森鷗外", 0, datetime(2026, 11, 23, 1, 15, tzinfo=UTC)]],
    [["P3", -5, date(2026, 12, 1)]],
]


def test_a_file_begins_with_its_mark_and_heading_and_shows_japanese_time() -> None:
    parts = list(csv_file(("名前", "金額", "日時"), ROWS))
    assert (
        b"".join(parts)
        == (
            "\ufeff名前,金額,日時\r\n'=1+1,1200,\r\n森鷗外,0,2026/11/23 10:15:00\r\nP3,-5,2026/12/01\r\n"
        ).encode()
    )
    assert len(parts) == 3  # as it is made: a file of any size takes little memory (P23)


def test_a_cp932_file_has_no_mark_and_a_sign_for_what_it_lacks() -> None:
    content = b"".join(csv_file(("名前", "金額", "日時"), ROWS, Encoding.CP932))
    assert content.decode("cp932").splitlines()[:3] == [
        "名前,金額,日時",
        "'=1+1,1200,",
        "森〓外,0,2026/11/23 10:15:00",
    ]


@given(
    st.lists(
        st.none() | st.text(alphabet="aあ\U00020bb7,\"\r\n\t '=+-@＝　〜", max_size=4), max_size=6
    ),
    st.sampled_from(Encoding),
)
def test_many_texts_are_written_as_each_of_them(
    values: list[str | None], encoding: Encoding
) -> None:
    assert list(csv_texts(values, encoding)) == [csv_text(value, encoding) for value in values]
