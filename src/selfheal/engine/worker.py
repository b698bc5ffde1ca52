"""A worker process: ``python -P -m selfheal.engine.worker FD``.

It reads pickled ``(function, arguments)`` from a socket and answers with
``("result", value)`` or ``("error", exception)`` until None comes or the
socket closes. It leads a
process group of its own, so that its whole work can be ended at once; it dies with
the thread that started it; what handlers print goes to stderr.
"""

from __future__ import annotations

import _thread
import ctypes
import os
import pickle
import signal
import sys
import time
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
    # The handler's threads and processes may go on for minutes. A thread that the interpreter
    # knows nothing of ends them all; where it cannot run, the kernel ends this process.
    _thread.start_new_thread(_end_group, ())
    signal.signal(signal.SIGALRM, signal.SIG_DFL)
    signal.alarm(GRACE_SECONDS + 1)
    raise Ended


def _end_group() -> None:
    time.sleep(GRACE_SECONDS)
    os.killpg(0, signal.SIGKILL)


def _die_with_parent() -> None:
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)


if __name__ == "__main__":
    main(int(sys.argv[1]))
    os.killpg(0, signal.SIGKILL)
