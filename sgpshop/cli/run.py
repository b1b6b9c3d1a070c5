"""Commands that run something until they are told to stop: web, worker, simulator, demo.

Each imports what it needs itself: the simulator starts without the shop, the worker without a
web server.
"""

from __future__ import annotations

import gc
import logging
import os
import signal
import sys
import threading
import time
from contextlib import suppress
from pathlib import Path

import click
from flask import current_app
from flask.cli import with_appcontext

from sgpshop import logs
from sgpshop.cli.listening import listening
from sgpshop.cli.shop import require_shop

#: Seconds a thread may hold the interpreter while a page waits: intakes share it with the screens.
_SWITCH_EVERY = 0.001
#: So many more objects before Python looks for rings among them.  At 700, its own, it looks after every other page,
#: which is 2-4 % of what pages take; rings of a dozen pages are a megabyte.
_NEW_OBJECTS = 5_000
#: Seconds between two tries to reach a database that is away.
_ASK_AGAIN = 2.0
#: Set by `demo` for its children, so that none outlives a killed parent.
_PARENT = "SGPSHOP_PARENT_PID"


@click.command("web")
@click.option("--host", default="127.0.0.1", show_default=True)
@click.option("--port", default=8000, show_default=True, type=click.IntRange(0, 65535))
@with_appcontext
def web(host: str, port: int) -> None:
    """Serve the screens (waitress)."""
    from sgpshop.storage import news
    from sgpshop.storage.database import keep_statements
    from sgpshop.storage.queue import messages
    from sgpshop.web.server import make_server

    app = current_app._get_current_object()  # type: ignore[attr-defined]
    sys.setswitchinterval(_SWITCH_EVERY)
    _require_ready()
    _ = messages().store  # loaded now, not by the first click
    with listening(f"--port {port}"):
        server = make_server(app, host, port, app.config["MAX_CONTENT_LENGTH"])
    _end_with_parent()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda _number, _frame: server.leave())
    click.echo(f"http://{host}:{server.effective_port}/", err=True)
    _tell_first_owner()
    _tell_start("web", port=int(server.effective_port))
    settle()
    keep_statements()
    try:
        server.run()
    finally:
        news.stop(app)


def settle() -> None:
    """What is loaded stays: no need to look through it again and again, nor after every other page."""
    gc.freeze()
    gc.set_threshold(_NEW_OBJECTS, 10, 10)


@click.command("worker")
@click.option("--until-idle", is_flag=True, help="end with 0 when nothing is due")
@with_appcontext
def worker(until_idle: bool) -> None:
    """Carry out queued operations, look up uncertain ones."""
    from sqlalchemy.exc import SQLAlchemyError

    from sgpshop.services.installation.health import due_work
    from sgpshop.storage.queue import messages

    _ = messages().store  # before the engine loads huey: with what this queue needs and no more
    from sgpshop.worker.engine import Worker

    _wait_until_ready()
    # Operations compute for about a millisecond between waits: let each finish that undisturbed.
    sys.setswitchinterval(0.02)
    running = Worker(current_app._get_current_object())  # type: ignore[attr-defined]
    for number in (signal.SIGTERM, signal.SIGINT):
        # From a thread: a lock that the interrupted one holds would never be had in the handler.
        signal.signal(number, lambda *_: threading.Thread(target=running.stop).start())
    _end_with_parent()
    _tell_start("worker")
    gc.freeze()  # what is loaded stays, as in web
    try:
        running.run(until_idle=until_idle)
    finally:
        with suppress(SQLAlchemyError):  # the database may be gone; silence says the same later
            due_work.end(running.name)


@click.command("simulator")
@click.option("--port", required=True, type=click.IntRange(0, 65535))
@click.option("--db", "database", required=True, type=click.Path(dir_okay=False, path_type=Path))
@click.option("--latency-ms", default=0, type=click.IntRange(0, 600_000))
@click.option("--seed", default=None, type=int, help="makes the generated ids repeatable")
def simulator(port: int, database: Path, latency_ms: int, seed: int | None) -> None:
    """Run the gateway simulator on a loopback address."""
    from sgpshop.simulator.server import serve

    _end_with_parent()
    with listening(f"--port {port}"):
        serve(port, database, latency_ms=latency_ms, seed=seed)


@click.command("demo")
@click.option("--start-over", is_flag=True, help="forget the demo's orders, make the sample anew")
def demo(start_over: bool) -> None:
    """Run web, worker and simulator together, with a demo shop made on the first start."""
    from sgpshop.cli.demo import run_demo

    sys.exit(run_demo(start_over=start_over))


def _tell_start(program: str, **more: int) -> None:
    """One line that says which program began on what."""
    from sgpshop.extensions import db
    from sgpshop.storage import schema

    logs.event(
        "started",
        program=program,
        pid=os.getpid(),
        version=schema.wanted(),
        database=db.engine.dialect.name,
        gateway=current_app.config["GATEWAY_URL"],
        **more,
    )
    # This thread asks no more: a reading transaction it left open would keep SQLite's log from
    # ever being folded back (P31).
    db.session.remove()


def _tell_first_owner() -> None:
    """Say how an instance that has nobody yet gets its owner."""
    from sgpshop.services.installation import first_set_up

    if first_set_up.is_open():
        click.echo(
            "まだ誰も登録されていません。python app.py first-owner-link が表示するアドレスから、"
            "最初のオーナーを登録してください。",
            err=True,
        )


def _require_ready() -> None:
    """The gateway's address is one we may talk to (T6, S16), the database is ours and current."""
    from sgpshop.services.payments import gateway_access

    gateway_access.require_address()
    require_shop()


def _wait_until_ready() -> None:
    """The same, but a database that is away is waited for: after a power cut it may come later."""
    from sqlalchemy.exc import SQLAlchemyError

    from sgpshop.extensions import db
    from sgpshop.storage import database_words

    is_told = False
    while True:
        try:
            return _require_ready()
        except SQLAlchemyError as problem:
            if database_words.is_wrong_address(problem):
                raise
            if not database_words.is_unavailable(problem):
                raise
            if not is_told:
                click.echo(
                    f"{database_words.what_is_wrong(problem)}接続できるまで待ちます。", err=True
                )
                is_told = True
        db.session.remove()
        time.sleep(_ASK_AGAIN)


def _end_with_parent() -> None:
    """If `demo` started us and is killed, end as well, so that its ports are free again."""
    parent = os.environ.get(_PARENT)
    if parent is None:
        return

    def watch() -> None:
        while os.getppid() == int(parent):
            time.sleep(0.5)
        logging.getLogger(__name__).warning("the demo was ended; ending too")
        os.kill(os.getpid(), signal.SIGTERM)

    threading.Thread(target=watch, daemon=True, name="parent-watch").start()
