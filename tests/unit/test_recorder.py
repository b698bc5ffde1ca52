"""The recorder writes calls as they were made, bounded, and never disturbs the service."""

from __future__ import annotations

import asyncio
import json
import os
import random
import subprocess
import sys
import types
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from selfheal.recorder import install, install_from_environment, record, uninstall
from selfheal.recorder.recording import UNUSABLE_AT_MOST, identity

SERVICE = """
import functools

from other import helper

def total(items, discount=0.0):
    return sum(items) * (1 - discount)

def drain(items):
    items.clear()
    return len(items)

def refuse(password):
    raise KeyError("no " + password)

def numbers():
    yield 1

async def later(value):
    return value + 1

def outer(value):
    return total([value, value])

class Cart:
    def __init__(self, items):
        self.items = items

    def add(self, item):
        self.items.append(item)
        return self

    @classmethod
    def empty(cls, kind=None):
        return kind

    @staticmethod
    def tax(amount):
        return amount * 0.19

    @property
    def size(self):
        return len(self.items)
"""


@pytest.fixture
def service(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """A module of a service, imported anew."""
    (tmp_path / "kiosk.py").write_text(SERVICE)
    (tmp_path / "other.py").write_text("def helper(): return 1\n")
    (tmp_path / "reader.py").write_text("from kiosk import total\n")
    monkeypatch.syspath_prepend(tmp_path)
    import kiosk  # type: ignore[import-not-found]

    yield kiosk
    uninstall()
    for name in ("kiosk", "other", "reader"):
        sys.modules.pop(name, None)


def calls(folder: Path) -> list[dict[str, Any]]:
    return [
        json.loads(line)
        for file in sorted(folder.glob("calls-*.jsonl"))
        for line in file.read_text().splitlines()
    ]


def test_a_call_is_written_with_its_place_arguments_and_answer(
    service: Any, tmp_path: Path
) -> None:
    install(["kiosk:total"], tmp_path / "calls")
    assert service.total([1, 2], discount=0.5) == 1.5
    (call,) = calls(tmp_path / "calls")
    assert (call["module"], call["function"]) == ("kiosk", "total")
    assert (call["file"], call["line"]) == (str(tmp_path / "kiosk.py"), 6)
    assert (call["args"], call["kwargs"], call["result"]) == ([[1, 2]], {"discount": 0.5}, 1.5)
    assert len(call["trace_id"]) == 32
    assert call["duration_ns"] > 0


def test_arguments_are_those_before_the_function_changed_them(service: Any, tmp_path: Path) -> None:
    install(["kiosk:drain"], tmp_path / "calls")
    service.drain([1, 2])
    assert calls(tmp_path / "calls")[0]["args"] == [[1, 2]]


def test_an_exception_passes_and_is_written_without_the_secret(
    service: Any, tmp_path: Path
) -> None:
    install(["kiosk:refuse"], tmp_path / "calls")
    with pytest.raises(KeyError, match="hunter2") as raised:
        service.refuse("hunter2")
    assert raised.value.args == ("no hunter2",)
    (call,) = calls(tmp_path / "calls")
    assert call["exception"]["class"] == "builtins:KeyError"
    assert call["args"] == [{"$": "redacted", "type": "str"}]


def test_methods_of_every_kind_and_coroutines_are_recorded(service: Any, tmp_path: Path) -> None:
    recorder = install(["kiosk:*"], tmp_path / "calls")
    assert recorder.problems == []
    cart = service.Cart([1])
    assert cart.add(2) is cart
    assert cart.size == 2
    assert service.Cart.empty("x") == "x"
    assert service.Cart.tax(100) == 19
    assert asyncio.run(service.later(1)) == 2
    assert list(service.numbers()) == [1]
    found = {call["function"]: call for call in calls(tmp_path / "calls")}
    assert set(found) == {"Cart.add", "Cart.empty", "Cart.tax", "later"}
    assert found["Cart.add"]["args"][0]["fields"] == {"items": [1]}
    assert found["Cart.empty"]["args"] == ["x"]
    assert found["later"]["result"] == 2


def test_calls_within_a_recorded_call_are_its_children(service: Any, tmp_path: Path) -> None:
    install(["kiosk:outer", "kiosk:total"], tmp_path / "calls")
    service.outer(2)
    inner, outer = calls(tmp_path / "calls")
    assert (inner["trace_id"], inner["parent_span_id"]) == (outer["trace_id"], outer["span_id"])
    assert outer["parent_span_id"] is None


def test_references_imported_before_are_replaced_and_put_back(service: Any, tmp_path: Path) -> None:
    import reader  # type: ignore[import-not-found]

    original = service.total
    install(["kiosk:total"], tmp_path / "calls")
    reader.total([1])
    assert len(calls(tmp_path / "calls")) == 1
    uninstall()
    assert service.total is original
    assert reader.total is original


def test_a_decorated_function_is_recorded_only_while_a_recorder_is_installed(
    tmp_path: Path,
) -> None:
    @record
    def double(value: int) -> int:
        return 2 * value

    assert double(1) == 2
    install([], tmp_path / "calls")
    assert double(2) == 4
    uninstall()
    assert double(3) == 6
    assert [call["args"] for call in calls(tmp_path / "calls")] == [[2]]


@pytest.mark.parametrize("value", [object(), lambda: 1, [object()], "x" * 100_000])
def test_what_cannot_be_written_is_marked_and_returned_untouched(
    service: Any, tmp_path: Path, value: Any
) -> None:
    install(["kiosk:Cart.empty"], tmp_path / "calls")
    assert service.Cart.empty(value) is value
    (call,) = calls(tmp_path / "calls")
    assert call["unusable"].startswith("an argument: ")
    assert "args" not in call


def test_a_function_whose_values_cannot_be_taken_is_left_alone(
    service: Any, tmp_path: Path
) -> None:
    install(["kiosk:Cart.empty"], tmp_path / "calls", first=1000, per_minute=1000)
    for _ in range(2 * UNUSABLE_AT_MOST):
        service.Cart.empty(object())
    assert len(calls(tmp_path / "calls")) == UNUSABLE_AT_MOST


def test_the_first_calls_and_then_a_share_are_recorded(service: Any, tmp_path: Path) -> None:
    install(["kiosk:total"], tmp_path / "calls", first=3, rate=0.0)
    for _ in range(10):
        service.total([1])
    assert [call["calls"] for call in calls(tmp_path / "calls")] == [1, 2, 3]


def test_the_first_call_of_a_kind_is_recorded_whenever_it_comes(
    service: Any, tmp_path: Path
) -> None:
    install(["kiosk:total"], tmp_path / "calls", first=2, rate=0.0, kinds=2)
    for lines in ([1], [1], [1], (1,), (1,), {1}, [1]):
        service.total(lines)
    assert [call["calls"] for call in calls(tmp_path / "calls")] == [1, 2, 4]


def test_a_share_that_falls_with_their_number_is_recorded_of_later_calls(
    service: Any, tmp_path: Path
) -> None:
    install(["kiosk:total"], tmp_path / "calls", first=20, rate=0.001, per_minute=10_000)
    for _ in range(2_000):
        service.total([1])
    later = [call["calls"] for call in calls(tmp_path / "calls") if call["calls"] > 20]
    # 20 · (ln 2,000 - ln 20) = 92 are expected, of them 46 up to the 200th.
    assert 40 < len(later) < 160
    assert 15 < sum(number <= 200 for number in later) < 90


def test_no_more_than_so_many_a_minute_are_recorded(service: Any, tmp_path: Path) -> None:
    install(["kiosk:total"], tmp_path / "calls", rate=1.0, per_minute=4)
    for _ in range(10):
        service.total([1])
    assert len(calls(tmp_path / "calls")) == 4


def test_files_and_their_folder_are_bounded_and_for_the_owner_alone(
    service: Any, tmp_path: Path
) -> None:
    folder = tmp_path / "calls"
    options = {"rate": 1.0, "per_minute": 1000, "file_bytes": 2000, "folder_bytes": 5000}
    recorder = install(["kiosk:total"], folder, **options)
    for _ in range(100):
        assert service.total([1]) == 1
    sizes = [file.stat().st_size for file in folder.iterdir()]
    assert max(sizes) <= 2000
    assert 5000 <= sum(sizes) <= 7000
    assert recorder.dropped == 100 - len(calls(folder))
    assert {file.stat().st_mode & 0o777 for file in folder.iterdir()} == {0o600}
    assert folder.stat().st_mode & 0o777 == 0o700


def test_a_folder_that_cannot_be_made_disturbs_nobody(service: Any, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    recorder = install(["kiosk:total"], tmp_path / "file" / "calls")
    for _ in range(5):
        assert service.total([1]) == 1
    assert recorder.dropped == 5
    assert recorder.files.stopped


def test_a_fault_of_the_recorder_itself_disturbs_nobody(
    service: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    recorder = install(["kiosk:total"], tmp_path / "calls")
    monkeypatch.setattr(os, "urandom", lambda _size: 1 // 0)
    assert service.total([1]) == 1
    monkeypatch.undo()
    monkeypatch.setattr(json, "dumps", lambda *_given, **_options: 1 // 0)
    assert service.total([1]) == 1
    monkeypatch.undo()
    assert recorder.dropped == 2
    assert service.total([1]) == 1
    assert len(calls(tmp_path / "calls")) == 1


def test_names_that_cannot_be_recorded_are_problems_and_the_others_are_recorded(
    service: Any, tmp_path: Path
) -> None:
    names = ["kiosk:absent", "kiosk:numbers", "nowhere:f", "kiosk", "kiosk:Cart.size"]
    recorder = install([*names, "kiosk:total"], tmp_path / "calls")
    assert [problem.partition(": ")[0] for problem in recorder.problems] == names
    service.total([1])
    assert len(calls(tmp_path / "calls")) == 1


def test_a_file_named_in_the_environment_configures_it(service: Any, tmp_path: Path) -> None:
    file = tmp_path / "recorder.json"
    file.write_text(
        json.dumps({"functions": ["kiosk:total"], "folder": str(tmp_path / "calls"), "first": 1})
    )
    assert install_from_environment({}) is None
    assert install_from_environment({"SELFHEAL_RECORDER": str(tmp_path / "absent")}) is None
    assert install_from_environment({"SELFHEAL_RECORDER": str(file)}) is not None
    service.total([1])
    assert len(calls(tmp_path / "calls")) == 1
    file.write_text('{"unknown": 1}')
    assert install_from_environment({"SELFHEAL_RECORDER": str(file)}) is None


def test_a_forked_process_writes_a_file_of_its_own(service: Any, tmp_path: Path) -> None:
    install(["kiosk:total"], tmp_path / "calls")
    service.total([1])
    child = os.fork()
    if child == 0:
        service.total([2])
        os._exit(0)
    os.waitpid(child, 0)
    service.total([3])
    assert len(list((tmp_path / "calls").iterdir())) == 2
    assert sorted(call["args"] for call in calls(tmp_path / "calls")) == [[[1]], [[2]], [[3]]]


def test_the_current_span_of_opentelemetry_is_the_parent(
    service: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    trace = pytest.importorskip("opentelemetry.trace")
    context = trace.SpanContext(0xAB, 0xCD, is_remote=False)
    install(["kiosk:total"], tmp_path / "calls")
    with trace.use_span(trace.NonRecordingSpan(context)):
        service.total([1])
    (call,) = calls(tmp_path / "calls")
    assert (int(call["trace_id"], 16), int(call["parent_span_id"], 16)) == (0xAB, 0xCD)


def test_the_service_is_named_as_opentelemetry_has_it() -> None:
    attributes = "service.version=1.2, vcs.ref.head.revision=abc,service.name=b"
    given = {"OTEL_SERVICE_NAME": "a", "OTEL_RESOURCE_ATTRIBUTES": attributes}
    assert identity(given) == {"service": "a", "release": "1.2", "commit": "abc"}
    assert identity({}) == {}


def test_a_service_that_imports_it_loads_the_standard_library_alone() -> None:
    code = (
        "import sys; before = set(sys.modules); import selfheal.recorder\n"
        "new = {name.partition('.')[0] for name in set(sys.modules) - before}\n"
        "print(sorted(new - set(sys.stdlib_module_names)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "['selfheal']"


def test_a_module_that_refuses_to_be_looked_at_is_passed_over(
    service: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "strange", object())  # type: ignore[arg-type]
    monkeypatch.setitem(sys.modules, "plain", types.ModuleType("plain"))
    assert install(["kiosk:total"], tmp_path / "calls").problems == []


def test_the_random_numbers_of_the_service_stay_the_same(service: Any, tmp_path: Path) -> None:
    install(["kiosk:total"], tmp_path / "calls", first=0, rate=0.5)
    random.seed(1)
    before = random.random()
    random.seed(1)
    service.total([1])
    assert random.random() == before
