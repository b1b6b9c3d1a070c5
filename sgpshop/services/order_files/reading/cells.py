"""What one cell may say: text of an order file -> value, or CellProblem with the reason.

Parsers get the cleaned text of a cell that is not empty.  Values: yen and counts int, moments
aware UTC.  Full-width digits and commas are accepted where numbers are meant (R65, §14.2); in
identifiers nothing is converted (S25).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from datetime import UTC, date, datetime, time, timedelta
from functools import lru_cache
from typing import TypeVar

from sgpshop.domain.amounts import TaxRounding, yen_in
from sgpshop.domain.carriers import CARRIERS, carrier_called
from sgpshop.domain.csv_writing import csv_unguarded
from sgpshop.domain.delivery_status import DeliveryStatus, ProcessingClass
from sgpshop.domain.order_number import is_reserved, is_well_formed
from sgpshop.domain.our_members import REFUSAL, is_our_member
from sgpshop.domain.payment_calendar import JST
from sgpshop.domain.payment_status import PaymentStatus
from sgpshop.domain.spreadsheets import is_cut_number
from sgpshop.domain.text import has_control_characters, nfkc

T = TypeVar("T")

#: Gateway amounts have seven digits (R65).
MAX_YEN = 9_999_999

_EXCEL_TEXT = re.compile(r'="([0-9A-Za-z-]*)"')
_ACCESS_ID = re.compile(r"[0-9A-Za-z]{1,64}")
_SLIP = re.compile(r"[0-9A-Za-z-]{1,30}")
_EXCEL_DAYS = re.compile(r"([3-7]\d{4})(\.\d+)?")
_EXCEL_EPOCH = datetime(1899, 12, 30, tzinfo=JST)
_POSTAL_CODE = 7
_OFFSET = re.compile(r"(.+\d) ?([+-]\d{2}):?(\d{2})")
_HOURS = re.compile(r"(\d{1,2})(?::?00|時)?[~～〜\-–ー−](\d{1,2})(?::?00|時)?")
_HOURS_COMPACT = re.compile(r"([01]\d|2[0-4])([01]\d|2[0-4])")
#: No wish.
_NONE = frozenset(
    (
        "",
        "--",
        "//",
        "-",
        "なし",
        "設定なし",
        "指定なし",
        "希望なし",
        "指定しない",
        "0000-00-00",
        "0",
    )
)
#: What nearly all programs write.
_USUAL = re.compile(
    r"(20[0-9]{2})([/-])([0-9]{1,2})\2([0-9]{1,2}) ([0-9]{1,2}):([0-9]{2})(?::([0-9]{2}))?"
)
_COMPACT = re.compile(r"(\d{8})(\d{6})?")
_DATE = re.compile(r"(\d{4})([/-])(\d{1,2})\2(\d{1,2})")
_TIME = re.compile(r"(\d{1,2}):(\d{2})(?::(\d{2}))?")
_TIME_COMPACT = re.compile(r"\d{3,6}")
_ISO = re.compile(r"\d{4}-\d{2}-\d{2}T.+")
_TOKYO = re.compile(r"東京(都)?\(23区[内外]\)|東京")


class CellProblem(ValueError):
    """Why a cell cannot be used: the rest of a sentence that begins with the column's name."""


class CellDamaged(CellProblem):
    """A spreadsheet program lost what stood there."""


def clean(cell: str) -> str:
    """The text a person meant: outer blanks, formula guard and Excel's `="0123"` taken off."""
    text = cell.strip()
    if not text.startswith(("'", "=")):
        return text
    text = csv_unguarded(text).strip()
    if text.startswith('="') and (wrapped := _EXCEL_TEXT.fullmatch(text)):
        return wrapped[1]
    return text


def text(longest: int, *, lines: bool = False) -> Callable[[str], str]:
    """A parser for free text; `lines` allows line breaks."""

    def parse(value: str) -> str:
        undamaged(value)
        if len(value) > longest:
            raise CellProblem(f"は{longest}文字以内で入力してください({len(value)}文字あります)。")
        if not value.isprintable() and has_control_characters(value, lines=lines):
            raise CellProblem("に使えない制御文字や改行があります。")
        return value

    return parse


def whole(least: int, most: int) -> Callable[[str], int]:
    """A parser for a whole number, with or without separators, ¥ and 円."""

    def parse(value: str) -> int:
        number = yen_in(value)
        if number is None or not least <= number <= most:
            raise CellProblem(f"は{least:,}〜{most:,}の整数で入力してください。")
        return number

    return parse


yen = whole(0, MAX_YEN)


def reduction(value: str) -> int:
    """What lowers a total, which some programs write as -150."""
    return abs(whole(-MAX_YEN, MAX_YEN)(value))


def postal_code(value: str) -> str:
    """As it stands there, with the zero that Excel drops."""
    plain = nfkc(value).lstrip("'")
    if plain.isdigit() and len(plain) == _POSTAL_CODE - 1:
        return "0" + plain
    return text(10)(plain if plain.isascii() else value)


def tel(value: str) -> str:
    """As it stands there, with the zero that Excel drops: every number in Japan begins with one."""
    plain = nfkc(value).lstrip("'")
    is_cut = plain.isdigit() and len(plain) in (9, 10) and not plain.startswith("0")
    return "0" + plain if is_cut else text(30)(value.lstrip("'"))


#: What a phone number may be written with, an extension among it.
_TEL = re.compile(r"[\d+\-‐‑–—−ー()\s.#*xX内線]*")


def typed_tel(value: str) -> str:
    """The same of a number that a person types: digits are meant, not words.  Raises CellProblem."""
    plain = nfkc(value)
    if not _TEL.fullmatch(plain) or sum(sign.isdigit() for sign in plain) < 9:
        raise CellProblem("は市外局番から、数字とハイフンで入力してください。")
    return tel(value)


def day_or_none(value: str) -> date | None:
    """A date in any form; None for the words that programs have for none."""
    return None if value in _NONE else calendar_day(value)


def wish_time(value: str) -> str:
    """配送時間帯 in one form: 14時～16時 for 14:00-16:00, 14時-16時, 1416."""
    plain = nfkc(value).replace(" ", "")
    if value in _NONE:
        return ""
    if found := _HOURS.fullmatch(plain) or _HOURS_COMPACT.fullmatch(plain):
        return f"{int(found[1])}時～{int(found[2])}時"
    return text(60)(value)


def undamaged(value: str) -> str:
    """A number as it is; Excel makes `4.90715E+11` of a long one.  Raises CellDamaged."""
    if value[-1:].isnumeric() and is_cut_number(nfkc(value)):
        raise CellDamaged(
            "がExcelで開いて保存したために壊れています(4.90715E+11 のような形)。"
            "元のプログラムからもう一度出力し、Excelで開かずに取り込んでください。"
        )
    return value


@lru_cache(maxsize=16)  # asked of every row of an order, and of the order
def order_number(value: str) -> str:
    """R142, nothing converted."""
    undamaged(value)
    if not is_well_formed(value):
        raise CellProblem(
            "は半角の英数字とハイフン27文字以内で入力してください(全角文字やほかの記号は使えません)。"
        )
    if is_reserved(value):
        raise CellProblem("にこの語は使えません(画面のアドレスと重なります)。")
    return value


def member_id(longest: int) -> Callable[[str], str]:
    """A parser for 会員ID: free text, but never a member under which we keep cards."""
    parse = text(longest)

    def checked(value: str) -> str:
        if is_our_member(value):
            raise CellProblem(f"に{REFUSAL}")
        return parse(value)

    return checked


def access_id(value: str) -> str:
    """取引ID as the gateway gave it."""
    if not _ACCESS_ID.fullmatch(value):
        raise CellProblem("は半角英数字で入力してください。")
    return value


def slip_number(value: str) -> str:
    """§9.1: hyphens and leading zeros are kept."""
    undamaged(value)
    if not _SLIP.fullmatch(value):
        raise CellProblem("は半角の英数字とハイフン30文字以内で入力してください。")
    return value


def carrier(value: str) -> str:
    """A code of §9.2, also without the zeros Excel drops, or what people call the company."""
    plain = nfkc(value)
    code = plain.zfill(3) if plain.isdigit() else carrier_called(plain)
    if code not in CARRIERS:
        raise CellProblem(NO_CARRIER)
    return code


NO_CARRIER = "は配送会社の名前か、コード001〜031(005を除く)で入力してください。"


def one_of(words: Mapping[str, T], shown: str = "") -> Callable[[str], T]:
    """A parser for one of `words`, brackets around it and width making no difference.

    The refusal lists `shown`, or else the Japanese ones among `words`.
    """
    folded = {_fold(word): meaning for word, meaning in words.items()} | dict(words)
    listed = shown or "・".join(word for word in words if not word.isascii())

    def parse(value: str) -> T:
        try:
            return folded[value if value in folded else _fold(value)]
        except KeyError:
            raise CellProblem(f"は次のどれかを入力してください: {listed}") from None

    return parse


def _fold(word: str) -> str:
    return nfkc(word).strip("[]").casefold()


flag = one_of(
    dict.fromkeys(("あり", "はい", "対象", "○", "1", "y", "yes", "true"), True)
    | dict.fromkeys(("なし", "いいえ", "対象外", "×", "0", "n", "no", "false"), False),
    "1・0",
)
payment_status = one_of({s.label: s for s in PaymentStatus} | {s.value: s for s in PaymentStatus})
processing = one_of({c.label: c for c in ProcessingClass})
order_state = one_of(
    {"0": 0, "1": 1, "99": 99, "キャンセル": 0, "通常": 1, "仮注文": 99}, "1・0・99"
)
tax_rate = one_of(
    dict.fromkeys(("8", "8%", "0.08", "8.0", "8.00", "軽減8%", "8%(軽)", "軽減税率"), 8)
    | dict.fromkeys(("10", "10%", "0.1", "0.10", "10.0", "10.00", "標準税率"), 10)
    | dict.fromkeys(("0", "0%", "0.0", "0.00", "非課税", "不課税", "免税", "対象外"), 0),
    "8・10・0",
)
price_tax = one_of(
    {"税込": True, "税込み": True, "税別": False, "税抜": False, "税抜き": False}, "税込・税別"
)
tax_rounding = one_of({r.label: r for r in TaxRounding} | {r.value: r for r in TaxRounding})
delivery_status = one_of(
    {s.label: s for s in DeliveryStatus}
    | {
        "N": DeliveryStatus.UNPROCESSED,
        "1": DeliveryStatus.INSTRUCTED,
        "2": DeliveryStatus.PREPARING,
        "3": DeliveryStatus.DELIVERED,
        "Y": DeliveryStatus.DELIVERED,
        "9": DeliveryStatus.RETURNED,
        "R": DeliveryStatus.RETURNED,
        "C": DeliveryStatus.CANCELLED,
    }
)


def prefecture(value: str) -> str:
    """The prefecture, the two halves of Tokyo made one (§14.2)."""
    if _TOKYO.fullmatch(nfkc(value)):
        return "東京都"
    return text(10)(value)


def moment(value: str) -> datetime | date:
    """A JST moment as UTC, or a bare date when there is no time in the cell.

    Forms: yyyymmddhhmmss, 2026/11/23 10:15[:00], 2026-11-23 …, ISO 8601 (its offset counts).
    """
    plain = nfkc(value)
    try:
        if usual := _USUAL.fullmatch(plain):
            [year, _, month, day, hour, minute, second] = usual.groups("0")
            of_day = int(hour), int(minute), int(second)
            return utc(datetime(int(year), int(month), int(day), *of_day, tzinfo=JST))
        if days := _EXCEL_DAYS.fullmatch(plain):
            counted = _EXCEL_EPOCH + timedelta(days=float(plain))
            return utc(counted) if days[2] else counted.date()
        if offset := _OFFSET.fullmatch(plain):
            plain = f"{offset[1].replace(' ', 'T', 1)}{offset[2]}:{offset[3]}".replace("/", "-")
        if compact := _COMPACT.fullmatch(plain):
            if compact[2] is None:
                return _in_range(datetime.strptime(plain, "%Y%m%d").replace(tzinfo=JST)).date()
            return utc(_in_range(datetime.strptime(plain, "%Y%m%d%H%M%S").replace(tzinfo=JST)))
        if _ISO.fullmatch(plain):
            iso = datetime.fromisoformat(plain)
            return utc(_in_range(iso if iso.tzinfo else iso.replace(tzinfo=JST)))
        day_text, _, time_text = plain.partition(" ")
        on = _day(day_text)
        return at(on, clock_time(time_text.strip())) if time_text.strip() else on
    except ValueError:
        raise CellProblem(
            "は 2026/11/23 10:15 または 20261123101500 のような日時で入力してください。"
        ) from None


def calendar_day(value: str) -> date:
    """A date in any form `moment` knows."""
    try:
        found = moment(value)
    except CellProblem:
        raise CellProblem("は 2026/11/23 のような日付で入力してください。") from None
    return found.astimezone(JST).date() if isinstance(found, datetime) else found


def clock_time(value: str) -> time:
    """注文時間: 10:15[:00] or hhmmss, also without the zeros Excel drops."""
    plain = nfkc(value)
    try:
        if found := _TIME.fullmatch(plain):
            return time(int(found[1]), int(found[2]), int(found[3] or 0))
        if _TIME_COMPACT.fullmatch(plain):
            digits = plain.zfill(6)
            return time(int(digits[:2]), int(digits[2:4]), int(digits[4:]))
    except ValueError:
        pass
    raise CellProblem("は 10:15:00 または 101500 のような時刻で入力してください。")


def at(day: date, clock: time) -> datetime:
    """That time of that day in Japan, as UTC."""
    return utc(datetime.combine(day, clock, JST))


def utc(value: datetime) -> datetime:
    """The same moment in UTC."""
    return value.astimezone(UTC)


def _day(value: str) -> date:
    found = _DATE.fullmatch(value)
    if found is None:
        raise ValueError(value)
    return _in_range(datetime(int(found[1]), int(found[3]), int(found[4]), tzinfo=JST)).date()


def _in_range(value: datetime) -> datetime:
    if not 2000 <= value.year < 2100:
        raise ValueError(value)
    return value
