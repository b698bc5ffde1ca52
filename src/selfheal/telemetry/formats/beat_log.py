"""Beat logs: the console logs of a conductor that plays sequences of movements and beats.

Lines are read as they come: with or without a ``File.ts:NN`` prefix, a timestamp and a
pictograph before the text. Two dialects are known, and a file may mix them:

* components with a name, ``PerformanceTracker: Beat 1 completed in 15.20ms``,
  ``BeatExecutor: Beat 1 (event) completed in 15ms``, ``SequenceExecutor: Sequence "S"
  completed in 17ms``, queue and subscription lines, and ``DataBaton: +key ~key | seq=…
  beat=… event=… handler=… plugin=…``, which tells what a handler changed in the state;
* short lines, ``Emit: event at TIME (perf: ms)``, ``✅ Beat 1: 15.20ms`` and
  ``🎊 Sequence Complete: S (17ms)``.

Each line is a log record, with what it says as attributes (``beat.*``, ``state.*``,
``queue.*``, ``subscription.*``). What was played becomes spans: a sequence is a trace, its
movements and beats are spans in it (see `selfheal.telemetry.formats.beat_score`).
"""

from __future__ import annotations

import json
import re
from typing import Any, NamedTuple

from selfheal.telemetry.formats.beat_parts import Statement
from selfheal.telemetry.formats.beat_score import Score
from selfheal.telemetry.formats.events import (
    MALFORMED,
    NO_ERROR,
    NOBODY,
    add_log,
    malformed,
)
from selfheal.telemetry.formats.text import uncoloured
from selfheal.telemetry.formats.times import time_ns
from selfheal.telemetry.sink import Sink
from selfheal.telemetry.sources import Lines

_TIME = r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d(?:[.,]\d+)?(?:Z|[+-]\d\d:?\d\d)?"
_PREFIX = re.compile(
    rf"\s*(?:\[?(?P<early>{_TIME})\]?\s+)?"
    r"(?:(?P<file>[\w@./-]+\.[cm]?[jt]sx?):(?P<line>\d+)(?::\d+)?\s+)?"
    rf"(?:\[?(?P<time>{_TIME})\]?\s*)?"
    r"(?P<picture>[^\w\s\"'({\[<]+)?\s*(?P<text>.*)$"
)
_COMPONENT = re.compile(r"(?P<name>[A-Z][A-Za-z]+)(?:\.\w+\(\))?: (?P<rest>.*)$")
_COMPONENTS = frozenset(
    ("BeatExecutor", "ConductorCore", "DataBaton", "EventBus", "EventLogger",
     "EventSubscriptionManager", "ExecutionQueue", "MovementExecutor", "MusicalConductor",
     "PerformanceTracker", "PluginInterfaceFacade", "PluginManager", "SequenceExecutor",
     "SequenceOrchestrator", "SequenceRegistry", "StatisticsManager")
)  # fmt: skip
_SHORT = re.compile(
    r"Emit: \S+ at \d{4}-|Beat \d+: [\d.]+ ?ms$|Sequence Complete: .+\([\d.]+ ?ms\)$"
)

# What a line says, in the words of `Score`; the groups are its arguments.
_MS = r"(?P<ms>\d+(?:\.\d+)?) ?ms"
_STATEMENTS: tuple[tuple[str, re.Pattern[str]], ...] = tuple(
    (name, re.compile(pattern))
    for name, pattern in (
        ("queued", r'ExecutionQueue: Enqueued "(?P<sequence>.+)" with priority (?P<priority>\w+)'
                   r"(?: \(Queue size: (?P<size>\d+)\))?"),
        ("sequence_started", r'ExecutionQueue: Now executing "(?P<sequence>.+)"'),
        ("requested", r"Request ID: (?P<request>\S+)"),
        (
            "movement_started",
            r'(?:SequenceExecutor: Executing|MovementExecutor: Starting) movement "(?P<movement>.+)" (?:\(|with )',
        ),
        ("movement_started", r"PerformanceTracker: Started timing movement (?P<movement>.+) for (?P<sequence>.+)$"),
        ("beat_started", r"PerformanceTracker: Started timing beat (?P<beat>\d+) for (?P<sequence>.+)$"),
        ("beat_started", r"MovementExecutor: Executing beat (?P<beat>\d+)\b"),
        ("beat_event", r"Event: (?P<event>\S+)$"),
        ("beat_emitted", r"Emit: (?P<event>\S+) at (?P<at>\S+)(?: \(perf: (?P<perf>[\d.]+) ?(?:ms)?\))?"),
        ("beat_completed", rf"PerformanceTracker: Beat (?P<beat>\d+) completed in {_MS}"),
        ("beat_completed", rf"BeatExecutor: Beat (?P<beat>\d+) \((?P<event>[^)]*)\) completed in {_MS}"),
        ("beat_completed", rf"Completed in {_MS}"),
        ("beat_completed", rf"Beat (?P<beat>\d+): {_MS}$"),
        ("beat_failed", r"(?:BeatExecutor: )?Beat (?P<beat>\d+)(?: \((?P<event>[^)]*)\))? failed(?:: (?P<error>.*))?"),
        ("movement_completed", rf"PerformanceTracker: Movement (?P<movement>.+) completed in {_MS}"),
        ("movement_completed", rf"Movement completed in {_MS}"),
        ("movement_completed", r'MovementExecutor: Movement "(?P<movement>.+)" completed'),
        ("movement_failed", r'MovementExecutor: Movement "(?P<movement>.+)" failed(?:: (?P<error>.*))?'),
        ("sequence_completed", rf'SequenceExecutor: Sequence "(?P<sequence>.+)" completed in {_MS}'),
        ("sequence_completed", rf"Sequence Complete: (?P<sequence>.+) \({_MS}\)"),
        ("sequence_failed", r'SequenceExecutor: Sequence "(?P<sequence>.+)" failed(?:: (?P<error>.*))?'),
        ("state", r"DataBaton: (?P<changes>.*?) ?\| (?P<fields>.*)$"),
        ("subscribed", r'EventBus: Subscribed to "(?P<topic>[^"]+)"(?: \((?P<subscribers>\d+) total subscribers?\))?'
                       r"(?: \(plugin: (?P<plugin>[^)]*)\))?"),
    )
)  # fmt: skip
_WORDS = ("BeatExecutor", "DataBaton", "EventBus", "ExecutionQueue", "MovementExecutor",
          "PerformanceTracker", "SequenceExecutor", "Request ID", "Event", "Emit", "Completed",
          "Beat", "Movement", "Sequence Complete")  # fmt: skip
_LEADS = re.compile(rf"(?:{'|'.join(_WORDS)})\b")
# By the words that a line begins with, the statements that may begin so.
_LED = {
    word: [(name, one) for name, one in _STATEMENTS if re.search(rf"\b{word}\b", one.pattern)]
    for word in _WORDS
}
_FIELD = re.compile(r"(?:^| )(seq|beat|event|handler|plugin|req)=")
_FIELD_NAMES = {
    "seq": "beat.sequence",
    "beat": "beat.number",
    "event": "beat.event",
    "handler": "beat.handler",
    "plugin": "beat.plugin",
    "req": "beat.request_id",
}
_SEPARATED = re.compile(r",\s*(?=[+~-])|,\s+")
_CHANGE = re.compile(r"([+~-])([^\s+~-][^\s+~]*)")
_CHANGE_NAMES = {"+": "state.added", "~": "state.changed", "-": "state.removed"}
_FRAME = re.compile(r"\s+at \S")


class _Line(NamedTuple):
    """A line taken apart: `text` is without prefix, time and pictograph."""

    text: str
    time_ns: int | None
    picture: str | None
    file: str | None
    file_line: int | None
    component: str | None


def is_beat_line(text: str) -> bool:
    """Whether a line is one that only a conductor prints."""
    line = _taken_apart(uncoloured(text))
    return line.component in _COMPONENTS or _SHORT.match(line.text) is not None


def read(lines: Lines, sink: Sink) -> None:
    """Read a beat log from `lines` into `sink`."""
    reader = BeatReader(sink)
    for text in lines.filled():
        reader.add(text, None, lines.read)
    reader.end()


def read_frames(lines: Lines, sink: Sink) -> None:
    """Read the lines of a beat log from a JSON document of frames, each with its time.

    ``{"frames": [{"ts": …, "events": [{"raw": line}, …]}, …]}``; a line is told by its
    number in the order of the frames.
    """
    text = lines.text()
    reader = BeatReader(sink)
    lines.read = number = 0
    try:
        for frame in json.loads(text)["frames"]:
            moment = time_ns(frame.get("ts"))
            for event in frame["events"]:
                number += 1
                lines.read = number
                reader.add(str(event["raw"]), moment, number)
    except MALFORMED as error:
        sink.refuse(max(number, 1), f"no frames of a beat log: {malformed(error)}")
    reader.end()


class BeatReader:
    """Turns lines into log records, and what they tell of into spans."""

    def __init__(self, sink: Sink) -> None:
        self._sink = sink
        self._score = Score(sink)

    def add(self, raw: str, moment: int | None, number: int) -> None:
        """Add a line. `moment` is its time where the line itself has none."""
        raw = uncoloured(raw)
        line = _taken_apart(raw)
        at = moment if line.time_ns is None else line.time_ns
        ids: tuple[str | None, str | None] = (None, None)
        attributes: dict[str, Any] = {}
        failed = False
        if _FRAME.match(raw) and self._score.add_frame(raw):
            pass
        elif statement := _statement(line.text):
            name, said = statement
            attributes = _attributes(name, said)
            failed = name.endswith("_failed")
            at = time_ns(said.get("at")) if at is None else at
            printer = line.component or line.text.partition(" ")[0]
            ids = self._score.play(Statement(name, said, printer, at, number), attributes)
        if line.file:
            attributes |= {"code.file.path": line.file, "code.line.number": line.file_line}
        add_log(
            self._sink,
            time_ns=at,
            severity=_severity(line.picture, failed),
            body=line.text or raw.strip(),
            logger=line.component,
            resource=NOBODY,
            ids=ids,
            error=NO_ERROR,
            attributes=attributes,
            line=number,
        )

    def end(self) -> None:
        """The log is over: what was still playing is written as it stands."""
        self._score.end()


def _taken_apart(text: str) -> _Line:
    match = _PREFIX.match(text)
    if match is None:
        return _Line(text, None, None, None, None, None)
    rest = match["text"].strip()
    component = _COMPONENT.match(rest)
    return _Line(
        rest,
        time_ns(match["time"] or match["early"]),
        match["picture"],
        match["file"],
        int(match["line"]) if match["line"] and len(match["line"]) < 9 else None,
        component["name"] if component else None,
    )


def _statement(text: str) -> tuple[str, dict[str, str]] | None:
    """What a line says, as (name, arguments); None where it is only a message."""
    lead = _LEADS.match(text)
    if lead is None:
        return None
    for name, pattern in _LED[lead[0]]:
        if match := pattern.match(text):
            return name, {key: value for key, value in match.groupdict().items() if value}
    return None


def _attributes(name: str, said: dict[str, str]) -> dict[str, Any]:
    match name:
        case "state":
            return _state(said)
        case "queued":
            return {
                "beat.sequence": said["sequence"],
                "queue.priority": said["priority"],
                "queue.size": int(said.get("size", 0)),
            }
        case "subscribed":
            return {
                "subscription.topic": said["topic"],
                "subscription.subscribers": int(said.get("subscribers", 0)),
                **({"subscription.plugin": said["plugin"]} if "plugin" in said else {}),
            }
    names = {"sequence": "beat.sequence", "movement": "beat.movement", "event": "beat.event",
             "request": "beat.request_id", "error": "beat.error"}  # fmt: skip
    attributes: dict[str, Any] = {names[key]: value for key, value in said.items() if key in names}
    if "beat" in said:
        attributes["beat.number"] = int(said["beat"])
    return attributes


def _state(said: dict[str, str]) -> dict[str, Any]:
    """The fields and changes of a DataBaton line; ``?`` stands for what it does not know."""
    attributes: dict[str, Any] = {}
    # The preview is JSON and may hold anything; it is the last field.
    fields, _, preview = said.get("fields", "").partition("preview=")
    pieces = _FIELD.split(fields.rstrip())
    for name, value in zip(pieces[1::2], pieces[2::2], strict=True):
        if value not in ("", "?"):
            attributes[_FIELD_NAMES[name]] = value
    number = str(attributes.pop("beat.number", ""))
    if number.isdecimal() and len(number) < 10:
        attributes["beat.number"] = int(number)
    if preview:
        attributes["state.values"] = _json_or_text(preview)
    changes = _SEPARATED.sub(_separator, said.get("changes", ""))
    for mark, keys in _CHANGE.findall(changes):
        found = [key for key in keys.split(",") if key]
        attributes[_CHANGE_NAMES[mark]] = [*attributes.get(_CHANGE_NAMES[mark], []), *found]
    return attributes


def _separator(comma: re.Match[str]) -> str:
    """Between marked groups a space, between the keys of one group a comma."""
    text = comma.string[comma.end() : comma.end() + 1]
    return " " if text in _CHANGE_NAMES else ","


def _json_or_text(text: str) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return text


def _severity(picture: str | None, failed: bool) -> str:
    if failed or (picture and "❌" in picture):
        return "error"
    return "warn" if picture and "⚠" in picture else "info"
