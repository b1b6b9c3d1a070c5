"""オーソリ期間延長 of many orders: the same amount is authorized anew for each (R83)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import partial

from sgpshop.domain.hold_rules import HoldRefusal, hold_refusal
from sgpshop.domain.order_acts import Act
from sgpshop.domain.order_rules import is_unsent
from sgpshop.models import Operation
from sgpshop.services import settings
from sgpshop.services.bulk.action import Action, Refused
from sgpshop.services.orders.facts import Facts


@dataclass(frozen=True)
class ExtensionFigures:
    """What its confirmation says of terms and amounts."""

    #: the first and the last term of the authorizations there are, where they are known (UTC)
    first_end: datetime | None
    last_end: datetime | None
    #: of a new authorization
    valid_days: int
    #: beyond their term already
    expired: int
    #: their amount change stays unsent: what SMBC-GP holds is extended
    unsent: int


def _figures(
    orders: Sequence[Facts], _refused: Sequence[Refused], now: datetime
) -> ExtensionFigures:
    known = [order.transaction.auth_expires_at for order in orders if order.transaction]
    ends = sorted(end for end in known if end is not None)
    return ExtensionFigures(
        first_end=ends[0] if ends else None,
        last_end=ends[-1] if ends else None,
        valid_days=settings.load().auth_valid_days,
        expired=sum(end <= now for end in ends),
        unsent=sum(is_unsent(order) for order in orders),
    )


ACTION = Action(
    word="extend",
    label=Act.EXTEND.label,
    hint="同じ金額のオーソリを取り直し、期限を延ばします(仮売上・売上失敗の注文が対象です)。",
    refusal=partial(hold_refusal, Act.EXTEND),
    reasons=HoldRefusal,
    done="の期間を延長",
    failed="が延長失敗",
    nothing="オーソリの期間を延長できる注文がありません。",
    remark="実売上処理は行っていません。延長できなかった注文は、今のオーソリと期限のままです。",
    operation=Operation.EXTEND,
    figures=_figures,
    is_offered=lambda shop: shop.extend_auth_enabled,
)
