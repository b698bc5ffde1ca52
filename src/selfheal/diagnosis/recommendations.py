"""Which kinds of fix to try for a cause, by its facts; names are those of `selfheal.repair`."""

from __future__ import annotations

from collections.abc import Iterator

from selfheal.artifacts.diagnosis import Diagnosis, Recommendation
from selfheal.diagnosis.model import Assessed, Cause

_BY_PATTERN = {
    "queries_in_loop": ("batch_queries", "one query for all turns of the loop"),
    "nested_loops": ("index_join", "an index by key in place of the inner loop"),
    "membership_in_list": ("membership_set", "a set answers membership in constant time"),
    "repeated_call": ("hoist_call", "the call gives the same for every turn"),
    "sort_in_loop": ("hoist_call", "sorting once is enough"),
    "compile_in_loop": ("compile_once", "compiling once is enough"),
    "repeated_recursion": ("cache_pure", "each result is computed once"),
    "unlimited_query": ("limit_query", "the database gives only the rows that are used"),
    "list_shifting": ("build_list", "nothing is moved at the front of a list"),
    "list_copying": ("build_list", "the list grows in place"),
    "string_building": ("join_strings", "the text is put together once"),
    "aggregate_in_loop": ("running_total", "the sum goes along"),
    "sort_for_few": ("sort_few", "a few elements need no sorting of all"),
    "eager_evaluation": ("lazy_evaluation", "only what is asked for is computed"),
    "repeated_chain": ("hoist_chain", "a chain of look-ups gives the same for every turn"),
    "blocking_call": ("async_call", "the event loop runs on meanwhile"),
}
_BY_STATE = {
    "mutable_default": ("fresh_default", "each call makes its own default"),
    "shared_class_attribute": ("instance_attribute", "each instance has its own"),
    "module_global": ("local_state", "no request sees what another left"),
    "argument_changed": ("copy_before_change", "the caller keeps what it passed"),
    "missing_copy": ("copy_before_change", "nobody else holds the same object"),
    "growing_cache": ("bound_cache", "the oldest entries go"),
    "unclosed_resource": ("close_resource", "closed on every way out"),
    "listener_kept": ("remove_listener", "removed where it was added"),
    "setting_kept": ("restore_setting", "set back afterwards"),
}
_BY_EXCEPTION = {
    "KeyError": ("default_value", "a default for the missing key"),
    "IndexError": ("guard_index", "a test that the item is there"),
    "ZeroDivisionError": ("guard_zero_division", "a test of the divisor"),
    "DivisionByZero": ("guard_zero_division", "a test of the divisor"),
    "StatisticsError": ("guard_index", "a test that there is data"),
    "StopIteration": ("guard_index", "a default for the empty iterator"),
    "ValueError": ("guard_conversion", "a test of what is converted"),
    "InvalidOperation": ("guard_conversion", "a test of what is converted"),
    "UnicodeDecodeError": ("guard_conversion", "a test of what is decoded"),
    "JSONDecodeError": ("guard_conversion", "a test of what is decoded"),
}
_BY_DEPENDENCY = {
    "missing": ("require", "a manifest names what the code imports"),
    "not_installed": ("change_version", "a version that can be had"),
    "wrong_version": ("change_version", "a version that is there and that the code runs with"),
    "conflict": ("change_version", "a version that goes together with the others"),
    "moved_name": ("moved_name", "taken from where the installed version has it"),
}
_BY_DOCUMENT = {
    "operation": ("document_operation", "the document names the operations that there are"),
    "parameter not documented": ("document_parameter", "the document names the parameter"),
    "flag": ("document_flag", "the document names the flags that there are"),
    "flow": ("document_flow", "the document tells of the steps as they are taken"),
    "": ("document_code", "the text says what the code has"),
}
_ACTS = ("code_cause", "dependency")


def recommend(assessed: Assessed) -> Diagnosis:
    """The finished diagnosis: the cause, its weight, and the strategies in order of priority.

    A verdict that accuses no code gets no recommendation.
    """
    cause = assessed.cause
    return Diagnosis(
        id=cause.id,
        **cause.model_dump(),
        impact=assessed.impact,
        complexity=assessed.complexity,
        recommendations=recommended(cause),
    )


def recommended(cause: Cause | Diagnosis) -> list[Recommendation]:
    """The strategies for a cause in order of priority; none where no code is accused."""
    named: dict[str, str] = {}
    if cause.verdict in _ACTS:
        for strategy, reason in _strategies(cause):
            named.setdefault(strategy, reason)
    return [
        Recommendation(strategy=strategy, reason=reason, priority=place)
        for place, (strategy, reason) in enumerate(named.items(), start=1)
    ]


def _strategies(cause: Cause | Diagnosis) -> Iterator[tuple[str, str]]:
    """(strategy, reason), the one that fits best first."""
    if cause.kind == "coverage":
        yield "add_test", "a test from recorded requests covers it"
        return
    if cause.kind == "performance":
        patterns = cause.evidence.get("slow_patterns") or []
        # A query that asks the same in every turn is moved out of the loop, not batched.
        same = {item["line"] for item in patterns if item["name"] == "repeated_call"}
        asking = {item["line"] for item in patterns if item["name"] == "queries_in_loop"}
        if same & asking:
            yield _BY_PATTERN["repeated_call"]
        for pattern in patterns:
            yield _BY_PATTERN[pattern["name"]]
    if cause.kind == "state":
        for shape in cause.evidence.get("state_patterns") or []:
            yield _BY_STATE[shape["kind"]]
    if cause.kind == "dependency" and cause.evidence.get("problem") in _BY_DEPENDENCY:
        yield _BY_DEPENDENCY[cause.evidence["problem"]]
    if cause.kind == "documentation":
        told = str(cause.evidence.get("contradiction") or "")
        yield next(each for start, each in _BY_DOCUMENT.items() if told.startswith(start))
        return
    if cause.evidence.get("failing_tests"):
        yield "search", "an edit of the suspicious lines for which the failing tests pass"
    if cause.kind == "error":
        yield from _guards(cause)
    if cause.suspect_commits:
        sha = cause.suspect_commits[0].sha[:10]
        yield "revert_hunk", f"takes back what {sha} changed here"


def _guards(cause: Cause | Diagnosis) -> Iterator[tuple[str, str]]:
    name = str(cause.evidence.get("exception_type", "")).rpartition(".")[2]
    message = str(cause.evidence.get("message", ""))
    kind = cause.evidence.get("expression_kind")
    nothing = "NoneType" in message
    converts = kind == "call"
    if nothing and not converts:
        yield "guard_none", "a test for the missing value"
    if name == "TypeError" and converts:
        yield "guard_conversion", "a test of what is converted"
        yield "guard_none", "a test for the missing value"
    if name == "InvalidOperation" and kind == "division":
        yield _BY_EXCEPTION["ZeroDivisionError"]
    if name in _BY_EXCEPTION and kind != "raise":
        yield _BY_EXCEPTION[name]
    if not nothing and name in ("TypeError", "AttributeError"):
        yield "guard_none", "a test for a value of another kind"
    if not cause.evidence.get("failing_tests"):
        yield "handle_exception", f"handles {name} where it rises"
