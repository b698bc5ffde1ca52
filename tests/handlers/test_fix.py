"""The beats of the fix phase do their work on their own examples."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from selfheal_handlers.fix import HANDLERS
from selfheal_handlers.fix._examples import diagnoses

from selfheal.artifacts import Diagnoses
from selfheal.codebase.git import git
from selfheal.config import FixConfig
from selfheal.errors import ConfigurationError
from selfheal.sandbox.worktree import Worktree


def phase(folder: Path):
    """The nine beats one after the other, as the runner calls them; the patch and the workspace."""
    beats = {beat.name: beat for beat in HANDLERS}
    given = dict(beats["load_diagnosis"].example(folder))
    tests, workspace = given.pop("config"), given.pop("workspace")
    requested = beats["generate_fix_requested"](diagnosis=given["diagnosis"], config=FixConfig())
    given["generate_fix_requested"] = requested
    loaded = beats["load_diagnosis"](**given, config=tests, workspace=workspace)
    code = beats["generate_code_fix"](load_diagnosis=loaded, config=FixConfig())
    test = beats["generate_test_fix"](load_diagnosis=loaded)
    docs = beats["generate_documentation_fix"](load_diagnosis=loaded)
    created = beats["create_patch"](
        load_diagnosis=loaded,
        generate_code_fix=code,
        generate_test_fix=test,
        generate_documentation_fix=docs,
        config=FixConfig(),
    )
    checked = beats["validate_syntax"](create_patch=created, load_diagnosis=loaded)
    return beats["store_patch"](validate_syntax=checked, workspace=workspace), workspace


def suite(tree: Worktree) -> int:
    command = [sys.executable, "-B", "-m", "pytest", "-q", "-p", "no:cacheprovider"]
    return subprocess.run(command, cwd=tree.path, capture_output=True, check=False).returncode


def test_new_test_fails_before_and_the_first_candidate_heals(tmp_path: Path):
    patch, workspace = phase(tmp_path)
    assert patch.candidates
    assert all("a failing test fails in another way" in each.reason for each in patch.dropped)
    best = patch.candidates[0]
    stored = workspace.run_folder / "patches" / f"{best.id}.patch"
    assert stored.read_text() == best.patch
    reproducer = patch.reproducers[best.diagnosis_id]
    with Worktree(workspace.repository, best.base_commit, tmp_path / "before") as tree:
        tree.apply(best.patch, only=[reproducer.test_file])
        assert suite(tree) == 1
    with Worktree(workspace.repository, best.base_commit, tmp_path / "after") as tree:
        tree.apply(best.patch)
        assert suite(tree) == 0


def test_the_repository_is_left_as_it_was(tmp_path: Path):
    _, workspace = phase(tmp_path)
    status = git(workspace.repository, "status", "--porcelain").stdout
    assert status == ""


def test_equal_inputs_give_equal_bytes(tmp_path: Path):
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    first, _ = phase(tmp_path / "a")
    second, _ = phase(tmp_path / "b")
    assert first.model_dump_json() == second.model_dump_json()


def test_an_abstaining_diagnosis_is_declined_with_its_reason():
    found = diagnoses("0" * 40, "1" * 40).diagnoses[0]
    abstained = found.model_copy(update={"verdict": "insufficient_data", "reason": "too few"})
    request = HANDLERS[0](diagnosis=Diagnoses(diagnoses=[abstained]), config=FixConfig())
    assert request.diagnosis_ids == []
    assert "too few" in request.declined[0].reason


def test_an_unknown_strategy_is_an_error_of_the_configuration():
    with pytest.raises(ConfigurationError, match="no strategy 'magic'"):
        HANDLERS[0](diagnosis=Diagnoses(diagnoses=[]), config=FixConfig(strategies=["magic"]))


def test_a_patch_that_git_refuses_is_dropped(tmp_path: Path):
    store = next(beat for beat in HANDLERS if beat.name == "store_patch")
    given = store.example(tmp_path)
    proposals = given["validate_syntax"]
    first = proposals.candidates[0]
    broken = first.model_copy(update={"patch": first.patch.replace(" # Changelog", " # Other")})
    patch = store(
        validate_syntax=proposals.model_copy(update={"candidates": [broken]}),
        workspace=given["workspace"],
    )
    assert patch.candidates == []
    assert patch.documentation == "none"
    assert "git does not apply it" in patch.dropped[0].reason


def test_a_patch_of_a_file_in_another_encoding_is_dropped_with_that_reason(tmp_path: Path):
    store = next(beat for beat in HANDLERS if beat.name == "store_patch")
    given = store.example(tmp_path)
    first = given["validate_syntax"].candidates[0]
    garbled = first.model_copy(
        update={"patch": first.patch.replace(" # Changelog", " # \N{REPLACEMENT CHARACTER}")}
    )
    patch = store(
        validate_syntax=given["validate_syntax"].model_copy(update={"candidates": [garbled]}),
        workspace=given["workspace"],
    )
    assert "not UTF-8" in patch.dropped[0].reason
