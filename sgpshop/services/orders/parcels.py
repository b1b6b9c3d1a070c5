"""What happens to the parcels of an order: 配送完了, 返送処理, ステータスの変更, 返金しない.

Nothing here asks or tells SMBC-GP anything, and no payment status changes (R30, R31, R90).
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from sgpshop.domain import order_acts
from sgpshop.domain.carriers import CARRIERS
from sgpshop.domain.delivery_status import (
    OPEN_STATUSES,
    DeliveryStatus,
    ProcessingClass,
    processing_class,
)
from sgpshop.domain.errors import FormUsed, NotPossible, ShopError
from sgpshop.domain.order_acts import Act
from sgpshop.domain.order_rules import taken_too_much
from sgpshop.domain.payment_calendar import jst_day
from sgpshop.domain.reconciliation import AlertKind
from sgpshop.extensions import db
from sgpshop.models import Billing, BillingState, Delivery, Order, utc_now
from sgpshop.services.orders import alerts, history, money_movements
from sgpshop.services.orders.acting import Seen, lock_for_act
from sgpshop.services.orders.history import Actor
from sgpshop.storage.database import writing

LONGEST_REASON = 200
#: of `Delivery.more_slips`
_LONGEST_MORE = 400


class InputRefused(ShopError):
    """One field of a form cannot be taken as it is; `field` is its name."""

    def __init__(self, field: str, message: str) -> None:
        super().__init__(message)
        self.field = field


@dataclass(frozen=True)
class ParcelReturn:
    """What a person says about goods that came back (R89)."""

    #: 配送先番号 of the parcels
    numbers: Collection[int]
    day: date
    reason: str = ""
    #: 在庫に戻す: told in the history, we keep no stock
    restock: bool = False


@dataclass(frozen=True)
class ParcelSlips:
    """What a person says about the labels of one parcel; `slips` are several for 複数個口."""

    #: 配送先番号
    number: int
    #: "" keeps what is stored
    carrier_code: str
    slips: Sequence[str]


def register_slips(
    order_id: int, seen: Seen, actor: Actor, given: ParcelSlips, *, delivers: bool
) -> None:
    """Slip numbers of one parcel, paid or not, and with `delivers` its 配送完了 (R30, R82).

    Raises NotPossible, OrderChanged, or InputRefused; nothing was changed then.
    """
    with _act(order_id, Act.DELIVER if delivers else None, seen) as order:
        if order is None:
            return
        words = write_slips(order, given)
        now = utc_now()
        if delivers:
            chosen = _chosen(order, [given.number], can_deliver)
            _set_delivered(chosen, now)
            words += f"、{DeliveryStatus.DELIVERED.label}"
        _record(order, "parcel_slips", actor, seen, now, changes=words)


def write_slips(order: Order, given: ParcelSlips) -> str:
    """Put them into a locked order; in words, for the history, which is the caller's.

    Raises NotPossible, or InputRefused.
    """
    if order.processing_class is ProcessingClass.CANCELLED:
        raise NotPossible("注文キャンセル済みの注文に伝票番号は登録できません。")
    [parcel] = _chosen(order, [given.number], can_return)
    more = " ".join(given.slips[1:])
    if len(more) > _LONGEST_MORE:
        raise InputRefused("slips", "伝票番号が多すぎます。")
    parcel.slip_no, parcel.more_slips = (given.slips[0] if given.slips else ""), more
    parcel.carrier_code = given.carrier_code or parcel.carrier_code
    carrier = CARRIERS.get(parcel.carrier_code, "")
    return (
        f"{describe(order, [parcel])}{carrier} {'・'.join(given.slips) or '伝票番号なし'}".strip()
    )


def deliver(order_id: int, seen: Seen, actor: Actor, numbers: Collection[int]) -> None:
    """配送完了 for the parcels with these 配送先番号 (R30, R58).

    Raises NotPossible, OrderChanged, or InputRefused for parcels that are not open; nothing was
    changed then.
    """
    with _act(order_id, Act.DELIVER, seen) as order:
        if order is None:
            return
        chosen = _chosen(order, numbers, can_deliver)
        now = utc_now()
        _set_delivered(chosen, now)
        _record(order, "delivered", actor, seen, now, parcels=describe(order, chosen))


def deliver_all(session: Session, order: Order, now: datetime) -> list[Delivery]:
    """Make every open parcel of `order` 配送完了, within an open write transaction; these parcels.

    `order` is locked.  Version, history and the commit are the caller's.
    """
    chosen = [parcel for parcel in order.deliveries if can_deliver(parcel)]
    _set_delivered(chosen, now)
    order.processing_class = processing_class(parcel.status for parcel in order.deliveries)
    session.flush()
    return chosen


def take_back(order_id: int, seen: Seen, actor: Actor, given: ParcelReturn) -> None:
    """返送処理: the goods are back; the payment at SMBC-GP stays as it is (R89, R90).

    Raises NotPossible, OrderChanged, or InputRefused; nothing was changed then.
    """
    with _act(order_id, Act.RETURN, seen) as order:
        if order is None:
            return
        now = utc_now()
        _check_day(order, given.day, now)
        chosen = _chosen(order, given.numbers, can_return)
        for parcel in chosen:
            parcel.status = DeliveryStatus.RETURNED  # delivered_at stays: it did arrive then
            parcel.returned_on = given.day
            parcel.return_reason = given.reason
        _forget_waiver(order)  # it was about the returns of before
        order.refunded_on = None  # so was 返金済み: what went back then stays booked
        _record(
            order,
            "returned",
            actor,
            seen,
            now,
            parcels=describe(order, chosen),
            day=f"{given.day:%Y/%m/%d}",
            reason=given.reason or "記入なし",
            stock="在庫に戻す" if given.restock else "在庫には戻さない",
        )


def change_statuses(
    order_id: int, seen: Seen, actor: Actor, wanted: Mapping[int, DeliveryStatus]
) -> None:
    """ステータスの変更: undo 配送完了 and 返送, or tell how far the work is (R31).

    `wanted` goes by 配送先番号; parcels that are to stay may be left out.  Raises NotPossible,
    OrderChanged, or InputRefused; nothing was changed then.
    """
    with _act(order_id, None, seen) as order:
        if order is None:
            return
        found = order_acts.status_change(order)
        if not found.is_enabled:
            raise NotPossible(found.reason or "この注文に変更できるステータスはありません。")
        moves = _moves(order, wanted)
        changes = "、".join(
            f"{describe(order, [parcel])}{parcel.status.label} → {status.label}"
            for parcel, status in moves
        )
        for parcel, status in moves:
            _move(order, parcel, status)
        _record(order, "status_changed", actor, seen, utc_now(), changes=changes)


def waive_cancel(order_id: int, seen: Seen, actor: Actor, reason: str) -> None:
    """返金しない: a person decides that the payment of a returned order stays, or what a file took too much (R90a)."""
    with _act(order_id, None, seen) as order:
        if order is None:
            return
        if not order_acts.may_waive_cancel(order):
            raise NotPossible("この注文は返金するかどうかを決める必要がありません。")
        if not reason:
            raise InputRefused("reason", "理由を入力してください。")
        now, is_back = utc_now(), order.processing_class is ProcessingClass.RETURNED
        if order_acts.is_difference_open(order):
            alerts.mended(db.session(), order.id, AlertKind.AMOUNT_DIFFERS, actor.name, now)
        order.cancel_waived_at = now
        order.cancel_waived_reason = reason
        sentence = "cancel_waived" if is_back else "difference_waived"
        _record(order, sentence, actor, seen, now, reason=reason)


def undo_waiver(order_id: int, seen: Seen, actor: Actor) -> None:
    """Take 返金しない back: the order waits for its cancel again."""
    with _act(order_id, None, seen) as order:
        if order is None:
            return
        if order.cancel_waived_at is None:
            raise NotPossible("この注文は「返金しない」になっていません。")
        _forget_waiver(order)
        _record(order, "cancel_waiver_undone", actor, seen, utc_now())


def _waits_for_result(order: Order) -> bool:
    """Whether a line of it is registered, and SMBC-GP has still to say that it was charged."""
    is_open = sa.exists().where(
        Billing.order_id == order.id, Billing.state == BillingState.REGISTERED
    )
    return bool(db.session.scalar(sa.select(is_open)))


def settle_refund(
    order_id: int, seen: Seen, actor: Actor, day: date, yen: int, reason: str
) -> None:
    """返金済み: a person says when, how and how much of a reported sale went back (R104).

    The books have just that.  Raises NotPossible, OrderChanged, or InputRefused; nothing was changed
    then.
    """
    with _act(order_id, None, seen) as order:
        if order is None:
            return
        if not order_acts.is_refund_open(order):
            raise NotPossible("この注文は「要返金」ではありません。")
        now = utc_now()
        if day > jst_day(now):
            raise InputRefused("refunded_on", "返金日に未来の日付は指定できません。")
        if day < jst_day(order.ordered_at):
            raise InputRefused("refunded_on", "返金日は注文日以降の日付にしてください。")
        left = money_movements.left_of(order)
        if not left and _waits_for_result(order):
            raise NotPossible(
                "売上報告の結果がまだ届いていません。結果が届いて売上になってから記録してください。"
            )
        # Nothing left: all went back before these goods did, and that answers it.
        if not min(left, 1) <= yen <= left:
            raise InputRefused(
                "refunded_yen",
                f"返金額は、1円から{left:,}円までで入力してください。"
                if left
                else "売上はすべて返金済みです。返金額は0円にしてください。",
            )
        if not reason:
            raise InputRefused("reason", "返金の方法を入力してください。")
        if yen and taken_too_much(order):
            alerts.mended(db.session(), order.id, AlertKind.AMOUNT_DIFFERS, actor.name, now)
        money_movements.book_by_hand(order, yen, day)
        order.refunded_on = day
        order.refund_reason = reason
        _record(
            order,
            "refund_settled",
            actor,
            seen,
            now,
            day=f"{day:%Y/%m/%d}",
            yen=f"{yen:,}円",
            reason=reason,
        )


def undo_refund(order_id: int, seen: Seen, actor: Actor) -> None:
    """The last record of 返金済み was wrong: what it booked is taken back today, and it is open again.

    Also after a further return, which asked for the money anew.
    """
    with _act(order_id, None, seen) as order:
        if order is None:
            return
        if not order_acts.may_undo_refund(order) or order.transaction is None:
            raise NotPossible("この注文に「返金済み」の記録はありません。")
        there, now = order.transaction, utc_now()
        kept = money_movements.kept(there.gateway_state, there.captured_amount)
        if kept < there.given_by_hand:
            raise NotPossible("その後SMBC-GPでも返金されているため、記録は取り消せません。")
        given = money_movements.last_by_hand(order)
        if given:
            money_movements.book_by_hand(order, -given, jst_day(now))
        order.refunded_on = None
        order.refund_reason = ""
        _record(order, "refund_undone", actor, seen, now, yen=f"{given:,}円")


def can_deliver(parcel: Delivery) -> bool:
    """Whether this parcel is still to be sent."""
    return parcel.status in OPEN_STATUSES


def can_return(parcel: Delivery) -> bool:
    """Whether this parcel can still come back; also one that left before anybody said so."""
    return parcel.status not in (DeliveryStatus.RETURNED, DeliveryStatus.CANCELLED)


@contextmanager
def _act(order_id: int, act: Act | None, seen: Seen) -> Iterator[Order | None]:
    """One write transaction around an act; None when this form was carried out before (P19)."""
    try:
        with writing() as session:
            yield lock_for_act(session, order_id, act, seen)
    except IntegrityError:  # the token was used for another order at the same moment
        raise FormUsed from None


def _chosen(
    order: Order, numbers: Collection[int], can: Callable[[Delivery], bool]
) -> list[Delivery]:
    wanted = set(numbers)
    if not wanted:
        raise InputRefused("delivery_number", "お届け先を選んでください。")
    chosen = [parcel for parcel in order.deliveries if parcel.number in wanted]
    if len(chosen) != len(wanted) or not all(can(parcel) for parcel in chosen):
        raise InputRefused(
            "delivery_number",
            "この注文にないお届け先か、すでに処理済みのお届け先が指定されています。選び直してください。",
        )
    return chosen


def _check_day(order: Order, day: date, now: datetime) -> None:
    if day > jst_day(now):
        raise InputRefused("returned_on", "返送日に未来の日付は指定できません。")
    if day < jst_day(order.ordered_at):
        raise InputRefused("returned_on", "返送日は注文日以降の日付にしてください。")


def _set_delivered(parcels: Sequence[Delivery], now: datetime) -> None:
    for parcel in parcels:
        parcel.status = DeliveryStatus.DELIVERED
        parcel.delivered_at = now


def _moves(
    order: Order, wanted: Mapping[int, DeliveryStatus]
) -> list[tuple[Delivery, DeliveryStatus]]:
    """What really changes.  Raises InputRefused for what cannot be, or when nothing does."""
    by_number = {parcel.number: parcel for parcel in order.deliveries}
    moves = []
    for number, status in wanted.items():
        parcel = by_number.get(number)
        if parcel is not None and parcel.status is status:
            continue
        if parcel is None or status not in order_acts.status_choices(order, parcel):
            raise InputRefused(
                "delivery_status",
                "選べないステータスが指定されています。最新の内容から選び直してください。",
            )
        moves.append((parcel, status))
    if not moves:
        raise InputRefused("delivery_status", "変更後のステータスを選んでください。")
    after = {parcel.number: parcel.status for parcel in order.deliveries}
    after |= {parcel.number: status for parcel, status in moves}
    is_called_off = any(status is DeliveryStatus.CANCELLED for _, status in moves)
    if is_called_off and processing_class(after.values()) is ProcessingClass.CANCELLED:
        raise InputRefused(
            "delivery_status",
            "すべてのお届け先を取りやめる場合は、注文キャンセルをしてください(返金されます)。",
        )
    return moves


def _move(order: Order, parcel: Delivery, status: DeliveryStatus) -> None:
    if parcel.status is DeliveryStatus.RETURNED:
        parcel.returned_on = None
        parcel.return_reason = ""
        _forget_waiver(order)
    if status in OPEN_STATUSES:
        parcel.delivered_at = None
    parcel.status = status


def _forget_waiver(order: Order) -> None:
    order.cancel_waived_at = None
    order.cancel_waived_reason = ""


def describe(order: Order, parcels: Sequence[Delivery]) -> str:
    """Which parcels, for the history; nothing to say when the order has one."""
    if len(order.deliveries) == 1:
        return ""
    return f"【お届け先{'・'.join(str(parcel.number) for parcel in parcels)}】"


def _record(
    order: Order, event: str, actor: Actor, seen: Seen, now: datetime, **detail: Any
) -> None:
    """What every act leaves behind: 処理区分, version, and an entry with the form's token."""
    order.processing_class = processing_class(parcel.status for parcel in order.deliveries)
    history.record_change(
        order,
        event,
        actor,
        before=order.payment_status,
        request_token=seen.token,
        request_act=seen.act,
        **detail,
    )
