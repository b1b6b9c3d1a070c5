"""docs/promises.md names, for each entrance and rule of security, the tests that try more: they exist."""

from __future__ import annotations

import ast
import re
from functools import cache
from pathlib import Path

from sgpshop.environment import ROOT

DOCUMENT = (ROOT / "docs" / "promises.md").read_text(encoding="utf-8")
LIMITS = DOCUMENT.partition("\n## L. Limits of trust\n")[2]
_NAMED = re.compile(r"`([\w/]+\.py)::(\w+)`")
#: What is somebody else's address in a page's own parts: a namespace is none that is fetched.
_FETCHED = re.compile(
    r"""(?:src|href|action)=["'](?:https?:)?//|@import|url\(["']?(?:https?:)?//"""
)


@cache
def _tests_in(path: Path) -> set[str]:
    tree = ast.parse(path.read_text(encoding="utf-8"))
    return {node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)}


def _rows(heading: str) -> list[list[str]]:
    """The cells of the table under that heading, without its head."""
    table = LIMITS.partition(heading)[2].partition("\n\n|")[2].partition("\n\n")[0]
    lines = f"|{table}".splitlines()
    return [[cell.strip() for cell in line.strip("|").split(" | ")] for line in lines[2:]]


def test_every_test_that_is_named_is_there() -> None:
    named = _NAMED.findall(DOCUMENT)
    assert len(named) > 100
    gone = [
        f"{file}::{name}"
        for file, name in named
        if not (ROOT / "tests" / file).exists() or name not in _tests_in(ROOT / "tests" / file)
    ]
    assert gone == []


def test_every_rule_of_security_has_a_row_with_a_test() -> None:
    rules = re.findall(r"^- \*\*(S\d+a?) ", DOCUMENT, re.M)
    rows = {row[0]: row[1] for row in _rows("### S, rule by rule")}
    assert list(rows) == rules
    assert [rule for rule, said in rows.items() if not _NAMED.search(said)] == []


def test_every_entrance_says_who_is_trusted_with_what_and_what_tries_more() -> None:
    rows = _rows("\nWhat comes in at each entrance")
    wanted = {"Screen", "File of a person", "API", "Notification", "Return of a buyer", "Queue"}
    assert wanted | {"Database", "Gateway answer"} <= {row[0] for row in rows}
    assert [row[0] for row in rows if len(row) != 4 or not _NAMED.search(row[3])] == []


def test_every_chapter_of_asvs_is_spoken_of() -> None:
    rows = _rows("### ASVS 5.0, level 2, section by section")
    assert [row[0].partition(" ")[0] for row in rows] == [f"V{n}" for n in range(1, 18)]


def test_everything_that_is_installed_is_pinned_with_its_hashes() -> None:  # S26
    for name in ("requirements.txt", "requirements-dev.txt"):
        text = (ROOT / name).read_text(encoding="utf-8").replace("\\\n", " ")
        wanted = [line for line in text.splitlines() if line.strip() and line[0] not in "# "]
        assert wanted
        loose = [line for line in wanted if "==" not in line or "--hash=sha256:" not in line]
        assert loose == []


def test_no_page_names_a_script_font_or_picture_of_others() -> None:  # S26
    files = [
        path
        for folder in ("templates", "static")
        for path in (ROOT / folder).rglob("*")
        if path.suffix in (".html", ".css")
    ]
    assert len(files) > 100
    assert [str(path) for path in files if _FETCHED.search(path.read_text("utf-8"))] == []
