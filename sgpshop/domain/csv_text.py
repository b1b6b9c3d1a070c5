"""Text on its way into a CSV file that somebody opens in a spreadsheet program (S18, §14.3)."""

from __future__ import annotations

import re

#: What a spreadsheet takes for the beginning of a formula; full-width forms too, for some convert.
#: Apostrophes before it count as well, so that ours can be told from one that was there (§14.3).
_FORMULA = re.compile(r"'*(?:[\s\u3000]*[=+\-@＝＋－＠]|[\t\r\n])")

#: Stands for a character that CP932 has not (§14.3).
REPLACEMENT = "〓"
#: Same sign, other number: what CP932 has in the place of these.
_TWINS = {
    0x301C: "\uff5e",  # 〜
    0x2212: "\uff0d",  # −
    0x2016: "\u2225",  # ‖
    0x2014: "\u2015",  # —
    0x00A2: "\uffe0",  # ¢
    0x00A3: "\uffe1",  # £
    0x00AC: "\uffe2",  # ¬
    0x00A5: "\uffe5",  # ¥
    0x203E: "\uffe3",  # ‾
}


def csv_guarded(text: str) -> str:
    """`text` with a leading apostrophe where a spreadsheet would run it."""
    return f"'{text}" if _FORMULA.match(text) else text


def csv_unguarded(text: str) -> str:
    """`text` without the apostrophe that `csv_guarded` put before it."""
    return text[1:] if text.startswith("'") and _FORMULA.match(text, 1) else text


def for_cp932(text: str) -> tuple[str, str]:
    """`text` as CP932 can hold it, and the characters that had to become 〓, in their order."""
    if text.isascii():
        return text, ""
    text = text.translate(_TWINS)
    try:
        text.encode("cp932")
    except UnicodeEncodeError:
        return _replaced(text)
    return text, ""


def _replaced(text: str) -> tuple[str, str]:
    encodable: list[str] = []
    lost: list[str] = []
    for character in text:
        try:
            character.encode("cp932")
        except UnicodeEncodeError:
            lost.append(character)
            encodable.append(REPLACEMENT)
        else:
            encodable.append(character)
    return "".join(encodable), "".join(lost)
