"""What the order list shows, gathered for every view that renders it whole or in part."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import date
from typing import Any

from flask import render_template, request
from flask_login import current_user

from sgpshop.domain.errors import CursorInvalid
from sgpshop.domain.payment_calendar import jst_day
from sgpshop.domain.payment_status import CAPTURABLE, SUBSCRIPTION_STATUSES, PaymentStatus
from sgpshop.models import Role, utc_now
from sgpshop.services import settings
from sgpshop.services.bulk import report, runs
from sgpshop.services.bulk.actions import captures
from sgpshop.services.bulk.selection import NOTHING_CHOSEN, Selection, weigh
from sgpshop.services.dashboard import pictures
from sgpshop.services.order_files import exporting
from sgpshop.services.order_search import search, texts
from sgpshop.services.order_search.totals import (
    Total,
    Totals,
    added,
    questions_ahead,
    status_totals,
    total,
    totals_of_found,
)
from sgpshop.services.orders.facts import Facts
from sgpshop.services.payments.gateway_access import console_links
from sgpshop.services.settings import ShopSettings
from sgpshop.services.subscriptions import use
from sgpshop.storage.keyset import Page
from sgpshop.storage.questions import answers
from sgpshop.web.order_search import choices, conditions
from sgpshop.web.order_search.chips import DATE_WORDS, Chip, chips
from sgpshop.web.order_search.choices import Choice
from sgpshop.web.order_search.form import SearchForm


@dataclass(frozen=True)
class BulkBar:
    """The bar under the list: what is chosen, and what shall be done with it (R39, R44-R46)."""

    selection: Selection = NOTHING_CHOSEN
    action: Choice | None = None
    is_choosing: bool = False
    #: the action was chosen by this very request: the keyboard goes on at 処理を実行
    was_chosen_now: bool = False
    #: every hit of the search, whatever is ticked (検索結果の全n件)
    all_hits: bool = False
    error: str = ""
    #: what was just done with the selection
    notice: str = ""
    #: rows that are looked up again from this moment on are shown anew (ISO)
    since: str = ""

    @property
    def choices(self) -> list[Choice]:
        """The buttons of the chooser."""
        return choices.offered()

    @property
    def can_run(self) -> bool:
        """Whether 処理を実行 can be pressed (R46)."""
        return self.action is not None and self.selection.count > 0


@dataclass(frozen=True)
class StatusTab:
    """One status over the list with its count and yen (R37)."""

    words: str
    total: Total
    query: str
    is_current: bool
    #: hook and colour; "" for すべて
    status: str


def today() -> date:
    """The present Japanese day."""
    return jst_day(utc_now())


def may_run_bulk() -> bool:
    """Whether there is anything that the signed-in person may do with many orders (R150)."""
    return bool(choices.offered())


def render_page(
    form: SearchForm,
    bar: BulkBar | None = None,
    ticked: Collection[str] = (),
    *,
    status: int = 200,
) -> tuple[str, int]:
    """The whole list page; `ticked` are order numbers.  Without `bar` a run that is on is shown."""
    page = render_template("order_search/index.html", **_context(form, bar, ticked))
    return page, 422 if form.errors else status


def render_results(form: SearchForm) -> tuple[str, int]:
    """Only what a new search changes: the results, and the conditions that led to them (R36)."""
    page = render_template("order_search/_found.html", **_context(form, None, (), is_beside=True))
    return page, 422 if form.errors else 200


def tabs(form: SearchForm, totals: Totals, shop: ShopSettings) -> list[StatusTab]:
    """すべて and the statuses this shop uses (R26), each a link to the same search."""
    chosen = form.criteria.statuses
    everything = added(totals)
    found = [StatusTab("すべて", everything, form.query(status=None), not chosen, "")]
    for status in PaymentStatus:
        its = totals.get(status) or Total(is_least=everything.is_least)
        if status in SUBSCRIPTION_STATUSES and not (shop.subscription_enabled or its.count):
            continue
        query = form.query(status=status.value)
        # Of 決済完了 only what is still to be done is 未完了, so the tab counts it under that name.
        is_part = form.criteria.unfinished and status is PaymentStatus.CAPTURED
        words = f"{status.label}・未発送など" if is_part else status.label
        found.append(StatusTab(words, its, query, chosen == (status,), status.value))
    return found


def failure_reasons(rows: Iterable[Facts]) -> dict[int, str]:
    """Why the capture of those in 売上失敗 failed, in few words, by their ids."""
    failed = [row.id for row in rows if row.payment_status is PaymentStatus.CAPTURE_FAILED]
    return pictures.reasons(failed) if failed else {}


def _first_bar(form: SearchForm) -> BulkBar:
    """The bar of a list just opened: where orders wait to be captured, that is what is done."""
    found = form.criteria
    waits = bool(found.statuses) and CAPTURABLE.issuperset(found.statuses)
    is_capture = waits or found.shipped_uncaptured
    bar = BulkBar(action=choices.find(captures.ACTION.word) if is_capture else None)
    if not (may_run_bulk() and "choose_all" in request.args):
        return bar
    order_ids = search.matching_ids(found, settings.load().bulk_max)
    return replace(bar, all_hits=True, selection=weigh(order_ids, captures.ACTION))


def _context(
    form: SearchForm, bar: BulkBar | None, ticked: Collection[str], *, is_beside: bool = False
) -> dict[str, Any]:
    shop = settings.load()
    result = _search(form)  # first: it may complain about the cursor
    is_whole = _is_whole(form, result)
    running, is_being_built, *_ = answers(
        runs.latest_running(current_user.id),
        texts.is_being_built(),
        use.in_use_question(),
        *(() if is_whole else questions_ahead(form.criteria)),
    )
    run_id = running if bar is None else None
    totals = (
        totals_of_found([row.id for row in result.rows])
        if is_whole
        else status_totals(form.criteria)
    )
    in_force, hits = chips(form), added(totals, form.criteria.statuses)
    return {
        "result": result,
        "reasons": failure_reasons(result.rows),
        "form": form,
        "dated": form.criteria.date_field.value,
        "date_words": DATE_WORDS[form.criteria.date_field],
        "hits": hits,
        "elsewhere": None if result.rows else _of_all_periods(form),
        "tabs": tabs(form, totals, shop),
        "bar": bar or _first_bar(form),
        "progress": report.progress(run_id) if run_id else None,
        "ticked": ticked,
        "may_run_bulk": may_run_bulk() and shop.has_contract,
        "may_export": current_user.may_act_as(Role.ACCOUNTANT),
        "may_import": current_user.may_act_as(Role.OPERATOR),
        "is_long_file": hits.is_least or hits.count > exporting.MOST_AT_ONCE,
        "shop": shop,
        "console_url": console_links(shop)["shop"],
        "page_sizes": search.PAGE_SIZES,
        "conditions": conditions.panel(form, in_force, shop, totals, is_beside=is_beside),
        "list_title": _title(form, in_force, hits.words),
        "share_built": texts.share_built() if is_being_built and form.looks_for_one else None,
    }


def _is_whole(form: SearchForm, result: Page[Facts]) -> bool:
    """Whether this page shows all that somebody who typed something finds, whatever tab is chosen."""
    is_all = not (form.page.cursor or result.next_cursor or form.criteria.statuses)
    return is_all and form.criteria.is_typed


def _of_all_periods(form: SearchForm) -> Total | None:
    """What the same search would find without its period; None where it has none."""
    found = form.criteria
    has_period = found.day_from or found.day_to
    return total(replace(found, day_from=None, day_to=None)) if has_period else None


def _title(form: SearchForm, in_force: Sequence[Chip], count: str) -> str:
    """What tells this list from another in the row of windows: tab, search, whether it goes on."""
    tab = "・".join(one.label for one in form.criteria.statuses) or "すべて"
    page = "(続き)" if form.page.cursor else ""
    search = "".join(f" {chip.name}:{chip.words}" for chip in in_force[1:])
    return f"{tab} {count}{page}{search} - 注文検索/一括処理"


def _search(form: SearchForm) -> Page[Facts]:
    try:
        return search.search(form.criteria, form.page)
    except CursorInvalid as problem:
        form.errors["cursor"] = problem.message
        form.page = replace(form.page, cursor="")
        return search.search(form.criteria, form.page)
