"""The transactions that the orders of one batch claim: SMBC-GP gives each AccessID to one order."""

from __future__ import annotations

from collections.abc import Iterable

import sqlalchemy as sa
from sqlalchemy.orm import Session

from sgpshop.models import CardTransaction, Order
from sgpshop.services.order_files.importing.decisions import Change, OrderLeftOut
from sgpshop.services.order_files.reading import ParsedOrder


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

    def take(self, change: Change) -> None:
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
