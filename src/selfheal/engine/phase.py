"""Running one phase: what is ready is handed out, what comes back is committed.

The coordinator is one thread. It decides about every beat exactly once per session,
in the order of the wiring: reuse, skip, wait for a human, or run.
"""

from __future__ import annotations

import heapq
import itertools
import queue
import random
import time
from collections.abc import Iterable
from concurrent.futures import Future
from dataclasses import replace
from datetime import UTC, datetime
from functools import partial
from typing import Any

from selfheal.engine.attempt import Attempt, commit, commit_substitute, make_task
from selfheal.engine.keys import key_of, key_parts
from selfheal.engine.perform import run_task
from selfheal.engine.pool import TimedOut, WorkerLost
from selfheal.engine.record import BeatState
from selfheal.engine.results import Output
from selfheal.engine.session import InputMissing, Session, keep_finished
from selfheal.engine.task import Reply
from selfheal.sequences import WiredBeat
from selfheal.sequences.expressions import ExpressionError
from selfheal.sequences.model import Retry

LOST_WORKER = Retry(max_attempts=2, interval=0, retry_on=["worker_lost"])
LEFT_BEHIND: tuple[BeatState, ...] = ("failed", "timed_out", "waiting")


class PhaseRunner:
    """Runs the beats of one phase of a session; `run` returns how it ended."""

    def __init__(self, session: Session, phase: str) -> None:
        self.session = session
        self.phase = phase
        self.wired = session.wired[phase]
        self.capacity: int = getattr(session.executor, "size", 64)
        self.states: dict[str, BeatState] = {}
        self.attempts: dict[str, Attempt] = {}
        self.undecided = {beat.id: beat for beat in self.wired.beats}
        self._pending = {b.id: len(b.reads | b.follows) for b in self.wired.beats}
        self._readers: dict[str, list[str]] = {beat.id: [] for beat in self.wired.beats}
        for beat in self.wired.beats:
            for before in beat.reads | beat.follows:
                self._readers[before].append(beat.id)
        self._ready = [beat.id for beat in self.wired.beats if not self._pending[beat.id]]
        self._done: queue.SimpleQueue[tuple[Attempt, int, Future[Reply]]] = queue.SimpleQueue()
        self._later: list[tuple[float, int, Attempt]] = []
        self._ticket = itertools.count()
        self._running = 0
        self._deadline = time.monotonic() + (self.wired.sequence.timeout or float("inf"))

    def run(self) -> BeatState:
        """Until nothing can go on: succeeded, failed or waiting."""
        (self.session.folder.path / "results" / self.phase).mkdir(parents=True, exist_ok=True)
        while True:
            self._hand_out()
            if not self._running and not self._later:
                break
            self._receive()
        ended = {
            state
            for name, state in self.states.items()
            if not self.wired.beat(name).beat.continue_on_error
        }
        if ended & {"failed", "timed_out"}:
            self._compensate()
            return "failed"
        return "waiting" if "waiting" in self.states.values() else "succeeded"

    def _hand_out(self) -> None:
        while self._ready:
            name = self._ready[0]
            if self._running >= self.capacity and not self._decided_without_work(name):
                break
            self._ready.pop(0)
            self._decide(self.undecided.pop(name))
        for attempt in list(self.attempts.values()):
            self._hand_out_items(attempt)

    def _decided_without_work(self, name: str) -> bool:
        return self.session.record.beat(self.phase, name).state == "succeeded"

    def _decide(self, wired: WiredBeat) -> None:
        record = self.session.record.beat(self.phase, wired.id)
        try:
            given, hashes = self.session.inputs(self.phase, wired)
            if wired.beat.when and not self.session.evaluate(self.phase, wired.beat.when):
                self._skip(wired, f"when {wired.beat.when} is not so")
                return
            parts = key_parts(wired, self.session.hashes, hashes)
            if self._reusable(wired, key_of(parts)):
                keep_finished(self.session, self.phase, wired)
                self.session.observer.beat_reused(self.phase, wired.id, record.summary)
                self._settle(wired, record.state)
                return
            if self._gated(wired):
                return
            items, note = self._items(wired)
        except InputMissing as missing:
            self._skip(wired, str(missing))
            return
        except ExpressionError as error:
            self._finish(wired, "failed", Reply("failed", str(error)), None, None)
            return
        self._discard(wired)
        self._begin(Attempt(wired, 1, key_of(parts), parts, given, self._limit(wired), items, note))

    def _reusable(self, wired: WiredBeat, key: str) -> bool:
        record = self.session.record.beat(self.phase, wired.id)
        if record.key != key or record.state not in ("succeeded", "skipped"):
            return False
        cache = wired.beat.cache or self.wired.sequence.defaults.cache or "default"
        if cache != "default":
            return False
        return self.session.results.damage((self.phase, wired.id), record) is None

    def _gated(self, wired: WiredBeat) -> bool:
        """Whether the beat's own approval gate stops it now."""
        gate = wired.beat.approval
        if gate is None:
            return False
        decision = self.session.approval()
        verdict = decision["decision"] if decision else None
        if verdict is None and gate.timeout is not None and gate.on_timeout != "wait":
            asked = self._asked_at(wired)
            if asked is not None and time.time() - asked > gate.timeout:
                verdict = {"approve": "approved", "reject": "rejected"}[gate.on_timeout]
        if verdict == "approved":
            return False
        if verdict == "rejected":
            by = (
                f"{decision['by']}: {decision['reason']}" if decision else "nobody answered in time"
            )
            self._finish(wired, "failed", Reply("failed", f"rejected by {by}"), None, None)
            return True
        reply = Reply("waiting", "it waits for approval", self.approval_hint())
        self._finish(wired, "waiting", reply, None, None)
        return True

    def _asked_at(self, wired: WiredBeat) -> float | None:
        for event in self.session.journal.events:
            mine = event.get("phase") == self.phase and event.get("beat") == wired.id
            if mine and event.get("state") == "waiting":
                return datetime.fromisoformat(event["at"]).astimezone(UTC).timestamp()
        return None

    def approval_hint(self) -> str:
        run_id = self.session.folder.run_id
        return f"selfheal approve {run_id} --by NAME, then selfheal resume {run_id}"

    def _items(self, wired: WiredBeat) -> tuple[list[Any] | None, str]:
        if wired.beat.foreach is None:
            return None, ""
        items = self.session.evaluate(self.phase, wired.beat.foreach)
        if not isinstance(items, list):
            raise ExpressionError(f"foreach {wired.beat.foreach} gives no list")
        limit = wired.beat.max_items
        if limit is None or len(items) <= limit:
            return items, ""
        return items[:limit], f"the first {limit} of {len(items)}"

    def _limit(self, wired: WiredBeat) -> float:
        own = wired.beat.timeout or self.wired.sequence.defaults.timeout
        limit = own or self.session.settings.run.beat_timeout_seconds
        return max(min(limit, self._deadline - time.monotonic()), 0.001)

    def _begin(self, attempt: Attempt) -> None:
        name = attempt.wired.id
        self.session.note("beat_started", phase=self.phase, beat=name, attempt=attempt.number)
        self.session.observer.beat_started(self.phase, name, attempt.number)
        attempt.began = time.monotonic()
        self.attempts[name] = attempt
        if attempt.size == 0:
            self._conclude(attempt)
        else:
            self._hand_out_items(attempt)

    def _hand_out_items(self, attempt: Attempt) -> None:
        together = attempt.wired.beat.max_parallel or attempt.size
        while (
            attempt.handed_out < attempt.size
            and attempt.running < together
            and self._running < max(self.capacity, 1)
            and attempt.verdict is None
        ):
            index = attempt.handed_out
            attempt.handed_out += 1
            self._running += 1
            task = make_task(self.session, self.phase, attempt, index)
            future = self.session.executor.submit(run_task, task)
            future.add_done_callback(partial(self._come_back, attempt, index))

    def _come_back(self, attempt: Attempt, index: int, future: Future[Reply]) -> None:
        """Called in a thread of the executor."""
        self._done.put((attempt, index, future))

    def _receive(self) -> None:
        """Wait for a reply or for the time of a retry."""
        now = time.monotonic()
        pause = self._later[0][0] - now if self._later else None
        if pause is not None and pause <= 0:
            self._begin(heapq.heappop(self._later)[2])
            return
        try:
            attempt, index, future = self._done.get(timeout=pause)
        except queue.Empty:
            return
        self._running -= 1
        attempt.replies[index] = _reply_of(future, attempt)
        finished = attempt.handed_out == attempt.size or attempt.verdict is not None
        if finished and not attempt.running:
            self._conclude(attempt)

    def _conclude(self, attempt: Attempt) -> None:
        del self.attempts[attempt.wired.id]
        verdict = attempt.verdict
        if verdict is None:
            output, reply = commit(self.session, self.phase, attempt)
            state: BeatState = "succeeded" if output else "skipped"
            self._finish(attempt.wired, state, reply, output, attempt)
        elif verdict.outcome == "waiting":
            hint = verdict.hint or self.approval_hint()
            self._finish(attempt.wired, "waiting", replace(verdict, hint=hint), None, attempt)
        else:
            self._failed(attempt, verdict)

    def _failed(self, attempt: Attempt, verdict: Reply) -> None:
        wired = attempt.wired
        retry = wired.beat.retry or self.wired.sequence.defaults.retry or LOST_WORKER
        if (
            attempt.number < retry.max_attempts
            and _matches(retry.retry_on, verdict.failures)
            and not _matches(retry.except_on, verdict.failures)
            and time.monotonic() < self._deadline
        ):
            self._retry(attempt, retry, verdict)
            return
        for catch in wired.beat.catch:
            if _matches(catch.on, verdict.failures):
                reason = catch.reason or f"caught: {verdict.reason}"
                caught = replace(verdict, reason=reason, hint="", slug="")
                if catch.replaces:
                    output = commit_substitute(self.session, self.phase, attempt, catch.result)
                    self._finish(wired, "succeeded", caught, output, attempt)
                else:
                    self._finish(wired, "skipped", caught, None, attempt)
                return
        state: BeatState = "timed_out" if "timed_out" in verdict.failures else "failed"
        self._finish(wired, state, self._with_trace(attempt, verdict), None, attempt)

    def _retry(self, attempt: Attempt, retry: Retry, verdict: Reply) -> None:
        pause = min(retry.interval * retry.backoff_rate ** (attempt.number - 1), retry.max_interval)
        if retry.jitter == "full":
            pause = random.uniform(0, pause)
        self.session.note(
            "beat_retried",
            phase=self.phase,
            beat=attempt.wired.id,
            attempt=attempt.number,
            reason=verdict.reason,
            pause=round(pause, 3),
        )
        self.session.observer.beat_retried(self.phase, attempt.wired.id, verdict.reason, pause)
        again = replace(
            attempt,
            number=attempt.number + 1,
            replies={},
            tasks={},
            handed_out=0,
            timeout_seconds=self._limit(attempt.wired),
        )
        heapq.heappush(self._later, (time.monotonic() + pause, next(self._ticket), again))

    def _with_trace(self, attempt: Attempt, verdict: Reply) -> Reply:
        if not verdict.trace:
            return verdict
        relative = f"logs/{self.phase}.{attempt.wired.id}.txt"
        place = self.session.folder.path / relative
        place.parent.mkdir(exist_ok=True)
        place.write_text(verdict.trace)
        return replace(verdict, hint=verdict.hint or f"The traceback is in {place}.")

    def _discard(self, wired: WiredBeat) -> None:
        """Take away what an earlier session stored and what no longer stands."""
        output = self.session.record.beat(self.phase, wired.id).output
        if output is not None:
            (self.session.folder.path / output["file"]).unlink(missing_ok=True)

    def _skip(self, wired: WiredBeat, reason: str) -> None:
        self._discard(wired)
        self._finish(wired, "skipped", Reply("skipped", reason), None, None)

    def _finish(
        self,
        wired: WiredBeat,
        state: BeatState,
        reply: Reply,
        output: Output | None,
        attempt: Attempt | None,
    ) -> None:
        fields: dict[str, Any] = {"elapsed": reply.elapsed}
        if output is not None:
            fields["output"] = {"file": output.file, "sha256": output.sha256}
            self.session.results.keep((self.phase, wired.id), output, wired.handler.writes)
        if attempt is not None and state in ("succeeded", "skipped"):
            fields |= {"key": attempt.key, "parts": attempt.parts}
        for name in ("reason", "hint", "slug", "summary", "files"):
            if getattr(reply, name):
                fields[name] = getattr(reply, name)
        self.session.note("beat_finished", phase=self.phase, beat=wired.id, state=state, **fields)
        self.session.observer.beat_finished(
            self.phase, wired.id, state, reply.elapsed, reply.summary, reply.reason
        )
        self._settle(wired, state)

    def _settle(self, wired: WiredBeat, state: BeatState) -> None:
        """Let go what waited for this beat, unless it was left behind."""
        self.states[wired.id] = state
        if state in LEFT_BEHIND and not (
            wired.beat.continue_on_error and state in ("failed", "timed_out")
        ):
            return
        for reader in self._readers[wired.id]:
            self._pending[reader] -= 1
            if not self._pending[reader]:
                self._ready.append(reader)

    def _compensate(self) -> None:
        """Undo what succeeded, last first, by the beats' own compensations (a saga)."""
        if self.wired.sequence.on_failure != "compensate":
            return
        from selfheal.engine.compensation import compensate

        order = [name for phase, name in self.session.record.finished_order if phase == self.phase]
        for name in reversed(order):
            if self.states.get(name) == "succeeded":
                compensate(self.session, self.phase, self.wired.beat(name))


def _reply_of(future: Future[Reply], attempt: Attempt) -> Reply:
    elapsed = round(time.monotonic() - attempt.began, 6)
    try:
        return future.result()
    except TimedOut as error:
        return Reply("fault", str(error), failures=("timed_out", "TimedOut"), elapsed=elapsed)
    except WorkerLost as error:
        return Reply(
            "fault",
            str(error),
            slug="beat-fault",
            failures=("worker_lost", "WorkerLost"),
            elapsed=elapsed,
        )
    except Exception as error:
        reason = f"{type(error).__name__}: {error}"
        return Reply(
            "fault",
            reason,
            slug="beat-fault",
            failures=("fault", type(error).__name__),
            elapsed=elapsed,
        )


def _matches(wanted: Iterable[str], failures: tuple[str, ...]) -> bool:
    return any(name in ("all", *failures) for name in wanted)
