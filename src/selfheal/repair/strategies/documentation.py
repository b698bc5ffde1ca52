"""Operations, parameters and flags in documents are written as production and code have them."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from difflib import SequenceMatcher

from selfheal.analysis.promises import ANY, alike, parts
from selfheal.artifacts.model import AnomalyKind
from selfheal.repair.documents import (
    Line,
    Mention,
    documents,
    entry_like,
    in_style_of,
    lines,
    mentions,
    near,
    removed,
)
from selfheal.repair.edit import Edit, Splice
from selfheal.repair.problem import Problem
from selfheal.repair.routes import Route, routes
from selfheal.repair.strategies.base import Strategy

OPERATION, PARAMETER, FLAG = "document_operation", "document_parameter", "document_flag"
KINDS: frozenset[AnomalyKind] = frozenset({"documentation"})
# Paths or flags of which less is the same are different things.
SIMILAR = 0.6
_MARKER = re.compile(r"<!-- /selfheal:operations -->")
_FLAG = re.compile(r"[\"'](--[a-z][a-z0-9]*(?:-[a-z0-9]+)*)[\"']")


def _asked(problem: Problem, *contradictions: str) -> bool:
    return problem.diagnosis.evidence.get("contradiction") in contradictions


def _mentions(problem: Problem) -> list[Mention]:
    found = documents(problem.sources)
    return [each for path in sorted(found) for each in mentions(path, found[path])]


def propose_operation(problem: Problem) -> Iterator[Edit]:
    """An operation that is gone is renamed or taken out; one that is missing is entered."""
    method, _, path = str(problem.diagnosis.evidence.get("name") or "").partition(" ")
    if not path.startswith("/"):
        return
    if _asked(problem, "operation not shown"):
        gone = [each for each in _mentions(problem) if (each.method, parts(each.path)) == (method, parts(path))]  # fmt: skip
        yield from _renamed(problem, method, path, gone)
        yield from _taken_out(problem, f"{method} {path}", gone)
    elif _asked(problem, "operation not documented"):
        yield from _entered(problem, method, path)


def _renamed(problem: Problem, method: str, path: str, gone: Sequence[Mention]) -> Iterator[Edit]:
    """The document names the path that the operation has now."""
    told = _mentions(problem)
    for route, fit in _successors(problem, method, path, told):
        new = in_style_of(route.path, [each.path for each in gone])
        splices = [
            each.line.splice(each.start, each.start + _written(each), f"{method} {new}")
            for each in gone
        ]
        if splices:
            yield _edit(
                OPERATION,
                "rename",
                f"`{method} {path}` is `{method} {new}` now ({route.function}, {route.file}).",
                fit,
                splices,
                {"from": f"{method} {path}", "to": f"{method} {new}"},
            )


def _written(mention: Mention) -> int:
    """The length of method and path, without the query."""
    text = mention.line.text[mention.start : mention.stop]
    return len(text.partition("?")[0])


def _successors(
    problem: Problem, method: str, path: str, told: Sequence[Mention]
) -> Iterator[tuple[Route, float]]:
    """Routes that no document names: that of the function which served the path, then a like one."""
    fresh = [
        route
        for route in routes(problem.sources)
        if route.method == method
        and not any(each.method == method and alike(parts(each.path), parts(route.path)) for each in told)
    ]  # fmt: skip
    before = {
        (route.file, route.function)
        for route in routes(problem.good_sources)
        if route.method == method and alike(parts(route.path), parts(path))
    }
    for route in fresh:
        if (route.file, route.function) in before:
            yield route, 0.98
        elif (likeness := SequenceMatcher(None, path, route.path).ratio()) >= SIMILAR:
            yield route, round(0.8 * likeness, 6)


def _taken_out(problem: Problem, name: str, gone: Sequence[Mention]) -> Iterator[Edit]:
    """Entries about what is gone; where a sentence names it as well, people have to say what holds."""
    if not gone or not all(each.is_entry for each in gone):
        return
    splices = {each.line: removed(each.line, problem.sources[each.line.path]) for each in gone}
    yield _edit(
        OPERATION,
        "remove",
        f"`{name}` is no more: its {'entry is' if len(splices) == 1 else 'entries are'} taken out.",
        0.85,
        list(splices.values()),
        {"from": name},
    )


def _entered(problem: Problem, method: str, path: str) -> Iterator[Edit]:
    """An entry beside those of like paths, with what the function says of itself."""
    route = next(
        (
            each
            for each in routes(problem.sources)
            if each.method == method and _ends(parts(path), parts(each.path))
        ),
        None,
    )
    told = route.told if route else ""
    for file, text in sorted(documents(problem.sources).items()):
        entries = [each for each in mentions(file, text) if each.is_entry]
        if not entries:
            continue
        beside = near(path, entries)
        name = f"{method} {in_style_of(path, [each.path for each in entries])}"
        newline = "\r\n" if "\r\n" in text else "\n"
        written = entry_like(beside, name, told)
        at = beside.line.stop
        splice = Splice(path=file, start=at, stop=at, text=f"{newline}{written}")
        fit = 0.95 if file == problem.diagnosis.evidence.get("file") else 0.8
        yield _edit(
            OPERATION, "enter", f"{file} names `{name}`.", fit, [splice], {"to": f"{method} {path}"}
        )
    yield from _sectioned(problem, f"{method} {path}", told)


def _ends(path: tuple[str, ...], end: tuple[str, ...]) -> bool:
    """Code may mount a route below a prefix."""
    tail = path[len(path) - len(end) :]
    return len(end) <= len(path) and alike(tail, end) and (not end or any(p != ANY for p in end))


def _sectioned(problem: Problem, name: str, told: str) -> Iterator[Edit]:
    """A list between markers, for a document that has no entries to go by."""
    file = str(problem.diagnosis.evidence.get("file") or "")
    text = problem.sources.get(file)
    if text is None or not file.endswith((".md", ".markdown")):
        return
    newline = "\r\n" if "\r\n" in text else "\n"
    entry = f"- `{name}`{f' — {told}' if told else ''}{newline}"
    end = _MARKER.search(text)
    if end is not None:
        splice = Splice(path=file, start=end.start(), stop=end.start(), text=entry)
    else:
        gap = "" if text.endswith(newline * 2) else newline if text.endswith("\n") else newline * 2
        block = (
            f"<!-- selfheal:operations -->{newline}{entry}<!-- /selfheal:operations -->{newline}"
        )
        splice = Splice(
            path=file, start=len(text), stop=len(text),
            text=f"{gap}## Operations{newline}{newline}{block}",
        )  # fmt: skip
    yield _edit(OPERATION, "section", f"{file} names `{name}`.", 0.5, [splice], {"to": name})


def propose_parameter(problem: Problem) -> Iterator[Edit]:
    """The query of an operation names a parameter that production is sent."""
    if not _asked(problem, "parameter not documented"):
        return
    name = str(problem.diagnosis.evidence.get("name") or "")
    method, _, path = problem.diagnosis.operation.partition(" ")
    known = [
        each
        for each in _mentions(problem)
        if each.method == method and alike(parts(each.path), parts(path))
    ]
    if not known or not re.fullmatch(r"[\w.-]+", name):
        return
    best = next((each for each in known if "?" in each.path), None) or next(
        (each for each in known if each.is_entry), known[0]
    )
    query = best.path.partition("?")[2]
    value = "…" if "…" in query else f"<{name}>" if "<" in best.path else f"{{{name}}}"
    mark = "&" if query else "" if best.path.endswith("?") else "?"
    splice = best.line.splice(best.stop, best.stop, f"{mark}{name}={value}")
    yield _edit(
        PARAMETER,
        "query",
        f"{best.line.path}:{best.line.number} names the parameter `{name}`.",
        0.9,
        [splice],
        {"operation": problem.diagnosis.operation, "name": name},
    )


def propose_flag(problem: Problem) -> Iterator[Edit]:
    """A flag that the code does not know gets the name that it has now, or goes."""
    if not _asked(problem, "flag not in code"):
        return
    gone = str(problem.diagnosis.evidence.get("name") or "")
    now, before = _flags(problem.sources), _flags(problem.good_sources)
    exact = re.compile(rf"(?<![\w-]){re.escape(gone)}(?![\w-])")
    places = [
        (line, found)
        for path, text in sorted(documents(problem.sources).items())
        for line in lines(path, text)
        for found in exact.finditer(line.text)
    ]
    if not places:
        return
    for flag in sorted(now):
        likeness = SequenceMatcher(None, gone, flag).ratio()
        fresh = bool(before) and flag not in before
        if likeness >= SIMILAR or fresh:
            fit = 0.95 if likeness >= SIMILAR and fresh else 0.7 * likeness
            splices = [line.splice(found.start(), found.end(), flag) for line, found in places]
            told = {"from": gone, "to": flag}
            yield _edit(FLAG, "rename", f"`{gone}` is `{flag}` now.", round(fit, 6), splices, told)
    taken = [_without_flag(problem, line, found) for line, found in places]
    if all(each is not None for each in taken):
        kept = {each.start: each for each in taken if each is not None}
        told = {"from": gone}
        yield _edit(FLAG, "remove", f"`{gone}` is no more.", 0.6, list(kept.values()), told)


def _flags(sources: dict[str, str]) -> set[str]:
    return {
        flag
        for path, text in sources.items()
        if path.endswith(".py")
        for flag in _FLAG.findall(text)
    }


def _without_flag(problem: Problem, line: Line, found: re.Match[str]) -> Splice | None:
    """An entry goes as a whole; in a command the flag alone, and where it surely has one, its value."""
    if line.begins_with(found.start()):
        return removed(line, problem.sources[line.path])
    after = re.match(r"(?:=\S+|\s+(?![-`|\\])[^\s`]+)?", line.text[found.end() :])
    value = after[0] if after else ""
    if value and not value.startswith("=") and not _takes_value(problem, found[0]):
        return None
    start = found.start() - (line.text[: found.start()][-1:] == " ")
    return line.splice(start, found.end() + len(value), "")


def _takes_value(problem: Problem, flag: str) -> bool:
    """Whether the good release's flag was declared, and not as a switch."""
    declared = [
        text[found.start() : found.start() + 200].partition(")")[0]
        for path, text in sorted(problem.good_sources.items())
        if path.endswith(".py")
        for found in re.finditer(rf"[\"']{re.escape(flag)}[\"']", text)
    ]
    return bool(declared) and not any(
        word in each for each in declared for word in ("store_true", "store_false", "is_flag")
    )


def _edit(
    strategy: str,
    template: str,
    explanation: str,
    fit: float,
    splices: list[Splice],
    parameters: dict[str, str],
) -> Edit:
    return Edit(
        strategy=strategy,
        template=template,
        explanation=explanation,
        fit=fit,
        parameters=parameters,
        splices=splices,
    )


STRATEGIES = (
    Strategy(OPERATION, KINDS, propose_operation),
    Strategy(PARAMETER, KINDS, propose_parameter),
    Strategy(FLAG, KINDS, propose_flag),
)
