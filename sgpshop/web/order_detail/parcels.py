"""The parcel acts of 詳細注文情報: 配送完了, 返送処理, ステータスの変更, 返金しない, 返金済み.

Each opens its confirmation by GET in the panel お届け先・伝票番号 and is carried out by POST; none
of them asks SMBC-GP anything (R30, R90).
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

from flask.typing import ResponseReturnValue
from flask_login import current_user

from sgpshop.domain.errors import NotFound, ShopError
from sgpshop.domain.payment_calendar import jst_day
from sgpshop.models import utc_now
from sgpshop.services.orders import parcels
from sgpshop.services.orders.history import Actor
from sgpshop.services.orders.parcels import InputRefused, ParcelReturn
from sgpshop.services.orders.reading import get_order
from sgpshop.web.frame.security import requires
from sgpshop.web.order_detail import bp, screen
from sgpshop.web.order_detail.parcel_forms import (
    DeliverForm,
    ParcelForm,
    RefundForm,
    ReturnForm,
    SlipsForm,
    StatusesForm,
    WaiveForm,
)


class _ParcelAct(NamedTuple):
    """What its form is, what is done with an order (id, Seen, Actor) once it was read, and said."""

    form: type[ParcelForm]
    change: Callable[..., None]
    done: str


def _return(form: ReturnForm) -> ParcelReturn:
    return ParcelReturn(
        form.delivery_number.data or (),
        form.returned_on.data,
        form.reason.data,
        form.restock.data,
    )


#: by what stands in the address
_ACTS = {
    # Captures nothing (R30).
    "deliver": _ParcelAct(
        DeliverForm,
        lambda form, order, seen, by: parcels.deliver(
            order, seen, by, form.delivery_number.data or ()
        ),
        "配送完了にしました。",
    ),
    # The payment stays as it is (R90).
    "return": _ParcelAct(
        ReturnForm,
        lambda form, order, seen, by: parcels.take_back(order, seen, by, _return(form)),
        "返送処理をしました。SMBC-GPの決済は取り消していません。",
    ),
    # Undoes 配送完了 and 返送, on the parcel's axis only (R31).
    "statuses": _ParcelAct(
        StatusesForm,
        lambda form, order, seen, by: parcels.change_statuses(order, seen, by, form.wanted()),
        "ステータスを変更しました。",
    ),
    # With a reason: the badge 返送済み・返金未対応 goes (R90a).
    "waive-cancel": _ParcelAct(
        WaiveForm,
        lambda form, order, seen, by: parcels.waive_cancel(order, seen, by, form.reason.data),
        "この決済はこのまま(返金しない)にしました。",
    ),
    # The badge returns.
    "waive-cancel/undo": _ParcelAct(
        ParcelForm,
        lambda _form, order, seen, by: parcels.undo_waiver(order, seen, by),
        "「返金しない」を解除しました。",
    ),
    # With day, yen and how: 要返金 goes (R104).
    "refunded": _ParcelAct(
        RefundForm,
        lambda form, order, seen, by: parcels.settle_refund(
            order, seen, by, form.refunded_on.data, form.refunded_yen.data, form.reason.data
        ),
        "返金済みと記録しました。",
    ),
    "refunded/undo": _ParcelAct(
        ParcelForm,
        lambda _form, order, seen, by: parcels.undo_refund(order, seen, by),
        "返金済みの記録を取り消しました。",
    ),
}


def carry_out(order_no: str, act: str) -> ResponseReturnValue:
    """Read the form, change the order, show how it stands; what was typed is kept on a mistake."""
    it = _ACTS[act]
    form = it.form()
    order_id = get_order(order_no).id
    try:
        seen = form.seen()
        form.check()
        it.change(form, order_id, seen, Actor.person(current_user.name))
    except InputRefused as problem:
        form.complain(problem)
        asking = act if act in screen.CONFIRMATIONS else ""
        return screen.render(order_no, asking=asking, refusal=problem, **shown_with(act, form))
    except NotFound:
        raise
    except ShopError as problem:
        return screen.render(order_no, refusal=problem)
    return screen.done(order_no, notice=it.done)


for _act in _ACTS:
    bp.add_url_rule(
        f"/<order_no>/{_act}",
        _act,
        requires(screen.role_for(_act))(partial(carry_out, act=_act)),
        methods=["POST"],
    )


def shown_with(asking: str, form: ParcelForm | None = None) -> dict[str, Any]:
    """What the confirmation of a parcel act needs beside the order; `form` as it was typed."""
    forms = {act: it.form for act, it in _ACTS.items()} | {"ship": SlipsForm}
    if asking not in forms:
        return {}
    return {
        "parcel_form": form or forms[asking](formdata=None),
        "today": jst_day(utc_now()),
    }
