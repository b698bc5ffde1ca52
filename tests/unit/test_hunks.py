"""Unified diffs as data: what real git writes is read back exactly, and lines are followed."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from selfheal.codebase.hunks import FileDiff, LineMap, parse_diff

LINES = st.lists(
    st.sampled_from(
        ["a", "b", "", "+x", "-y", "@@ -1 +1 @@", "diff --git a/f b/f", "é\r", " ", "\\"]
    ),
    max_size=12,
)


def git_diff(folder: Path, old: str, new: str, context: int = 0) -> list[FileDiff]:
    (folder / "old").write_text(old, newline="")
    (folder / "new").write_text(new, newline="")
    command = ["git", "diff", "--no-index", f"-U{context}", "--", "old", "new"]
    done = subprocess.run(command, cwd=folder, capture_output=True, check=False)
    assert done.returncode in (0, 1), done.stderr
    return parse_diff(done.stdout.decode())


def text_of(lines: list[str], newline: bool) -> str:
    return "\n".join(lines) + ("\n" if newline and lines else "")


@settings(
    max_examples=40,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(old=LINES, new=LINES, newline=st.booleans(), context=st.integers(0, 4))
def test_hunks_of_a_real_diff_rebuild_the_new_text_and_map_every_line(
    tmp_path: Path, old: list[str], new: list[str], newline: bool, context: int
) -> None:
    before, after = text_of(old, True), text_of(new, newline)
    diffs = git_diff(tmp_path, before, after, context)
    hunks = diffs[0].hunks if diffs else []
    old_lines = before.split("\n")[:-1] if before else []
    new_lines = after.removesuffix("\n").split("\n") if after else []

    rebuilt: list[str] = []
    position = 1
    for hunk in hunks:
        rebuilt += old_lines[position - 1 : hunk.old_start - 1]
        assert len(rebuilt) == hunk.new_start - 1
        assert old_lines[hunk.old_start - 1 :][: hunk.old_count] == hunk.removed
        rebuilt += hunk.added
        position = hunk.old_start + hunk.old_count
    assert rebuilt + old_lines[position - 1 :] == new_lines

    lines = LineMap(hunks)
    mapped = [(line, lines.to_new(line)) for line in range(1, len(old_lines) + 1)]
    kept = [(line, now) for line, now in mapped if now is not None]
    assert all(old_lines[line - 1] == new_lines[now - 1] for line, now in kept)
    assert [now for _, now in kept] == sorted({now for _, now in kept})
    assert len(kept) == len(old_lines) - sum(hunk.old_count for hunk in hunks)


@given(shift=st.integers(0, 50), line=st.integers(1, 100))
def test_a_changed_line_is_followed_to_what_replaced_it(shift: int, line: int) -> None:
    old = "".join(f"{number}\n" for number in range(shift, shift + 3))
    hunks = parse_diff(
        f"diff --git a/f b/f\n--- a/f\n+++ b/f\n@@ -{line},3 +{line},1 @@\n"
        + "".join(f"-{text}\n" for text in old.splitlines())
        + "+new\n"
    )[0].hunks
    lines = LineMap(hunks)
    assert [lines.nearest(line + offset) for offset in range(3)] == [line] * 3
    assert lines.to_new(line) is None
    assert lines.to_new(line + 3) == line + 1


@pytest.mark.parametrize(
    ("header", "expected"),
    [
        ("diff --git a/x y.py b/x y.py\nold mode 100644\nnew mode 100755\n", "x y.py"),
        (
            'diff --git "a/t\\tab.py" "b/t\\tab.py"\n--- "a/t\\tab.py"\n+++ "b/t\\tab.py"\n',
            "t\tab.py",
        ),
        ("diff --git a/n.py b/n.py\n--- a/n.py\t\n+++ b/n.py\t\n", "n.py"),
        ('diff --git "a/\\303\\251.py" "b/\\303\\251.py"\nnew file mode 100644\n', "é.py"),
    ],
)
def test_unusual_names_are_read_as_git_quotes_them(header: str, expected: str) -> None:
    assert parse_diff(header)[0].path == expected


def test_renames_deletions_and_binary_files_are_told_apart() -> None:
    renamed, deleted, binary = parse_diff(
        "diff --git a/old.py b/new.py\nsimilarity index 90%\nrename from old.py\nrename to new.py\n"
        "diff --git a/gone.py b/gone.py\ndeleted file mode 100644\n--- a/gone.py\n+++ /dev/null\n"
        "@@ -1 +0,0 @@\n-x\n"
        "diff --git a/logo.png b/logo.png\nindex 1..2 100644\nBinary files a/logo.png and b/logo.png differ\n"
    )
    assert (renamed.status, renamed.old_path, renamed.path) == ("renamed", "old.py", "new.py")
    assert (deleted.status, deleted.path, deleted.size) == ("deleted", "gone.py", 1)
    assert binary.binary
    assert binary.hunks == []
