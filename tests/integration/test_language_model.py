"""Proposals of a language model, asked of a real server process; nothing depends on it."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

sys.path.insert(0, str(Path(__file__).parents[1] / "unit"))

from repair_problems import PATH, problem_of

from selfheal.config import LanguageModelConfig
from selfheal.repair import Problem, edited
from selfheal.repair.candidates import propose
from selfheal.repair.language_model import (
    Adviser,
    advised,
    prompt_of,
    redacted,
)

pytest.importorskip("pydantic_ai", reason="pip install 'selfheal[llm]'")
pytest.importorskip("openai", reason="pip install 'selfheal[llm]'")

SERVER = Path(__file__).parents[1] / "resources" / "openai_server.py"
TEXT = 'KEY = "sk-abcdefghijklmnop1234"\n\n\ndef last(xs):\n    return xs[len(xs)]\n'


@dataclass
class Server:
    address: str
    log: Path

    def requests(self) -> list[dict[str, Any]]:
        lines = self.log.read_text().splitlines() if self.log.exists() else []
        return [json.loads(line) for line in lines]

    def config(self, *models: str, **more: Any) -> LanguageModelConfig:
        return LanguageModelConfig(base_url=self.address, models=list(models), **more)


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    log = tmp_path / "requests.jsonl"
    with subprocess.Popen(
        [sys.executable, str(SERVER), str(log)], stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        port = process.stdout.readline().strip()
        yield Server(f"http://127.0.0.1:{port}/v1", log)
        process.kill()


@pytest.fixture
def problem() -> Problem:
    evidence = {"exception_type": "IndexError", "message": "list index out of range"}
    return problem_of(TEXT, 5, evidence, tests="assert True\n")


def test_good_proposals_join_the_candidates_and_bad_ones_are_refused_with_the_reason(
    server: Server, problem: Problem, tmp_path: Path
) -> None:
    (found,), notes = advised([problem], server.config("mends", proposals=5), tmp_path / "llm")
    edits = [edit for edit in propose(found) if edit.strategy == "language_model"]
    assert [edited(edit, found.sources)[PATH] for edit in edits] == [
        TEXT.replace("xs[len(xs)]", "xs[-1]")
    ]
    told = "\n".join(note for _, note in notes)
    assert "tests/test_app.py was refused: it is none of the files at hand" in told
    assert "../../etc/passwd was refused" in told
    assert "does not occur exactly once" in told
    assert "does not parse" in told


def test_only_the_accused_code_is_sent_and_no_secret(
    server: Server, problem: Problem, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MODEL_KEY", "from-the-environment")
    config = server.config("mends", api_key_variable="MODEL_KEY")
    advised([problem], config, tmp_path / "llm")
    (request,) = server.requests()
    sent = json.dumps(request["messages"])
    assert request["key"] == "Bearer from-the-environment"
    assert "return xs[len(xs)]" in sent
    assert "IndexError" in sent
    assert "sk-abcdef" not in sent


def test_what_looks_like_a_secret_is_taken_out() -> None:
    text = (
        'password = "hunter22"\ntoken: "abcd1234"\nurl = "https://me:pass@host/"\n'
        'name = "ordinary"\nAKIAABCDEFGHIJKLMNOP ghp_abcdefghijklmnopqrst\n'
    )
    found = redacted(text)
    assert all(
        secret not in found for secret in ("hunter22", "abcd1234", "me:pass", "AKIA", "ghp_")
    )
    assert 'name = "ordinary"' in found


def test_the_next_model_is_asked_where_one_fails(
    server: Server, problem: Problem, tmp_path: Path
) -> None:
    config = server.config("broken", "limited", "mends", requests=5)
    (found,), _ = advised([problem], config, tmp_path / "llm")
    assert found.proposals
    assert [request["model"] for request in server.requests()] == ["broken", "limited", "mends"]


@pytest.mark.parametrize(
    ("model", "words"),
    [
        ("broken", "out of order"),
        ("limited", "no quota left"),
        ("garbage", "gave no answer"),
        ("slow", "gave no answer"),
    ],
)
def test_a_server_that_does_not_help_costs_a_note_and_nothing_else(
    server: Server, problem: Problem, tmp_path: Path, model: str, words: str
) -> None:
    config = server.config(model, seconds=3.0, request_seconds=2.0)
    (found,), notes = advised([problem], config, tmp_path / "llm")
    assert found == problem
    assert len(notes) == 1
    assert words in notes[0][1]


def test_a_server_that_is_gone_costs_a_note(problem: Problem, tmp_path: Path) -> None:
    config = LanguageModelConfig(base_url="http://127.0.0.1:9/v1", models=["mends"])
    (found,), notes = advised([problem], config, tmp_path / "llm")
    assert found == problem
    assert "gave no answer" in notes[0][1]


@pytest.mark.parametrize(
    ("budget", "words"),
    [
        ({"requests": 1}, "1 requests is spent"),
        ({"tokens": 400}, "400 tokens is spent"),
        ({"cost": 0.001, "input_price": 10.0}, "0.001 is spent"),
    ],
)
def test_no_more_is_asked_than_the_budget_allows(
    server: Server, problem: Problem, tmp_path: Path, budget: dict[str, Any], words: str
) -> None:
    adviser = Adviser(server.config("mends", **budget), tmp_path / "llm")
    assert adviser.advise(problem).edits
    other = problem.model_copy(update={"sources": {PATH: TEXT.replace("def last", "def final")}})
    (note,) = adviser.advise(other).notes
    assert words in note
    assert len(server.requests()) == 1


def test_whoever_asks_next_has_what_is_left_of_the_budget(
    server: Server, problem: Problem, tmp_path: Path
) -> None:
    """Also where the answer was of no use: a request that failed was sent all the same."""
    config = server.config("mends", requests=1, input_price=10.0)
    spent = Adviser(config, tmp_path / "llm")
    assert spent.advise(problem).edits
    assert spent.spent.requests == 1
    assert spent.spent.tokens > 0
    assert spent.spent.cost > 0
    other = problem.model_copy(update={"sources": {PATH: TEXT.replace("def last", "def final")}})
    (note,) = Adviser(config, tmp_path / "llm").advise(other).notes
    assert "1 requests is spent" in note


def test_a_resumed_beat_does_not_ask_again(
    server: Server, problem: Problem, tmp_path: Path
) -> None:
    first = advised([problem], server.config("mends"), tmp_path / "llm")
    again = advised([problem], server.config("mends"), tmp_path / "llm")
    assert first == again
    assert len(server.requests()) == 1


def test_a_beat_that_is_tried_again_does_not_ask_again(server: Server, tmp_path: Path) -> None:
    """What the model says of other files is refused, and told among what was dropped."""
    from selfheal_handlers.fix.load_diagnosis import load_diagnosis

    given = dict(load_diagnosis.example(tmp_path))
    given["fix"] = given["fix"].model_copy(update={"llm": server.config("mends")})
    workspace = given["workspace"]
    material = [load_diagnosis(**given)]
    asked = len(server.requests())
    assert asked > 0
    # The engine empties a beat's own folder before each attempt.
    shutil.rmtree(workspace.folder)
    material.append(load_diagnosis(**given))
    assert len(server.requests()) == asked
    first, again = ([each.reason for each in one.declined] for one in material)
    assert any("passwd was refused" in reason for reason in first)
    assert first == again


def test_without_a_server_or_with_nothing_to_send_nothing_is_asked(
    server: Server, problem: Problem, tmp_path: Path
) -> None:
    for config in (LanguageModelConfig(), server.config("mends", send="none")):
        assert advised([problem], config, tmp_path / "llm") == ([problem], [])
    assert server.requests() == []
    assert prompt_of(problem.model_copy(update={"sources": {}})) is None
