"""The screen 注文内容修正, rendered for every view that shows it whole or in part."""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum

from flask import Response, make_response, render_template
from flask_login import current_user
from htmx_flask import request

from sgpshop.domain.errors import ShopError
from sgpshop.domain.order_acts import Act
from sgpshop.domain.order_rules import Button, is_unsent
from sgpshop.domain.payment_status import CAPTURABLE, PaymentStatus
from sgpshop.models import HistoryEntry, Order, OrderKind
from sgpshop.services.order_detail import editing
from sgpshop.services.order_detail.editing import ChoiceNeeded, Draft
from sgpshop.services.orders import history
from sgpshop.web.frame.looking import looked_at, may_act
from sgpshop.web.frame.pieces import wants_fragment, with_messages
from sgpshop.web.order_edit import edit_fields, edit_form
from sgpshop.web.order_edit.edit_form import ContentForm

ROOT = "order-edit"
_WHOLE = "order_edit/_edit.html"
#: parts that can be fetched alone: id of the element -> template
_PARTS = {
    "total-panel": "order_edit/_total_panel.html",
    "send-panel": "order_edit/_send_panel.html",
    "content-fields": "order_edit/_content_fields.html",
    "recalculated": "order_edit/_recalculated.html",
}


@dataclass
class EditScreen:
    """What the screen is to show beside the order as it is."""

    status: int = 200
    #: a sentence about what was done
    notice: str = ""
    is_unchanged: bool = False
    refusal: ShopError | None = None
    #: the content as it was typed; None: as it is stored
    content: ContentForm | None = None
    #: the total is open for typing, with this text in it
    total_text: str | None = None
    total_error: str = ""
    #: the confirmation of 「送信して実売上処理」 is open
    asks_to_capture: bool = False
    #: an empty item was added, to be typed into
    has_new_row: bool = False
    #: the version the person saw, when the order is another by now
    stale_version: int | None = None

    @property
    def is_total_typed(self) -> bool:
        """Whether a total was typed, sent and refused: it is not saved yet."""
        return self.total_text is not None and self.refusal is not None


class EditStep(IntEnum):
    """①修正を確定 → ②SMBC-GPに送信 → ③実売上処理 (R74)."""

    CONFIRM = 1
    SEND = 2
    CAPTURE = 3
    NONE_LEFT = 4


@dataclass(frozen=True)
class EditPreview:
    """「変更後の注文金額」, or why it cannot be worked out."""

    draft: Draft | None = None
    problem: str = ""


def render(order_no: str, shown: EditScreen | None = None) -> Response:
    """The whole screen; with HTMX what changes of it, or the part it asks for.  Raises NotFound."""
    shown = shown or EditScreen()
    detail, buttons, shared = looked_at(order_no)
    order = detail.order
    may_edit = _editing(buttons[Act.EDIT])
    content = shown.content or edit_form.shown(order)
    template = _template(is_editable=may_edit.is_enabled)
    page = render_template(
        template,
        **shared,
        EditStep=EditStep,
        parcel_choices=[
            (str(n), f"お届け先{n}") for n in sorted(d.number for d in order.deliveries)
        ],
        shown=shown,
        editing=may_edit,
        content=content,
        preview=preview_of(order, content),
        step=step_of(order),
        since=_since(order, shown),
        must_answer=isinstance(shown.refusal, ChoiceNeeded),
        is_part=template != _WHOLE and wants_fragment(),
        groups=edit_fields,
    )
    answer = make_response(with_messages(page), shown.status)
    if template == _WHOLE:
        # Whatever part of the screen asked: the whole of it is to say what is the matter.
        answer.headers.update({"HX-Retarget": f"#{ROOT}", "HX-Reswap": "outerHTML"})
    return answer


def step_of(order: Order) -> EditStep | None:
    """The present one of the three steps; None where there is none (R69, R74)."""
    if not order.is_sgp or order.kind is not OrderKind.NORMAL:
        return None
    if order.payment_status is PaymentStatus.CANCELLED:
        return None
    if order.edited_at is None and not is_unsent(order):
        return EditStep.CONFIRM if order.payment_status in CAPTURABLE else None
    if order.payment_status is PaymentStatus.CAPTURED:
        return EditStep.NONE_LEFT
    return EditStep.SEND if is_unsent(order) else EditStep.CAPTURE


def preview_of(order: Order, content: ContentForm) -> EditPreview:
    """What the order would come to with what is typed."""
    try:
        return EditPreview(editing.work_out(order, content.edit()))
    except edit_form.FormInvalid:
        return EditPreview(problem="入力の途中か、使えない値の項目があるため、まだ計算できません。")
    except ShopError as problem:
        return EditPreview(problem=problem.message)


def _editing(found: Button) -> Button:
    """Whether this person may edit this order, and why not (R75a, R150)."""
    if found.is_enabled and not may_act():
        return Button(
            is_shown=True,
            reason=f"{current_user.role.label}は注文内容を修正できません。担当者に依頼してください。",
        )
    return found


def _template(*, is_editable: bool) -> str:
    if not wants_fragment():
        return "order_edit/show.html"
    part = _PARTS.get(request.htmx.target or "")
    return part if part and is_editable else _WHOLE


def _since(order: Order, shown: EditScreen) -> list[HistoryEntry] | None:
    """What happened to the order since the person opened the form; None when nothing did."""
    if shown.stale_version is None:
        return None
    return history.since_version(order.id, shown.stale_version)
