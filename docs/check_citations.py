"""Every rule that code, templates and tests cite must be in the documents (run by `make lint`).

Cited are R12, R12a, P13, S5, T1 and U3 as whole words in comments and docstrings, documents as `rules.md`, and sections
of them as `protocol.md §3.5`.  Prints each citation that no document has, and exits with 1 if there is one.
"""

from __future__ import annotations

import io
import re
import sys
import tokenize
from collections.abc import Callable, Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
DOCS = ROOT / "docs"
_RULE = re.compile(r"\b(?:R\d{1,3}|[PSTU]\d{1,2})[a-z]?\b")
_SECTION = re.compile(r"\b(rules|promises|interfaces|protocol)\.md,? §([\d.]*\d)")
_DOCUMENT = re.compile(r"\b[\w-]+\.md\b")
_OTHERS = (
    ("templates", "*.html", re.compile(r"\{#.*?#\}", re.S)),
    ("static", "*.css", re.compile(r"/\*.*?\*/", re.S)),
    ("static", "*.js", re.compile(r"/\*.*?\*/", re.S)),
)
#: a heading with a number, an item in bold, or the first cell of a table's row
_HEADING = re.compile(r"^#+ ([\d.]*\d)[. ]", re.M)
_DEFINED = re.compile(r"\*\*([RPSTU]\d{1,3}[a-z]?)\b|^\| ([TU]\d{1,2}[a-z]?) \|", re.M)


def main() -> int:
    """Compare what is cited with what is there."""
    texts = {path.name: path.read_text(encoding="utf-8") for path in DOCS.rglob("*.md")}
    rules = {one or other for text in texts.values() for one, other in _DEFINED.findall(text)}
    documents = {*texts, "README.md", "CHANGELOG.md"}
    sections = {name.removesuffix(".md"): set(_HEADING.findall(texts[name])) for name in texts}

    def unknown(said: str) -> list[str]:
        ours = [cited for cited in _RULE.findall(said) if cited not in rules]
        ours += [cited for cited in _DOCUMENT.findall(said) if cited not in documents]
        return ours + [
            f"{document}.md §{section}"
            for document, section in _SECTION.findall(said)
            if section not in sections[document]
        ]

    missing = [f"{where}: {cited}" for where, said in _said(unknown) for cited in unknown(said)]
    print("\n".join(missing))
    return 1 if missing else 0


def _said(unknown: Callable[[str], list[str]]) -> Iterator[tuple[str, str]]:
    """What speaks of rules: comments and docstrings of Python, comments of templates, styles and scripts.

    A file in which nothing reads like a rule that is `unknown` is not taken apart, which takes longest.
    """
    for folder in ("sgpshop", "tests", "benchmarks"):
        for path in sorted((ROOT / folder).rglob("*.py")):
            text = path.read_text("utf-8")
            if not unknown(text):
                continue
            for token in tokenize.generate_tokens(io.StringIO(text).readline):
                is_docstring = token.type == tokenize.STRING and token.string.startswith('"""')
                if token.type == tokenize.COMMENT or is_docstring:
                    yield f"{path.relative_to(ROOT)}:{token.start[0]}", token.string
    for folder, kind, comments in _OTHERS:
        for path in sorted((ROOT / folder).rglob(kind)):
            for comment in comments.findall(path.read_text("utf-8")):
                yield str(path.relative_to(ROOT)), comment


if __name__ == "__main__":
    sys.exit(main())
