"""The reports by name, and the forms in which each can be had."""

from __future__ import annotations

from dataclasses import dataclass
from importlib import import_module
from typing import TYPE_CHECKING, Protocol, cast, get_type_hints

from selfheal.errors import InvalidInput, NotFound

if TYPE_CHECKING:
    from selfheal.reports.model import Options, Report
    from selfheal.reports.source import Source

EVERYWHERE = ("text", "json", "html", "csv", "parquet")
FORMATS = (*EVERYWHERE, "chrome-trace", "speedscope", "sarif", "mermaid", "dot", "markdown")


class _Module(Protocol):
    def build(self, source: Source, options: Options) -> Report: ...


@dataclass(frozen=True)
class Definition:
    """`module` below `selfheal.reports`, what it answers, its forms beyond `EVERYWHERE`."""

    module: str
    answers: str
    more: tuple[str, ...] = ()

    @property
    def formats(self) -> tuple[str, ...]:
        return EVERYWHERE + self.more


REPORTS: dict[str, Definition] = {
    "profiler": Definition(
        "profiler", "where the time goes: self and total", ("chrome-trace", "speedscope")
    ),
    "regression": Definition("regression", "what became slower or fails more between releases"),
    "dependencies": Definition("dependencies", "who calls whom", ("mermaid", "dot")),
    "flow": Definition("flow", "observed against declared steps", ("mermaid", "dot")),
    "errors": Definition("errors", "which errors, and where in the code", ("sarif",)),
    "anomalies": Definition("anomalies", "what is wrong and how healthy it is", ("sarif",)),
    "tests": Definition("inputs", "which production inputs would make tests"),
    "coverage": Definition("coverage", "what production runs against what tests cover", ("sarif",)),
    "replay": Definition("replay", "which captured traces can be sent again"),
    "timeline": Definition("timeline", "what ran when", ("chrome-trace", "speedscope")),
    "state": Definition("state", "which step changes which state"),
    "behaviour": Definition("behaviour", "what production does", ("markdown", "mermaid", "dot")),
    "heatmap": Definition("heatmap", "which operations cost how much, and when"),
    # Over all runs, from what they left; `selfheal.learning.report` builds it.
    "learning": Definition("learning", "what was learned, what it did, what is worth fixing next"),
}


# Those that `build` makes of one run's telemetry.
OF_A_RUN = tuple(name for name in REPORTS if name != "learning")


def definition(name: str) -> Definition:
    """Raises NotFound naming the reports."""
    if name not in REPORTS:
        raise NotFound(
            f"there is no report {name!r}.", hint=f"The reports are {', '.join(REPORTS)}."
        )
    return REPORTS[name]


def build(name: str, source: Source, options: Options | None = None) -> Report:
    """The report's model. Raises NotFound where the run has no telemetry."""
    from selfheal.reports.model import Options

    module = cast("_Module", import_module(f"selfheal.reports.{definition(name).module}"))
    try:
        return module.build(source, options or Options())
    except InvalidInput as error:
        remote = source.telemetry.dataset.remote
        if remote is None or error.where is None:
            raise
        # A statement has no equivalent in the SQL of the database that holds the rows.
        kind = cast("type[Report]", get_type_hints(module.build)["return"])
        empty = f"unavailable where the rows lie ({remote.url}): {error.message}"
        return kind(report=name, run_id=source.run_id, empty=empty)
