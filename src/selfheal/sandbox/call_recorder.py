"""Runs a project's tests and records what they call some of its functions with.

Started as a script by `selfheal.sandbox.crash`, with the standard library, pytest and
`selfheal.recorder` (Python 3.9): ``python call_recorder.py``, JSON settings on standard input:

* `library`: a folder with ``selfheal/recorder``;
* `paths`: folders of the project to import from;
* `functions`: names as `selfheal.recorder.install` takes them;
* `folder`: where the calls are written; `first`: how many of each function;
* `arguments`: those of pytest.
"""

from __future__ import annotations

import sys

if __name__ == "__main__":
    # Modules beside this script must not be found in place of those that are meant.
    del sys.path[0]

import json
import os
from pathlib import Path
from typing import Any


def main(settings: dict[str, Any]) -> None:
    import pytest

    sys.path[:0] = [str(Path.cwd()), *settings["paths"]]
    sys.path.append(settings["library"])
    from selfheal.recorder import install

    most = settings["first"]
    install(settings["functions"], settings["folder"], first=most, rate=0.0, per_minute=10 * most)
    code = pytest.main(settings["arguments"])
    if code in (pytest.ExitCode.USAGE_ERROR, pytest.ExitCode.INTERNAL_ERROR):
        sys.exit(f"pytest does not start: {pytest.ExitCode(code).name}")


if __name__ == "__main__":
    given = json.loads(sys.stdin.read())
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    main(given)
