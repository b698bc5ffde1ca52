"""Work trees are isolated: the repository under repair is never written or obeyed."""

from __future__ import annotations

import hashlib
import subprocess
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from selfheal.codebase.git import git
from selfheal.errors import RepositoryError
from selfheal.repair.diff import unified_diff
from selfheal.sandbox.changes import changed_files
from selfheal.sandbox.worktree import Worktree, resolve


def shell(folder: Path, script: str) -> str:
    return subprocess.run(
        ["sh", "-ec", script], cwd=folder, check=True, capture_output=True, text=True
    ).stdout


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    path = tmp_path / "repository"
    path.mkdir()
    shell(
        path,
        "git init -q -b main . && git config user.name a && git config user.email a@b\n"
        "printf 'one\\ntwo\\n' > file.txt; mkdir d; echo x > 'd/odd [name]*.txt'; echo y > d/o.txt\n"
        "git add . && git commit -qm first && git tag v1\n"
        "echo three >> file.txt && git commit -qam second",
    )
    return path


def fingerprint(folder: Path) -> dict[str, str]:
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def test_a_revision_is_checked_out_and_removed(repository: Path, tmp_path: Path) -> None:
    with Worktree(repository, "v1", tmp_path / "tree") as tree:
        assert (tree.path / "file.txt").read_text() == "one\ntwo\n"
        assert tree.commit_id == shell(repository, "git rev-parse v1").strip()
    assert not (tmp_path / "tree").exists()


def test_the_repository_is_not_changed_by_a_byte(repository: Path, tmp_path: Path) -> None:
    shell(repository, "echo mine >> file.txt; echo new > untracked; git add untracked")
    before = fingerprint(repository)
    with Worktree(repository, "main", tmp_path / "tree") as tree:
        tree.apply(unified_diff("file.txt", "one\ntwo\nthree\n", "one\n2\nthree\n"))
        tree.commit("a change", date="2024-01-01T00:00:00+00:00")
    assert fingerprint(repository) == before


def test_hooks_and_filters_of_the_repository_do_not_run(repository: Path, tmp_path: Path) -> None:
    mark = tmp_path / "ran"
    shell(
        repository,
        f"for hook in post-checkout pre-commit post-commit pre-applypatch; do\n"
        f"printf '#!/bin/sh\\ntouch {mark}\\n' > .git/hooks/$hook; chmod +x .git/hooks/$hook; done\n"
        f"git config filter.evil.smudge 'touch {mark}; cat'\n"
        f"git config core.fsmonitor 'touch {mark}'\n"
        "echo '*.txt filter=evil' > .gitattributes\n"
        "git -c core.hooksPath=/dev/null add .gitattributes\n"
        "git -c core.hooksPath=/dev/null commit -qm attributes",
    )
    mark.unlink(missing_ok=True)
    with Worktree(repository, "main", tmp_path / "tree") as tree:
        (tree.path / "file.txt").write_text("changed\n")
        tree.commit("a change", date="2024-01-01T00:00:00+00:00")
    assert not mark.exists()


def test_equal_commits_have_equal_ids(repository: Path, tmp_path: Path) -> None:
    ids = set()
    for name in ("a", "b"):
        with Worktree(repository, "main", tmp_path / name) as tree:
            (tree.path / "file.txt").write_text("changed\n")
            ids.add(tree.commit("a change", date="2024-01-01T00:00:00+00:00"))
    assert len(ids) == 1


def test_a_patch_that_does_not_apply_is_refused_and_changes_nothing(
    repository: Path, tmp_path: Path
) -> None:
    patch = unified_diff("file.txt", "other\nlines\n", "other\nline\n")
    with Worktree(repository, "main", tmp_path / "tree") as tree:
        assert "file.txt" in (tree.refusal(patch) or "")
        with pytest.raises(RepositoryError, match="apply failed"):
            tree.apply(patch)
        assert tree.git("status", "--porcelain") == ""


def test_only_the_named_files_of_a_patch_are_applied(repository: Path, tmp_path: Path) -> None:
    odd = "d/odd [name]*.txt"
    patch = "".join(
        unified_diff(path, old, "new\n")
        for path, old in ((odd, "x\n"), ("d/o.txt", "y\n"), ("fresh.txt", None))
    )
    with Worktree(repository, "main", tmp_path / "tree") as tree:
        tree.apply(patch, only=[odd, "fresh.txt"])
        changed = changed_files(tree)
    assert [(file.path, file.before, file.after) for file in changed] == [
        (odd, "x\n", "new\n"),
        ("fresh.txt", None, "new\n"),
    ]


@pytest.mark.parametrize("revision", ["no-such", "--help", "v1^{tree}", ""])
def test_an_unknown_revision_is_an_error_that_names_it(repository: Path, revision: str) -> None:
    with pytest.raises(RepositoryError):
        resolve(repository, revision)


def test_a_folder_that_is_no_repository_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(RepositoryError, match="not a git repository"):
        Worktree(tmp_path, "main", tmp_path / "tree").create()
    assert not (tmp_path / "tree").exists()


def test_bare_shallow_and_linked_repositories_serve_as_well(
    repository: Path, tmp_path: Path
) -> None:
    shell(
        tmp_path,
        "git clone -q --bare repository bare.git\n"
        "git clone -q --depth 1 file://$PWD/repository shallow\n"
        "git -C repository worktree add -q ../linked",
    )
    for name in ("bare.git", "shallow", "linked"):
        with Worktree(tmp_path / name, "HEAD", tmp_path / f"tree-{name}") as tree:
            assert (tree.path / "file.txt").read_text() == "one\ntwo\nthree\n"
            assert tree.git("log", "--format=%s").startswith("second")


@settings(
    max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    st.text(st.characters(codec="utf-8", exclude_characters="\r\0")),
    st.text(st.characters(codec="utf-8", exclude_characters="\r\0")),
)
def test_any_text_survives_diff_and_apply(
    tmp_path_factory: pytest.TempPathFactory, before: str, after: str
) -> None:
    folder = tmp_path_factory.mktemp("texts")
    git(folder, "init", "--quiet", "--template=")
    (folder / "file").write_text(before, newline="")
    identity = ("-c", "user.name=a", "-c", "user.email=a@b")
    git(folder, "add", "--all")
    git(folder, *identity, "commit", "-q", "-m", "one")
    with Worktree(folder, "HEAD", folder / "tree") as tree:
        if before != after:
            tree.apply(unified_diff("file", before, after))
        assert (tree.path / "file").read_bytes() == after.encode()
