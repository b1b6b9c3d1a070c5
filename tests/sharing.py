"""What the thousands of apps of a test run share, so that not each compiles it anew.

Making an app and a simulator costs more than most tests.  Nothing here changes what they do: an
address is taken apart once, its builder compiled when the first address is built, the tree of addresses
made when the first is looked for, SQL compiled once for each kind of database, a template once.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable
from typing import Any

from jinja2 import BytecodeCache
from jinja2.bccache import Bucket
from sqlalchemy import Engine
from sqlalchemy.engine.default import DefaultDialect
from sqlalchemy.util import LRUCache
from werkzeug.routing import Rule
from werkzeug.routing.matcher import StateMachineMatcher

_compile = Rule.compile
_compile_builder = Rule._compile_builder
_add_to_matcher = StateMachineMatcher.add
_sort_matcher = StateMachineMatcher.update
#: What a rule knows of itself once it is compiled; nobody changes it afterwards.
_COMPILED = ("_parts", "_trace", "_converters", "arguments")
_rules: dict[Hashable, dict[str, Any]] = {}
_builders: dict[Hashable, Callable[..., Any]] = {}
_statements: dict[type, LRUCache[Any, Any]] = {}


def _key(rule: Rule) -> Hashable:
    return (
        rule.rule,
        rule.subdomain,
        rule.host,
        rule.merge_slashes,
        repr(rule.defaults),
        rule.map.host_matching,
        *rule.map.converters.values(),
    )


def _compile_once(self: Rule) -> None:
    key = _key(self)
    if key not in _rules:
        _compile(self)
        _rules[key] = {name: getattr(self, name) for name in _COMPILED}
    self.__dict__.update(_rules[key])
    self._build = _builder_when_needed(key, False).__get__(self, None)
    self._build_unknown = _builder_when_needed(key, True).__get__(self, None)


def _builder_when_needed(key: Hashable, append_unknown: bool) -> Callable[..., Any]:
    def build(self: Rule, **values: Any) -> Any:
        which = (key, append_unknown)
        if which not in _builders:
            _builders[which] = _compile_builder(self, append_unknown)
        return _builders[which](self, **values)

    return build


def _add_when_needed(self: StateMachineMatcher, rule: Rule) -> None:
    self.__dict__.setdefault("waiting", []).append(rule)


def _add_and_sort(self: StateMachineMatcher) -> None:
    """Before the first address is looked for, and by one thread at a time: most tests look for none."""
    for rule in self.__dict__.pop("waiting", ()):
        _add_to_matcher(self, rule)
    _sort_matcher(self)


def _compile_no_builder(self: Rule, append_unknown: bool = True) -> Callable[..., Any]:
    return _compile_no_builder  # `_compile_once` puts its own there


class CompiledTemplates(BytecodeCache):
    """The code of templates, kept for the next app whose template reads the same."""

    def __init__(self) -> None:
        self._codes: dict[tuple[str, str], Any] = {}

    def load_bytecode(self, bucket: Bucket) -> None:
        bucket.code = self._codes.get((bucket.key, bucket.checksum))

    def dump_bytecode(self, bucket: Bucket) -> None:
        self._codes[bucket.key, bucket.checksum] = bucket.code


def share_statements(engine: Engine) -> None:
    """Let `engine` use the SQL that engines of its kind compiled before."""
    kind = type(engine.dialect)
    engine._compiled_cache = _statements.setdefault(kind, LRUCache(3000))


def _is_same(self: DefaultDialect, other: object) -> bool:
    return type(self) is type(other)


def _hash(self: DefaultDialect) -> int:
    return hash(type(self))


Rule.compile = _compile_once  # type: ignore[method-assign]
Rule._compile_builder = _compile_no_builder  # type: ignore[method-assign]
StateMachineMatcher.add = _add_when_needed  # type: ignore[method-assign]
StateMachineMatcher.update = _add_and_sort  # type: ignore[method-assign]
DefaultDialect.__eq__ = _is_same  # type: ignore[method-assign]
DefaultDialect.__hash__ = _hash  # type: ignore[method-assign]
