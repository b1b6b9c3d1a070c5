"""What made-up orders are like: who buys, what is in them, and what became of them."""

from __future__ import annotations

import random
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from functools import cache
from itertools import pairwise
from typing import Any, NamedTuple

from sgpshop.domain.amounts import RateShare, break_down_order
from sgpshop.domain.delivery_status import ProcessingClass
from sgpshop.domain.payment_status import PaymentStatus
from sgpshop.domain.text import search_key
from sgpshop.gateway import TradeState
from sgpshop.models import Operation, OrderKind

#: One order in so many is by somebody of this name, so that a search finds few.
RARE = "勅使河原 テシガワラ"
ONE_IN, RARE_AT = 100_000, 777

_FAMILIES = (
    "佐藤 サトウ 鈴木 スズキ 高橋 タカハシ 髙橋 タカハシ 田中 タナカ 伊藤 イトウ 渡辺 ワタナベ "
    "渡邊 ワタナベ 渡邉 ワタナベ 山本 ヤマモト 中村 ナカムラ 小林 コバヤシ 加藤 カトウ "
    "吉田 ヨシダ 𠮷田 ヨシダ 山田 ヤマダ 佐々木 ササキ 山口 ヤマグチ 松本 マツモト 井上 イノウエ "
    "木村 キムラ 林 ハヤシ 斎藤 サイトウ 齋藤 サイトウ 齊藤 サイトウ 清水 シミズ 山崎 ヤマザキ "
    "山﨑 ヤマザキ 森 モリ 池田 イケダ 橋本 ハシモト 阿部 アベ 石川 イシカワ 前田 マエダ "
    "藤田 フジタ 小川 オガワ 後藤 ゴトウ 岡田 オカダ 長谷川 ハセガワ 村上 ムラカミ 近藤 コンドウ "
    "石井 イシイ 坂本 サカモト 遠藤 エンドウ 青木 アオキ 藤井 フジイ 西村 ニシムラ 福田 フクダ "
    "太田 オオタ 三浦 ミウラ 岡本 オカモト 松田 マツダ 中島 ナカジマ 中嶋 ナカジマ 浜田 ハマダ "
    "濱田 ハマダ 広瀬 ヒロセ 廣瀬 ヒロセ 桜井 サクライ 櫻井 サクライ 沢田 サワダ 澤田 サワダ"
)
_GIVEN = (
    "花子 ハナコ 一郎 イチロウ 美咲 ミサキ 健 ケン さくら サクラ 隆 タカシ 由美 ユミ "
    "翔太 ショウタ 恵 メグミ 大輔 ダイスケ 陽子 ヨウコ 誠 マコト 直樹 ナオキ 真由美 マユミ "
    "久美子 クミコ 和也 カズヤ 智子 トモコ 拓也 タクヤ 裕子 ユウコ 亮 リョウ 愛 アイ "
    "大翔 ヒロト 結衣 ユイ 蓮 レン 葵 アオイ 悠真 ユウマ 陽菜 ヒナ 湊 ミナト 凛 リン "
    "樹 イツキ 茜 アカネ 慎一 シンイチ 千尋 チヒロ 浩 ヒロシ 明美 アケミ 修 オサム 幸子 サチコ "
    "勝 マサル 節子 セツコ 清 キヨシ 文子 フミコ 進 ススム 京子 キョウコ 武 タケシ 洋子 ヨウコ "
    "学 マナブ 純子 ジュンコ 徹 トオル 弘美 ヒロミ 豊 ユタカ 絵里 エリ 聡 サトシ 美穂 ミホ "
    "哲也 テツヤ 奈々 ナナ 優 ユウ 香織 カオリ 剛 ツヨシ 麻衣 マイ 淳 ジュン 志保 シホ"
)
#: Prefectures, and addresses in them.
PLACES = (
    ("東京都", "千代田区丸の内"),
    ("神奈川県", "横浜市西区みなとみらい"),
    ("大阪府", "大阪市北区梅田"),
    ("愛知県", "名古屋市中村区名駅"),
    ("北海道", "札幌市中央区北一条西"),
    ("福岡県", "福岡市博多区博多駅前"),
    ("宮城県", "仙台市青葉区一番町"),
)
#: name, code, option, price in yen, tax rate
_GOODS = tuple(
    (f"{name}{size}", f"T-{number:02d}{at}", option, price * (at + 1), rate)
    for number, (name, option, price, rate) in enumerate(
        [
            ("煎茶 ", "", 540, 8),
            ("玉露 ", "", 1620, 8),
            ("ほうじ茶 ", "", 432, 8),
            ("抹茶 ", "缶入り", 1296, 8),
            ("栗羊羹 ", "", 972, 8),
            ("湯呑 ", "色:青", 1650, 10),
            ("急須 ", "色:黒", 3300, 10),
            ("茶筅 ", "", 2200, 10),
            ("風呂敷 ", "柄:波", 1100, 10),
        ]
    )
    for at, size in enumerate(("小", "中", "大", "特大"))
)


class Item(NamedTuple):
    """A row of order_lines, but for its order and parcel."""

    position: int
    code: str
    name: str
    option: str
    jan: str
    unit_price: int
    quantity: int
    tax_rate: int
    item_search: str

    @property
    def amount(self) -> int:
        """Unit price times quantity."""
        return self.unit_price * self.quantity


@dataclass(frozen=True)
class Person:
    """Who buys."""

    name: str
    kana: str
    search: str
    name_search: str


@dataclass(frozen=True, eq=False)
class Cart:
    """What is bought: rows and yen."""

    items: tuple[Item, ...]
    #: columns of an order
    amounts: Mapping[str, int]
    total: int

    @cache  # noqa: B019 - a few hundred carts, which last as long as the program
    def rates(self, yen: int) -> tuple[int, int, int]:
        """Of `yen` that are taken for it: at 8 %, the tax in that, and that at 10 %."""
        shares = break_down_order(self.amounts, self.items, total=yen).shares if yen else ()
        at = {share.rate: share for share in shares}
        at_8, at_10 = (at.get(rate, RateShare(rate, 0, 0)) for rate in (8, 10))
        return at_8.amount, at_8.tax, at_10.tax


@dataclass(frozen=True)
class Step:
    """One entry of a history: what it made of the order; None: nothing."""

    event: str
    #: hours after the one before
    hours: int
    status: PaymentStatus | None = None
    state: TradeState | None = None
    processing: ProcessingClass | None = None
    operation: Operation | None = None
    codes: str = ""
    detail: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Story:
    """What became of an order: how often among those of this week, of two months, and older ones."""

    often: tuple[float, float, float]
    steps: tuple[Step, ...] = ()
    kind: OrderKind = OrderKind.NORMAL
    status: PaymentStatus | None = PaymentStatus.AUTHORIZED
    state: TradeState | None = TradeState.AUTH
    #: yen that SMBC-GP holds or takes beyond the total
    more: int = 0


_CAPTURE = Step(
    "capture_done", 26, PaymentStatus.CAPTURED, TradeState.SALES, operation=Operation.CAPTURE
)
_DELIVERED = Step("delivered", 3, processing=ProcessingClass.DELIVERED, detail={"parcels": ""})
_BACK = {"parcels": "", "day": "", "reason": "受取辞退", "stock": "在庫に戻す"}
_RETURNED = Step("returned", 90, processing=ProcessingClass.RETURNED, detail=_BACK)
_REFUNDED = Step(
    "cancel_done",
    20,
    PaymentStatus.CANCELLED,
    TradeState.RETURN,
    ProcessingClass.CANCELLED,
    Operation.CANCEL,
    detail={"money": "売上を取り消しました"},
)
_RELEASED = Step(
    "cancel_done",
    15,
    PaymentStatus.CANCELLED,
    TradeState.VOID,
    ProcessingClass.CANCELLED,
    Operation.CANCEL,
    detail={"money": "仮売上を取り消しました"},
)
_REJECTED = Step(
    "capture_rejected",
    26,
    PaymentStatus.CAPTURE_FAILED,
    operation=Operation.CAPTURE,
    codes="42G550000",
    detail={"codes": ["42G550000"]},
)
_DIFFERENCE = Step("refund_difference_done", 4, operation=Operation.REFUND_DIFFERENCE)
_BILLED = Step(
    "bill_done",
    24 * 20,
    PaymentStatus.BILLING_REPORTED,
    TradeState.SALES,
    operation=Operation.BILL,
)
_CHECKED = TradeState.CHECK
_BILLING, _PREORDER = PaymentStatus.AWAITING_BILLING, OrderKind.PREORDER
STORIES = (
    Story((50, 3, 0)),
    Story((8, 1, 0), (_DELIVERED,)),
    Story((5, 1, 0), (_CAPTURE,)),
    Story((18, 72, 77), (_CAPTURE, _DELIVERED)),
    Story((2, 3, 4), (_RELEASED,)),
    Story((0, 2, 3), (_CAPTURE, _DELIVERED, _RETURNED, _REFUNDED)),
    Story((0, 0.3, 0.003), (_CAPTURE, _DELIVERED, _RETURNED)),
    Story((0, 1, 1), (_CAPTURE, _DIFFERENCE, _DELIVERED), more=1_000),
    Story((1, 0.5, 0.02), (_REJECTED,)),
    Story((0.5, 0.1, 0), status=PaymentStatus.NEEDS_REVIEW, state=TradeState.UNPROCESSED),
    Story((0.5, 0.1, 0), more=500),
    Story((5, 3, 0), kind=_PREORDER, state=_CHECKED),
    Story((0, 1, 3), (_CAPTURE, _DELIVERED), _PREORDER, state=_CHECKED),
    Story((5, 2, 0), (), OrderKind.SUBSCRIPTION, _BILLING, _CHECKED),
    Story((0, 4, 0), (_DELIVERED,), OrderKind.SUBSCRIPTION, _BILLING, _CHECKED),
    Story((0, 0, 6), (_DELIVERED, _BILLED), OrderKind.SUBSCRIPTION, _BILLING, _CHECKED),
    Story((4, 1, 0), status=None, state=None),
    Story((1, 5, 6), (_DELIVERED,), status=None, state=None),
)
#: Ages up to which the columns of `Story.often` hold.
AGES = (timedelta(days=7), timedelta(days=60))


def _pairs(text: str) -> list[tuple[str, str]]:
    words = text.split()
    return [pair for at, pair in enumerate(pairwise(words)) if at % 2 == 0]


def _person(family: tuple[str, str], given: tuple[str, str]) -> Person:
    name, kana = f"{family[0]} {given[0]}", f"{family[1]} {given[1]}"
    return Person(name, kana, search_key(name, kana), search_key(name))


@cache
def people() -> tuple[list[Person], list[Person]]:
    """Some thousand names, and those of the rare family."""
    given = _pairs(_GIVEN)
    common, rare = (
        [_person(family, one) for family in _pairs(families) for one in given]
        for families in (_FAMILIES, RARE)
    )
    return common, rare


@cache
def carts() -> list[Cart]:
    """Some hundred, always the same."""
    return [_cart(random.Random(number)) for number in range(400)]  # noqa: S311


def _cart(chance: random.Random) -> Cart:
    goods = chance.sample(_GOODS, chance.choice((1, 1, 1, 2, 2, 3, 4)))
    items = tuple(
        Item(
            position=at,
            code=code,
            name=name,
            option=option,
            jan=f"49{int(code[2:]):011d}",
            unit_price=price,
            quantity=1 + chance.randrange(3),
            tax_rate=rate,
            item_search=search_key(code, name, option),
        )
        for at, (name, code, option, price, rate) in enumerate(goods, start=1)
    )
    amounts = {
        "carriage": chance.choice((0, 550, 770)),
        "coupon": chance.choice((0, 0, 0, 100)),
        "discount": chance.choice((0, 0, 0, 0, 50)),
    }
    return Cart(items, amounts, break_down_order(amounts, items).total)
