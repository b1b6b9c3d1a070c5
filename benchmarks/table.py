"""One way to print results."""

from __future__ import annotations

from collections.abc import Sequence


def show(title: str, head: Sequence[str], rows: Sequence[Sequence[object]]) -> None:
    """Print a Markdown table under a title."""
    print(f"\n## {title}\n")
    print("| " + " | ".join(head) + " |")
    print("|" + " --- |" * len(head))
    for row in rows:
        print("| " + " | ".join(map(str, row)) + " |")
    print(flush=True)


def p95(values: Sequence[float]) -> float:
    """The value that 95 % of `values` do not exceed."""
    return sorted(values)[max(0, round(len(values) * 0.95) - 1)]
