"""送り状ファイル: what the samples c01, c02, c03 and c05 look like, and what is told before there is a file."""

from __future__ import annotations

import csv
import io
from datetime import date
from pathlib import Path

import pytest
from flask import Flask

from sgpshop.domain.delivery_status import DeliveryStatus
from sgpshop.domain.label_text import divided, hours, in_bytes, phone, postal_code, spread
from sgpshop.domain.payment_status import PaymentStatus
from sgpshop.models import Delivery, Order
from sgpshop.services import settings
from sgpshop.services.deliveries import labels
from sgpshop.services.deliveries.labels import LAYOUTS, Cool, LabelFile, LabelJob
from sgpshop.services.deliveries.slips import matching
from sgpshop.storage.database import writing
from tests.factories import make_order

SAMPLES = Path(__file__).parents[2] / "data" / "labels"
DAY = date(2026, 11, 28)
SENDER = {
    "label_sender_name": "見本商店",
    "label_sender_postal_code": "150-0002",
    "label_sender_address": "東京都渋谷区渋谷１－１－１",
    "label_sender_tel": "03-0000-0000",
    "label_b2_customer_code": "030000000000",
    "label_contents": "お茶・茶器",
}
#: name, 〒, prefecture, address, tel, wish and 決済方法 of the three orders of the samples
PEOPLE = (
    ("見本 太郎", "100-0001", "東京都", "千代田区千代田１－１", "03-0000-0001", None, "", "銀行振込"),
    (
        "架空 さくら", "4600001", "愛知県", "名古屋市中区三の丸３－１－１", "052-000-0005",
        date(2026, 12, 5), "午前中", "銀行振込",
    ),
    (
        "髙﨑 次郎", "900-0021", "沖縄県", "那覇市泉崎１－１－１①号棟", "098-000-0004", None,
        "14時～16時", "代金引換",
    ),
)  # fmt: skip


@pytest.fixture(autouse=True)
def _sender(app: Flask) -> None:
    with app.app_context():
        settings.save("山田", **SENDER)


def people(first: int) -> list[Order]:
    """The orders of a sample, whose numbers end in `first` and the following."""
    made = []
    for n, (name, code, prefecture, address, tel, day, time, method) in enumerate(PEOPLE):
        order = make_order(
            order_no=f"P176430120000000{first + n}", method=method, total=3190, buyer=name
        )
        to(
            order, name=name, postal_code=code, prefecture=prefecture, address=address, tel=tel,
            wish_date=day, wish_time=time,
        )  # fmt: skip
        made.append(order)
    return made


def to(order: Order, **parcel: object) -> None:
    """Let the order's first parcel go there."""
    with writing() as session:
        stored = session.get_one(Order, order.id)
        stored.lines[0].tax_rate = 10
        for name, value in parcel.items():
            setattr(stored.deliveries[0], name, value)


def made(word: str, orders: list[Order], cool: Cool = Cool.NORMAL) -> LabelFile:
    return labels.made(LAYOUTS[word], [order.id for order in orders], LabelJob(DAY, cool))


def rows(file: LabelFile | Path, encoding: str = "cp932") -> list[list[str]]:
    content = file.read_bytes() if isinstance(file, Path) else file.content
    return list(csv.reader(io.StringIO(content.decode(encoding))))


def problems(file: LabelFile, *, warnings: bool = False) -> str:
    return " ".join(one.words for one in file.problems if one.is_warning is warnings)


class TestSamples:
    def test_b2cloud_c01(self, app: Flask) -> None:
        with app.app_context():
            file = made("b2cloud", people(101))
        assert rows(file) == rows(SAMPLES / "c01-yamato-b2cloud-import.csv")
        assert file.content.count(b'"') == 95 * 4 * 2
        assert not file.problems

    def test_ehiden3_c02_with_the_sender_written_out(self, app: Flask) -> None:
        with app.app_context():
            got = rows(made("ehiden3", people(111)))
        wanted = rows(SAMPLES / "c02-sagawa-ehiden3-import.csv")
        sender = ["03-0000-0000", "150-0002", "東京都渋谷区", "渋谷１－１－１", "見本商店", ""]
        assert [row[17:23] for row in got[1:]] == [sender] * 3
        assert [row[:17] + row[23:] for row in got] == [row[:17] + row[23:] for row in wanted]

    def test_yupri_r_c03_with_an_ending_of_15_bytes(self, app: Flask) -> None:
        with app.app_context():
            file = made("yupri-r", people(151))
        wanted = rows(SAMPLES / "c03-jp-yupri-r-import-117-no-heading.csv")
        got = rows(file)
        assert [row[0] for row in got] == [f"430120000000{n}" for n in (151, 152, 153)]
        assert [row[1:] for row in got] == [row[1:] for row in wanted]
        assert b'"' not in file.content

    def test_clickpost_c05(self, app: Flask) -> None:
        with app.app_context():
            settings.save("山田", label_contents="雑貨")
            file = made("clickpost", people(171))
        assert rows(file) == rows(SAMPLES / "c05-jp-clickpost-import-8.csv")[:3]
        assert "代引の注文は、クリックポストで送れません" in problems(file)
        assert "指定できません" in problems(file, warnings=True)

    def test_yupri_cloud_c04(self, app: Flask) -> None:
        with app.app_context():
            file = made("yupri-cloud", people(161))
        wanted = SAMPLES / "c04-jp-yupri-cloud-import-17.csv"
        assert rows(file, "utf-8-sig") == rows(wanted, "utf-8-sig")
        assert "代引の注文は、このファイルでは送り状を作れません" in problems(file)


class TestBeforeThereIsAFile:
    def test_what_the_settings_lack(self, app: Flask) -> None:
        with app.app_context():
            settings.save("山田", label_b2_customer_code="", label_sender_tel="")
            with pytest.raises(labels.SettingsMissing) as refusal:
                made("b2cloud", people(101))
        assert "ヤマト運輸の請求先顧客コード、ご依頼主の電話番号" in refusal.value.message

    @pytest.mark.parametrize("word", LAYOUTS)
    def test_what_does_not_fit_is_told_and_left_out_whole(self, app: Flask, word: str) -> None:
        with app.app_context():
            orders = people(101)
            to(orders[0], name="株式会社" + "長" * 60, address="千代田区" + "千" * 200)
            file = made(word, orders)
        assert "お届け先の氏名が長すぎます" in problems(file)
        assert "お届け先の住所が長すぎます" in problems(file)
        assert "長長長" not in file.content.decode("utf-8" if word == "yupri-cloud" else "cp932")
        assert file.orders >= 1

    def test_characters_that_no_carrier_prints(self, app: Flask) -> None:
        with app.app_context():
            orders = people(101)
            to(orders[1], name="𠮷田 花子")
            file = made("b2cloud", orders)
        assert "Shift_JISにない文字「𠮷」があります" in problems(file)
        assert "〓" not in file.content.decode("cp932")

    def test_a_time_that_yamato_has_not(self, app: Flask) -> None:
        with app.app_context():
            orders = people(101)
            to(orders[0], wish_time="12:00-14:00")
            assert made("ehiden3", orders).problems == []
            file = made("b2cloud", orders)
        assert "「12:00-14:00」はこの送り状では指定できません" in problems(file, warnings=True)
        assert rows(file)[1][6] == ""

    def test_what_is_not_to_go_out(self, app: Flask) -> None:
        with app.app_context():
            gone, cancelled, doubtful = people(101)
            to(gone, status=DeliveryStatus.DELIVERED)
            cancelled = make_order(status=PaymentStatus.CANCELLED)
            doubtful = make_order(status=PaymentStatus.NEEDS_REVIEW)
            to(
                doubtful, prefecture="東京都", address="港区芝１－１", tel="0312345678",
                postal_code="1050014",
            )  # fmt: skip
            file = made("b2cloud", [gone, cancelled, doubtful])
        assert (file.orders, file.refused) == (1, 2)
        assert "これから発送するお届け先がありません。 注文キャンセル済みの注文です。" in problems(
            file
        )
        assert "要確認の注文です" in problems(file, warnings=True)

    @pytest.mark.postgresql
    def test_an_ending_that_two_open_orders_have(self, app: Flask) -> None:
        with app.app_context():
            orders = [
                make_order(order_no=f"{begin}30120000000999", method="銀行振込")
                for begin in ("P1764", "P1774")
            ]
            for order in orders:
                to(
                    order, prefecture="東京都", address="港区芝１－１", tel="03-0000-0009",
                    postal_code="105-0014",
                )  # fmt: skip
            assert made("b2cloud", orders).problems == []
            file = made("yupri-r", orders)
        assert (file.labels, file.refused) == (0, 2)
        assert "末尾15文字が、ほかの注文と同じです" in problems(file)


def test_an_ending_begins_with_no_hyphen(app: Flask) -> None:
    """Numbers of 楽天, 26 signs: with an apostrophe before it (S18) it is longer than the field."""
    with app.app_context():
        order = people(101)[0]
        with writing() as session:
            session.get_one(Order, order.id).order_no = "123456-20261128-0000012345"
        [_, row] = rows(made("ehiden3", [order]))
        found = matching.meant([row[9]])[row[9]]
    assert row[9] == "20261128-0000012345"
    assert found.order_no == "123456-20261128-0000012345"


def test_no_field_of_an_address_begins_with_a_hyphen(app: Flask) -> None:
    with app.app_context():
        order = people(101)[0]
        address = "千代田区" + "千" * 12 + "１－１－１", "館" * 25
        to(order, prefecture="東京都", address=" ".join(address))
        [_, row] = rows(made("clickpost", [order]))
    assert row[3:6] == ["東京都千代田区" + "千" * 12, "１－１－１" + "館" * 15, "館" * 10]


def test_several_parcels_come_back_by_their_number(app: Flask) -> None:
    with app.app_context():
        order = people(101)[0]
        with writing() as session:
            stored = session.get_one(Order, order.id)
            stored.deliveries[0].number = 1
            stored.deliveries.append(
                Delivery(
                    number=2, name="例題 花子", postal_code="530-0005", prefecture="大阪府",
                    address="大阪市北区中之島１－３－２０ 見本マンション１０１", tel="06-0000-0002",
                )
            )  # fmt: skip
        whole, short = made("b2cloud", [order]), made("ehiden3", [order])
    assert [row[0] for row in rows(whole)[1:]] == [f"{order.order_no}-0{n}" for n in (1, 2)]
    assert [row[9] for row in rows(short)[1:]] == [f"{order.order_no}-0{n}"[-20:] for n in (1, 2)]
    assert rows(whole)[2][11:13] == ["大阪府大阪市北区中之島１－３－２０", "見本マンション１０１"]


def test_no_label_says_what_another_order_is_called(app: Flask) -> None:
    with app.app_context():
        order = people(101)[0]
        make_order(order_no=f"{order.order_no}-1", method="銀行振込")
        other = make_order(order_no=f"{order.order_no}-2", method="銀行振込")
        to(
            other, prefecture="東京都", address="港区芝１－１", tel="03-0000-0009",
            postal_code="105-0014",
        )  # fmt: skip
        with writing() as session:
            stored = session.get_one(Order, order.id)
            stored.deliveries[0].number = 1
            first = stored.deliveries[0]
            stored.deliveries.append(
                Delivery(
                    number=2, name=first.name, postal_code=first.postal_code, tel=first.tel,
                    prefecture=first.prefecture, address=first.address,
                )
            )  # fmt: skip
        file = made("b2cloud", [order, other])
    assert file.problems == []
    assert {row[0] for row in rows(file)[1:]} == {
        f"{order.order_no}-01", f"{order.order_no}-02", f"{order.order_no}-2-01",
    }  # fmt: skip


def test_cool(app: Flask) -> None:
    with app.app_context():
        orders = people(101)[:2]
        b2, sagawa, post = (made(w, orders, Cool.FROZEN) for w in ("b2cloud", "ehiden3", "yupri-r"))
        assert [row[2] for row in rows(b2)[1:]] == ["1", "1"]
        assert [row[43] for row in rows(sagawa)[1:]] == ["003", "003"]
        assert [row[51:53] for row in rows(sagawa)[1:]] == [["002", ""], ["005", "002"]]
        assert [row[6] for row in rows(post)] == ["2", "2"]
        settings.save("山田", label_b2_kind="A")
        assert "クール便を指定できません" in problems(made("b2cloud", orders, Cool.CHILLED))


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("横浜市西区みなとみらい２－２－１ ランドマーク４０１", (
            "横浜市西区", "みなとみらい２－２－１", "ランドマーク４０１")),
        ("四日市市諏訪町1番5号", ("四日市市", "諏訪町1番5号", "")),
        ("中川郡幕別町本町130番地の2 北棟", ("中川郡幕別町", "本町130番地の2", "北棟")),
        ("武蔵野市吉祥寺本町1丁目2-3-405", ("武蔵野市", "吉祥寺本町1丁目2-3-405", "")),
        ("どこか", ("", "どこか", "")),
    ],
)  # fmt: skip
def test_an_address_breaks_where_people_break_it(text: str, parts: tuple[str, ...]) -> None:
    found = divided("神奈川県", f"神奈川県{text}")
    assert found == ("神奈川県", *parts)


def test_small_forms() -> None:
    assert divided("", "京都府京都市中京区寺町１")[:2] == ("京都府", "京都市中京区")
    assert [hours(text) for text in ("午前中", "14時～16時", "14:00-16:00", "1416", "", "//")] == [
        (8, 12), (14, 16), (14, 16), (14, 16), (0, 0), (0, 0)
    ]  # fmt: skip
    assert hours("夕方") is None
    assert (phone("＋81 90-1234-5678"), phone("03ー1234ー5678")) == (
        "090-1234-5678",
        "03-1234-5678",
    )
    assert (postal_code("〒１５０ー０００２"), postal_code("1500002")) == ("150-0002", "150-0002")
    assert spread(("東京都港区", "芝" * 20, ""), (16, 16, 16), len) == [
        "東京都港区" + "芝" * 11,
        "芝" * 9,
        "",
    ]
    assert spread(("東京都", "芝" * 24), (6, 50), in_bytes) == ["東京都", "芝" * 24]
    assert spread(("あ" * 9, ""), (8, 8), in_bytes) is None
