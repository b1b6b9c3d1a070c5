"""注文キャンセル in a file: heeded whether or not the rest of its row goes in (R143, P3).

No file cancels a payment, so a person has to hear of it: at once where the payment is known, else
once a look-up finds it.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping

import sqlalchemy as sa
from sqlalchemy.orm import Session

from sgpshop.domain.delivery_status import DeliveryStatus, ProcessingClass
from sgpshop.domain.payment_status import PaymentStatus
from sgpshop.models import Operation, Order
from sgpshop.services.order_files.importing.stored import StoredOrder
from sgpshop.services.order_files.reading import FileOrder
from sgpshop.services.orders import alerts
from sgpshop.storage.among import among

WARNING = (
    "ファイルでは注文キャンセルですが、決済が残っています。"
    "取り消す場合は注文キャンセルをしてください。"
)


_UNCLEAR = (
    "ファイルでは注文キャンセルですが、注文 {} と注文 {} のどちらのことか分かりません。"
    "確かめて、その注文の画面で注文キャンセルをしてください。"
)


def warning(one: FileOrder, stored: StoredOrder, other: str) -> str:
    """What the row says to whoever takes it in; "" for nothing.  `other`: the order it may mean as well."""
    if other and one.is_cancelled:
        return _UNCLEAR.format(one.order_no, other)
    return WARNING if is_told(one, stored) else ""


def is_told(one: FileOrder, stored: StoredOrder) -> bool:
    """Whether somebody must hear that the shop front cancelled what may still be captured here.

    While our own 注文キャンセル is under way there is nothing to say.
    """
    attempt = stored.facts.open_attempt
    is_being_cancelled = attempt is not None and attempt.operation is Operation.CANCEL
    return (
        _is_cancelled(one, stored)
        and stored.payment_began
        and stored.status is not PaymentStatus.CANCELLED
        and not is_being_cancelled
    )


def heed(
    session: Session,
    found: Iterable[tuple[FileOrder, StoredOrder]],
    taken_in: Collection[str],
    unclear: Mapping[str, str],
) -> None:
    """Tell of the orders that are cancelled there, once until a file says otherwise.

    `taken_in` are the numbers of those whose rows went in; what another row claims before the first
    look-up is kept all the same, unless it is `unclear`, by number, which other order it may mean.
    """
    unseen, otherwise = [], []
    for one, stored in found:
        if is_told(one, stored):
            order = session.get_one(Order, stored.facts.id)
            alerts.raise_cancelled_in_file(session, order, unclear.get(one.order_no, ""))
        elif one.order_no in unclear:
            continue
        elif one.is_cancelled is False:
            otherwise.append(stored.facts.id)
        if (
            one.order_no not in {*taken_in, *unclear}
            and _is_cancelled(one, stored)
            and _may_claim(stored)
        ):
            unseen.append(stored.facts.id)
    alerts.not_cancelled_in_file(session, otherwise)
    if unseen:
        session.execute(
            sa.update(Order)
            .where(among(Order.id, unseen))
            .values(claimed_status=PaymentStatus.CANCELLED)
            .execution_options(synchronize_session=False)
        )


def _is_cancelled(one: FileOrder, stored: StoredOrder) -> bool:
    """Whether the file calls the order off as a whole, or leaves nothing of it to be sent."""
    if not stored.facts.is_sgp or one.is_cancelled:
        return stored.facts.is_sgp
    if one.order is None or stored.content.processing_class is ProcessingClass.CANCELLED:
        return False
    # Its one parcel that was not called off may be gone from the file.
    known = {parcel["number"]: parcel["status"] for parcel in stored.content.deliveries}
    return all(
        DeliveryStatus.CANCELLED in (parcel.get("status"), known.get(parcel["number"]))
        for parcel in one.order.deliveries
    )


def _may_claim(stored: StoredOrder) -> bool:
    """Whether a look-up is still to say how the payment stands that no act of ours began."""
    is_open = stored.status is PaymentStatus.NEEDS_REVIEW and not stored.was_attempted
    return is_open or not stored.payment_began
