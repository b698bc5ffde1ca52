"""Requests that production telemetry recorded, ready to be sent again."""

from __future__ import annotations

from typing import Any

from selfheal.artifacts.dataset import Dataset
from selfheal.artifacts.patch import RecordedRequest

# Each judged request with the earlier ones of its session at the same release.
_SESSIONS = """
WITH requests AS (
    SELECT * FROM spans
    WHERE kind = 'server' AND http_method IS NOT NULL AND http_path IS NOT NULL
        AND start_ns IS NOT NULL
), judged AS (
    SELECT * FROM requests
    WHERE ($operation IS NULL OR operation = $operation)
        AND ($trace_id IS NULL OR trace_id = $trace_id)
        AND ($release IS NULL OR release = $release)
    ORDER BY start_ns, trace_id, span_id
    LIMIT $limit
)
SELECT j.trace_id, j.span_id, r.span_id = j.span_id AS judged, r.http_method, r.http_path,
    r.http_query, r.request_body, r.request_content_type, r.http_status, r.trace_id
FROM judged AS j JOIN requests AS r ON
    r.span_id = j.span_id AND r.trace_id = j.trace_id
    OR (r.session_id = j.session_id AND r.service IS NOT DISTINCT FROM j.service
        AND r.release IS NOT DISTINCT FROM j.release AND r.start_ns < j.start_ns)
ORDER BY j.start_ns, j.trace_id, j.span_id, r.start_ns, r.trace_id, r.span_id
"""
_SAFE = frozenset({"GET", "HEAD", "OPTIONS"})


def recorded_requests(
    dataset: Dataset,
    *,
    operation: str | None = None,
    trace_id: str | None = None,
    release: str | None = None,
    limit: int = 20,
) -> list[list[RecordedRequest]]:
    """Recorded requests with what their session sent before, in time order.

    Each inner list ends with the judged request: an entry (server span) that fits the
    given operation, trace and release. Before it come the earlier requests of the same
    session that may have changed state (all but GET, HEAD and OPTIONS). Requests whose
    telemetry has no method or path cannot be sent again and are left out. At the most
    `limit` judged requests are returned, the earliest first.
    """
    with dataset.connect() as connection:
        cursor = connection.execute(
            _SESSIONS,
            {"operation": operation, "trace_id": trace_id, "release": release, "limit": limit},
        )
        rows = cursor.fetchall()
    sessions: dict[tuple[str, str], list[RecordedRequest]] = {}
    for judged_trace, judged_span, judged, *values in rows:
        request = _request(values)
        session = sessions.setdefault((judged_trace, judged_span), [])
        if judged or request.method not in _SAFE:
            session.append(request)
    return list(sessions.values())


def _request(values: list[Any]) -> RecordedRequest:
    method, path, query, body, content_type, status, trace_id = values
    return RecordedRequest(
        method=method,
        path=path,
        query=query or "",
        body=body,
        content_type=content_type,
        status=status,
        trace_id=trace_id,
    )
