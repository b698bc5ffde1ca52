"""Replaying recorded requests over real HTTP, each session with cookies of its own."""

from __future__ import annotations

import http.client
import time
from collections.abc import Sequence
from dataclasses import dataclass
from http.cookies import CookieError, SimpleCookie
from urllib.parse import urlsplit

from selfheal.artifacts.patch import RecordedRequest

MAXIMUM_BODY = 10_000_000


@dataclass(frozen=True)
class Reply:
    """One answer. `judged` marks the last request of its session.

    `status` is None where no answer came, and `error` says why; `seconds` is from
    sending the request to having the whole body.
    """

    session: int
    method: str
    path: str
    judged: bool
    status: int | None
    seconds: float
    error: str = ""


def replay(
    url: str, sessions: Sequence[Sequence[RecordedRequest]], *, timeout_seconds: float = 30.0
) -> list[Reply]:
    """Send every session's requests in order to the service at `url`; one reply each.

    A session's cookies are those that the service set in it, and nothing else is kept
    between requests. A request that gets no answer is a reply without a status.
    """
    return [
        reply
        for number, requests in enumerate(sessions)
        for reply in _session(url, number, requests, timeout_seconds)
    ]


def _session(
    url: str, number: int, requests: Sequence[RecordedRequest], timeout_seconds: float
) -> list[Reply]:
    cookies: dict[str, str] = {}
    connection = http.client.HTTPConnection(urlsplit(url).netloc, timeout=timeout_seconds)
    replies = []
    try:
        for position, request in enumerate(requests):
            begun = time.perf_counter()
            status, error = _send(connection, request, cookies)
            seconds = time.perf_counter() - begun
            judged = position == len(requests) - 1
            replies.append(
                Reply(number, request.method, request.path, judged, status, seconds, error)
            )
    finally:
        connection.close()
    return replies


def _send(
    connection: http.client.HTTPConnection, request: RecordedRequest, cookies: dict[str, str]
) -> tuple[int | None, str]:
    target = f"{request.path}?{request.query}" if request.query else request.path
    headers = {"User-Agent": "selfheal-replay"}
    if request.content_type:
        headers["Content-Type"] = request.content_type
    if cookies:
        headers["Cookie"] = "; ".join(f"{name}={value}" for name, value in cookies.items())
    body = request.body.encode() if request.body is not None else None
    try:
        connection.request(request.method, target, body=body, headers=headers)
        response = connection.getresponse()
        response.read(MAXIMUM_BODY)
        if not response.isclosed():
            connection.close()
    except (OSError, http.client.HTTPException, ValueError) as error:
        connection.close()
        return None, f"{type(error).__name__}: {error}"
    for header in response.headers.get_all("Set-Cookie") or ():
        _keep(cookies, header)
    return response.status, ""


def _keep(cookies: dict[str, str], header: str) -> None:
    try:
        parsed = SimpleCookie(header)
    except CookieError:
        return
    for name, morsel in parsed.items():
        if morsel["max-age"] == "0":
            cookies.pop(name, None)
        else:
            cookies[name] = morsel.coded_value
