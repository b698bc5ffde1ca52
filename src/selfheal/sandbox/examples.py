"""Interactive examples (``>>>``) in documents and docstrings, run confined, as claims on the code."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from selfheal.analysis.documented_code import EXAMPLE, Claim
from selfheal.artifacts.validation import Check
from selfheal.config import TestsConfig
from selfheal.sandbox import example_runner
from selfheal.sandbox.checks import listed
from selfheal.sandbox.process import left_behind, report_folder, run
from selfheal.sandbox.suite import interpreter
from selfheal.sandbox.worktree import Worktree

# File, source, and what it tells that is printed.
Example = tuple[str, str, str]
SECONDS = 60.0
PROMPT = ">>> "
_KINDS = (".md", ".markdown", ".rst", ".py")


def with_examples(texts: Mapping[str, str]) -> list[str]:
    """The files that hold examples, sorted."""
    return sorted(path for path, text in texts.items() if path.endswith(_KINDS) and PROMPT in text)


def broken_examples(folder: Path, tests: TestsConfig, files: Sequence[str]) -> list[Claim]:
    """The examples of files of a checkout that do not print what they tell, the same in two runs.

    An example that raises what it does not tell of is left out: that is for people.
    """
    first, second = (_ran(folder, tests, files) for _ in range(2))
    return [
        claim
        for one, other in zip(first, second, strict=False)
        if one == other and not one["as_told"] and (claim := _claim(folder, one)) is not None
    ]


def stale_examples(
    repository: Path,
    before: str,
    commit: str,
    scratch: Path,
    tests: TestsConfig,
    files: Sequence[str],
) -> list[Claim]:
    """Examples that print what they tell at the commit `before`, and something else at `commit`."""
    with Worktree(repository, commit, scratch / "examples-now") as tree:
        broken = broken_examples(tree.path, tests, files)
    if not broken:
        return []
    paths = sorted({each.file for each in broken})
    with Worktree(repository, before, scratch / "examples-before") as tree:
        there = [path for path in paths if (tree.path / path).is_file()]
        told = {_key(each) for each in _ran(tree.path, tests, there) if each["as_told"]}
    return [each for each in broken if (each.file, each.subject, each.told) in told]


def examples_kept(folder: Path, tests: TestsConfig, files: Sequence[str]) -> dict[Example, bool]:
    """Of the examples of files of a checkout, whether each prints what it tells.

    Those that do so in one of two runs only tell nothing and are left out.
    """
    first, second = (
        {_key(each): bool(each["as_told"]) for each in _ran(folder, tests, files)} for _ in range(2)
    )
    return {key: kept for key, kept in first.items() if second.get(key) is kept}


def examples_check(before: Mapping[Example, bool], after: Mapping[Example, bool]) -> Check:
    """The check ``examples``: those of the changed files that held without the fix hold with it."""
    held = [key for key in after if before.get(key)]
    lost = [key for key in held if not after[key]]
    broken = sorted({f"`{source}` in {file}" for file, source, _ in lost})
    counts = {"examples": len(held), "broken": len(broken)}
    if broken:
        why = f"examples of the documentation no longer hold: {listed(broken)}"
        return Check(name="examples", verdict="failed", summary=why, counts=counts)
    if not held:
        known = sum(before.values())
        why = "the changed files have no example that held without the fix"
        if known:
            why = f"with the fix none of {known} documented examples could be run to its end"
        return Check(name="examples", verdict="unavailable", summary=why, required=False)
    why = f"{len(held)} documented examples hold as before"
    return Check(name="examples", verdict="passed", summary=why, counts=counts)


def _key(example: Mapping[str, Any]) -> Example:
    return str(example["file"]), example["source"].rstrip("\n"), example["want"].rstrip("\n")


def _ran(folder: Path, tests: TestsConfig, files: Sequence[str]) -> list[dict[str, Any]]:
    if not files:
        return []
    roots = [each for each in (folder.absolute(), folder.absolute() / "src") if each.is_dir()]
    with report_folder() as report:
        asked = {
            "report": str(report / "report.json"),
            "paths": list(map(str, roots)),
            "files": list(files),
        }
        run(
            [interpreter(tests), "-B", example_runner.__file__, json.dumps(asked)],
            cwd=folder,
            timeout_seconds=SECONDS,
            writable=(report,),
        )
        try:
            found: list[dict[str, Any]] = json.loads(left_behind(report / "report.json") or b"[]")
        except ValueError:
            return []
        return found


def _claim(folder: Path, example: Mapping[str, Any]) -> Claim | None:
    """The claim of an example with an output before and now; None for one that raises, or prints nothing."""
    got, want, source = str(example["got"]), str(example["want"]), str(example["source"])
    if not got.strip() or not want.strip() or "Traceback" in want or "\n\n" in got:
        return None
    text = (folder / example["file"]).read_bytes().decode("utf-8", "replace")
    lines = text.splitlines(keepends=True)
    first, count = int(example["line"]) - 1, int(example["lines"])
    told = lines[first : first + count]
    if len(told) != count or [each.strip() for each in told] != [
        each.strip() for each in want.splitlines()
    ]:
        return None
    start = sum(map(len, lines[:first]))
    indent = told[0][: len(told[0]) - len(told[0].lstrip())]
    newline = "\r\n" if told[0].endswith("\r\n") else "\n"
    written = "".join(f"{indent}{line}{newline}" for line in got.splitlines())
    return Claim(
        drift=EXAMPLE,
        name=f"{example['file']}:{first + 1}",
        subject=source.rstrip("\n"),
        told=want.rstrip("\n"),
        actual=got.rstrip("\n"),
        file=str(example["file"]),
        line=first + 1,
        start=start,
        stop=start + sum(map(len, told)),
        replacement=written,
    )
