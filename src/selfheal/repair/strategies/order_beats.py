"""The steps of a sequence file are put into the order that holds: moved, dropped, or put back.

The text around a beat stays to the byte: elements change places, the commas, the white
space and the order of keys do not. Where the file numbers its beats, the numbers follow.
"""

from __future__ import annotations

from collections.abc import Iterator

from selfheal.repair.beats import BeatText, SequenceText, renumbered, sequence_text, sequences
from selfheal.repair.behaviour import Rule, rules
from selfheal.repair.edit import Edit, Splice, spliced
from selfheal.repair.flow_docs import flow_document
from selfheal.repair.json_text import insertion, removal
from selfheal.repair.problem import Problem
from selfheal.repair.strategies.base import Strategy

NAME = "order_beats"


def propose(problem: Problem) -> Iterator[Edit]:
    for rule in rules(problem):
        for sequence in sequences(problem):
            for template, text, told in _changed(problem, rule, sequence):
                after = _numbered(sequence, text)
                if after is None:
                    continue
                yield Edit(
                    strategy=NAME,
                    template=template,
                    explanation=f"In {sequence.path}, {told}.",
                    fit=0.95,
                    parameters={"violation": rule.violation, "step": rule.step},
                    files={
                        sequence.path: after.text,
                        **flow_document(problem, after.name, [each.name for each in after.beats]),
                    },
                )


def _changed(
    problem: Problem, rule: Rule, sequence: SequenceText
) -> Iterator[tuple[str, str, str]]:
    """(template, new text, what was done) of each way to make the rule hold."""
    steps = sequence.find(rule.step)
    others = sequence.find(rule.other) if rule.other else []
    if rule.violation == "swapped" and len(steps) == len(others) == 1:
        if steps[0].order > others[0].order:
            told = f"`{steps[0].name}` comes before `{others[0].name}`"
            yield "move", _moved(sequence, steps[0], others[0]), told
    elif rule.violation == "duplicated" and len(steps) > 1:
        for beat in reversed(steps[1:]):
            told = f"`{beat.name}` comes once"
            yield "drop_second", _without(sequence, beat), told
    elif rule.violation == "extra" and len(steps) == 1 and len(sequence.beats) > 1:
        yield "drop", _without(sequence, steps[0]), f"`{steps[0].name}` does not come any more"
    elif rule.violation == "missing" and not steps:
        good = sequence_text(sequence.path, problem.good_sources.get(sequence.path, ""))
        lost = good.find(rule.step) if good is not None else []
        text = _restored(sequence, good, lost[0]) if good is not None and lost else None
        if text is not None:
            yield "restore", text, f"`{lost[0].name}` is back where it was"


def _moved(sequence: SequenceText, step: BeatText, other: BeatText) -> str:
    """`step` right before `other`."""
    text = sequence.text
    element = text[step.span[0] : step.span[1]]
    if step.array == other.array:
        order = list(range(len(step.array)))
        order.remove(step.place)
        order.insert(order.index(other.place), step.place)
        pieces = [text[slice(*step.array[index])] for index in order]
        return spliced(text, _slots(sequence.path, step, pieces))
    taken = removal(sequence.path, text, list(step.array), step.place)
    put = insertion(sequence.path, text, list(other.array), other.place, element)
    return spliced(text, [taken, *([put] if put else [])])


def _slots(path: str, step: BeatText, pieces: list[str]) -> list[Splice]:
    return [
        Splice(path=path, start=start, stop=stop, text=piece)
        for (start, stop), piece in zip(step.array, pieces, strict=True)
    ]


def _without(sequence: SequenceText, beat: BeatText) -> str:
    taken = removal(sequence.path, sequence.text, list(beat.array), beat.place)
    return spliced(sequence.text, [taken])


def _restored(sequence: SequenceText, good: SequenceText, lost: BeatText) -> str | None:
    """The lost beat after the one that it followed, else before the one that it preceded."""
    element = good.text[lost.span[0] : lost.span[1]]
    before, after = good.beats[: lost.order][::-1], good.beats[lost.order + 1 :]
    for neighbours, offset in ((before, 1), (after, 0)):
        for each in neighbours:
            known = sequence.find(each.name)
            if len(known) == 1 and (each.array == lost.array or each in (before[:1] + after[:1])):
                place = known[0].place + offset
                put = insertion(sequence.path, sequence.text, list(known[0].array), place, element)
                return spliced(sequence.text, [put]) if put else None
    return None


def _numbered(sequence: SequenceText, text: str) -> SequenceText | None:
    """The new text with its beats counted again, where they were counted before."""
    found = sequence_text(sequence.path, text)
    if found is None or [each.value.get("beat") for each in sequence.beats] != list(
        range(1, len(sequence.beats) + 1)
    ):
        return found
    return sequence_text(sequence.path, spliced(text, renumbered(found)))


STRATEGY = Strategy(NAME, frozenset({"behavioral"}), propose)
