"""A process that has loaded the program, and becomes one of its commands as often as it is asked.

Loading takes longer than most of what the dozens of processes of the kill tests do.  Each is a process
of its own, which a signal ends as it ends any other.  Requests and answers are lines of JSON.
"""

from __future__ import annotations

import gc
import json
import os
import pkgutil
import sys
from importlib import import_module
from typing import Any


def _load() -> None:
    import sgpshop

    for module in pkgutil.walk_packages(sgpshop.__path__, "sgpshop."):
        if not module.name.startswith("sgpshop.migrations"):
            import_module(module.name)


def _become(arguments: list[str], environ: dict[str, str], log: str) -> None:
    """What a new process has: a session, an environment, a place for what it says."""
    os.setsid()
    os.environ.clear()
    os.environ.update(environ)
    sys.argv = ["app.py", *arguments]
    said = os.open(log, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
    nothing = os.open(os.devnull, os.O_RDONLY)
    for here, there in ((nothing, 0), (said, 1), (said, 2)):
        os.dup2(here, there)


def _exit_code(pid: int) -> int | None:
    ended, status = os.waitpid(pid, os.WNOHANG)
    return os.waitstatus_to_exitcode(status) if ended else None


def _is_child() -> bool:
    """Answer until nobody asks any more; True in each process that becomes a command."""
    for line in iter(sys.stdin.readline, ""):
        asked = json.loads(line)
        answer: Any
        if "pid" in asked:
            answer = _exit_code(asked["pid"])
        else:
            answer = os.fork()
            if answer == 0:
                _become(**asked)
                return True
        print(json.dumps(answer), flush=True)
    return False


if __name__ == "__main__":
    _load()
    gc.freeze()  # what is loaded stays: no process walks through it, nor copies it by doing so
    if _is_child():
        from sgpshop.cli import main

        main()
