"""Run all benchmarks, or those named: `python -m benchmarks pages bulk`."""

from __future__ import annotations

import logging
import sys

from benchmarks import (
    api,
    backup,
    bulk,
    certainty,
    engine,
    exports,
    imports,
    intake,
    look_ups,
    notifications,
    p34,
    pages,
    sales,
    slips,
    structure,
    webhooks,
)

_ALL = {
    "api": api.run,
    "pages": pages.run,
    "pages_postgresql": pages.run_on_postgresql,
    "sales": sales.run,
    "imports": imports.run,
    "imports_postgresql": imports.run_on_postgresql,
    "exports": exports.run,
    "exports_postgresql": exports.run_on_postgresql,
    "bulk": bulk.run,
    "bulk_postgresql": bulk.run_on_postgresql,
    "accepting": bulk.accepting,
    "engine": engine.run,
    "backup": backup.run,
    "certainty": certainty.run,
    "notifications": notifications.run,
    "intake": intake.run,
    "p34": p34.run,
    "p34_postgresql": p34.run_on_postgresql,
    "look_ups": look_ups.run,
    "slips": slips.run,
    "structure": structure.run,
    "webhooks": webhooks.run,
}

logging.disable(logging.WARNING)  # the tables are the output
for name in sys.argv[1:] or _ALL:
    _ALL[name]()
