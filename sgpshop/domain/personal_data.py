"""Which data of an order is about its buyer, and how it is replaced (S12a).

What the order was and what became of its money stays: number, times, items, amounts, payment, slip
numbers, 会員ID (it says which card at SMBC-GP was charged) and the reasons that people of the shop typed.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from typing import Any

#: Stands where something about a person stood.
ERASED = "(消去済み)"

#: Columns of orders that say who the buyer is.
BUYER = (
    "buyer_name",
    "buyer_kana",
    "buyer_company",
    "buyer_department",
    "buyer_postal_code",
    "buyer_prefecture",
    "buyer_address",
    "buyer_tel",
    "buyer_email",
)
#: Columns of orders and of deliveries; the first of each is a name, and says that it was erased.
OF_BUYER = (*BUYER, "note", "memo")
OF_RECIPIENT = ("name", "postal_code", "prefecture", "address", "tel")

_MEMO = re.compile(r"社内メモ .*", re.DOTALL)


def without_person(detail: Mapping[str, Any], kept: Collection[str]) -> dict[str, Any]:
    """What a history entry keeps of its detail.

    `kept`: the titles of fields that say nothing of a person; every other correction loses its values.
    """
    left = dict(detail)
    if corrections := left.get("corrections"):
        left["corrections"] = [
            [label, before, after] if _is_kept(label, kept) else [label, ERASED, ERASED]
            for label, before, after in corrections
        ]
    if isinstance(changes := left.get("changes"), str):
        left["changes"] = _MEMO.sub(f"社内メモ {ERASED}", changes)
    return left


def _is_kept(label: str, kept: Collection[str]) -> bool:
    """Whether a correction of this name says nothing of a person: what is not known is taken to."""
    return label.startswith(("ほか", "商品")) or label.endswith(tuple(kept))
