"""One shop, one transaction, and answers about them as the gateway writes them."""

from hashlib import md5

import responses

from sgpshop.gateway import Card, ShopCredentials, TradeAccess

BASE_URL = "https://gateway.example"
CREDENTIALS = ShopCredentials("tshop00000001", "shoppass01", "tsite00000001", "sitepass01")
ACCESS = TradeAccess("order-1", "a" * 31 + "1", "f" * 31 + "7")
CARD = Card(number="4111111111111111", expire="3012", security_code="123")
SECRETS = (
    CREDENTIALS.shop_pass,
    CREDENTIALS.site_pass,
    ACCESS.access_pass,
    CARD.number,
    CARD.expire,
    "SecurityCode=123",
)

ENTERED = f"AccessID={ACCESS.access_id}&AccessPass={ACCESS.access_pass}"
ALTERED = (
    f"{ENTERED}&Forward=2a99662&Approve= 416261"
    "&TranID=1303011158111111111111198881&TranDate=20130301235937"
)
TRADE = (
    "OrderID=order-1&Status=AUTH&ProcessDate=20130301115932&JobCd=AUTH"
    f"&{ENTERED}&ItemCode=0000990&Amount=3000&Tax=0&SiteID=&MemberID=&CardNo=************1111"
    "&Expire=3012&Method=1&PayTimes=&Forward=2a99662&TranID=1303011158111111111111198881"
    "&Approve=6416261&ClientField1=&ClientField2=&ClientField3="
)


def executed(shop_pass: str = CREDENTIALS.shop_pass, **fields: str) -> str:
    """An ExecTran answer whose CheckString is right for ``shop_pass``."""
    signed = {
        "OrderID": "order-1",
        "Forward": "2a99662",
        "Method": "1",
        "PayTimes": "",
        "Approve": "6416261",
        "TranID": "1303011158111111111111198881",
        "TranDate": "20130301115936",
    } | fields
    check = md5(("".join(signed.values()) + shop_pass).encode()).hexdigest()
    return "&".join(["ACS=0", *(f"{k}={v}" for k, v in signed.items()), f"CheckString={check}"])


def sent_in(call: responses.Call) -> str:
    """The form body of a request that `responses` caught."""
    assert isinstance(call.request.body, bytes)
    return call.request.body.decode("ascii")
