"""この購入者の情報 (`/orders/<order_no>/personal-data`): one person's request to have it, or to have it erased."""

from __future__ import annotations

from flask import flash, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue
from flask_login import current_user

from sgpshop import logs
from sgpshop.models import Role
from sgpshop.services.access import activities
from sgpshop.services.orders.history import Actor
from sgpshop.services.personal_data import erasing, requests
from sgpshop.services.personal_data.requests import TheirOrder
from sgpshop.web.frame import recent_password
from sgpshop.web.frame.attachments import attached
from sgpshop.web.frame.limits import makes_file
from sgpshop.web.frame.recent_password import PasswordPrompt
from sgpshop.web.frame.security import leads_back, requires
from sgpshop.web.order_detail import bp

_NOTHING_CHOSEN = "注文を1件以上選んでください。"
#: So many are named that had to stay.
_NAMED = 10


@bp.get("/<order_no>/personal-data", endpoint="personal_data")
@requires(Role.OWNER)
def show(order_no: str) -> ResponseReturnValue:
    """Which orders are of the same buyer, and what can be done with their data."""
    return _page(order_no, recent_password.state())


@bp.post("/<order_no>/personal-data/export", endpoint="write_out")
@requires(Role.OWNER)
@makes_file
def write_out(order_no: str) -> ResponseReturnValue:
    """この購入者の情報を書き出す: of the chosen orders."""
    chosen = _chosen(order_no)
    if not chosen:
        return _page(order_no, recent_password.state(), problem=_NOTHING_CHOSEN), 422
    content = requests.written_out([one.order for one in chosen])
    activities.exported("personal_data", "購入者の情報", count=len(chosen))
    return attached(content, f"personal-data-{order_no}.csv")


@bp.post("/<order_no>/personal-data/erase", endpoint="erase")
@requires(Role.OWNER)
def erase(order_no: str) -> ResponseReturnValue:
    """この購入者の情報を消す: of the chosen orders, as far as it is not needed any more (S5)."""
    asked = recent_password.check()
    chosen = [one.order.id for one in _chosen(order_no) if not one.is_erased]
    if asked.problem:
        return asked.answer(_page(order_no, asked))
    if not chosen or "confirmed" not in request.form:
        why = "元に戻せないことの確認にチェックを入れてください。" if chosen else _NOTHING_CHOSEN
        return _page(order_no, asked, problem=why), 422
    found = erasing.erase(chosen, Actor.person(current_user.name), "personal_data_erased")
    logs.event("personal_data_erased", erased=len(found.done), stayed=len(found.stayed))
    if found.done:
        flash(f"注文{len(found.done)}件から購入者の情報を消しました。", "success")
    for number, why in found.stayed[:_NAMED]:
        flash(f"注文 {number} の情報は残しました。{why}。", "warning")
    if len(found.stayed) > _NAMED:
        flash(f"ほか{len(found.stayed) - _NAMED}件の情報も残しました。", "warning")
    return redirect(url_for(".personal_data", order_no=order_no), code=303)


leads_back(
    bp,
    Role.OWNER,
    "/<order_no>/personal-data/export",
    "/<order_no>/personal-data/erase",
    to=".personal_data",
    of="order_no",
)


def _chosen(order_no: str) -> list[TheirOrder]:
    """The ticked ones of those that are the same buyer's."""
    ticked = set(request.form.getlist("order"))
    return [one for one in requests.orders_of_buyer(order_no) if one.order.order_no in ticked]


def _page(order_no: str, asked: PasswordPrompt, problem: str = "") -> str:
    ticked = set(request.form.getlist("order")) if request.method == "POST" else None
    return render_template(
        "order_detail/personal_data.html",
        order_no=order_no,
        orders=requests.orders_of_buyer(order_no),
        most=requests.MOST,
        ticked=ticked,
        asked=asked,
        problem=problem,
    )
