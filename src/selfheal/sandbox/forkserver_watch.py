"""Sees which of the project's functions run, in the process of `forkserver_process`.

Loaded there from its file, in the project's own interpreter, with the standard library alone.
"""

from __future__ import annotations

import functools
import os
import sys
import threading
import types
from pathlib import Path

ROOT = os.path.realpath(Path.cwd())


class Watch:
    """Which of the project's functions ran, seen by `sys.setprofile`."""

    def __init__(self) -> None:
        self._codes: set[types.CodeType] = set()
        self._known: dict[tuple[str, int], int] = {}

    def start(self) -> None:
        self._codes.clear()
        add = self._codes.add

        def note(frame: types.FrameType, event: str, _: object) -> None:
            if event == "call":
                add(frame.f_code)

        threading.setprofile(note)
        sys.setprofile(note)

    def stop(self) -> tuple[list[int], list[tuple[str, int]]]:
        """The places (file below the root, first line) by number, and those numbered newly."""
        sys.setprofile(None)
        places = {
            (file, code.co_firstlineno)
            for code in self._codes
            if (file := own_path(code.co_filename)) is not None
        }
        fresh = sorted(places - self._known.keys())
        for place in fresh:
            self._known[place] = len(self._known)
        return sorted(self._known[place] for place in places), fresh


@functools.cache
def real_path(name: str) -> str:
    """A file's path without links; asked once of the system."""
    return os.path.realpath(name)


@functools.cache
def own_path(name: str) -> str | None:
    """A file's path below the root with ``/``; None for other people's code."""
    if name.startswith("<"):
        return None
    path = os.path.realpath(name)
    if not path.startswith(ROOT + os.sep) or "site-packages" in path:
        return None
    return path[len(ROOT) + 1 :].replace(os.sep, "/")
