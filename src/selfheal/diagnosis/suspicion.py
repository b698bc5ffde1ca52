"""How suspicious each function and line is when tests fail: several kinds of evidence joined.

Every piece of evidence gives a line a weight between 0 and 1; the weights are joined as
independent reasons, 1 - (1 - a)(1 - b)… (noisy or; J. Pearl, "Probabilistic Reasoning in
Intelligent Systems", 1988, section 4.3.2). The spectrum is `selfheal.diagnosis.spectrum`;
names shared between test and function follow the idea of J. Zhou, H. Zhang, D. Lo, "Where
Should the Bugs Be Fixed?", ICSE 2012.
"""

from __future__ import annotations

import ast
import math
import re
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from functools import lru_cache

from pydantic import Field

from selfheal.artifacts.model import Model
from selfheal.codebase.changes import MODULE
from selfheal.codebase.index import is_test, is_vendored, module_of, own_nodes
from selfheal.codebase.mutation import changes_of
from selfheal.config import DiagnoseConfig
from selfheal.diagnosis.failure import Failure
from selfheal.diagnosis.model import CodeRange
from selfheal.diagnosis.spectrum import Place, Spectrum

OCHIAI = 0.75
INNERMOST = 0.55
UPWARDS = 0.6  # from one frame of the traceback to its caller
HALTED = 0.6
CALLED_BY_TEST = 0.2
SAME_NAME = 0.15
NAMED_IN_MESSAGE = 0.1
CHANGED = 0.3
READ_CONSTANT = 0.6  # of the suspicion of the line that reads it
_WORD = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|\d+")


class LineSuspicion(Model):
    """A line and how suspicious it is (0–1)."""

    file: str
    line: int
    function: str
    score: float


class FunctionScore(Model):
    """A function with its most suspicious line. `reasons` make up `score` (0–1)."""

    file: str
    line: int
    function: str
    first_line: int
    last_line: int
    score: float
    reasons: list[str]


class Suspicion(Model):
    """Functions and lines, the most suspicious first."""

    functions: list[FunctionScore] = Field(default_factory=list)
    lines: list[LineSuspicion] = Field(default_factory=list)


class _Weights:
    """The evidence by line: the strongest weight of each kind, with its reason."""

    def __init__(self) -> None:
        self.of: dict[Place, dict[str, tuple[float, str]]] = defaultdict(dict)

    def add(self, place: Place, kind: str, weight: float, reason: str) -> None:
        known = self.of[place].get(kind)
        if weight > 0 and (known is None or weight > known[0]):
            self.of[place][kind] = (weight, reason)

    def score(self, place: Place) -> float:
        return 1 - math.prod(1 - weight for weight, _ in self.of[place].values())

    def reasons(self, place: Place) -> list[str]:
        ranked = sorted(self.of[place].values(), key=lambda item: (-item[0], item[1]))
        return [reason for _, reason in ranked]


def suspicion(
    failures: Sequence[tuple[str, Failure]],
    span: CodeRange,
    spectrum: Spectrum | None,
    failing: Sequence[int],
    config: DiagnoseConfig,
) -> Suspicion:
    """Score the code behind some failures: (name of the test, its traceback) each.

    `failing` are the numbers of these tests in the spectrum. Tests and vendored files
    are never suspects.
    """
    weights = _Weights()
    if spectrum is not None:
        _from_spectrum(weights, spectrum, failing)
        _from_halts(weights, spectrum, failing)
    _from_tracebacks(weights, failures)
    _from_tests(weights, failures, span, spectrum)
    places = [place for place in weights.of if _is_suspect(place.file, span, config)]
    _from_names(weights, places, failures, span)
    _from_changes(weights, places, span)
    places += _from_constants(weights, places, span, spectrum)
    return _ranked(weights, sorted(set(places)), span)


def _is_suspect(file: str, span: CodeRange, config: DiagnoseConfig) -> bool:
    known = file in span.index.known and file.endswith(".py")
    return known and not is_test(file) and not is_vendored(file, config.vendored)


def _from_spectrum(weights: _Weights, spectrum: Spectrum, failing: Sequence[int]) -> None:
    for place, score in spectrum.scored(failing):
        weights.add(place, "spectrum", OCHIAI * score.ochiai, score.reason)


def _from_halts(weights: _Weights, spectrum: Spectrum, failing: Sequence[int]) -> None:
    names = {spectrum.failing[number] for number in failing}
    for halt in spectrum.halts:
        if halt.test in names:
            reason = f"{halt.test} did not end here"
            weights.add(Place(halt.file, halt.line), "halt", HALTED, reason)


def _from_tracebacks(weights: _Weights, failures: Sequence[tuple[str, Failure]]) -> None:
    for _, failure in failures:
        for depth, frame in enumerate(failure.frames):
            raised = f"{failure.exception_type} rises here: the innermost own frame"
            reason = raised if depth == 0 else f"{depth} calls up the traceback"
            weight = INNERMOST * UPWARDS**depth * (1 if frame.matches else 0.8)
            weights.add(Place(frame.file, frame.line), "traceback", weight, reason)


def _from_tests(
    weights: _Weights,
    failures: Sequence[tuple[str, Failure]],
    span: CodeRange,
    spectrum: Spectrum | None,
) -> None:
    """What a failing assertion's test calls by name; without a spectrum this is all there is of it."""
    ran = {place for place in weights.of if "spectrum" in weights.of[place]}
    for test, failure in failures:
        if failure.frames:
            continue
        for source in failure.sources:
            found = span.index.function_at(source.file, source.line or 1)
            reason = f"{test} calls {source.function}"
            if spectrum is None:
                place = Place(source.file, source.line or 1)
                weights.add(place, "called", 2 * CALLED_BY_TEST, reason)
            if spectrum is None or found is None:
                continue
            for line in range(found.line + 1, found.last_line + 1):
                if (place := Place(source.file, line)) in ran:
                    weights.add(place, "called", CALLED_BY_TEST, reason)


def _from_names(
    weights: _Weights,
    places: Sequence[Place],
    failures: Sequence[tuple[str, Failure]],
    span: CodeRange,
) -> None:
    """Functions named like the tests, and lines that hold a name of the message."""
    tested = {word for test, _ in failures for word in _words(test.partition("[")[0])}
    quoted = {
        name for _, failure in failures for name in re.findall(r"'([A-Za-z_]\w*)'", failure.message)
    }
    lines = {file: text.split("\n") for file, text in span.sources.items()}
    for place in places:
        found = span.index.function_at(*place)
        if found is not None:
            own = _words(found.name)
            share = len(own & tested) / len(own) if own else 0.0
            reason = f"{found.name} is named as the test is"
            weights.add(place, "name", SAME_NAME * share, reason)
        text = lines.get(place.file, [])[place.line - 1 : place.line]
        held = sorted(quoted.intersection(re.findall(r"\w+", text[0]))) if text else []
        if held:
            reason = f"holds {held[0]}, which the message names"
            weights.add(place, "message", NAMED_IN_MESSAGE, reason)


def _words(name: str) -> set[str]:
    """The words of a name, lower case, without ``test`` and what is short."""
    found = {word.lower() for word in _WORD.findall(name.rpartition("/")[2])}
    return {word for word in found if len(word) > 2} - {"test", "tests", "case"}


def _from_changes(weights: _Weights, places: Sequence[Place], span: CodeRange) -> None:
    if not span.compares:
        return
    for place in places:
        sha = span.writer(*place)
        if sha is not None:
            weights.add(
                place, "change", CHANGED, f"written by {sha[:10]} since the earlier release"
            )


def _from_constants(
    weights: _Weights, places: Sequence[Place], span: CodeRange, spectrum: Spectrum | None
) -> list[Place]:
    """Module and class level values that suspicious lines read: no test runs their lines itself."""
    if spectrum is None:
        return []
    assigned = {file: dict(_assigned(text)) for file, text in span.sources.items()}
    lines = {file: text.split("\n") for file, text in span.sources.items()}
    found: list[Place] = []
    for place in places:
        text = "".join(lines.get(place.file, [])[place.line - 1 : place.line])
        for name in sorted(set(re.findall(r"\w+", text))):
            target = _constant(name, place.file, span, assigned)
            if target is None or target == place or "spectrum" in weights.of.get(target, {}):
                continue
            read = f"{name} is read in {place.file}:{place.line}: {weights.reasons(place)[0]}"
            weights.add(target, "constant", READ_CONSTANT * weights.score(place), read)
            found.append(target)
            for builder in _builders(name, span.sources[target.file]):
                line = Place(target.file, builder)
                if "spectrum" not in weights.of.get(line, {}):
                    weights.add(line, "constant", READ_CONSTANT**2 * weights.score(place), read)
                    found.append(line)
    return found


@lru_cache(maxsize=1024)
def _builders(name: str, source: str) -> tuple[int, ...]:
    """The lines of functions that fill a module's value in place, as they do at import."""
    found: set[int] = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.FunctionDef) and changes_of(own_nodes(node), name):
            for statement in node.body:
                found.update(range(statement.lineno, (statement.end_lineno or 0) + 1))
    return tuple(sorted(found))


def _constant(
    name: str, file: str, span: CodeRange, assigned: Mapping[str, Mapping[str, int]]
) -> Place | None:
    """Where a name that a file uses gets its value outside of functions, there or where it is imported from."""
    if name in assigned.get(file, {}):
        return Place(file, assigned[file][name])
    module, _, own = span.index.imports.get(file, {}).get(name, "").rpartition(".")
    if not module:
        return None
    for other, names in assigned.items():
        if own in names and f".{module_of(other)}".endswith(f".{module}"):
            return Place(other, names[own])
    return None


def _assigned(source: str) -> Iterator[tuple[str, int]]:
    """(name, line) of what a module and its classes assign outside of functions."""
    try:
        pending: list[ast.AST] = [ast.parse(source)]
    except (SyntaxError, ValueError, RecursionError):
        return
    while pending:
        for child in ast.iter_child_nodes(pending.pop()):
            if isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef | ast.expr):
                continue
            if isinstance(child, ast.Assign | ast.AnnAssign | ast.AugAssign):
                targets = child.targets if isinstance(child, ast.Assign) else [child.target]
                for target in targets:
                    for node in ast.walk(target):
                        if isinstance(node, ast.Name):
                            yield node.id, child.lineno
            pending.append(child)


def _ranked(weights: _Weights, places: Sequence[Place], span: CodeRange) -> Suspicion:
    lines: list[LineSuspicion] = []
    best: dict[tuple[str, str, int], LineSuspicion] = {}
    for place in places:
        found = span.index.function_at(*place)
        name = found.qualified_name if found else MODULE
        line = LineSuspicion(
            file=place.file, line=place.line, function=name, score=round(weights.score(place), 4)
        )
        lines.append(line)
        # Module-level lines are no unit: each stands for itself.
        key = (place.file, name, 0 if found else place.line)
        if key not in best or line.score > best[key].score:
            best[key] = line
    functions = [_function(line, weights, span) for line in best.values()]
    functions.sort(key=lambda item: (-item.score, item.file, item.line))
    lines.sort(key=lambda item: (-item.score, item.file, item.line))
    return Suspicion(functions=functions, lines=lines)


def _function(line: LineSuspicion, weights: _Weights, span: CodeRange) -> FunctionScore:
    found = span.index.function_at(line.file, line.line)
    return FunctionScore(
        **line.model_dump(),
        first_line=found.first_line if found else line.line,
        last_line=found.last_line if found else line.line,
        reasons=weights.reasons(Place(line.file, line.line)),
    )
