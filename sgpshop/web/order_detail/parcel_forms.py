"""The forms of the parcel acts: parse and check input, nothing else (R30, R31, R89, R90a)."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

from wtforms import BooleanField, DateField, Field, StringField
from wtforms.validators import InputRequired, Length, ValidationError

from sgpshop.domain.delivery_status import DeliveryStatus
from sgpshop.domain.payment_calendar import jst_day
from sgpshop.domain.text import has_control_characters, nfkc
from sgpshop.models import utc_now
from sgpshop.services.order_files.reading import cells
from sgpshop.services.order_files.reading.cells import CellProblem
from sgpshop.services.orders.parcels import LONGEST_REASON, InputRefused, ParcelSlips
from sgpshop.web.frame.forms import ActForm, NumberField

_UNREADABLE = "送信内容を確認できませんでした。画面を開き直して、もう一度操作してください。"
_DAY = "日付は 2026-11-23 のように入力してください。"
_MOST_PARCELS = 50


class NumbersField(Field):  # type: ignore[misc]
    """配送先番号 of the ticked parcels; None until something was sent."""

    def process_formdata(self, values: list[str]) -> None:
        """Read the numbers.  Raises ValueError with a sentence."""
        if len(values) > _MOST_PARCELS or not all(_is_number(text) for text in values):
            raise ValueError(_UNREADABLE)
        self.data = [int(text) for text in values]


class StatusesField(Field):  # type: ignore[misc]
    """One 配送ステータス per parcel, in the order of the numbers beside them."""

    def process_formdata(self, values: list[str]) -> None:
        """Read the statuses.  Raises ValueError with a sentence."""
        if len(values) > _MOST_PARCELS or not set(values) <= set(DeliveryStatus):
            raise ValueError(_UNREADABLE)
        self.data = [DeliveryStatus(text) for text in values]


class DayField(DateField):  # type: ignore[misc]
    """A day with - or /, also in full width."""

    def __init__(self, label: str, validators: Any = None, **options: Any) -> None:
        super().__init__(label, validators, format=["%Y-%m-%d", "%Y/%m/%d"], **options)

    def process_formdata(self, values: list[str]) -> None:
        """Read the day.  Raises ValueError with a sentence."""
        try:
            super().process_formdata([nfkc(v).strip() for v in values])
        except ValueError:
            raise ValueError(_DAY) from None


def _is_number(text: str) -> bool:
    return text.isascii() and text.isdigit() and len(text) <= 4


def _stripped(text: str | None) -> str:
    return (text or "").strip()


def _plain_text(_form: Any, field: Any) -> None:
    if has_control_characters(field.data):
        raise ValidationError("使用できない文字が含まれています。")


def _reason(label: str) -> StringField:
    too_long = Length(max=LONGEST_REASON, message=f"{LONGEST_REASON}文字以内で入力してください。")
    return StringField(label, [too_long, _plain_text], filters=[_stripped])


class ParcelForm(ActForm):
    """What the parcel acts have in common."""

    def check(self) -> None:
        """Raises InputRefused for the first field that cannot be read."""
        if not self.validate():
            name, sentences = next(iter(self.errors.items()))
            raise InputRefused(str(name), str(sentences[0]))

    def complain(self, problem: InputRefused) -> None:
        """Show the sentence beside its field."""
        field = getattr(self, problem.field, None)
        if isinstance(field, Field) and not field.errors:
            field.errors = [problem.message]


class DeliverForm(ParcelForm):
    """配送完了: which parcels."""

    delivery_number = NumbersField()


class SlipsForm(ParcelForm):
    """伝票番号 of one parcel; several are divided by blanks or commas (複数個口)."""

    delivery_number = NumbersField()
    carrier_code = StringField("配送会社", filters=[_stripped])
    slips = StringField("伝票番号", [Length(max=500), _plain_text], filters=[_stripped])

    def given(self) -> ParcelSlips:
        """What was typed.  Raises InputRefused."""
        numbers = self.delivery_number.data or []
        if len(numbers) != 1:
            raise InputRefused("slips", _UNREADABLE)
        typed = re.split(r"[\s,、]+", nfkc(self.slips.data).strip())
        return ParcelSlips(
            numbers[0],
            _cell("carrier_code", cells.carrier, "配送会社", self.carrier_code.data),
            [_cell("slips", cells.slip_number, "伝票番号", one) for one in typed if one],
        )


def _cell(field: str, parse: Callable[[str], str], title: str, text: str) -> str:
    try:
        return parse(text) if text else ""
    except CellProblem as problem:
        raise InputRefused(field, f"{title}{problem}") from None


class ReturnForm(ParcelForm):
    """返送処理: which parcels, when, why, and whether they go back into stock."""

    delivery_number = NumbersField()
    returned_on = DayField(
        "返送日", [InputRequired("返送日を入力してください。")], default=lambda: jst_day(utc_now())
    )
    reason = _reason("返送の理由")
    restock = BooleanField("在庫に戻す")


class StatusesForm(ParcelForm):
    """ステータスの変更: a status for each parcel."""

    delivery_number = NumbersField()
    delivery_status = StatusesField()

    def wanted(self) -> dict[int, DeliveryStatus]:
        """Statuses by 配送先番号.  Raises InputRefused when the two lists do not match."""
        numbers, statuses = self.delivery_number.data or [], self.delivery_status.data or []
        if len(numbers) != len(statuses) or len(set(numbers)) != len(numbers):
            raise InputRefused("delivery_status", _UNREADABLE)
        return dict(zip(numbers, statuses, strict=True))

    def typed(self, number: int) -> DeliveryStatus | None:
        """What was chosen for one parcel, for showing the form again."""
        pairs = zip(self.delivery_number.data or (), self.delivery_status.data or (), strict=False)
        return dict(pairs).get(number)


class RefundForm(ParcelForm):
    """返金済み: when, how much, and how."""

    refunded_on = DayField(
        "返金日", [InputRequired("返金日を入力してください。")], default=lambda: jst_day(utc_now())
    )
    refunded_yen = NumberField("返金額(円)", [InputRequired("返金額を入力してください。")])
    reason = _reason("返金の方法")


class WaiveForm(ParcelForm):
    """返金しない: why."""

    reason = _reason("返金しない理由")
