"""Any sequence of calls: never a 500, always `key=value`, and books that add up."""

import tempfile
from pathlib import Path

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from sgpshop.simulator import create_app
from sgpshop.simulator.endpoint import APIS
from tests.seeds import is_thorough

from .shop import FORM, SHOP, SITE, SettableClock, Shop, fields, form, jst

ORDERS = ["A-1", "A-2"]
WORDS = st.sampled_from(
    [
        *("0", "1", "2", "100", "9999999", "10000000", "-1", "null", "漢字", "m", "tok_x", "3012"),
        *("AUTH", "CAPTURE", "CHECK", "SAUTH", "SALES", "VOID", "RETURN", "RETURNX", "CANCEL"),
        *("4111111111111111", "4999000000000002", "4999000000000036", "4999000000000044"),
    ]
).flatmap(lambda word: st.sampled_from([word, "", f"{word} {word}", word * 30]))
NAMES = st.sampled_from(
    [
        *("OrderID", "JobCd", "Amount", "Tax", "ItemCode", "TdFlag", "Method", "PayTimes"),
        *("CardNo", "Expire", "SecurityCode", "HolderName", "Token", "MemberID", "MemberName"),
        *("SeqMode", "CardSeq", "DefaultFlag", "CardName", "ClientField1", "ClientFieldFlag"),
        *("PayType", "ShopID", "SitePass", "AccessID", "AccessPass", "Unknown"),
    ]
)
#: A call that could succeed, spoilt here and there.
CALLS = st.tuples(
    st.sampled_from(sorted(APIS)),
    st.sampled_from(ORDERS),
    st.sampled_from(["AUTH", "CAPTURE", "CHECK", "SALES", "VOID", "CANCEL"]),
    st.dictionaries(NAMES, WORDS, max_size=3),
)


@settings(
    max_examples=60 if is_thorough() else 20,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow],
)
@given(calls=st.lists(CALLS, max_size=25))
def test_random_calls_get_an_answer_and_leave_consistent_books(
    calls: list[tuple[str, str, str, dict[str, str]]],
) -> None:
    with tempfile.TemporaryDirectory() as folder:
        app = create_app(
            Path(folder) / "gateway.db", seed=1, clock=SettableClock(jst(2026, 11, 23))
        )
        shop = Shop(app)
        accesses = {}
        for api, order_id, job, spoilt in calls:
            good = {
                **SHOP,
                **SITE,
                **accesses.get(order_id, {}),
                "OrderID": order_id,
                "JobCd": job,
                "Amount": "100",
                "Method": "1",
                "CardNo": "4111111111111111",
                "Expire": "3012",
                "CardSeq": "0",
                "SeqMode": "0",
                "PayType": "0",
            }
            member = {} if api == "ExecTran" else {"MemberID": "m"}
            answer = shop.http.post(
                f"/payment/{api}.idPass",
                data=form({**good, **member, **spoilt}),
                content_type=FORM,
            )
            assert answer.status_code == 200
            told = fields(answer.data)
            assert told
            if api == "EntryTran" and "AccessID" in told:
                accesses[spoilt.get("OrderID", order_id)] = told
        for trade in shop.http.get("/_control/ledger").json:
            # the state is that of the last line that says so (the network failure says an error
            # and is carried out)
            settled = [
                line
                for line in trade["history"]
                if not line["error"] or line["error"] == "42C010000"
            ]
            assert trade["status"] == settled[-1]["status"]
            assert trade["amount"] == settled[-1]["amount"]
        app.extensions["endpoint"].context.ledger.close()


@settings(
    max_examples=150 if is_thorough() else 50,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(api=st.sampled_from([*sorted(APIS), "Nothing"]), body=st.binary(max_size=200))
def test_any_bytes_get_an_error_answer(shop: Shop, api: str, body: bytes) -> None:
    assert fields(shop.send(api, body)).keys() == {"ErrCode", "ErrInfo"}
