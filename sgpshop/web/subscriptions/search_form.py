"""The search of 定期購入: from a query string to criteria, with a word for each mistake (R109)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date
from urllib.parse import urlencode

from sgpshop.domain.bounds import DAYS_WORDS, is_usable
from sgpshop.domain.text import has_control_characters, nfkc
from sgpshop.services.subscriptions import SubscriptionCriteria, SubscriptionDate, SubscriptionTab

LONGEST_WORD = 100
_NAMES = (
    "tab",
    "date_field",
    "from",
    "to",
    "result",
    "order_no",
    "subscription_id",
    "email",
    "going",
    "reminder",
)
_YES_NO = {"result": ("ok", "ng"), "going": ("on", "ended")}


@dataclass
class SubscriptionForm:
    """What was typed, what it means, and what could not be read; `errors` by parameter name."""

    values: dict[str, str]
    criteria: SubscriptionCriteria = field(default_factory=SubscriptionCriteria)
    errors: dict[str, str] = field(default_factory=dict)

    def query(self, **changes: str) -> str:
        """This search as a query string, its first page, with some parameters replaced."""
        values = self.values | {name.rstrip("_"): value for name, value in changes.items()}
        return urlencode({name: value for name, value in values.items() if value})

    @property
    def is_narrowed(self) -> bool:
        """Whether anything but the tab was asked for."""
        return any(
            value for name, value in self.values.items() if name not in ("tab", "date_field")
        )

    @property
    def is_typed(self) -> bool:
        """Whether it is any other form than the empty one of its tab."""
        return bool(self.errors) or any(
            value for name, value in self.values.items() if name != "tab"
        )


def parse(arguments: Mapping[str, str]) -> SubscriptionForm:
    """The search; what cannot be read is left out of it and explained."""
    form = SubscriptionForm({name: arguments.get(name, "").strip() for name in _NAMES})
    first, last = _day(form, "from"), _day(form, "to")
    if first and last and first > last:
        form.errors["to"] = "終了日は開始日以降の日付にしてください。"
    form.criteria = SubscriptionCriteria(
        tab=SubscriptionTab(_word(form, "tab", tuple(SubscriptionTab))),
        date_field=SubscriptionDate(_word(form, "date_field", tuple(SubscriptionDate))),
        day_from=first,
        day_to=last,
        is_ok=_yes_no(form, "result"),
        order_no=_number(form),
        subscription_id=_text(form, "subscription_id"),
        email=_text(form, "email"),
        is_going_on=_yes_no(form, "going"),
        reminder=form.values["reminder"] == "1",
    )
    return form


def _text(form: SubscriptionForm, name: str) -> str:
    text = form.values[name]
    if len(text) > LONGEST_WORD:
        form.errors[name] = f"{LONGEST_WORD}文字以内で入力してください。"
    elif has_control_characters(text):
        form.errors[name] = "使用できない文字が含まれています。"
    else:
        return text
    return ""


def _number(form: SubscriptionForm) -> str:
    text = nfkc(_text(form, "order_no"))
    if text and not (text.isascii() and text.isalnum()):
        form.errors["order_no"] = "注文番号は半角英数字です。"
        return ""
    return text


def _day(form: SubscriptionForm, name: str) -> date | None:
    text = nfkc(_text(form, name)).replace("/", "-")
    if not text:
        return None
    try:
        day = date.fromisoformat(text)
    except ValueError:
        form.errors[name] = "日付は 2026-11-23 のように入力してください。"
        return None
    if not is_usable(day):
        form.errors[name] = f"日付は{DAYS_WORDS}で入力してください。"
        return None
    return day


def _word(form: SubscriptionForm, name: str, words: tuple[str, ...]) -> str:
    text = form.values[name]
    if text and text not in words:
        form.errors[name] = "選択肢にない値が指定されたため、この条件を除いて検索しました。"
    return text if text in words else words[0]


def _yes_no(form: SubscriptionForm, name: str) -> bool | None:
    yes, no = _YES_NO[name]
    text = form.values[name]
    if text and text not in (yes, no):
        form.errors[name] = "選択肢にない値が指定されたため、この条件を除いて検索しました。"
    return {yes: True, no: False}.get(text)
