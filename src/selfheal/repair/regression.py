"""The test that keeps the trouble from coming back, made from recorded production input.

It sends the recorded requests through the project's own client fixture. For an error it
asks for the answer that the good release gave; for a slow operation it counts function
calls and SQL statements, which repeat exactly where clocks do not.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence

from selfheal.artifacts.canonical import short_id
from selfheal.artifacts.model import Model
from selfheal.artifacts.patch import RecordedRequest, Reproducer
from selfheal.repair.order_check import order_check, sequence_check
from selfheal.repair.problem import OF_FILES, Client, Problem
from selfheal.repair.recorded import RecordedBehaviour
from selfheal.repair.recorded_test import (
    crash_test_name,
    crash_tests,
    recorded_tests,
    test_names,
)
from selfheal.repair.shape import CHECK, says_something
from selfheal.repair.state_check import state_check
from selfheal.repair.work_budget import SHOWN, budget_test, budgets, no_budget

MAXIMUM_SHAPE = 800
NO_TEST = "files show this trouble, not requests: its own detector is asked before and after"


class RegressionTest(Model):
    """The text of a new test file (None: nothing to add), and what shows the trouble."""

    text: str | None
    reproducer: Reproducer


def regression_test(problem: Problem) -> RegressionTest:
    """The regression test of a problem. `Reproducer.unavailable` says why there is none."""
    if problem.failing_test is not None:
        found = problem.failing_test
        return RegressionTest(
            text=None,
            reproducer=Reproducer(
                requests=problem.requests,
                test_file=found.file,
                test_name=found.name,
                tests=problem.failing_tests,
            ),
        )
    if problem.diagnosis.kind in OF_FILES:
        return RegressionTest(text=None, reproducer=Reproducer(unavailable=NO_TEST))
    without_request = _declared_order(problem) or _recorded(problem)
    if without_request is not None:
        return without_request
    reason = _unavailable(problem)
    if reason is not None:
        return RegressionTest(
            text=None, reproducer=Reproducer(requests=problem.requests, unavailable=reason)
        )
    name = f"test_{_slug(problem.requests[-1])}_{_claim(problem)}"
    text = _made(problem, name)
    if text is None:
        reason = "no function of the project is known as the step, and no state can be watched"
        return RegressionTest(
            text=None, reproducer=Reproducer(requests=problem.requests, unavailable=reason)
        )
    return RegressionTest(
        text=text,
        reproducer=Reproducer(
            requests=problem.requests, test_file=test_file(problem), test_name=name
        ),
    )


def _made(problem: Problem, name: str) -> str | None:
    """The text of the test that fits the kind of trouble."""
    client, kind = problem.client, problem.diagnosis.kind
    if kind not in ("behavioral", "state"):
        return _work_test(problem, name) if _is_slow(problem) else _answer_test(problem, name)
    assert client is not None
    lines = _request_lines(problem.requests)
    if kind == "behavioral":
        return order_check(problem, name, lines, client.fixture, send(client))
    return state_check(problem, name, lines, client.fixture, send(client), document(client))


def _declared_order(problem: Problem) -> RegressionTest | None:
    """The test of a sequence file, which needs no request."""
    if problem.diagnosis.kind != "behavioral":
        return None
    name, path = "test_the_declared_order_holds", test_file(problem)
    text = sequence_check(problem, name, path)
    if text is None:
        return None
    reproducer = Reproducer(requests=problem.requests, test_file=path, test_name=name)
    return RegressionTest(text=text, reproducer=reproducer)


def _recorded(problem: Problem) -> RegressionTest | None:
    """The tests of recorded calls, which need no request."""
    behaviour = problem.behaviour
    if behaviour is not None and problem.diagnosis.kind == "error":
        return _crashed(problem, behaviour)
    if behaviour is None or problem.diagnosis.kind != "coverage":
        return None
    count = problem.diagnosis.evidence.get("executed_count")
    often = f"ran {count} times in production" if count else "runs in production"
    story = f"{behaviour.module}.{behaviour.function} {often} and had no test."
    reproducer = Reproducer(test_file=test_file(problem), test_name=test_names(behaviour)[0])
    return RegressionTest(text=recorded_tests(behaviour, story), reproducer=reproducer)


def _crashed(problem: Problem, behaviour: RecordedBehaviour) -> RegressionTest:
    """The test of calls that raise the error: of which answer is right nothing is known."""
    frame = (problem.diagnosis.evidence.get("frames") or [{}])[0]
    place = f"{frame.get('file')}:{frame.get('line')}"
    how = "Inputs that raised" if behaviour.recorded else "Inputs near those of other tests raise"
    story = (
        f"Production saw {problem.exception} at {place}.\n\n{how} it there, and are asked for an "
        "answer; which one is right was not seen.\n"
    )
    reproducer = Reproducer(
        test_file=test_file(problem),
        test_name=crash_test_name(behaviour),
        untold=f"nothing shows which answer is right to what raised {problem.exception}",
    )
    return RegressionTest(text=crash_tests(behaviour, story), reproducer=reproducer)


def test_file(problem: Problem) -> str:
    """The path of the new test file: stable for a diagnosis, and not taken yet."""
    folder = problem.client.folder if problem.client else problem.tests_folder
    short = short_id("x", problem.diagnosis.id).removeprefix("x-")[:8]
    path = f"{folder}/test_selfheal_{short}.py" if folder else f"test_selfheal_{short}.py"
    number = 2
    while path in problem.test_files:
        path = f"{path.removesuffix('.py').rpartition('_')[0]}_{number}{short}.py"
        number += 1
    return path


test_file.__test__ = False  # type: ignore[attr-defined]


def _is_slow(problem: Problem) -> bool:
    return problem.diagnosis.kind == "performance"


def _unavailable(problem: Problem) -> str | None:
    if problem.recorded is not None and problem.recorded.unavailable and not problem.requests:
        return problem.recorded.unavailable
    if not problem.requests:
        return problem.no_requests or "telemetry holds no recorded request of this operation"
    if problem.no_requests:
        return problem.no_requests
    if problem.client is None:
        return "no client fixture was found in conftest.py; set tests.client_fixture"
    if _is_slow(problem) and not budgets(problem):
        return no_budget(problem)
    return None


def _claim(problem: Problem) -> str:
    if _is_slow(problem):
        return "stays_within_its_work"
    if problem.diagnosis.kind == "coverage":
        return "answers_as_recorded"
    if problem.diagnosis.kind == "behavioral":
        return "keeps_its_order"
    if problem.diagnosis.kind == "state":
        return "leaves_nothing_behind"
    return "answers_a_recorded_request"


def _slug(request: RecordedRequest) -> str:
    """``GET /products/17/reviews`` → ``get_products_reviews``."""
    words = re.findall(r"[A-Za-z_]+", request.path)
    return "_".join([request.method.lower(), *words]).lower()[:60].rstrip("_")


def _request_lines(requests: Sequence[RecordedRequest]) -> list[str]:
    lines = ["REQUESTS = ["]
    for request in requests:
        target = f"{request.path}?{request.query}" if request.query else request.path
        values = (request.method, target, request.body, request.content_type)
        lines += [f"    ({', '.join(_literal(value) for value in values)}),"]
    return [*lines, "]"]


def _literal(value: str | None) -> str:
    """As the formatter writes it: double quotes where that needs no escape."""
    if value is None:
        return "None"
    plain = value.isprintable() and '"' not in value and "\\" not in value
    return f'"{value}"' if plain else repr(value)


def send(client: Client) -> str:
    """The call that sends ``method, target, body, content_type`` by the project's client."""
    name = client.fixture
    if client.style == "httpx":
        headers = 'headers={"Content-Type": content_type} if content_type else None'
        return f"{name}.request(method, target, content=body, {headers})"
    if client.style == "django":
        return f'{name}.generic(method, target, body or "", content_type=content_type or "")'
    return f"{name}.open(target, method=method, data=body, content_type=content_type)"


def document(client: Client) -> str:
    """The expression for the JSON document of ``response``."""
    return "response.json()" if client.style in ("httpx", "django") else "response.json"


def expected_status(problem: Problem) -> int | None:
    """What the good release answered to the judged request, if it answered well."""
    good = problem.good_work
    if good is None or good.status is None or good.status >= 500:
        return None
    return good.status


def _shape_lines(problem: Problem) -> tuple[list[str], list[str]]:
    """The lines before the test and in it that ask for the shape of the reply."""
    if not says_something(problem.shape) or problem.client is None:
        return [], []
    written = json.dumps(problem.shape).replace("null", "None")
    if len(written) > MAXIMUM_SHAPE:
        return [], []
    before = [f"SHAPE = {written}", "", "", *CHECK.splitlines()]
    return before, [f"    assert has_shape({document(problem.client)}, SHAPE)"]


def _answer_test(problem: Problem, name: str) -> str:
    client = problem.client
    assert client is not None
    status = expected_status(problem)
    handled = (problem.requests[-1].status or 500) < 500 and problem.diagnosis.kind == "error"
    fixtures = f"{client.fixture}, caplog" if handled else client.fixture
    asserted = [
        f"    assert response.status_code == {status}"
        if status is not None
        else "    assert response.status_code < 500"
    ]
    if handled:
        asserted += [
            "    raised = [record.exc_info[0].__name__ for record in caplog.records if record.exc_info]",
            f'    assert "{problem.exception}" not in raised',
        ]
    shape, shaped = _shape_lines(problem)
    return "\n".join(
        [
            f'"""{_story(problem)}"""',
            "",
            *_request_lines(problem.requests),
            *shape,
            "",
            "",
            f"def {name}({fixtures}):",
            "    for method, target, body, content_type in REQUESTS:",
            f"        response = {send(client)}",
            *asserted,
            *shaped,
            "",
        ]
    )


def _work_test(problem: Problem, name: str) -> str:
    client = problem.client
    assert client is not None
    # A second identical read finds warm caches; what changes state is sent once.
    warm = "REQUESTS" if problem.requests[-1].method in ("GET", "HEAD") else "REQUESTS[:-1]"
    return budget_test(
        name,
        budgets(problem),
        story=_story(problem),
        requests=_request_lines(problem.requests),
        warm=warm,
        fixture=client.fixture,
        sent=send(client),
        status=_status_check(problem),
    )


def _status_check(problem: Problem) -> str:
    status = expected_status(problem)
    return f"== {status}" if status is not None else "< 500"


def _story(problem: Problem) -> str:
    """Why the test is there, in one or two lines."""
    judged = problem.requests[-1]
    where = f"{judged.method} {judged.path}"
    if _is_slow(problem):
        good, bad = problem.good_work, problem.bad_work
        assert good is not None
        assert bad is not None
        grown = budgets(problem)
        name, shown = next(each for each in SHOWN.items() if each[0] in grown)
        return (
            f"{where} became slow: {getattr(bad, name)} {shown} for a request that had needed"
            f" {getattr(good, name)}."
        )
    if problem.diagnosis.kind == "coverage":
        return f"{where} runs in production and had no test."
    message = " ".join(problem.message.split()).replace("\\", "\\\\").replace('"', "'")[:80]
    said = f"{problem.exception}: {message}".rstrip(": ")
    return f"{where} failed in production with {said}."
