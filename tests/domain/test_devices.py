"""What a browser says of itself, in two words."""

from __future__ import annotations

import pytest

from sgpshop.domain.devices import device_name

_APPLE = "AppleWebKit/605.1.15 (KHTML, like Gecko)"
_BLINK = "AppleWebKit/537.36 (KHTML, like Gecko)"


@pytest.mark.parametrize(
    ("browser", "words"),
    [
        (f"Mozilla/5.0 (Windows NT 10.0; Win64; x64) {_BLINK} Chrome/130 Safari/537.36", "WindowsのChrome"),
        (f"Mozilla/5.0 (Windows NT 10.0) {_BLINK} Chrome/130 Safari/537.36 Edg/130", "WindowsのEdge"),
        ("Mozilla/5.0 (Windows NT 10.0; rv:130.0) Gecko/20100101 Firefox/130.0", "WindowsのFirefox"),
        (f"Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) {_APPLE} Version/18 Safari/605", "MacのSafari"),
        (f"Mozilla/5.0 (iPhone; CPU iPhone OS 18_0 like Mac OS X) {_APPLE} CriOS/130 Safari", "iPhoneのChrome"),
        (f"Mozilla/5.0 (Linux; Android 14; Pixel 8) {_BLINK} Chrome/130 Mobile Safari", "AndroidのChrome"),
        ("curl/8.5.0", "curl/8.5.0"),
        ("", ""),
    ],
)  # fmt: skip
def test_it_is_named(browser: str, words: str) -> None:
    assert device_name(browser) == words
