"""納品明細書: what goes into the parcels of an order, and the sheet with its amounts (R145).

An order with one delivery has one sheet, with amounts where it goes to the buyer.  With several
deliveries each gets a sheet without amounts and points, for the recipient need not know them, and the
buyer gets one about the whole order: it alone has the amounts, and is the invoice (適格請求書).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import sqlalchemy as sa
from sqlalchemy.orm import selectinload

from sgpshop.domain.amounts import AMOUNT_COLUMNS, Breakdown, break_down_order
from sgpshop.domain.delivery_status import DeliveryStatus
from sgpshop.domain.errors import OrderNotFound, ShopError
from sgpshop.domain.order_rules import given_back_there
from sgpshop.domain.payment_status import PaymentStatus
from sgpshop.domain.shop_terms import PaperAmounts
from sgpshop.domain.text import search_key
from sgpshop.extensions import db
from sgpshop.models import Delivery, Order, OrderLine
from sgpshop.services import settings
from sgpshop.services.orders.reading import called_off_among
from sgpshop.services.settings import ShopSettings
from sgpshop.storage.among import among

#: Orders printed together at most: a browser lays all of their pages out at once.
MOST_ORDERS = 200
#: And deliveries: an order with several has a sheet for each.
_MOST_DELIVERIES = 600


class TooManyToPrint(ShopError):
    """More orders than are printed at once; nothing was prepared."""

    def __init__(self, count: int) -> None:
        super().__init__(
            f"納品書を一度に印刷できるのは{MOST_ORDERS}件までです({count:,}件が選択されています)。"
            "選択を減らしてください。"
        )


@dataclass(frozen=True)
class Sheet:
    """One 納品明細書.  `parcel` None: the sheet about a whole order with several deliveries."""

    order: Order
    lines: Sequence[OrderLine]
    parcel: Delivery | None
    #: None: this sheet shows neither amounts nor points (R145)
    breakdown: Breakdown | None
    #: which parcel of how many
    number: int = 1
    parcels: int = 1
    #: yen of the total that SMBC-GP gave back: the amounts are of what is left (B5, R77c)
    given_back: int = 0

    @property
    def is_cancelled(self) -> bool:
        """Whether the order was cancelled, so that nothing should be sent."""
        return _is_cancelled(self.order)

    @property
    def has_reduced_rate(self) -> bool:
        """Whether a line is marked ※."""
        return any(line.tax_rate == 8 for line in self.lines)


@dataclass(frozen=True)
class Prints:
    """The sheets of some orders, oldest order first; cancelled orders have none in a bulk print.

    Nor have those that a file called off, and nobody took note yet (R143).
    """

    sheets: list[Sheet]
    orders: int
    cancelled: int
    #: numbers of those that a file called off
    called_off: list[str]
    shop: ShopSettings
    #: 金額あり, 金額なし, or as the settings say
    amounts: PaperAmounts

    @property
    def hides_amounts(self) -> bool:
        """Whether a sheet of an order with one delivery has none."""
        return any(sheet.parcels == 1 and sheet.breakdown is None for sheet in self.sheets)

    @property
    def order_numbers(self) -> list[str]:
        """The orders that have sheets."""
        return list(dict.fromkeys(sheet.order.order_no for sheet in self.sheets))

    @property
    def has_whole_sheets(self) -> bool:
        """Whether some orders have several deliveries, and so two kinds of sheets."""
        return any(sheet.parcels > 1 for sheet in self.sheets)


def of_order(order_no: str, amounts: PaperAmounts | None = None) -> Prints:
    """The sheets of one order, cancelled or not; `amounts` None: by the settings.  Raises NotFound."""
    found = list(db.session.scalars(_ORDERS.where(Order.order_no == order_no)))
    if not found:
        raise OrderNotFound
    shop = settings.load()
    wanted = amounts or _usual(shop)
    called_off = list(called_off_among([found[0].id]).values())
    return Prints(_sheets(found[0], wanted), 1, 0, called_off, shop, wanted)


def of_orders(order_ids: Sequence[int], amounts: PaperAmounts | None = None) -> Prints:
    """The same of several orders.  Raises TooManyToPrint, or ShopError when there are none."""
    if len(order_ids) > MOST_ORDERS:
        raise TooManyToPrint(len(order_ids))
    deliveries = sa.select(sa.func.count()).where(among(Delivery.order_id, order_ids))
    if (count := db.session.scalar(deliveries) or 0) > _MOST_DELIVERIES:
        raise ShopError(
            f"納品書を一度に印刷できるのは、お届け先{_MOST_DELIVERIES}件分までです"
            f"(選択された注文には{count:,}件あります)。選択を減らしてください。"
        )
    found = db.session.scalars(
        _ORDERS.where(among(Order.id, order_ids)).order_by(Order.ordered_at, Order.id)
    ).all()
    shop = settings.load()
    standing = [order for order in found if not _is_cancelled(order)]
    cancelled = len(found) - len(standing)
    called_off = called_off_among([order.id for order in standing])
    standing = [order for order in standing if order.id not in called_off]
    if not standing:
        raise ShopError(
            "印刷できる注文がありません"
            "(注文キャンセル済みの注文と、注文ファイルで注文キャンセルになった注文は印刷しません)。"
        )
    wanted = amounts or _usual(shop)
    sheets = [sheet for order in standing for sheet in _sheets(order, wanted)]
    return Prints(sheets, len(standing), cancelled, sorted(called_off.values()), shop, wanted)


_ORDERS = sa.select(Order).options(
    selectinload(Order.lines), selectinload(Order.deliveries), selectinload(Order.transaction)
)


def _is_cancelled(order: Order) -> bool:
    parcels = [parcel.status for parcel in order.deliveries]
    return order.payment_status is PaymentStatus.CANCELLED or (
        bool(parcels) and set(parcels) == {DeliveryStatus.CANCELLED}
    )


def _usual(shop: ShopSettings) -> PaperAmounts:
    known = {one.value: one for one in PaperAmounts}
    return known.get(shop.paper_amounts, PaperAmounts.BUYER)


def _is_buyers(order: Order, parcel: Delivery | None) -> bool:
    """Whether who opens the parcel is who paid."""
    name = search_key(parcel.name) if parcel else ""
    return not name or name in {search_key(order.buyer_name), search_key(order.buyer_company)}


def _sheets(order: Order, amounts: PaperAmounts) -> list[Sheet]:
    back = given_back_there(order)
    breakdown = break_down_order(
        {name: getattr(order, name) for name in AMOUNT_COLUMNS},
        order.lines,
        total=order.total - back,
    )
    parcels = order.deliveries
    if len(parcels) <= 1:
        parcel = parcels[0] if parcels else None
        is_told = amounts is PaperAmounts.ALWAYS or (
            amounts is PaperAmounts.BUYER and _is_buyers(order, parcel)
        )
        return [Sheet(order, order.lines, parcel, breakdown if is_told else None, given_back=back)]
    whole = [Sheet(order, order.lines, None, breakdown, parcels=len(parcels), given_back=back)]
    return (whole if amounts is not PaperAmounts.NEVER else []) + [
        Sheet(
            order,
            [line for line in order.lines if line.delivery_number == parcel.number],
            parcel,
            None,
            number,
            len(parcels),
        )
        for number, parcel in enumerate(parcels, start=1)
    ]
