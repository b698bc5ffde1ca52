"""What is read back from a run folder: artifacts, single things by id, the chosen patch."""

from __future__ import annotations

import json
from pathlib import Path

import jsonschema
import pytest

from selfheal.artifacts import Anomalies, Candidate, Model, Patch, Patterns, Validation
from selfheal.artifacts.anomalies import Health, HealthComponent
from selfheal.artifacts.envelope import envelope
from selfheal.artifacts.patterns import Applicability, Outcomes, Pattern
from selfheal.artifacts.validation import Check, Composition, Result
from selfheal.cli.main import main

RUN = "20260101T000000Z-aaaaaa"


def candidate(id: str, rank: int) -> Candidate:
    return Candidate(
        id=id,
        diagnosis_id="diagnosis-1",
        strategy="guard",
        rank=rank,
        score=1 / rank,
        files=["shop/cart.py"],
        patch=f"--- a/shop/cart.py\n+++ b/shop/cart.py\n@@ -1 +1 @@\n-x\n+{id}\n",
        explanation="Guards the lookup.",
        base_commit="c" * 40,
    )


def result(id: str, verdict: str) -> Result:
    return Result.model_validate(
        {
            "candidate_id": id,
            "diagnosis_id": "diagnosis-1",
            "verdict": verdict,
            "reason": "all checks passed" if verdict == "passed" else "the suite fails",
            "checks": [Check(name="suite", verdict="passed", summary="31 tests").model_dump()],
        }
    )


PATCH = Patch(candidates=[candidate("candidate-aa1", 1), candidate("candidate-ab2", 2)])
COMPOSITION = Composition(
    id="combined-c1", candidate_ids=["candidate-aa1", "candidate-ab2"], patch="--- combined\n"
)


def validation(selected: str | None, composition: Composition | None = None) -> Validation:
    return Validation(
        results=[result("candidate-aa1", "failed"), result("candidate-ab2", "passed")],
        selected=selected,
        reason="it proved itself" if selected else "none passed",
        composition=composition,
        isolation="rlimits, not isolated",
    )


@pytest.fixture
def artifacts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    folder = tmp_path / "artifacts" / "runs" / RUN
    folder.mkdir(parents=True)
    (folder / "run.json").write_text("{}")
    (tmp_path / "artifacts" / "latest").symlink_to(Path("runs") / RUN)
    return folder


def store(folder: Path, name: str, payload: Model) -> None:
    wrapped = envelope(name, payload, run_id=RUN, produced_by="test", inputs=[])
    (folder / f"{name}.json").write_bytes(wrapped.to_bytes())


def test_the_chosen_patch_is_the_diff_and_nothing_else(
    artifacts: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    store(artifacts, "patch", PATCH)
    store(artifacts, "validation", validation("candidate-ab2"))
    assert main(["patch"]) == 0
    assert capsys.readouterr().out == PATCH.candidates[1].patch


def test_the_chosen_composition_is_printed_whole(
    artifacts: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    store(artifacts, "patch", PATCH)
    store(artifacts, "validation", validation("combined-c1", COMPOSITION))
    assert main(["patch"]) == 0
    assert capsys.readouterr().out == "--- combined\n"


def test_no_chosen_patch_is_exit_1_with_the_reason(
    artifacts: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    store(artifacts, "patch", PATCH)
    store(artifacts, "validation", validation(None))
    assert main(["patch"]) == 1
    captured = capsys.readouterr()
    assert captured.out == ""
    assert "none passed" in captured.err


def test_a_candidate_by_the_beginning_of_its_id(
    artifacts: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    store(artifacts, "patch", PATCH)
    assert main(["patch", "--candidate", "candidate-aa", "--json"]) == 0
    shown = json.loads(capsys.readouterr().out)
    assert shown == {"candidate_id": "candidate-aa1", "patch": PATCH.candidates[0].patch}
    assert main(["patch", "--candidate", "candidate-a"]) == 1
    assert "2 candidates" in capsys.readouterr().err


def test_a_candidate_is_shown_with_what_was_proven(
    artifacts: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    store(artifacts, "patch", PATCH)
    store(artifacts, "validation", validation("candidate-ab2"))
    assert main(["show", "candidate-ab2", "--json"]) == 0
    shown = json.loads(capsys.readouterr().out)
    assert shown["strategy"] == "guard"
    assert shown["validation"]["verdict"] == "passed"


def test_an_ambiguous_beginning_lists_what_it_could_be(
    artifacts: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    store(artifacts, "patch", PATCH)
    assert main(["show", "candidate-"]) == 1
    assert "candidate-aa1, candidate-ab2" in capsys.readouterr().err


def test_texts_hold_what_a_person_looks_for(
    artifacts: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    store(artifacts, "patch", PATCH)
    store(artifacts, "validation", validation("candidate-ab2"))
    store(
        artifacts,
        "anomalies",
        Anomalies(
            anomalies=[],
            health=Health(
                state="no_data",
                score=None,
                components=[
                    HealthComponent(
                        name="latency", score=None, weight=0.3, explanation="nothing measured"
                    )
                ],
            ),
        ),
    )
    pattern = Pattern(
        id="pattern-1",
        name="guard a lookup",
        applicability=Applicability(kind="error"),
        edit={},
        outcomes=Outcomes(tried=2, validated=2, merged=1),
        confidence=0.75,
        confidence_interval=(0.29, 0.99),
        provenance=[],
    )
    store(artifacts, "patterns", Patterns(patterns=[pattern]))
    expected = {
        "patch": ["candidate-aa1", "guard", "shop/cart.py"],
        "validation": ["selected: candidate-ab2", "the suite fails", "31 tests", "not isolated"],
        "anomalies": ["health no data", "nothing measured", "no anomalies"],
        "patterns": ["guard a lookup", "0.29–0.99", "1 of 2 merged"],
    }
    for name, texts in expected.items():
        assert main(["show", name]) == 0
        shown = capsys.readouterr().out
        assert [text for text in texts if text not in shown] == [], shown


def test_a_broken_artifact_names_file_and_pointer(
    artifacts: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    store(artifacts, "patch", PATCH)
    path = artifacts / "patch.json"
    path.write_text(path.read_text().replace('"rank":1', '"rank":"first"'))
    assert main(["show", "patch"]) == 2
    message = capsys.readouterr().err
    assert "patch.json" in message
    assert "/payload/candidates/0/rank" in message


def test_an_artifact_that_was_not_made_names_the_command(
    artifacts: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["show", "deployment"]) == 1
    assert "selfheal run --phase deploy" in capsys.readouterr().err


def test_the_schema_of_an_artifact_accepts_the_artifact(
    artifacts: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    store(artifacts, "patch", PATCH)
    assert main(["show", "patch", "--schema"]) == 0
    schema = json.loads(capsys.readouterr().out)
    jsonschema.Draft202012Validator(schema).validate(
        json.loads((artifacts / "patch.json").read_bytes())
    )
    assert main(["show", "pach", "--schema"]) == 1
    assert "there is no artifact" in capsys.readouterr().err
