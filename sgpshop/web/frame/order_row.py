"""One row of the order list; also sent alone, to replace the row in place while a run is on.

Put together here and not by a template, which takes several times as long: a page has up to 200.
White space would be sent as often, and show between chips.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping
from typing import Any
from urllib.parse import quote

from flask import Flask
from markupsafe import Markup, escape

from sgpshop.domain.order_number import in_address
from sgpshop.domain.order_rules import is_unsent
from sgpshop.domain.payment_status import PaymentStatus
from sgpshop.services.orders.facts import Facts
from sgpshop.web.frame.formatters import hold, jst, present_year, yen

#: given an order, and whether it may have others than those of its payment
Badges = Callable[[Facts, bool], Markup]
Chip = Callable[[PaymentStatus], Markup]
_OUT_OF_BAND = ' hx-swap-oob="true"'
#: So many rows are kept, and none of an order with more parcels and items than these.
_MOST, _MOST_PARTS = 512, 8


def init_app(app: Flask) -> None:
    """Give `order_row(order, selectable, badges, …)` and `order_rows(…)` to all templates of `app`.

    A list is looked at again and again: a row is made anew only where what it shows is not the same.
    """
    known: dict[str, Any] = app.jinja_env.globals
    address, chip = known["url_for"], known["status_chip"]
    kept: dict[tuple[object, ...], Markup] = {}

    def made(order: Facts, badges: Badges, year: int, how: tuple[Any, ...]) -> Markup:
        due = hold(order)
        if not _is_kept(order):
            return order_row(order, badges, chip, due, *how)
        key = order, due, year, how
        found = kept.get(key)
        if found is None:
            if len(kept) >= _MOST:
                kept.clear()
            found = kept[key] = order_row(order, badges, chip, due, *how)
        return found

    def row(
        order: Facts,
        selectable: bool,
        badges: Badges,
        *,
        is_ticked: bool = False,
        oob: bool = False,
        dated: str = "",
        reason: str = "",
    ) -> Markup:
        how = address("order_search.show"), selectable, is_ticked, oob, dated, reason
        return made(order, badges, present_year(), how)

    def rows(
        orders: Iterable[Facts],
        selectable: bool,
        badges: Badges,
        *,
        ticked: Collection[str],
        all_ticked: bool,
        dated: str,
        reasons: Mapping[int, str],
    ) -> Markup:
        there, year = address("order_search.show"), present_year()
        found = []
        for order in orders:
            is_ticked = all_ticked or order.order_no in ticked
            how = there, selectable, is_ticked, False, dated, reasons.get(order.id, "")
            found.append(made(order, badges, year, how))
        return Markup("".join(found))  # noqa: S704 - rows, each of which escapes

    known.update(order_row=row, order_rows=rows)


def _is_kept(order: Facts) -> bool:
    """Not where a badge counts the hours (要確認), and not what would take much memory."""
    is_small = len(order.items) + order.parcels <= _MOST_PARTS
    return is_small and order.payment_status is not PaymentStatus.NEEDS_REVIEW


def order_row(
    order: Facts,
    badges: Badges,
    chip: Chip,
    due: str,
    orders: str,
    selectable: bool,
    is_ticked: bool,
    oob: bool,
    dated: str,
    reason: str,
) -> Markup:
    """The row, from left to right; what is of others is escaped, the rest are our words and figures.

    `badges` are asked for only where there can be any; `due` is what stands under オーソリ期限, `orders`
    the address of the list; `dated`: which moment it is about, 注文日時 unless it is one of the payment;
    `reason`: why a capture failed.
    """
    no, status = escape(order.order_no), order.payment_status
    cells = (
        _tick(no, is_ticked) if selectable else "",
        _buyer(order, no, f"{orders}/{quote(in_address(order.order_no))}"),
        _item(order),
        _moment(order, dated),
        _amount(order),
        _status(order, chip, badges, reason),
        f'<td class="due" data-label="オーソリ期限">{due}</td>',
        _parcel(order),
    )
    start = (
        f'<tr id="row-{no}" data-order-no="{no}"'
        f' data-payment-status="{status.value if status else ""}" data-amount="{order.total}"'
        f"{_OUT_OF_BAND if oob else ''}>"
    )
    return Markup(start + "\n".join(cells) + "</tr>\n")  # noqa: S704


def _tick(no: Markup, is_ticked: bool) -> str:
    return (
        f'<td class="tick"><input type="checkbox" name="order_no" value="{no}"'
        f' aria-label="{no} を選択" autocomplete="off"{" checked" if is_ticked else ""}></td>'
    )


def _buyer(order: Facts, no: Markup, address: str) -> str:
    name = escape(order.buyer_name)
    return (
        f'<th class="who-and-no" scope="row"><bdi class="buyer" title="{name}">{name}</bdi>'
        f' <a href="{address}">{no}</a></th>'
    )


def _item(order: Facts) -> str:
    item, others = escape(order.items[0]) if order.items else "", len(order.items) - 1
    more = f' <span class="muted">他{others}点</span>' if others > 0 else ""
    return f'<td class="item" data-label="商品"><bdi title="{item}">{item}</bdi>{more}</td>'


def _moment(order: Facts, dated: str) -> str:
    payment = order.transaction
    if dated == "captured_at":
        words, moment = "売上日時", jst(payment.captured_at) if payment else ""
    elif dated == "cancelled_at":
        words, moment = "取消日時", jst(payment.cancelled_at) if payment else ""
    else:
        words, moment = "注文日時", jst(order.ordered_at)
    return f'<td class="when" data-label="{words}">{moment}</td>'


def _amount(order: Facts) -> str:
    total = yen(order.total)
    if order.transaction and is_unsent(order):
        held = yen(order.transaction.gateway_amount)
        total = f'<s class="muted">{held}</s> <span class="is-correction">{total}</span>'
    return f'<td class="num amount" data-label="合計金額">{total}</td>'


def _status(order: Facts, chip: Chip, badges: Badges, reason: str) -> str:
    if order.payment_status:
        why = f' <span class="muted">{escape(reason)}</span>' if reason else ""
        words = f"{chip(order.payment_status)}{why}"
    else:
        words = f'<bdi class="muted" data-status-text>{escape(order.method)}</bdi>'
    is_waiting = order.open_attempt or order.payment_status == PaymentStatus.NEEDS_REVIEW
    has_kinds = _may_have_kinds(order)
    more = badges(order, has_kinds) if is_waiting or has_kinds else ""
    return f'<td class="status" data-label="決済方法ステータス">{words}{more}</td>'


def _may_have_kinds(order: Facts) -> bool:
    payment = order.transaction
    return (
        order.kind != "normal"
        or order.processing_class == "returned"
        or order.handling != "open"
        or (payment is not None and payment.gateway_amount not in (None, order.total))
    )


def _parcel(order: Facts) -> str:
    words: str = order.processing_class.label
    recipient = order.recipient
    if order.parcels > 1:
        words += f"・{order.parcels}か所"
    elif recipient and recipient != order.buyer_name:
        words += f'・<span title="{escape(recipient)} 様へ">ギフト</span>'
    if order.slip_no:
        words += f' <span class="slip">{escape(order.slip_no)}</span>'
    return f'<td class="parcel" data-label="発送">{words}</td>'
