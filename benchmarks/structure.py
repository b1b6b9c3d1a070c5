"""What the house looks like: lines, modules, rooms and who imports whom, and what one capture passes.

`python -m benchmarks structure` prints it; the figures are counted, not judged.
"""

from __future__ import annotations

import ast
import re
import sys
import tempfile
import threading
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path
from types import FrameType
from typing import Any

import sgpshop
from benchmarks.table import show
from sgpshop.extensions import db
from sgpshop.models import Role
from sgpshop.services import installation, settings
from sgpshop.services.orders.history import WORKER
from sgpshop.services.payments import checkouts, gateway_access
from sgpshop.storage.database import writing
from tests.conftest import make_app
from tests.factories import authorized_order
from tests.gateway_world import World
from tests.signing_in import signed_in

_ROOT = Path(sgpshop.__file__).parent
_SCHEMA = "sgpshop.migrations.versions"
#: Not steps on the way of a capture: rules that are asked, tables, tools, the other side of the wire.
_BESIDE = tuple(
    f"sgpshop.{one}" for one in ("domain", "models", "storage", "simulator", "logs", "extensions")
)

_HIDDEN = re.compile(r'<input type="hidden" name="([^"]+)"[^>]* value="([^"]*)"')

#: room -> rooms it imports
_Arrows = dict[str, set[str]]


def run() -> None:
    """Print the figures."""
    files = _files()
    lines = {name: len(path.read_text().splitlines()) for name, path in files.items()}
    schema = [name for name in files if name.startswith(_SCHEMA)]
    show(
        "Python in sgpshop",
        ("", "modules", "lines"),
        [
            ["all", len(files), sum(lines.values())],
            [
                "without migrations",
                len(files) - len(schema),
                sum(lines.values()) - sum(map(lines.__getitem__, schema)),
            ],
        ],
    )
    rows = []
    for layer in ("services", "web"):
        arrows = _arrows(files, f"sgpshop.{layer}")
        floors = _floors(arrows)
        circles = [one for one in _circles(arrows) if len(one) > 1]
        rows.append(
            [layer, len(arrows), max(floors.values()), sum(map(len, arrows.values())), len(circles)]
        )
        for circle in circles:
            rows.append([f"circle: {', '.join(sorted(circle))}", "", "", "", ""])
    show("Rooms", ("", "rooms", "floors", "arrows", "circles"), rows)
    passed = capture_passes()
    steps = [name for name in passed if not name.startswith(_BESIDE)]
    show(
        f"One capture passes {len(steps)} modules from the POST to AlterTran and back",
        (f"with rules, tables and tools {len(passed)}",),
        [[name] for name in steps],
    )


def _files() -> dict[str, Path]:
    names = {
        ".".join(path.relative_to(_ROOT.parent).with_suffix("").parts): path
        for path in _ROOT.rglob("*.py")
    }
    return {name.removesuffix(".__init__"): path for name, path in names.items()}


def _arrows(files: dict[str, Path], layer: str) -> _Arrows:
    """The rooms of a layer, each with those it imports; what is written for type checkers counts."""
    depth = layer.count(".") + 2

    def room(module: str) -> str:
        return ".".join(module.split(".")[:depth]) if module.startswith(f"{layer}.") else ""

    arrows: _Arrows = defaultdict(set)
    for name, path in files.items():
        here = room(name)
        if not here:
            continue
        arrows[here]  # a room that imports none
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.ImportFrom) and node.module:
                wanted = [f"{node.module}.{one.name}" for one in node.names]
                targets = {room(one if one in files else node.module) for one in wanted}
                arrows[here] |= targets - {here, ""}
    return dict(arrows)


def _circles(arrows: _Arrows) -> list[set[str]]:
    """Rooms that reach each other, together; a room that is in no circle is alone."""
    reached = {room: _reach(arrows, room) for room in arrows}
    circles: list[set[str]] = []
    for room in arrows:
        circle = {room} | {other for other in reached[room] if room in reached[other]}
        if circle not in circles:
            circles.append(circle)
    return circles


def _reach(arrows: _Arrows, start: str) -> set[str]:
    found: set[str] = set()
    left = [start]
    while left:
        for room in arrows.get(left.pop(), ()):
            if room not in found:
                found.add(room)
                left.append(room)
    return found


def _floors(arrows: _Arrows) -> dict[str, int]:
    """How high each room stands above those that import none; rooms of a circle share a floor."""
    floors: dict[str, int] = {}
    left = _circles(arrows)
    while left:
        for circle in list(left):
            below = {room for one in circle for room in arrows[one]} - circle
            if below <= floors.keys():
                floors |= dict.fromkeys(
                    circle, 1 + max((floors[room] for room in below), default=0)
                )
                left.remove(circle)
    return floors


def capture_passes() -> list[str]:
    """The modules of ours in which a function ran while one order was captured by its button.

    From the POST to AlterTran and back, the thread that sends included; without those that every
    page of a signed-in person passes.
    """
    with tempfile.TemporaryDirectory() as folder:
        app = make_app(Path(folder), ANSWER_WAIT=60.0)
        world = World()
        gateway_access.init_app(app, world.gateway)
        with app.app_context():
            installation.migrate()
            settings.save("bench", site_id="tsite00000001", shop_id="tshop00000001")
            order = authorized_order(world)
            order_no = order.order_no
            with writing():
                checkouts.receive(order.id, WORKER)  # its history has begun
        client = signed_in(app, Role.OPERATOR)
        for _ in range(2):  # the first fills what is read once
            page = client.get(f"/orders/{order_no}/capture").text
        form = dict(_HIDDEN.findall(page))
        every = _modules(lambda: client.get("/help"))
        passed = _modules(lambda: client.post(f"/orders/{order_no}/capture", data=form)) - every
        with app.app_context():
            assert world.sales(order_no) == 1
            db.session.remove()
            db.engine.dispose()
    return sorted(passed)


def _modules(act: Callable[[], object]) -> set[str]:
    """Modules of ours in which a function is called while `act` runs, in any thread."""
    passed: set[str] = set()

    def note(frame: FrameType, event: str, _of: Any) -> None:
        if event == "call":
            passed.add(frame.f_code.co_filename)

    threading.setprofile(note)
    sys.setprofile(note)
    act()
    sys.setprofile(None)
    threading.setprofile(None)  # type: ignore[arg-type]
    # By the file of the code: to make a record of another module is not to pass that module.
    return {name for name, path in _files().items() if str(path) in passed}
