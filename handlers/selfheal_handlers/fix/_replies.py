"""What the project answers to recorded requests, by its own client fixture."""

from __future__ import annotations

import json
import shutil
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from selfheal.artifacts.canonical import short_id
from selfheal.artifacts.patch import RecordedRequest
from selfheal.config import TestsConfig
from selfheal.repair import Client
from selfheal.repair.regression import document, send
from selfheal.sandbox.process import run
from selfheal.sandbox.suite import base_command, is_pytest

PROBE = """\
import json

SESSIONS = json.loads({sessions!r})


def test_replies({fixture}):
    for method, target, body, content_type in SESSIONS:
        response = {send}
    with open({report!r}, "w") as file:
        json.dump({document}, file)
"""


def reply_document(
    worktree: Path, tests: TestsConfig, client: Client, session: Sequence[RecordedRequest]
) -> Any:
    """The JSON document of the last reply; None where there is none, whatever the reason.

    The probe lies beside the project's tests for as long as it runs.
    """
    if not is_pytest(tests) or client.style == "unknown":
        return None
    folder = Path(tempfile.mkdtemp(prefix="selfheal-reply-"))
    requests = json.dumps([_row(request) for request in session])
    probe = worktree / tests.folder / f"test_{short_id('reply', requests).replace('-', '_')}.py"
    report = folder / "reply.json"
    text = PROBE.format(
        sessions=requests,
        fixture=client.fixture,
        send=send(client),
        report=str(report),
        document=document(client),
    )
    try:
        probe.write_text(text)
        command = [*base_command(tests), "-p", "no:cacheprovider", "--color=no", str(probe)]
        run(command, cwd=worktree, timeout_seconds=tests.timeout_seconds, writable=(folder,))
        return json.loads(report.read_text())
    except (OSError, json.JSONDecodeError):
        return None
    finally:
        probe.unlink(missing_ok=True)
        shutil.rmtree(folder, ignore_errors=True)


def _row(request: RecordedRequest) -> list[str | None]:
    target = f"{request.path}?{request.query}" if request.query else request.path
    return [request.method, target, request.body, request.content_type]
