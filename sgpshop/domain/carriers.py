"""Delivery companies by the three-digit codes of rules.md §9.2 (005 is unassigned), and what others call them."""

from __future__ import annotations

from sgpshop.domain.text import nfkc

CARRIERS = {
    "001": "ゆうパック",
    "002": "クロネコヤマト",
    "003": "佐川急便",
    "004": "国際スピード郵便(USPS)",
    "006": "西濃運輸",
    "007": "福山通運",
    "008": "EMS国際スピード郵便",
    "009": "ゆうパック代金引換小包",
    "010": "ゆうパック書留",
    "011": "レターパック500",
    "012": "翌朝10時郵便",
    "013": "名鉄運輸",
    "014": "OCS国際エクスプレス",
    "015": "普通郵便",
    "016": "普通郵便代引き",
    "017": "トナミ運輸",
    "018": "トールエクスプレスジャパン",
    "019": "エコ配",
    "020": "レターパック350",
    "021": "セイノースーパーエクスプレス",
    "022": "新潟運輸",
    "023": "DHL",
    "024": "第一貨物",
    "025": "ゆうパケット",
    "026": "ポスパケット",
    "027": "クリックポスト",
    "028": "スマートレター",
    "029": "宅急便コンパクト",
    "030": "ネコポス",
    "031": "クロネコDM便",
}

#: Codes of 楽天RMS and Yahoo!ショッピング for those of ours; the leading 1 belongs to them, 1001 is not 001.
_CODES_OF_MALLS = {
    "1001": "002", "1002": "003", "1003": "001", "1004": "006", "1005": "021", "1006": "007",
    "1007": "013", "1008": "017", "1009": "024", "1010": "022", "1016": "019", "1017": "008",
    "1018": "023", "1023": "014", "1024": "004", "1030": "002", "1031": "013",
}  # fmt: skip
#: What a word of 発送方法 contains -> our code, the first that fits.
_PARTS = (
    ("ネコポス", "030"), ("コンパクト", "029"), ("DM便", "031"), ("クロネコゆうパケット", "002"),
    ("ゆうパケット", "025"), ("クリックポスト", "027"), ("レターパックライト", "020"),
    ("レターパック350", "020"), ("レターパック", "011"), ("スマートレター", "028"), ("定形", "015"),
    ("ゆうパック", "001"), ("ゆうプリ", "001"), ("EMS", "008"), ("佐川", "003"), ("飛脚", "003"),
    ("e飛伝", "003"), ("SAGAWA", "003"), ("セイノースーパー", "021"), ("西濃", "006"),
    ("カンガルー", "006"), ("福山", "007"), ("福通", "007"), ("名鉄", "013"), ("トナミ", "017"),
    ("エコ配", "019"), ("新潟運輸", "022"), ("第一貨物", "024"), ("OCS", "014"), ("DHL", "023"),
    ("USPS", "004"), ("ヤマト", "002"), ("宅急便", "002"), ("クロネコ", "002"), ("B2", "002"),
    ("日本郵便", "001"), ("郵便局", "001"), ("YAMATO", "002"),
)  # fmt: skip
_NAMES = {name: code for code, name in CARRIERS.items()} | {"JP": "001"}
_FOLDED_PARTS = [(part.casefold(), code) for part, code in _PARTS]


def carrier_called(text: str) -> str:
    """Our code for what a file calls a company: a code of ours or of a mall, a name, a word; "": none."""
    plain = "".join(nfkc(text).split())
    if plain.isascii() and plain.isdigit():
        code = _CODES_OF_MALLS.get(plain) or plain.zfill(3)
        return code if code in CARRIERS else ""
    folded = plain.casefold()
    return _NAMES.get(plain) or next((code for part, code in _FOLDED_PARTS if part in folded), "")
