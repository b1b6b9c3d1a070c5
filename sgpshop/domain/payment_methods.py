"""Whether a way of payment, as other programs call it, is our card payment (§2.3 of the layouts).

A card order that is taken for something else can never be captured, so nothing is guessed: a name
that is neither is asked about once, and the shop's answer kept (設定 → 注文ファイルの決済方法).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from sgpshop.domain.text import nfkc

#: «SGP», «SGP:クレジットカード決済», «SGPカード決済(仮売上)»
_SGP = re.compile(r"sgp(?::.*|(?:カード|クレジット).*)?")
_STATE = re.compile(r"(?<=.)\([^()]*\)$")
#: Payment type letters of the cart's API (R144).
_LETTERS = {
    "R": "代金引換",
    "B": "銀行振込",
    "P": "ゆうちょ",
    "Z": "コンビニ",
    "N": "NP後払い",
    "A": "後払い.com",
    "M": "Paid",
    "B1": "GMO後払い",
    "M1": "銀行振込",
    "D1": "Amazon Pay",
}
#: Never taken for something else unasked.
_MAY_BE_CARD = re.compile(
    r"カード|クレジット|card|credit|sgp|visa|master|jcb|amex|ダイナース|diners"
)
#: What no card payment has in its name.
_OTHERS = re.compile(
    r"代引|代金引換|振込|振替|ゆうちょ|コンビニ|後払|現金|店頭|掛け?払|掛売|請求書|月締|商品券|無料|ポイント|キャリア決済"
    r"|d払い|paid|pay(?!ment)|ペイ|ペイジー|キャッシュオンデリバリー|cashondelivery|cod\b|bankdeposit|ドコモ|auかんたん|ソフトバンク"
)


def folded(name: str) -> str:
    """A name in the form in which names are compared: width, case and blanks make no difference."""
    return "".join(nfkc(name).casefold().split())


@dataclass(frozen=True)
class KnownMethods:
    """What the shop has said of names, and the name that buyers see for our own (決済名称)."""

    sgp: frozenset[str] = field(default_factory=frozenset)
    others: frozenset[str] = field(default_factory=frozenset)

    @classmethod
    def of(cls, title: str, sgp: Iterable[str], others: Iterable[str]) -> KnownMethods:
        """From names as they were written."""
        ours = {folded(name) for name in (title, *sgp) if name.strip()}
        return cls(frozenset(ours), frozenset(map(folded, others)))

    def as_json(self) -> dict[str, list[str]]:
        """In a form to be kept."""
        return {"sgp": sorted(self.sgp), "others": sorted(self.others)}

    @classmethod
    def from_json(cls, kept: Mapping[str, Iterable[str]]) -> KnownMethods:
        """From what `as_json` gave."""
        return cls(frozenset(kept["sgp"]), frozenset(kept["others"]))

    def is_sgp(self, name: str) -> bool | None:
        """Whether orders of this name are SGP card orders; None: nobody knows."""
        key = folded(name)
        if key in self.others:
            return False
        for form in (key, _STATE.sub("", key)):
            if form in self.sgp or _SGP.fullmatch(form):
                return True
            if form in self.others:
                return False
        if _MAY_BE_CARD.search(key):
            return None
        return False if name in _LETTERS or _OTHERS.search(key) else None


def plain_name(name: str) -> str:
    """The name to be shown: a letter of the cart's API in words."""
    return _LETTERS.get(name, name)
