"""On every fault of the shop, the first candidate is a repair that its whole suite accepts."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

from selfheal.artifacts.diagnosis import Diagnosis, Impact, Location, SuspectCommit
from selfheal.codebase.history import History
from selfheal.demo.history import Fault, ShopRepository, build_repository
from selfheal.repair import candidates, combine_patches, documentation, propose
from selfheal.repair.gather import gather
from selfheal.repair.source import parse
from selfheal.sandbox.worktree import Worktree


@dataclass(frozen=True)
class Sign:
    """What production shows of a fault: the exception and where, or the shape of slow code."""

    line: str
    evidence: dict[str, str]


SIGNS = {
    "add": Sign('item["quantity"]', {"exception_type": "KeyError", "message": "'quantity'"}),
    "deals": Sign(
        "int(limit)",
        {
            "exception_type": "ValueError",
            "message": "invalid literal for int() with base 10: ''",
        },
    ),
    "product_page": Sign(
        ".split()",
        {
            "exception_type": "AttributeError",
            "message": "'NoneType' object has no attribute 'split'",
        },
    ),
    "quote": Sign(
        "tiers[-1]", {"exception_type": "IndexError", "message": "list index out of range"}
    ),
    "review_page": Sign(
        "/ len(stars)),", {"exception_type": "ZeroDivisionError", "message": "division by zero"}
    ),
    "category_page": Sign("def ", {"slow_pattern": "queries_in_loop"}),
    "find": Sign("def ", {"slow_pattern": "membership_in_list"}),
    "history": Sign("def ", {"slow_pattern": "queries_in_loop"}),
    "price_list": Sign("def ", {"slow_pattern": "repeated_call"}),
    "recommend": Sign("def ", {"slow_pattern": "nested_loops"}),
}
SLOW = ("category_page", "find", "history", "price_list", "recommend")
FAILING = ("add", "deals", "product_page", "quote", "review_page")
PAIRS = list(zip(SLOW, FAILING, strict=True))


def diagnosed(shop: ShopRepository, fault: Fault, commit: str) -> Diagnosis:
    """What a diagnosis of the fault says, without the phases before."""
    text = History(shop.path).text(shop.bad_commit, fault.file)
    source = parse(fault.file, text or "")
    assert source is not None
    function = next(each for each in source.functions() if each.name == fault.function)
    sign = SIGNS[fault.function]
    body = range(function.lineno, (function.end_lineno or 0) + 1)
    lines = source.text.splitlines()
    line = next((number for number in body if sign.line in lines[number - 1]), function.lineno)
    return Diagnosis(
        id=f"diagnosis-{fault.function}",
        anomaly_ids=[],
        kind="error" if fault.exception else "performance",
        service="shop",
        operation=fault.operation,
        title="",
        verdict="code_cause",
        reason="",
        locations=[Location(file=fault.file, line=line, function=fault.function, score=0.9)],
        suspect_commits=[SuspectCommit(sha=commit, score=0.9, reason="")],
        root_service="shop",
        impact=Impact(
            severity="high", affected_requests=1, all_requests=9, share=0.1, explanation=""
        ),
        complexity="low",
        recommendations=[],
        good_commit=shop.good_commit,
        bad_commit=shop.bad_commit,
        evidence=dict(sign.evidence),
    )


@pytest.mark.parametrize("faults", PAIRS, ids="-".join)
def test_first_candidates_together_pass_the_suite(tmp_path: Path, faults: tuple[str, str]):
    shop = build_repository(tmp_path, faults=faults)
    best, sources = [], {}
    for fault, commit in shop.faults.items():
        problem = gather(
            diagnosed(shop, fault, commit),
            History(shop.path),
            tests_folder="tests",
            fixture=None,
            changelog="CHANGELOG.md",
        )
        docs = documentation(problem, "CHANGELOG.md", problem.sources["CHANGELOG.md"])
        best.append(candidates(problem, propose(problem), None, docs, None, 8)[0])
        sources |= problem.sources
    assert not {each.strategy for each in best} & {"revert_hunk", "revert_commit"}
    with Worktree(shop.path, shop.bad_commit, tmp_path / "tree") as tree:
        tree.apply(combine_patches(sources, [each.patch for each in best]))
        done = subprocess.run(
            [sys.executable, "-B", "-m", "pytest", "-q", "-p", "no:cacheprovider"],
            cwd=tree.path,
            capture_output=True,
            check=False,
            text=True,
        )
    assert done.returncode == 0, done.stdout
