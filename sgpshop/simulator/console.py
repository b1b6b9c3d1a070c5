"""The console pages: a person looks at transactions and works on them by hand (rule 34)."""

import csv
import hashlib
import hmac
import io
import re
import secrets
from collections.abc import Iterator
from dataclasses import dataclass

from flask import Blueprint, Response, abort, redirect, render_template, request, url_for

from . import card_records, monthly_files, monthly_records, three_ds, trade_records
from .clock import at, day
from .endpoint import Endpoint
from .fields import AMOUNT, check
from .labels import list_word
from .page_helpers import dress
from .processing import ProcessingRequest, process
from .refusal import Refused, refuse_if
from .rules import Job, Status, TransitionKind, cancellation_by_date, may, require_possible
from .trade_records import Trade

PAGE_SIZE = 50
CSV_MOST = 100_000
MEMBERS_SHOWN = 200


@dataclass(frozen=True, slots=True)
class ConsoleOperation:
    """Something a person can do to a transaction; `name` is its place in the address."""

    name: str
    label: str
    api: str
    step: TransitionKind


OPERATIONS = {
    operation.name: operation
    for operation in (
        ConsoleOperation("sales", "実売上", "AlterTran", TransitionKind.SELL),
        ConsoleOperation("cancel", "取消・返品", "AlterTran", TransitionKind.CANCEL),
        ConsoleOperation("change", "金額変更", "ChangeTran", TransitionKind.CHANGE),
    )
}


def blueprint(endpoint: Endpoint) -> Blueprint:
    """The console of one gateway."""
    bp = Blueprint("console", __name__, url_prefix="/mulpayconsole")
    context = endpoint.context
    dress(bp, endpoint)
    # of this process only: a form from before a restart is asked for again, which does no harm
    secret = secrets.token_bytes(32)

    def seal(operation: ConsoleOperation, trade: Trade, amount: int) -> str:
        """What proves that this server showed this confirmation, for the trade as it was."""
        seen = (operation.name, trade.order_id, trade.status, trade.total, trade.tran_id, amount)
        return hmac.new(secret, repr(seen).encode(), hashlib.sha256).hexdigest()

    def trade_or_404(shop_id: str, order_id: str) -> Trade:
        require_shop(shop_id)
        monthly_files.settle_due(context)
        with context.ledger.reading() as db:
            trade = trade_records.by_order(db, order_id)
        return trade or abort(404)

    def require_shop(shop_id: str) -> None:
        if shop_id != context.contract.shop_id:
            abort(404)

    @bp.get("/shop/<shop_id>/login/")
    def shop(shop_id: str) -> str:
        require_shop(shop_id)
        monthly_files.settle_due(context)
        order_id = request.args.get("order_id", "").strip()
        status = request.args.get("status", "")
        before = request.args.get("before", type=_row_id)
        with context.ledger.reading() as db:
            trades, following = trade_records.page(
                db, order_id=order_id, status=status, before=before, size=PAGE_SIZE
            )
        return render_template(
            "shop.html",
            trades=trades,
            order_id=order_id,
            status=status,
            before=before,
            following=following,
        )

    @bp.get("/shop/<shop_id>/transactions.csv")
    def download(shop_id: str) -> Response:
        """取引一覧CSV: what the list shows, in the encoding Japanese spreadsheets expect."""
        require_shop(shop_id)
        monthly_files.settle_due(context)
        with context.ledger.reading() as db:
            text = _list_as_csv(
                trade_records.listed(
                    db,
                    order_id=request.args.get("order_id", "").strip(),
                    status=request.args.get("status", ""),
                    most=CSV_MOST,
                )
            )
        return Response(
            text.encode("cp932", errors="replace"),
            mimetype="text/csv",
            headers={"Content-Disposition": 'attachment; filename="transactions.csv"'},
        )

    @bp.get("/shop/<shop_id>/transactions/<order_id>")
    def transaction(shop_id: str, order_id: str) -> str:
        trade = trade_or_404(shop_id, order_id)
        with context.ledger.reading() as db:
            history = trade_records.history_of(db, order_id)
            by_file = monthly_records.file_of(db, order_id)
            authentication = three_ds.request_of(db, trade)
        possible = {name for name, o in OPERATIONS.items() if may(trade.status, o.step)}
        if by_file:
            possible = set()  # only files work on it (rule 36)
        return render_template(
            "transaction.html",
            trade=trade,
            history=history,
            operations=OPERATIONS,
            possible=possible,
            by_file=by_file,
            three_ds=authentication,
            done=request.args.get("done") == str(len(history)),
        )

    @bp.get("/shop/<shop_id>/transactions/<order_id>/<operation_name>")
    def confirm(shop_id: str, order_id: str, operation_name: str) -> tuple[str, int]:
        trade = trade_or_404(shop_id, order_id)
        operation = OPERATIONS.get(operation_name) or abort(404)
        try:
            require_possible(trade.status, operation.step)
            work = _work(operation, trade, request.args.get("amount", ""))
        except Refused as refusal:
            return _refused(trade, operation, refusal)
        return render_template(
            "confirm.html",
            trade=trade,
            operation=operation,
            work=work,
            kind=cancellation_by_date(
                trade.status, day(trade.processed_at), context.clock.now().date()
            ),
            seal=seal(operation, trade, work.total),
        ), 200

    @bp.post("/shop/<shop_id>/transactions/<order_id>/<operation_name>")
    def carry_out(shop_id: str, order_id: str, operation_name: str) -> Response | tuple[str, int]:
        seen = trade_or_404(shop_id, order_id)
        operation = OPERATIONS.get(operation_name) or abort(404)
        try:
            work = _work(operation, seen, request.form.get("amount", ""))
            with context.claims.exclusively(order_id), context.ledger.transaction() as db:
                trade = trade_records.by_order(db, order_id) or abort(404)
                expected = seal(operation, trade, work.total)
                sent = request.form.get("seal", "")
                if not hmac.compare_digest(expected.encode(), sent.encode()):
                    return _refused(trade, operation, None)
                process(context, db, trade, work)
                lines = len(trade_records.history_of(db, order_id))
        except Refused as refusal:
            return _refused(seen, operation, refusal)
        target = url_for(".transaction", shop_id=shop_id, order_id=order_id, done=lines)
        return redirect(target, 303)  # type: ignore[return-value]

    @bp.get("/site/<site_id>/login/")
    def site(site_id: str) -> str:
        if site_id != context.contract.site_id:
            abort(404)
        with context.ledger.reading() as db:
            members = [
                (member, card_records.cards(db, member.member_id, physical=True))
                for member in card_records.members(db, MEMBERS_SHOWN)
            ]
        return render_template("site.html", members=members, shown=MEMBERS_SHOWN)

    return bp


def _list_as_csv(listed: Iterator[trade_records.ListedTrade]) -> str:
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\r\n")
    writer.writerow(("オーダーID", "状態", "金額", "処理日時", "取引ID", "承認番号", "カード番号"))
    for line in listed:
        trade = line.trade
        writer.writerow(
            (
                trade.order_id,
                list_word(trade.status, was_sold=line.was_sold, has_failed=line.has_failed),
                trade.total,
                at(trade.processed_at).strftime("%Y/%m/%d %H:%M:%S"),
                trade.access_id,
                trade.approve,
                trade.card.trade_mask if trade.card else "",
            )
        )
    return out.getvalue()


def _row_id(text: str) -> int:
    """Where a page begins; ValueError for what the ledger could not count to."""
    if not re.fullmatch("[0-9]{1,18}", text):
        raise ValueError(text)
    return int(text)


def _work(operation: ConsoleOperation, trade: Trade, amount: str) -> ProcessingRequest:
    """What the person asks for, in yen with tax; raises Refused for an amount that is none.

    A sale and a cancellation always take the whole amount; a change keeps the kind of a sale.
    """
    if operation.step is TransitionKind.SELL:
        return ProcessingRequest(
            operation.api, operation.step, Job.SALES, trade.total, by="console"
        )
    if operation.step is TransitionKind.CANCEL:
        return ProcessingRequest(operation.api, operation.step, Job.CANCEL, by="console")
    refuse_if(check({"Amount": amount}, (AMOUNT,)))
    sold = trade.status in (Status.SALES, Status.CAPTURE)
    job = Job.CAPTURE if sold else Job.AUTH
    return ProcessingRequest(operation.api, operation.step, job, int(amount), by="console")


def _refused(trade: Trade, operation: ConsoleOperation, refusal: Refused | None) -> tuple[str, int]:
    """The page that says why nothing was done; without a refusal the form was out of date."""
    codes = refusal.codes if refusal else ()
    return render_template("refused.html", trade=trade, operation=operation, codes=codes), 409
