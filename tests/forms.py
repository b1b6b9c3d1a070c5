"""Forms of a page as a browser would send them, for tests that press buttons without one."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from html.parser import HTMLParser
from typing import Any, Protocol

#: What forms are made of: the parser would go through the rest of a page letter by letter.
_OF_FORMS = re.compile(
    r"""<textarea\b.*?</textarea>|</?(?:form|input|select|option)\b(?:[^>"']|"[^"]*"|'[^']*')*>""",
    re.DOTALL,
)


class Answer(Protocol):
    """What a test client gives back."""

    @property
    def text(self) -> str: ...


@dataclass
class Form:
    """One form: where it is sent, and what is in it before anybody typed."""

    action: str = ""
    method: str = "get"
    #: name and value of each control that would be sent, buttons aside, in the order of the page
    controls: list[tuple[str, str]] = field(default_factory=list)
    hidden: dict[str, str] = field(default_factory=dict)

    @property
    def every(self) -> dict[str, list[str]]:
        """All values by name."""
        found: dict[str, list[str]] = {}
        for name, value in self.controls:
            found.setdefault(name, []).append(value)
        return found

    @property
    def fields(self) -> dict[str, Any]:
        """The value by name; a list where the name comes more than once."""
        return {name: got[0] if len(got) == 1 else got for name, got in self.every.items()}


class _Reader(HTMLParser):
    """Reads a page or a piece of one; what stands in no form of it is in the first."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.forms = [Form()]
        self._form = self.forms[0]
        self._select = ""
        self._options: list[tuple[str, bool]] = []
        self._area: list[str] | None = None
        self._area_name = ""
        self.feed("".join(_OF_FORMS.findall(html)))

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        found = {name: value or "" for name, value in attributes}
        name = found.get("name", "")
        if tag == "form":
            self._form = Form(found.get("action", ""), found.get("method", "get").lower())
            self.forms.append(self._form)
        elif tag == "input" and name:
            self._input(name, found)
        elif tag == "select":
            self._select, self._options = name, []
        elif tag == "option":
            self._options.append((found.get("value", ""), "selected" in found))
        elif tag == "textarea":
            self._area, self._area_name = [], name

    def handle_endtag(self, tag: str) -> None:
        if tag == "form":
            self._form = self.forms[0]
        elif tag == "select" and self._select and self._options:
            chosen = [value for value, is_chosen in self._options if is_chosen]
            self._form.controls.append((self._select, (chosen or [self._options[0][0]])[0]))
        elif tag == "textarea" and self._area is not None:
            text = "".join(self._area).removeprefix("\n")
            self._form.controls.append((self._area_name, text))
            self._area = None

    def handle_data(self, data: str) -> None:
        if self._area is not None:
            self._area.append(data)

    def _input(self, name: str, found: dict[str, str]) -> None:
        kind, value = found.get("type", "text"), found.get("value", "")
        if kind in ("submit", "button", "image", "reset"):
            return
        if kind not in ("checkbox", "radio") or "checked" in found:
            self._form.controls.append((name, value))
        if kind == "hidden":
            self._form.hidden[name] = value


def _html(page: Answer | str) -> str:
    return page if isinstance(page, str) else page.text


def forms_of(page: Answer | str) -> list[Form]:
    """All forms; the first holds what stands in none."""
    return _Reader(_html(page)).forms


def _posted(page: Answer | str, action: str) -> Iterator[Form]:
    return (form for form in forms_of(page) if (form.action, form.method) == (action, "post"))


def form_of(page: Answer | str, action: str) -> Form:
    """The (first) form that is posted to `action`."""
    found = next(_posted(page, action), None)
    assert found is not None, f"no form for {action}"
    return found


def hidden_of(page: Answer | str) -> dict[str, str]:
    """The hidden fields of the page, whatever form they are in."""
    return {name: value for form in forms_of(page) for name, value in form.hidden.items()}


def token_of(page: Answer | str) -> str:
    """The page's token against forged forms."""
    return hidden_of(page)["csrf_token"]
