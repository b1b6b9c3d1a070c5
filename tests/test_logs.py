"""Log lines are JSON, one each, and hold no secret (S12)."""

from __future__ import annotations

import json
import logging
import threading
from datetime import datetime
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient

from sgpshop import logs
from sgpshop.models import Role
from tests.signing_in import signed_in


@pytest.fixture
def lines(app: Flask, capsys: pytest.CaptureFixture[str]) -> Any:
    """What was logged since the last call, as parsed lines."""

    def read() -> list[dict[str, Any]]:
        return [json.loads(line) for line in capsys.readouterr().out.splitlines()]

    return read


def test_a_line_tells_time_with_offset_level_and_event(lines: Any) -> None:
    logs.event("export", rows=3)
    (line,) = lines()
    assert line["event"] == "export"
    assert line["level"] == "info"
    assert line["rows"] == 3
    assert datetime.fromisoformat(line["time"]).utcoffset() is not None


def test_data_cannot_begin_a_line_of_its_own(lines: Any, capsys: Any) -> None:
    logs.event("refused", name='a\r\n{"event": "login"}\u2028\u0085\x1b[31m\u202e\ud800')
    text = capsys.readouterr().out
    assert len(text.splitlines()) == 1  # splitlines() knows U+2028 and U+0085 too
    assert "\x1b" not in text
    assert "\u202e" not in text
    assert json.loads(text)["name"].startswith("a\r\n{")


@pytest.mark.parametrize(
    "name", ["password", "shop_pass", "ShopPass", "AccessPass", "token", "card_no", "api_key"]
)
def test_a_field_with_the_name_of_a_secret_is_hidden(lines: Any, name: str) -> None:
    logs.event("call", **{name: "hunter2hunter2"}, nested={name: ["hunter2hunter2"]})
    assert "hunter2" not in json.dumps(lines())


def test_a_known_secret_is_hidden_wherever_it_stands(lines: Any) -> None:
    logs.register_secret('swordfish"swordfish')
    logs.event("call", detail='xx swordfish"swordfish yy')
    assert lines()[0]["detail"] == f"xx {logs.HIDDEN} yy"


@pytest.mark.parametrize("overrides", [{"MAIL_PASSWORD": "swordfish-for-mail"}], ids=["mail"])
def test_the_password_of_the_mail_server_is_known(lines: Any) -> None:
    logs.event("call", detail="xx swordfish-for-mail yy")
    assert lines()[-1]["detail"] == f"xx {logs.HIDDEN} yy"


def test_secrets_are_hidden_in_traces(lines: Any) -> None:
    logs.register_secret("swordfish-0123")
    try:
        raise RuntimeError("ShopPass=pa55&x=1 sent swordfish-0123 for 4111111111111111")
    except RuntimeError:
        logs.failure("failed")
    (line,) = lines()
    assert "RuntimeError" in line["trace"]
    for secret in ("pa55", "swordfish", "4111111111111111"):
        assert secret not in line["trace"]
    assert "x=1" in line["trace"]


def test_card_numbers_are_masked(lines: Any) -> None:  # S11
    logs.event("import", memo="4111 1111 1111 1111")
    assert lines()[0]["memo"] == "**** **** **** 1111"


def test_the_keys_of_the_settings_are_known_secrets(app: Flask, lines: Any) -> None:
    logs.event("start", detail=f"{app.config['SECRET_KEY']} {app.config['ENCRYPTION_KEY']}")
    assert lines()[0]["detail"] == f"{logs.HIDDEN} {logs.HIDDEN}"


def test_other_libraries_log_in_the_same_form(app: Flask, lines: Any) -> None:
    logging.getLogger("sqlalchemy.pool").warning("password=%s", "hunter2")
    (line,) = lines()
    assert line["logger"] == "sqlalchemy.pool"
    assert "hunter2" not in json.dumps(line)


def test_a_request_is_one_line_without_its_query(app: Flask, lines: Any) -> None:
    client: FlaskClient = signed_in(app, Role.OWNER, "田中")
    lines()
    answer = client.get("/settings/sgp?kw=佐藤花子")
    (line,) = lines()
    assert line["event"] == "request"
    assert line["path"] == "/settings/sgp"
    assert line["status"] == 200
    assert line["person"] == "田中"
    assert line["request_id"] == answer.headers["X-Request-Id"]
    assert "佐藤" not in json.dumps(line, ensure_ascii=False)


def test_one_request_does_not_inherit_the_person_of_the_one_before(app: Flask, lines: Any) -> None:
    signed_in(app, Role.OWNER, "田中").get("/settings/sgp")
    lines()
    app.test_client().get("/login")
    assert "person" not in lines()[0]


def test_commands_log_to_stderr(app: Flask, capsys: pytest.CaptureFixture[str]) -> None:
    logs.write_to("stderr")
    try:
        logs.event("person_created")
        captured = capsys.readouterr()
    finally:
        logs.write_to("stdout")
    assert captured.out == ""
    assert json.loads(captured.err)["event"] == "person_created"


@pytest.mark.parametrize(
    "fields",
    [
        {"path": "4-" * 60_000},
        {"browser": "注文" * 60_000},
        {f"name{n}": "注文" * 200 for n in range(200)},
        {"rows": [{"reason": "x" * 300}] * 5000},
        {"nested": [[["あ" * 500] * 50] * 50] * 50},
        {"x" * 100_000: 1},
    ],
)
def test_no_line_is_longer_than_4_kb(lines: Any, capsys: Any, fields: dict[str, Any]) -> None:
    logs.event("refused", **fields)
    text = capsys.readouterr().out
    assert len(text.encode()) <= 4097  # with the line end
    assert json.loads(text)["event"] == "refused"


def test_of_a_long_trace_the_end_is_told(lines: Any) -> None:
    def dig(depth: int) -> None:
        if not depth:
            raise RuntimeError("here it broke, " + "x" * 300 + " 4111111111111111 and so on")
        again(depth - 1)

    def again(depth: int) -> None:  # a trace does not repeat itself over two functions
        dig(depth)

    try:
        dig(200)
    except RuntimeError:
        logs.failure("failed")
    (line,) = lines()
    assert "here it broke" in line["trace"]
    assert "4111111111111111" not in line["trace"]


def test_a_secret_at_the_cut_of_a_long_text_does_not_stay(lines: Any) -> None:
    logs.register_secret("swordfish-swordfish")
    for before in range(980, 1001):
        logs.event("call", detail="x" * before + "swordfish-swordfish" + "y" * 5000)
    for line in lines():
        assert "swordfish-s" not in line["detail"]


def test_nobody_waits_while_the_line_of_another_is_made(
    app: Flask, lines: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    (handler,) = [h for h in logging.getLogger().handlers if isinstance(h, logs._Handler)]
    free: list[bool] = []
    clean = logs._clean

    def looked_at(text: str) -> str:
        def another() -> None:
            assert handler.lock is not None
            free.append(handler.lock.acquire(blocking=False))
            if free[-1]:
                handler.lock.release()

        thread = threading.Thread(target=another)
        thread.start()
        thread.join()
        return clean(text)

    monkeypatch.setattr(logs, "_clean", looked_at)
    logs.event("call", detail="long")
    assert free
    assert all(free)
