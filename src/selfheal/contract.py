"""What a handler is: a plain typed function registered under a beat's name.

    @handler("detect_error_patterns", kind="pure", contributes=True, example=example)
    def detect_error_patterns(load_telemetry_data: DetectionData, config: DetectConfig) -> list[Anomaly]:
        ...

Its parameters name what it reads:

* an artifact (`telemetry`, `anomalies`, `diagnosis`, `patch`, `validation`,
  `deployment`, `patterns`): the payload, as the model in `selfheal.artifacts`;
* an earlier beat of the same sequence: what that beat returned. Annotate it
  ``X | None`` to receive None where that beat was skipped or failed but was
  allowed to; otherwise the reader is skipped too;
* `config`: one section of the configuration, chosen by its annotation;
* `contributed`: the concatenated lists of every beat of the sequence whose handler
  is registered with ``contributes=True``, in the order of the beats;
* `approval`: the human decision on this run, or None;
* `item`: the current element where the beat has ``foreach``;
* a service (stage-crew only): `workspace` or `effects`;
* any other name: a value of the beat's ``with`` object.

What it returns is stored as canonical JSON by its return annotation; `Tables`
(Arrow tables) are stored as Parquet and reach readers as a `Dataset`. Three
outcomes are results too: `Skipped`, `Failed` and `Waiting`. Exceptions are faults.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property, reduce
from operator import or_
from pathlib import Path
from types import NoneType, UnionType
from typing import (
    Any,
    Generic,
    Literal,
    ParamSpec,
    Protocol,
    TypeVar,
    Union,
    get_args,
    get_origin,
    get_type_hints,
)

from selfheal.errors import HandlerError

P = ParamSpec("P")
R = TypeVar("R")
T = TypeVar("T")

Kind = Literal["pure", "stage-crew"]
Example = Callable[[Path], Mapping[str, Any]]

SERVICES = frozenset({"workspace", "effects"})
ARTIFACT_NAMES = (
    "telemetry",
    "anomalies",
    "diagnosis",
    "patch",
    "validation",
    "deployment",
    "patterns",
)


@dataclass(frozen=True)
class Skipped:
    """The beat had nothing to do; what depends on it is skipped for the same reason."""

    reason: str


@dataclass(frozen=True)
class Failed:
    """The beat did its work and the answer is no. The phase fails; the run says `hint`."""

    reason: str
    hint: str = ""


@dataclass(frozen=True)
class Waiting:
    """The beat needs a human. The run stops with exit code 3 and says `hint`."""

    reason: str
    hint: str = ""


OUTCOMES: tuple[type, ...] = (Skipped, Failed, Waiting)


@dataclass(frozen=True)
class Approval:
    """A human decision on a run, bound to the bytes that were decided on."""

    decision: Literal["approved", "rejected"]
    by: str
    reason: str
    subject_sha256: str


class Workspace(Protocol):
    """Where a stage-crew beat may read and write.

    `run_id`, `started_at` (ISO 8601, frozen when the run was made), `run_folder`,
    `artifacts_folder` (across runs), `repository` (the repository under repair, never
    to be written in place), `folder` (this beat's own, emptied before each attempt).
    """

    @property
    def run_id(self) -> str: ...
    @property
    def started_at(self) -> str: ...
    @property
    def run_folder(self) -> Path: ...
    @property
    def artifacts_folder(self) -> Path: ...
    @property
    def repository(self) -> Path | None: ...
    @property
    def folder(self) -> Path: ...

    def write(self, relative: str, content: str | bytes) -> Path:
        """Write a file of the run (`patches/…`, `reports/…`) atomically."""
        ...

    def measured(self, name: str, values: Mapping[str, Any]) -> str:
        """Keep measured, unrepeatable numbers (times, rates) in `measurements/<name>.json`.

        Artifacts hold what equal inputs repeat to the byte; what a clock or live
        traffic said goes here. Returns the path relative to the run folder, which the
        artifact cites.
        """
        ...

    def measurements(self, name: str) -> dict[str, Any]:
        """What `measured` kept under this name, empty if nothing."""
        ...


class Effects(Protocol):
    """External effects done exactly once, over crashes and resumes."""

    def once(self, key: str, perform: Callable[[], T], probe: Callable[[], T | None]) -> T:
        """Do `perform` once for `key` in this run and return its JSON-like result.

        A key that is recorded as done returns the recorded result. A key that was
        begun and not finished is probed: `probe` looks at the outside world and
        returns the result if the effect is there, None if it is not.
        """
        ...


@dataclass(frozen=True)
class Parameter:
    """One thing that a handler reads, by name."""

    name: str
    annotation: Any
    optional: bool


@dataclass(frozen=True)
class Handler(Generic[P, R]):
    """A registered function; calling it calls the function."""

    name: str
    function: Callable[P, R]
    kind: Kind
    version: str
    example: Example
    writes: str | None = None
    contributes: bool = False

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> R:
        return self.function(*args, **kwargs)

    @property
    def declaration(self) -> str:
        """The function's first lines as a person would look for them: ``module.name(…)``."""
        return f"{self.function.__module__}.{self.function.__qualname__}{inspect.signature(self.function)}"

    @cached_property
    def _hints(self) -> dict[str, Any]:
        try:
            return get_type_hints(self.function)
        except NameError as error:
            raise HandlerError(
                f"handler {self.name} has an annotation that does not resolve: {error}.",
                where=self.function.__module__,
                hint="Import the annotated type at module level.",
            ) from error

    @cached_property
    def parameters(self) -> tuple[Parameter, ...]:
        """What the function reads, in order."""
        found = []
        for name, parameter in inspect.signature(self.function).parameters.items():
            if parameter.kind not in (parameter.POSITIONAL_OR_KEYWORD, parameter.KEYWORD_ONLY):
                raise HandlerError(
                    f"handler {self.name} takes *{name}; every parameter must name what it reads.",
                    where=self.function.__module__,
                )
            if name not in self._hints:
                raise HandlerError(
                    f"parameter {name} of handler {self.name} has no type annotation.",
                    where=self.function.__module__,
                )
            annotation, nullable = without(self._hints[name], NoneType)
            optional = nullable or parameter.default is not parameter.empty
            found.append(Parameter(name, annotation, optional))
        return tuple(found)

    @cached_property
    def returns(self) -> Any:
        """The annotation of what is stored: the return annotation without the outcomes."""
        if "return" not in self._hints:
            raise HandlerError(
                f"handler {self.name} has no return annotation.", where=self.function.__module__
            )
        return without(self._hints["return"], *OUTCOMES)[0]


def without(annotation: Any, *unwanted: Any) -> tuple[Any, bool]:
    """A union without some members, and whether any of them was in it."""
    if get_origin(annotation) not in (Union, UnionType):
        return annotation, False
    members = get_args(annotation)
    kept = tuple(member for member in members if member not in unwanted)
    return (reduce(or_, kept) if kept else NoneType), len(kept) < len(members)


def handler(
    name: str,
    *,
    kind: Kind,
    example: Example,
    version: str = "1",
    writes: str | None = None,
    contributes: bool = False,
) -> Callable[[Callable[P, R]], Handler[P, R]]:
    """Register a function as the handler of the beat `name`.

    `version` is part of the beat's cache key: raise it when the meaning of the result
    changes. `writes` names the artifact whose payload the function returns.
    `contributes` hands its list to the `contributed` parameter of later beats.
    `example` takes an empty folder and returns keyword arguments that run for real.

    Raises HandlerError where the declaration itself breaks the contract.
    """
    if kind not in ("pure", "stage-crew"):
        raise HandlerError(f"handler {name} has the kind {kind!r}; it is 'pure' or 'stage-crew'.")
    if writes is not None and writes not in ARTIFACT_NAMES:
        raise HandlerError(
            f"handler {name} writes {writes!r}, which is no artifact.",
            hint=f"The artifacts are {', '.join(ARTIFACT_NAMES)}.",
        )

    def register(function: Callable[P, R]) -> Handler[P, R]:
        if kind == "pure":
            services = SERVICES & set(inspect.signature(function).parameters)
            if services:
                raise HandlerError(
                    f"handler {name} is pure and asks for {', '.join(sorted(services))}.",
                    where=function.__module__,
                    hint="Make it kind='stage-crew', or move the I/O to another beat.",
                )
        return Handler(name, function, kind, version, example, writes, contributes)

    return register
