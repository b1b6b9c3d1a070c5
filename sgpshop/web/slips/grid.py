"""発送 as a grid: the parcels that wait, a carrier and slip numbers for each; Enter goes to the next (R78).

All that is typed is in one form, that of other pages too, so that turning a page, filtering, and a
session that was over lose nothing, with or without JavaScript.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import date

from flask import render_template, request, session
from flask.typing import ResponseReturnValue
from flask_login import current_user

from sgpshop.domain.bounds import is_usable
from sgpshop.domain.carriers import CARRIERS
from sgpshop.domain.errors import CursorInvalid, ShopError
from sgpshop.models import Role
from sgpshop.services.access.rate_limits import Use
from sgpshop.services.deliveries import slips, waiting
from sgpshop.services.deliveries.slips import SlipTerms, Typed
from sgpshop.services.deliveries.waiting import WaitingFilter, WaitingParcel
from sgpshop.storage.keyset import Page
from sgpshop.web.frame.forms import CARRIER
from sgpshop.web.frame.limits import limited
from sgpshop.web.frame.security import leads_back, requires
from sgpshop.web.slips import bp, runs

_UNREADABLE = "送信内容を確認できませんでした。画面を開き直して、もう一度入力してください。"
_NOTHING = "伝票番号がまだ入力されていません。届け先の行に入力してから、内容を確認してください。"


@dataclass(frozen=True)
class Grid:
    """What the screen was asked for."""

    #: carrier and numbers by parcel, as they were typed
    typed: dict[str, tuple[str, str]]
    terms: SlipTerms
    wanted: WaitingFilter
    cursor: str = ""


@bp.app_template_global()
def parcel_key(order_no: str, number: int | str) -> str:
    """What says in the form which parcel a row is about."""
    return f"{number} {order_no}"


@bp.get("")
@requires(Role.SHIPPER)
@limited(Use.SEARCH)
def index() -> ResponseReturnValue:
    """The parcels that wait; with `run`, as they were typed before its preview."""
    typed: dict[str, tuple[str, str]] = {}
    if (run_id := request.args.get("run", "")) and slips.own(run_id, current_user.id).is_typed:
        for number, parcel, carrier, numbers in slips.rows_typed(run_id):
            typed[parcel_key(number, parcel)] = carrier, numbers
    return _page(Grid(typed, slips.usual_terms(), _wanted(request.args.get)))


leads_back(bp, Role.SHIPPER, "/grid", "/grid/check", to=".index")


@bp.post("/grid")
@requires(Role.SHIPPER)
@limited(Use.SEARCH)
def fill() -> ResponseReturnValue:
    """The grid again with what was typed: another page or filter of it, or the next row to be filled."""
    grid = _sent()
    if "filter" not in request.form:
        grid = replace(grid, cursor=(request.form.getlist("cursor") or [""])[-1][:200])
    return _page(grid)


@bp.post("/grid/check")
@requires(Role.SHIPPER)
@limited(Use.UPLOAD)
def check() -> ResponseReturnValue:
    """① Write down what was typed and what it would do; nothing of the orders changes (R81)."""
    grid = _sent()
    rows = [
        [number, parcel, carrier, numbers]
        for key, (carrier, numbers) in grid.typed.items()
        for parcel, _, number in [key.partition(" ")]
        if numbers.strip()
    ]
    if not rows:
        return _page(grid, _NOTHING, status=422)
    if (last := rows[-1][2]) in CARRIERS:
        session[CARRIER] = last
    try:
        return runs.to_run(runs.prepared(Typed(rows), grid.terms))
    except ShopError as problem:
        return _page(grid, problem.message, status=422)


def _sent() -> Grid:
    """What the form says.  Raises ShopError for a form that is none of ours."""
    fields = [request.form.getlist(name) for name in ("parcel", "carrier_code", "slips")]
    if len({len(values) for values in fields}) != 1:
        raise ShopError(_UNREADABLE)
    typed = {key: (carrier, text) for key, carrier, text in zip(*fields, strict=True)}
    return Grid(typed, runs.terms(), _wanted(request.form.get))


def _wanted(get: object) -> WaitingFilter:
    assert callable(get)
    try:
        until = date.fromisoformat(get("until", ""))
    except ValueError:
        until = None
    is_day = until is not None and is_usable(until)
    return WaitingFilter(get("q", "")[:100].strip(), until if is_day else None)


def _page(grid: Grid, error: str = "", status: int = 200) -> ResponseReturnValue:
    found = _found(grid)
    keys = {parcel_key(row.order.order_no, row.parcel.number) for row in found.rows}
    entered = {key: values for key, values in grid.typed.items() if values[1].strip()}
    page = render_template(
        "slips/grid.html",
        grid=grid,
        found=found,
        error=error,
        count=waiting.count(grid.wanted),
        typed=grid.typed,
        entered=entered,
        elsewhere={key: values for key, values in entered.items() if key not in keys},
        carriers=CARRIERS,
        ticked=set(request.form.getlist("order_no")),
        shown={row.order.order_no for row in found.rows},
    )
    return page, status


def _found(grid: Grid) -> Page[WaitingParcel]:
    try:
        return waiting.page(grid.wanted, grid.cursor)
    except CursorInvalid:
        return waiting.page(grid.wanted)
