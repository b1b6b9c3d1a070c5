"""The recorded requests, sent again: same keys, same order, same fixed values (recorded/README)."""

import json
from email.utils import parsedate_to_datetime
from pathlib import Path

from flask import Flask

from .shop import SHOP, SITE, SettableClock, Shop, fields, form

RECORDED = Path(__file__).parents[1] / "recorded" / "card.jsonl"
EXCHANGES = sorted(
    map(json.loads, RECORDED.read_text(encoding="utf-8").splitlines()),
    key=lambda exchange: parsedate_to_datetime(exchange["recorded_at"]),
)
CREDENTIALS = {
    "{SHOP_ID}": SHOP["ShopID"],
    "{SHOP_PASS}": SHOP["ShopPass"],
    "{SITE_ID}": SITE["SiteID"],
    "{SITE_PASS}": SITE["SitePass"],
}
MADE_ANEW = {
    "AccessID",
    "AccessPass",
    "Approve",
    "TranID",
    "TranDate",
    "ProcessDate",
    "CheckString",
}


def test_the_recorded_requests_get_the_recorded_answers(
    app: Flask, shop: Shop, clock: SettableClock
) -> None:
    ids: dict[str, str] = {}  # recorded AccessID or AccessPass -> ours
    shop.site_call("SaveMember", MemberID="member-dev-1")  # of tk-10-1, recorded nowhere
    for exchange in EXCHANGES:
        clock.time = parsedate_to_datetime(exchange["recorded_at"])
        request = {
            key: CREDENTIALS.get(value) or ids.get(value, value)
            for key, value in exchange["request"].items()
        }
        api = exchange["endpoint"].removeprefix("/payment/").removesuffix(".idPass")

        answer = shop.http.post(
            exchange["endpoint"],
            data=form(request),
            content_type="application/x-www-form-urlencoded",
        )

        ours, recorded = fields(answer.data), fields(exchange["response_raw"].encode("cp932"))
        assert answer.status_code == exchange["http_status"]
        assert answer.content_type == exchange["content_type"]
        assert list(ours) == list(recorded), exchange["id"]
        for key, value in recorded.items():
            if key not in MADE_ANEW and value not in CREDENTIALS:
                assert ours[key] == value, (exchange["id"], key)
            elif value in CREDENTIALS:
                assert ours[key] == CREDENTIALS[value], (exchange["id"], key)
            elif ids.get(value) or api == "EntryTran":
                assert ids.setdefault(value, ours[key]) == ours[key], (exchange["id"], key)
            else:
                assert len(ours[key]) == len(value), (exchange["id"], key)


def test_all_recordings_are_replayed() -> None:
    assert len(EXCHANGES) == 27
