"""Proposals by a language model: more edits for the same ranking and the same proof.

Off unless ``fix.llm.base_url`` names an OpenAI-compatible server. What is sent is the
diagnosis in words and the accused functions, with what looks like a secret taken out; what
comes back is exact text to replace, checked like everybody else's edit. Nothing depends on
it: a server that is gone, slow, out of quota or talking nonsense costs a note. Replies are
kept in the run's folder, so that a resumed beat does not ask again.
"""

from __future__ import annotations

import json
import os
import re
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import BaseModel, Field

from selfheal.artifacts.canonical import short_id
from selfheal.artifacts.model import Model
from selfheal.artifacts.replacing import replace_text
from selfheal.config import LanguageModelConfig
from selfheal.errors import InvalidInput, MissingExtra
from selfheal.recorder.redaction import keeping
from selfheal.recorder.values import REDACTED
from selfheal.repair.edit import Edit, Splice
from selfheal.repair.problem import Problem, is_test
from selfheal.repair.source import first_line, last_line, parse

if TYPE_CHECKING:
    from pydantic_ai import Agent
    from pydantic_ai.usage import RunUsage

NAME = "language_model"
SPENT = "spent.json"
FIT = 0.5
PLACES = 3
MOST_LINES = 160
# Beyond what `selfheal.recorder.redaction` takes out: literals of telling names, and keys.
_LITERAL = re.compile(
    r"""(?ix)((?:api[_-]?key|token|secret|password|passwd|authorization|credential)\w*["']?
    \s*[:=]\s*[bfr]?["'])[^"'\n]{4,}(["'])"""
)
_KEY = re.compile(r"\b(?:sk|ghp|gho|glpat|xox[abp]|AKIA)[-_A-Za-z0-9]{12,}")
_INSTRUCTIONS = (
    "You repair Python code. You get a diagnosis and excerpts of files. Propose at most {most} "
    "different small edits, the likeliest first. `old` is copied from the excerpt exactly, "
    "with its indentation, and long enough to occur once in the file; `new` replaces it. Change "
    "behaviour as little as possible. Never change tests. Never hide an error."
)


class Proposal(BaseModel):
    """One edit: the exact text `old` of `file` becomes `new`."""

    file: str
    old: str
    new: str
    explanation: str = ""


class Proposals(BaseModel):
    """What the model answers."""

    edits: list[Proposal] = Field(default_factory=list)


class Advice(Model):
    """What came of asking about one diagnosis; `notes` say what was refused or went wrong."""

    edits: list[Edit] = Field(default_factory=list)
    notes: list[str] = Field(default_factory=list)


class Spent(Model):
    """What was spent on a language model, requests that failed included; `cost` by the prices."""

    requests: int = 0
    tokens: int = 0
    cost: float = 0.0


class Adviser:
    """Asks within one budget of requests, tokens, money and seconds for all diagnoses.

    `folder` keeps the replies, which cost nothing when they are wanted again, and in
    ``spent.json`` what was spent: whoever asks there next has what is left. The seconds
    begin anew.
    """

    def __init__(self, config: LanguageModelConfig, folder: Path) -> None:
        self.config = config
        self.folder = folder
        self._agent: Agent[Any, Proposals] | None = None
        self._began = time.monotonic()
        file = folder / SPENT
        self.spent = Spent.model_validate_json(file.read_bytes()) if file.exists() else Spent()

    def advise(self, problem: Problem) -> Advice:
        """Edits for a problem. Whatever goes wrong is a note, never an error."""
        prompt = prompt_of(problem)
        if prompt is None:
            return Advice(notes=["no accused function to show to the language model"])
        file = self.folder / f"{short_id('reply', self.config.models, prompt)}.json"
        if file.exists():
            return checked(problem, Proposals.model_validate_json(file.read_bytes()))
        spent = self._spent()
        if spent is not None:
            return Advice(notes=[f"the language model was not asked: {spent}"])
        try:
            answer = self._ask(prompt)
        except MissingExtra as error:
            return Advice(notes=[f"{error} {error.hint or ''}".strip()])
        except Exception as error:  # whatever the server does is no fault of this run
            return Advice(notes=[f"the language model gave no answer: {_reason(error)}"])
        self.folder.mkdir(parents=True, exist_ok=True)
        replace_text(file, answer.model_dump_json())
        return checked(problem, answer)

    def _spent(self) -> str | None:
        config = self.config
        if self.spent.requests >= config.requests:
            return f"its budget of {config.requests} requests is spent"
        if self.spent.tokens >= config.tokens:
            return f"its budget of {config.tokens} tokens is spent"
        if config.cost is not None and self.spent.cost >= config.cost:
            return f"its budget of {config.cost:g} is spent"
        if time.monotonic() - self._began >= config.seconds:
            return f"its {config.seconds:g} seconds are over"
        return None

    def _ask(self, prompt: str) -> Proposals:
        from pydantic_ai.usage import RunUsage, UsageLimits

        config = self.config
        usage = RunUsage()
        limits = UsageLimits(
            request_limit=config.requests - self.spent.requests,
            total_tokens_limit=config.tokens - self.spent.tokens,
        )
        left = config.seconds - (time.monotonic() - self._began)
        agent = self._agent = self._agent or self._made()
        try:
            done = agent.run_sync(prompt, usage=usage, usage_limits=limits, timeout=left)
        finally:
            self._note(usage)
        return done.output

    def _note(self, usage: RunUsage) -> None:
        """Keep what a request cost; one that failed was sent all the same."""
        config, known = self.config, self.spent
        counts = (usage.input_tokens, usage.output_tokens)
        prices = (config.input_price, config.output_price)
        self.spent = Spent(
            requests=known.requests + max(usage.requests, 1),
            tokens=known.tokens + sum(counts),
            cost=known.cost + sum(n * each / 1e6 for n, each in zip(counts, prices, strict=True)),
        )
        self.folder.mkdir(parents=True, exist_ok=True)
        replace_text(self.folder / SPENT, self.spent.model_dump_json())

    def _made(self) -> Agent[Any, Proposals]:
        try:
            from openai import AsyncOpenAI
            from pydantic_ai import Agent, PromptedOutput
            from pydantic_ai.models.fallback import FallbackModel
            from pydantic_ai.models.openai import OpenAIChatModel
            from pydantic_ai.providers.openai import OpenAIProvider
        except ImportError as error:
            raise MissingExtra.of("pydantic-ai-slim", "llm") from error
        config = self.config
        client = AsyncOpenAI(
            base_url=config.base_url,
            api_key=os.environ.get(config.api_key_variable) or "none",
            max_retries=0,
            timeout=config.request_seconds,
        )
        provider = OpenAIProvider(openai_client=client)
        models = [OpenAIChatModel(name, provider=provider) for name in config.models]
        return Agent(
            FallbackModel(*models) if len(models) > 1 else models[0],
            output_type=PromptedOutput(Proposals),
            instructions=_INSTRUCTIONS.format(most=config.proposals),
            retries=1,
        )


def advised(
    problems: Sequence[Problem], config: LanguageModelConfig, folder: Path
) -> tuple[list[Problem], list[tuple[str, str]]]:
    """The problems with the model's proposals, and notes as (diagnosis id, words)."""
    if not config.base_url or config.send == "none":
        return list(problems), []
    adviser = Adviser(config, folder)
    found, notes = [], []
    for problem in problems:
        advice = adviser.advise(problem)
        found.append(problem.model_copy(update={"proposals": advice.edits[: config.proposals]}))
        notes += [(problem.diagnosis.id, note) for note in advice.notes]
    return found, notes


def prompt_of(problem: Problem) -> str | None:
    """What is sent about a problem; None where no function is accused."""
    places = []
    for place in list(problem.places())[:PLACES]:
        start = place.source.line_start(first_line(place.function))
        stop = place.source.next_line(place.function)
        lines = place.source.text[start:stop].splitlines()
        if last_line(place.function) - place.function.lineno < MOST_LINES:
            head = f"File {place.source.path}, accused line {place.line}:"
            places.append("\n".join([head, "```python", *lines, "```"]))
    if not places:
        return None
    diagnosis = problem.diagnosis
    facts = {
        "trouble": diagnosis.title,
        "kind": diagnosis.kind,
        "why this place": diagnosis.reason,
        "exception": problem.exception,
        "message": problem.message,
        "pattern": problem.slow_pattern,
        "failing tests": ", ".join(problem.failing_tests[:5]),
    }
    told = [f"{name}: {value}" for name, value in facts.items() if value]
    return redacted("\n".join([*told, "", *places]))


def redacted(text: str) -> str:
    """A text without what looks like a key, a token, a password or a private key."""

    named = _LITERAL.sub(rf"\g<1>{REDACTED}\g<2>", text)
    return keeping().cleaned(_KEY.sub(REDACTED, named))


def checked(problem: Problem, answer: Proposals) -> Advice:
    """The proposals that can be made exactly; the others with the reason."""
    edits: list[Edit] = []
    notes: list[str] = []
    for proposal in answer.edits:
        try:
            edits.append(_edit(problem, proposal))
        except InvalidInput as error:
            notes.append(
                f"a proposal of the language model for {proposal.file} was refused: {error}"
            )
    return Advice(edits=edits, notes=notes)


def _edit(problem: Problem, proposal: Proposal) -> Edit:
    text = problem.sources.get(proposal.file)
    if text is None:
        raise InvalidInput("it is none of the files at hand.")
    objection = _objection(proposal, text)
    if objection is not None:
        raise InvalidInput(f"{objection}.")
    start = text.index(proposal.old)
    splice = Splice(
        path=proposal.file, start=start, stop=start + len(proposal.old), text=proposal.new
    )
    explanation = " ".join(proposal.explanation.split())[:200]
    return Edit(
        strategy=NAME,
        template="proposal",
        explanation=f"As a language model proposes: {explanation or 'no word of explanation'}",
        fit=FIT,
        parameters={"source": "language model"},
        splices=[splice],
    )


def _objection(proposal: Proposal, text: str) -> str | None:
    """Why a proposal is not made in a file's text, None where it is."""
    if not proposal.file.endswith(".py"):
        return "it is no Python file"
    if is_test(proposal.file):
        return "tests are not changed"
    if proposal.old == proposal.new:
        return "it changes nothing"
    if not proposal.old.strip():
        return "it names no text to replace"
    if text.count(proposal.old) != 1:
        return "its text does not occur exactly once"
    if parse(proposal.file, text.replace(proposal.old, proposal.new)) is None:
        return "what comes out does not parse"
    return None


def _reason(error: BaseException) -> str:
    """The innermost words of an error, in one line."""
    inner = getattr(error, "exceptions", None)
    if inner:
        return "; ".join(dict.fromkeys(_reason(each) for each in inner))
    try:
        text = json.dumps(getattr(error, "body", None) or str(error))
    except TypeError:
        text = str(error)
    return f"{type(error).__name__}: {' '.join(text.split())[:200]}"
