"""Every answer of the API that any test gets is held against the OpenAPI document: status, media type, schema."""

from __future__ import annotations

import json
import re
from functools import cache
from typing import Any

import requests
from flask.testing import FlaskClient
from jsonschema import Draft202012Validator
from werkzeug.test import TestResponse

_API = "/api/v1"
_PROBLEM = "application/problem+json"


class CheckingClient(FlaskClient):
    """The client of every app of a test."""

    def open(self, *args: Any, **more: Any) -> TestResponse:
        answer = super().open(*args, **more)
        asked = answer.request
        if asked.path.startswith(f"{_API}/"):
            check(
                asked.method,
                asked.path,
                answer.status_code,
                answer.mimetype,
                answer.get_json(silent=True),
            )
        return answer


def checked(answer: requests.Response) -> requests.Response:
    """The same answer, which came over a socket."""
    media_type = answer.headers["Content-Type"].partition(";")[0]
    asked = answer.request
    check(str(asked.method), asked.path_url, answer.status_code, media_type, answer.json())
    return answer


def check(method: str, path: str, status: int, media_type: str | None, said: Any) -> None:
    """Raises AssertionError or ValidationError where an answer is not as the document says."""
    from sgpshop.web.api.document import document  # most tests need none

    where = path.partition("?")[0].removeprefix(_API)
    found = [
        operations[method.lower()]
        for template, operations in document()["paths"].items()
        if method.lower() in operations and re.fullmatch(re.sub(r"{\w+}", "[^/]+", template), where)
    ]
    if found:
        described = found[0]["responses"].get(str(status))
        assert described is not None, (method, where, status)
        if media_type == _PROBLEM:
            codes = re.findall(r"\w+", described["description"].partition(":")[2])
            assert said["code"] in codes, (method, where, status, said["code"])
        _schema(json.dumps(described["content"][media_type]["schema"])).validate(said)
    elif media_type == _PROBLEM:  # an address, or a method, that there is not
        _schema('{"$ref": "#/components/schemas/ProblemAnswer"}').validate(said)


@cache
def _schema(text: str) -> Draft202012Validator:
    from sgpshop.web.api.document import document

    return Draft202012Validator(
        json.loads(text) | {"components": _strict(document()["components"])}
    )


def _strict(schema: Any) -> Any:
    """The same without room for fields of later versions: we say nothing that is not described."""
    if isinstance(schema, list):
        return [_strict(part) for part in schema]
    if not isinstance(schema, dict):
        return schema
    closed = {"additionalProperties": False} if isinstance(schema.get("properties"), dict) else {}
    return closed | {name: _strict(part) for name, part in schema.items()}
