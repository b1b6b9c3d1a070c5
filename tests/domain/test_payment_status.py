"""The table of allowed moves, tested as a table (rules.md §4.1, R7)."""

from __future__ import annotations

import itertools

import pytest

from sgpshop.domain.errors import ImpossibleTransition
from sgpshop.domain.history import SENTENCES, sentence
from sgpshop.domain.payment_status import (
    CAPTURABLE,
    TRANSITIONS,
    Event,
    PaymentStatus,
    is_possible,
    next_status,
)

S, E = PaymentStatus, Event


def test_there_are_exactly_the_seven_statuses_with_their_words() -> None:
    assert [status.label for status in PaymentStatus] == [  # R7, §17
        "仮売上", "決済完了", "売上失敗", "注文キャンセル", "要確認", "決済待ち", "売上報告済",
    ]  # fmt: skip


def test_a_pair_is_in_the_table_or_impossible() -> None:
    """All 7 × 50 of them; what fails is listed."""
    wrong = []
    for now, event in itertools.product(PaymentStatus, Event):
        try:
            after: PaymentStatus | None = next_status(now, event)
        except ImpossibleTransition:
            after = None
        wanted = TRANSITIONS.get((now, event))
        if after is not wanted or is_possible(now, event) is not (wanted is not None):
            wrong.append((now, event, after))
    assert wrong == []


def test_only_a_confirmed_capture_or_a_look_up_leads_to_captured() -> None:
    leading = {
        event
        for (now, event), after in TRANSITIONS.items()
        if after is S.CAPTURED and now is not S.CAPTURED
    }
    assert leading == {E.CAPTURE_DONE, E.SALE_DONE, E.FOUND_CAPTURED}  # R11, R13, P3


def test_our_own_capture_starts_only_where_it_may() -> None:
    starting = {now for now, event in TRANSITIONS if event is E.CAPTURE_UNKNOWN}
    assert starting == CAPTURABLE  # T24: never from 決済完了 or 注文キャンセル


def test_a_sent_change_or_a_refused_cancel_leaves_the_status() -> None:
    for event in (E.CHANGE_DONE, E.CHANGE_REJECTED, E.EXTEND_DONE, E.CANCEL_REJECTED):
        moved = {
            now for (now, what), after in TRANSITIONS.items() if what is event and now != after
        }
        assert moved == set()  # T12, T13, T16, T26


@pytest.mark.parametrize("before", [S.AUTHORIZED, S.CAPTURE_FAILED, S.CAPTURED])
def test_out_of_doubt_an_unchanged_payment_is_what_it_was(before: PaymentStatus) -> None:
    assert next_status(S.NEEDS_REVIEW, E.CANCEL_REJECTED, before_doubt=before) is before  # T9b
    assert next_status(S.NEEDS_REVIEW, E.CANCEL_DONE, before_doubt=before) is S.CANCELLED


def test_only_a_confirmed_cancel_or_a_look_up_leads_to_cancelled() -> None:
    leading = {
        event
        for (now, event), after in TRANSITIONS.items()
        if after is S.CANCELLED and now is not S.CANCELLED
    }
    assert leading == {E.CANCEL_DONE, E.FOUND_CANCELLED}  # P3


def test_a_look_up_always_follows_the_gateway() -> None:
    for now in (S.NEEDS_REVIEW, S.AUTHORIZED, S.CAPTURE_FAILED, S.CAPTURED):
        assert next_status(now, E.FOUND_CAPTURED) is S.CAPTURED  # R120, P18
        assert next_status(now, E.FOUND_CANCELLED) is S.CANCELLED


def test_an_order_not_paid_by_card_moves_nowhere() -> None:
    assert not any(is_possible(None, event) for event in Event)


@pytest.mark.parametrize("event", SENTENCES)
def test_every_sentence_can_be_told_even_without_its_details(event: str) -> None:
    told = sentence(event, "田中さん", {})
    assert told
    assert "{" not in told


@pytest.mark.parametrize("status", S)
def test_every_status_has_words_for_the_buyer(status: S) -> None:
    assert status.buyer_text.endswith("。")
    asks_to_call = "お問い合わせください" in status.buyer_text
    assert asks_to_call is (status is S.NEEDS_REVIEW)  # R27
