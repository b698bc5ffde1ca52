"""Progressive search of a commit: by words, then what is related, then shapes, then meaning.

Words are ranked by BM25 (S. Robertson, H. Zaragoza, "The Probabilistic Relevance Framework:
BM25 and Beyond", 2009) over functions and documents, identifiers split into words. Files
that changed together are related (T. Zimmermann et al., "Mining version histories to guide
software changes", ICSE 2004), and so are imports, callers and callees.
"""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Literal

from pydantic import Field

from selfheal.artifacts.model import Model
from selfheal.codebase.changes import MODULE
from selfheal.codebase.history import History
from selfheal.codebase.index import CodeIndex, Definition, FactsCache, is_test
from selfheal.codebase.slow_patterns import slow_patterns
from selfheal.codebase.state_patterns import find_state_patterns
from selfheal.errors import InvalidInput, MissingExtra

StageName = Literal["keyword", "related", "patterns", "meaning"]
# BM25's usual constants; a word of the name counts as much as so many of the body.
K1, B, NAME_WEIGHT = 1.2, 0.75, 3
SEEDS = 5
RELATED = 0.5
COMMITS, TOGETHER = 500, 0.3
_PART = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|\d+")
_META = re.compile(r"[\[\](){}^$*+?|\\]")


class Hit(Model):
    """A function, a module's own lines or a document, and why it was found; `score` is 0–1."""

    file: str
    line: int
    function: str
    score: float
    reasons: list[str]


class Stage(Model):
    """One stage of the search: how many hits it brought, or why it was not done."""

    name: StageName
    state: Literal["done", "unavailable", "not needed"]
    found: int = 0
    reason: str = ""


class SearchResult(Model):
    """Hits best first, the stages, and commands that help next."""

    query: str
    commit: str
    hits: list[Hit]
    stages: list[Stage]
    actions: list[str] = Field(default_factory=list)


class _Unit(Model):
    """What is found as a whole: a definition, or a document (`function` empty)."""

    file: str
    function: str
    first: int
    line: int
    words: dict[str, int]


class _Found:
    """Hits by place; the reasons of several stages are joined as independent ones."""

    def __init__(self) -> None:
        self.hits: dict[tuple[str, str], Hit] = {}

    def add(self, file: str, function: str, line: int, score: float, reason: str) -> bool:
        known = self.hits.get((file, function))
        if known is None:
            self.hits[file, function] = Hit(
                file=file, line=line, function=function, score=score, reasons=[reason]
            )
            return True
        if reason not in known.reasons:
            joined = 1 - (1 - known.score) * (1 - score)
            self.hits[file, function] = known.model_copy(
                update={"score": joined, "reasons": [*known.reasons, reason]}
            )
        return False

    def ranked(self) -> list[Hit]:
        rounded = [
            hit.model_copy(update={"score": round(hit.score, 4)}) for hit in self.hits.values()
        ]
        return sorted(rounded, key=lambda hit: (-hit.score, is_test(hit.file), hit.file, hit.line))


def search(
    history: History,
    query: str,
    *,
    revision: str = "HEAD",
    limit: int = 10,
    vendored: Sequence[str] = (),
    cache: FactsCache | None = None,
    model: Path | None = None,
) -> SearchResult:
    """The places of a commit that a query is about, best first.

    A query with signs of regular expressions is one for the stage of patterns too. `model`
    is a folder with static word embeddings in the format of model2vec; without it the
    stage of meaning is unavailable. Raises InvalidInput for an empty query and
    RepositoryError for an unknown revision.
    """
    if not query.strip():
        raise InvalidInput(
            "the query is empty.", hint='For example: selfheal search "price with discount"'
        )
    commit = history.resolve(revision)
    index = CodeIndex.build(history, commit, vendored=vendored, cache=cache)
    texts = history.texts([f"{commit}:{file}" for file in index.files])
    sources = {file: text for file, text in zip(index.files, texts, strict=True) if text}
    units = list(_units(index, sources))
    found = _Found()
    stages = [
        _by_words(query, units, found),
        _related(index, history, commit, found),
        _patterns(query, index, sources, found),
        _by_meaning(query, units, sources, model, found),
    ]
    hits = found.ranked()[:limit]
    return SearchResult(
        query=query, commit=commit, hits=hits, stages=stages, actions=_actions(hits, index)
    )


def words_of(text: str) -> list[str]:
    """The words of a text, lower case, identifiers taken apart, plurals as their singular."""
    found = [part.lower() for part in _PART.findall(text)]
    return [
        word[:-1] if len(word) > 3 and word.endswith("s") and not word.endswith("ss") else word
        for word in found
        if len(word) > 1
    ]


def _units(index: CodeIndex, sources: dict[str, str]) -> Iterator[_Unit]:
    lines = {file: text.split("\n") for file, text in sources.items()}
    for found in index.definitions:
        if found.kind == "class" or found.file not in lines:
            continue
        body = "\n".join(lines[found.file][found.first_line - 1 : found.last_line])
        words = Counter(words_of(body))
        for word in words_of(f"{found.qualified_name} {found.file}"):
            words[word] += NAME_WEIGHT
        yield _Unit(
            file=found.file,
            function=found.qualified_name,
            first=found.first_line,
            line=found.line,
            words=dict(words),
        )
    for file, text in sources.items():
        words = Counter(words_of(f"{file}\n{text}"))
        if not file.endswith(".py"):
            yield _Unit(file=file, function="", first=1, line=1, words=dict(words))


def _by_words(query: str, units: Sequence[_Unit], found: _Found) -> Stage:
    asked = list(dict.fromkeys(words_of(query)))
    holding = {word: [unit for unit in units if word in unit.words] for word in asked}
    lengths = [sum(unit.words.values()) for unit in units]
    average = sum(lengths) / len(lengths) if lengths else 1.0
    scores: dict[tuple[str, str], float] = {}
    for word, those in holding.items():
        rarity = math.log(1 + (len(units) - len(those) + 0.5) / (len(those) + 0.5))
        for unit in those:
            times, length = unit.words[word], sum(unit.words.values())
            weight = times * (K1 + 1) / (times + K1 * (1 - B + B * length / average))
            key = (unit.file, unit.function)
            scores[key] = scores.get(key, 0.0) + rarity * weight
    best = max(scores.values(), default=0.0)
    by_place = {(unit.file, unit.function): unit for unit in units}
    count = 0
    for key, score in scores.items():
        unit = by_place[key]
        held = ", ".join(word for word in asked if word in unit.words)
        count += found.add(*key, unit.line, 0.9 * score / best, f"holds {held}")
    return Stage(name="keyword", state="done", found=count)


def _related(index: CodeIndex, history: History, commit: str, found: _Found) -> Stage:
    """What the best hits call, import, are called by, and change together with."""
    seeds = found.ranked()[:SEEDS]
    if not seeds:
        return Stage(name="related", state="not needed", reason="nothing was found to relate to")
    count = 0
    callers = _callers(index)
    for seed in seeds:
        definition = next(
            (each for each in index.find(seed.function, seed.file) if seed.function), None
        )
        if definition is None:
            continue
        for other in index.callees(definition):
            reason = f"is called by {seed.function}"
            weight = RELATED * seed.score * 0.6
            count += found.add(other.file, other.qualified_name, other.line, weight, reason)
        for other in callers.get((definition.file, definition.qualified_name), []):
            reason = f"calls {seed.function}"
            weight = RELATED * seed.score * (0.4 if is_test(other.file) else 0.6)
            count += found.add(other.file, other.qualified_name, other.line, weight, reason)
    for file in dict.fromkeys(seed.file for seed in seeds):
        best = max(seed.score for seed in seeds if seed.file == file)
        for other_file, share in _changed_with(history, commit, file):
            if other_file in index.known:
                name = MODULE if other_file.endswith(".py") else ""
                reason = f"changed in {100 * share:.0f} % of the commits that changed {file}"
                weight = RELATED * best * share * 0.6
                count += found.add(other_file, name, 1, weight, reason)
    return Stage(name="related", state="done", found=count)


def _callers(index: CodeIndex) -> dict[tuple[str, str], list[Definition]]:
    found: dict[tuple[str, str], list[Definition]] = {}
    for definition in index.definitions:
        for callee in index.callees(definition):
            found.setdefault((callee.file, callee.qualified_name), []).append(definition)
    return found


def _changed_with(history: History, commit: str, file: str) -> list[tuple[str, float]]:
    """(file, share): the files that changed in a good share of the commits that changed one."""
    commits = [files for files in history.touched(commit, COMMITS) if file in files]
    together = Counter(other for files in commits for other in files if other != file)
    return sorted(
        (other, count / len(commits))
        for other, count in together.items()
        if count >= 2 and count / len(commits) >= TOGETHER
    )


def _patterns(query: str, index: CodeIndex, sources: dict[str, str], found: _Found) -> Stage:
    """Lines that match the query as a regular expression; costly and leaking shapes in the hits."""
    count, reason = 0, ""
    if _META.search(query):
        try:
            shape = re.compile(query)
        except re.error as error:
            reason = f"the query is no regular expression: {error}"
        else:
            count += _matching(shape, index, sources, found)
    for hit in found.ranked()[:SEEDS]:
        source = sources.get(hit.file, "")
        if not hit.file.endswith(".py") or not hit.function or hit.function == MODULE:
            continue
        for slow in slow_patterns(source, hit.function):
            found.add(
                hit.file, hit.function, hit.line, 0.05, f"shows {slow.name} in line {slow.line}"
            )
        for leak in find_state_patterns(source, hit.function):
            found.add(
                hit.file, hit.function, hit.line, 0.05, f"shows {leak.kind} in line {leak.line}"
            )
    return Stage(name="patterns", state="done", found=count, reason=reason)


def _matching(
    shape: re.Pattern[str], index: CodeIndex, sources: dict[str, str], found: _Found
) -> int:
    count = 0
    for file, text in sources.items():
        for number, line in enumerate(text.split("\n"), start=1):
            if shape.search(line):
                around = index.function_at(file, number) if file.endswith(".py") else None
                name = around.qualified_name if around else MODULE if file.endswith(".py") else ""
                reason = f"line {number} matches: {line.strip()[:80]}"
                count += found.add(file, name, number, 0.8, reason)
    return count


def _by_meaning(
    query: str,
    units: Sequence[_Unit],
    sources: dict[str, str],
    model: Path | None,
    found: _Found,
) -> Stage:
    """Cosine of embeddings of the query and each unit's name and first lines."""
    try:
        embed = _embedding(model)
    except MissingExtra as error:
        return Stage(name="meaning", state="unavailable", reason=f"{error.message} {error.hint}")
    if embed is None:
        reason = "no embeddings are named; give a model2vec folder with --model FOLDER"
        return Stage(name="meaning", state="unavailable", reason=reason)
    lines = {file: text.split("\n") for file, text in sources.items()}
    told = [
        " ".join(
            words_of(" ".join([unit.function, *lines[unit.file][unit.first - 1 : unit.first + 7]]))
        )
        for unit in units
    ]
    vectors = embed([" ".join(words_of(query)), *told])
    count = 0
    nearest = sorted(zip(vectors, units, strict=True), key=lambda item: -item[0])[:SEEDS]
    for likeness, unit in nearest:
        if likeness > 0:
            reason = f"means something alike ({likeness:.2f})"
            count += found.add(unit.file, unit.function, unit.line, 0.5 * likeness, reason)
    return Stage(name="meaning", state="done", found=count)


def _embedding(model: Path | None) -> Callable[[list[str]], list[float]] | None:
    """Gives for [query, text…] the cosine of each text with the query; None without a model."""
    try:
        from model2vec import StaticModel
    except ImportError:
        raise MissingExtra.of("model2vec", "search") from None
    if model is None:
        return None
    if not model.is_dir():
        raise InvalidInput("there is no such folder.", where=str(model))
    import numpy as np

    loaded = StaticModel.from_pretrained(str(model))

    def cosines(texts: list[str]) -> list[float]:
        vectors = np.asarray(loaded.encode(texts), dtype=float)
        norms = np.linalg.norm(vectors, axis=1)
        norms[norms == 0] = 1.0
        unit = vectors / norms[:, None]
        return [float(value) for value in unit[1:] @ unit[0]]

    return cosines


def _actions(hits: Sequence[Hit], index: CodeIndex) -> list[str]:
    """Commands for the best hit: its history, its tests, its callers."""
    if not hits:
        return ["try other words, or a regular expression such as 'except.*pass'"]
    best = hits[0]
    definition = next(iter(index.find(best.function, best.file)), None) if best.function else None
    if definition is None:
        return [f"git log --follow -- {best.file}"]
    actions = [f"git log -L {definition.first_line},{definition.last_line}:{best.file}"]
    callers = _callers(index).get((definition.file, definition.qualified_name), [])
    tests = sorted(
        f"{each.file}::{each.qualified_name.replace('.', '::')}"
        for each in callers
        if is_test(each.file)
    )
    if tests:
        actions.append(f"python -m pytest {' '.join(tests[:3])}")
    others = sorted({each.name for each in callers if not is_test(each.file)})
    if others:
        actions.append(f"selfheal search {others[0]}")
    return actions
