"""Where the client may send to: SMBC-GP, and in test mode HTTPS anywhere, HTTP here (S16, T6)."""

import pytest

from sgpshop.gateway import InvalidGatewayUrl, ShopCredentials, SmbcGpGateway, check_base_url


@pytest.mark.parametrize(
    "url", ["https://p01.smbc-gp.co.jp", "https://p01.smbc-gp.co.jp/", "https://[::1]:8443"]
)
def test_https(url: str) -> None:
    assert check_base_url(url) == url.rstrip("/")


@pytest.mark.parametrize(
    "url", ["http://127.0.0.1:8001", "http://localhost:8001", "http://[::1]:8001"]
)
def test_plain_http_reaches_this_machine_only_and_only_in_test_mode(url: str) -> None:
    assert check_base_url(url, allow_loopback_http=True) == url
    with pytest.raises(InvalidGatewayUrl, match="https"):
        check_base_url(url)


@pytest.mark.parametrize("host", ["p01.smbc-gp.co.jp", "pt01.smbc-gp.co.jp", "P01.SMBC-GP.co.jp"])
def test_outside_test_mode_only_smbc_gp_is_the_gateway(host: str) -> None:
    assert check_base_url(f"https://{host}", hosts=())
    assert check_base_url("https://relay.example.jp:8443", hosts=["Relay.example.jp"])


@pytest.mark.parametrize(
    "url",
    [
        "https://169.254.169.254",
        "https://10.0.0.1",
        "https://localhost:8443",
        "https://relay.example.jp",
        "https://p01.smbc-gp.co.jp.example.com",
        "https://xp01.smbc-gp.co.jp",
    ],
)
def test_inner_metadata_and_other_hosts_are_not(url: str) -> None:
    with pytest.raises(InvalidGatewayUrl, match="SGPSHOP_GATEWAY_HOSTS"):
        check_base_url(url, hosts=["other.example.jp"])


def test_an_address_not_set_says_so() -> None:
    with pytest.raises(InvalidGatewayUrl, match="設定されていません"):
        check_base_url("", hosts=())


@pytest.mark.parametrize(
    "url",
    [
        "",
        "p01.smbc-gp.co.jp",
        "ftp://localhost",
        "http://p01.smbc-gp.co.jp",
        "http://localhost.example.com",
        "http://127.0.0.1.example.com",
        "http://10.0.0.1",
        "http://0.0.0.0:8001",
        "http://127.0.0.1@example.com",
        "https://user:secret@p01.smbc-gp.co.jp",
        "https://p01.smbc-gp.co.jp?x=1",
        "https://p01.smbc-gp.co.jp/#x",
        "https://p01.smbc-gp.co.jp\\@example.com",
        "https://p01.smbc-gp.co.jp:123456",
        "https://ｐ01.example",
        "https://",
        "https://[::1",
        "https://p01.smbc-gp.co.jp/a b",
        "https://p01.smbc-gp.co.jp/\nX: y",
    ],
)
def test_everything_else_is_refused_in_japanese(url: str) -> None:
    with pytest.raises(InvalidGatewayUrl, match="SMBC-GPの接続先URL"):
        check_base_url(url, allow_loopback_http=True)


def test_the_client_checks_its_address() -> None:
    with pytest.raises(InvalidGatewayUrl):
        SmbcGpGateway("http://p01.smbc-gp.co.jp", ShopCredentials("s", "p"))
