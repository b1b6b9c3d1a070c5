"""What taking in one order changes, decided before anything is written (R143, P3, P21)."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from functools import cached_property

from sgpshop.domain.delivery_status import DeliveryStatus, ProcessingClass
from sgpshop.domain.order_acts import Act, button, status_choices
from sgpshop.domain.order_number import at_gateway
from sgpshop.domain.payment_status import SUBSCRIPTION_STATUSES, PaymentStatus
from sgpshop.domain.reconciliation import CLAIMS_BESIDE_CHECK
from sgpshop.extensions import db
from sgpshop.models import OrderKind
from sgpshop.services.order_files.importing.content import (
    Content,
    Values,
    lost_parcels,
    merge,
    opens_again,
    with_all_slips,
)
from sgpshop.services.order_files.importing.damage import undo_damage
from sgpshop.services.order_files.importing.fixed import keep_fixed, keep_parcels
from sgpshop.services.order_files.importing.stored import StoredOrder
from sgpshop.services.order_files.reading import ParsedOrder, PaymentClaim
from sgpshop.services.payments import filed_numbers, unknown_numbers
from sgpshop.services.settings import ShopSettings
from sgpshop.storage.vault import seal_access_pass

#: Claims about a finished payment; older words may simply be out of date in the file.
_ENDS = {PaymentStatus.CAPTURED, PaymentStatus.CANCELLED}


class OrderLeftOut(Exception):
    """A good order that cannot be taken in as things stand; `message` says why, in Japanese."""

    def __init__(self, message: str) -> None:
        super().__init__(message)
        self.message = message


@dataclass(frozen=True)
class OrderChange:
    """What is to be written for one order; `stored` is None for a new one."""

    parsed: ParsedOrder
    stored: StoredOrder | None
    content: Content
    status: PaymentStatus | None
    #: columns of the card transaction that the file fills
    transaction: Values = field(default_factory=dict)
    #: what files say of the payment until a look-up shows more than a mere card check
    claimed: PaymentStatus | None = None
    #: whether the gateway is to be asked
    look: bool = False
    #: it was taken for another way of payment before: SMBC-GP says what became of its number
    becomes_card_order: bool = False
    #: what of the row did not go in, in words
    warnings: tuple[str, ...] = ()

    @cached_property
    def is_unchanged(self) -> bool:
        """Whether the order says already what the file says."""
        return (
            self.stored is not None
            and self.content == self.stored.content
            and self.status is self.stored.status
            and self.claimed is self.stored.claimed
            and not self.transaction
        )


def decide(
    parsed: ParsedOrder,
    stored: StoredOrder | None,
    *,
    shop: ShopSettings,
    now: datetime,
    said_at: datetime,
) -> OrderChange:
    """The change that `parsed`, begun at `said_at`, makes at the moment `now`.  Raises OrderLeftOut."""
    auth_valid = timedelta(days=shop.auth_valid_days)
    content = merge(parsed, stored.content if stored else None, said_at, shop.tax_rule)
    if stored is None:
        is_card = parsed.claim is not None
        warned = (*(_called_off(content, None) if is_card else ()), *_of_sum(content))
        change = _new(parsed, content, auth_valid)
        claimed = _claimed(change)
        if not warned and claimed is None:  # nearly all
            return change
        return replace(change, warnings=warned, claimed=claimed)
    if stored.facts.is_sgp and parsed.claim is None:
        raise OrderLeftOut(
            "SGPカード決済の注文の「決済方法」をほかの方法に変えることはできません。"
            "登録済みの内容のままにしました。"
        )
    told: list[str] = []
    if content != stored.content:
        content, mended = undo_damage(content, stored.content)
        content = with_all_slips(content, stored.content)
        content, warnings = keep_fixed(content, stored)
        content, reasons = keep_parcels(content, stored, shop, now)
        told = [*mended, *warnings, *reasons]
    told += _taken_back(parsed, stored)
    if stored.facts.is_sgp and stored.status is not PaymentStatus.CANCELLED:
        told += _called_off(content, stored)
    change = _update(parsed, stored, content, auth_valid)
    told += _of_sum(content)
    claimed = _claimed(change)
    if told or claimed is not None:
        change = replace(change, warnings=(*change.warnings, *told), claimed=claimed)
    if change.is_unchanged:
        return change
    if stored.is_erased:
        raise OrderLeftOut(
            "購入者の情報を消去した注文のため、更新しませんでした。登録済みの内容のままです。"
        )
    if stored.facts.open_attempt is not None:
        raise OrderLeftOut("処理中のため更新しませんでした。処理が終わってから取り込んでください。")
    if content.amounts() != stored.content.amounts():
        _check_amounts(stored, content, shop, now)
    if lost_parcels(stored.content, content):
        raise OrderLeftOut(
            "配送完了または返送のお届け先がファイルにないため更新しませんでした。"
            "「配送先番号」を確認してください。登録済みの内容のままにしました。"
        )
    if opens_again(stored.content, content):
        raise OrderLeftOut(
            "配送完了または返送の注文に、ファイルでお届け先を増やすことはできません。"
            "「配送先番号」を確認してください。登録済みの内容のままにしました。"
        )
    return change


def _claimed(change: OrderChange) -> PaymentStatus | None:
    """What `change` has to keep of the file's word on the payment until a look-up (P3).

    Where our own acts began the payment no file says how it stands (R143).
    """
    claim, stored = change.parsed.claim, change.stored
    if claim is None or change.status is not PaymentStatus.NEEDS_REVIEW:
        return None
    says_nothing = claim.status in (None, PaymentStatus.NEEDS_REVIEW)  # our own export says 要確認
    is_file_right = not says_nothing and not (stored and stored.was_attempted)
    said = claim.status if is_file_right else stored and stored.claimed
    return said if said in CLAIMS_BESIDE_CHECK else None


def _of_sum(content: Content) -> list[str]:
    """R77a: a total that does not add up is stored as it is, and told."""
    total, expected = content.values["total"], content.calculated
    if total == expected:
        return []
    return [
        f"「合計金額」{total:,}円が明細の計算{expected:,}円と合いません。"
        "「合計金額」をそのまま取り込みます。"
    ]


def _called_off(content: Content, stored: StoredOrder | None) -> list[str]:
    """One parcel of several is called off, and the total still has its price: it would be captured."""
    known = {one["number"]: one["status"] for one in stored.content.deliveries} if stored else {}
    cancelled = DeliveryStatus.CANCELLED
    new = [
        one["number"]
        for one in content.deliveries
        if one["status"] is cancelled is not known.get(one["number"])
    ]
    if not new or content.processing_class is ProcessingClass.CANCELLED:
        return []
    rest, total = content.calculated_without_cancelled, content.values["total"]
    if not total > rest < content.calculated:
        return []
    return [
        f"お届け先{_listed(new)}を注文キャンセルにしますが、「合計金額」{total:,}円にその代金が入っています。"
        "このままでは全額が売上になります。減額する場合は注文内容修正をしてください。"
    ]


def _taken_back(parsed: ParsedOrder, stored: StoredOrder) -> list[str]:
    """No file opens what was called off, but a person may."""
    said = {one["number"]: one.get("status") for one in parsed.deliveries}
    back = [
        one.number
        for one in stored.facts.deliveries
        if one.status is DeliveryStatus.CANCELLED
        and said.get(one.number) in status_choices(stored.facts, one)
    ]
    if not back:
        return []
    return [
        f"お届け先{_listed(back)}は注文キャンセルのままです。"
        "発送する場合は「ステータスの変更」で戻してください。"
    ]


def _listed(numbers: list[int]) -> str:
    return "・".join(str(number) for number in numbers if number)


def _check_amounts(
    stored: StoredOrder, content: Content, shop: ShopSettings, now: datetime
) -> None:
    """Other amounts come in only where a person could type them too (R75a, P21).

    Before anything is known of its payment, an order is what the latest file says.  Raises
    OrderLeftOut.
    """
    edit = button(Act.EDIT, stored.facts, shop, now)
    if not edit.is_enabled and (stored.payment_began or not stored.facts.is_sgp):
        raise OrderLeftOut(f"金額は変更できません。{edit.reason}登録済みの内容のままにしました。")
    if unknown_numbers.may_be_charged_by_file(db.session(), stored.facts.id):
        raise OrderLeftOut(f"{filed_numbers.TOTAL_IS_FILED}登録済みの内容のままにしました。")
    if stored.facts.is_sgp and content.values["total"] < 1:
        raise OrderLeftOut(
            "SGPカード決済の注文の「合計金額」を0円にすることはできません。取り消す場合は"
            "注文キャンセルをしてください。登録済みの内容のままにしました。"
        )
    if stored.facts.edited_at is not None:
        raise OrderLeftOut(
            "「注文内容修正」で修正した注文のため、ファイルの金額では上書きしません。"
            "登録済みの内容のままにしました。変更する場合は注文内容修正の画面で修正してください。"
        )


def _new(parsed: ParsedOrder, content: Content, auth_valid: timedelta) -> OrderChange:
    claim = parsed.claim
    if claim is None:
        return OrderChange(parsed, None, content, None)
    return OrderChange(
        parsed,
        None,
        content,
        claim.status_until_look_up(content.kind),
        _access(parsed.order_no, claim, content.kind, auth_valid),
        look=True,
    )


def _update(
    parsed: ParsedOrder,
    stored: StoredOrder,
    content: Content,
    auth_valid: timedelta,
) -> OrderChange:
    claim, transaction = parsed.claim, stored.facts.transaction
    if claim is not None and not stored.facts.is_sgp:
        return OrderChange(
            parsed,
            stored,
            content,
            PaymentStatus.NEEDS_REVIEW,
            _access(parsed.order_no, claim, content.kind, auth_valid),
            look=True,
            becomes_card_order=True,
            warnings=(_MENDED,),
        )
    if claim is None or transaction is None or stored.status is None:
        return OrderChange(parsed, stored, content, stored.status)
    if (
        claim.status is PaymentStatus.BILLING_REPORTED
        and stored.status in SUBSCRIPTION_STATUSES
        and not stored.was_attempted
    ):
        # No look-up shows a monthly billing made elsewhere, so the file is believed, forwards only;
        # a mere hold under its number, which says that nothing was charged, is told.
        look = stored.status is not claim.status
        return OrderChange(parsed, stored, content, claim.status, look=look)
    access = _access(parsed.order_no, claim, content.kind, auth_valid)
    if access and stored.may_name_other_access and claim.access_id != stored.access_id:
        # What an earlier file claimed was never seen to be true: the look-up judges this one.
        access = {name: access[name] for name in ("access_id", "access_pass_sealed")}
        return OrderChange(parsed, stored, content, stored.status, access, look=True)
    if stored.is_ours:
        is_corrected = content.kind is not stored.facts.kind
        look = is_corrected or _contradicts(claim, stored.status, stored.access_id)
        return OrderChange(parsed, stored, content, stored.status, look=look)
    if stored.payment_began:  # waits for its month, or was billed elsewhere
        look = bool(access) and claim.status is not PaymentStatus.BILLING_REPORTED
        return OrderChange(parsed, stored, content, stored.status, access, look=look)
    return OrderChange(
        parsed,
        stored,
        content,
        claim.status_until_look_up(content.kind),
        access,
        look=transaction.next_look_at is None,
    )


_MENDED = (
    "SGPカード決済以外として取り込まれていた注文を、SGPカード決済の注文に直しました。"
    "SMBC-GPに照会して決済の状態を確認します。"
)


def _contradicts(claim: PaymentClaim, status: PaymentStatus, access_id: str) -> bool:
    """Whether the file knows something that is worth asking the gateway about."""
    other_access = claim.has_access and claim.access_id != access_id
    says_more = status is PaymentStatus.NEEDS_REVIEW and claim.status not in (None, status)
    return other_access or says_more or (claim.status in _ENDS and claim.status is not status)


def _access(order_no: str, claim: PaymentClaim, kind: OrderKind, auth_valid: timedelta) -> Values:
    """What the file claims, to be linked by a look-up that shows it; without both values nothing (§14.2)."""
    if not claim.has_access:
        return {}
    facts: Values = {
        "access_id": claim.access_id,
        "access_pass_sealed": seal_access_pass(claim.access_pass, at_gateway(order_no)),
    }
    is_held = claim.status_until_look_up(kind) is PaymentStatus.AUTHORIZED
    if is_held and kind is OrderKind.NORMAL:  # a preorder reserves nothing (R111)
        since = claim.authorized_at
        facts |= {
            "gateway_amount": claim.gateway_amount,
            "authorized_at": since,
            "auth_expires_at": since and since + auth_valid,
        }
    return facts
