"""A worker process: ``python -P -m selfheal.engine.worker FD``.

It reads pickled ``(function, arguments)`` from a socket and answers with
``("result", value)`` or ``("error", exception)`` until None comes or the
socket closes. It leads a
process group of its own, so that its whole work can be ended at once; it dies with
the thread that started it; what handlers print goes to stderr.
"""

from __future__ import annotations

import ctypes
import os
import pickle
import signal
import sys
from multiprocessing.connection import Connection
from types import FrameType
from typing import Any, NoReturn

_PR_SET_PDEATHSIG = 1
GRACE_SECONDS = 2


class Ended(BaseException):
    """SIGTERM: clean up and leave. Not an Exception, so that no handler swallows it."""


def main(descriptor: int) -> None:
    """Serve tasks until the coordinator closes the connection."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, _end)
    parent = os.getppid()
    _die_with_parent()
    if os.getppid() != parent:
        return
    connection = Connection(descriptor)
    from selfheal.engine import perform  # noqa: F401  (imported while nobody waits for it)

    try:
        while (task := pickle.loads(connection.recv_bytes())) is not None:
            connection.send_bytes(_answer(*task))
    except (EOFError, OSError, Ended):
        pass


def _answer(function: Any, arguments: tuple[Any, ...]) -> bytes:
    answer: tuple[str, Any]
    try:
        answer = "result", function(*arguments)
    except Exception as error:
        answer = "error", error
    try:
        return pickle.dumps(answer, pickle.HIGHEST_PROTOCOL)
    except Exception as error:
        return pickle.dumps(("error", RuntimeError(f"{answer[1]!r} cannot be sent: {error}")))


def _end(_signal: int, _frame: FrameType | None) -> NoReturn:
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    # The handler's threads may go on for minutes: the kernel ends them with the process.
    signal.signal(signal.SIGALRM, signal.SIG_DFL)
    signal.alarm(GRACE_SECONDS)
    raise Ended


def _die_with_parent() -> None:
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)


if __name__ == "__main__":
    main(int(sys.argv[1]))
    os.killpg(0, signal.SIGKILL)
