"""The conditions of `GET /orders`: those of the screen (R35), read strictly."""

from __future__ import annotations

import re
from datetime import date, datetime
from typing import Annotated, Any, Literal, NoReturn, TypeVar

from flask import request
from pydantic import BeforeValidator, Field

from sgpshop.domain.amounts import MOST_YEN
from sgpshop.domain.bounds import is_countable
from sgpshop.domain.delivery_status import ProcessingClass
from sgpshop.domain.payment_calendar import jst_day
from sgpshop.domain.payment_status import PaymentStatus
from sgpshop.models import OrderKind, utc_now
from sgpshop.services.order_search.criteria import (
    MOST_DAYS,
    MOST_HOURS,
    MOST_NUMBERS,
    DateField,
    KeywordField,
    Method,
    SearchCriteria,
    default_period,
)
from sgpshop.services.order_search.search import PageRequest, SortKey
from sgpshop.web.api.fields import Body, Day, Text100
from sgpshop.web.api.reading import mistake, validated

Query = TypeVar("Query", bound=Body)

MOST_ON_A_PAGE = 200
#: What is said of SearchCriteria.contradictions.
_CONTRADICTIONS = {
    "to": "from以降の日付にしてください。",
    "amount_max": "amount_min以上にしてください。",
}
#: What the sorting and paging are not: without any other parameter the period is the last days.
_PAGING = frozenset({"sort", "dir", "size", "cursor"})

_Flag = Literal["0", "1"]
_Words = Field(max_length=10)


def _digits(text: Any) -> Any:
    """Plain digits become a number; whatever else pydantic would read as one does not."""
    return int(text) if re.fullmatch(r"[0-9]{1,9}", text, re.ASCII) else text + "?"


_Yen = Annotated[int, Field(ge=0, le=MOST_YEN), BeforeValidator(_digits)]
_Days = Annotated[int, Field(ge=0, le=MOST_DAYS), BeforeValidator(_digits)]
_Hours = Annotated[int, Field(ge=0, le=MOST_HOURS), BeforeValidator(_digits)]
_Size = Annotated[int, Field(ge=1, le=MOST_ON_A_PAGE), BeforeValidator(_digits)]


#: a time, or a cursor of services/orders/feed.py
Place = Annotated[str, Field(max_length=40, pattern=r"^[0-9a-zA-Z:.+ -]*$")]


class SearchQuery(Body):
    """All conditions; they combine with AND, several values of one with OR."""

    date_field: Annotated[DateField, Field(description="Which date `from` and `to` are about.")] = (
        DateField.ORDERED_AT
    )
    first: Annotated[Day | None, Field(alias="from", description="First Japanese day.")] = None
    last: Annotated[Day | None, Field(alias="to", description="Last Japanese day.")] = None
    order_no: Annotated[
        str | None,
        Field(
            max_length=29 * MOST_NUMBERS,
            pattern=r"^#?[A-Za-z0-9][A-Za-z0-9-]*([, ]#?[A-Za-z0-9][A-Za-z0-9-]*)*$",
            description="Up to 200 numbers divided by commas; one alone with 4 characters or more "
            "is a beginning.",
        ),
    ] = None
    q: Annotated[Text100, Field(description="A word anywhere in an order, as people search.")] = ""
    processing: Annotated[
        list[ProcessingClass],
        _Words,
        Field(description="What the parcels say together; several: any of them."),
    ] = []
    method: Annotated[Method | None, Field(description="How it is paid.")] = None
    status: Annotated[
        list[PaymentStatus], _Words, Field(description="`payment_status`; several: any of them.")
    ] = []
    member: Annotated[
        _Flag | None, Field(description="1: the buyer has a `member_id`; 0: has none.")
    ] = None
    keyword_fields: Annotated[
        list[KeywordField],
        Field(
            alias="kw_field[]",
            max_length=3,
            description="Where the words of `kw[]` are searched, one for each.",
        ),
    ] = []
    keywords: Annotated[
        list[Text100],
        Field(alias="kw[]", max_length=3, description="Words, each for the field of its place."),
    ] = []
    amount_min: Annotated[_Yen | None, Field(description="Least `total`.")] = None
    amount_max: Annotated[_Yen | None, Field(description="Largest `total`.")] = None
    item: Annotated[Text100, Field(description="Part of an item's name or code.")] = ""
    slip: Annotated[Text100, Field(description="A slip number, or the beginning of one.")] = ""
    has_slip: Annotated[
        _Flag | None, Field(description="1: a parcel has a slip number; 0: none has.")
    ] = None
    kind: Annotated[
        list[OrderKind], _Words, Field(description="What was sold; several: any of them.")
    ] = []
    unsent: Annotated[
        _Flag, Field(description="1: the total was changed and SMBC-GP does not hold that yet.")
    ] = "0"
    auth_days_left: Annotated[
        _Days | None, Field(description="The hold ends within so many days, or has ended.")
    ] = None
    waiting_hours: Annotated[
        _Hours | None, Field(description="needs_review for at least so many hours.")
    ] = None
    error: Annotated[
        str | None,
        Field(pattern=r"^[A-Za-z0-9]{1,20}$", description="ErrInfo code of the last operation."),
    ] = None
    returned_open: Annotated[
        _Flag, Field(description="1: goods came back, and the payment stands.")
    ] = "0"
    shipped_uncaptured: Annotated[_Flag, Field(description="1: sent, and not captured.")] = "0"
    alert: Annotated[_Flag, Field(description="1: somebody of the shop has to look at it.")] = "0"
    sort: Annotated[SortKey, Field(description="What the list is sorted by.")] = SortKey.ORDERED_AT
    dir: Annotated[Literal["asc", "desc"], Field(description="Smallest or largest first.")] = "desc"
    size: Annotated[_Size, Field(description="Orders on a page.")] = 40
    cursor: Annotated[
        str,
        Field(
            max_length=200,
            pattern=r"^[A-Za-z0-9_-]*$",
            description="`next_cursor` of the page before, with the same parameters otherwise.",
        ),
    ] = ""
    changed_since: Annotated[
        Place | None,
        Field(
            description="Orders that changed since, whatever else they are; each comes once, by its"
            " latest change, oldest change first.  Nothing is missed, however late a change is"
            " written.  `changed_cursor` of the answer before, or a time with offset to begin at;"
            " empty: all orders.  Only `size` and `cursor` go with it."
        ),
    ] = None


class EventsQuery(Body):
    """Where to read on."""

    after: Annotated[
        Place,
        Field(
            description="`next_after` of the answer before, the `id` of an event, or a time with"
            " offset to begin at, which may bring events of up to an hour before it; empty: the oldest"
            " event that is kept (30 days)."
        ),
    ] = ""
    size: Annotated[_Size, Field(description="Events in one answer.")] = 100


#: parameters that may come several times
REPEATED = frozenset({"processing", "status", "kw_field[]", "kw[]", "kind"})


def read() -> SearchQuery:
    """The query string of this request.  Raises ApiRefusal (422)."""
    query = read_plain(SearchQuery)
    if query.changed_since is not None:
        for name in _meant(query) - {"changed_since", "size", "cursor"}:
            _refuse(name, "changed_sinceと一緒に指定できるのは、sizeとcursorだけです。")
    return query


def _meant(query: SearchQuery) -> set[str]:
    """Parameters that say something: a program may write out defaults."""
    return {
        field.alias or name
        for name, field in SearchQuery.model_fields.items()
        if getattr(query, name) != field.get_default(call_default_factory=True)
    }


def read_plain(model: type[Query]) -> Query:
    """The query string as `model`, every parameter once but those that may repeat.

    Raises ApiRefusal (422).
    """
    sent: dict[str, Any] = {}
    for name, values in request.args.lists():
        if name in REPEATED:
            sent[name] = values
        elif len(values) > 1:
            _refuse(name[:40], "1回だけ指定してください。")
        else:
            sent[name] = values[0]
    return validated(model, sent)


def place(text: str, name: str) -> str | datetime:
    """Where to read on: a time, or a cursor as it is.  Raises ApiRefusal (422) for a time without offset."""
    if "T" not in text:
        return text
    try:
        moment: datetime | None = datetime.fromisoformat(
            text.replace(" ", "+")
        )  # a + that was not escaped
    except ValueError:
        moment = None
    if moment is None or moment.tzinfo is None or not is_countable(moment):
        _refuse(name, "2026-11-23T10:15:00+09:00の形式(+は%2B)で指定してください。")
    return moment


def conditions(query: SearchQuery) -> tuple[SearchCriteria, PageRequest]:
    """What is searched; without any condition the orders of the last seven days (R36).

    Raises ApiRefusal (422).
    """
    page = PageRequest(query.sort, query.dir == "desc", query.size, query.cursor)
    return _criteria(query, is_first=not _meant(query) - _PAGING), page


def _criteria(query: SearchQuery, *, is_first: bool) -> SearchCriteria:
    first, last = _day(query.first), _day(query.last)
    if is_first:
        first, last = default_period(jst_day(utc_now()))
    if len(query.keywords) != len(query.keyword_fields):
        _refuse("kw[]", "kw_field[]と同じ数だけ指定してください。")
    numbers = tuple(dict.fromkeys((query.order_no or "").replace(",", " ").split()))
    if len(numbers) > MOST_NUMBERS:
        _refuse("order_no", f"{MOST_NUMBERS}件以下にしてください。")
    criteria = SearchCriteria(
        date_field=query.date_field,
        day_from=first,
        day_to=last,
        word=query.q.strip(),
        order_numbers=numbers,
        processing=tuple(query.processing),
        method=query.method,
        statuses=tuple(query.status),
        is_member=_flag(query.member),
        keywords=tuple(
            (field, word)
            for field, word in zip(query.keyword_fields, query.keywords, strict=True)
            if word.strip()
        ),
        amount_min=query.amount_min,
        amount_max=query.amount_max,
        item=query.item.strip(),
        slip=query.slip.strip(),
        has_slip=_flag(query.has_slip),
        kinds=tuple(query.kind),
        unsent=query.unsent == "1",
        auth_days_left=query.auth_days_left,
        waiting_hours=query.waiting_hours,
        error=(query.error or "").upper(),
        returned_open=query.returned_open == "1",
        shipped_uncaptured=query.shipped_uncaptured == "1",
        alert=query.alert == "1",
    )
    for name in criteria.contradictions:
        _refuse(name, _CONTRADICTIONS[name])
    return criteria


def _flag(text: str | None) -> bool | None:
    return None if text is None else text == "1"


def _day(text: str | None) -> date | None:
    return date.fromisoformat(text) if text else None


def _refuse(name: str, sentence: str) -> NoReturn:
    raise mistake(f"?{name}", sentence, "検索条件を確認してください。")
