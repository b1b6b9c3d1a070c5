"""The search form of the order list: from a query string to criteria, with a word for each mistake.

A value that cannot be read is left out of the search and explained beside its field; nothing here
raises (R35).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from datetime import date
from enum import StrEnum
from functools import cached_property
from typing import TypeVar
from urllib.parse import parse_qsl, urlencode

from werkzeug.datastructures import MultiDict

from sgpshop.domain.amounts import MOST_YEN
from sgpshop.domain.bounds import DAYS_WORDS, is_usable
from sgpshop.domain.delivery_status import ProcessingClass
from sgpshop.domain.handling import Handling
from sgpshop.domain.payment_status import PaymentStatus
from sgpshop.domain.text import has_control_characters, nfkc
from sgpshop.models import OrderKind
from sgpshop.services.order_search.criteria import (
    LONGEST_WORD,
    MOST_DAYS,
    MOST_HOURS,
    MOST_NUMBERS,
    DateField,
    KeywordField,
    Method,
    SearchCriteria,
)
from sgpshop.services.order_search.search import PAGE_SIZES, PageRequest, SortKey

KEYWORD_ROWS = 3
#: parameters that say which rows of a search are shown, not what is searched for
_PAGE_FIELDS = ("cursor", "sort", "dir", "size")
#: キーワード対象 (R34)
KEYWORD_WORDS = {
    KeywordField.BUYER: "注文者(漢字・カナ)",
    KeywordField.EMAIL: "メールアドレス",
    KeywordField.MEMBER: "会員ID",
    KeywordField.TEL: "電話番号",
    KeywordField.ORDER_NO: "注文番号",
    KeywordField.RECIPIENT: "お届け先",
    KeywordField.SLIP: "伝票番号",
    KeywordField.AMOUNT: "金額",
}
#: What is said of SearchCriteria.contradictions.
_CONTRADICTIONS = {
    "to": "終了日は開始日以降の日付にしてください。",
    "amount_max": "上限は下限以上の金額にしてください。",
}

#: parameter -> the field of services.search_fields it belongs to
_FIELD_OF = {
    "from": "period",
    "to": "period",
    "order_no": "order_no",
    "processing": "processing",
    "status": "status",
    "method": "method",
    "kw[]": "keyword",
    "amount_min": "amount",
    "amount_max": "amount",
    "item": "item",
    "slip": "slip",
    "has_slip": "slip",
    "member": "member",
    "kind": "kind",
    "auth_days_left": "auth_days_left",
    "waiting_hours": "waiting_hours",
    "unfinished": "unfinished",
    "unsent": "unsent",
    "error": "error",
    "returned_open": "returned_open",
    "shipped_uncaptured": "shipped_uncaptured",
    "uncollected_on": "uncollected_on",
    "handling": "handling",
    "alert": "alert",
}
#: Looked for among all orders, finished ones too.
_FINDS_ANYWHERE = ("q", "order_no", "kw[]", "slip")
_TYPED = (*_FINDS_ANYWHERE, "item", "error", "amount_min", "amount_max")
_CONDITIONS = (*_FIELD_OF, "q", "date_field", "kw_field[]", "failed_of")
#: The value of `unfinished` that nobody chose: it gives way to whoever looks for one order.
BY_ITSELF = "auto"
_PAGING = ("sort", "dir", "size", "cursor")

Word = TypeVar("Word", bound=StrEnum)


@dataclass
class SearchForm:
    """What was typed, what it means, and what could not be read.

    `values` are the texts as typed, `errors` sentences by parameter name.
    """

    values: MultiDict[str, str]
    criteria: SearchCriteria = field(default_factory=SearchCriteria)
    page: PageRequest = field(default_factory=PageRequest)
    errors: dict[str, str] = field(default_factory=dict)

    def query(self, **changes: str | Iterable[str] | None) -> str:
        """This search as a query string with some parameters replaced (None: removed).

        The place in the result is kept only where `cursor` says so.
        """
        replaced = {name.rstrip("_"): value for name, value in changes.items()}
        pairs = [pair for name, pair in self._pairs if name not in replaced]
        for name, value in replaced.items():
            texts = [value] if isinstance(value, str) else value or []
            pairs += [urlencode([(name, text)]) for text in texts]
        return "&".join(pairs)

    @cached_property
    def _pairs(self) -> list[tuple[str, str]]:
        """Each parameter that goes on, and how it is written: a page does so thirty times."""
        return [
            (name, urlencode([(name, value)]))
            for name, value in self.values.items(multi=True)
            if name != "cursor" and (value or name in ("from", "to"))
        ]

    @property
    def search(self) -> str:
        """What is searched for, the same on whichever page and in whatever order of rows."""
        pairs = self.values.items(multi=True)
        return urlencode(sorted(p for p in pairs if p[1] and p[0] not in _PAGE_FIELDS))

    @property
    def looks_for_one(self) -> bool:
        """Whether somebody looks for certain orders, wherever they are, by a word or a number."""
        return any(any(self.values.getlist(name)) for name in _FINDS_ANYWHERE)

    @property
    def is_typed(self) -> bool:
        """Whether somebody typed some of it: then nothing that shows it is kept."""
        return bool(self.errors) or any(any(self.values.getlist(name)) for name in _TYPED)

    @property
    def used_fields(self) -> set[str]:
        """The fields that must be visible: they narrow this search, or hold a mistake.

        The status does not count: the tabs show it.
        """
        used = {name for name, value in self.values.items(multi=True) if value} - {"status"}
        return {_FIELD_OF[name] for name in used | set(self.errors) if name in _FIELD_OF}


def parse_search(arguments: MultiDict[str, str], today: date) -> SearchForm:
    """The search a query string stands for; without any condition all unfinished orders (R36)."""
    known = [
        (name, value)
        for name, value in arguments.items(multi=True)
        if name in _CONDITIONS or name in _PAGING
    ]
    values: MultiDict[str, str] = MultiDict(known)
    is_first = not any(name in _CONDITIONS for name, _ in known)
    # An empty period says "all" in every link made from here; without it R36 would come back.
    for name in ("from", "to"):
        values.setdefault(name, "")
    if is_first:
        values["unfinished"] = BY_ITSELF
    form = SearchForm(values)
    if form.looks_for_one and values.get("unfinished") == BY_ITSELF:
        del values["unfinished"]
    reader = _Reader(form)
    form.criteria = reader.criteria()
    form.page = reader.page()
    return form


def parse_query(query: str, today: date) -> SearchForm:
    """The same for a query string that came back in a form field."""
    try:
        pairs = parse_qsl(query[:8000], keep_blank_values=True, max_num_fields=300)
    except ValueError:
        pairs = []
    return parse_search(MultiDict(pairs), today)


def _can_be_number(text: str) -> bool:
    return text.isascii() and text.isprintable()


class _Reader:
    """Reads one parameter after the other; a mistake becomes a sentence in `form.errors`."""

    def __init__(self, form: SearchForm) -> None:
        self._form = form
        self._typed = form.values.to_dict()  # the first of each; most are not there

    def criteria(self) -> SearchCriteria:
        criteria = SearchCriteria(
            date_field=self._word("date_field", DateField) or DateField.ORDERED_AT,
            day_from=self._day("from"),
            day_to=self._day("to"),
            word=self._text("q"),
            order_numbers=self._order_numbers(),
            processing=self._words("processing", ProcessingClass),
            method=self._word("method", Method),
            statuses=self._words("status", PaymentStatus),
            is_member=self._yes_no("member"),
            keywords=self._keywords() + self._names_among_numbers(),
            amount_min=self._number("amount_min", MOST_YEN),
            amount_max=self._number("amount_max", MOST_YEN),
            item=self._text("item"),
            slip=self._text("slip"),
            has_slip=self._yes_no("has_slip"),
            kinds=self._words("kind", OrderKind),
            handling=self._words("handling", Handling),
            unfinished=self._typed.get("unfinished", "") in ("1", BY_ITSELF),
            unsent=bool(self._yes_no("unsent")),
            auth_days_left=self._number("auth_days_left", MOST_DAYS),
            waiting_hours=self._number("waiting_hours", MOST_HOURS),
            error=self._text("error").upper(),
            returned_open=bool(self._yes_no("returned_open")),
            shipped_uncaptured=bool(self._yes_no("shipped_uncaptured")),
            alert=bool(self._yes_no("alert")),
            uncollected_on=self._day("uncollected_on"),
            failed_of=self._text("failed_of"),
        )
        for name in criteria.contradictions:
            self._complain(name, _CONTRADICTIONS[name])
        return criteria

    def page(self) -> PageRequest:
        """Sorting and paging; anything unknown is the default, for nobody types these."""
        get = self._typed.get
        size = get("size", "")
        sort = get("sort", "")
        return PageRequest(
            sort=SortKey(sort) if sort in list(SortKey) else SortKey.ORDERED_AT,
            descending=get("dir") != "asc",
            size=int(size) if size in map(str, PAGE_SIZES) else PageRequest.size,
            cursor=get("cursor", "")[:200],
        )

    def _complain(self, name: str, sentence: str) -> None:
        self._form.errors.setdefault(name, sentence)

    def _text(self, name: str) -> str:
        return self._checked(name, self._typed.get(name, "").strip())

    def _checked(self, name: str, text: str) -> str:
        if len(text) > LONGEST_WORD:
            self._complain(name, f"{LONGEST_WORD}文字以内で入力してください。")
        elif has_control_characters(text):
            self._complain(name, "使用できない文字が含まれています。")
        else:
            return text
        return ""

    def _day(self, name: str) -> date | None:
        text = self._text(name).replace("/", "-")
        if not text:
            return None
        try:
            day = date.fromisoformat(nfkc(text))
        except ValueError:
            self._complain(name, "日付は 2026-11-23 のように入力してください。")
            return None
        if not is_usable(day):
            self._complain(name, f"日付は{DAYS_WORDS}で入力してください。")
            return None
        return day

    def _number(self, name: str, most: int) -> int | None:
        text = nfkc(self._text(name)).replace(",", "").removeprefix("¥")
        if not text:
            return None
        if not (text.isascii() and text.isdigit() and len(text) <= 9 and int(text) <= most):
            self._complain(name, f"0から{most:,}までの整数で入力してください。")
            return None
        return int(text)

    def _yes_no(self, name: str) -> bool | None:
        return {"1": True, "0": False}.get(self._typed.get(name, ""))

    def _word(self, name: str, words: Callable[[str], Word]) -> Word | None:
        found = self._words(name, words)
        return found[0] if found else None

    def _words(self, name: str, words: Callable[[str], Word]) -> tuple[Word, ...]:
        found: dict[Word, None] = {}
        for text in self._form.values.getlist(name):
            if not text:
                continue
            try:
                found[words(text)] = None
            except ValueError:
                self._complain(
                    name, "選択肢にない値が指定されたため、この条件を除いて検索しました。"
                )
        return tuple(found)

    def _order_numbers(self) -> tuple[str, ...]:
        typed = nfkc(self._typed.get("order_no", ""))
        numbers = tuple(dict.fromkeys(typed.replace(",", " ").replace("、", " ").split()))
        if len(numbers) > MOST_NUMBERS:
            self._complain("order_no", f"注文番号は{MOST_NUMBERS}件まで指定できます。")
            return numbers[:MOST_NUMBERS]
        return tuple(number[:LONGEST_WORD] for number in numbers if _can_be_number(number))

    def _names_among_numbers(self) -> tuple[tuple[KeywordField, str], ...]:
        """What was typed as a number and cannot be one: a name, and never refused."""
        typed = self._typed.get("order_no", "")
        word = " ".join(part for part in typed.split() if not _can_be_number(nfkc(part)))
        checked = self._checked("order_no", word)
        return ((KeywordField.BUYER, checked),) if checked else ()

    def _keywords(self) -> tuple[tuple[KeywordField, str], ...]:
        values = self._form.values
        found: list[tuple[KeywordField, str]] = []
        rows = zip(values.getlist("kw_field[]"), values.getlist("kw[]"), strict=False)
        for name, typed in list(rows)[:KEYWORD_ROWS]:
            word = self._checked("kw[]", typed.strip())
            if not word:
                continue
            try:
                found.append((KeywordField(name), word))
            except ValueError:
                self._complain("kw[]", "キーワードの対象を選び直してください。")
        return tuple(found)
