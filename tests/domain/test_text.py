"""One plain form of what people type, at a cost that grows with its length (S25)."""

from __future__ import annotations

import sys
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sgpshop.domain import text as module
from sgpshop.domain.text import nfkc, search_key


@given(st.text(max_size=400))
def test_plain_forms_are_those_of_unicode(text: str) -> None:
    marks = 0
    for sign in unicodedata.normalize("NFKD", text):
        marks = marks + 1 if unicodedata.combining(sign) else 0
        if marks > 30:
            return
    assert nfkc(text) == unicodedata.normalize("NFKC", text)


@pytest.mark.parametrize("marks", ["\u0301\u0316", "\u0301", "\u0301\uff9e", "\u0f73\u0f74"])
def test_marks_heaped_on_one_letter_are_cut_before_they_are_sorted(marks: str) -> None:
    text = "か" + marks * 60_000
    assert len(nfkc(text)) < 100
    assert len(search_key(text)) < 100
    assert nfkc("が" + "か\u3099" * 1000) == "が" * 1001  # those of ordinary text stay


def test_no_letter_that_becomes_a_mark_is_forgotten() -> None:
    hidden = {
        sign
        for sign in map(chr, range(128, sys.maxunicode + 1))
        if not unicodedata.combining(sign)
        and unicodedata.combining(unicodedata.normalize("NFKD", sign)[0])
    }
    assert hidden == module._HIDDEN_MARKS
