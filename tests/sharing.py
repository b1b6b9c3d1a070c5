"""What the thousands of apps of a test run share, so that not each compiles it anew.

Making an app and a simulator costs more than most tests.  Nothing here changes what they do: builders
of addresses are compiled when the first address is built, SQL once for each kind of database.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from sqlalchemy import Engine
from sqlalchemy.engine.default import DefaultDialect
from sqlalchemy.util import LRUCache
from werkzeug.routing import Rule

_compile_builder = Rule._compile_builder
_statements: dict[type, LRUCache[Any, Any]] = {}


def compile_addresses_late() -> None:
    """Let a rule compile its address builders when they are first needed."""

    def later(rule: Rule, append_unknown: bool = True) -> Callable[..., Any]:
        made: list[Callable[..., Any]] = []

        def build(self: Rule, **values: Any) -> Any:
            if not made:
                made.append(_compile_builder(rule, append_unknown))
            return made[0](self, **values)

        return build

    Rule._compile_builder = later  # type: ignore[method-assign]


def share_statements(engine: Engine) -> None:
    """Let `engine` use the SQL that engines of its kind compiled before."""
    kind = type(engine.dialect)
    engine._compiled_cache = _statements.setdefault(kind, LRUCache(3000))


def _is_same(self: DefaultDialect, other: object) -> bool:
    return type(self) is type(other)


def _hash(self: DefaultDialect) -> int:
    return hash(type(self))


compile_addresses_late()
DefaultDialect.__eq__ = _is_same  # type: ignore[method-assign]
DefaultDialect.__hash__ = _hash  # type: ignore[method-assign]
