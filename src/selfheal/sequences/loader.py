"""Reading sequence files: JSON, then the schema, then what a schema cannot say."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from difflib import get_close_matches
from functools import cache
from pathlib import Path
from typing import Any

from selfheal.errors import SequenceError
from selfheal.sequences.expressions import ExpressionError, names_in
from selfheal.sequences.model import AddedBeat, Beat, Overlay, Sequence, snake_case

SCHEMA_FILE = "sequence.schema.json"


@dataclass(frozen=True)
class Problem:
    """What is wrong at a JSON pointer ("" is the whole document)."""

    pointer: str
    message: str


def builtin_folder() -> Path:
    """Where the seven sequences lie: in the wheel, or in the source tree."""
    package = Path(__file__).parents[1]
    shipped = package / "_sequences"
    return shipped if shipped.is_dir() else package.parents[1] / "json-sequences"


def sequence_files(path: Path) -> list[Path]:
    """The file itself, or every sequence file below a folder, sorted."""
    if not path.is_dir():
        return [path]
    return sorted(file for file in path.rglob("*.json") if not file.name.endswith(".schema.json"))


def validate_file(path: Path, knows: Callable[[str], bool] | None = None) -> list[Problem]:
    """Everything that is wrong with a sequence, overlay or index file; empty if nothing is.

    `knows` says whether a handler of that name is registered; without it names are not
    checked. Raises SequenceError only where the file cannot be read at all.
    """
    try:
        document = json.loads(_read(path))
    except json.JSONDecodeError as error:
        return [Problem("", f"not JSON: {error.msg} at line {error.lineno}, column {error.colno}.")]
    except UnicodeDecodeError as error:
        return [Problem("", f"not UTF-8: {error.reason} at byte {error.start}.")]
    problems = [*_schema_problems(document)]
    if not problems:
        problems = [*_meaning_problems(document, knows)]
    # Two branches of the schema may refuse one value with the same words.
    return list(dict.fromkeys(problems))


def load_sequence(path: Path) -> Sequence:
    """The sequence in a file. Raises SequenceError naming the file and the JSON pointer."""
    return Sequence.model_validate(_valid(path))


def load_overlay(path: Path) -> Overlay:
    """The overlay in a file. Raises SequenceError naming the file and the JSON pointer."""
    document = _valid(path)
    if "extends" not in document:
        raise SequenceError(
            "this file extends no sequence.",
            where=str(path),
            hint='Begin it with {"extends": "anomaly.detect", "beats": […]}.',
        )
    return Overlay.model_validate(document)


def load_index(path: Path) -> list[dict[str, str]]:
    """The phases of an index file, in order."""
    document = _valid(path)
    if "phases" not in document:
        raise SequenceError('this index has no "phases".', where=str(path))
    phases: list[dict[str, str]] = document["phases"]
    return phases


def merge(sequence: Sequence, overlay: Overlay, source: str) -> Sequence:
    """The sequence with the overlay's beats put in their places, numbered anew."""
    movements = [
        movement.model_copy(update={"beats": list(movement.beats)})
        for movement in sequence.movements
    ]
    places = [movement.beats for movement in movements]
    for number, added in enumerate(overlay.beats):
        if any(beat.id == added.id for beats in places for beat in beats):
            raise SequenceError(
                f"{sequence.id} has a beat {added.id} already.",
                where=f"{source} /beats/{number}",
                hint='Give the added one another "name".',
            )
        _insert(places, added, sequence.id, f"{source} /beats/{number}")
    counted = 0
    for beats in places:
        for position, beat in enumerate(beats):
            counted += 1
            beats[position] = beat.model_copy(update={"beat": counted})
    updates: dict[str, Any] = {"movements": movements}
    if "beats" in (sequence.model_extra or {}):
        updates["beats"] = counted
    return sequence.model_copy(update=updates)


def _insert(places: list[list[Beat]], added: AddedBeat, sequence: str, where: str) -> None:
    beat = Beat.model_validate(
        added.model_dump(by_alias=True, exclude_unset=True, exclude={"after", "before"})
    )
    anchor = added.after or added.before
    if anchor is None:
        last = places[-1]
        ends = bool(last) and last[-1].id.endswith("_completed")
        last.insert(len(last) - 1 if ends else len(last), beat)
        return
    for beats in places:
        for position, present in enumerate(beats):
            if present.id == snake_case(anchor):
                beats.insert(position + (1 if added.after else 0), beat)
                return
    known = [present.id for beats in places for present in beats]
    raise SequenceError(f"{sequence} has no beat {anchor}{_nearest(anchor, known)}", where=where)


def _valid(path: Path) -> dict[str, Any]:
    problems = validate_file(path)
    if problems:
        first = problems[0]
        more = f" ({len(problems) - 1} more)" if len(problems) > 1 else ""
        raise SequenceError(
            f"{first.message}{more}",
            where=f"{path} {first.pointer}".rstrip(),
            hint=f"See: selfheal sequences validate {path}",
        )
    document: dict[str, Any] = json.loads(_read(path))
    return document


def _read(path: Path) -> str:
    try:
        return path.read_bytes().decode("utf-8-sig")
    except OSError as error:
        raise SequenceError(f"cannot be read ({error.strerror}).", where=str(path)) from error


@cache
def _schema() -> dict[str, Any]:
    schema: dict[str, Any] = json.loads((builtin_folder() / SCHEMA_FILE).read_bytes())
    return schema


def _schema_problems(document: Any) -> Iterator[Problem]:
    from jsonschema import Draft202012Validator

    errors = Draft202012Validator(_schema()).iter_errors(document)
    for error in sorted(errors, key=lambda found: [str(part) for part in found.absolute_path]):
        yield Problem(_pointer(error.absolute_path), f"{error.message}.")


def _meaning_problems(
    document: dict[str, Any], knows: Callable[[str], bool] | None
) -> Iterator[Problem]:
    located = list(_located_beats(document))
    declared = document.get("beats")
    if isinstance(declared, int) and declared != len(located):
        yield Problem("/beats", f"says {declared} beats, and the movements hold {len(located)}.")
    identities = Counter(snake_case(beat.get("name") or beat["handler"]) for _, beat in located)
    for pointer, beat in located:
        identity = snake_case(beat.get("name") or beat["handler"])
        if identities[identity] > 1:
            yield Problem(
                pointer, f"the beat {identity} is there {identities[identity]} times; name one."
            )
        yield from _beat_problems(pointer, beat, knows)


def _beat_problems(
    pointer: str, beat: dict[str, Any], knows: Callable[[str], bool] | None
) -> Iterator[Problem]:
    steering = [field.alias or name for name, field in AddedBeat.model_fields.items()]
    for field in beat:
        near = get_close_matches(field, steering, 1, cutoff=0.85)
        if field not in steering and near:
            yield Problem(f"{pointer}/{field}", f"unknown field; did you mean {near[0]!r}?")
    for field in ("when", "foreach"):
        if field in beat:
            try:
                names_in(beat[field])
            except ExpressionError as error:
                yield Problem(f"{pointer}/{field}", str(error))
    for field in ("handler", "compensate"):
        if knows and field in beat and not knows(snake_case(beat[field])):
            yield Problem(
                f"{pointer}/{field}", f"no handler {snake_case(beat[field])} is registered."
            )


def _located_beats(document: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    if "extends" in document:
        for number, beat in enumerate(document["beats"]):
            yield f"/beats/{number}", beat
    for row, movement in enumerate(document.get("movements", ())):
        for number, beat in enumerate(movement["beats"]):
            yield f"/movements/{row}/beats/{number}", beat


def _pointer(parts: Any) -> str:
    return "".join(f"/{str(part).replace('~', '~0').replace('/', '~1')}" for part in parts)


def _nearest(name: str, known: list[str]) -> str:
    near = get_close_matches(name, known, 1)
    return f"; did you mean {near[0]}?" if near else f". It has {', '.join(known)}."
