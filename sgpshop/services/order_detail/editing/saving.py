"""Carrying out a correction: one transaction, one history entry, nothing sent to SMBC-GP (R62-R77c).

All functions raise NotPossible where the order may not be edited (R75a, R103), OrderChanged when it is
not the version that was seen (P20), and a ShopError with the reason when a value cannot be.
"""

from __future__ import annotations

from enum import StrEnum

from sqlalchemy.orm import Session

from sgpshop.domain.amounts import require_chargeable
from sgpshop.domain.errors import NotPossible
from sgpshop.domain.order_acts import Act, require
from sgpshop.domain.order_rules import Refusal
from sgpshop.extensions import db
from sgpshop.models import Order, OrderLine, utc_now
from sgpshop.services import settings
from sgpshop.services.order_detail.editing.corrections import Correction, bounded, corrections, yen
from sgpshop.services.order_detail.editing.draft import (
    ChoiceNeeded,
    ContentEdit,
    Draft,
    calculated_total,
    work_out,
)
from sgpshop.services.order_files.importing.content import (
    delivery_search,
    line_search,
    order_search,
)
from sgpshop.services.orders import history
from sgpshop.services.orders.acting import Seen, lock_for_act
from sgpshop.services.orders.history import Actor
from sgpshop.services.payments import filed_numbers, unknown_numbers
from sgpshop.storage.database import writing

_SEARCHED = ("buyer_name", "buyer_kana", "buyer_company", "buyer_tel")


class SaveResult(StrEnum):
    """How a correction ended."""

    DONE = "done"
    #: the values are what the order says already: no modification is recorded (R65)
    UNCHANGED = "unchanged"
    #: this very form was carried out before (P19)
    BEFORE = "before"


def correct_total(order_id: int, total: int, seen: Seen, actor: Actor) -> SaveResult:
    """「確定」: the order's total becomes `total`, whatever its parts come to (R63, R64, R76b)."""
    require_chargeable(total)
    with writing() as session:
        order = lock_for_act(session, order_id, Act.EDIT, seen)
        if order is None:
            return SaveResult.BEFORE
        if total == order.total:
            return SaveResult.UNCHANGED
        _finish(order, "total_corrected", _new_total(order, total, is_set=True), seen, actor)
    return SaveResult.DONE


def change_total(order: Order, total: int, seen: Seen, actor: Actor) -> None:
    """The same for a locked order that is as it was seen, within an act that goes on with it.

    Raises NotPossible, or what `require_chargeable` does.
    """
    require_chargeable(total)
    require(Act.EDIT, order, settings.load(), utc_now())
    if total != order.total:
        _finish(order, "total_corrected", _new_total(order, total, is_set=True), seen, actor)


def return_to_calculation(order_id: int, seen: Seen, actor: Actor) -> SaveResult:
    """「自動計算に戻す」: the order's total becomes what its parts come to again (R76b)."""
    with writing() as session:
        order = lock_for_act(session, order_id, Act.EDIT, seen)
        if order is None:
            return SaveResult.BEFORE
        total = calculated_total(order)
        if total == order.total and not order.is_total_set:
            return SaveResult.UNCHANGED
        _finish(order, "total_calculated", _new_total(order, total, is_set=False), seen, actor)
    return SaveResult.DONE


def change_content(order_id: int, edit: ContentEdit, seen: Seen, actor: Actor) -> SaveResult:
    """「変更内容を保存」: items, fees, people and notes, with the total that follows (R76-R76c).

    Raises ChoiceNeeded while it is not said what becomes of a total that was typed in.
    """
    with writing() as session:
        order = lock_for_act(session, order_id, Act.EDIT, seen)
        if order is None:
            return SaveResult.BEFORE
        draft = work_out(order, edit)
        if draft.total is None:
            raise ChoiceNeeded
        found = corrections(order, draft)
        if not found:
            return SaveResult.UNCHANGED
        _write(session, order, draft)
        if draft.total != order.total:
            _set_total(order, draft.total)
        order.is_total_set = draft.is_total_set
        _finish(order, "content_edited", found, seen, actor)
    return SaveResult.DONE


def _new_total(order: Order, total: int, *, is_set: bool) -> list[Correction]:
    """Give the order its total, and say what that changed."""
    found = [Correction("合計金額", yen(order.total), yen(total))]
    if total != order.total:
        _set_total(order, total)
        if order.tax_10 is not None:  # 金額調整 is at 10 %: a tax set by hand was without it (R77c)
            found.append(Correction("消費税10%", yen(order.tax_10), "自動計算"))
            order.tax_10 = None
    order.is_total_set = is_set
    return found


def _set_total(order: Order, total: int) -> None:
    """Raises NotPossible while a monthly file may charge what the total was (R103)."""
    if unknown_numbers.may_be_charged_by_file(db.session(), order.id):
        raise NotPossible(filed_numbers.TOTAL_IS_FILED, Refusal.IN_FILE.value)
    if order.original_total is None:
        order.original_total = order.total
    order.total = total


def _write(session: Session, order: Order, draft: Draft) -> None:
    _set(order, draft.values)
    _set(order, order_search({name: getattr(order, name) for name in _SEARCHED}))
    for delivery in order.deliveries:
        _set(delivery, draft.deliveries.get(delivery.id, {}))
        _set(delivery, delivery_search({"name": delivery.name}))
    # Places are never given away again: the database allows each of them once.
    place = max(line.position for line in order.lines)
    remaining = {
        draft_line.stored.id for draft_line in draft.lines if draft_line.stored is not None
    }
    for line in list(order.lines):
        if line.id not in remaining:
            order.lines.remove(line)
    for draft_line in draft.lines:
        line = draft_line.stored or OrderLine(position=(place := place + 1))
        _set(line, draft_line.values | line_search(draft_line.values))
        if draft_line.stored is None:
            order.lines.append(line)
    session.flush()


def _set(row: object, values: dict[str, object]) -> None:
    for name, value in values.items():
        setattr(row, name, value)


def _finish(order: Order, event: str, found: list[Correction], seen: Seen, actor: Actor) -> None:
    """A new version, the moment, and the record of it."""
    order.edited_at = utc_now()
    history.record_change(
        order,
        event,
        actor,
        before=order.payment_status,
        total_before=seen.amount,
        request_token=seen.token,
        request_act=seen.act,
        corrections=bounded(found),
    )
