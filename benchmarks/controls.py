"""What the machine itself adds: the same calls, and the same waking up, without anything of ours.

A machine that sleeps takes its time to wake (a nested virtual one gives back the memory of who sleeps, too).
Beside these a figure of the worker says what the worker costs.

`python -m benchmarks.controls calls URL SHOP_ID SHOP_PASS NUMBER THREADS` sends so many look-ups from each thread;
`python -m benchmarks.controls wakes SECONDS` wakes twice a second and prints how many times over its small work took
what it takes awake.
"""

from __future__ import annotations

import subprocess
import sys
import threading
import time

import requests

_WAKES = 2
_WORDS = {n: str(n) for n in range(20_000)}


def bare_ratio(
    url: str, shop: tuple[str, str], *, calls: int, connections: int, latency_ms: int
) -> float:
    """Ideal ÷ wall of about so many look-ups by two processes that do nothing else."""
    each = calls // connections
    command = [sys.executable, "-m", "benchmarks.controls", "calls", url, *shop, str(each)]
    children = [
        subprocess.Popen(
            [*command, str(connections // 2)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        for _ in range(2)
    ]
    for child in children:  # ready: what a start takes is not what is measured
        assert child.stdout is not None
        assert child.stdout.readline() == "ready\n"
    began = time.monotonic()
    for child in children:
        assert child.stdin is not None
        child.stdin.write("go\n")
        child.stdin.flush()
    assert [child.wait(300) for child in children] == [0, 0]
    return each * latency_ms / 1000 / (time.monotonic() - began)


def wakes(seconds: float) -> subprocess.Popen[str]:
    """The process that wakes for so long; `times_over` is its finding."""
    command = [sys.executable, "-m", "benchmarks.controls", "wakes", str(seconds)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True)


def times_over(child: subprocess.Popen[str]) -> float:
    """How many times over its small work took the processor time that it takes awake."""
    said, _ = child.communicate(timeout=300)
    assert not child.returncode
    return float(said)


def _call(url: str, shop_id: str, shop_pass: str, number: int, threads: int) -> None:
    def one(thread: int) -> None:
        session = requests.Session()
        session.trust_env = False
        for n in range(number):
            # An order that is not there: the simulator waits its latency and says so.
            form = {"ShopID": shop_id, "ShopPass": shop_pass, "OrderID": f"none-{thread}-{n}"}
            session.post(
                f"{url}/payment/SearchTrade.idPass", data=form, timeout=60
            ).raise_for_status()

    all_threads = [threading.Thread(target=one, args=(n,)) for n in range(threads)]
    print("ready", flush=True)
    sys.stdin.readline()
    for thread in all_threads:
        thread.start()
    for thread in all_threads:
        thread.join()


def _small_work() -> float:
    began = time.process_time()
    sum(len(_WORDS[n]) for n in range(20_000))
    return time.process_time() - began


def _wake(seconds: float) -> None:
    awake = min(_small_work() for _ in range(50))
    until = time.monotonic() + seconds
    taken = []
    while time.monotonic() < until:
        time.sleep(1 / _WAKES)
        taken.append(_small_work())
    print(sum(taken) / len(taken) / awake)


if __name__ == "__main__":
    kind, *rest = sys.argv[1:]
    if kind == "calls":
        _call(rest[0], rest[1], rest[2], int(rest[3]), int(rest[4]))
    else:
        _wake(float(rest[0]))
