"""What the controllers take, as far as selfheal writes it.

Every name, type and required field was read in what the projects publish: for Argo Rollouts
(argoproj.io/v1alpha1) ``manifests/crds/analysis-template-crd.yaml`` and the Go types in
``pkg/apis/rollouts/v1alpha1`` (types.go, analysis_types.go), for Flagger (flagger.app/v1beta1)
``artifacts/flagger/crd.yaml``. It is stricter than they are: what selfheal does not write is
not let through. No controller has taken the manifests yet.
"""

from __future__ import annotations

from typing import Any

_TEXT = {"type": "string", "minLength": 1}
_COUNT = {"type": "integer", "minimum": 0}
_DURATION = {"type": "string", "pattern": "^[0-9]+(s|m|h)$"}
# Flagger takes no hours.
_FLAGGER_INTERVAL = {"type": "string", "pattern": "^[0-9]+(m|s)$"}
_WEIGHT = {"type": "integer", "minimum": 0, "maximum": 100}


def _object(required: dict[str, Any], optional: dict[str, Any] | None = None) -> dict[str, Any]:
    return {
        "type": "object",
        "properties": {**required, **(optional or {})},
        "required": sorted(required),
        "additionalProperties": False,
    }


def _list(items: dict[str, Any]) -> dict[str, Any]:
    return {"type": "array", "items": items, "minItems": 1}


def _resource(version: str, kind: str, spec: dict[str, Any]) -> dict[str, Any]:
    metadata = _object(
        {"name": {"type": "string", "pattern": "^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?$"}},
        {
            "namespace": _TEXT,
            "annotations": {"type": "object", "additionalProperties": {"type": "string"}},
        },
    )
    return _object(
        {
            "apiVersion": {"const": version},
            "kind": {"const": kind},
            "metadata": metadata,
            "spec": spec,
        }
    )


_REFERENCE = _object({"apiVersion": _TEXT, "kind": {"const": "Deployment"}, "name": _TEXT})
_ARGUMENT = _object({"name": _TEXT}, {"value": {"type": "string"}})
_STEP = {
    "oneOf": [
        _object({"setWeight": _WEIGHT}),
        _object({"pause": {"type": "object", "maxProperties": 0}}),
        _object({"analysis": _object({"templates": _list(_object({"templateName": _TEXT}))})}),
    ]
}
_METRIC = _object(
    {
        "name": _TEXT,
        "provider": _object({"prometheus": _object({"address": _TEXT, "query": _TEXT})}),
    },
    {
        "interval": _DURATION,
        "initialDelay": _DURATION,
        "count": _COUNT,
        "successCondition": _TEXT,
        "failureCondition": _TEXT,
        "failureLimit": _COUNT,
        "inconclusiveLimit": _COUNT,
    },
)

SCHEMAS: dict[str, dict[str, Any]] = {
    "Rollout": _resource(
        "argoproj.io/v1alpha1",
        "Rollout",
        _object(
            {
                "workloadRef": _REFERENCE,
                "strategy": _object({"canary": _object({"steps": _list(_STEP)})}),
            },
            {"progressDeadlineSeconds": _COUNT},
        ),
    ),
    "AnalysisTemplate": _resource(
        "argoproj.io/v1alpha1",
        "AnalysisTemplate",
        _object({"metrics": _list(_METRIC)}, {"args": _list(_ARGUMENT)}),
    ),
    "Canary": _resource(
        "flagger.app/v1beta1",
        "Canary",
        _object(
            {
                "targetRef": _REFERENCE,
                "service": _object({"port": {"type": "integer", "minimum": 1}}),
                "analysis": _object(
                    {
                        "interval": _FLAGGER_INTERVAL,
                        "threshold": {"type": "integer", "minimum": 1},
                        "stepWeights": _list(_WEIGHT),
                        "metrics": _list(
                            _object(
                                {
                                    "name": _TEXT,
                                    "interval": _FLAGGER_INTERVAL,
                                    "templateRef": _object({"name": _TEXT}, {"namespace": _TEXT}),
                                    "thresholdRange": _object(
                                        {"max": {"type": "number"}}, {"min": {"type": "number"}}
                                    ),
                                }
                            )
                        ),
                    }
                ),
            },
            {"progressDeadlineSeconds": _COUNT},
        ),
    ),
    "MetricTemplate": _resource(
        "flagger.app/v1beta1",
        "MetricTemplate",
        _object({"provider": _object({"type": _TEXT, "address": _TEXT}), "query": _TEXT}),
    ),
}
