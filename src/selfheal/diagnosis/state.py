"""Why a step changes state that it should not: its code, shapes that let state leak, commits.

Telemetry says which step changed which key; the syntax tree says where the code of the
step keeps or shares state (`selfheal.codebase.state_patterns`). A shape that is about the
key, or that a commit of the range brought, weighs most.
"""

from __future__ import annotations

import re

from selfheal.artifacts.anomalies import Anomaly
from selfheal.artifacts.dataset import Dataset
from selfheal.artifacts.diagnosis import Location, SuspectCommit, Verdict
from selfheal.artifacts.model import Model
from selfheal.codebase.changes import CommitChange, FunctionChange
from selfheal.codebase.index import Definition
from selfheal.codebase.state_patterns import StatePattern, find_state_patterns
from selfheal.config import DiagnoseConfig
from selfheal.diagnosis.behavior import step_code
from selfheal.diagnosis.model import Cause, CodeRange
from selfheal.diagnosis.suspects import Target, Weight, change_size, rank_suspects

PATTERN_ADDED = 0.85
KEY_ADDED = 0.8
STEP_CHANGED = 0.5
BASE, OF_STEP, PATTERN, ABOUT_KEY, NEW = 0.2, 0.2, 0.25, 0.2, 0.15


class LeakingCode(Model):
    """A function that the step runs, with the shapes in it that let state outlive a call."""

    file: str
    function: str
    line: int
    of_step: bool
    patterns: list[StatePattern]
    new: bool

    def score(self, words: set[str]) -> float:
        """The suspicion (0–1) of the function, for a key made of some words."""
        score = BASE + OF_STEP * self.of_step
        if self.patterns:
            about = any(_words(pattern.name) & words for pattern in self.patterns)
            score += PATTERN + ABOUT_KEY * about + NEW * self.new
        return round(score, 4)


def explain_state(
    anomaly: Anomaly, span: CodeRange, dataset: Dataset, config: DiagnoseConfig
) -> Cause:
    """The cause of a key that a step changes now, or of a relation between keys that broke."""
    step = str(anomaly.evidence.get("step") or anomaly.operation)
    key = str(anomaly.evidence.get("key", ""))
    words = _words(key)
    callers, steps = step_code(anomaly, step, span, dataset)
    code = [_leaking(item, item in steps, span) for item in _reached(span, steps, callers)]
    code.sort(key=lambda item: (-item.score(words), item.file, item.line))
    suspects = _suspects(span, code, key, config.max_suspects)
    verdict, reason = _verdict(span, code, suspects, config)
    shapes = [
        pattern.model_dump(mode="json") | {"file": item.file, "function": item.function}
        for item in code
        for pattern in item.patterns
    ]
    return Cause(
        anomaly_ids=[anomaly.id],
        kind="state",
        service=anomaly.service,
        operation=anomaly.operation,
        title=anomaly.title,
        verdict=verdict,
        reason=reason,
        locations=[_location(item, words) for item in code[: config.max_locations]],
        suspect_commits=suspects,
        root_service=anomaly.service,
        good_commit=span.good,
        bad_commit=span.bad,
        evidence={
            "key": key,
            "step": step,
            "trace_ids": [str(trace) for trace in anomaly.evidence.get("trace_ids") or []],
            "state_patterns": shapes,
            **({"state_pattern": shapes[0]["kind"]} if shapes else {}),
            **({"change": change_size(span, suspects)} if suspects else {}),
        },
    )


def _reached(
    span: CodeRange, steps: list[Definition], callers: list[Definition]
) -> list[Definition]:
    """The step, what it calls, and what calls it."""
    found = [*steps, *(called for step in steps for called in span.index.callees(step)), *callers]
    unique = {(item.file, item.qualified_name): item for item in reversed(found)}
    return [item for item in reversed(unique.values()) if item.kind != "class"]


def _leaking(item: Definition, of_step: bool, span: CodeRange) -> LeakingCode:
    source = span.sources.get(item.file, "")
    patterns = find_state_patterns(source, item.qualified_name)
    earlier = find_state_patterns(span.good_sources.get(item.file, ""), item.qualified_name)
    known = {(pattern.kind, pattern.name) for pattern in earlier}
    new = [pattern for pattern in patterns if (pattern.kind, pattern.name) not in known]
    return LeakingCode(
        file=item.file,
        function=item.qualified_name,
        line=item.line,
        of_step=of_step,
        patterns=[*new, *(pattern for pattern in patterns if pattern not in new)],
        new=span.compares and bool(new),
    )


def _suspects(
    span: CodeRange, code: list[LeakingCode], key: str, limit: int
) -> list[SuspectCommit]:
    name = re.split(r"[.\[/:]", key)[-1].strip("]'\"")

    def judge(_: CommitChange, touched: FunctionChange, target: Target) -> Weight:
        added = _shapes(touched.after) - _shapes(touched.before)
        if added:
            kind, about = min(added)
            reason = f"brings {kind} of {about} into {target.function}"
            return Weight(score=PATTERN_ADDED, reason=reason)
        if name and touched.after.count(name) > touched.before.count(name):
            reason = f"makes {target.function} touch {name}"
            return Weight(score=KEY_ADDED, reason=reason)
        return Weight(score=STEP_CHANGED, reason=f"changes {target.function}, which the step runs")

    targets = [Target(file=item.file, function=item.function, line=item.line) for item in code]
    return rank_suspects(span, targets, judge, limit)


def _shapes(source: str) -> set[tuple[str, str]]:
    return {(pattern.kind, pattern.name) for pattern in find_state_patterns(source)}


def _verdict(
    span: CodeRange,
    code: list[LeakingCode],
    suspects: list[SuspectCommit],
    config: DiagnoseConfig,
) -> tuple[Verdict, str]:
    if span.bad is None:
        return "insufficient_data", f"{'; '.join(span.gaps)}."
    if not code:
        return (
            "insufficient_data",
            "neither the step's spans nor its name lead to code; code.function.name would.",
        )
    best = suspects[0] if suspects else None
    if best and best.score >= config.minimum_score:
        return "code_cause", f"{best.sha[:10]} {best.reason}."
    shape = next((item for item in code if item.patterns), None)
    if shape is not None and (shape.new or not span.compares):
        return "code_cause", f"{shape.patterns[0].explanation}."
    if span.good is None and span.pair.baseline is not None:
        return "insufficient_data", f"{'; '.join(span.gaps)}."
    if not span.compares:
        return "no_code_cause", "the code of the step shows no way to keep or share state."
    return "no_code_cause", "no commit between the releases changes what the step runs."


def _location(item: LeakingCode, words: set[str]) -> Location:
    reasons = ["is the step" if item.of_step else "runs with the step"]
    reasons += [pattern.explanation for pattern in item.patterns]
    line = item.patterns[0].line if item.patterns else item.line
    return Location(
        file=item.file,
        line=line,
        function=item.function,
        score=min(item.score(words), 0.97),
        reasons=reasons,
    )


def _words(name: str) -> set[str]:
    return {word.lower() for word in re.findall(r"[A-Z]?[a-z]+|[A-Z]+|\d+", name) if len(word) > 2}
