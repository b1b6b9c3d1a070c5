"""A small PNG or JPEG, looked at before it is kept: what else a file may hold is never served."""

from __future__ import annotations

import zlib

from sgpshop.domain.errors import ShopError

MOST_BYTES = 200_000
MOST_PIXELS = 2_000
_PNG, _JPEG = b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff"
#: Start of frame of a JPEG: what says its size; C4, C8 and CC are others.
_FRAMES = {*range(0xC0, 0xD0)} - {0xC4, 0xC8, 0xCC}


class LogoRefused(ShopError):
    """A file that is no small PNG or JPEG."""


def kind_of(content: bytes) -> str:
    """ "png" or "jpeg".  Raises LogoRefused with a sentence."""
    if len(content) > MOST_BYTES:
        raise LogoRefused(
            f"ロゴの画像は{MOST_BYTES // 1000}KBまでです。小さくしてから選んでください。"
        )
    try:
        if content.startswith(_PNG):
            kind, size = "png", _png_size(content)
        elif content.startswith(_JPEG):
            kind, size = "jpeg", _jpeg_size(content)
        else:
            raise LogoRefused("ロゴにはPNGかJPEGの画像を選んでください。")
    except (IndexError, ValueError):
        raise LogoRefused(
            "画像が途中で切れているか、壊れています。保存し直した画像を選んでください。"
        ) from None
    if not all(1 <= side <= MOST_PIXELS for side in size):
        raise LogoRefused(f"ロゴの画像は縦・横とも{MOST_PIXELS:,}ピクセルまでです。")
    return kind


def _png_size(content: bytes) -> tuple[int, int]:
    """Width and height, every part of the file being whole.  Raises ValueError."""
    at, size, part = len(_PNG), (0, 0), b""
    while part != b"IEND":
        length = int.from_bytes(content[at : at + 4])
        part, body = content[at + 4 : at + 8], content[at + 8 : at + 8 + length]
        if len(part) < 4 or zlib.crc32(part + body) != int.from_bytes(
            content[at + 8 + length : at + 12 + length]
        ):
            raise ValueError(part)
        if part == b"IHDR":
            size = int.from_bytes(body[:4]), int.from_bytes(body[4:8])
        at += 12 + length
    if at != len(content):
        raise ValueError("more behind its end")
    return size


def _jpeg_size(content: bytes) -> tuple[int, int]:
    """Width and height, the segments before the picture being whole.  Raises IndexError, ValueError."""
    at = 2
    while content[at] == 0xFF:
        marker, length = content[at + 1], int.from_bytes(content[at + 2 : at + 4])
        if marker in _FRAMES and content.endswith(b"\xff\xd9"):
            sides = content[at + 5 : at + 9]
            return int.from_bytes(sides[2:]), int.from_bytes(sides[:2])
        if marker == 0xDA or length < 2:
            break
        at += 2 + length
    raise ValueError("no size")
