"""A card that could not be kept is told on its order; it is made up for before the charge."""

from __future__ import annotations

import sqlalchemy as sa

from sgpshop.gateway import GatewayError
from sgpshop.models import CardTransaction
from sgpshop.services.orders import acting, history
from sgpshop.storage.database import writing

#: `CardTransaction.look_problem` while the card of a check is not kept.
NOT_KEPT = "card_not_kept"


def not_kept(order_id: int, failure: GatewayError) -> None:
    """Say on the order that its card is not kept yet, and why."""
    with writing() as session:
        order = acting.lock_order(session, order_id)
        if order.transaction is None:
            return
        order.transaction.look_problem = NOT_KEPT
        session.flush()
        # No new version: whoever hands the order in was told of the present one.
        history.record_unchanged(
            order,
            "card_not_kept",
            history.WORKER,
            why="、".join(failure.codes[:5]) or str(failure)[:100],
        )


def is_kept(order_id: int) -> None:
    """The card is kept by now: nothing is to be said any more."""
    with writing() as session:
        session.execute(
            sa.update(CardTransaction)
            .where(CardTransaction.order_id == order_id, CardTransaction.look_problem == NOT_KEPT)
            .values(look_problem="")
        )
