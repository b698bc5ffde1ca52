"""What a change does to replies to recorded requests: the same requests, other replies.

Asked are requests that the release under repair answers well: what a fix of something else
alters in them was hardly meant. A reply that differs between two runs of that release is noise.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, NamedTuple

from selfheal.artifacts import Candidate
from selfheal.artifacts.patch import RecordedRequest
from selfheal.sandbox.bench import Bench
from selfheal.sandbox.evidence import Subject
from selfheal.sandbox.work import Work, measure_works

AT_ONCE = 2
SHOWN = 60

Session = Sequence[RecordedRequest]


class Replies(NamedTuple):
    """How many replies were `compared`; the differing ones in words."""

    compared: int = 0
    differing: tuple[str, ...] = ()


def compare_replies(
    bench: Bench, commit: str, pairs: Sequence[tuple[Candidate, Subject]]
) -> dict[str, Replies]:
    """The replies with candidates of one commit held against those without, by candidate id."""
    asked = {subject.diagnosis_id: _sound(subject) for _, subject in pairs}
    asked = {name: sessions for name, sessions in asked.items() if sessions}
    if not asked:
        return {}
    every = [session for sessions in asked.values() for session in sessions]
    found = iter(_replies(bench, commit, None, [*every, *every]))
    first = {name: [next(found) for _ in sessions] for name, sessions in asked.items()}
    again = {name: [next(found) for _ in sessions] for name, sessions in asked.items()}

    def compare(pair: tuple[Candidate, Subject]) -> Replies:
        candidate, name = pair[0], pair[1].diagnosis_id
        after = _replies(bench, commit, candidate.patch, asked[name])
        return compared(asked[name], first[name], again[name], after)

    known = [pair for pair in pairs if pair[1].diagnosis_id in asked]
    with ThreadPoolExecutor(AT_ONCE) as pool:
        names = [candidate.id for candidate, _ in known]
        return dict(zip(names, pool.map(compare, known), strict=True))


def compared(
    sessions: Sequence[Session],
    first: Sequence[Work],
    again: Sequence[Work],
    after: Sequence[Work],
) -> Replies:
    """Hold the replies to the last requests of sessions against each other."""
    count, differing = 0, []
    for session, one, same, other in zip(sessions, first, again, after, strict=True):
        if not _answered(one) or _reply(one) != _reply(same) or other.unavailable:
            continue
        count += 1
        if _reply(one) != _reply(other):
            differing.append(_told(session[-1], _reply(one), _reply(other)))
    return Replies(count, tuple(differing))


def _sound(subject: Subject) -> list[Session]:
    return [each for each in subject.sessions if each and (each[-1].status or 200) < 500]


def _replies(
    bench: Bench, commit: str, patch: str | None, sessions: Sequence[Session]
) -> list[Work]:
    with bench.checkout(commit, patch) as worktree:
        return measure_works(
            worktree,
            bench.tests,
            sessions,
            timeout_seconds=bench.config.timeout_seconds,
            memory_megabytes=bench.config.memory_megabytes,
        )


def _answered(work: Work) -> bool:
    return not work.unavailable and work.exception is None and (work.status or 500) < 500


def _reply(work: Work) -> dict[str, Any]:
    return {"status": work.status, "exception": work.exception, "document": work.document}


def _told(request: RecordedRequest, one: Mapping[str, Any], other: Mapping[str, Any]) -> str:
    place, before, after = first_difference(one, other)
    query = f"?{request.query}" if request.query else ""
    return (
        f"{request.method} {request.path}{query} has {_short(before)} before "
        f"and {_short(after)} after at {place}"
    )


def first_difference(one: Any, other: Any, place: str = "") -> tuple[str, Any, Any]:
    """The JSON pointer (RFC 6901) at which two documents differ first, and both values."""
    if isinstance(one, Mapping) and isinstance(other, Mapping) and one.keys() == other.keys():
        pairs = [(str(key), one[key], other[key]) for key in one]
    elif isinstance(one, list) and isinstance(other, list) and len(one) == len(other):
        pairs = [(str(n), *pair) for n, pair in enumerate(zip(one, other, strict=True))]
    else:
        return place or "/", one, other
    for key, left, right in pairs:
        if left != right:
            escaped = key.replace("~", "~0").replace("/", "~1")
            return first_difference(left, right, f"{place}/{escaped}")
    return place or "/", one, other


def _short(value: Any) -> str:
    text = json.dumps(value, sort_keys=True, default=str)
    return text if len(text) <= SHOWN else f"{text[:SHOWN]}…"
