"""How the registration of one order went: month, number at SMBC-GP, result, and what NG means."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import date, datetime

import sqlalchemy as sa

from sgpshop.domain.shop_terms import BillingMode
from sgpshop.extensions import db
from sgpshop.models import Attempt, Billing, BillingState, Operation, Order, split_codes
from sgpshop.services.payments.error_content import content_of
from sgpshop.services.subscriptions.billing.results import RESULT_WORDS
from sgpshop.storage.among import among

#: R105: what follows an NG, whatever its reason.
OTHER_WAY = (
    "別の方法で請求が必要です。購入者に連絡し、再決済(購入者がショップで別のカードで支払うこと)か、"
    "ほかの決済方法を案内してください。同じカードが使えるようになったときは、"
    "「定期購入」の「失敗」で「もう一度登録する」を選べます。どちらかが済むと、売上失敗ではなくなります。"
    "ほかの方法で受け取った注文は売上失敗のまま残るため、対応状況と社内メモに記録してください。"
)
_GUARANTEE = {
    BillingMode.REFRESH_RECURRING: (
        "洗替継続課金では、契約により一定の金額まで保証される場合があります。SMBC-GPとの契約内容を確認してください。"
    ),
    BillingMode.REFRESH_BULK_AUTH: "洗替一括オーソリでは、NGの売上は保証されません。",
}


@dataclass(frozen=True, slots=True)
class BillingFacts:
    """The latest registration of an order; amounts in yen, times aware."""

    #: first day of the month in which it was delivered
    month: date
    gateway_order_id: str
    amount: int
    state: BillingState
    by_file: bool
    registered_at: datetime | None
    result_at: datetime | None
    #: SMBC-GP's figure for an NG result, or ""
    result: str
    #: when a registration that was put off is tried again; None: with the next one
    retry_at: datetime | None
    #: word of the journal for how its last try ended
    reason: str
    codes: tuple[str, ...]

    @property
    def is_bad(self) -> bool:
        """Whether it was refused, or its result is NG (R105)."""
        return self.state in (BillingState.REFUSED, BillingState.NOT_PAID)

    @property
    def is_put_off(self) -> bool:
        """Whether it could not be registered, through no fault of the card: it is tried again."""
        return self.state is BillingState.POSTPONED

    @property
    def why(self) -> str:
        """The reason of a refusal or NG, or why it was put off, in words; "" for none."""
        if self.is_put_off:
            return content_of(self.codes, self.reason, Operation.BILL).sentence
        if not self.is_bad:
            return ""
        reason = RESULT_WORDS.get(self.result, "") if self.state is BillingState.NOT_PAID else ""
        explained = content_of(self.codes, "", Operation.BILL).sentence if self.codes else ""
        return (
            "。".join(filter(None, (reason, explained.removesuffix("。"))))
            or "理由は届いていません"
        )


#: in the order of the fields of BillingFacts, but for the codes
COLUMNS = (
    Billing.month,
    Billing.gateway_order_id,
    Billing.amount,
    Billing.state,
    Billing.by_file,
    Billing.registered_at,
    Billing.result_at,
    Billing.result,
    Billing.retry_at,
    sa.func.coalesce(
        sa.select(Attempt.reason)
        .where(Attempt.id == Billing.attempt_id)
        .correlate(Billing)
        .scalar_subquery(),
        "",
    ),
    Billing.error_codes,
)


#: A row gives the fields by position; a checker cannot follow that.
_made: Callable[..., BillingFacts] = BillingFacts


def made_from(values: Sequence[object]) -> BillingFacts:
    """The facts in a row's part that was selected by COLUMNS."""
    *plain, codes = values
    return _made(*plain, split_codes(str(codes)))


def latest_billing(order_id: int) -> BillingFacts | None:
    """The latest registration of an order; one query."""
    return latest_billings([order_id]).get(order_id)


def latest_billings(order_ids: Sequence[int]) -> dict[int, BillingFacts]:
    """The same of many orders, by order id; one query."""
    rows = db.session.execute(
        sa.select(Billing.order_id, *COLUMNS)
        .where(among(Billing.order_id, order_ids))
        .order_by(Billing.id)
    )
    return {row[0]: made_from(row[1:]) for row in rows}  # the last of each wins


def guarantee(mode: str) -> str:
    """Whether an NG sale may be paid all the same, by the shop's 運用方法 (R105)."""
    return _GUARANTEE[BillingMode(mode)]


def refused_since(moment: datetime) -> list[tuple[str, str]]:
    """Number and reason of the orders whose registration was refused from `moment` on."""
    rows = db.session.execute(
        sa.select(Order.order_no, *COLUMNS)
        .select_from(Billing)
        .join(Order, Order.id == Billing.order_id)
        .join(Attempt, Attempt.id == Billing.attempt_id)
        .where(Billing.state == BillingState.REFUSED, Attempt.finished_at >= moment)
        .order_by(Order.order_no)
    )
    return [(row[0], _told(made_from(row[1:]))) for row in rows]


def _told(facts: BillingFacts) -> str:
    return " ".join(filter(None, ("|".join(facts.codes), facts.why)))
