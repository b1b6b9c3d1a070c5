"""The panel of conditions over the list: a piece that is kept for every search in which nothing is typed."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from datetime import date, timedelta

from flask import request
from flask_login import current_user
from markupsafe import Markup

from sgpshop.domain.delivery_status import ProcessingClass
from sgpshop.domain.handling import Handling
from sgpshop.domain.payment_calendar import jst_day
from sgpshop.domain.payment_status import SUBSCRIPTION_STATUSES, PaymentStatus
from sgpshop.models import utc_now
from sgpshop.services.order_search import saved_views, search_fields
from sgpshop.services.order_search.search_fields import FIELDS
from sgpshop.services.order_search.totals import Totals
from sgpshop.services.settings import ShopSettings
from sgpshop.web.frame.pieces import piece, token
from sgpshop.web.order_search.chips import DATE_WORDS, KIND_WORDS, Chip
from sgpshop.web.order_search.form import KEYWORD_ROWS, KEYWORD_WORDS, SearchForm


def panel(
    form: SearchForm,
    in_force: Sequence[Chip],
    shop: ShopSettings,
    totals: Totals,
    *,
    is_beside: bool,
) -> Markup:
    """The whole panel; `is_beside` the results alone, in place of the one that is there."""
    today = jst_day(utc_now())
    chosen = search_fields.chosen(current_user.search_fields)
    statuses = tuple(_statuses(shop, totals))
    return piece(
        "order_search/_conditions.html",
        {
            "oob": is_beside,
            # Whoever typed goes on typing: the conditions stay open then.
            "was_typed": request.headers.get("HX-Trigger") == "search",
            "fields": tuple(name for name in FIELDS if name in {*chosen, *form.used_fields}),
            "chosen_fields": tuple(chosen),
            "statuses": statuses,
            "views": tuple(saved_views.visible(current_user.id)),
            "person_id": current_user.id,
            "csrf_token": token(),
            "today": today,
            "values": tuple(form.values.items(multi=True)),
        },
        lambda: {
            "form": form,
            "chips": in_force,
            "all_fields": FIELDS,
            "periods": _periods(form, today),
            "choices": _choices(statuses),
            "keyword_rows": KEYWORD_ROWS,
        },
        is_typed=form.is_typed,
    )


def _statuses(shop: ShopSettings, totals: Totals) -> Iterator[PaymentStatus]:
    """Those that this shop uses, or has orders of."""
    for word in PaymentStatus:
        if shop.subscription_enabled or word in totals or word not in SUBSCRIPTION_STATUSES:
            yield word


def _choices(statuses: Iterable[PaymentStatus]) -> dict[str, list[tuple[str, str]]]:
    """Value and words of the conditions with many choices."""
    return {
        "handling": [(word.value, word.label) for word in Handling],
        "processing": [(word.value, word.label) for word in ProcessingClass],
        "status": [(word.value, word.label) for word in statuses],
        "keyword": [(word.value, words) for word, words in KEYWORD_WORDS.items()],
        "date_field": [(word.value, words) for word, words in DATE_WORDS.items()],
        "kind": [(word.value, words) for word, words in KIND_WORDS.items()],
    }


def _periods(form: SearchForm, day: date) -> list[tuple[str, str, bool]]:
    """The quick buttons of R33: words, query string, and whether that period is shown now."""
    month = day.replace(day=1)
    last_month_end = month - timedelta(days=1)
    shown = (form.criteria.day_from, form.criteria.day_to)
    return [
        (words, form.query(from_=str(first), to=str(last)), shown == (first, last))
        for words, first, last in (
            ("当日", day, day),
            ("3日", day - timedelta(days=2), day),
            ("一週間", day - timedelta(days=6), day),
            ("今月", month, day),
            ("先月", last_month_end.replace(day=1), last_month_end),
        )
    ] + [("全期間", form.query(from_="", to=""), shown == (None, None))]
