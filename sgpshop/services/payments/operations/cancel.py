"""注文キャンセル: the payment at SMBC-GP first, the order after (R91, R92, R97-R100)."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from sgpshop.domain.order_number import at_gateway
from sgpshop.domain.payment_calendar import jst_day
from sgpshop.domain.payment_status import CAPTURABLE, Event, PaymentStatus
from sgpshop.gateway import (
    Cancellation,
    Receipt,
    SmbcGpGateway,
    TradeAccess,
    TradeState,
    TradeStatus,
)
from sgpshop.models import Attempt, Operation
from sgpshop.services.payments.journal import ClaimedAttempt
from sgpshop.services.payments.operations.plan import Plan, Step, is_other_transaction
from sgpshop.services.payments.outcomes import (
    Outcome,
    found,
    found_done,
    found_elsewhere,
    not_usable,
)

_US = Operation.CANCEL


class CancelPlan(Plan):
    """Always looks first: which kind of cancel fits is a matter of the gateway's own date (P28)."""

    def judge(self, trade: TradeStatus | None, claimed: ClaimedAttempt) -> Outcome | None:
        """Cancelled already, nothing to cancel, not what the person was shown; or go on."""
        in_review = claimed.status_before is PaymentStatus.NEEDS_REVIEW
        is_unbilled = claimed.status_before is PaymentStatus.AWAITING_BILLING
        if trade is None:
            if claimed.in_file:  # not shown yet: charged on the day of results
                return not_usable(_US, None, "in_file")
            # What we know to be taken is somewhere, perhaps under another shop id.
            if _may_hold_nothing(claimed) and claimed.captured is None:
                return found_done(_US, None, "cancel_nothing_there")
            return found_elsewhere(_US, None)
        if is_other_transaction(trade, claimed):
            return not_usable(_US, trade, "other_transaction")
        if trade.state.is_cancelled:
            return found_done(_US, trade, "cancel_found_already")
        if trade.state.is_unfinished or trade.state.is_check:
            if claimed.in_file and trade.state.is_unfinished:  # charged on the day of results
                return not_usable(_US, trade, "in_file")
            if _may_hold_nothing(claimed):
                return found_done(_US, trade, "cancel_nothing_there")
            return found_elsewhere(_US, trade)
        if (
            is_unbilled
            and trade.state.is_captured
            and claimed.gateway_order_id != at_gateway(claimed.order_no)
        ):
            return found(trade, Event.FOUND_BILLED)  # a charged sale counts (R104)
        if not (trade.state.is_reserved or trade.state.is_captured):
            return not_usable(_US, trade, "unknown_state")
        if in_review and trade.state.is_captured:
            # Shown was that the whole may go back, and of how much: more was nobody asked about.
            return None if trade.total <= claimed.amount else found_elsewhere(_US, trade)
        return None if in_review or _is_as_shown(trade, claimed) else found_elsewhere(_US, trade)

    def steps(
        self, trade: TradeStatus | None, claimed: ClaimedAttempt, now: datetime
    ) -> Sequence[Step]:
        """The kind that fits the calendar; refused for the wrong kind, the next (R100, P28)."""
        assert trade is not None  # a cancel looks first
        is_captured = trade.state.is_captured
        kinds = cancel_kinds(trade.processed_at, now, is_captured=is_captured)
        return [_step(kind, is_refund=is_captured) for kind in kinds]

    def is_done(self, trade: TradeStatus, attempt: Attempt) -> bool:
        """Cancelled, the whole amount."""
        return trade.state.is_cancelled and trade.total == attempt.amount_seen

    def is_untouched(self, trade: TradeStatus, attempt: Attempt) -> bool:
        """As it was before we sent."""
        return (trade.raw_status[:20], trade.total) == (attempt.state_seen, attempt.amount_seen)


def cancel_kinds(
    processed_at: datetime, now: datetime, *, is_captured: bool
) -> tuple[Cancellation, ...]:
    """VOID, RETURN or RETURNX by our clock's Japanese day, then the others (R100, P28, §3.3).

    `processed_at` is the gateway's time of the last processing, both are aware.  VOID on that very
    day, RETURNX for a sale of another month, else RETURN; an authorization is never RETURNX.
    """
    done, today = jst_day(processed_at), jst_day(now)
    if today <= done:
        first = Cancellation.VOID
    elif is_captured and (today.year, today.month) != (done.year, done.month):
        first = Cancellation.RETURNX
    else:
        first = Cancellation.RETURN
    possible = [kind for kind in Cancellation if is_captured or kind is not Cancellation.RETURNX]
    # The gateway judges by its own clock, which near midnight or a month's end may show
    # another day; what it refuses as the wrong kind changed nothing, so the next may be tried.
    later = possible[possible.index(first) + 1 :]
    earlier = possible[: possible.index(first)]
    return (first, *later, *reversed(earlier))


def _may_hold_nothing(claimed: ClaimedAttempt) -> bool:
    """Whether nothing reserved is what the person was shown (R92, R97, R103).

    要確認, 決済待ち, or a 予約 that was not charged: not one that is 決済完了.
    """
    is_uncharged = claimed.reserves_nothing and claimed.status_before in CAPTURABLE
    return is_uncharged or claimed.status_before in (
        PaymentStatus.NEEDS_REVIEW,
        PaymentStatus.AWAITING_BILLING,
    )


def _is_as_shown(trade: TradeStatus, claimed: ClaimedAttempt) -> bool:
    """A refund is never made where an authorization was shown, nor of another amount (P20, S21)."""
    was_captured = claimed.status_before is PaymentStatus.CAPTURED or (
        claimed.status_before is PaymentStatus.AWAITING_BILLING and claimed.captured is not None
    )
    return trade.state.is_captured is was_captured and trade.total == claimed.amount


def _step(kind: Cancellation, *, is_refund: bool) -> Step:
    def send(gateway: SmbcGpGateway, access: TradeAccess) -> Receipt:
        return gateway.cancel(access, kind)

    money = "売上を取り消しました(返金)" if is_refund else "仮売上を取り消しました"
    return Step(kind.value, send, {"money": money}, TradeState(kind.value))
