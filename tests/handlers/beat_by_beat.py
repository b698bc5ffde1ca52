"""The beats of a phase in their order, in this process: seconds less than a run of the engine."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from selfheal.artifacts import Model
from selfheal.config import Section, Settings
from selfheal.contract import Failed, Handler, Skipped, Waiting

Results = dict[str, Any]


def perform(
    beats: Sequence[Handler[..., Any]],
    *,
    artifacts: Mapping[str, Any],
    settings: Settings,
    services: Mapping[str, Any],
    done: Results | None = None,
    approval: Any = None,
) -> Results:
    """What each beat returned, by name; it ends with the first that waits or failed.

    `done` are results of an earlier attempt, which are not computed again. As in the
    engine, a beat is skipped with what it reads, unless it may be None.
    """
    results: Results = {
        name: value
        for name, value in (done or {}).items()
        if not isinstance(value, Waiting | Failed)
    }
    given = {**artifacts, **services, "approval": approval}
    for beat in beats:
        if beat.name in results:
            continue
        results[beat.name] = _one(beat, given, results, settings)
        if isinstance(results[beat.name], Waiting | Failed):
            break
    return results


def _one(
    beat: Handler[..., Any], given: Mapping[str, Any], results: Results, settings: Settings
) -> Any:
    arguments = {}
    for parameter in beat.parameters:
        if isinstance(parameter.annotation, type) and issubclass(
            parameter.annotation, Section | Settings
        ):
            value = _section(settings, parameter.annotation)
        else:
            value = given.get(parameter.name, results.get(parameter.name))
        if isinstance(value, Skipped):
            if not parameter.optional:
                return value
            value = None
        arguments[parameter.name] = value
    returned = beat(**arguments)
    # Readers get what was stored, so everything must survive JSON.
    if isinstance(returned, Model):
        return type(returned).model_validate_json(returned.model_dump_json())
    return returned


def _section(settings: Settings, kind: type) -> Any:
    if kind is Settings:
        return settings
    return next(value for _, value in settings if type(value) is kind)
