"""The calls that only look: SearchTrade and SearchTradeMulti (protocol.md §2.5, §2.6)."""

from . import fields as f
from . import trade_records
from .clock import wire_date
from .context import Context
from .fields import Params, check
from .refusal import Refused
from .rules import TRADE_MISSING
from .trade_records import Trade
from .wire import Fields

MULTI_TRADE_MISSING = "M01004002"
CARD_PAY_TYPE = "0"

#: Fields of other payment methods that end every SearchTradeMulti answer, blank for cards.
_OTHER_METHODS = (
    "CvsCode",
    "CvsConfNo",
    "CvsReceiptNo",
    "EdyReceiptNo",
    "EdyOrderNo",
    "SuicaOrderNo",
    "SuicaReceiptNo",
    "CustID",
    "BkCode",
    "ConfNo",
    "EncryptReceiptNo",
    "PaymentTerm",
    "WebMoneyManagementNo",
    "WebMoneySettleCode",
    "AuPayInfoNo",
    "AuPayMethod",
    "AuCancelAmount",
    "AuCancelTax",
    "DocomoSettlementCode",
    "DocomoCancelAmount",
    "DocomoCancelTax",
    "SbTrackingId",
    "SbCancelAmount",
    "SbCancelTax",
)


def search_trade(context: Context, params: Params) -> Fields:
    """Look a transaction up by order number (protocol.md §2.5, rules 26-28)."""
    problems = check(params, (f.ORDER_ID,))
    with context.ledger.reading() as db:
        trade = trade_records.by_order(db, params.get("OrderID", ""))
    if trade is None:
        raise Refused(*problems, TRADE_MISSING)
    return [("OrderID", trade.order_id), *_looked_up(trade)]


def search_trade_multi(context: Context, params: Params) -> Fields:
    """The look-up with a payment type (protocol.md §2.6); only cards are known here."""
    problems = check(params, (f.PAY_TYPE, f.MULTI_ORDER_ID))
    trade = None
    if problems or params["PayType"] == CARD_PAY_TYPE:
        with context.ledger.reading() as db:
            trade = trade_records.by_order(db, params.get("OrderID", ""))
    if trade is None:
        problems.append(MULTI_TRADE_MISSING)
    if trade is None or problems:
        raise Refused(*problems)
    blanks = [(name, "") for name in _OTHER_METHODS]
    return [*_looked_up(trade), ("PayType", CARD_PAY_TYPE), *blanks, ("Currency", "JPN")]


def client_fields(trade: Trade) -> Fields:
    """The merchant's own three fields, as answers carry them."""
    return [
        ("ClientField1", trade.client_field1),
        ("ClientField2", trade.client_field2),
        ("ClientField3", trade.client_field3),
    ]


def _looked_up(trade: Trade) -> Fields:
    return [
        ("Status", trade.status),
        ("ProcessDate", wire_date(trade.processed_at)),
        ("JobCd", trade.job),
        ("AccessID", trade.access_id),
        ("AccessPass", trade.access_pass),
        ("ItemCode", trade.item_code),
        ("Amount", str(trade.amount)),
        ("Tax", str(trade.tax)),
        ("SiteID", trade.site_id),
        ("MemberID", trade.member_id),
        ("CardNo", trade.card.trade_mask if trade.card else ""),
        ("Expire", trade.card.expire if trade.card else ""),
        ("Method", trade.method),
        ("PayTimes", trade.pay_times),
        ("Forward", trade.forward),
        ("TranID", trade.tran_id),
        ("Approve", trade.approve),
        *client_fields(trade),
    ]
