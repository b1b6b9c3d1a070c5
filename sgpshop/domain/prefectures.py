"""The 47 prefectures, in the order of their numbers (ISO 3166-2:JP-01 to JP-47)."""

from __future__ import annotations

import re

_NAMES = """
北海道 青森県 岩手県 宮城県 秋田県 山形県 福島県 茨城県 栃木県 群馬県 埼玉県 千葉県
東京都 神奈川県 新潟県 富山県 石川県 福井県 山梨県 長野県 岐阜県 静岡県 愛知県 三重県
滋賀県 京都府 大阪府 兵庫県 奈良県 和歌山県 鳥取県 島根県 岡山県 広島県 山口県 徳島県
香川県 愛媛県 高知県 福岡県 佐賀県 長崎県 熊本県 大分県 宮崎県 鹿児島県 沖縄県
"""
PREFECTURES = tuple(re.findall(r"\S+", _NAMES))

_ISO = re.compile(r"JP-?(\d{2})")


def of_iso(code: str) -> str:
    """東京都 for JP-13; anything else as it is."""
    found = _ISO.fullmatch(code)
    number = int(found[1]) if found else 0
    return PREFECTURES[number - 1] if 1 <= number <= len(PREFECTURES) else code


def split_address(address: str) -> tuple[str, str]:
    """The prefecture that `address` begins with ("" for none), and the rest."""
    name = next((name for name in PREFECTURES if address.startswith(name)), "")
    return name, address.removeprefix(name).lstrip()
