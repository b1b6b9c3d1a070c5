"""The other numbers of an order, asked before it is charged or cancelled: nobody pays it twice (P1).

Whoever knows an order's number can have it paid past us, the shop front on a card it keeps for one;
and books put back from a backup do not know what was charged since (P36).  What holds no money is
kept with its transaction, the card check of an order from a file among it (R143).
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Literal

import sqlalchemy as sa

from sgpshop.domain.order_rules import LIVE_STATES
from sgpshop.extensions import db
from sgpshop.gateway import SmbcGpGateway, TradeStatus
from sgpshop.models import CHECKOUTS, CardTransaction, Operation, Order, OrderKind
from sgpshop.services import settings
from sgpshop.services.orders import acting
from sgpshop.services.payments import filed_numbers, past_us, transaction_numbers, unknown_numbers
from sgpshop.services.payments.filed_numbers import Whose
from sgpshop.services.payments.journal import ClaimedAttempt
from sgpshop.services.payments.outcomes import Outcome, found, not_usable, rejected
from sgpshop.services.payments.transaction_lookup import MAY_HOLD_MONEY, numbers_after
from sgpshop.services.payments.transactions import found_event, record_trade
from sgpshop.services.payments.unknown_numbers import UNKNOWN_NUMBER
from sgpshop.storage.database import writing


@dataclass(frozen=True)
class _Sold:
    """What decides how money under a number is to be read (transactions.Sold)."""

    kind: OrderKind
    is_charge: bool


def paid_there(
    gateway: SmbcGpGateway,
    operation: Operation,
    order_id: int,
    own: str,
    *,
    by_file: bool = False,
) -> Outcome | None:
    """How `operation`, wanted under the number `own`, ends because the order is paid under another.

    None: nothing is reserved or taken under any, nor will be by a file.  `by_file`: `own` too is
    asked for, as no call is to enter it that would say what stands there.  Raises GatewayError.
    """
    order = db.session.execute(
        sa.select(Order.order_no, Order.kind).where(Order.id == order_id)
    ).one()
    rows = db.session.execute(
        sa.select(
            CardTransaction.id,
            CardTransaction.gateway_order_id,
            CardTransaction.access_id,
            CardTransaction.gateway_state,
            CardTransaction.sequence,
            CardTransaction.is_charge,
            MAY_HOLD_MONEY.label("may_hold_money"),
        )
        .where(CardTransaction.order_id == order_id)
        .order_by(CardTransaction.sequence)
    ).all()
    #: a buyer's first: nothing of ours came before it, and nobody told of anything else
    is_first = operation in CHECKOUTS and len(rows) == 1
    is_first = is_first and not past_us.may_be_paid(db.session(), order_id)
    known = unknown_numbers.numbers_of_ours(db.session(), order_id)
    ours = [row for row in rows if row.gateway_order_id in known]
    #: passed over, or only meant: somebody may have paid there since
    strange = {row.gateway_order_id: row.sequence for row in rows if row not in ours}
    may_be_filed = order.kind is OrderKind.SUBSCRIPTION
    in_files = filed_numbers.waiting_of(db.session(), order_id) if may_be_filed else []
    db.session.commit()  # no transaction is open while we wait for the network (P8)
    for row in ours:
        if row.gateway_order_id == own or not row.may_hold_money:
            continue
        trade = gateway.search_trade(row.gateway_order_id)
        is_other = trade is not None and row.access_id not in (None, trade.access.access_id)
        is_live = row.gateway_state in LIVE_STATES if trade is None else trade.state.is_live
        if is_live and (trade is None or is_other):
            return not_usable(operation, trade, "other_transaction")
        sold = _Sold(order.kind, row.is_charge or row.sequence > 0)
        if trade is not None and not is_other and found_event(sold, trade) is None:
            return not_usable(operation, trade, "unknown_state")  # money may be there
        if is_live and trade is not None:
            return _ended(trade, sold)
        is_unpaid = trade is None or trade.state.is_unfinished
        if is_unpaid and row.gateway_order_id in in_files:  # charged on the day of results
            return _filed(operation)
        if trade is None or is_other:
            continue
        if filed_numbers.whose(order.kind, trade) is Whose.UNKNOWN_FILE:
            return _filed(operation)
        if trade.raw_status != row.gateway_state:
            _keep(order_id, row.id, trade)
    if is_first:
        return None
    beside = partial(_beside_unknown, gateway, operation, order_id, ours[-1].sequence, strange)
    ended = beside(set() if by_file else {own})
    if ended is None or by_file or own in known:
        return ended
    # No call is to enter our own number now, that would say what stands there.
    return beside(set()) or ended


def _beside_unknown(
    gateway: SmbcGpGateway,
    operation: Operation,
    order_id: int,
    last: int,
    strange: Mapping[str, int],
    passed_over: Collection[str],
) -> Outcome | None:
    """How it ends because money stands under a number that no act of ours entered: whose, nobody knows.

    Asked for are those after the `last` of ours, the `strange` ones with their sequences, and those
    that are asked about already.
    """
    order = db.session.execute(
        sa.select(Order.order_no, Order.kind).where(Order.id == order_id)
    ).one()
    others = transaction_numbers.of_other_orders(db.session(), order_id, order.order_no)
    others |= set(passed_over)
    asked = dict(strange)
    asked |= {row.gateway_order_id: row.sequence for row in unknown_numbers.open_of(order_id)}
    named = past_us.named(db.session(), [order_id])[order_id]
    db.session.commit()
    shown = list(numbers_after(order.order_no, last, gateway.search_trade, others, named))
    for number in asked.keys() - others - {trade.order_id for _, trade in shown}:
        trade = gateway.search_trade(number)
        if trade is not None:
            shown.append((asked[number], trade))
    held, to_ask = unknown_numbers.held_and_asked(order.kind, [trade for _, trade in shown])
    found = [(n, trade) for n, trade in shown if trade.order_id in to_ask]
    unpaid = {trade.order_id: n for n, trade in shown if trade.state.is_unfinished}
    _remember(order_id, {number: n for number, n in unpaid.items() if number not in strange})
    if not found:
        return None
    _ask(order_id, found)
    in_the_way = [trade for _, trade in found if trade.order_id in held]
    if held and all(unknown_numbers.is_filed(order.kind, trade) for trade in in_the_way):
        return _filed(operation)
    return _unless_free(operation, bool(held))


def _remember(order_id: int, numbers: Mapping[str, int]) -> None:
    """Numbers under which somebody may still pay stay with the order: the nights look at them."""
    if not numbers:
        return
    with writing() as session:
        order = acting.lock_order(session, order_id)
        for number, sequence in numbers.items():
            transaction_numbers.keep_strange(session, order, sequence, number)


def _ask(order_id: int, held: Sequence[unknown_numbers.Numbered]) -> None:
    with writing() as session:
        unknown_numbers.ask(session, acting.lock_order(session, order_id), held)


def not_ours(claimed: ClaimedAttempt, trade: TradeStatus) -> Outcome | Literal[False] | None:
    """How it ends because no act of ours entered what stands under the number meant for it: whose, nobody knows.

    None: it is not ours, and nothing stands in the way: the next number is free.  False: it is ours.
    What a person called ours after it was given back never counted: it is as free (R141).
    """
    is_known = unknown_numbers.is_ours(db.session(), claimed.transaction_id)
    is_left_over = trade.state.is_cancelled and unknown_numbers.never_counted(
        db.session(), claimed.transaction_id
    )
    db.session.commit()  # no transaction is open while we wait for the network (P8)
    if is_left_over and claimed.operation is not Operation.CANCEL:
        return None
    if is_known:
        return False
    held, asked = unknown_numbers.held_and_asked(claimed.kind, [trade])
    if not asked:
        return None
    _ask(claimed.order_id, [(int(trade.order_id.rpartition("-")[2]), trade)])
    return _unless_free(claimed.operation, bool(held))


def _unless_free(operation: Operation, is_held: bool) -> Outcome | None:
    """What was given back does not stand in the way of a cancel, nor of a buyer who pays again."""
    is_free = operation in {Operation.CANCEL, *CHECKOUTS} and not is_held
    return None if is_free else rejected(operation, UNKNOWN_NUMBER)


def _filed(operation: Operation) -> Outcome:
    """It will be charged by itself: nobody charges it besides, and it is no order to be cancelled."""
    is_cancel = operation is Operation.CANCEL
    return rejected(operation, "in_file" if is_cancel else filed_numbers.MAY_BE_FILED)


def _ended(trade: TradeStatus, sold: _Sold) -> Outcome:
    event = found_event(sold, trade)
    assert event is not None  # else nobody knows what it means
    return replace(found(trade, event), reason="others_live")


def _keep(order_id: int, transaction_id: int, trade: TradeStatus) -> None:
    with writing() as session:
        acting.lock_order(session, order_id)
        transaction = session.get_one(CardTransaction, transaction_id, populate_existing=True)
        if transaction.access_id in (None, trade.access.access_id):
            record_trade(transaction, trade, settings.load())
