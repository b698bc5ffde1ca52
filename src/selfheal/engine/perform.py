"""The worker's half: read the inputs, call the handler, write the result aside."""

from __future__ import annotations

import json
import os
import time
import traceback
from dataclasses import replace
from functools import cache
from pathlib import Path
from types import GenericAlias
from typing import Any

from pydantic import TypeAdapter

from selfheal.artifacts import Dataset, InputReference, Tables
from selfheal.artifacts.canonical import canonical_bytes, sha256_of
from selfheal.artifacts.dataset import write_tables
from selfheal.artifacts.envelope import envelope, payload_model
from selfheal.contract import Approval, Failed, Handler, Skipped, Waiting
from selfheal.engine.services import EffectsLedger, RunWorkspace
from selfheal.engine.task import (
    Collected,
    Given,
    Granted,
    Literally,
    Nothing,
    Reply,
    RunContext,
    Service,
    Stored,
    Task,
)
from selfheal.errors import HandlerError, SelfhealError
from selfheal.registry import Registry

AnyHandler = Handler[..., Any]


def run_task(task: Task) -> Reply:
    """Do one task in this process. Never raises for what a handler does wrong."""
    begun = time.perf_counter()
    try:
        reply = _attempt(task)
    except Exception as error:
        reply = _fault(error)
    return replace(reply, elapsed=round(time.perf_counter() - begun, 6))


def _attempt(task: Task) -> Reply:
    os.environ.update(task.run.environment)
    registry = _registry(task.run.beats_folder, task.run.packages)
    handler = registry.get(task.handler)
    workspace = _workspace(task) if handler.kind == "stage-crew" else None
    arguments = {
        parameter.name: _read(task, registry, parameter.annotation, given, workspace)
        for parameter in handler.parameters
        if (given := task.given.get(parameter.name)) is not None
    }
    result = handler(**arguments)
    files = workspace.written if workspace else {}
    match result:
        case Skipped(reason=reason):
            return Reply("skipped", reason, files=files)
        case Failed(reason=reason, hint=hint):
            return Reply("failed", reason, hint, files=files, failures=("failed",))
        case Waiting(reason=reason, hint=hint):
            return Reply("waiting", reason, hint, files=files)
    content = _store(task, handler, result)
    return Reply(
        "succeeded",
        summary=_summary(result),
        sha256=sha256_of(content),
        tables=isinstance(result, Tables),
        files=files,
    )


def _store(task: Task, handler: AnyHandler, result: Any) -> bytes:
    place = Path(task.run.run_folder) / task.temporary
    if isinstance(result, Tables):
        result = _store_tables(task, place, result)
    content = serialized(handler, result)
    if task.envelope is not None:
        content = _enveloped(task, result)
    place.write_bytes(content)
    return content


def _store_tables(task: Task, place: Path, result: Tables) -> Dataset:
    import shutil

    folder = place.with_name(place.name + ".tables")
    if folder.exists():
        shutil.rmtree(folder)
    written = write_tables(result.tables, folder.parent, folder.name)
    return Dataset(path=task.output.removesuffix(".json"), tables=written.tables)


def serialized(handler: AnyHandler, result: Any) -> bytes:
    """A result as canonical JSON by the handler's return annotation.

    Raises HandlerError where the value is not what the annotation says, or holds NaN.
    """
    try:
        return canonical_bytes(
            _adapter(_stored_type(handler.returns)).dump_python(
                result, mode="json", by_alias=True, warnings="error"
            )
        )
    except ValueError as error:
        raise HandlerError(
            f"the result of {handler.name} cannot be stored: {error}", where=handler.declaration
        ) from error


def deserialized(handler: AnyHandler, content: bytes, base: Path, *, many: bool = False) -> Any:
    """A stored result, by the return annotation of the handler that made it."""
    annotation = _stored_type(handler.returns)
    if many:
        annotation = GenericAlias(list, (annotation,))
    return _adapter(annotation).validate_json(content, context={"base": base})


def _enveloped(task: Task, result: Any) -> bytes:
    assert task.envelope is not None
    return envelope(
        task.envelope["artifact"],
        result,
        run_id=task.run.run_id,
        produced_by=f"{task.phase}/{task.beat}",
        inputs=[InputReference.model_validate(row) for row in task.envelope["inputs"]],
    ).to_bytes()


def _stored_type(annotation: Any) -> Any:
    return Dataset if annotation is Tables else annotation


def _adapter(annotation: Any) -> TypeAdapter[Any]:
    try:
        return _kept_adapter(annotation)
    except TypeError:
        return TypeAdapter(annotation)


@cache
def _kept_adapter(annotation: Any) -> TypeAdapter[Any]:
    return TypeAdapter(annotation)


@cache
def _registry(folder: str | None, packages: bool) -> Registry:
    return Registry(Path(folder) if folder else None, packages=packages)


def _workspace(task: Task) -> RunWorkspace:
    run: RunContext = task.run
    folder = Path(run.run_folder)
    return RunWorkspace(
        run_id=run.run_id,
        started_at=run.started_at,
        run_folder=folder,
        artifacts_folder=Path(run.artifacts_folder),
        repository=Path(run.repository) if run.repository else None,
        scratch=folder / task.scratch,
    )


def _read(
    task: Task,
    registry: Registry,
    annotation: Any,
    given: Given,
    workspace: RunWorkspace | None,
) -> Any:
    base = Path(task.run.run_folder)
    match given:
        case Stored():
            return _stored(registry, given, base)
        case Collected(parts=parts):
            return [element for part in parts for element in _stored(registry, part, base)]
        case Literally(value=value):
            return _adapter(annotation).validate_python(value, context={"base": base})
        case Granted(fields=fields):
            return None if fields is None else Approval(**fields)  # type: ignore[arg-type]
        case Service(name="workspace"):
            return workspace
        case Service():
            return EffectsLedger(base / "effects.jsonl", f"{task.phase}/{task.beat}")
        case Nothing():
            return None


def _stored(registry: Registry, given: Stored, base: Path) -> Any:
    content = (base / given.file).read_bytes()
    if given.artifact is not None:
        payload = json.loads(content)["payload"]
        return payload_model(given.artifact).model_validate(payload, context={"base": base})
    assert given.handler is not None
    return deserialized(registry.get(given.handler), content, base, many=given.many)


def _summary(result: Any) -> str:
    if isinstance(result, list):
        return f"{len(result)} found"
    summary = getattr(result, "summary", None)
    if callable(summary):
        summary = summary()
    return summary if isinstance(summary, str) else ""


def _fault(error: Exception) -> Reply:
    failures = ("fault", *(kind.__name__ for kind in type(error).__mro__[:-2]))
    if isinstance(error, SelfhealError):
        place = f"{error.where}: " if error.where else ""
        return Reply(
            "fault", place + error.message, error.hint or "", error.slug, failures=failures
        )
    return Reply(
        "fault",
        f"{type(error).__name__}: {error}",
        slug="beat-fault",
        failures=failures,
        trace=traceback.format_exc(),
    )


def substitute(handler: AnyHandler, task: Task, value: Any, *, many: bool) -> bytes:
    """The bytes of a JSON value that stands in for a handler's result."""
    annotation = _stored_type(handler.returns)
    result = _adapter(annotation).validate_python(value)
    if task.envelope is not None:
        return _enveloped(task, result)
    return (
        canonical_bytes([json.loads(serialized(handler, result))])
        if many
        else serialized(handler, result)
    )
