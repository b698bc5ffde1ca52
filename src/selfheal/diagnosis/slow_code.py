"""Which function makes an operation slow: changed code and slow shapes near the span."""

from __future__ import annotations

import ast
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence

from selfheal.artifacts.diagnosis import Location, SuspectCommit
from selfheal.artifacts.model import Model
from selfheal.codebase.changes import MODULE, CommitChange, FunctionChange
from selfheal.codebase.index import CodeIndex, Definition, dotted
from selfheal.codebase.slices import parse_function
from selfheal.codebase.slow_patterns import (
    COMPREHENSIONS,
    LOOPS,
    PATTERN_ORDER,
    SlowPattern,
    query_functions,
    query_helpers,
    slow_patterns,
)
from selfheal.diagnosis.model import CodeRange
from selfheal.diagnosis.suspects import (
    Target,
    Weight,
    changed_line,
    rank_suspects,
    touches_module_names,
)

DEPTH = 4
INTRODUCES = 0.9
MEASURED_TOO = 0.95
HELPER = 0.75
CHANGED = 0.6
PER_CALL = 0.06
PATTERN_REMOVED = 0.2
MODULE_VALUE = 0.5
BESIDE_THE_PATTERN = 0.6


class Suspicion(Model):
    """A function on the slow path: how far from the span's, its slow shapes, what is new in them."""

    file: str
    function: str
    line: int
    last_line: int
    distance: int
    patterns: list[SlowPattern]
    new_patterns: list[SlowPattern]
    changed_by: list[str]

    def at(self, location: Location) -> bool:
        return (self.file, self.function) == (location.file, location.function)

    @property
    def target(self) -> Target:
        line = self.new_patterns[0].line if self.new_patterns else None
        return Target(file=self.file, function=self.function, line=line)


def suspicions(
    span: CodeRange, start: Sequence[Definition], cleared: Iterable[str]
) -> list[Suspicion]:
    """The functions that a slow span's function reaches, with what speaks against each.

    `cleared` names functions with spans of their own that did not slow down: they and
    what only they call are left out.
    """
    reached = _reach(span.index, start, cleared)
    good = CodeIndex.of(span.good_sources)
    asking, asked = query_functions(span.index), query_functions(good)
    found = []
    for definition, distance in reached:
        helpers = query_helpers(span.index, definition, asking)
        patterns = slow_patterns(
            span.sources.get(definition.file, ""), definition.qualified_name, helpers
        )
        old = _old_patterns(span, good, definition, asked)
        found.append(
            Suspicion(
                file=definition.file,
                function=definition.qualified_name,
                line=definition.line,
                last_line=definition.last_line,
                distance=distance,
                patterns=patterns,
                new_patterns=_new(patterns, old),
                changed_by=[
                    change.sha
                    for change in span.changes
                    if any(change.of(definition.file, definition.qualified_name))
                ],
            )
        )
    return found


def rank_slow_commits(
    span: CodeRange,
    suspected: Sequence[Suspicion],
    *,
    asks_more: bool,
    limit: int,
    repeated: Sequence[str] = (),
) -> list[SuspectCommit]:
    """The commits that can have made the path slow, most suspect first.

    `repeated` names the functions that traces show to be called more often than before.
    """
    by_place = {(item.file, item.function): item for item in suspected}
    helpers = {
        pattern.callee: item
        for item in suspected
        for pattern in item.new_patterns
        if pattern.callee
    }
    any_new = any(item.new_patterns for item in suspected)

    def judge(_: CommitChange, touched: FunctionChange, target: Target) -> Weight:
        if target.function == MODULE:
            return _module(touched, suspected, span)
        item = by_place[target.file, target.function]
        introduced = _introduced(touched, item)
        if introduced:
            measured = asks_more and introduced.name == "queries_in_loop"
            score = MEASURED_TOO if measured else INTRODUCES
            reason = f"introduces {introduced.name} in {item.function} ({introduced.detail})"
            return Weight(score=score, reason=reason)
        oftener = _called_oftener(touched, repeated)
        if oftener is not None:
            reason = f"makes {item.function} call {oftener} more often, as the traces show"
            return Weight(score=INTRODUCES, reason=reason)
        caller = helpers.get(item.function)
        if caller is not None:
            reason = f"changes {item.function}, which {caller.function} calls in a loop"
            return Weight(score=HELPER, reason=reason)
        score = CHANGED - PER_CALL * item.distance
        if any_new and not item.new_patterns:
            score *= BESIDE_THE_PATTERN
        elif any_new:
            score -= 0.1
        return Weight(score=max(score, 0.1), reason=f"changes {item.function} on the slow path")

    targets = [item.target for item in suspected]
    targets += [Target(file=file, function=MODULE) for file in sorted({i.file for i in suspected})]
    return rank_suspects(span, targets, judge, limit)


def _called_oftener(touched: FunctionChange, names: Sequence[str]) -> str | None:
    """The first of some functions that a change calls in a loop, or at more places, and did not before."""
    before, after = _calls(touched.before), _calls(touched.after)
    for name in names:
        if after[name] > before[name] or after[f"{name} in a loop"] > before[f"{name} in a loop"]:
            return name
    return None


def _calls(source: str) -> Counter[str]:
    """How many calls of each name a function has, those in loops and comprehensions also as such."""
    found: Counter[str] = Counter()
    function = parse_function(source)
    pending: list[tuple[ast.AST, bool]] = [(function, False)] if function else []
    while pending:
        node, in_loop = pending.pop()
        if isinstance(node, ast.Call):
            name = dotted(node.func).rpartition(".")[2]
            found[name] += 1
            found[f"{name} in a loop"] += in_loop
        inside = in_loop or isinstance(node, LOOPS + COMPREHENSIONS)
        pending += [(child, inside) for child in ast.iter_child_nodes(node)]
    return found


def rank_slow_places(
    span: CodeRange,
    suspected: Sequence[Suspicion],
    suspects: Sequence[SuspectCommit],
    *,
    asks_more: bool,
    limit: int,
) -> list[Location]:
    """The functions on the slow path, most suspect first, at the line of the shape or the change."""
    found = [_location(span, item, suspects, asks_more) for item in suspected]
    found.sort(key=lambda item: (-item.score, item.file, item.line))
    return found[:limit]


def preferred(patterns: Iterable[SlowPattern]) -> list[SlowPattern]:
    """Slow shapes, the costliest kind first."""
    return sorted(patterns, key=lambda item: (PATTERN_ORDER.index(item.name), item.line))


def _reach(
    index: CodeIndex, start: Sequence[Definition], cleared: Iterable[str]
) -> list[tuple[Definition, int]]:
    spared = {
        (found.file, found.qualified_name) for name in cleared for found in index.find(name)[:1]
    }
    spared -= {(found.file, found.qualified_name) for found in start}
    seen: dict[tuple[str, str], tuple[Definition, int]] = {}
    front = list(start)
    for distance in range(DEPTH + 1):
        following: list[Definition] = []
        for definition in front:
            place = (definition.file, definition.qualified_name)
            if place in seen or place in spared or definition.kind == "class":
                continue
            seen[place] = (definition, distance)
            following += index.callees(definition)
        front = following
    return list(seen.values())


def _old_patterns(
    span: CodeRange, good: CodeIndex, definition: Definition, asked: set[tuple[str, str]]
) -> list[SlowPattern]:
    """The shapes of a function at the good commit, under the name that it had there."""
    name = _old_name(span, definition)
    same = [found for found in good.find(name, definition.file) if found.qualified_name == name]
    if not same:
        return []
    helpers = query_helpers(good, same[0], asked)
    return slow_patterns(span.good_sources.get(definition.file, ""), name, helpers)


def _old_name(span: CodeRange, definition: Definition) -> str:
    """A function's name before the renames of the range, as far as its source shows it."""
    for change in reversed(span.changes):
        for touched in change.functions:
            place = (touched.file, touched.function)
            if place == (definition.file, definition.qualified_name) and touched.before:
                old = CodeIndex.of({definition.file: touched.before}).definitions
                if old:
                    owner = definition.qualified_name.rpartition(".")[0]
                    return f"{owner}.{old[0].name}" if owner else old[0].name
    return definition.qualified_name


def _new(patterns: Sequence[SlowPattern], old: Sequence[SlowPattern]) -> list[SlowPattern]:
    """The shapes that the good commit did not have, by their text, or by their number of a kind."""
    known = {(item.name, item.detail) for item in old}
    fresh = [item for item in patterns if (item.name, item.detail) not in known]
    found = []
    for name in PATTERN_ORDER:
        more = sum(item.name == name for item in patterns) - sum(item.name == name for item in old)
        if more > 0:
            found += [item for item in fresh if item.name == name]
    return preferred(found)


def _introduced(touched: FunctionChange, item: Suspicion) -> SlowPattern | None:
    """The new shape of a function that this very change brought."""
    helpers = {
        pattern.detail.partition(": ")[2].partition("(")[0]: pattern.callee
        for pattern in item.new_patterns
        if pattern.callee
    }
    before = _snippet_patterns(touched.before, helpers)
    after = _snippet_patterns(touched.after, helpers)
    for pattern in item.new_patterns:
        kinds = [sum(found.name == pattern.name for found in side) for side in (after, before)]
        if kinds[0] > kinds[1]:
            return pattern
    return None


def _snippet_patterns(source: str, helpers: Mapping[str, str | None]) -> list[SlowPattern]:
    definitions = CodeIndex.of({"snippet.py": source}).definitions if source else []
    known = {name: callee for name, callee in helpers.items() if callee}
    return slow_patterns(source, definitions[0].qualified_name, known) if definitions else []


def _module(touched: FunctionChange, suspected: Sequence[Suspicion], span: CodeRange) -> Weight:
    for item in suspected:
        lines = span.sources.get(item.file, "").split("\n")[item.line - 1 : item.last_line]
        text = "\n".join(lines)
        used = [name for name in touched.names if item.file == touched.file and name in text]
        if touches_module_names(touched, used):
            reason = f"changes {', '.join(used)}, which {item.function} reads"
            return Weight(score=MODULE_VALUE, reason=reason)
    return Weight(score=0.0, reason="")


def _location(
    span: CodeRange, item: Suspicion, suspects: Sequence[SuspectCommit], asks_more: bool
) -> Location:
    score, reasons = 0.2 / (1 + item.distance), []
    reasons.append(
        "the slow span's function"
        if item.distance == 0
        else f"{item.distance} calls below the span"
    )
    best = suspects[0].sha if suspects else None
    if best in item.changed_by:
        score += 0.25
        reasons.append(f"changed by {str(best)[:10]}")
    elif item.changed_by:
        score += 0.1
        reasons.append("changed between the releases")
    if item.new_patterns:
        pattern = item.new_patterns[0]
        score += 0.4
        reasons.append(f"new {pattern.name}: {pattern.detail}")
        if asks_more and pattern.name == "queries_in_loop":
            score += 0.15
            reasons.append("its spans run more statements than before")
    line = item.line
    if item.new_patterns:
        line = item.new_patterns[0].line
    elif best in item.changed_by:
        line = changed_line(span, str(best), item.file, item.line, item.last_line) or line
    return Location(
        file=item.file,
        line=line,
        function=item.function,
        score=round(min(score, 1.0), 4),
        reasons=reasons,
    )
