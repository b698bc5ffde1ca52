"""Recalling a pattern: every change built from it is listed, and the reverts are prepared."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from delivery_world import QuickDelivery, quick_delivery
from forge_servers import TOKEN, ForgeServer, github_app, gitlab_app, serving

from selfheal.artifacts import Deployment, Pattern, Patterns
from selfheal.artifacts.envelope import envelope
from selfheal.artifacts.patterns import Applicability, Outcomes, Provenance
from selfheal.cli.main import main
from selfheal.codebase.git import git
from selfheal.config import ForgeConfig
from selfheal.delivery import github
from selfheal.delivery.audit import read, verify
from selfheal.delivery.fingerprint import Fingerprint
from selfheal.delivery.forge import Forge, forge_for
from selfheal.learning.library import read_library

WHO = ("-c", "user.name=dev", "-c", "user.email=dev@localhost")


def learned(made: QuickDelivery, deployed: Deployment) -> None:
    """The library after a pattern shipped what was deployed, and something unknown here."""
    uses = [
        Provenance(
            run_id="r1",
            candidate_id=deployed.candidate_id or "",
            operation="POST /total",
            outcome="merged",
            commit=deployed.commit,
            pull_request=1,
        ),
        Provenance(
            run_id="r0", candidate_id="c0", operation="GET /", outcome="merged", commit="e" * 40
        ),
        Provenance(run_id="r2", candidate_id="c2", operation="GET /", outcome="failed"),
    ]
    pattern = Pattern(
        id="pattern-1234567890ab",
        name="a clever edit",
        applicability=Applicability(kind="error"),
        edit={"strategy": "s", "template": "t"},
        outcomes=Outcomes(),
        confidence=0.5,
        confidence_interval=(0.1, 0.9),
        provenance=uses,
    )
    content = envelope(
        "patterns", Patterns(patterns=[pattern]), run_id="r1", produced_by="test", inputs=[]
    )
    (made.artifacts / "patterns.json").write_bytes(content.to_bytes())


def recall(
    made: QuickDelivery, capsys: pytest.CaptureFixture[str], *arguments: str
) -> dict[str, object]:
    capsys.readouterr()
    repository = str(made.world.repository)
    configuration = made.folder / "selfheal.yaml"
    deploy = made.settings.deploy.model_dump(mode="json", exclude_defaults=True)
    configuration.write_text(json.dumps({"deploy": deploy}))
    code = main(
        [
            *("patterns", "recall", "pattern-12", "--repo", repository, "--json", *arguments),
            *("--artifacts", str(made.artifacts), "--config", str(configuration)),
        ]
    )
    printed = capsys.readouterr()
    assert code == 0, printed.err
    return dict(json.loads(printed.out))


def standings(told: dict[str, object]) -> dict[str, str]:
    uses = told["uses"]
    assert isinstance(uses, list)
    return {use["run_id"]: use["standing"] for use in uses}


def test_what_is_in_the_code_can_be_taken_back_and_asking_again_opens_no_second_request(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    made = quick_delivery(tmp_path)
    learned(made, made.deploy())
    state = git(made.world.repository, "status", "--porcelain=v2", "--branch").stdout
    told = recall(made, capsys)
    assert standings(told) == {"r1": "in the code", "r0": "not here", "r2": "not shipped"}
    assert made.forge.list_pulls("selfheal/recall") == [], "listing leaves the remote alone"
    prepared = (made.artifacts / "recalls" / "pattern-1234567890ab" / "recall.patch").read_text()
    assert prepared == told["patch"]

    opened = [recall(made, capsys, "--open", "--by", "ada")["pull_request"] for _ in range(2)]
    (pull,) = made.forge.list_pulls("selfheal/recall")
    assert [each["number"] for each in opened if isinstance(each, dict)] == [pull.number] * 2
    body = (made.forge.folder / pull.url).read_text()
    assert Fingerprint.read(body).causes == ["recall-pattern-1234567890ab"]
    undone = git(made.forge.folder, "diff-tree", "-r", "--name-only", "main", pull.head).stdout
    assert "pricing.py" in undone.split()
    assert [e.event for e in read(made.artifacts)][-1] == "recall: pull request"
    assert git(made.world.repository, "status", "--porcelain=v2", "--branch").stdout == state

    git(made.forge.folder, "update-ref", "refs/heads/main", pull.head)
    assert standings(recall(made, capsys))["r1"] == "taken back"


def test_later_commits_in_the_way_are_told(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    made = quick_delivery(tmp_path)
    deployed = made.deploy()
    learned(made, deployed)
    repository = made.world.repository
    git(repository, "fetch", "--quiet", "origin", "main")
    git(repository, "checkout", "--quiet", "-B", "later", "FETCH_HEAD")
    changed = git(
        repository, "diff-tree", "-r", "--name-only", f"{deployed.commit}^", str(deployed.commit)
    )
    for name in changed.stdout.split():
        (repository / name).write_text("# all anew\n")
    git(repository, *WHO, "commit", "--quiet", "-am", "All anew")
    git(repository, "push", "--quiet", "origin", "HEAD:main")
    told = recall(made, capsys)
    assert standings(told)["r1"] == "conflict"
    assert told["reverts"] == []


@pytest.mark.parametrize("kind", ["github", "gitlab"])
def test_a_hosted_forge_gets_the_pull_request_too(
    tmp_path: Path,
    kind: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    pytest.importorskip(kind)
    monkeypatch.setattr(github, "SECONDS_BETWEEN_REQUESTS", None)
    monkeypatch.setattr(github, "SECONDS_BETWEEN_WRITES", None)
    monkeypatch.setenv(f"{kind.upper()}_TOKEN", TOKEN)
    server = ForgeServer(tmp_path / "forge.git")
    app = {"github": github_app, "gitlab": gitlab_app}[kind]
    with serving(app(server), server) as running:
        forge = ForgeConfig(kind=kind, base_url=running.address, project="shop/service")  # type: ignore[arg-type]
        made = quick_delivery(tmp_path, forge=forge, checks_seconds=0)
        learned(made, made.deploy())
        recall(made, capsys, "--open", "--by", "ada")
        recall(made, capsys, "--open", "--by", "ada")
        hosted: Forge = forge_for(made.world.repository, made.settings.deploy)
        (pull,) = hosted.list_pulls("selfheal/recall")
        assert pull.state == "open"


def test_a_person_retires_and_reinstates_on_the_record(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    made = quick_delivery(tmp_path)
    learned(made, made.deploy())
    where = ["--artifacts", str(made.artifacts)]
    who = ["--by", "ada", "--because", "too clever"]
    assert main(["patterns", "retire", "pattern-1", *who, *where]) == 0
    (pattern,) = read_library(made.artifacts).patterns
    assert pattern.retired is not None
    assert (pattern.retired.by, pattern.retired.reason) == ("ada", "too clever")
    assert main(["patterns", "reinstate", "pattern-1", *who, *where]) == 0
    (pattern,) = read_library(made.artifacts).patterns
    assert pattern.retired is None
    assert pattern.pardoned == ["r0", "r1", "r2"]
    events = [entry.event for entry in read(made.artifacts)]
    assert events[-2:] == ["pattern: retire", "pattern: reinstate"]
    assert verify(made.artifacts).broken is None
    capsys.readouterr()
    assert main(["patterns", "list", *where]) == 0
    assert "a clever edit" in capsys.readouterr().out
    assert main(["patterns", "show", "pattern-9", *where]) == 2
    assert "selfheal patterns list" in capsys.readouterr().err
