"""The files of a recorder: lines of JSON, one file a process, bounded in all."""

from __future__ import annotations

import itertools
import os
import threading
import time
from pathlib import Path

FILES = "calls-*.jsonl"
_FAULTS_AT_MOST = 3
_PATIENCE_SECONDS = 0.05


class CallFiles:
    """Appends lines to a file of this process in `folder`, and begins another when it is full.

    Each line is one write(2), so that a killed process loses nothing and files have no half
    lines. Nothing is written once all files of the folder together hold `folder_bytes`, or
    after three faults of the disk; nothing is ever deleted. Files are for the owner alone.
    """

    def __init__(self, folder: Path, *, file_bytes: int, folder_bytes: int) -> None:
        self.folder = folder
        self.file_bytes = file_bytes
        self.folder_bytes = folder_bytes
        self.stopped = ""
        self._numbers = itertools.count()
        self._forget()
        if hasattr(os, "register_at_fork"):
            os.register_at_fork(after_in_child=self._forget)

    def _forget(self) -> None:
        """A forked process has a file of its own; the lock may be held by a thread it lacks."""
        self._lock = threading.RLock()
        self._file = -1
        self._size = self._faults = 0

    def append(self, line: bytes) -> bool:
        """Whether the line was written. Never raises."""
        if self.stopped or not self._lock.acquire(timeout=_PATIENCE_SECONDS):
            return False
        try:
            if self._file < 0 or self._size + len(line) > self.file_bytes:
                self._begin()
            if self._file < 0:
                return False
            self._size += len(line)
            if os.write(self._file, line) != len(line):
                raise OSError("the line was written in part")
            return True
        except OSError as error:
            self._faults += 1
            self.close()
            if self._faults >= _FAULTS_AT_MOST:
                self.stopped = str(error)
            return False
        finally:
            self._lock.release()

    def _begin(self) -> None:
        self.close()
        self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        held = sum(file.stat().st_size for file in self.folder.glob(FILES))
        if held >= self.folder_bytes:
            self.stopped = f"the folder holds {held} bytes"
            return
        name = f"calls-{time.time_ns()}-{os.getpid()}-{next(self._numbers)}.jsonl"
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_APPEND | getattr(os, "O_CLOEXEC", 0)
        self._file = os.open(self.folder / name, flags, 0o600)

    def close(self) -> None:
        """End the file; the next line begins another."""
        if self._file >= 0:
            os.close(self._file)
        self._file, self._size = -1, 0
