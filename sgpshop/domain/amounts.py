"""How an order's total is made up, and the tax in it by rate (R77, R77a, R77b, R77c)."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from sgpshop.domain.errors import ShopError
from sgpshop.domain.text import nfkc
from sgpshop.domain.words import Labelled

#: Gateway amounts have seven digits (R65).
MOST_YEN = 9_999_999

#: All lines of an order come to no more, whatever its total: what moves is booked by rate in 32 bits (R146).
MOST_IN_LINES = 999_999_999

#: 送料, 手数料 and 金額調整 are taxed at this rate (R77b, R77c).
_FEES_RATE = 10
#: 0: 非課税, 免税 and the like
RATES = (8, 10, 0)

#: columns of an order that go into its total
FEES = ("carriage", "commission")
REDUCTIONS = ("bulk_discount", "coupon", "points_used", "discount")
#: columns with the tax by rate, when it was set by hand (R76a)
TAXES = {8: "tax_8", 10: "tax_10"}
#: columns with the rule under which the order came in (`TaxRule.columns`); no setting moves it later
TAX_RULE = ("prices_include_tax", "tax_rounding")
AMOUNT_COLUMNS = (*FEES, *REDUCTIONS, *TAXES.values(), *TAX_RULE)


class TaxRounding(Labelled):
    """消費税の端数: what becomes of a fraction of a yen, once per rate and order (R77b)."""

    DOWN = "down", "切り捨て"
    HALF_UP = "half_up", "四捨五入"
    UP = "up", "切り上げ"


@dataclass(frozen=True)
class TaxRule:
    """How prices and taxes go together (価格の税区分 and 消費税の端数), kept with every order."""

    #: prices include tax (税込); otherwise it is added to them (税別)
    is_included: bool = True
    rounding: TaxRounding = TaxRounding.DOWN

    @property
    def columns(self) -> dict[str, Any]:
        """The columns of an order that keep this rule."""
        return dict(zip(TAX_RULE, (self.is_included, self.rounding), strict=True))

    @classmethod
    def stored_in(cls, columns: Mapping[str, Any]) -> TaxRule:
        """The rule that columns of an order keep; one not spoken of is as by default."""
        return cls(
            columns.get("prices_include_tax", True), columns.get("tax_rounding", TaxRounding.DOWN)
        )

    def tax_on(self, net: int, rate: int) -> int:
        """The tax that `net` yen without tax bring."""
        return self._rounded(net * rate, 100)

    def tax_in(self, gross: int, rate: int) -> int:
        """The tax contained in `gross` yen."""
        return self._rounded(gross * rate, 100 + rate)

    def _rounded(self, numerator: int, denominator: int) -> int:
        """The fraction as whole yen; a negative one mirrors its positive (金額調整 may be less)."""
        size = abs(numerator)
        if self.rounding is TaxRounding.UP:
            size += denominator - 1
        elif self.rounding is TaxRounding.HALF_UP:
            size += denominator // 2
        return size // denominator if numerator >= 0 else -(size // denominator)


TAX_INCLUDED = TaxRule()


class Line(Protocol):
    """What counts of one item."""

    @property
    def amount(self) -> int: ...
    @property
    def tax_rate(self) -> int: ...


@dataclass(frozen=True)
class RateShare:
    """What is taxed at one rate, tax included, and the tax in it, rounded once; yen."""

    rate: int
    amount: int
    tax: int


@dataclass(frozen=True)
class Breakdown:
    """The parts of a total in yen."""

    items: int
    fees: int
    reductions: int
    #: tax on top of prices without tax; 0 where they include it
    tax_added: int
    #: 金額調整: what a total that was typed in differs from the calculation (R77c)
    adjustment: int
    shares: tuple[RateShare, ...]

    @property
    def calculated(self) -> int:
        """What the parts come to, never below 0 (R77a)."""
        return max(0, self.items + self.fees - self.reductions) + self.tax_added

    @property
    def total(self) -> int:
        """What the buyer is charged: the calculation and its 金額調整."""
        return self.calculated + self.adjustment


def break_down(
    lines: Iterable[Line],
    *,
    fees: int,
    reductions: int,
    total: int | None = None,
    taxes: Mapping[int, int | None] | None = None,
    rule: TaxRule = TAX_INCLUDED,
) -> Breakdown:
    """Add up `lines`, fees and reductions, and split the result by tax rate.

    `total` is what is charged in the end, None for what the calculation says; `taxes` by rate are
    those set by hand (None: calculated).
    """
    by_rate = dict.fromkeys(RATES, 0)
    for line in lines:
        by_rate[line.tax_rate] += line.amount
    items = sum(by_rate.values())
    by_rate[_FEES_RATE] += fees
    net = _reduced(by_rate, reductions)
    set_taxes = {rate: tax for rate, tax in (taxes or {}).items() if tax is not None}
    added = dict.fromkeys(RATES, 0)
    if not rule.is_included:
        added = {rate: rule.tax_on(net[rate], rate) for rate in RATES} | set_taxes
    calculated = sum(net.values()) + sum(added.values())
    adjustment = 0 if total is None else total - calculated
    gross = {rate: net[rate] + added[rate] for rate in RATES}
    gross[_FEES_RATE] += adjustment
    in_gross = {rate: rule.tax_in(gross[rate], rate) for rate in RATES}
    # A tax that was added is the tax; with 金額調整 beside it, the sum of both is looked at once.
    known = {
        rate: tax
        for rate, tax in added.items()
        if not rule.is_included and not (adjustment and rate == _FEES_RATE)
    }
    tax = in_gross | known | set_taxes
    return Breakdown(
        items=items,
        fees=fees,
        reductions=reductions,
        tax_added=sum(added.values()),
        adjustment=adjustment,
        shares=tuple(
            RateShare(rate, gross[rate], tax[rate])
            for rate in RATES
            if by_rate[rate] or gross[rate] or tax[rate]
        ),
    )


def break_down_order(
    columns: Mapping[str, Any],
    lines: Iterable[Line],
    *,
    total: int | None = None,
) -> Breakdown:
    """`break_down` of an order by its own `columns`; a column not spoken of counts as none."""
    return break_down(
        lines,
        fees=sum(columns.get(name, 0) for name in FEES),
        reductions=sum(columns.get(name, 0) for name in REDUCTIONS),
        total=total,
        taxes={rate: columns.get(name) for rate, name in TAXES.items()},
        rule=TaxRule.stored_in(columns),
    )


def calculated_of(columns: Mapping[str, Any], lines: Iterable[Line]) -> int:
    """What an order's own parts come to (R77a): `Breakdown.calculated`, without looking at the tax in it."""
    if not columns.get("prices_include_tax", True):
        return break_down_order(columns, lines).calculated
    total: int = sum([line.amount for line in lines])
    total += sum([columns.get(name, 0) for name in FEES])
    total -= sum([columns.get(name, 0) for name in REDUCTIONS])
    return max(0, total)


def _reduced(by_rate: Mapping[int, int], reductions: int) -> dict[int, int]:
    """Amounts by rate after reductions, spread in proportion.

    What rounding leaves is taken from the largest, as far as it goes, then from the next.
    """
    if not reductions:
        return dict(by_rate)
    gross = sum(by_rate.values())
    reductions = min(reductions, gross)
    left = {
        rate: yen - (reductions * yen // gross if gross else 0) for rate, yen in by_rate.items()
    }
    over = sum(left.values()) - (gross - reductions)
    for rate in sorted(by_rate, key=lambda rate: (by_rate[rate], rate), reverse=True):
        taken = max(0, min(over, left[rate]))
        left[rate] -= taken
        over -= taken
    return left


class AmountRefused(ShopError):
    """A typed amount that cannot be an order's total; the message says why."""


_TO_HALF_WIDTH = {code: code - 0xFEE0 for code in range(0xFF01, 0xFF5F)} | {
    0x3000: " ",
    0xFFE5: "¥",
    0x2212: "-",
}
_LONGEST_AMOUNT = 40
_WHOLE = re.compile(r"(-?)(\d{1,3}(?:,\d{3})+|\d+)", re.ASCII)
_YEN = re.compile(r"([-−△▲]?)[¥\\]?(\d{1,3}(?:,\d{3})+|\d+)(?:\.0*)?円?", re.ASCII)
_DECIMAL = re.compile(r"-?[\d,]+\.\d*", re.ASCII)


def yen_in(text: str) -> int | None:
    """Whole yen as people and programs write them: 1,500 · 1500.00 · ¥1,500 · 1,500円 · -150.

    None for anything else, a real fraction of a yen included.
    """
    found = _YEN.fullmatch(nfkc(text)) if len(text) <= _LONGEST_AMOUNT else None
    if found is None:
        return None
    yen = int(found[2].replace(",", ""))
    return -yen if found[1] else yen


def typed_total(text: str) -> int:
    """A total as a person types it: full-width digits, commas, ¥, 円 and blanks around (R65).

    Raises AmountRefused with the reason.
    """
    plain = text.translate(_TO_HALF_WIDTH).strip()
    if not plain:
        raise AmountRefused("合計金額を入力してください。")
    figure = plain.removeprefix("¥").removeprefix("\\").removesuffix("円").strip()
    if len(plain) > _LONGEST_AMOUNT or not (found := _WHOLE.fullmatch(figure)):
        if len(plain) <= _LONGEST_AMOUNT and _DECIMAL.fullmatch(figure):
            raise AmountRefused("合計金額に小数は使えません。1円単位の整数で入力してください。")
        raise AmountRefused(
            "合計金額は数字だけで入力してください(例: 9500、9,500、９５００)。"
            "文字や記号を含む値は使えません。"
        )
    amount = int(found[2].replace(",", ""))
    return require_chargeable(-amount if found[1] else amount)


def require_chargeable(amount: int) -> int:
    """`amount` if an order may have it as its total.  Raises AmountRefused (R65)."""
    if amount < 1:
        raise AmountRefused(
            "合計金額は1円以上で入力してください。0円にする場合は注文キャンセルをしてください。"
        )
    if amount > MOST_YEN:
        raise AmountRefused(
            f"合計金額は{MOST_YEN:,}円(7桁)以下で入力してください。SMBC-GPの上限です。"
        )
    return amount
