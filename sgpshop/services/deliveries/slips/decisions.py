"""What each row of a slip file does to its order, and why not (R82, §9.1).  No database here.

Rows of one order are decided together: the capture belongs to the order, and comes with the row
that makes its last open parcel 配送完了.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields
from datetime import date, datetime, timedelta
from typing import Any

from sgpshop.domain import order_acts
from sgpshop.domain.delivery_rules import DeliveryRefusal, delivery_refusal
from sgpshop.domain.delivery_status import OPEN_STATUSES, DeliveryStatus
from sgpshop.domain.order_acts import Act, ActTerms
from sgpshop.domain.order_rules import Refusal, capture_refusal, is_being_paid, reserves_nothing
from sgpshop.domain.payment_calendar import jst_day, start_of_day
from sgpshop.domain.payment_status import CAPTURABLE, PaymentStatus
from sgpshop.models import Operation
from sgpshop.services.orders.facts import Facts, ParcelFacts


@dataclass(frozen=True, slots=True)
class SlipInstruction:
    """What one row says."""

    line: int
    delivery_number: int
    #: "" keeps what is stored
    carrier_code: str
    #: "" keeps what is stored, and those that go with it
    slip_no: str
    #: further numbers, divided by blanks
    more_slips: str
    status: DeliveryStatus
    #: None: today
    ship_date: date | None
    #: it names all that the parcel has, as programs do; a carrier's file may have some
    names_all: bool = False

    @classmethod
    def of(cls, row: Any, *, names_all: bool) -> SlipInstruction:
        """What a row says that was read or stored."""
        values = {field.name: getattr(row, field.name) for field in fields(cls)[:-1]}
        return cls(**values, names_all=names_all)

    def slips_of(self, parcel: ParcelFacts) -> tuple[str, str]:
        """The slip numbers that `parcel` has afterwards: the first, and further ones.

        Said by a file to have some of those that it has, it keeps all: a carrier's later one has only
        the rest.
        """
        given, kept = (self.slip_no, self.more_slips), (parcel.slip_no, parcel.more_slips)
        if self.names_all and self.slip_no:
            return given
        return kept if set(" ".join(given).split()) <= set(" ".join(kept).split()) else given

    def changes(self, parcel: ParcelFacts) -> bool:
        """Whether anything of `parcel` would be other than it is."""
        return (
            self.slips_of(parcel) != (parcel.slip_no, parcel.more_slips)
            or self.carrier_code not in ("", parcel.carrier_code)
            or self.status is not parcel.status
        )

    def replaces(self, parcel: ParcelFacts) -> bool:
        """Whether a parcel that went out under another number gets this one."""
        went_out = parcel.status is DeliveryStatus.DELIVERED and bool(parcel.slip_no)
        return went_out and self.slips_of(parcel)[0] != parcel.slip_no

    def drops(self, parcel: ParcelFacts) -> list[str]:
        """The further numbers of `parcel` that it has no more afterwards, without a word of the row's."""
        if self.names_all:
            return []
        first, more = self.slips_of(parcel)
        return [slip for slip in parcel.more_slips.split() if slip not in (first, *more.split())]


@dataclass(slots=True)
class RowDecision:
    """What becomes of one row: a problem, or nothing to do, or something to be written."""

    instruction: SlipInstruction
    parcel: ParcelFacts | None = None
    #: 「label：sentence」; "" when the row can be carried out
    problem: str = ""
    #: the order waits for its capture: written, or not, when that has ended
    waits: bool = False
    changes: bool = False


@dataclass(slots=True)
class OrderDecision:
    """What becomes of one order: its rows, and its capture."""

    rows: list[RowDecision]
    #: the order is to be captured with this file, as far as the rules of R40 are concerned
    wants_capture: bool = False
    #: why that fails before anything is sent (R82: counts as a failed capture)
    refusal: Refusal | None = None

    @property
    def is_to_be_captured(self) -> bool:
        """Whether a capture is to be sent."""
        return self.wants_capture and self.refusal is None


#: what a problem begins with -> the same for programs
_CODES = {
    "承認なし": "not_approved",
    "該当注文なし": "not_found",
    "更新されています": "stale",
    "金額の相違": "amount_differs",
    "配送先番号が不正": "no_such_parcel",
    "出荷日が不正": "bad_day",
    "状態の逆行": "moves_back",
    "変更できない状態": "not_possible",
    "注文キャンセル済み": "cancelled",
    DeliveryRefusal.CALLED_OFF.label: "called_off",
    "購入手続き中": "being_paid",
    "要確認": "needs_review",
    "処理中": "busy",
}


def code_of(problem: str) -> str:
    """One word for the problem of a row; without a label of ours it is the capture's."""
    if "重複しています" in problem:
        return "duplicate"
    found = (code for label, code in _CODES.items() if f"。{label}" in f"。{problem}")
    return next(found, "capture_failed")


def decide(
    order: Facts,
    instructions: Sequence[SlipInstruction],
    *,
    capture: bool,
    terms: ActTerms,
    now: datetime,
) -> OrderDecision:
    """The rows of one order, in their order in the file; `capture`: 実売り同時処理 is on."""
    rows: list[RowDecision] = []
    taken: dict[int, int] = {}
    for instruction in instructions:
        row = RowDecision(instruction, _parcel(order, instruction.delivery_number))
        row.problem = _problem_of_order(order) or _problem_of_row(order, row, taken, terms, now)
        if not row.problem and row.parcel is not None:
            taken[row.parcel.id] = instruction.line
            row.changes = instruction.changes(row.parcel)
        rows.append(row)
    decision = OrderDecision(rows)
    decision.wants_capture = capture and _completes(order, rows)
    if decision.wants_capture:
        decision.refusal = capture_refusal(order)
        for row in rows:
            row.waits = not row.problem
    return decision


def decide_one(
    order: Facts, instruction: SlipInstruction, terms: ActTerms, now: datetime
) -> RowDecision:
    """One row again, at the moment it is written."""
    row = RowDecision(instruction, _parcel(order, instruction.delivery_number))
    row.problem = _problem_of_order(order) or _problem_of_row(order, row, {}, terms, now)
    row.changes = not row.problem and row.parcel is not None and instruction.changes(row.parcel)
    return row


def delivered_at(instruction: SlipInstruction, order: Facts, said_at: datetime) -> datetime:
    """When the parcel counts as shipped: when the file was begun, or noon of the day given (P29).

    Never before the order.
    """
    day = instruction.ship_date
    if day is None or day == jst_day(said_at):
        return max(order.ordered_at, said_at)
    return max(order.ordered_at, start_of_day(day) + timedelta(hours=12))


def _parcel(order: Facts, number: int) -> ParcelFacts | None:
    """The parcel a row means: 0 is the only one, whatever its number (§9.1)."""
    if number == 0 and len(order.deliveries) == 1:
        return order.deliveries[0]
    return next((parcel for parcel in order.deliveries if parcel.number == number), None)


def _problem_of_order(order: Facts) -> str:
    if order.payment_status is PaymentStatus.CANCELLED:
        return "注文キャンセル済み：この注文はキャンセルされています。"
    if is_being_paid(order.open_attempt):
        return "購入手続き中：購入者が購入手続き中の注文です。決済の結果が出るまで登録できません。"
    if order.payment_status is PaymentStatus.NEEDS_REVIEW:
        return "要確認：要確認の注文です。決済の状態が確認できるまで登録できません。"
    if order.open_attempt is not None and order.open_attempt.operation is Operation.CANCEL:
        return "処理中：注文キャンセルの処理中です。結果が出るまでお待ちください。"
    return ""


def _problem_of_row(
    order: Facts, row: RowDecision, taken: dict[int, int], terms: ActTerms, now: datetime
) -> str:
    instruction, parcel = row.instruction, row.parcel
    if parcel is None:
        return _no_parcel(order, instruction)
    if parcel.id in taken:
        return f"{taken[parcel.id]}行目と重複しています。"
    if parcel.status is DeliveryStatus.CANCELLED:
        return "注文キャンセル済み：このお届け先はキャンセルされています。"
    return _bad_day(order, instruction, now) or _bad_move(
        order, parcel, instruction.status, terms, now
    )


def _no_parcel(order: Facts, instruction: SlipInstruction) -> str:
    numbers = [parcel.number for parcel in order.deliveries]
    if instruction.delivery_number == 0 and len(numbers) > 1:
        return (
            f"配送先番号が不正：お届け先が{len(numbers)}件ある注文です。"
            f"配送先番号({_listed(numbers)})を入力してください。"
        )
    if len(numbers) == 1:
        return (
            "配送先番号が不正：お届け先が1件の注文です。"
            f"空欄か{_listed(sorted({0, *numbers}))}にしてください。"
        )
    return f"配送先番号が不正：この注文の配送先番号は{_listed(numbers) or 'ありません'}です。"


def _listed(numbers: Sequence[int]) -> str:
    return "・".join(map(str, numbers[:8])) + ("ほか" if len(numbers) > 8 else "")


def _bad_day(order: Facts, instruction: SlipInstruction, now: datetime) -> str:
    if instruction.ship_date is None:
        return ""
    if instruction.ship_date > jst_day(now):
        return "出荷日が不正：未来の日付は指定できません。"
    if instruction.ship_date < jst_day(order.ordered_at):
        return "出荷日が不正：注文日より前の日付です。"
    return ""


def _bad_move(
    order: Facts, parcel: ParcelFacts, status: DeliveryStatus, terms: ActTerms, now: datetime
) -> str:
    """Why this parcel cannot get that status: as the buttons of the order say (§4.3, R31)."""
    if parcel.status is status:
        return ""
    if status is DeliveryStatus.DELIVERED:
        if parcel.status is DeliveryStatus.RETURNED:
            return (
                "状態の逆行(返送→配送完了)：返送済みのお届け先です。"
                "詳細注文情報の「ステータスの変更」で返送を取り消してから登録してください。"
            )
        if delivery_refusal(order, terms, now) is DeliveryRefusal.CALLED_OFF:
            return f"{DeliveryRefusal.CALLED_OFF.label}：{DeliveryRefusal.CALLED_OFF.sentence}"
        found = order_acts.button(Act.DELIVER, order, terms, now)
    elif status is DeliveryStatus.RETURNED:
        found = order_acts.button(Act.RETURN, order, terms, now)
    else:
        found = order_acts.status_change(order)
        if found.is_enabled and status not in order_acts.status_choices(order, parcel):
            return (
                f"状態の逆行：売上報告が済んでいるため、{parcel.status.label}から"
                f"{status.label}には戻せません。"
            )
    if found.is_enabled:
        return ""
    return f"変更できない状態：{found.reason or _NOT_OFFERED}"


_NOT_OFFERED = "この注文は、このステータスに変更できません。詳細注文情報で確認してください。"


def _completes(order: Facts, rows: Sequence[RowDecision]) -> bool:
    """Whether these rows make the last open parcel of a capturable order 配送完了 (R82)."""
    if not order.is_sgp or order.payment_status not in CAPTURABLE:
        return False
    if order.kind == "subscription" and reserves_nothing(order):  # billed in its month (R101)
        return False
    good = {row.parcel.id: row.instruction.status for row in rows if not row.problem and row.parcel}
    after = [good.get(parcel.id, parcel.status) for parcel in order.deliveries]
    return DeliveryStatus.DELIVERED in good.values() and not set(after) & set(OPEN_STATUSES)
