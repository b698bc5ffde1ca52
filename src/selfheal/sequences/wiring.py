"""Wiring: which beat reads what from where, decided and checked before anything runs.

Order, for a beat of a sequence:

* it runs after the beats whose results it reads (by a parameter, `contributed`,
  `when` or `foreach`), after the writers of artifacts that it reads in its own
  sequence, and after what it `needs`;
* a beat that reads nothing of this kind follows the beat before it (the nearest one
  that does not itself wait for this beat; contributors do not follow contributors);
* a last beat named ``*_completed`` runs after all others.

Only data and `needs` hand a skip on; plain order does not.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable
from difflib import get_close_matches
from types import GenericAlias
from typing import TYPE_CHECKING, Any, get_origin

from selfheal.artifacts import Tables, payload_model
from selfheal.config import Section, Settings
from selfheal.contract import ARTIFACT_NAMES, SERVICES, Parameter
from selfheal.errors import HandlerError, WiringError
from selfheal.sequences.expressions import ExpressionError, names_in
from selfheal.sequences.model import Beat, Sequence, snake_case
from selfheal.sequences.typefit import fits, readable
from selfheal.sequences.wired import (
    AnyHandler,
    Lookup,
    Source,
    SourceKind,
    WiredBeat,
    WiredSequence,
)

if TYPE_CHECKING:
    import networkx as nx

SECTIONS: dict[type[Section], str] = {
    info.annotation: info.alias or name
    for name, info in Settings.model_fields.items()
    if isinstance(info.annotation, type) and issubclass(info.annotation, Section)
}


def wire(
    sequence: Sequence, lookup: Lookup, available: Collection[str] = ARTIFACT_NAMES
) -> WiredSequence:
    """Wire a sequence to handlers.

    `lookup` gives the handler of a name or raises HandlerError; `available` are the
    artifacts that earlier phases write. Raises WiringError for an unknown handler, a
    cycle, an input that nothing produces, two writers, a wrong type, a pure handler
    that asks for a service, and a `with` value that nobody reads.
    """
    return _Wiring(sequence, lookup, available).wired()


class _Wiring:
    def __init__(self, sequence: Sequence, lookup: Lookup, available: Collection[str]) -> None:
        self.sequence = sequence
        self.lookup = lookup
        self.beats = {beat.id: beat for beat in sequence.all_beats}
        self.position = {name: number for number, name in enumerate(self.beats)}
        self.handlers = {
            name: self._handler(beat, beat.handler) for name, beat in self.beats.items()
        }
        self.writers = self._writers()
        self.available = set(available) - set(self.writers)
        self.contributors = tuple(n for n, h in self.handlers.items() if h.contributes)

    def wired(self) -> WiredSequence:
        wired = {name: self._beat(beat, self.handlers[name]) for name, beat in self.beats.items()}
        order, follows = self._ordered(wired)
        beats = tuple(
            WiredBeat(
                beat.beat,
                beat.handler,
                beat.sources,
                beat.reads,
                frozenset(follows[beat.id]),
                beat.artifacts,
                self._compensation(beat.beat),
            )
            for beat in (wired[name] for name in order)
        )
        return WiredSequence(self.sequence, beats, self.writers)

    def _handler(self, beat: Beat, name: str) -> AnyHandler:
        try:
            handler = self.lookup(name)
        except HandlerError as error:
            raise WiringError(error.message, where=self._where(beat), hint=error.hint) from error
        if name == beat.handler and beat.kind and beat.kind != handler.kind:
            raise self._wrong(
                beat,
                handler,
                f"the sequence says that {name} is {beat.kind}, and its handler is {handler.kind}.",
            )
        asked = SERVICES & {parameter.name for parameter in handler.parameters}
        if handler.kind == "pure" and asked:
            raise self._wrong(
                beat,
                handler,
                f"the pure handler {name} asks for {', '.join(sorted(asked))}.",
                "Only stage-crew handlers get services.",
            )
        return handler

    def _writers(self) -> dict[str, str]:
        writers: dict[str, str] = {}
        for name, handler in self.handlers.items():
            if handler.writes is None:
                continue
            beat = self.beats[name]
            if handler.writes in writers:
                raise self._wrong(
                    beat,
                    handler,
                    f"{name} and {writers[handler.writes]} both write {handler.writes}.json.",
                )
            expected = payload_model(handler.writes)
            if not fits(handler.returns, expected) or beat.foreach:
                raise self._wrong(
                    beat,
                    handler,
                    f"{name} writes {handler.writes}.json and returns "
                    f"{readable(handler.returns)}; expected {readable(expected)}, once.",
                )
            writers[handler.writes] = name
        return writers

    def _beat(self, beat: Beat, handler: AnyHandler) -> WiredBeat:
        sources = tuple(self._source(beat, handler, parameter) for parameter in handler.parameters)
        self._check_with(beat, handler, sources)
        self._check_results(beat, handler)
        beats = set(self._known_needs(beat))
        artifacts: set[str] = set()
        for name in self._expression_names(beat, handler):
            (artifacts if name in self.available else beats).add(self.writers.get(name, name))
        for source in sources:
            if source.kind in ("result", "contributed"):
                beats.update(source.names)
            if source.kind == "artifact":
                written = self.writers.get(source.names[0])
                (beats if written else artifacts).add(written or source.names[0])
        return WiredBeat(
            beat, handler, sources, frozenset(beats), frozenset(), frozenset(artifacts)
        )

    def _source(self, beat: Beat, handler: AnyHandler, parameter: Parameter) -> Source:
        name, wanted = parameter.name, parameter.annotation
        defaulted = _has_default(handler, name)
        nullable = parameter.optional and not defaulted

        def source(kind: SourceKind, *names: str) -> Source:
            return Source(name, kind, names, nullable, defaulted)

        if name in SERVICES:
            return source("service", name)
        if wanted in SECTIONS or wanted is Settings:
            return source("config", "" if wanted is Settings else SECTIONS[wanted])
        if name == "config":
            raise self._mismatch(beat, handler, name, "a section of the configuration")
        if name == "approval":
            return source("approval")
        if name == "item" and beat.foreach:
            return source("item")
        if name == "contributed":
            return self._contributed(beat, handler, source, wanted)
        if name in ARTIFACT_NAMES:
            return self._artifact(beat, handler, name, source, wanted)
        if name in self.beats and name != beat.id:
            return self._result(beat, handler, name, source, wanted)
        if name in beat.with_:
            self._check_value(beat, handler, name, wanted)
            return source("value", name)
        if defaulted:
            return source("default")
        raise self._unproduced(beat, handler, name)

    def _contributed(
        self, beat: Beat, handler: AnyHandler, source: Callable[..., Source], wanted: Any
    ) -> Source:
        for contributor in self.contributors:
            returns = self.handlers[contributor].returns
            if not fits(returns, wanted) or self.beats[contributor].foreach:
                raise self._wrong(
                    beat,
                    handler,
                    f"{contributor} contributes {readable(returns)} to {beat.id}, "
                    f"which takes {readable(wanted)}.",
                )
        return source("contributed", *(other for other in self.contributors if other != beat.id))

    def _artifact(
        self, beat: Beat, handler: AnyHandler, name: str, source: Callable[..., Source], wanted: Any
    ) -> Source:
        if name not in self.available and self.writers.get(name) in (None, beat.id):
            raise self._unproduced(beat, handler, name)
        if not fits(payload_model(name), wanted):
            raise self._mismatch(beat, handler, name, readable(payload_model(name)))
        return source("artifact", name)

    def _result(
        self, beat: Beat, handler: AnyHandler, name: str, source: Callable[..., Source], wanted: Any
    ) -> Source:
        if beat.id in self.position and self.position[name] > self.position[beat.id]:
            raise self._wrong(
                beat, handler, f"{beat.id} reads {name}, which comes later in the sequence."
            )
        returns = self.handlers[name].returns
        if self.beats[name].foreach:
            returns = GenericAlias(list, (returns,))
        if not fits(returns, wanted):
            raise self._mismatch(beat, handler, name, readable(returns))
        return source("result", name)

    def _check_with(self, beat: Beat, handler: AnyHandler, sources: Iterable[Source]) -> None:
        taken = {source.parameter for source in sources if source.kind == "value"}
        for key in beat.with_:
            if key not in taken:
                names = [parameter.name for parameter in handler.parameters]
                near = get_close_matches(key, names, 1)
                raise self._wrong(
                    beat,
                    handler,
                    f"the with value {key!r} of {beat.id} is read by no parameter.",
                    f"Did you mean {near[0]!r}?" if near else f"It reads {', '.join(names)}.",
                )

    def _check_value(self, beat: Beat, handler: AnyHandler, name: str, wanted: Any) -> None:
        problem = _misfit(wanted, beat.with_[name])
        if problem:
            raise self._wrong(
                beat,
                handler,
                f"the with value {name!r} of {beat.id} is no {readable(wanted)}: {problem}",
            )

    def _check_results(self, beat: Beat, handler: AnyHandler) -> None:
        if beat.foreach and handler.returns is Tables:
            raise self._wrong(beat, handler, f"{beat.id} has foreach and returns tables.")
        if handler.contributes and get_origin(handler.returns) is not list:
            raise self._wrong(
                beat,
                handler,
                f"{beat.id} contributes {readable(handler.returns)}; expected a list.",
            )
        for number, catch in enumerate(beat.catch):
            problem = _misfit(handler.returns, catch.result) if catch.replaces else None
            if problem:
                raise self._wrong(
                    beat, handler, f"the result of catch {number} of {beat.id} misfits: {problem}"
                )

    def _known_needs(self, beat: Beat) -> Iterable[str]:
        for name in map(snake_case, beat.needs):
            if name not in self.beats:
                near = get_close_matches(name, self.beats, 1)
                raise WiringError(
                    f"{beat.id} needs {name}, which is no beat of {self.sequence.id}.",
                    where=self._where(beat),
                    hint=f"Did you mean {near[0]}?" if near else None,
                )
            yield name

    def _expression_names(self, beat: Beat, handler: AnyHandler) -> Iterable[str]:
        for text in filter(None, (beat.when, beat.foreach)):
            try:
                names = sorted(names_in(text) - {"config"})
            except ExpressionError as error:
                raise self._wrong(beat, handler, str(error)) from error
            for name in names:
                if name not in {*self.beats, *self.available, *self.writers}:
                    raise self._unproduced(beat, handler, name)
                yield name

    def _compensation(self, beat: Beat) -> WiredBeat | None:
        if beat.compensate is None:
            return None
        handler = self._handler(beat, beat.compensate)
        undo = Beat(handler=beat.compensate, name=f"{beat.id}__compensation")
        return self._beat(undo, handler)

    def _ordered(self, wired: dict[str, WiredBeat]) -> tuple[list[str], dict[str, set[str]]]:
        import networkx as nx

        edges: nx.DiGraph[str] = nx.DiGraph()
        edges.add_nodes_from(wired)
        edges.add_edges_from((read, name) for name, beat in wired.items() for read in beat.reads)
        self._refuse_cycle(edges)
        follows: dict[str, set[str]] = {name: set() for name in wired}
        names = list(wired)
        for number, name in enumerate(names):
            if wired[name].reads or number == 0:
                continue
            waiting = nx.descendants(edges, name)
            for before in reversed(names[:number]):
                side_by_side = name in self.contributors and before in self.contributors
                if before not in waiting and not side_by_side:
                    follows[name].add(before)
                    edges.add_edge(before, name)
                    break
        if names and names[-1].endswith("_completed"):
            last = names[-1]
            follows[last].update(set(names[:-1]) - wired[last].reads)
            edges.add_edges_from((name, last) for name in follows[last])
        self._refuse_cycle(edges)
        return list(nx.lexicographical_topological_sort(edges, self.position.__getitem__)), follows

    def _refuse_cycle(self, edges: nx.DiGraph[str]) -> None:
        import networkx as nx

        try:
            cycle = [start for start, _ in nx.find_cycle(edges)]
        except nx.NetworkXNoCycle:
            return
        declarations = "; ".join(self.handlers[name].declaration for name in cycle)
        raise WiringError(
            f"these beats wait for each other: {' → '.join([*cycle, cycle[0]])}. "
            f"Declared: {declarations}.",
            where=self.sequence.id,
        )

    def _unproduced(self, beat: Beat, handler: AnyHandler, name: str) -> WiringError:
        earlier = [n for n in self.beats if n != beat.id]
        artifacts = sorted(self.available | set(self.writers))
        near = get_close_matches(name, [*earlier, *artifacts, *beat.with_], 1)
        can = f"It can read the artifacts {', '.join(artifacts) or '(none)'}, the beats {', '.join(earlier)}, config{', services' if handler.kind == 'stage-crew' else ''} and values of its with."
        return self._wrong(
            beat,
            handler,
            f"{beat.id} reads {name!r}, which nothing before it produces.",
            f"Did you mean {near[0]!r}? {can}" if near else can,
        )

    def _mismatch(
        self, beat: Beat, handler: AnyHandler, parameter: str, expected: str
    ) -> WiringError:
        found = next(p.annotation for p in handler.parameters if p.name == parameter)
        return self._wrong(
            beat,
            handler,
            f"the parameter {parameter!r} of {beat.id} is annotated {readable(found)}; "
            f"expected {expected}.",
        )

    def _wrong(
        self, beat: Beat, handler: AnyHandler, message: str, hint: str | None = None
    ) -> WiringError:
        return WiringError(
            f"{message} Declared: {handler.declaration}.", where=self._where(beat), hint=hint
        )

    def _where(self, beat: Beat) -> str:
        number = f"/{beat.beat}" if beat.beat else ""
        return f"{self.sequence.id}{number} {beat.id}"


def _has_default(handler: AnyHandler, name: str) -> bool:
    import inspect

    parameter = inspect.signature(handler.function).parameters[name]
    return parameter.default is not parameter.empty


def _misfit(annotation: Any, value: Any) -> str | None:
    from pydantic import TypeAdapter, ValidationError

    try:
        TypeAdapter(annotation).validate_python(value)
    except ValidationError as error:
        first = error.errors()[0]
        pointer = "".join(f"/{part}" for part in first["loc"])
        return f"{pointer + ': ' if pointer else ''}{first['msg']}."
    return None
