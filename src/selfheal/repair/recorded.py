"""Calls of one function that production recorded, and what they do when they are made again.

Values are JSON texts in the form of `selfheal.recorder.values`, in which the order of a
dictionary's keys is kept. What differs from run to run is marked in it: `LIKE` stands for
every value of its class.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Collection, Sequence
from typing import Any, Literal

from pydantic import Field

from selfheal.artifacts.dataset import Dataset
from selfheal.artifacts.diagnosis import Diagnosis
from selfheal.artifacts.model import Model
from selfheal.recorder.values import MARK, REDACTED
from selfheal.telemetry.formats.recorded_calls import ATTRIBUTE, SCOPE
from selfheal.telemetry.statistics import UNKNOWN

LIKE = "like"
CALLS_AT_MOST = 10
CALLS_TRIED = 60
RECORDS_LOOKED_AT = 2_000
LONGEST_CALL = 4_000

Path = tuple[str, ...]
Spread = Literal["none", "narrow", "wide"]

_FUNCTIONS = """
SELECT DISTINCT code_file AS file, code_function AS function FROM spans
WHERE scope = $scope AND code_file IS NOT NULL AND code_function IS NOT NULL ORDER BY ALL
"""
_RECORDS = f"""
SELECT attributes, count(*)::BIGINT AS seen FROM spans
WHERE scope = $scope AND code_file = $file AND code_function = $function
    AND ($release IS NULL OR coalesce(release, '{UNKNOWN}') = $release)
GROUP BY attributes ORDER BY seen DESC, attributes LIMIT $limit
"""


def own_name(named: str | None) -> str:
    """``module:Outer.Name`` → ``Name``, as tracebacks tell a class."""
    return (named or "").rpartition(":")[2].rpartition(".")[2]


class RecordedCall(Model):
    """One call; `result` is None where `exception` (``module:Class``) left it, `seen` counts it."""

    module: str
    function: str
    args: str
    kwargs: str
    result: str | None = None
    exception: str | None = None
    seen: int = 1

    @property
    def target(self) -> str:
        """``module:qualified.name``."""
        return f"{self.module}:{self.function}"


class Records(Model):
    """The calls to try, most often seen first, and why others are of no use, with counts.

    `file` is the repository's file in which the function stands.
    """

    file: str = ""
    calls: list[RecordedCall] = Field(default_factory=list)
    unused: dict[str, int] = Field(default_factory=dict)


class ObservedCall(Model):
    """What a recorded call did each time it was made again.

    `args` and `kwargs` can be made again as they stand. `answer` is what came back, with
    what differed marked; None where `exception` left the function. `after` maps the
    positions of arguments that the function changes to what they hold afterwards. `steps`
    are the pairs of lines that it went through.
    """

    args: str
    kwargs: str
    answer: str | None = None
    exception: str | None = None
    after: str | None = None
    steps: list[tuple[int, int]] = Field(default_factory=list, exclude=True)


class RecordedBehaviour(Model):
    """How a function behaves on production's arguments.

    `recorded` counts the records behind it, `unused` says why others do not count.
    `spread` tells how far around the recorded arguments its type was found to hold: in
    their ranges (``wide``), or for the recorded texts only (``narrow``).
    """

    module: str
    function: str
    is_async: bool = False
    calls: list[ObservedCall] = Field(default_factory=list)
    recorded: int = 0
    unused: dict[str, int] = Field(default_factory=dict)
    spread: Spread = "none"
    unavailable: str | None = None

    @property
    def name(self) -> str:
        """The function's own name."""
        return self.function.rpartition(".")[2]


def recorded_calls(diagnosis: Diagnosis, release: str | None, dataset: Dataset) -> Records:
    """The recorded calls of the accused function at a release (None: at any).

    At the most CALLS_TRIED: of each kind of outcome some, those seen most often first.
    """
    place = diagnosis.locations[0] if diagnosis.locations else None
    if place is None:
        return Records()
    rows: list[dict[str, Any]] = []
    for known in dataset.rows(_FUNCTIONS, {"scope": SCOPE}):
        file = str(known["file"]).replace("\\", "/")
        named = f".{known['function']}".endswith(f".{place.function}")
        if named and f"/{file}".endswith(f"/{place.file}"):
            asked = {**known, "scope": SCOPE, "release": release, "limit": RECORDS_LOOKED_AT}
            rows += dataset.rows(_RECORDS, asked)
    found: dict[tuple[str, str], RecordedCall] = {}
    unused: Counter[str] = Counter()
    for row in rows:
        record = json.loads(row["attributes"])[ATTRIBUTE]
        reason = record.get("unusable") or too_long(record)
        if reason:
            unused[str(reason)] += row["seen"]
            continue
        call = call_of(record, row["seen"])
        key = (call.args, call.kwargs)
        seen = call.seen + (found[key].seen if key in found else 0)
        found[key] = (found.get(key) or call).model_copy(update={"seen": seen})
    return Records(
        file=place.file,
        calls=_varied(list(found.values())),
        unused=dict(sorted(unused.items())),
    )


def too_long(record: dict[str, Any]) -> str:
    """Why a record is longer than what a test should hold; empty where it is not."""
    length = len(json.dumps([record.get("args"), record.get("kwargs"), record.get("result")]))
    return f"longer than {LONGEST_CALL} characters" if length > LONGEST_CALL else ""


def call_of(record: dict[str, Any], seen: int) -> RecordedCall:
    """A call by its record (`selfheal.recorder`)."""
    exception = record.get("exception")
    return RecordedCall(
        module=record["module"],
        function=record["function"],
        args=_text(record.get("args", [])),
        kwargs=_text(record.get("kwargs", {})),
        result=None if exception else _text(record.get("result")),
        exception=exception["class"] if exception else None,
        seen=seen,
    )


def _text(document: Any) -> str:
    return json.dumps(document, ensure_ascii=False, separators=(",", ":"))


def _varied(calls: list[RecordedCall]) -> list[RecordedCall]:
    """Some calls of each kind of outcome in turn, those seen most often first."""
    kinds: dict[str, list[RecordedCall]] = {}
    for call in sorted(calls, key=lambda each: (-each.seen, each.args, each.kwargs)):
        outcome = call.exception or _outcome(json.loads(call.result or "null"))
        kinds.setdefault(outcome, []).append(call)
    chosen: list[RecordedCall] = []
    while any(kinds.values()) and len(chosen) < CALLS_TRIED:
        chosen += [own.pop(0) for own in kinds.values() if own]
    return chosen[:CALLS_TRIED]


def _outcome(document: Any) -> str:
    """What kind of result it is: its class, and whether it is empty or zero."""
    return f"{class_of(document)} {bool(document)}"


def telling(calls: Sequence[ObservedCall]) -> list[ObservedCall]:
    """At the most CALLS_AT_MOST calls that together go through most of the function.

    Greedily, each the one with most steps that none before it takes (the usual
    approximation of the smallest cover: Chvátal, 1979), then those that come first.
    """
    waiting = list(calls)
    chosen: list[ObservedCall] = []
    known: set[tuple[int, int]] = set()
    while waiting and len(chosen) < CALLS_AT_MOST:
        best = max(waiting, key=lambda call: len(set(call.steps) - known))
        waiting.remove(best)
        chosen.append(best)
        known |= set(best.steps)
    return chosen


def class_of(document: Any) -> str:
    """The class of a value by its JSON form, as ``module:Class``."""
    if not isinstance(document, dict) or MARK not in document:
        return f"builtins:{type(document).__name__}"
    tag = document[MARK]
    known = {
        "decimal": "decimal:Decimal",
        "uuid": "uuid:UUID",
        "path": "pathlib:Path",
        "purepath": "pathlib:PurePosixPath",
        "class": "builtins:type",
        REDACTED: f"builtins:{document.get('type', 'object')}",
    }
    if tag in ("datetime", "date", "time", "timedelta"):
        return f"datetime:{tag}"
    if tag in ("object", "member", LIKE):
        return str(document["class"])
    return known.get(tag, f"builtins:{tag}")


def like(document: Any) -> dict[str, str]:
    """The mark for every value of the class that this one has."""
    return {MARK: LIKE, "class": class_of(document)}


ANYTHING = {MARK: LIKE, "class": "builtins:object"}


def agreed(one: Any, other: Any) -> Any:
    """What two JSON forms of one answer have in common; where they differ a mark stands.

    Objects count as one value. A secret that was kept back in `other` agrees with all.
    """
    if _hidden(other) or bare(one) == bare(other):
        return one
    if isinstance(one, list) and isinstance(other, list) and len(one) == len(other):
        return [agreed(first, second) for first, second in zip(one, other, strict=True)]
    if isinstance(one, dict) and isinstance(other, dict):
        tag = one.get(MARK)
        if tag == other.get(MARK) == "tuple" and len(one["items"]) == len(other["items"]):
            return {MARK: "tuple", "items": agreed(one["items"], other["items"])}
        if tag is None and MARK not in other and set(one) == set(other):
            return {key: agreed(one[key], other[key]) for key in one}
    return like(one) if class_of(one) == class_of(other) else ANYTHING


def shaped(document: Any) -> Any:
    """The keys, lengths and classes of an answer, with marks in place of its values."""
    if isinstance(document, list):
        return [shaped(item) for item in document]
    if isinstance(document, dict) and MARK not in document:
        return {key: shaped(item) for key, item in document.items()}
    return document if is_marked(document) else like(document)


def marks(document: Any, path: Path = ()) -> set[Path]:
    """The places of the marks in an answer: keys, and ``*`` for the elements of a list."""
    if isinstance(document, list):
        return {place for item in document for place in marks(item, (*path, "*"))}
    if isinstance(document, dict) and document.get(MARK) == LIKE:
        return {path}
    if isinstance(document, dict):
        return {place for key in document for place in marks(document[key], (*path, key))}
    return set()


def marked(document: Any, places: Collection[Path], path: Path = ()) -> Any:
    """An answer with marks at these places.

    What differed in one call of a function may be the same in another by chance.
    """
    if path in places:
        return like(document)
    if isinstance(document, list):
        return [marked(item, places, (*path, "*")) for item in document]
    if isinstance(document, dict) and document.get(MARK) in (None, "tuple"):
        return {key: marked(document[key], places, (*path, key)) for key in document}
    return document


def _hidden(document: Any) -> bool:
    if isinstance(document, dict):
        return document.get(MARK) == REDACTED
    return isinstance(document, str) and REDACTED in document


def bare(document: Any) -> Any:
    """A JSON form without how its objects are made and compared."""
    if isinstance(document, list):
        return [bare(item) for item in document]
    if isinstance(document, dict):
        hidden = ("init", "held", "state") if document.get(MARK) == "object" else ()
        return {key: bare(item) for key, item in document.items() if key not in hidden}
    return document


def is_marked(document: Any) -> bool:
    """Whether a JSON form holds a mark for what differs."""
    if isinstance(document, list):
        return any(map(is_marked, document))
    if isinstance(document, dict):
        return document.get(MARK) == LIKE or any(map(is_marked, document.values()))
    return False


def is_marked_text(text: str | None) -> bool:
    """`is_marked` of a JSON text."""
    return text is not None and is_marked(json.loads(text))


def unused_told(unused: dict[str, int], shown: int = 2) -> str:
    """The reasons for which records are of no use, the most frequent first."""
    ordered: Sequence[tuple[str, int]] = sorted(unused.items(), key=lambda each: (-each[1], each))
    return "; ".join(f"{reason} ({count})" for reason, count in ordered[:shown])
