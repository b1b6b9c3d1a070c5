"""定期購入 (`/subscriptions`): the orders by stage of billing, and the monthly files (R108, R109)."""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from contextlib import ExitStack
from datetime import date

from flask import (
    Blueprint,
    Response,
    flash,
    redirect,
    render_template,
    request,
    stream_with_context,
    url_for,
)
from flask.typing import ResponseReturnValue
from flask_login import current_user
from markupsafe import Markup

from sgpshop.domain.billing_calendar import parse_month
from sgpshop.domain.bounds import whole_number
from sgpshop.domain.errors import CursorInvalid, NotFound
from sgpshop.domain.payment_calendar import JST
from sgpshop.domain.shop_terms import BillingDriver, BillingMode
from sgpshop.models import Role, utc_now
from sgpshop.services import settings, subscriptions
from sgpshop.services.access import activities, rate_limits
from sgpshop.services.access.rate_limits import Use
from sgpshop.services.orders.history import Actor
from sgpshop.services.subscriptions import ListedSubscription, SubscriptionDate, SubscriptionTab
from sgpshop.storage.keyset import Page
from sgpshop.storage.questions import answers
from sgpshop.web.frame.attachments import disposition
from sgpshop.web.frame.formatters import present_year
from sgpshop.web.frame.limits import Writing, limited
from sgpshop.web.frame.pieces import piece
from sgpshop.web.frame.security import leads_back, requires
from sgpshop.web.subscriptions import search_form
from sgpshop.web.subscriptions.search_form import SubscriptionForm

bp = Blueprint("subscriptions", __name__, url_prefix="/subscriptions")


@bp.get("")
@requires(Role.VIEWER)
@limited(Use.SEARCH)
def show() -> ResponseReturnValue:
    """The whole page; where the feature is off, where to switch it on (R26)."""
    shop = settings.load()
    outlook, is_in_trouble, is_any_failed, charged, _ = answers(
        subscriptions.outlook_question(shop.billing_day, utc_now()),
        subscriptions.trouble_question(),
        subscriptions.failed_question(),
        subscriptions.charged_question(),
        subscriptions.in_use_question(),
    )
    if not subscriptions.in_use(shop):
        return render_template("subscriptions/off.html", shop=shop)
    form = search_form.parse(request.args)
    found = _search(form)
    refused, overdue = subscriptions.trouble() if is_in_trouble else ([], [])
    page = render_template(
        "subscriptions/index.html",
        shop=shop,
        form=form,
        found=found,
        totals=subscriptions.tab_totals(form.criteria, outlook),
        tabs=list(SubscriptionTab),
        Tab=SubscriptionTab,
        conditions=_conditions(form),
        outlook=outlook,
        year=present_year(),  # which dates do not name
        files=subscriptions.files(),
        overdue=overdue,
        notices=subscriptions.notices_of(refused),
        failed_months=subscriptions.failed_months() if is_any_failed else [],
        charged=charged,
        mode=BillingMode(shop.billing_mode),
        driver=BillingDriver(shop.billing_driver),
        guarantee=subscriptions.guarantee(shop.billing_mode),
        may_act=current_user.may_act_as(Role.OPERATOR),
        may_export=current_user.may_act_as(Role.ACCOUNTANT),
    )
    return page, 422 if form.errors else 200


@bp.get("/again")
@requires(Role.OPERATOR)
def ask_again() -> ResponseReturnValue:
    """What of a month failed, each with a tick, before it is registered again (R105)."""
    _require_on()
    month = _month(request.args.get("month", ""))
    return render_template(
        "subscriptions/again.html",
        month=month,
        rows=subscriptions.failed_of(month),
        driver=BillingDriver(settings.load().billing_driver),
        request_token=secrets.token_hex(16),
    )


@bp.post("/again")
@requires(Role.OPERATOR)
@limited(Use.BULK)
def take_again() -> ResponseReturnValue:
    """Register the ticked orders again."""
    _require_on()
    chosen = request.form.getlist("order_no")
    token = request.form.get("request_token", "")
    month = _month(request.form.get("month", ""))
    if not chosen or len(token) != 32:
        flash("もう一度登録する注文を選んでください。", "error")
        return redirect(url_for(".ask_again", month=f"{month:%Y-%m}"), code=303)
    taken = subscriptions.take_again(chosen, token, Actor.person(current_user.name))
    if taken:
        flash(
            f"{taken}件をもう一度登録します。決済待ちに戻し、登録の結果はこの画面に表示します。",
            "success",
        )
    else:
        flash("もう一度登録できる注文はありませんでした。最新の状態を確認してください。", "error")
    return redirect(url_for(".show", tab=SubscriptionTab.ATTENTION.value), code=303)


@bp.get("/charged")
@requires(Role.OPERATOR)
def ask_charged() -> ResponseReturnValue:
    """What a file that the books do not know most likely charged, each with a tick (R141)."""
    _require_on()
    return render_template("subscriptions/charged.html", lines=subscriptions.lost_lines())


@bp.post("/charged")
@requires(Role.OPERATOR)
@limited(Use.BULK)
def take_for_theirs() -> ResponseReturnValue:
    """«この注文の決済です» of the ticked ones."""
    _require_on()
    chosen = [one for text in request.form.getlist("question") if (one := whole_number(text))]
    if not chosen:
        flash("注文を選んでください。", "error")
        return redirect(url_for(".ask_charged"), code=303)
    taken = subscriptions.take_for_theirs(chosen, Actor.person(current_user.name))
    if taken:
        flash(f"{taken}件をこの注文の決済としました。SMBC-GPに照合しています。", "success")
    else:
        flash("まとめて答えられる注文はありませんでした。最新の状態を確認してください。", "error")
    return redirect(url_for(".show", tab=SubscriptionTab.REPORTED.value), code=303)


def _month(text: str) -> date:
    try:
        return parse_month(text)
    except ValueError:
        raise NotFound("月は 2026-11 のように指定してください。") from None


leads_back(bp, Role.VIEWER, "/export", "/files/<int:file_id>/acknowledge")


@bp.post("/export")
@requires(Role.ACCOUNTANT)
def export() -> ResponseReturnValue:
    """All orders of the tab and search as CSV; POST, for it counts against a limit (S23)."""
    _require_on()
    form = search_form.parse(request.form)
    rate_limits.count_export(current_user.id, request.remote_addr or "")
    with ExitStack() as place:
        place.enter_context(Writing())
        activities.exported("subscriptions", "定期購入", tab=form.criteria.tab)
        name = f"subscriptions-{utc_now().astimezone(JST):%Y%m%d-%H%M}.csv"
        held = place.pop_all()  # it is written while it is sent
    response = Response(
        stream_with_context(_chunks(form, held)),
        content_type="text/csv; charset=utf-8",
        headers=disposition(name),
    )
    response.call_on_close(held.close)  # also of whom nobody reads
    return response


@bp.post("/files/<int:file_id>/acknowledge")
@requires(Role.OPERATOR)
def acknowledge(file_id: int) -> ResponseReturnValue:
    """確認済みにする: a refused file leaves this page's notices and the first page (R105)."""
    subscriptions.acknowledge(file_id, Actor.person(current_user.name))
    flash("確認済みにしました。ファイルの一覧には残ります。", "success")
    return redirect(url_for(".show"), code=303)


def _require_on() -> None:
    if not subscriptions.in_use(settings.load()):
        raise NotFound("定期購入は利用しない設定になっています。")


def _search(form: SubscriptionForm) -> Page[ListedSubscription]:
    try:
        return subscriptions.search(form.criteria, request.args.get("cursor", "")[:200])
    except CursorInvalid as problem:
        form.errors["cursor"] = problem.message
        return subscriptions.search(form.criteria)


def _conditions(form: SubscriptionForm) -> Markup:
    """The search form, made once where nothing is typed."""
    return piece(
        "subscriptions/_conditions.html",
        {"tab": form.criteria.tab},
        lambda: {
            "form": form,
            "date_choices": [(field.value, field.label) for field in SubscriptionDate],
        },
        is_typed=form.is_typed,
    )


def _chunks(form: SubscriptionForm, held: ExitStack) -> Iterator[bytes]:
    with held:
        yield from subscriptions.as_csv(form.criteria)
