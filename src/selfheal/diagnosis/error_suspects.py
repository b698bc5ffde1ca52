"""How strongly each commit is tied to a failure.

A commit that introduced the failing expression or removed the guard before it stands
above one that changed what feeds it, and that above one that only changed other lines
of the same function.
"""

from __future__ import annotations

import ast
import re

from selfheal.artifacts.diagnosis import SuspectCommit
from selfheal.codebase.changes import MODULE, CommitChange, FunctionChange
from selfheal.codebase.index import dotted
from selfheal.codebase.slices import parse_function, slice_of
from selfheal.diagnosis.failure import Failure
from selfheal.diagnosis.model import CodeRange
from selfheal.diagnosis.suspects import Target, Weight, rank_suspects, touches_module_names

WROTE_LINE = 0.9
NEW_EXPRESSION = 0.9
GUARD_REMOVED = 0.88
SLICE_CHANGED = 0.8
SOURCE_CHANGED = 0.65
CALLER_CHANGED = 0.6
LINE_REWRITTEN = 0.35
UNRELATED = 0.3
LIBRARY_CHANGED = 0.7

# The types whose handler would have caught each exception, beyond itself.
_BROADER = {
    "KeyError": ("LookupError",),
    "IndexError": ("LookupError",),
    "ZeroDivisionError": ("ArithmeticError",),
    "InvalidOperation": ("ArithmeticError",),
    "UnicodeDecodeError": ("ValueError",),
    "JSONDecodeError": ("ValueError",),
}


def error_suspects(failure: Failure, span: CodeRange, limit: int) -> list[SuspectCommit]:
    """The commits of a range that can have caused a failure, most suspect first."""
    targets = [
        Target(file=frame.file, function=frame.function, line=frame.line)
        for frame in failure.frames
    ]
    first = (targets[0].file, targets[0].function) if targets else None
    sources = {(source.file, source.function) for source in failure.sources} - {first}
    targets += failure.sources
    targets += [Target(file=target.file, function=MODULE) for target in targets[:1]]

    def judge(change: CommitChange, touched: FunctionChange, target: Target) -> Weight:
        place = (target.file, target.function)
        if place == first:
            return _failing_function(change, touched, failure, span)
        if target.function == MODULE:
            return _module(touched, failure)
        if place in sources:
            return _value_source(touched, failure)
        return _caller(touched, failure, target)

    return rank_suspects(span, targets, judge, limit)


def _failing_function(
    change: CommitChange, touched: FunctionChange, failure: Failure, span: CodeRange
) -> Weight:
    """Weigh a change of the function that raised."""
    frame, expression = failure.frames[0], failure.expression
    name = frame.function
    if expression is None:
        wrote = span.writer(frame.file, frame.line) == change.sha
        return Weight(score=WROTE_LINE if wrote else SLICE_CHANGED, reason=f"changes {name}")
    lines = range(expression.line, expression.last_line + 1)
    shown = shorten(expression.text)
    if _dropped_handler(touched, failure.exception_type):
        return Weight(
            score=GUARD_REMOVED,
            reason=f"removes the handling of {failure.exception_type} in {name}",
        )
    if touched.kind == "added":
        return Weight(score=NEW_EXPRESSION, reason=f"adds {name} with {shown}")
    if not _contains(touched.before, expression.text) and _contains(touched.after, expression.text):
        return Weight(score=NEW_EXPRESSION, reason=f"introduces {shown} in {name}")
    before = slice_of(touched.before, expression.names)
    after = slice_of(touched.after, expression.names)
    if before is None or after is None:
        return Weight(score=SLICE_CHANGED, reason=f"changes {name}")
    gone = [test for test in before.conditions if test not in after.conditions]
    if gone:
        reason = f"removes the test {shorten(gone[0])} on which {shown} in {name} relied"
        return Weight(score=GUARD_REMOVED, reason=reason)
    if before.definitions != after.definitions:
        reason = f"changes what {shown} in {name} is computed from"
        return Weight(score=SLICE_CHANGED, reason=reason)
    if any(span.writer(frame.file, line) == change.sha for line in lines):
        # What fails there stood there before, and is computed from the same.
        return Weight(score=LINE_REWRITTEN, reason=f"rewrote the failing line of {name}")
    return Weight(score=UNRELATED, reason=f"changes other lines of {name}")


def _dropped_handler(touched: FunctionChange, exception_type: str) -> bool:
    """Whether a change took away an except clause that would have caught the exception."""
    before, after = slice_of(touched.before, ()), slice_of(touched.after, ())
    if before is None or after is None:
        return False
    name = exception_type.rpartition(".")[2]
    catching = {name, *_BROADER.get(name, ()), "Exception", "BaseException"}

    def catches(handlers: list[str]) -> int:
        return sum(not catching.isdisjoint(re.findall(r"\w+", item)) for item in handlers)

    return catches(before.handlers) > catches(after.handlers)


def _contains(source: str, expression: str) -> bool:
    """Whether a function holds an expression, however it is laid out."""
    function = parse_function(source)
    if function is None:
        return False
    return any(
        ast.unparse(node).split("\n")[0].rstrip(":") == expression
        for node in ast.walk(function)
        if isinstance(node, ast.expr | ast.stmt | ast.comprehension)
    )


def _value_source(touched: FunctionChange, failure: Failure) -> Weight:
    """Weigh a change of a function whose result reaches the failure."""
    if failure.test is not None:
        reason = f"changes {touched.function}, which {failure.test.function} tests"
    else:
        reason = f"changes {touched.function}, whose result reaches the failing expression"
    return Weight(score=SOURCE_CHANGED, reason=reason)


def _module(touched: FunctionChange, failure: Failure) -> Weight:
    used = failure.slice.names if failure.slice else []
    if touches_module_names(touched, used):
        names = ", ".join(sorted(set(touched.names) & set(used)))
        return Weight(score=SOURCE_CHANGED, reason=f"changes {names}, which the failing code reads")
    return Weight(score=0.0, reason="")


def _caller(touched: FunctionChange, failure: Failure, target: Target) -> Weight:
    """Weigh a change of a function up the call chain: it counts if it changed what it passes down."""
    inner = [frame.function for frame in failure.frames]
    position = next(
        (place for place, frame in enumerate(failure.frames) if frame.function == target.function),
        len(inner),
    )
    callee = inner[position - 1].rpartition(".")[2] if position else ""
    if _calls_to(touched.before, callee) != _calls_to(touched.after, callee):
        reason = f"changes what {target.function} passes to {callee}"
        return Weight(score=CALLER_CHANGED, reason=reason)
    return Weight(score=UNRELATED, reason=f"changes {target.function}, which leads to the failure")


def _calls_to(source: str, name: str) -> list[object]:
    """The calls of a function by name, with the slices of what is passed."""
    function = parse_function(source)
    if function is None:
        return []
    calls = [
        node
        for node in ast.walk(function)
        if isinstance(node, ast.Call) and dotted(node.func).rpartition(".")[2] == name
    ]
    passed = {
        found.id
        for call in calls
        for argument in [*call.args, *(keyword.value for keyword in call.keywords)]
        for found in ast.walk(argument)
        if isinstance(found, ast.Name)
    }
    return [*(ast.unparse(call) for call in calls), slice_of(source, passed)]


def dependency_suspects(failure: Failure, span: CodeRange) -> list[SuspectCommit]:
    """The commits that changed the required version of the library in which the exception rose."""
    if failure.library in (None, "stdlib"):
        return []
    wanted = re.sub(r"[-_.]+", "-", str(failure.library)).lower()
    return [
        SuspectCommit(
            sha=change.sha,
            score=LIBRARY_CHANGED,
            reason=f"changes the required version of {wanted}, in which the exception rose",
            summary=change.summary,
            author=change.author,
            files=change.files,
        )
        for change in span.changes
        if wanted in change.requirements
    ]


def shorten(text: str, width: int = 80) -> str:
    """One line of at most `width` characters."""
    flat = " ".join(text.split())
    return flat if len(flat) <= width else f"{flat[: width - 1]}…"
