"""送り状ファイル of chosen orders (`/orders/bulk/labels`): what is wrong first, then the file."""

from __future__ import annotations

from datetime import date

from flask import Blueprint, render_template, request
from flask.typing import ResponseReturnValue
from flask_login import current_user

from sgpshop.domain.bounds import is_usable
from sgpshop.domain.errors import ShopError
from sgpshop.domain.payment_calendar import jst_day
from sgpshop.models import Role, utc_now
from sgpshop.services.access import activities
from sgpshop.services.access.rate_limits import Use
from sgpshop.services.deliveries import labels
from sgpshop.services.deliveries.labels import Cool, LabelJob
from sgpshop.services.deliveries.labels.layouts.layout import LabelLayout
from sgpshop.web.frame.attachments import attached
from sgpshop.web.frame.limits import limited, makes_file
from sgpshop.web.frame.security import leads_back, requires
from sgpshop.web.order_search.bulk_choice import refused, require_chosen, search_of_form

bp = Blueprint("labels", __name__, url_prefix="/orders/bulk/labels")

_PROBLEMS_SHOWN = 300


@bp.app_template_global()
def label_layouts() -> list[LabelLayout]:
    """The carriers' programs to choose from."""
    return list(labels.LAYOUTS.values())


leads_back(bp, Role.VIEWER, "", "/file", to="order_search.show")


@bp.post("")
@requires(Role.SHIPPER)
@limited(Use.BULK)
def prepare() -> ResponseReturnValue:
    """How many labels there will be, and which orders cannot have one, before there is a file."""
    form = search_of_form()
    try:
        chosen = require_chosen(form)
    except ShopError as problem:
        return refused(form, problem)
    layout, job, error = _layout(), LabelJob(jst_day(utc_now())), ""
    file = None
    try:
        job = _job()
        file = labels.made(layout, chosen, job)
    except ShopError as problem:
        error = problem.message
    page = render_template(
        "labels/make.html",
        layout=layout,
        job=job,
        file=file,
        error=error,
        problems=file.problems[:_PROBLEMS_SHOWN] if file else [],
        chosen=len(chosen),
        cools=list(Cool),
        again=[
            (name, value)
            for name, value in request.form.items(multi=True)
            if name in ("conditions", "order_no", "all_hits")
        ],
        is_owner=current_user.may_act_as(Role.OWNER),
    )
    return page, 422 if error else 200


@bp.post("/file")
@requires(Role.SHIPPER)
@makes_file
def download() -> ResponseReturnValue:
    """The file of the orders that have no problem."""
    chosen = require_chosen(search_of_form())
    layout, job = _layout(), _job()
    file = labels.made(layout, chosen, job)
    if not file.labels:
        raise ShopError(
            "送り状を作れる注文がありません。問題のある注文を直してから作ってください。"
        )
    activities.exported(f"labels_{layout.word}", "送り状ファイル", count=file.orders)
    return attached(file.content, f"labels-{layout.word}-{job.ship_date:%Y%m%d}.csv")


def _layout() -> LabelLayout:
    layout = labels.LAYOUTS.get(request.form.get("layout", ""))
    if layout is None:
        raise ShopError("送り状のソフトを選んでください。")
    return layout


def _job() -> LabelJob:
    """What is chosen besides; at first a parcel of today without クール.  Raises ShopError."""
    today = jst_day(utc_now())
    try:
        day = date.fromisoformat(request.form.get("ship_date", "") or str(today))
    except ValueError:
        raise ShopError("出荷日を入力してください(例:2026-11-28)。") from None
    if not is_usable(day) or day < today:
        raise ShopError("出荷日は、今日以降の日付にしてください。")
    cool = request.form.get("cool", Cool.NORMAL.value)
    if cool not in list(Cool):
        raise ShopError("クール便の区分を選び直してください。")
    return LabelJob(day, Cool(cool))
