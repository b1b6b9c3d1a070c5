"""練習ショップ: a small shop in front of the real API, for a person who wants to see orders arrive.

It takes the buyer's place and the checkout's: it makes a token, posts the order, follows the buyer
through 3-D Secure, and says how it ended.  It is there only when it was told where the API is, by
the environment or by `POST /_control/practice-shop`.
"""

import re

from flask import Blueprint, Response, abort, redirect, render_template, request, url_for

from .card_records import new_token
from .cards import Card
from .clock import JST, machine_time
from .endpoint import APIS, Endpoint
from .faults import parse_rule
from .page_helpers import secured
from .practice_api import Exchange, Exchanges, NoAnswer, PracticeApi, Reply
from .practice_goods import (
    CARD_EXPIRES,
    CARDS,
    GOODS,
    MAX_QUANTITY,
    SHIPPING_FEE,
    Goods,
)
from .practice_goods import order as goods_order

#: Our word for a payment status of the API (rules.md §3).
STATUS_WORDS = {
    "authorized": "仮売上",
    "captured": "決済完了",
    "capture_failed": "売上失敗",
    "cancelled": "注文キャンセル",
    "needs_review": "要確認",
    "awaiting_billing": "決済待ち",
    "billing_reported": "売上報告済",
}


#: How the next capture can end: what a person reads, the fault of faults.py.
CAPTURE_ENDS = {
    "over-limit": ("限度額超過で断られる", "error:42G550000"),
    "expired-card": ("カードの有効期限切れで断られる", "error:42G830000"),
    "expired-hold": ("オーソリの期限切れで断られる", "error:E01420010"),
    "no-connection": ("SMBC-GPに接続できない(請求されない)", "drop_before"),
    "lost-answer": ("返事が途切れる(請求はされている)", "drop_after"),
}


class PracticeShop:
    """What the pages share; `api` is None until somebody says where it is."""

    def __init__(self, api: PracticeApi | None) -> None:
        self.api = api
        self.exchanges = Exchanges()


def blueprint(endpoint: Endpoint, shop: PracticeShop) -> Blueprint:
    """The practice shop at one gateway."""
    bp = Blueprint("practice_shop", __name__, url_prefix="/practice-shop")
    context = endpoint.context

    @bp.before_request
    def refuse_other_sites() -> None:
        # As /_control does: only a buyer who comes back from 3-D Secure comes from elsewhere.
        is_act = request.method == "POST" and request.endpoint != f"{bp.name}.thanks"
        if is_act and request.headers.get("Sec-Fetch-Site", "none") not in ("none", "same-origin"):
            abort(403)

    def api_or_404() -> PracticeApi:
        return shop.api or abort(404)

    @bp.after_request
    def secure(response: Response) -> Response:
        # nothing on forms: buying may lead on to 3-D Secure and back to the shop
        return secured(response)

    @bp.get("/")
    def counter() -> str:
        api_or_404()
        return _counter([])

    @bp.post("/orders")
    def buy() -> Response | tuple[str, int]:
        api = api_or_404()
        goods, quantity = GOODS.get(request.form.get("goods", "")), _quantity()
        card = CARDS.get(request.form.get("card", ""))
        problems = [] if goods else ["商品を選んでください。"]
        problems += [] if quantity else [f"数量は1から{MAX_QUANTITY}までの数字です。"]
        problems += [] if card else ["カードを選んでください。"]
        if goods is None or quantity is None or card is None:
            return _counter(problems), 422
        token = new_token(context, Card.from_number(card.number, CARD_EXPIRES))
        return_url = _thanks if request.form.get("three_ds") else None
        now = machine_time().astimezone(JST)
        order = goods_order(goods, quantity, token=token, now=now, return_url=return_url)
        exchange = Exchange(now, order, card.label)
        shop.exchanges.add(exchange)
        return _sent(api, exchange)

    @bp.post("/orders/<order_no>/again")
    def send_again(order_no: str) -> Response:
        """The very same order once more: the shop knows it, or takes it now (P27)."""
        return _sent(api_or_404(), shop.exchanges.of(order_no) or abort(404))

    @bp.get("/next-capture")
    def next_capture(told: str = "") -> str:
        api_or_404()
        return render_template("practice_next_capture.html", choices=CAPTURE_ENDS, told=told)

    @bp.post("/next-capture")
    def fail_next() -> str | tuple[str, int]:
        api_or_404()
        label, fault = CAPTURE_ENDS.get(request.form.get("how", ""), ("", ""))
        if not fault:
            return next_capture("どのように終わるかを選んでください。"), 422
        rule = {"api": "AlterTran", "job_cd": "SALES", "times": 1, "fault": fault}
        endpoint.faults.add(parse_rule(rule, frozenset(APIS)))
        return next_capture(
            f"次の実売上処理は「{label}」になります。管理画面で1件、実売上処理をしてください。"
        )

    @bp.get("/orders/<order_no>")
    def ended(order_no: str) -> str:
        api, exchange = api_or_404(), shop.exchanges.of(order_no) or abort(404)
        return render_template(
            "practice_order.html",
            exchange=exchange,
            reply=exchange.reply,
            goods=_goods_of(exchange),
            back_office=api.order_page(order_no),
            challenge=_challenge(exchange.reply),
        )

    @bp.route("/thanks/<order_no>", methods=["GET", "POST"])
    def thanks(order_no: str) -> str:
        """Where the shop sends the browser after 3-D Secure (`return_url`)."""
        api, exchange = api_or_404(), shop.exchanges.of(order_no) or abort(404)
        try:
            now = api.order(order_no)
        except NoAnswer:
            now = None
        return render_template(
            "practice_thanks.html",
            exchange=exchange,
            now=now,
            goods=_goods_of(exchange),
            back_office=api.order_page(order_no),
        )

    @bp.get("/log")
    def log() -> str:
        api_or_404()
        return render_template("practice_log.html", exchanges=shop.exchanges.latest())

    @bp.context_processor
    def words() -> dict[str, object]:
        return {"status_words": STATUS_WORDS}

    @bp.errorhandler(404)
    def missing(_error: Exception) -> tuple[str, int]:
        return render_template("practice_missing.html", is_open=shop.api is not None), 404

    return bp


def _counter(problems: list[str]) -> str:
    return render_template(
        "practice_shop.html",
        goods=GOODS.values(),
        cards=CARDS.values(),
        most=MAX_QUANTITY,
        shipping_fee=SHIPPING_FEE,
        problems=problems,
        chosen=request.form,
    )


def _quantity() -> int | None:
    text = request.form.get("quantity", "")
    is_number = re.fullmatch("[0-9]{1,2}", text) is not None
    return int(text) if is_number and 1 <= int(text) <= MAX_QUANTITY else None


def _thanks(order_no: str) -> str:
    return url_for(".thanks", order_no=order_no, _external=True)


def _sent(api: PracticeApi, exchange: Exchange) -> Response:
    """Send an order, and the browser to how it ended or to 3-D Secure."""
    try:
        exchange.reply = api.post_order(exchange.order)
    except NoAnswer:
        exchange.reply = None
    target = _challenge(exchange.reply) or url_for(".ended", order_no=exchange.order_no)
    return redirect(target, 303)  # type: ignore[return-value]


def _challenge(reply: Reply | None) -> str:
    """Where the buyer passes 3-D Secure, "" if there is no need."""
    if reply is None or reply.status != 202:
        return ""
    url = reply.text("redirect_url")
    return url if url.startswith(("http://", "https://")) else ""


def _goods_of(exchange: Exchange) -> Goods:
    return GOODS[exchange.order["items"][0]["code"]]
