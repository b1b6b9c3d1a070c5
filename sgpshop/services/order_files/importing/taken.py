"""What only one order may have, looked after for a batch: rounds of subscriptions, transactions."""

from __future__ import annotations

from collections.abc import Iterable

import sqlalchemy as sa
from sqlalchemy.orm import Session

from sgpshop.domain.order_number import at_gateway
from sgpshop.domain.payment_status import PaymentStatus
from sgpshop.models import CardTransaction, Order
from sgpshop.services.order_files.importing.decisions import OrderChange, OrderLeftOut
from sgpshop.services.order_files.reading import ParsedOrder
from sgpshop.services.orders import subscription_rounds
from sgpshop.services.orders.subscription_rounds import Round, RoundTaken, round_of
from sgpshop.services.payments import unknown_numbers
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
        are_used = sa.true() if gave_way else ~unknown_numbers.IS_FREE
        rows = session.execute(
            sa.select(CardTransaction.gateway_order_id, Order.order_no)
            .join(Order, Order.id == CardTransaction.order_id)
            .where(CardTransaction.gateway_order_id.in_(numbers), are_used)
        )
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


class LostZeros:
    """New orders whose number is that of a known one without its zeros: Excel took them off."""

    #: no shop's numbers begin with more
    _MOST = 10

    def __init__(self, session: Session, orders: Iterable[ParsedOrder]) -> None:
        plain = [one.order_no for one in orders if one.order_no.isdigit()]
        longer = ["0" * n + number for number in plain for n in range(1, self._MOST + 1)]
        known = [
            order_no
            for chunk in chunks(longer)
            for order_no in session.scalars(
                sa.select(Order.order_no).where(Order.order_no.in_(chunk))
            )
        ]
        self._known = {order_no.lstrip("0"): order_no for order_no in known}

    def take(self, change: OrderChange) -> None:
        """Raises OrderLeftOut where the order is most likely another."""
        known = self._known.get(change.parsed.order_no.lstrip("0"))
        if known and change.stored is None:
            raise OrderLeftOut(
                f"「注文番号」は、登録済みの注文 {known} の先頭の0がExcelなどで消えたものと思われるため、"
                "取り込みません。元のプログラムからもう一度出力し、Excelで開かずに取り込んでください。"
            )


class ClaimedAccess:
    """Which order has which 取引ID, orders of this batch that come first included.

    This names a mistake in a file early; whose a transaction is, the look-up decides.
    """

    def __init__(self, session: Session, orders: Iterable[ParsedOrder]) -> None:
        claimed = {one for order in orders if (one := _claimed(order))}
        rows = session.execute(
            sa.select(CardTransaction.access_id, Order.order_no)
            .join(Order, Order.id == CardTransaction.order_id)
            .where(CardTransaction.access_id.in_(claimed))
        )
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
