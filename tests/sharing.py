"""What the thousands of apps of a test run share, so that not each compiles it anew.

Making an app and a simulator costs more than most tests.  Nothing here changes what they do: the
addresses of the first app of a kind are those of all, SQL is compiled once for each kind of database,
a template read and compiled once.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any

from flask import Flask
from flask.sansio.app import App
from jinja2 import BytecodeCache, Environment, FileSystemLoader
from jinja2.bccache import Bucket
from sqlalchemy import Engine
from sqlalchemy.engine.default import DefaultDialect
from sqlalchemy.util import LRUCache
from werkzeug.routing import Map

_add_url_rule = App.add_url_rule
_get_source = FileSystemLoader.get_source
#: the addresses of a kind of app, and by rule and endpoint which these are
_known: dict[str, tuple[Map, set[tuple[str, str]]]] = {}
_statements: dict[type, LRUCache[Any, Any]] = {}


def share_addresses(app: Flask) -> None:
    """Let the apps of this kind that are made from now on have these addresses, taken apart already."""
    if app.import_name not in _known:
        own = {(rule.rule, rule.endpoint) for rule in app.url_map.iter_rules()}
        _known[app.import_name] = app.url_map, own


def _add_known(
    self: App,
    rule: str,
    endpoint: str | None = None,
    view_func: Callable[..., Any] | None = None,
    provide_automatic_options: bool | None = None,
    **options: Any,
) -> None:
    """Add an address to `self`; one that no other app of its kind has is its own."""
    addresses, known = _known.get(self.import_name, (None, set()))
    name = endpoint or getattr(view_func, "__name__", "")
    if view_func is not None and (rule, name) in known:
        self.url_map, self.view_functions[name] = addresses, view_func
        return
    if self.url_map is addresses:
        self.url_map = _copy(addresses)
    _add_url_rule(self, rule, endpoint, view_func, provide_automatic_options, **options)


def _copy(addresses: Map) -> Map:
    copy = Map(converters=addresses.converters)
    for rule in addresses.iter_rules():
        own: Any = rule.empty()
        own.provide_automatic_options = rule.provide_automatic_options  # type: ignore[attr-defined]
        copy.add(own)
    return copy


class CompiledTemplates(BytecodeCache):
    """The code of templates, kept for the next app whose template reads the same."""

    def __init__(self) -> None:
        self._codes: dict[tuple[str, str], Any] = {}

    def load_bytecode(self, bucket: Bucket) -> None:
        bucket.code = self._codes.get((bucket.key, bucket.checksum))

    def dump_bytecode(self, bucket: Bucket) -> None:
        self._codes[bucket.key, bucket.checksum] = bucket.code


@cache
def _read(folders: tuple[str, ...], encoding: str, template: str) -> tuple[str, str]:
    text, path, _ = _get_source(FileSystemLoader(folders, encoding), Environment(), template)
    return text, path


def _get_known(
    self: FileSystemLoader, _environment: Environment, template: str
) -> tuple[str, str, Callable[[], bool]]:
    """A template as it was read first: each app would read all of its own anew."""
    return *_read(tuple(self.searchpath), self.encoding, template), lambda: True


def share_statements(engine: Engine) -> None:
    """Let `engine` use the SQL that engines of its kind compiled before."""
    kind = type(engine.dialect)
    engine._compiled_cache = _statements.setdefault(kind, LRUCache(3000))


def _is_same(self: DefaultDialect, other: object) -> bool:
    return type(self) is type(other)


def _hash(self: DefaultDialect) -> int:
    return hash(type(self))


App.add_url_rule = _add_known  # type: ignore[method-assign]
FileSystemLoader.get_source = _get_known  # type: ignore[method-assign]
DefaultDialect.__eq__ = _is_same  # type: ignore[method-assign]
DefaultDialect.__hash__ = _hash  # type: ignore[method-assign]
