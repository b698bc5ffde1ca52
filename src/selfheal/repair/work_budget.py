"""The budget of a request that became slow: counts of work that repeat exactly, and their test."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from selfheal.repair.problem import Problem

MINIMUM_GROWTH = 1.5
SHOWN = {
    "statements": "SQL statements",
    "calls": "function calls",
    "lines": "executed lines",
    "elements": "moved elements",
}
_STATEMENT_LINES = [
    "def is_statement(function):",
    '    owner = getattr(function, "__self__", None)',
    "    database = isinstance(owner, (sqlite3.Connection, sqlite3.Cursor))",
    "    return database and function.__name__ in EXECUTE",
    "",
    "",
]


_WALKED_LINES = [
    'WALKS = {"insert", "pop", "remove", "index", "count", "reverse", "sort", "copy"}',
    "",
    "",
    "def walked(frame, function):",
    '    owner = getattr(function, "__self__", None)',
    "    if type(owner) is not list or function.__name__ not in WALKS:",
    "        return 0",
    "    # The number of arguments is in the instruction: pop() takes the last element.",
    '    if function.__name__ == "pop" and not frame.f_code.co_code[frame.f_lasti + 1]:',
    "        return 0",
    "    return len(owner)",
    "",
    "",
]


def budgets(problem: Problem) -> dict[str, int]:
    """The counts that the judged request may need: of `calls` and `statements`, else `lines` and `elements`.

    Twice what the good release needed, and no more than the geometric mean of good and
    bad; only counts that grew by half at least say anything.
    """
    good, bad = problem.good_work, problem.bad_work
    if good is None or bad is None:
        return {}
    called = {"calls": (good.calls, bad.calls), "statements": (good.statements, bad.statements)}
    traced = {"lines": (good.lines, bad.lines), "elements": (good.elements, bad.elements)}
    return _grown(called) or _grown(traced)


def _grown(pairs: Mapping[str, tuple[int | None, int | None]]) -> dict[str, int]:
    return {
        name: max(min(2 * low, math.isqrt(low * high)), low + 1)
        for name, (low, high) in pairs.items()
        if low is not None and high is not None and high >= max(MINIMUM_GROWTH * low, low + 2)
    }


def no_budget(problem: Problem) -> str:
    """Why the judged request has no budget."""
    for side, work in (("good", problem.good_work), ("bad", problem.bad_work)):
        if work is None or work.unavailable:
            reason = work.unavailable if work else "no such commit"
            return f"the work at the {side} commit was not counted: {reason}"
    return (
        "the slowness does not show in counts of function calls, SQL statements, executed lines "
        "or moved elements"
    )


def budget_test(
    name: str,
    allowed: Mapping[str, int],
    *,
    story: str,
    requests: Sequence[str],
    warm: str,
    fixture: str,
    sent: str,
    status: str,
) -> str:
    """A test file that counts the work of the last of some requests, sent after those of `warm`.

    `allowed` are the counts that it may need; `requests` are the lines of the table,
    `fixture` and `sent` the project's client and the call that sends one, `status` the
    comparison that the answer's status is held to.
    """
    counted = "statements" in allowed
    lines = [
        f'"""{story}"""',
        "",
        *(["import sqlite3"] if counted else []),
        "import sys",
        "",
        *requests,
        *(['EXECUTE = {"execute", "executemany", "executescript"}'] if counted else []),
        "",
        "",
        *(_STATEMENT_LINES if counted else []),
        *(_WALKED_LINES if "elements" in allowed else []),
        f"def {name}({fixture}):",
        f"    for method, target, body, content_type in {warm}:",
        f"        {sent}",
        "    method, target, body, content_type = REQUESTS[-1]",
        f"    work = {{{', '.join(f'{_quoted(key)}: 0' for key in sorted(allowed))}}}",
        "",
        *_observed(allowed, sent),
        f"    assert response.status_code {status}",
        *(f"    assert work[{_quoted(key)}] <= {allowed[key]}" for key in sorted(allowed)),
        "",
    ]
    return "\n".join(lines)


def _observed(allowed: Mapping[str, int], sent: str) -> list[str]:
    """The lines that send the judged request under the functions that count."""
    profiled = _count_lines(allowed)
    traced = "lines" in allowed
    lines = ["    def count(frame, event, argument):", *profiled, ""] if profiled else []
    if traced:
        lines += [
            "    def trace(frame, event, argument):",
            '        if event == "line":',
            '            work["lines"] += 1',
            "        return trace",
            "",
            "    tracing = sys.gettrace()",
        ]
    lines += ["    sys.setprofile(count)"] if profiled else []
    lines += ["    sys.settrace(trace)"] if traced else []
    lines += ["    try:", f"        response = {sent}", "    finally:"]
    lines += ["        sys.settrace(tracing)"] if traced else []
    return lines + (["        sys.setprofile(None)"] if profiled else [])


def _count_lines(allowed: Mapping[str, int]) -> list[str]:
    lines = []
    if "calls" in allowed:
        lines += [
            '        if event in ("call", "c_call"):',
            '            work["calls"] += 1',
        ]
    if "statements" in allowed:
        lines += [
            '        if event == "c_call" and is_statement(argument):',
            '            work["statements"] += 1',
        ]
    if "elements" in allowed:
        lines += [
            '        if event == "c_call":',
            '            work["elements"] += walked(frame, argument)',
        ]
    return lines


def _quoted(text: str) -> str:
    return f'"{text}"'
