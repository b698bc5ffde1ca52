"""``selfheal learn --from-history`` on a real repository: the past teaches, the future tests."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest

from selfheal.codebase.git import git
from selfheal.codebase.history import History
from selfheal.learning.commits import fix_commits, is_fix
from selfheal.learning.library import read_library
from selfheal.learning.mining import mine

AUTHOR = {
    "GIT_AUTHOR_NAME": "a",
    "GIT_AUTHOR_EMAIL": "a@b",
    "GIT_COMMITTER_NAME": "a",
    "GIT_COMMITTER_EMAIL": "a@b",
}
OFF_BY_ONE = ["rows", "order.lines", "self.queue", "names", "page.items", "stack"]


def commit(repository: Path, message: str, files: dict[str, str]) -> str:
    for path, text in files.items():
        (repository / path).parent.mkdir(parents=True, exist_ok=True)
        (repository / path).write_text(text)
    git(repository, "add", "-A")
    git(repository, "commit", "-q", "-m", message, environment=AUTHOR)
    return git(repository, "rev-parse", "HEAD").stdout.strip()


def module(subject: str, number: int, index: str) -> str:
    owner = subject.split(".", maxsplit=1)[0]
    return (
        f'"""Module {number}."""\n\n\n'
        f"def last_{number}({owner}):\n    total = {number}\n"
        f"    return {subject}[len({subject}){index}]\n"
    )


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    """Six modules with the same slip, mended one after the other among other commits."""
    folder = tmp_path / "repository"
    folder.mkdir()
    git(folder, "init", "-q")
    modules = {f"app/m{n}.py": module(name, n, "") for n, name in enumerate(OFF_BY_ONE)}
    commit(folder, "All modules", modules)
    for number, name in enumerate(OFF_BY_ONE):
        text = module(name, number, " - 1")
        commit(folder, f"fix: the last of {name}", {f"app/m{number}.py": text})
        commit(folder, f"Notes on {name}", {"NOTES.md": name})
    return folder


def selfheal(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "selfheal.cli.main", "learn", "--from-history", *arguments],
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
    )


def test_what_the_past_teaches_is_right_on_later_fixes(repository: Path) -> None:
    done = selfheal(repository, "--json")
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    assert (told["trained"], told["tested"], told["covered"]) == (4, 2, 2)
    best = told["templates"][0]
    assert best["precision"] == 1.0
    assert best["template"]["before"] == "HOLE_1[len(HOLE_1)]"
    assert best["template"]["after"] == "HOLE_1[len(HOLE_1) - 1]"
    assert best["support"] == 4
    assert (best["matched"], best["right"]) == (2, 2)

    library = read_library(repository / "artifacts")
    known = next(
        each for each in library.patterns if each.templates[0].before == best["template"]["before"]
    )
    assert known.mined is not None
    assert (len(known.mined.commits), known.mined.right) == (4, 2)
    assert known.outcomes.tried == 0, "nothing of it was shipped by selfheal"
    assert selfheal(repository).returncode == 0
    assert read_library(repository / "artifacts") == library, "learning again changes nothing"


def test_a_template_that_is_never_right_later_is_told_and_not_kept(repository: Path) -> None:
    """`len(x)` became `len(x) - 1` in the past; later files have it in many right places."""
    uses = "\n".join(f"    a{n} = len(rows)" for n in range(6))
    plain = f"def size(rows):\n{uses}\n    return a0\n"
    commit(repository, "More", {"app/size.py": plain})
    commit(repository, "fix: size", {"app/size.py": plain.replace("return a0", "return a1")})
    done = selfheal(repository, "--split", "0.85", "--dry-run", "--json")
    told = json.loads(done.stdout)
    general = [t for t in told["templates"] if t["template"]["before"] == "len(HOLE_1)"]
    assert [(each["right"], each["matched"], each["kept"]) for each in general] == [(0, 6, False)]
    assert not (repository / "artifacts").exists(), "a dry run leaves the library as it is"


def test_what_a_limit_leaves_out_is_told(repository: Path) -> None:
    done = selfheal(repository, "--limit", "5", "--dry-run")
    assert "8 older commits were left out (--limit 5)" in done.stderr


def test_without_later_fixes_precision_is_not_measured(repository: Path) -> None:
    done = selfheal(repository, "--split", "1", "--dry-run")
    assert "not measured" in done.stdout
    assert "%" not in done.stdout


def test_a_history_without_fixes_teaches_nothing_and_says_so(tmp_path: Path) -> None:
    git(tmp_path, "init", "-q")
    commit(tmp_path, "First", {"a.py": "x = 1\n"})
    done = selfheal(tmp_path)
    assert done.returncode == 1
    assert "nothing was learned" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    ("message", "expected"),
    [
        ("fix: the cart", True),
        ("Fixed a crash of the importer", True),
        ("Wrong total mended", True),
        ("Rework totals\n\nFixes #12", True),
        ('Revert "fix: the cart"', False),
        ("Prefixes of names", False),
        ("Add a page", False),
    ],
)
def test_what_says_that_it_is_a_fix(message: str, expected: bool) -> None:
    assert is_fix(message) is expected


def subjects(history: History, **options: object) -> Sequence[str]:
    return [fix.summary for fix in fix_commits(history, "HEAD", **options)]  # type: ignore[arg-type]


def test_tests_vendored_files_reverts_and_ignored_commits_teach_nothing(repository: Path) -> None:
    slip, mended = module("rows", 9, ""), module("rows", 9, " - 1")
    paths = ["tests/test_a.py", "vendor/lib/a.py", "app/ignored.py", "app/back.py"]
    commit(repository, "Others", dict.fromkeys(paths, slip))
    before = subjects(History(repository))
    commit(repository, "fix: a test", {"tests/test_a.py": mended})
    commit(repository, "fix: a copy", {"vendor/lib/a.py": mended})
    ignored = commit(repository, "fix: layout", {"app/ignored.py": mended})
    commit(repository, "Ignore it", {".git-blame-ignore-revs": f"{ignored}\n"})
    commit(repository, 'Revert "fix: it"', {"app/back.py": mended})
    found = subjects(History(repository), vendored=["vendor"])
    assert found == before
    assert mine(fix_commits(History(repository), "HEAD", most=1)).trained == 0
