"""The conditions in force, each in a few words that can be taken away with one press."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date

from sgpshop.models import OrderKind
from sgpshop.services.order_search.criteria import DateField, Method, SearchCriteria
from sgpshop.services.order_search.search_fields import FIELDS
from sgpshop.web.order_search.form import KEYWORD_WORDS, SearchForm

DATE_WORDS = {
    DateField.ORDERED_AT: "注文日時",
    DateField.WISH_DATE: "配送希望日",
    DateField.CAPTURED_AT: "売上日時",
    DateField.CANCELLED_AT: "取消日時",
    DateField.REFUNDED_ON: "返金日",
}
KIND_WORDS = {OrderKind.SUBSCRIPTION: "定期", OrderKind.PREORDER: "予約", OrderKind.NORMAL: "通常"}
#: the parameters of a field that are not named as it is
_PARAMETERS = {
    "keyword": ("kw[]", "kw_field[]"),
    "amount": ("amount_min", "amount_max"),
    "slip": ("slip", "has_slip"),
}


@dataclass(frozen=True)
class Chip:
    """One condition; `without` is the query string of the search without it, None for all periods."""

    name: str
    words: str
    without: str | None


def chips(form: SearchForm) -> list[Chip]:
    """The period first, even where it is all of them; then the word of the box, then every other field."""
    found = form.criteria
    period = _span(found.day_from, found.day_to)
    without = form.query(from_="", to="") if period else None
    first = [Chip(DATE_WORDS[found.date_field], period or "全期間", without)]
    if found.word:
        first.append(Chip("検索", found.word, form.query(q=None)))
    return first + [
        Chip(FIELDS[name], words, form.query(**dict.fromkeys(_PARAMETERS.get(name, (name,)))))
        for name, words in _words(found)
        if words
    ]


def _words(found: SearchCriteria) -> Iterator[tuple[str, str]]:
    yield "order_no", " ".join(found.order_numbers)
    yield "processing", "・".join(one.label for one in found.processing)
    if found.method:
        yield "method", "SGP:カード決済" if found.method is Method.SGP else "その他"
    yield "keyword", "・".join(f"{KEYWORD_WORDS[field]} {word}" for field, word in found.keywords)
    yield "amount", _between(found.amount_min, found.amount_max)
    yield "item", found.item
    yield "slip", found.slip or _yes_no(found.has_slip, "あり", "なし")
    yield "member", _yes_no(found.is_member, "会員", "非会員")
    yield "kind", "・".join(KIND_WORDS[kind] for kind in found.kinds)
    yield "handling", "・".join(one.label for one in found.handling)
    if found.auth_days_left is not None:
        yield "auth_days_left", f"残り{found.auth_days_left}日以内"
    if found.waiting_hours is not None:
        yield "waiting_hours", f"{found.waiting_hours}時間以上"
    if day := found.uncollected_on:
        yield "uncollected_on", f"{day.year}/{day.month}/{day.day} の終わり"
    yield "error", found.error
    for name in ("unfinished", "unsent", "shipped_uncaptured", "returned_open", "alert"):
        yield name, "だけ" if getattr(found, name) else ""


def _span(first: date | None, last: date | None) -> str:
    ends = [f"{day.year}/{day.month}/{day.day}" if day else "" for day in (first, last)]
    return "〜".join(ends) if any(ends) and ends[0] != ends[1] else ends[0]


def _between(least: int | None, most: int | None) -> str:
    ends = ["" if yen is None else f"¥{yen:,}" for yen in (least, most)]
    return "〜".join(ends) if any(ends) else ""


def _yes_no(value: bool | None, yes: str, no: str) -> str:
    return {True: yes, False: no, None: ""}[value]
