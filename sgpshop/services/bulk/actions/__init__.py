"""The actions there are, in the order of the chooser (R39, R51)."""

from __future__ import annotations

from sgpshop.domain import words
from sgpshop.domain.order_rules import Refusal
from sgpshop.services.bulk.action import Action
from sgpshop.services.bulk.actions import (
    amount_changes,
    cancellations,
    captures,
    deliveries,
    extensions,
)

ALL = (
    captures.ACTION,
    amount_changes.ACTION,
    extensions.ACTION,
    deliveries.ACTION,
    cancellations.ACTION,
)
_BY_WORD = {action.word: action for action in ALL}


def find(word: str) -> Action | None:
    """The action of this word, if this program knows it."""
    return _BY_WORD.get(word)


def named(word: str) -> Action:
    """The same to be shown: runs of another version have words too, and nothing to be started."""
    return _BY_WORD.get(word) or Action(
        word=word,
        label=words.unknown(word),
        hint="",
        refusal=lambda *_: None,
        reasons=Refusal,
        done="が完了",
        nothing="",
    )
