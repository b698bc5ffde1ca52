"""Gathering reads real git: reverts follow renames, abstain where history does not help."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pytest
from repair_problems import problem_of

from selfheal.artifacts.diagnosis import Location, SuspectCommit
from selfheal.codebase.git import git
from selfheal.codebase.history import History
from selfheal.errors import RepositoryError
from selfheal.repair import Problem, edited, propose
from selfheal.repair.gather import failing_test, gather, suspect_change

GOOD = "def mean(xs):\n    total = sum(xs)\n    return total / len(xs) if xs else 0\n"
BAD = "def mean(xs):\n    total = sum(xs)\n    return total / len(xs)\n"


def commit(folder: Path, files: Mapping[str, str | None], message: str) -> str:
    if not (folder / ".git").exists():
        folder.mkdir(parents=True, exist_ok=True)
        git(folder, "init", "--quiet")
    for path, text in files.items():
        file = folder / path
        file.parent.mkdir(parents=True, exist_ok=True)
        if text is None:
            file.unlink()
        else:
            file.write_bytes(text.encode())
    identity = {
        f"GIT_{role}_{key}": value
        for role in ("AUTHOR", "COMMITTER")
        for key, value in (("NAME", "a"), ("EMAIL", "a@b"), ("DATE", "2024-01-02T03:04:05Z"))
    }
    git(folder, "add", "--all")
    git(folder, "commit", "--quiet", "--message", message, environment=identity)
    return git(folder, "rev-parse", "HEAD").stdout.strip()


def gathered(folder: Path, good: str, bad: str, suspect: str, path: str) -> Problem:
    evidence = {"exception_type": "ZeroDivisionError", "message": "division by zero"}
    diagnosis = problem_of(BAD, 3, evidence).diagnosis.model_copy(
        update={
            "good_commit": good,
            "bad_commit": bad,
            "locations": [Location(file=path, line=3, function="mean", score=0.9)],
            "suspect_commits": [SuspectCommit(sha=suspect, score=0.9, reason="")],
        }
    )
    history = History(folder)
    return gather(diagnosis, history, tests_folder="tests", fixture=None, changelog="CHANGELOG.md")


@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_a_revert_follows_a_renamed_file(tmp_path: Path, end: str):
    filler = "".join(f"\n\ndef f{number}():\n    return {number}\n" for number in range(8))
    old, new = ((text + filler).replace("\n", end) for text in (GOOD, BAD))
    good = commit(tmp_path, {"old.py": old}, "good")
    suspect = commit(tmp_path, {"old.py": new}, "shorter")
    bad = commit(tmp_path, {"old.py": None, "new.py": new}, "rename")
    problem = gathered(tmp_path, good, bad, suspect, "new.py")
    edits = [each for each in propose(problem) if each.strategy == "revert_hunk"]
    assert edited(edits[0], problem.sources) == {"new.py": old}


def test_texts_of_both_releases_are_read(tmp_path: Path):
    good = commit(tmp_path, {"app.py": GOOD, "CHANGELOG.md": "# C\n", "tests/test_a.py": ""}, "1")
    bad = commit(tmp_path, {"app.py": BAD}, "2")
    problem = gathered(tmp_path, good, bad, bad, "app.py")
    assert problem.sources == {"app.py": BAD, "CHANGELOG.md": "# C\n"}
    assert problem.good_sources == {"app.py": GOOD}
    assert problem.test_files == ["tests/test_a.py"]


def test_the_first_commit_cannot_be_taken_back(tmp_path: Path):
    first = commit(tmp_path, {"app.py": BAD}, "1")
    assert suspect_change(History(tmp_path), first, first, 0.9) is None


def test_an_unknown_release_is_an_error(tmp_path: Path):
    commit(tmp_path, {"app.py": BAD}, "1")
    with pytest.raises(RepositoryError):
        gathered(tmp_path, "0" * 40, "1" * 40, "2" * 40, "app.py")


def test_a_failing_test_is_found_by_its_name_in_the_report():
    diagnosis = problem_of(BAD, 3, {}).diagnosis
    named = diagnosis.model_copy(update={"operation": "tests.test_app.TestMean::test_empty"})
    found = failing_test(named, ["app.py", "tests/test_app.py"])
    assert found is not None
    assert (found.file, found.name) == ("tests/test_app.py", "TestMean::test_empty")
    assert failing_test(diagnosis, ["app.py"]) is None
