"""Waking processes of this machine: a datagram to every socket of a folder.

Who waits hangs up a bell, whoever has something for them rings all of that kind.  A ring says
nothing but «look again», so a lost one costs the wait for the next look and nothing else.
"""

from __future__ import annotations

import os
import secrets
import select
import socket
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

#: An address of a socket is a path of at most so many bytes (104 on macOS, 108 on Linux).
_LONGEST = 100


class Bell:
    """Hung up in `folder` under a name of its own that begins with `kind`; of one process."""

    def __init__(self, folder: Path, kind: str) -> None:
        self._path = folder / f"{kind}-{os.getpid()}-{secrets.token_hex(4)}.bell"
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.setblocking(False)
        #: False where the folder's name is too long for a socket: its owner looks again by itself
        self.is_hung = False
        with suppress(OSError), _address(self._path) as address:
            self._socket.bind(address)
            self.is_hung = True
            self._path.chmod(0o600)

    def wait(self, seconds: float) -> bool:
        """Whether somebody rang within so many seconds; rings of before count once."""
        return bool(self.listen(seconds if self.is_hung else min(seconds, 0.5)))

    def listen(self, seconds: float) -> list[bytes]:
        """What was said with each ring, as soon as there was one; nothing after so many seconds."""
        said: list[bytes] = []
        rings = select.poll()  # select() knows no file number above 1023
        rings.register(self._socket, select.POLLIN)
        if rings.poll(seconds * 1000):
            with suppress(BlockingIOError):
                while True:
                    said.append(self._socket.recv(64))
        return said

    def take_down(self) -> None:
        """Nobody waits here any more."""
        self._socket.close()
        self._path.unlink(missing_ok=True)


def ring(folder: Path, kind: str, *words: bytes) -> None:
    """Wake whoever waits in `folder` for this `kind`, once for each of the words or without any.

    Bells of processes that died are taken down.  Raises nothing: what is told of is committed.
    """
    bells = list(folder.glob(f"{kind}-*.bell"))
    if not bells:
        return
    # Where no more files can be opened it is not rung.
    with suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as caller:
        caller.setblocking(False)
        for path in bells:
            try:
                with _address(path) as address:
                    for word in words or (b".",):
                        caller.sendto(word, address)
            except (ConnectionRefusedError, FileNotFoundError):
                path.unlink(missing_ok=True)
            except OSError:  # so many rings wait there that one more says nothing new
                continue


@contextmanager
def _address(path: Path) -> Iterator[str]:
    """`path` as an address of a socket, by a shorter way where there is one."""
    if len(os.fsencode(path)) <= _LONGEST or not sys.platform.startswith("linux"):
        yield str(path)
        return
    folder = os.open(path.parent, os.O_PATH | os.O_DIRECTORY)
    try:
        yield f"/proc/self/fd/{folder}/{path.name}"
    finally:
        os.close(folder)
