"""The rounds of subscriptions that the orders of one batch want: each is given once."""

from __future__ import annotations

from collections.abc import Iterable

from sqlalchemy.orm import Session

from sgpshop.domain.payment_status import PaymentStatus
from sgpshop.services.order_files.importing.decisions import Change, OrderLeftOut
from sgpshop.services.order_files.reading import ParsedOrder
from sgpshop.services.orders import subscription_rounds
from sgpshop.services.orders.subscription_rounds import Round, RoundTaken, round_of


class TakenRounds:
    """Who holds which round, orders of this batch that come first included."""

    def __init__(self, session: Session, orders: Iterable[ParsedOrder]) -> None:
        self._session = session
        self._asked: set[Round] = set()
        self._holders: dict[Round, str] = {}
        self._ask({one for order in orders if (one := _wanted(order.values))})

    def take(self, change: Change) -> None:
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


def _has(change: Change, wanted: Round) -> bool:
    """Whether the stored order is for that round already, and was not cancelled."""
    stored = change.stored
    assert stored is not None
    is_standing = stored.status is not None and stored.status is not PaymentStatus.CANCELLED
    return is_standing and _wanted(stored.content.values) == wanted
