"""The practice gateway as a Flask application and as a server of its own."""

import signal
import threading
from pathlib import Path
from types import FrameType

import waitress
from flask import Flask, Response, request

from . import batch, console, console_files, control, practice_shop, three_ds_pages
from .clock import Clock, TimeSource, machine_time
from .context import Context, Ids
from .contract import DEFAULT_CONTRACT, Contract
from .delivery import ConnectionDropped, response
from .endpoint import Endpoint
from .faults import Faults
from .ledger import Ledger
from .notices import Notices
from .practice_api import PracticeApi
from .practice_shop import PracticeShop
from .wire import CONTENT_TYPE, encode, render_errors

__all__ = ["ConnectionDropped", "GatewayServer", "create_app", "serve"]

#: Above the 64 requests in flight, so that the 65th is refused and not merely kept waiting.
THREADS = 80
MAX_BODY_BYTES = 16 * 1024 * 1024
FORM_TYPE = "application/x-www-form-urlencoded"
METHODS = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"]


def create_app(
    db_path: str | Path,
    *,
    latency_ms: int = 0,
    seed: int | None = None,
    clock: TimeSource | None = None,
    contract: Contract = DEFAULT_CONTRACT,
    practice_api: PracticeApi | None = None,
) -> Flask:
    """The gateway over the ledger file `db_path`.

    `latency_ms` is how long every payment request takes at least, `seed` makes ids and dice
    repeatable, `clock` answers the present (aware) in place of the machine,
    `practice_api` is the shop that the practice shop sends its orders to.
    The endpoint is in `app.extensions["endpoint"]`.
    """
    ledger = Ledger(db_path)
    offset = ledger.setting(control.CLOCK_OFFSET, 0.0)
    present = Clock(clock or machine_time, offset)
    notices = Notices(ledger, present, contract, seed=seed)
    context = Context(
        contract, ledger, present, Ids(seed), notices, address=lambda: request.host_url
    )
    endpoint = Endpoint(context, Faults(seed), latency=latency_ms / 1000)
    notices.start(endpoint.stopping)

    app = Flask(__name__, static_folder="static", static_url_path="/mulpayconsole/static")
    app.config["MAX_CONTENT_LENGTH"] = MAX_BODY_BYTES
    app.extensions["endpoint"] = endpoint
    practice = PracticeShop(practice_api)
    app.register_blueprint(control.blueprint(endpoint, practice))
    app.register_blueprint(practice_shop.blueprint(endpoint, practice))
    for pages in (console, console_files, three_ds_pages, batch):
        app.register_blueprint(pages.blueprint(endpoint))

    @app.route("/payment/<api_name>.idPass", methods=METHODS, provide_automatic_options=False)
    def payment(api_name: str) -> Response:
        refused = _http_problem()
        if refused:
            return Response(encode(render_errors([refused])), content_type=CONTENT_TYPE)
        delivery = endpoint.answer(api_name, request.get_data(cache=False))
        return response(delivery, endpoint.wait)

    return app


def _http_problem() -> str:
    """The code for a request that is no form POST, "" for one that is (rule 1)."""
    if request.method == "GET":
        return "E31500014"
    if request.method != "POST":
        return "E00000001"
    return "" if request.mimetype == FORM_TYPE else "E00000003"


class GatewayServer:
    """An application behind waitress; `port` is the real one where 0 was asked for."""

    def __init__(self, app: Flask, port: int, *, host: str = "127.0.0.1") -> None:
        self._stopping: threading.Event = app.extensions["endpoint"].stopping
        self._waitress = waitress.create_server(
            app,
            host=host,
            port=port,
            threads=THREADS,
            backlog=1024,
            connection_limit=1024,
            asyncore_use_poll=True,
            max_request_body_size=MAX_BODY_BYTES,
            ident=None,
            log_socket_errors=False,  # a dropped connection is one, and meant
        )
        self.port = int(self._waitress.effective_port)

    def run(self) -> None:
        """Serve until `stop` is called, then end the threads at work and let go of the port."""
        server = self._waitress
        while not self._stopping.is_set():
            # a short wait instead of a wake-up call: what wakes the loop may be closed by then
            server.asyncore.loop(timeout=0.2, use_poll=True, map=server._map, count=1)
        server.task_dispatcher.shutdown()  # first, because a thread at work still wakes the loop
        server.close()
        server.asyncore.close_all(server._map, ignore_all=True)

    def stop(self) -> None:
        """Make `run` return, from any thread or signal handler; what waits stops waiting."""
        self._stopping.set()


def serve(
    port: int,
    db_path: str | Path,
    *,
    host: str = "127.0.0.1",
    latency_ms: int = 0,
    seed: int | None = None,
) -> None:
    """Run the gateway until SIGTERM or SIGINT; call it from the main thread of a process."""
    practice_api = PracticeApi.from_environment()
    app = create_app(db_path, latency_ms=latency_ms, seed=seed, practice_api=practice_api)
    endpoint: Endpoint = app.extensions["endpoint"]
    server = GatewayServer(app, port, host=host)

    def stop(_signal: int, _frame: FrameType | None) -> None:
        server.stop()

    for name in (signal.SIGTERM, signal.SIGINT):
        signal.signal(name, stop)
    shop = endpoint.context.contract.shop_id
    console_url = f"http://{host}:{server.port}/mulpayconsole/shop/{shop}/login/"
    print(f"SMBC-GP simulator: {console_url}", flush=True)
    server.run()
    endpoint.context.ledger.close()
