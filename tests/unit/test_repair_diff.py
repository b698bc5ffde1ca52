"""Diffs are taken by real git and by GNU patch, whatever the text; merges lose nothing."""

from __future__ import annotations

import shutil
import subprocess
import tempfile
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from selfheal.errors import InvalidInput
from selfheal.repair import (
    apply_patch,
    combine_patches,
    merge,
    merge_patches,
    patch_of,
    revert,
    unified_diff,
)
from selfheal.repair.diff import lines_of, parse_patch

LINE = st.sampled_from(["a", "b", "", " ", "\tx", "-", "+", "@@", "é\u2028", "c\r", "\\", "d\x0c"])
TEXT = st.builds(
    lambda lines, end: "\n".join(lines) + end,
    st.lists(LINE, max_size=12),
    st.sampled_from(["", "\n"]),
)
PATHS = ["app.py", "a folder/a file.py", "naïve.py", 'quo"te.py', "tab\tname.py"]


@given(TEXT, TEXT)
def test_patch_read_back_gives_the_new_text(old: str, new: str):
    assert apply_patch({"f": old}, unified_diff("f", old, new)).get("f", old) == new


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(old=TEXT, new=TEXT, path=st.sampled_from(PATHS))
def test_git_applies_the_patch_to_the_byte(old: str, new: str, path: str):
    patch = unified_diff(path, old, new)
    if not patch or not old or not new:
        return
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        file = folder / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(old.encode())
        subprocess.run(
            ["git", "apply", "--whitespace=nowarn", "-"],
            cwd=folder,
            input=patch.encode(),
            check=True,
            capture_output=True,
        )
        assert file.read_bytes() == new.encode()


@pytest.mark.skipif(shutil.which("patch") is None, reason="GNU patch is not installed")
@pytest.mark.parametrize("path", PATHS[:2])
def test_gnu_patch_takes_it(tmp_path: Path, path: str):
    old, new = "a\nb\nc\n", "a\nB\nc\nd"
    file = tmp_path / path
    file.parent.mkdir(exist_ok=True)
    file.write_text(old)
    diff = unified_diff(path, old, new).encode()
    subprocess.run(["patch", "-p1"], cwd=tmp_path, input=diff, check=True, capture_output=True)
    assert file.read_text() == new


def test_new_and_deleted_files_apply(tmp_path: Path):
    (tmp_path / "old.py").write_text("x\n")
    patch = patch_of({"old.py": "x\n"}, {"old.py": None, "new.py": "y\n"})
    subprocess.run(["git", "apply", "-"], cwd=tmp_path, input=patch.encode(), check=True)
    assert not (tmp_path / "old.py").exists()
    assert (tmp_path / "new.py").read_text() == "y\n"
    assert apply_patch({"old.py": "x\n"}, patch) == {"old.py": None, "new.py": "y\n"}


def test_a_patch_that_does_not_fit_says_where():
    patch = unified_diff("f.py", "a\nb\n", "a\nc\n")
    with pytest.raises(InvalidInput, match=r"f\.py:2"):
        apply_patch({"f.py": "a\nX\n"}, patch)


@given(TEXT, TEXT)
def test_lines_join_to_the_text(one: str, other: str):
    assert "".join(lines_of(one + other)) == one + other


@given(TEXT, TEXT)
def test_reverting_a_change_gives_the_text_before(before: str, after: str):
    assert revert(before, after, after) == before


@given(TEXT, TEXT)
def test_merge_with_an_unchanged_side_is_the_other(base: str, other: str):
    assert merge(base, other, base) == other
    assert merge(base, base, other) == other


def test_revert_keeps_what_came_later_and_moved_the_lines():
    before = "def a():\n    return 1\n\n\ndef b():\n    return 2\n"
    after = before.replace("return 1", "return 10").replace("return 2", "return 20")
    now = '"""Later."""\n\n' + after
    first = [(1, 2)]
    assert revert(before, after, now, within=first) == now.replace("return 10", "return 1")


def test_revert_of_lines_changed_since_is_refused():
    assert revert("a\nb\nc\n", "a\nB\nc\n", "a\nX\nc\n") is None


def test_two_patches_of_one_file_are_combined(tmp_path: Path):
    base = "a\n\n\n\n\n\n\n\nb\n"
    patches = [unified_diff("f.py", base, base.replace(c, c.upper())) for c in "ab"]
    combined = combine_patches({"f.py": base}, patches)
    (tmp_path / "f.py").write_text(base)
    subprocess.run(["git", "apply", "-"], cwd=tmp_path, input=combined.encode(), check=True)
    assert (tmp_path / "f.py").read_text() == base.replace("a", "A").replace("b", "B")


def test_entries_of_one_change_log_are_both_kept_under_one_heading():
    base = "# Changelog\n\n## 1.0\n"
    heading = "## Unreleased\n\n### Fixed\n\n"
    texts = [f"# Changelog\n\n{heading}- {entry}\n\n## 1.0\n" for entry in ("one", "two")]
    patches = [unified_diff("CHANGELOG.md", base, text) for text in texts]
    merged = merge_patches({"CHANGELOG.md": base}, patches)["CHANGELOG.md"]
    assert merged == f"# Changelog\n\n{heading}- one\n- two\n\n## 1.0\n"


def test_patches_that_contradict_each_other_are_refused():
    patches = [unified_diff("f.py", "a\n", text) for text in ("b\n", "c\n")]
    with pytest.raises(InvalidInput, match="same lines"):
        merge_patches({"f.py": "a\n"}, patches)


def test_hunks_far_apart_stand_apart_and_near_ones_together():
    old = "".join(f"{number}\n" for number in range(40))
    far = old.replace("3\n", "x\n", 1).replace("30\n", "y\n")
    near = old.replace("5\n", "x\n", 1).replace("\n9\n", "\ny\n")
    assert len(parse_patch(unified_diff("f", old, far))[0].hunks) == 2
    assert len(parse_patch(unified_diff("f", old, near))[0].hunks) == 1
