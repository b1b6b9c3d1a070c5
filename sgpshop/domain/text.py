"""Text as people type it: one form for searching, plain checks for storing (S25)."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator

_KATAKANA_TO_HIRAGANA = {code: code - 0x60 for code in range(0x30A1, 0x30F7)}
_NOT_DIGITS = re.compile(r"\D+")
#: Left out when searching: hyphens of all kinds, and what chooses between forms of one character.
_LEFT_OUT = re.compile(
    "[-\u2010-\u2015\u2212\u2500\ufe00-\ufe0f\U000e0100-\U000e01ef]|(?<=[0-9])ー(?=[0-9])"
)
#: 異体字: old and other forms of the characters of names; the first of each group stands for all.
_VARIANTS = (
    "高髙 崎﨑嵜 辺邉邊 斉齊斎齋 沢澤 浜濵濱 島嶋嶌 広廣 国國圀 吉𠮷 桜櫻 竜龍 滝瀧 関關 条條 学學 栄榮 "
    "恵惠 真眞 静靜 富冨 峰峯 槙槇 徳德 柳栁 巌巖 万萬 与與 円圓 亀龜 実實 寿壽 将將 児兒 尭堯 遥遙 瑶瑤 "
    "凛凜 桧檜 桑桒 薮藪 蛍螢 祢禰 弥彌 塩鹽 当當 宝寳寶 県縣 郷鄕 黒黑 緑綠 鉄鐵銕 豊豐 礼禮 剣劔劍 曽曾 "
    "増增 蔵藏 館舘 秋穐 船舩 松枩 来來 晃晄 頼賴 淵渕渊 鶴靏靍 麺麵 桝枡 穂穗 間閒 仏佛 歩步 芦蘆 芸藝 "
    "荘莊 壱壹 参參 双雙 収收 叡睿 巣巢 帯帶 径徑 戸戶 拝拜 楽樂 様樣 横橫 温溫 満滿 灯燈 炉爐 瀬瀨"
)
_ONE_FORM = {ord(other): group[0] for group in _VARIANTS.split() for other in group[1:]}
_FOLDED_ALIKE = _KATAKANA_TO_HIRAGANA | _ONE_FORM
#: What phone numbers are written with.
_LIKE_A_PHONE = re.compile(r"[+(]*[0-9][-0-9().+ー\u2010-\u2015\u2212\s]*")
#: Bidirectional overrides, zero-width characters and the byte order mark.
INVISIBLE = re.compile("[\u200b-\u200f\u202a-\u202e\u2060-\u2064\u2066-\u2069\ufeff]")

#: So many marks over one letter are more than any language has (Unicode's Stream-Safe Text, UAX 15).
_MOST_MARKS = 30
#: Shorter texts are normalized in no time, whatever is in them.
_SHORT = 200
#: Letters by their class that become marks when they are taken apart.
_HIDDEN_MARKS = frozenset("\u0f73\u0f75\u0f81\uff9e\uff9f")


def nfkc(text: str) -> str:
    """`text` with full-width and other forms made plain (Unicode NFKC).

    Python sorts the marks over one letter by moving each past the others, so a hundred thousand of
    them burn seconds: all but the first 30 in a row are left out.
    """
    if text.isascii():
        return text
    if len(text) > _SHORT:
        text = "".join(_without_heaps(text))
    return unicodedata.normalize("NFKC", text)


def _without_heaps(text: str) -> Iterator[str]:
    marks = 0
    for sign in text:
        marks = marks + 1 if unicodedata.combining(sign) or sign in _HIDDEN_MARKS else 0
        if marks <= _MOST_MARKS:
            yield sign


def search_key(*parts: str | None) -> str:
    """`parts` in one form for searching.

    Width, case, kind of kana, spaces, hyphens and old forms of characters make no difference.

    Written beside the stored text and applied to what a person types; never used for identifiers
    or shown (S25).  The parts stay apart by a line break, so no hit runs over two of them.
    """
    return "\n".join(filter(None, (_folded(part) for part in parts if part)))


def _folded(text: str) -> str:
    if text.isascii():
        return "".join(text.lower().split()).replace("-", "")
    text = INVISIBLE.sub("", nfkc(text))
    return _LEFT_OUT.sub("", "".join(text.lower().translate(_FOLDED_ALIKE).split()))


def digits_only(text: str | None) -> str:
    """The digits of a phone number or the like, full-width ones made half-width."""
    return _NOT_DIGITS.sub("", nfkc(text or ""))


def phone_key(text: str | None) -> str:
    """The digits of a phone number as it is dialled in Japan: +81 90… and 090… are the same."""
    digits = digits_only(text)
    if nfkc(text or "").lstrip().startswith("+81"):
        return "0" + digits.removeprefix("81").lstrip("0")
    return digits


def asked_keys(text: str) -> tuple[str, ...]:
    """What somebody typed to find anything: every key has to be there, in the form of `search_key`.

    A number is one key, however it is divided, in the form of `phone_key`; other words are apart
    where there are blanks, unless that leaves single characters.  A key that nothing is left of is "".
    """
    if _LIKE_A_PHONE.fullmatch(nfkc(text).strip()):
        return (phone_key(text),)
    keys = tuple(map(_folded, text.split()))
    return keys if all(len(key) > 1 for key in keys) else (_folded(text),)


def is_name(text: str, longest: int) -> bool:
    """Whether `text` can be the name of somebody or something: seen as it is, and not empty (S25)."""
    return (
        1 <= len(text) <= longest
        and text == text.strip()
        and not has_control_characters(text)
        and not INVISIBLE.search(text)
    )


def has_control_characters(text: str, *, lines: bool = False) -> bool:
    """Whether `text` holds characters no field may hold (S25); `lines` allows line breaks, tabs."""
    allowed = "\n\r\t" if lines else ""
    return any(unicodedata.category(c) in ("Cc", "Cs") and c not in allowed for c in text)
