"""No address disappears unnoticed: bookmarks, buttons of open pages and other programs use them."""

from __future__ import annotations

import re
from pathlib import Path

from flask import Flask

from sgpshop.environment import ROOT

#: Every address with its methods; one that goes is taken out here on purpose.
KNOWN = Path(__file__).parent.parent / "data" / "addresses.txt"


def _addresses(app: Flask) -> set[str]:
    return {
        f"{method} {rule.rule}"
        for rule in app.url_map.iter_rules()
        for method in (rule.methods or set()) - {"HEAD", "OPTIONS"}
    }


def test_every_address_of_before_is_there_and_a_new_one_is_written_down(app: Flask) -> None:
    known = set(KNOWN.read_text().splitlines())
    now = _addresses(app)
    assert sorted(known - now) == []  # gone
    assert sorted(now - known) == []  # new: add it to the list


def test_the_addresses_we_promised_are_there(app: Flask) -> None:
    """docs/interfaces.md §4, whatever they are called inside."""
    section = (ROOT / "docs" / "interfaces.md").read_text().partition("## 4. Addresses")[2]
    table = [line for line in section.partition("\n\nEvery")[0].splitlines() if line[:3] == "| `"]
    promised = {path for line in table for path in re.findall(r"`(/[^`…]*)`", line.split("|")[1])}
    assert len(promised) >= 15
    rules = {_shape(rule.rule) for rule in app.url_map.iter_rules()}
    assert sorted(path for path in promised if _shape(path) not in rules) == []


def _shape(rule: str) -> str:
    return re.sub("<[^>]*>", "<>", rule)
