"""The sections of the deploy phase: forge, policies, and the rollout with its gates."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from selfheal.artifacts.model import AnomalyKind
from selfheal.config_section import Section


class GateConfig(Section):
    """Each step is watched until every judge is sure, at the most `step_seconds`.

    `significance` is the most that a well release may be rolled back with, over all steps
    and questions. `error_tolerance` is the share of failed requests that may be more than
    `maximum_error_ratio` allows, for rates of nothing have no ratio. `maximum_load_ratio` is of
    processor time per request, `maximum_memory_ratio` of the largest instance. `fresh_baseline` starts
    instances of the old release together with those of the new one.

    A step that is not decided in time, or one of `ask_before` that asks a human first, pauses
    the rollout and is judged on for `pause_seconds`; then traffic goes back. Traffic also
    goes back `grace_seconds` after a rollout lost its process.
    """

    step_seconds: float = Field(default=60.0, gt=0)
    minimum_requests: int = Field(default=50, ge=1)
    maximum_error_ratio: float = Field(default=1.5, ge=1)
    error_tolerance: float = Field(default=0.01, ge=0, lt=1)
    maximum_latency_ratio: float = Field(default=1.3, ge=1)
    saturation: bool = True
    maximum_load_ratio: float = Field(default=2.0, ge=1)
    maximum_memory_ratio: float = Field(default=1.5, ge=1)
    significance: float = Field(default=0.05, gt=0, lt=1)
    fresh_baseline: bool = True
    ask_before: list[int] = Field(default_factory=list)
    pause_seconds: float = Field(default=3600.0, gt=0)
    grace_seconds: float = Field(default=30.0, gt=0)


class RolloutCommandConfig(Section):
    """Your own scripts for ``deploy.target: command``.

    In their arguments ``{percent}``, ``{commit}``, ``{old}`` and ``{new}`` are filled in.
    `current` prints a JSON object: ``release`` that has the traffic and, once a rollout has
    begun, the ``percent`` of ``{new}``. `shift` moves traffic, 0 takes it back. `prepare`
    and `retire` start and end what serves a release; `health` exits with 0 while the new
    release is well. `telemetry` are the files that the service's OTLP JSON lines go to.
    """

    current: list[str] = Field(default_factory=list)
    prepare: list[str] = Field(default_factory=list)
    shift: list[str] = Field(default_factory=list)
    health: list[str] = Field(default_factory=list)
    retire: list[str] = Field(default_factory=list)
    telemetry: list[str] = Field(default_factory=list)
    timeout_seconds: float = Field(default=300.0, gt=0)


class ManifestsConfig(Section):
    """What ``deploy.target: manifests`` writes for a progressive-delivery controller.

    `workload` is the Deployment to take over, `image` the container image with
    ``{commit}`` filled in, `prometheus` the address that the controller asks.
    """

    controller: Literal["argo-rollouts", "flagger"] = "argo-rollouts"
    workload: str | None = None
    namespace: str = "default"
    image: str | None = None
    port: int = Field(default=80, ge=1, le=65535)
    prometheus: str = "http://prometheus.monitoring:9090"


Approving = Literal["review", "auto", "never"]


class PolicyConfig(Section):
    """What may be done with changes of a `kind` of anomaly to files like `path`.

    `path` is a shell pattern whose ``*`` crosses folders. The first rule that fits a file
    counts. `level` is the lower bound of measured success from which `auto` takes effect,
    None for ``deploy.level``.
    """

    approval: Approving
    kind: AnomalyKind | None = None
    path: str | None = None
    level: float | None = Field(default=None, ge=0, lt=1)


class LimitsConfig(Section):
    """Pull requests of selfheal: opened within 24 hours, and open at the same time."""

    per_day: int = Field(default=5, ge=0)
    open: int = Field(default=10, ge=0)


class ForgeConfig(Section):
    """Where pull requests are opened. `kind` auto goes by the address of the remote.

    `base_url` is the API of a server of one's own, `project` is ``owner/name`` where the
    remote's address does not say. The token is in the environment variable `token_variable`.
    """

    kind: Literal["auto", "local", "github", "gitlab"] = "auto"
    base_url: str | None = None
    project: str | None = None
    token_variable: str | None = None
    draft: bool = True
    labels: list[str] = Field(default_factory=lambda: ["selfheal"])


class DeployConfig(Section):
    """`approval`: review asks a human, auto does not, never ships nothing.

    `policies` say so by kind and path, `approval` for what none of them names. auto takes
    effect where the ledger's success has a lower 95 % bound of at least `level`.
    Branches like one of `protected` are merged into by people only. `required_checks`
    must report success before a merge, waited for up to `checks_seconds`, beside
    those that the forge itself requires.
    `target` none ends with the merge; processes rolls over the fleet whose folder is
    `fleet`; command calls your own scripts; manifests writes what a controller applies.
    A rollout goes on only within one of `windows` ("Mon-Fri 09:00-16:00"; none: always) and
    not on the days of `freezes` ("2026-12-20/2027-01-03"), both in `timezone`.
    """

    approval: Approving = "review"
    policies: list[PolicyConfig] = Field(default_factory=list)
    level: float = Field(default=0.8, ge=0, lt=1)
    limits: LimitsConfig = Field(default_factory=LimitsConfig)
    forge: ForgeConfig = Field(default_factory=ForgeConfig)
    remote: str = "origin"
    base: str = "main"
    branch_prefix: str = "selfheal/"
    protected: list[str] = Field(default_factory=list)
    required_checks: list[str] = Field(default_factory=list)
    checks_seconds: float = Field(default=1800.0, ge=0)
    author_name: str = "selfheal"
    author_email: str = "selfheal@localhost"
    sign_off: bool = False
    ci_command: list[str] = Field(default_factory=list)
    ci_timeout_seconds: float = Field(default=600.0, gt=0)
    target: Literal["none", "processes", "command", "manifests"] = "none"
    fleet: str | None = None
    steps: list[int] = Field(default_factory=lambda: [10, 25, 100])
    gate: GateConfig = Field(default_factory=GateConfig)
    command: RolloutCommandConfig = Field(default_factory=RolloutCommandConfig)
    manifests: ManifestsConfig = Field(default_factory=ManifestsConfig)
    windows: list[str] = Field(default_factory=list)
    freezes: list[str] = Field(default_factory=list)
    timezone: str = "UTC"
