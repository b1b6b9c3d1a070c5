"""How the gateway says no."""

from collections.abc import Iterable


class Refused(Exception):
    """A business error: the answer carries these ErrInfo codes and nothing else (protocol.md §1.4).

    What was written to the ledger before the refusal stays: a declined authorization has used
    its token and its numbers, and leaves a line in the history.
    """

    def __init__(self, *codes: str) -> None:
        super().__init__("|".join(codes))
        self.codes = codes


def refuse_if(codes: Iterable[str]) -> None:
    """Raise Refused with all `codes`, in order, unless there are none."""
    found = tuple(codes)
    if found:
        raise Refused(*found)


def error_class(code: str) -> str:
    """The ErrCode of an ErrInfo: `E01` of E01110002, `G02` of 42G020000 (protocol.md §1.4)."""
    return code[2:5] if code[:1].isdigit() else code[:3]
