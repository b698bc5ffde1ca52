"""The configuration: flags > ``SELFHEAL_*`` > selfheal.yaml or ``[tool.selfheal]`` > defaults.

One section per concern; a handler names the section that it reads by its type, and
only that section is part of the beat's cache key. Reading files and the environment
is `selfheal.configuration`'s work; these are the shapes.
"""

from __future__ import annotations

import json
import re
from typing import ClassVar, Literal

from pydantic import BaseModel, ConfigDict, Field, field_serializer

from selfheal.config_deploy import (
    DeployConfig,
    ForgeConfig,
    GateConfig,
    LimitsConfig,
    ManifestsConfig,
    PolicyConfig,
    RolloutCommandConfig,
)
from selfheal.config_section import Section

__all__ = [
    "BeatsConfig",
    "DeployConfig",
    "DetectConfig",
    "DiagnoseConfig",
    "FixConfig",
    "ForgeConfig",
    "GateConfig",
    "LanguageModelConfig",
    "LearnConfig",
    "LimitsConfig",
    "ManifestsConfig",
    "ObjectiveConfig",
    "PolicyConfig",
    "RolloutCommandConfig",
    "RunConfig",
    "SandboxConfig",
    "SearchConfig",
    "Section",
    "ServiceConfig",
    "Settings",
    "StoreConfig",
    "TelemetryConfig",
    "TestsConfig",
    "ValidateConfig",
]


class ServiceConfig(Section):
    """The service under care and how to start one process of it.

    `start` is a command; ``{python}``, ``{port}`` and ``{release}`` are filled in. It
    runs in a work tree, finds the OTLP/HTTP endpoint for its telemetry in the standard
    ``OTEL_EXPORTER_OTLP_ENDPOINT`` and its identity in ``OTEL_SERVICE_NAME`` and
    ``OTEL_RESOURCE_ATTRIBUTES`` (service.version, service.instance.id,
    vcs.ref.head.revision), and answers GET `health` with 200 when ready.
    """

    name: str | None = None
    start: list[str] = Field(default_factory=list)
    health: str = "/health"
    environment: dict[str, str] = Field(default_factory=dict)
    startup_seconds: float = Field(default=20.0, gt=0)


class TestsConfig(Section):
    """The suite of the repository under repair.

    `python` is the interpreter for its code (default: the one that runs selfheal);
    `command` follows it unless it is absolute, ``{python}`` is filled in.
    `client_fixture` is the pytest fixture that answers recorded requests in regression
    tests (werkzeug, Starlette and Django style clients); None looks for one in
    conftest.py. `sources` are the packages whose coverage counts.
    """

    # pytest would take a class of this name for tests.
    __test__: ClassVar[bool] = False

    python: str | None = None
    command: list[str] = Field(default_factory=lambda: ["{python}", "-m", "pytest", "-q"])
    client_fixture: str | None = None
    folder: str = "tests"
    sources: list[str] = Field(default_factory=list)
    timeout_seconds: float = Field(default=300.0, gt=0)


def _without_password(url: str) -> str:
    return re.sub(r"(?<=://)([^/@:]*):[^/]*@", r"\1@", url)


class TelemetryConfig(Section):
    """`paths` are files and folders; relative ones are relative to where selfheal was started.

    One may be ``clickhouse://user@host:port/database`` (see `selfheal.store.clickhouse`) or
    a folder that ``selfheal ingest`` fills. A password is taken from the environment variable
    CLICKHOUSE_PASSWORD; one in a URL is not written down, and so not there when phases run.
    """

    paths: list[str] = Field(default_factory=list)
    format: str = "auto"
    refused_listed: int = Field(default=100, ge=0)

    @field_serializer("paths")
    def _without_passwords(self, paths: list[str]) -> list[str]:
        return [_without_password(path) for path in paths]


class StoreConfig(Section):
    """Where `selfheal query` asks: None is the dataset of a run.

    `url` is ``clickhouse://user@host:port/database`` (see `selfheal.store.clickhouse`), or
    a folder that ``selfheal ingest`` fills. A password in it is used and never written
    down: in run.json and in what is printed it is left out.
    """

    url: str | None = None

    @field_serializer("url")
    def _without_password(self, url: str | None) -> str | None:
        return _without_password(url) if url else url


Grade = Literal["low", "medium", "high", "critical"]
# From a slow burn to one that spends a month's budget in two days.
_BURN_RATES: dict[Grade, float] = {"low": 1.0, "medium": 2.0, "high": 6.0, "critical": 14.4}


class ObjectiveConfig(Section):
    """One service level objective over the entry requests of a service, or of one operation.

    `target` is in ms for p50, p95 and p99, a share of the requests (0.001: one in a
    thousand) for error_rate and availability, requests a second for throughput. The
    burn rate is how many times as fast as allowed the objective's budget is spent: of a
    p95, 5 % of the requests may be slower. `severities` says from which burn rate on an
    anomaly is how grave.
    """

    measure: Literal["p50", "p95", "p99", "error_rate", "availability", "throughput"]
    target: float = Field(gt=0)
    service: str | None = None
    operation: str | None = None
    severities: dict[Grade, float] = Field(default_factory=lambda: dict(_BURN_RATES))


class DetectConfig(Section):
    """One set of defaults for every service.

    `bucket_seconds` is the exchangeable unit of time; None takes a minute, or a
    thirtieth of a shorter window. `minimum_ratio` is the practical floor of a latency
    regression, `significance` the level of its test after correction. `slo` are service
    level objectives; those of a file slo.yaml in the repository count as well.
    `sequences` are files and folders of declared sequences, relative to the repository;
    empty: those that its folders named like sequences hold.
    """

    baseline_release: str | None = None
    candidate_release: str | None = None
    bucket_seconds: float | None = Field(default=None, gt=0)
    significance: float = Field(default=0.05, gt=0, lt=1)
    minimum_ratio: float = Field(default=1.1, ge=1)
    minimum_buckets: int = Field(default=8, ge=4)
    minimum_traces: int = Field(default=20, ge=2)
    health_weights: dict[str, float] = Field(
        default_factory=lambda: {"latency": 0.3, "errors": 0.4, "availability": 0.3}
    )
    slo: list[ObjectiveConfig] = Field(default_factory=list)
    sequences: list[str] = Field(default_factory=list)


class DiagnoseConfig(Section):
    """`minimum_score` is the evidence (0–1) below which no code is accused."""

    minimum_score: float = Field(default=0.4, ge=0, le=1)
    max_locations: int = Field(default=5, ge=1)
    max_suspects: int = Field(default=5, ge=1)
    vendored: list[str] = Field(
        default_factory=lambda: [
            "vendor/",
            "third_party/",
            "node_modules/",
            "site-packages/",
            ".venv/",
        ]
    )


class SearchConfig(Section):
    """The search among small edits for errors that tests show.

    It tries at most `candidates` edits, then at most `pairs` of edits, and at most `imports`
    edits that need the project imported anew; it ends once `enough` made the failing tests
    pass. Where no test of the suite shows the trouble, the test made of recorded requests
    does: at most `recorded` edits are tried on it, and none where one of a strategy passes.
    `seconds` is a safety: a search that it ended may find others when repeated.
    `workers` run at a time (0: one a core, at most four).
    """

    candidates: int = Field(default=4000, ge=0)
    pairs: int = Field(default=1000, ge=0)
    imports: int = Field(default=200, ge=0)
    recorded: int = Field(default=400, ge=0)
    enough: int = Field(default=8, ge=1)
    seconds: float = Field(default=240.0, gt=0)
    workers: int = Field(default=0, ge=0)


class LanguageModelConfig(Section):
    """Proposals by a language model, where `base_url` names an OpenAI-compatible server.

    `models` are asked in turn until one answers. The key is read from the environment
    variable `api_key_variable`. `requests`, `tokens`, `seconds` and `cost` are the budget of a
    run until it is resumed; prices are per million tokens, in the currency of `cost`. `send` none sends nothing.
    """

    base_url: str | None = None
    models: list[str] = Field(default_factory=lambda: ["default"], min_length=1)
    api_key_variable: str = "OPENAI_API_KEY"
    proposals: int = Field(default=3, ge=1)
    requests: int = Field(default=6, ge=1)
    tokens: int = Field(default=40_000, ge=1)
    seconds: float = Field(default=120.0, gt=0)
    request_seconds: float = Field(default=60.0, gt=0)
    cost: float | None = Field(default=None, ge=0)
    input_price: float = Field(default=0.0, ge=0)
    output_price: float = Field(default=0.0, ge=0)
    send: Literal["excerpts", "none"] = "excerpts"


class FixConfig(Section):
    """`strategies` limits what is tried (empty: all). `changelog` is the file for the documentation entry.

    `index` says whether pip or uv may be asked for distributions that are not installed.
    """

    strategies: list[str] = Field(default_factory=list)
    max_candidates: int = Field(default=8, ge=1)
    changelog: str = "CHANGELOG.md"
    index: bool = True
    search: SearchConfig = Field(default_factory=SearchConfig)
    llm: LanguageModelConfig = Field(default_factory=LanguageModelConfig)


class ValidateConfig(Section):
    """Proof. `enough` passing candidates per diagnosis end the search; `repetitions` are ABBA rounds.

    `shuffled_runs` are of the tests that come with a fix or show its trouble, each in a
    process and an order of its own; `mutants` says whether small faults are made in the
    fix to see whether those tests notice. No step takes longer than `timeout_seconds`; the
    suite with a patch ends sooner, by its own time without one.
    """

    max_candidates: int = Field(default=8, ge=1)
    enough: int = Field(default=2, ge=1)
    repetitions: int = Field(default=10, ge=3)
    shuffled_runs: int = Field(default=20, ge=0)
    mutants: bool = True
    timeout_seconds: float = Field(default=300.0, gt=0)
    memory_megabytes: int = Field(default=2048, ge=64)
    minimum_changed_coverage: float = Field(default=0.0, ge=0, le=1)
    allow_unisolated: bool = True


class SandboxConfig(Section):
    """How code under repair is confined; see docs/sandbox.md.

    `level` auto takes the best that works here, another must work. At `limits` nothing
    is kept from the code: it runs only with `allow_unisolated`. `processes` and
    `disk_megabytes` (written beyond what was there) are of one command and all that it
    starts. `ports` are TCP ports that services under test may reach beside the
    receiver of their telemetry, such as a database on loopback.
    """

    level: Literal["auto", "bubblewrap", "landlock", "limits"] = "auto"
    allow_unisolated: bool = False
    processes: int = Field(default=512, ge=8)
    disk_megabytes: int = Field(default=4096, ge=1)
    ports: list[int] = Field(default_factory=list)

    def environment(self) -> dict[str, str]:
        """These settings as the variables that stand for them, for processes of a run."""
        return {
            f"SELFHEAL_SANDBOX__{name.upper()}": value
            if isinstance(value, str)
            else json.dumps(value)
            for name, value in self.model_dump().items()
        }


class LearnConfig(Section):
    """`observe_seconds` of live telemetry after the rollout are compared with before.

    `trusted_keys` are the public keys (``selfheal patterns key``) whose exports of patterns
    may be imported.
    """

    trusted_keys: list[str] = Field(default_factory=list)
    observe_seconds: float = Field(default=30.0, ge=0)
    minimum_improvement: float = Field(default=0.1, ge=0)


class RunConfig(Section):
    """The runner. `durability` power survives a power cut, process a killed process."""

    artifacts: str = "artifacts"
    executor: str = "processes"
    workers: int = Field(default=0, ge=0, description="0: one per core")
    beat_timeout_seconds: float = Field(default=900.0, gt=0)
    durability: Literal["process", "power"] = "process"


class BeatsConfig(Section):
    """`folder` holds the project's own beats: ``handlers/*.py`` and ``sequences/*.json``."""

    folder: str = "selfheal_beats"


class Settings(BaseModel):
    """Everything, as the runner freezes it into run.json."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    service: ServiceConfig = Field(default_factory=ServiceConfig)
    tests: TestsConfig = Field(default_factory=TestsConfig)
    telemetry: TelemetryConfig = Field(default_factory=TelemetryConfig)
    store: StoreConfig = Field(default_factory=StoreConfig)
    detect: DetectConfig = Field(default_factory=DetectConfig)
    diagnose: DiagnoseConfig = Field(default_factory=DiagnoseConfig)
    fix: FixConfig = Field(default_factory=FixConfig)
    # `validate` is a method of every pydantic model; the key in the file stays `validate`.
    validation: ValidateConfig = Field(default_factory=ValidateConfig, alias="validate")
    sandbox: SandboxConfig = Field(default_factory=SandboxConfig)
    deploy: DeployConfig = Field(default_factory=DeployConfig)
    learn: LearnConfig = Field(default_factory=LearnConfig)
    run: RunConfig = Field(default_factory=RunConfig)
    beats: BeatsConfig = Field(default_factory=BeatsConfig)
