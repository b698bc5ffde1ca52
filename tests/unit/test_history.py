"""Git history is read from objects, on real repositories, without touching the work tree."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest
from selfheal_handlers.diagnosis._examples import make_repository

from selfheal.codebase.history import History
from selfheal.errors import RepositoryError

ONE = "def f():\n    return 1\n\n\ndef g():\n    return 2\n"
TWO = ONE.replace("return 2", "return 3")


def git(folder: Path, *arguments: str) -> str:
    command = ["git", "-C", str(folder), "-c", "user.name=x", "-c", "user.email=x@x", *arguments]
    return subprocess.run(command, capture_output=True, check=True, text=True).stdout.strip()


@pytest.fixture
def repository(tmp_path: Path) -> tuple[Path, list[str]]:
    path = tmp_path / "repo"
    commits = make_repository(
        path,
        [
            ("First", {"a.py": ONE, "na me\t.py": "x = 1\n", "logo.bin": "\0\0"}),
            ("Change g", {"a.py": TWO}),
            ("Move it", {"a.py": None, "b.py": TWO}),
        ],
    )
    return path, commits


def test_commits_come_newest_first_with_hunks_and_renames(
    repository: tuple[Path, list[str]],
) -> None:
    path, (first, second, third) = repository
    found = History(path).commits(first, third)
    assert [(commit.sha, commit.summary) for commit in found] == [
        (third, "Move it"),
        (second, "Change g"),
    ]
    assert [(diff.status, diff.old_path, diff.path) for diff in found[0].diffs] == [
        ("renamed", "a.py", "b.py")
    ]
    hunk = found[1].diffs[0].hunks[0]
    assert (hunk.old_start, hunk.removed, hunk.added) == (6, ["    return 2"], ["    return 3"])
    assert found[1].author == "Ada <ada@example.org>"
    assert History(path).commits(third, first) == []


def test_texts_files_and_binaries(repository: tuple[Path, list[str]]) -> None:
    path, (first, _, third) = repository
    history = History(path)
    assert history.text(first, "a.py") == ONE
    assert history.text(first, "na me\t.py") == "x = 1\n"
    assert history.text(third, "a.py") is None
    assert history.text(first, "logo.bin") is None
    assert history.files(third) == ["b.py", "logo.bin", "na me\t.py"]
    assert history.texts([f"{first}:a.py", f"{third}:a.py", f"{third}:b.py"]) == [ONE, None, TWO]
    assert history.texts([]) == []


def test_blame_names_the_writer_and_marks_what_is_older_than_the_range(
    repository: tuple[Path, list[str]],
) -> None:
    path, (first, second, third) = repository
    lines = History(path).blame(third, "b.py", since=first)
    assert [(line.line, line.sha, line.boundary) for line in lines[-2:]] == [
        (5, first, True),
        (6, second, False),
    ]


def test_blame_passes_over_the_commits_that_the_project_says_to_ignore(tmp_path: Path) -> None:
    path = tmp_path / "repo"
    commits = make_repository(
        path,
        [("First", {"a.py": ONE}), ("Reformat", {"a.py": ONE.replace("return 2", "return  2")})],
    )
    (path / ".git-blame-ignore-revs").write_text(f"# looks only\n{commits[1]}\n{'0' * 40}\n")
    git(path, "add", "-A")
    git(path, "commit", "-qm", "Ignore the reformatting")
    history = History(path)
    head = history.resolve("HEAD")
    assert history.ignored_revisions(head) == [commits[1]]
    assert {line.sha for line in history.blame(head, "a.py")} == {commits[0]}


def test_a_merge_is_listed_without_the_changes_that_it_merged(tmp_path: Path) -> None:
    path = tmp_path / "repo"
    first, *_ = make_repository(path, [("First", {"a.py": ONE, "c.py": "c = 1\n"})])
    git(path, "checkout", "-qb", "side")
    (path / "c.py").write_text("c = 2\n")
    git(path, "commit", "-qam", "On the side")
    git(path, "checkout", "-q", "main")
    (path / "a.py").write_text(TWO)
    git(path, "commit", "-qam", "On main")
    git(path, "merge", "-q", "--no-ff", "-m", "Merge side", "side")
    found = {commit.summary: commit.files for commit in History(path).commits(first, "HEAD")}
    assert found == {"Merge side": [], "On main": ["a.py"], "On the side": ["c.py"]}


def test_releases_are_found_by_the_hint_or_by_their_tag(
    repository: tuple[Path, list[str]],
) -> None:
    path, (first, second, third) = repository
    git(path, "tag", "v1.0", first)
    git(path, "tag", "-am", "annotated", "1.1", second)
    history = History(path)
    assert history.release_commit("1.0") == first
    assert history.release_commit("1.1") == second
    assert history.release_commit("1.0", hint=third) == third
    assert history.release_commit("1.0", hint="f" * 40) == first
    assert history.release_commit("9.9") is None


def test_mistakes_are_repository_errors_that_say_what_to_do(
    tmp_path: Path, repository: tuple[Path, list[str]]
) -> None:
    (tmp_path / "plain").mkdir()
    with pytest.raises(RepositoryError, match="--repo"):
        History(tmp_path / "plain")
    with pytest.raises(RepositoryError, match="does not exist"):
        History(tmp_path / "nowhere")
    for revision in ("nope", "--all", "", "a\nb"):
        with pytest.raises(RepositoryError, match="no commit"):
            History(repository[0]).resolve(revision)


def test_a_shallow_clone_says_that_it_is_shallow(
    tmp_path: Path, repository: tuple[Path, list[str]]
) -> None:
    path, (first, _, third) = repository
    clone = tmp_path / "shallow"
    git(tmp_path, "clone", "-q", "--depth=1", f"file://{path}", str(clone))
    history = History(clone)
    assert history.shallow
    assert [commit.sha for commit in history.commits(None, third)] == [third]
    with pytest.raises(RepositoryError, match="--unshallow"):
        history.resolve(first)


def test_neither_work_tree_nor_index_nor_the_users_settings_matter(
    repository: tuple[Path, list[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    path, (first, _, third) = repository
    (path / "b.py").write_text("broken(")
    git(path, "config", "diff.noprefix", "true")
    git(path, "config", "color.ui", "always")
    before = (path / ".git" / "index").read_bytes()
    monkeypatch.setenv("GIT_DIR", str(path / "elsewhere"))
    history = History(path)
    assert history.commits(first, third)[0].diffs[0].path == "b.py"
    assert history.text(third, "b.py") == TWO
    assert (path / ".git" / "index").read_bytes() == before
    assert (path / "b.py").read_text() == "broken("
