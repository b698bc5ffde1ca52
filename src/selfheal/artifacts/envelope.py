"""The envelope that every artifact file has around its payload."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from pydantic import ConfigDict, Field, ValidationError

from selfheal.artifacts.anomalies import Anomalies
from selfheal.artifacts.canonical import canonical_bytes
from selfheal.artifacts.deployment import Deployment
from selfheal.artifacts.diagnosis import Diagnoses
from selfheal.artifacts.model import Model
from selfheal.artifacts.patch import Patch
from selfheal.artifacts.patterns import Patterns
from selfheal.artifacts.telemetry import Telemetry
from selfheal.artifacts.validation import Validation
from selfheal.errors import InvalidInput, NotFound

ARTIFACTS: dict[str, tuple[type[Model], int]] = {
    "telemetry": (Telemetry, 1),
    "anomalies": (Anomalies, 1),
    "diagnosis": (Diagnoses, 1),
    "patch": (Patch, 1),
    "validation": (Validation, 1),
    "deployment": (Deployment, 1),
    "patterns": (Patterns, 1),
}


class InputReference(Model):
    artifact: str
    sha256: str


class Envelope(Model):
    """``{"schema": "selfheal/<name>/<n>", "run_id", "produced_by", "inputs", "payload"}``.

    It holds no wall-clock time: equal inputs give equal bytes. `payload` is the
    JSON form; `read_artifact` gives the typed one.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", populate_by_name=True)

    schema_: str = Field(alias="schema")
    run_id: str
    produced_by: str
    inputs: list[InputReference]
    payload: dict[str, Any]

    def to_bytes(self) -> bytes:
        return canonical_bytes(self.model_dump(mode="json", by_alias=True))


def payload_model(name: str) -> type[Model]:
    """The payload's model. Raises NotFound with the known names."""
    if name not in ARTIFACTS:
        raise NotFound(
            f"there is no artifact {name!r}.", hint=f"The artifacts are {', '.join(ARTIFACTS)}."
        )
    return ARTIFACTS[name][0]


def envelope(
    name: str, payload: Model, *, run_id: str, produced_by: str, inputs: list[InputReference]
) -> Envelope:
    """Wrap a payload."""
    return Envelope(
        schema_=f"selfheal/{name}/{ARTIFACTS[name][1]}",
        run_id=run_id,
        produced_by=produced_by,
        inputs=inputs,
        payload=payload.model_dump(mode="json"),
    )


def read_envelope(path: Path) -> Envelope:
    """Read an artifact file. Raises InvalidInput naming the file and the JSON pointer."""
    try:
        return Envelope.model_validate(json.loads(path.read_bytes()))
    except json.JSONDecodeError as error:
        raise InvalidInput(
            f"this artifact is not JSON ({error.msg}).", where=f"{path}:{error.lineno}"
        ) from error
    except UnicodeDecodeError as error:
        raise InvalidInput("this artifact is not UTF-8 text.", where=str(path)) from error
    except ValidationError as error:
        raise InvalidInput(_explain(error), where=str(path)) from error


def read_artifact(path: Path, name: str) -> Model:
    """The typed payload of an artifact file. Raises InvalidInput where it does not fit."""
    found = read_envelope(path)
    expected = f"selfheal/{name}/{ARTIFACTS[name][1]}"
    if found.schema_ != expected:
        raise InvalidInput(
            f"the file holds {found.schema_}, and {expected} was expected.", where=str(path)
        )
    try:
        return payload_model(name).model_validate(found.payload)
    except ValidationError as error:
        raise InvalidInput(_explain(error, "/payload"), where=str(path)) from error


def artifact_schema(name: str) -> dict[str, Any]:
    """The JSON Schema of an artifact file, envelope included."""
    model = payload_model(name)
    schema = Envelope.model_json_schema(by_alias=True)
    payload = model.model_json_schema(ref_template="#/$defs/{model}")
    schema["$defs"] = {**schema.get("$defs", {}), **payload.pop("$defs", {})}
    schema["properties"]["payload"] = payload
    schema["$id"] = f"https://selfheal.invalid/schemas/{name}/{ARTIFACTS[name][1]}"
    schema["title"] = f"{name}.json"
    return schema


def _explain(error: ValidationError, prefix: str = "") -> str:
    first = error.errors()[0]
    pointer = prefix + "".join(f"/{part}" for part in first["loc"])
    more = f" ({error.error_count() - 1} more)" if error.error_count() > 1 else ""
    return f"{pointer}: {first['msg']}{more}."
