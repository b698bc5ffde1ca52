"""Reading what the strategies need: texts at both commits, suspects' changes, requests."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from selfheal.analysis.promises import wanted
from selfheal.artifacts.anomalies import Anomaly
from selfheal.artifacts.dataset import Dataset
from selfheal.artifacts.diagnosis import Diagnosis
from selfheal.artifacts.patch import RecordedRequest
from selfheal.codebase.history import History
from selfheal.codebase.requirements import is_manifest
from selfheal.errors import RepositoryError
from selfheal.repair.client import find_client
from selfheal.repair.problem import FailingTest, FileChange, Problem, SuspectChange, is_test
from selfheal.telemetry.requests import recorded_requests

MAX_SUSPECTS = 3
MAX_PYTHON_FILES = 400
MAX_CHARACTERS = 400_000
MAX_SESSIONS = 4
MAX_FLOWS = 100
MAX_DOCUMENTS = 200

# The requests that reached a slow span, those with the slowest median first.
_SLOWEST = """
SELECT min(entry.trace_id) AS trace_id FROM spans AS slow
JOIN spans AS entry ON entry.trace_id = slow.trace_id AND entry.kind = 'server'
WHERE slow.operation = $operation AND entry.http_method IS NOT NULL
    AND ($release IS NULL OR slow.release = $release)
GROUP BY entry.http_method, entry.http_path, entry.http_query
ORDER BY median(slow.duration_ms) DESC, count(*) DESC, 1 LIMIT $limit
"""

_SIBLINGS = """
SELECT min(other.trace_id) AS trace_id FROM spans AS judged
JOIN spans AS other ON other.operation = judged.operation AND other.kind = 'server'
    AND other.service IS NOT DISTINCT FROM judged.service
    AND other.release IS NOT DISTINCT FROM judged.release
WHERE judged.trace_id = $trace AND judged.kind = 'server' AND other.http_method IS NOT NULL
    AND other.http_status BETWEEN 200 AND 299
GROUP BY other.http_path, other.http_query ORDER BY count(*) DESC, 1 LIMIT $limit
"""


def gather(
    diagnosis: Diagnosis,
    history: History,
    *,
    tests_folder: str,
    fixture: str | None,
    changelog: str,
) -> Problem:
    """The problem of a diagnosis without its requests. Raises RepositoryError.

    Texts are those of the accused files, of the suspects' files, of the project's Python
    files near them (all of them in a project of ordinary size), and of `changelog`.
    """
    if diagnosis.bad_commit is None:
        raise RepositoryError("the commit of the sick release is not known.", where=diagnosis.id)
    bad = history.resolve(diagnosis.bad_commit)
    good = history.resolve(diagnosis.good_commit) if diagnosis.good_commit else None
    files = history.files(bad)
    suspects = [
        change
        for suspect in diagnosis.suspect_commits[:MAX_SUSPECTS]
        if (change := suspect_change(history, suspect.sha, bad, suspect.score)) is not None
    ]
    accused = [location.file for location in diagnosis.locations]
    touched = [change.path_now for suspect in suspects for change in suspect.files]
    flows = _flows(files) if diagnosis.kind == "behavioral" else []
    stated = _stated(diagnosis, files)
    needed = {changelog, *accused, *touched, *_python_near(files, accused), *flows, *stated}
    sources = _texts(history, bad, sorted(needed & set(files)))
    conftests = _texts(history, bad, [path for path in files if path.endswith("conftest.py")])
    return Problem(
        diagnosis=diagnosis,
        base_commit=bad,
        sources=sources,
        good_sources=_texts(history, good, sorted({*accused, *flows, *stated})) if good else {},
        suspects=suspects,
        failing_test=failing_test(diagnosis, files),
        client=find_client(conftests, fixture, tests_folder),
        tests_folder=tests_folder,
        test_files=[path for path in files if is_test(path)],
    )


def _stated(diagnosis: Diagnosis, files: Sequence[str]) -> list[str]:
    """Files that state what a dependency's or a document's diagnosis is about."""
    if diagnosis.kind == "dependency":
        return [path for path in files if is_manifest(path) and not is_test(path)]
    if diagnosis.kind != "documentation":
        return []
    kinds = wanted(files)
    documents = [path for path, kind in kinds.items() if kind == "document"]
    code = [path for path, kind in kinds.items() if kind == "code"]
    return [*documents[:MAX_DOCUMENTS], *code[:MAX_PYTHON_FILES]]


def _flows(files: Sequence[str]) -> list[str]:
    """Files that may declare or draw an order of steps: sequences, and documents with diagrams."""
    declared = [path for path in files if path.endswith(".json") and "sequence" in path]
    drawn = [path for path in files if path.endswith(".md") and "/" in path]
    return [*declared[:MAX_FLOWS], *drawn[:MAX_FLOWS]]


def _python_near(files: Sequence[str], accused: Sequence[str]) -> list[str]:
    """The project's own modules, those that share most of their path with the accused first."""
    python = [path for path in files if path.endswith(".py") and not is_test(path)]

    def distance(path: str) -> int:
        parts = path.split("/")[:-1]
        shared = (
            sum(1 for one, other in zip(parts, other_parts, strict=False) if one == other)
            for other_parts in (each.split("/")[:-1] for each in accused)
        )
        return -max(shared, default=0)

    return sorted(python, key=lambda path: (distance(path), path))[:MAX_PYTHON_FILES]


def _texts(history: History, commit: str, paths: Sequence[str]) -> dict[str, str]:
    found = history.texts([f"{commit}:{path}" for path in paths])
    return {
        path: text
        for path, text in zip(paths, found, strict=True)
        if text is not None and len(text) <= MAX_CHARACTERS
    }


def suspect_change(history: History, sha: str, bad: str, score: float) -> SuspectChange | None:
    """What a commit did, file by file, with the files' names at `bad`; None for a root commit."""
    commit = history.resolve(sha)
    try:
        parent = history.resolve(f"{commit}^")
    except RepositoryError:
        return None
    summary = next(
        (each.summary for each in history.commits(parent, commit) if each.sha == commit), ""
    )
    moved = {diff.old_path: diff.path for diff in history.diff(commit, bad)}
    changes = []
    for diff in history.diff(parent, commit):
        before, after = history.texts([f"{parent}:{diff.old_path}", f"{commit}:{diff.path}"])
        path_now = moved.get(diff.path, diff.path)
        changes.append(
            FileChange(
                path=diff.path,
                path_now=path_now,
                before=None if diff.status == "added" else before,
                after=None if diff.status == "deleted" else after,
            )
        )
    return SuspectChange(sha=commit, summary=summary, score=score, files=changes)


def failing_test(diagnosis: Diagnosis, files: Iterable[str]) -> FailingTest | None:
    """The test that failed, where the trouble was read from a test report (``module::name``)."""
    known = set(files)
    for node in diagnosis.evidence.get("failing_tests") or ():
        path, _, name = str(node).partition("::")
        if path in known:
            return FailingTest(file=path, name=name)
    module, _, name = diagnosis.operation.rpartition("::")
    if not module or diagnosis.kind != "error":
        return None
    parts = module.removesuffix(".py").replace("/", ".").split(".")
    for stop in range(len(parts), 0, -1):
        path = "/".join(parts[:stop]) + ".py"
        if path in known:
            return FailingTest(file=path, name="::".join([*parts[stop:], name]))
    return None


def sessions(
    diagnosis: Diagnosis, anomalies: Sequence[Anomaly], dataset: Dataset
) -> list[list[RecordedRequest]]:
    """Recorded requests that show the trouble, the likeliest to show it alone first.

    Sessions in which an earlier request failed come last: another fault would stop them.
    """
    traces = [str(each) for each in diagnosis.evidence.get("trace_ids") or ()]
    for anomaly in anomalies:
        traces += [str(each) for each in anomaly.evidence.get("trace_ids") or ()]
    if diagnosis.kind == "performance" or not traces:
        traces = _slow_traces(anomalies, diagnosis, dataset) + traces
    found: list[list[RecordedRequest]] = []
    for trace in dict.fromkeys(traces[: 4 * MAX_SESSIONS]):
        found += recorded_requests(dataset, trace_id=trace, limit=1)
    distinct = {_shape(session): session for session in reversed(found)}
    ordered = list(reversed(distinct.values()))
    if diagnosis.kind != "performance":
        ordered.sort(key=lambda each: (_failed_before(each), len(each)))
    return ordered[:MAX_SESSIONS]


def siblings(judged: RecordedRequest, dataset: Dataset) -> list[list[RecordedRequest]]:
    """Recorded requests of the same operation and release that were answered well."""
    if judged.trace_id is None:
        return []
    rows = dataset.rows(_SIBLINGS, {"trace": judged.trace_id, "limit": 2})
    found = [recorded_requests(dataset, trace_id=str(row["trace_id"]), limit=1) for row in rows]
    return [session for sessions in found for session in sessions]


def _slow_traces(anomalies: Sequence[Anomaly], diagnosis: Diagnosis, dataset: Dataset) -> list[str]:
    releases = [each.detector.window.candidate_release for each in anomalies]
    release = next((each for each in releases if each), None)
    operations = dict.fromkeys([diagnosis.operation, *(each.operation for each in anomalies)])
    for operation in operations:
        values = {"operation": operation, "release": release, "limit": MAX_SESSIONS}
        rows = dataset.rows(_SLOWEST, values)
        if rows:
            return [str(row["trace_id"]) for row in rows]
    return []


def _shape(session: Sequence[RecordedRequest]) -> tuple[tuple[str | None, ...], ...]:
    return tuple((each.method, each.path, each.query, each.body) for each in session)


def _failed_before(session: Sequence[RecordedRequest]) -> int:
    return sum((each.status or 0) >= 500 for each in session[:-1])
