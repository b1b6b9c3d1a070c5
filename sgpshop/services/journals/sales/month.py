"""The sums of one Japanese month by day; the same rows the files for accounting programs are made of."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date, datetime, timedelta

from sgpshop.domain.billing_calendar import next_month
from sgpshop.domain.payment_calendar import jst_day
from sgpshop.services.order_search import totals
from sgpshop.services.order_search.criteria import SearchCriteria
from sgpshop.services.order_search.totals import Total
from sgpshop.services.orders import money_days, money_movements
from sgpshop.services.orders.money_days import DaySums


@dataclass(frozen=True)
class Line:
    """Counts and yen, tax included, of a day, or of the month (day None); refunds are negative."""

    day: date | None = None
    sales: int = 0
    sold: int = 0
    refunds: int = 0
    given_back: int = 0
    #: of what is left of sales and refunds
    at_8: int = 0
    at_0: int = 0
    #: of the sales those of 定期購入
    subscriptions: int = 0
    subscribed: int = 0

    @property
    def total(self) -> int:
        """差引: sales less refunds."""
        return self.sold + self.given_back

    @property
    def at_10(self) -> int:
        """Of the total what is taxed at 10 %."""
        return self.total - self.at_8 - self.at_0


@dataclass(frozen=True)
class MonthOfSales:
    """A month: its days, their sum, and what else closing it needs to know."""

    first: date
    last: date
    days: tuple[Line, ...]
    whole: Line
    #: the last day of the month, or today before that
    uncollected_on: date
    #: 未回収 at the end of that day
    uncollected: Total
    #: yen of these days that were learned too late for the journal file of the month
    in_later_files: int
    #: yen of days before that are in the journal file of this month
    of_before: int

    @property
    def in_journal(self) -> int:
        """What the journal file of this month comes to."""
        return self.whole.total - self.in_later_files + self.of_before


def read(month: date, now: datetime) -> MonthOfSales:
    """The sums of the month that begins on `month`; three queries, none of them over all that moved."""
    last = next_month(month) - timedelta(days=1)
    sums = money_days.sums_by_day(month, last)
    by_day: dict[date, list[DaySums]] = {
        month + timedelta(days=number): [] for number in range((last - month).days + 1)
    }
    for one in sums:
        by_day[one.day].append(one)
    in_later_files, of_before = money_movements.learned_late(month, last)
    end = min(last, jst_day(now))
    return MonthOfSales(
        month,
        last,
        tuple(_line(of_day, day) for day, of_day in by_day.items()),
        _line(sums),
        end,
        totals.total(SearchCriteria(uncollected_on=end)),
        in_later_files,
        of_before,
    )


def _line(sums: Iterable[DaySums], day: date | None = None) -> Line:
    sums = list(sums)
    sold = [one for one in sums if not one.is_refund]
    back = [one for one in sums if one.is_refund]
    subscribed = [one for one in sold if one.is_subscription]
    return Line(
        day,
        sum(one.count for one in sold),
        sum(one.yen for one in sold),
        sum(one.count for one in back),
        sum(one.yen for one in back),
        sum(one.at_8 for one in sums),
        sum(one.at_0 for one in sums),
        sum(one.count for one in subscribed),
        sum(one.yen for one in subscribed),
    )
