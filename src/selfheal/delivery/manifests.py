"""A rollout as manifests for Argo Rollouts or Flagger: written and checked, never applied.

The controller judges by thresholds on Prometheus, which is less than the gates of
`selfheal.delivery.gate` do: for each step it asks whether the new release fails or slows
down by more than the configured ratios over the other ones. With Argo Rollouts, no data
and what lies between "well" and "sick" is inconclusive, which pauses the rollout.
"""

from __future__ import annotations

import math
import re
from typing import Any

from selfheal.config import DeployConfig
from selfheal.contract import Workspace
from selfheal.delivery.manifests_schema import SCHEMAS
from selfheal.delivery.rollout import Rollout, planned_steps
from selfheal.errors import ConfigurationError

# The metric of OpenTelemetry's semantic conventions for HTTP servers, as Prometheus names it.
_METRIC = "http_server_request_duration_seconds"


def write_manifests(config: DeployConfig, commit: str, workspace: Workspace) -> Rollout:
    """Write the manifests of a commit to ``rollout/`` of the run's folder."""
    names = []
    for name, documents in manifests(config, commit).items():
        workspace.write(f"rollout/{name}", _yaml(documents))
        names.append(name)
    controller = config.manifests.controller
    return Rollout(
        reason=f"{', '.join(names)} for {controller} are in the run's folder rollout/; "
        "apply them with kubectl apply -k"
    )


def manifests(config: DeployConfig, commit: str) -> dict[str, list[dict[str, Any]]]:
    """The files by name, each with its documents.

    Raises ConfigurationError where the workload or the image is not known, or where what
    would be written does not fit the controller's resource definition.
    """
    settings = config.manifests
    for name in ("workload", "image"):
        if not getattr(settings, name):
            raise ConfigurationError(
                f"deploy.target manifests needs the {name}.",
                where=f"deploy.manifests.{name}",
                hint="Write workload: shop and image: registry.example.com/shop:{commit}.",
            )
    made = _argo(config) if settings.controller == "argo-rollouts" else _flagger(config)
    for documents in made.values():
        for document in documents:
            check(document)
    return made | {"kustomization.yaml": [_kustomization(config, commit, sorted(made))]}


def check(document: dict[str, Any]) -> None:
    """Check one document against its schema. Raises ConfigurationError with the place."""
    from jsonschema import Draft202012Validator

    validator = Draft202012Validator(SCHEMAS[document["kind"]])
    for error in validator.iter_errors(document):
        raise ConfigurationError(
            f"the {document['kind']} would not be taken: {error.message}.",
            where=f"{document['kind']}: /{'/'.join(map(str, error.absolute_path))}",
            hint="Look at deploy.manifests and deploy.steps.",
        )


def _argo(config: DeployConfig) -> dict[str, list[dict[str, Any]]]:
    settings, gate = config.manifests, config.gate
    name = str(settings.workload)
    steps: list[dict[str, Any]] = []
    for percent in planned_steps(config.steps):
        if percent in gate.ask_before:
            steps.append({"pause": {}})
        steps += [
            {"setWeight": percent},
            {"analysis": {"templates": [{"templateName": f"{name}-selfheal"}]}},
        ]
    looks = 8
    interval = f"{max(1, round(gate.step_seconds / looks))}s"
    metrics = [
        {
            "name": metric,
            "interval": interval,
            "initialDelay": interval,
            "count": looks,
            "successCondition": f"{_KNOWN} && result[0] < {most:g}",
            "failureCondition": f"{_KNOWN} && result[0] >= {most:g}",
            "failureLimit": 0,
            "inconclusiveLimit": 0,
            "provider": {"prometheus": {"address": settings.prometheus, "query": query}},
        }
        for metric, query, most in _questions(config, "30s")
    ]
    rollout = _resource(
        "argoproj.io/v1alpha1",
        "Rollout",
        config,
        name,
        {"workloadRef": _reference(name), "strategy": {"canary": {"steps": steps}}},
    )
    template = _resource(
        "argoproj.io/v1alpha1", "AnalysisTemplate", config, f"{name}-selfheal", {"metrics": metrics}
    )
    return {"analysis.yaml": [template], "rollout.yaml": [rollout]}


_KNOWN = "len(result) > 0 && !isNaN(result[0])"


def _flagger(config: DeployConfig) -> dict[str, list[dict[str, Any]]]:
    settings, gate = config.manifests, config.gate
    name = str(settings.workload)
    interval = f"{max(1, round(gate.step_seconds))}s"
    templates, metrics = [], []
    for metric, query, most in _questions(config, interval):
        provider = {"type": "prometheus", "address": settings.prometheus}
        templates.append(
            _resource(
                "flagger.app/v1beta1",
                "MetricTemplate",
                config,
                f"{name}-{metric}",
                {"provider": provider, "query": query},
            )
        )
        metrics.append(
            {
                "name": metric,
                "interval": interval,
                "templateRef": {"name": f"{name}-{metric}", "namespace": settings.namespace},
                "thresholdRange": {"max": float(f"{most:.6g}")},
            }
        )
    analysis = {
        "interval": interval,
        "threshold": 1,
        "stepWeights": planned_steps(config.steps),
        "metrics": metrics,
    }
    spec = {
        "targetRef": _reference(name),
        "service": {"port": settings.port},
        "analysis": analysis,
    }
    canary = _resource("flagger.app/v1beta1", "Canary", config, name, spec)
    return {"canary.yaml": [canary], "metrics.yaml": templates}


def _questions(config: DeployConfig, window: str) -> list[tuple[str, str, float]]:
    """Name, query and the value from which the new release is sick: ratios over the others."""
    gate, name = config.gate, config.manifests.workload
    new = f'service_name="{name}",service_version=~".*-selfheal[.].*"'
    old = f'service_name="{name}",service_version!~".*-selfheal[.].*"'
    failed = 'http_response_status_code=~"5.."'

    def rate(labels: str) -> str:
        return f"sum(rate({_METRIC}_count{{{labels}}}[{window}]))"

    def slow(labels: str) -> str:
        buckets = f"sum by (le) (rate({_METRIC}_bucket{{{labels}}}[{window}]))"
        return f"histogram_quantile(0.95, {buckets})"

    tolerated = f"{gate.error_tolerance:g}"
    errors = (
        f"(({rate(f'{new},{failed}')} or vector(0)) / {rate(new)}) / "
        f"(({rate(f'{old},{failed}')} or vector(0)) / {rate(old)} + {tolerated})"
    )
    return [
        ("error-rate", errors, math.sqrt(gate.maximum_error_ratio)),
        ("latency-p95", f"{slow(new)} / {slow(old)}", math.sqrt(gate.maximum_latency_ratio)),
    ]


def _kustomization(config: DeployConfig, commit: str, resources: list[str]) -> dict[str, Any]:
    image = str(config.manifests.image).replace("{commit}", commit)
    found = re.fullmatch(
        r"(?P<name>[^@]+?)(?::(?P<tag>[^/:@]+)|@(?P<digest>sha256:[0-9a-f]+))?", image
    )
    if found is None or not (found["tag"] or found["digest"]):
        raise ConfigurationError(
            f"the image {image!r} has no tag.",
            where="deploy.manifests.image",
            hint="Write registry.example.com/shop:{commit}.",
        )
    chosen = {"newTag": found["tag"]} if found["tag"] else {"digest": found["digest"]}
    return {
        "apiVersion": "kustomize.config.k8s.io/v1beta1",
        "kind": "Kustomization",
        "namespace": config.manifests.namespace,
        "resources": resources,
        "images": [{"name": found["name"], **chosen}],
    }


def _reference(name: str) -> dict[str, str]:
    return {"apiVersion": "apps/v1", "kind": "Deployment", "name": name}


def _resource(
    version: str, kind: str, config: DeployConfig, name: str, spec: dict[str, Any]
) -> dict[str, Any]:
    metadata = {"name": name, "namespace": config.manifests.namespace}
    return {"apiVersion": version, "kind": kind, "metadata": metadata, "spec": spec}


def _yaml(documents: list[dict[str, Any]]) -> str:
    import yaml

    return yaml.safe_dump_all(documents, sort_keys=False, width=100)
