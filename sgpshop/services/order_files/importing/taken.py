"""What only one order may have, looked after for a batch: rounds of subscriptions, transactions."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime

import sqlalchemy as sa
from sqlalchemy.orm import Session

from sgpshop.domain.order_number import at_gateway
from sgpshop.domain.payment_status import PaymentStatus
from sgpshop.domain.spreadsheets import alike_but_for_zeros, shows_zeros
from sgpshop.models import CardTransaction, Order
from sgpshop.services.order_files.importing.decisions import OrderChange, OrderLeftOut
from sgpshop.services.order_files.importing.stored import StoredOrder
from sgpshop.services.order_files.reading import ParsedOrder
from sgpshop.services.orders import subscription_rounds
from sgpshop.services.orders.subscription_rounds import Round, RoundTaken, round_of
from sgpshop.services.payments import unknown_numbers
from sgpshop.storage.among import among
from sgpshop.storage.database import chunks


class TakenRounds:
    """Who holds which round, orders of this batch that come first included."""

    def __init__(self, session: Session, orders: Iterable[ParsedOrder]) -> None:
        self._session = session
        self._asked: set[Round] = set()
        self._holders: dict[Round, str] = {}
        self._ask({one for order in orders if (one := _wanted(order.values))})

    def take(self, change: OrderChange) -> None:
        """The round of the order that `change` leaves.  Raises OrderLeftOut if another has it."""
        if change.status is None or change.status is PaymentStatus.CANCELLED:
            return
        wanted = _wanted(change.content.values)
        if wanted is None or (change.stored is not None and _has(change, wanted)):
            return
        self._ask({wanted})
        holder = self._holders.setdefault(wanted, change.parsed.order_no)
        if holder != change.parsed.order_no:
            raise OrderLeftOut(RoundTaken(holder).message)

    def _ask(self, rounds: set[Round]) -> None:
        """Who holds these, as far as it is not known; a whole batch is one query."""
        new = rounds - self._asked
        self._asked |= new
        self._holders |= subscription_rounds.holders(self._session, new)


def _wanted(values: dict[str, object]) -> Round | None:
    number = values.get("subscription_round")
    name = values.get("subscription_id")
    return round_of(
        name if isinstance(name, str) else None, number if isinstance(number, int) else None
    )


def _has(change: OrderChange, wanted: Round) -> bool:
    """Whether the stored order is for that round already, and was not cancelled."""
    stored = change.stored
    assert stored is not None
    is_standing = stored.status is not None and stored.status is not PaymentStatus.CANCELLED
    return is_standing and _wanted(stored.content.values) == wanted


class TakenNumbers:
    """Which numbers at SMBC-GP are used: `#1001` and `1001`, or `A-1` and the second payment of `A`."""

    def __init__(
        self, session: Session, orders: Iterable[ParsedOrder], *, gave_way: bool = True
    ) -> None:
        """Unless all `gave_way` that could, who has only meant to use a number will."""
        numbers = {at_gateway(order.order_no) for order in orders if order.claim}
        used = _USED if gave_way else _USED_NOW
        rows = session.execute(used, {"numbers": list(numbers)}) if numbers else ()
        self._holders = {str(number): str(order_no) for number, order_no in rows}

    def take(self, change: OrderChange) -> None:
        """The number of the order that `change` brings.  Raises OrderLeftOut if another has it."""
        is_here = change.stored is not None and not change.becomes_card_order
        if change.parsed.claim is None or is_here:
            return
        order_no = change.parsed.order_no
        holder = self._holders.setdefault(at_gateway(order_no), order_no)
        if holder != order_no:
            raise OrderLeftOut(
                f"注文 {holder} がSMBC-GPで同じオーダーID「{at_gateway(order_no)}」を使っています。"
                "どちらかの注文番号を変えてから取り込んでください。"
            )


#: Made once: asked for each batch of a file.
_USED = (
    sa.select(CardTransaction.gateway_order_id, Order.order_no)
    .join(Order, Order.id == CardTransaction.order_id)
    .where(among(CardTransaction.gateway_order_id, "numbers"))
)
_USED_NOW = _USED.where(~unknown_numbers.IS_FREE)
_CLAIMED = (
    sa.select(CardTransaction.access_id, Order.order_no)
    .join(Order, Order.id == CardTransaction.order_id)
    .where(among(CardTransaction.access_id, "claimed"))
)


class LostZeros:
    """Numbers that differ by leading zeros alone, 7002 and 0007002: Excel takes them off (R143).

    Which order such a row means is never guessed.
    """

    def __init__(self, session: Session, orders: Iterable[ParsedOrder]) -> None:
        alike = {one.order_no: alike_but_for_zeros(one.order_no) for one in orders}
        wanted = {number for numbers in alike.values() for number in numbers}
        known = {
            row.order_no: (_minute(row.ordered_at), row.total)
            for chunk in chunks(sorted(wanted))
            for row in session.execute(
                sa.select(Order.order_no, Order.ordered_at, Order.total).where(
                    among(Order.order_no, chunk)
                )
            )
        }
        self._known = {
            order_no: {number: known[number] for number in numbers if number in known}
            for order_no, numbers in alike.items()
        }

    def may_be(self, parsed: ParsedOrder, stored: StoredOrder | None) -> str:
        """The other order that a row with the number of `stored` may mean as well; "": none."""
        others = self._known.get(parsed.order_no, {})
        if stored is None or not others or _is_whole(parsed):
            return ""
        at = _minute(parsed.values["ordered_at"])
        is_its = at == _minute(stored.content.values["ordered_at"])
        is_proved = is_its and all(at != of_other for of_other, _ in others.values())
        return "" if is_proved else min(others)

    def refuse(self, parsed: ParsedOrder, stored: StoredOrder | None) -> None:
        """Raises OrderLeftOut where the row may be another's."""
        if other := self.may_be(parsed, stored):
            raise OrderLeftOut(_WHICH.format(parsed.order_no, other))

    def take(self, change: OrderChange) -> str:
        """What is to be told of an order that is not refused; "" for nothing.

        Raises OrderLeftOut where a new one is not.
        """
        parsed, values = change.parsed, change.content.values
        order_no, others = parsed.order_no, self._known.get(change.parsed.order_no, {})
        is_whole = _is_whole(parsed)
        if change.stored is not None and is_whole:
            return ""
        if not others:
            return _TWIN.format(order_no) if parsed.has_twin and change.stored is None else ""
        other, at = min(others), _minute(values["ordered_at"])
        if change.stored is not None:
            return _ITS.format(order_no, other)
        if not is_whole:
            raise OrderLeftOut(_LOST.format(other))
        if not parsed.has_twin and (at, values["total"]) in others.values():
            raise OrderLeftOut(_SAME.format(other))
        return _BESIDE.format(other)


def _is_whole(parsed: ParsedOrder) -> bool:
    """Whether its number lost no zeros."""
    return parsed.keeps_zeros or shows_zeros(parsed.order_no)


def _minute(at: datetime) -> datetime:
    return at.replace(second=0, microsecond=0)  # all that Excel leaves


_LOST = (
    "「注文番号」は、登録済みの注文 {} の先頭の0がExcelなどで消えたものと思われるため、"
    "取り込みません。元のプログラムからもう一度出力し、Excelで開かずに取り込んでください。"
)
_WHICH = (
    "「注文番号」{0}は、注文 {0} とも、先頭の0がExcelなどで消えた注文 {1} とも読めるため、更新しませんでした。"
    "元のプログラムからもう一度出力し、Excelで開かずに取り込んでください。"
)
_ITS = "注文 {1} もあるため、「注文日時」で注文 {0} と判断しました。"
_SAME = (
    "「注文日時」と「合計金額」が同じ注文 {} が、先頭の0のない(または多い)番号で登録されているため、取り込みません。"
    "同じ注文なら、登録済みの方を注文キャンセルにしてください。別の注文なら、どちらかの番号を変えて取り込んでください。"
)
_BESIDE = "先頭の0だけが違う注文 {} もあります。同じ注文でないか確認してください。"
_TWIN = "先頭の0だけが「{}」と違う番号の注文も、このファイルにあります。同じ注文でないか確認してください。"


class ClaimedAccess:
    """Which order has which 取引ID, orders of this batch that come first included.

    This names a mistake in a file early; whose a transaction is, the look-up decides.
    """

    def __init__(self, session: Session, orders: Iterable[ParsedOrder]) -> None:
        claimed = {one for order in orders if (one := _claimed(order))}
        rows = session.execute(_CLAIMED, {"claimed": list(claimed)}) if claimed else ()
        self._holders: dict[str, set[str]] = {}
        for access_id, order_no in rows:
            self._holders.setdefault(str(access_id), set()).add(order_no)

    def take(self, change: OrderChange) -> None:
        """The transaction that the order of `change` claims.  Raises OrderLeftOut if another has it."""
        claimed, order_no = _claimed(change.parsed), change.parsed.order_no
        if not claimed:
            return
        holders = self._holders.setdefault(claimed, set())
        if others := holders - {order_no}:
            raise OrderLeftOut(
                f"「取引ID」は注文 {min(others)} の取引のものです。同じ取引を2件の注文で使うことはできません。"
                "取引IDを確認して、もう一度取り込んでください。"
            )
        holders.add(order_no)


def _claimed(order: ParsedOrder) -> str:
    return order.claim.access_id if order.claim else ""
