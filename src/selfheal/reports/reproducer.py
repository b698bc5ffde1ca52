"""A captured trace as a runnable pytest file: its recorded requests, sent again.

The text is that of the regression tests which accompany patches, so it uses the
project's own client fixture.
"""

from __future__ import annotations

from selfheal.artifacts.canonical import short_id
from selfheal.artifacts.diagnosis import Diagnosis, Impact
from selfheal.artifacts.model import Model
from selfheal.artifacts.patch import RecordedRequest
from selfheal.errors import RepositoryError
from selfheal.repair import Client, Problem, Work, regression_test
from selfheal.repair.client import find_client
from selfheal.reports.source import Source
from selfheal.telemetry.requests import recorded_requests

_ENTRY = """
SELECT s.operation, coalesce(s.service, 'unknown') AS service, s.http_status, s.release,
    s.commit, e.exception_type, e.exception_message
FROM spans AS s LEFT JOIN errors AS e ON e.trace_id = s.trace_id
WHERE s.trace_id = ? AND s.kind = 'server' AND s.http_method IS NOT NULL
ORDER BY s.start_ns, s.id, e.time_ns LIMIT 1
"""


class TraceTest(Model):
    """`text` is a pytest file, `name` the file's name; `unavailable` says why there is none.

    `requests` end with the trace's own; before it come those of its session that may
    have changed state.
    """

    trace_id: str
    name: str
    requests: list[RecordedRequest]
    text: str | None = None
    unavailable: str | None = None


class Repository:
    """What a test needs to know of the project: the client fixture of its tests.

    `fixture` is its name, where the project's settings are not to say.
    """

    def __init__(self, source: Source, *, fixture: str | None = None) -> None:
        self.source = source
        self.fixture = fixture or source.tests.client_fixture
        self.folder = source.tests.folder
        self._clients: dict[str, Client | None] = {}

    def client(self, commit: str | None) -> Client | None:
        """The client fixture at a commit (default HEAD), None where there is none."""
        key = commit or "HEAD"
        if key not in self._clients:
            self._clients[key] = self._find(key)
        return self._clients[key]

    def _find(self, revision: str) -> Client | None:
        from selfheal.codebase.history import History

        texts: dict[str, str] = {}
        if self.source.repository is not None:
            try:
                history = History(self.source.repository)
                sha = history.resolve(revision)
                for path in history.files(sha):
                    if path.rpartition("/")[2] == "conftest.py":
                        texts[path] = history.text(sha, path) or ""
            except RepositoryError:
                texts = {}
        return find_client(texts, self.fixture, self.folder)


def replay_command(trace_id: str) -> str:
    """What prints the test of a trace."""
    return f"selfheal replay-trace {trace_id}"


def trace_test(source: Source, trace_id: str, repository: Repository) -> TraceTest:
    """The test that sends a trace's requests again.

    Where the trace failed, it asks for an answer below 500, and so fails until the
    trouble is gone; else for the status that was recorded.
    """
    name = f"test_trace_{trace_id[:12]}.py"
    sessions = recorded_requests(source.dataset, trace_id=trace_id, limit=1)
    if not sessions:
        reason = "its entry span has no recorded request (http.request.method and url.path)"
        return TraceTest(trace_id=trace_id, name=name, requests=[], unavailable=reason)
    requests = sessions[0]
    entry = source.rows(_ENTRY, [trace_id])[0]
    client = repository.client(entry["commit"])
    if client is None:
        return TraceTest(
            trace_id=trace_id,
            name=name,
            requests=requests,
            unavailable="no client fixture was found in a conftest.py; name one with --fixture "
            "(or tests.client_fixture in selfheal.yaml)",
        )
    failed = entry["exception_type"] is not None or (requests[-1].status or 0) >= 500
    problem = Problem(
        diagnosis=_told(trace_id, entry, failed=failed),
        base_commit=entry["commit"] or "HEAD",
        sources={},
        requests=requests,
        client=client,
        good_work=None if failed else Work(status=requests[-1].status),
        tests_folder=repository.folder,
    )
    written = regression_test(problem)
    return TraceTest(
        trace_id=trace_id,
        name=name,
        requests=requests,
        text=_titled(written.text, trace_id, entry, requests[-1]) if written.text else None,
        unavailable=written.reproducer.unavailable,
    )


def _titled(
    text: str, trace_id: str, entry: dict[str, str | None], request: RecordedRequest
) -> str:
    """The test under a title of its own: what the trace showed, and no more."""
    shown = f"{request.method} {request.path}"
    error = (entry["exception_type"] or "").rpartition(".")[2]
    what = f"raised {error}" if error else f"answered {request.status or 'without a status'}"
    title = f"{shown} {what} in production (trace {trace_id})."
    safe = title.replace("\\", "\\\\").replace('"', "'")
    _, _, body = text.partition('"""\n')
    return f'"""{safe}"""\n{body}'


def _told(trace_id: str, entry: dict[str, str | None], *, failed: bool) -> Diagnosis:
    """What the test's writer wants to know of the trace: only what was recorded."""
    operation = entry["operation"] or ""
    return Diagnosis(
        id=short_id("trace", trace_id),
        anomaly_ids=[],
        kind="error" if failed else "coverage",
        service=entry["service"] or "",
        operation=operation,
        title=f"{operation} as captured in trace {trace_id}",
        verdict="insufficient_data",
        reason="a captured trace, not diagnosed",
        locations=[],
        suspect_commits=[],
        root_service=entry["service"] or "",
        impact=Impact(
            severity="low", affected_requests=1, all_requests=1, share=1.0, explanation="one trace"
        ),
        complexity="low",
        recommendations=[],
        evidence={
            "exception_type": entry["exception_type"] or "",
            "message": entry["exception_message"] or "",
        },
    )
