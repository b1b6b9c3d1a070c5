"""The states of protocol.md §3.1 and what they mean to a caller."""

import pytest

from sgpshop.gateway import TradeState


def test_every_state_has_the_console_s_word() -> None:
    assert TradeState.SALES.label == "実売上"
    assert TradeState.RETURNX.label == "月跨返品"
    assert len({state.label for state in TradeState}) == len(TradeState)


@pytest.mark.parametrize("state", TradeState)
def test_every_state_is_exactly_one_thing(state: TradeState) -> None:
    meanings = [
        state.is_authorized,
        state.is_captured,
        state.is_cancelled,
        state.is_check,
        state.is_unfinished,
        state in (TradeState.SAUTH, TradeState.UNKNOWN),  # nothing we may act on
    ]
    assert meanings.count(True) == 1


def test_a_new_word_is_unknown_and_never_a_failure() -> None:
    assert TradeState.of("RETURN") is TradeState.RETURN
    for word in ("PAYSTART", "", "sales"):
        assert TradeState.of(word) is TradeState.UNKNOWN
