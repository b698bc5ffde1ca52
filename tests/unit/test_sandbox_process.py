"""Commands that are not trusted are confined, bounded and ended as a whole."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

from selfheal.sandbox import isolation, launcher
from selfheal.sandbox.process import OUTPUT_LIMIT, run


@pytest.fixture(params=["bubblewrap", "landlock", "limits"], autouse=True)
def confinement(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Every promise is kept at every level that works here."""
    level: str = request.param
    if level == "bubblewrap" and isolation.bubblewrap() is None:
        pytest.skip("bubblewrap does not work here")
    if level == "landlock" and not isolation.landlock():
        pytest.skip("Landlock does not work here")
    monkeypatch.setenv("SELFHEAL_SANDBOX__LEVEL", level)
    monkeypatch.setenv("SELFHEAL_SANDBOX__ALLOW_UNISOLATED", "true")
    return level


def python(code: str) -> list[str]:
    return [sys.executable, "-c", code]


def test_exit_code_and_both_outputs_are_returned(tmp_path: Path) -> None:
    code = "import sys; print('out'); print('err', file=sys.stderr); sys.exit(3)"
    done = run(python(code), cwd=tmp_path, timeout_seconds=20)
    assert (done.state, done.exit_code, done.stdout, done.stderr) == (
        "exited",
        3,
        "out\n",
        "err\n",
    )


def test_the_confinement_is_named_honestly(tmp_path: Path, confinement: str) -> None:
    named = run(["true"], cwd=tmp_path, timeout_seconds=20).isolation
    assert (
        named
        == {
            "bubblewrap": isolation.BUBBLEWRAP,
            "landlock": isolation.LANDLOCK,
            "limits": isolation.LIMITS_ONLY,
        }[confinement]
    )
    assert isolation.is_isolated() == ("not isolated" not in named)


def test_what_is_not_isolated_is_refused_unless_that_is_allowed(
    tmp_path: Path, confinement: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("SELFHEAL_SANDBOX__ALLOW_UNISOLATED")
    done = run(["touch", "here"], cwd=tmp_path, timeout_seconds=20)
    if confinement == "limits":
        assert (done.state, list(tmp_path.iterdir())) == ("not_started", [])
        assert "sandbox.allow_unisolated" in done.stderr
    else:
        assert done.succeeded


def test_a_program_that_is_not_there_is_not_started(tmp_path: Path) -> None:
    done = run(["no-such-program"], cwd=tmp_path, timeout_seconds=20)
    assert (done.state, done.exit_code) == ("not_started", None)
    assert "no-such-program" in done.stderr


def test_standard_input_is_given(tmp_path: Path) -> None:
    done = run(["cat"], cwd=tmp_path, timeout_seconds=20, input="grüße")
    assert done.stdout == "grüße"


def test_the_environment_is_cleared(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("A_SECRET", "do not tell")
    code = "import os; print('A_SECRET' in os.environ, os.environ['HOME'], os.environ['EXTRA'])"
    done = run(python(code), cwd=tmp_path, timeout_seconds=20, environment={"EXTRA": "given"})
    secret, home, extra = done.stdout.split()
    assert (secret, extra) == ("False", "given")
    assert home != os.environ.get("HOME")
    assert not Path(home).exists(), "the private home is removed"


def test_a_timeout_ends_grandchildren_in_sessions_of_their_own(tmp_path: Path) -> None:
    mark = f"{time.time_ns() % 10**9 + 10**6}"
    script = f"setsid sleep {mark} & (setsid setsid sleep {mark} &); sleep {mark}"
    done = run(["sh", "-c", script], cwd=tmp_path, timeout_seconds=0.5)
    assert (done.state, done.exit_code) == ("timed_out", None)
    assert _running(mark) == ""


def test_what_stays_in_the_background_ends_with_the_command(tmp_path: Path) -> None:
    mark = f"{time.time_ns() % 10**9 + 10**6}"
    done = run(["sh", "-c", f"setsid sleep {mark} & exit 0"], cwd=tmp_path, timeout_seconds=20)
    assert done.state == "exited"
    assert _running(mark) == ""


def test_the_command_ends_when_its_starter_is_killed(tmp_path: Path, confinement: str) -> None:
    mark = f"{time.time_ns() % 10**9 + 10**6}"
    code = (
        "from pathlib import Path; from selfheal.sandbox import process\n"
        f"process.run(['sleep', '{mark}'], cwd=Path('.'), timeout_seconds=100)"
    )
    starter = subprocess.Popen(python(code), cwd=tmp_path)
    _until(lambda: _running(mark) != "")
    starter.kill()
    starter.wait()
    _until(lambda: _running(mark) == "")


def test_memory_is_limited(tmp_path: Path) -> None:
    done = run(python("bytearray(10**9)"), cwd=tmp_path, timeout_seconds=20, memory_megabytes=300)
    assert done.exit_code == 1
    assert "MemoryError" in done.stderr


def test_a_death_by_signal_is_killed_not_exited(tmp_path: Path) -> None:
    code = "import os, signal; os.kill(os.getpid(), signal.SIGSEGV)"
    done = run(python(code), cwd=tmp_path, timeout_seconds=20)
    assert (done.state, done.exit_code) == ("killed", -11)


def test_endless_output_is_bounded(tmp_path: Path) -> None:
    done = run(
        python(f"print('a' + 'x' * {OUTPUT_LIMIT * 3} + 'z')"), cwd=tmp_path, timeout_seconds=20
    )
    assert len(done.stdout) < OUTPUT_LIMIT * 1.1
    assert done.stdout.startswith("a")
    assert done.stdout.endswith("z\n")


def test_writes_reads_and_the_network_are_kept_away(tmp_path: Path, confinement: str) -> None:
    if confinement == "limits":
        pytest.skip("limits isolate nothing")
    work, outside = tmp_path / "work", tmp_path / "outside"
    work.mkdir()
    outside.mkdir()
    (outside / "secret").write_text("do not tell")
    assert run(["sh", "-c", "touch here"], cwd=work, timeout_seconds=20).succeeded
    assert not run(["touch", str(outside / "x")], cwd=work, timeout_seconds=20).succeeded
    read = run(["cat", str(outside / "secret")], cwd=work, timeout_seconds=20)
    assert not read.succeeded
    assert "do not tell" not in read.stdout
    assert [path.name for path in outside.iterdir()] == ["secret"]
    code = "import socket; socket.create_connection(('192.0.2.1', 80), 5)"
    said = run(python(code), cwd=work, timeout_seconds=20).stderr
    assert "unreachable" in said or "not permitted" in said


def test_a_server_on_loopback_can_be_tested_where_the_network_is_an_own_one(
    tmp_path: Path, confinement: str
) -> None:
    if confinement == "landlock":
        pytest.skip("at this level there are no sockets at all")
    code = (
        "import socket, threading\n"
        "server = socket.create_server(('127.0.0.1', 0))\n"
        "client = socket.create_connection(server.getsockname())\n"
        "server.accept()[0].sendall(b'hello'); print(client.recv(9))"
    )
    assert run(python(code), cwd=tmp_path, timeout_seconds=20).stdout == "b'hello'\n"


@pytest.mark.parametrize("network", [True, False])
def test_a_service_reaches_the_named_ports_alone(
    tmp_path: Path, confinement: str, network: bool
) -> None:
    if confinement == "limits":
        pytest.skip("limits isolate nothing")
    if network and launcher.landlock_version() < 4:
        pytest.skip("this kernel's Landlock does not know ports")
    code = (
        "import socket, sys\n"
        "for port in sys.argv[1:]:\n"
        "    try: socket.create_connection(('127.0.0.1', int(port)), 5); print('reached')\n"
        "    except OSError: print('refused')"
    )
    with socket.create_server(("127.0.0.1", 0)) as named, socket.create_server(("", 0)) as other:
        ports = [server.getsockname()[1] for server in (named, other)]
        command = isolation.confined(
            [*python(code), *map(str, ports)],
            cwd=tmp_path,
            writable=(),
            network=network,
            ports=ports[:1],
        )
        said = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    assert said.split() == [("reached" if network else "refused"), "refused"]


def test_processes_and_bytes_written_are_limited_in_total(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SELFHEAL_SANDBOX__PROCESSES", "20")
    monkeypatch.setenv("SELFHEAL_SANDBOX__DISK_MEGABYTES", "8")
    many = "for i in $(seq 40); do sleep 60 & done; wait"
    done = run(["sh", "-c", many], cwd=tmp_path, timeout_seconds=20)
    assert (done.state, "more than 20 processes" in done.stderr) == ("killed", True)
    files = "for i in $(seq 9); do head -c 1000000 /dev/zero > f$i; done; sleep 60"
    done = run(["sh", "-c", files], cwd=tmp_path, timeout_seconds=20)
    assert (done.state, "more than 8 MB written" in done.stderr) == ("killed", True)


def _running(mark: str) -> str:
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            words = (folder / "cmdline").read_bytes().split(b"\0")
        except OSError:
            continue
        if words[:2] == [b"sleep", mark.encode()]:
            found.append(folder.name)
    return " ".join(found)


def _until(condition: object, seconds: float = 20) -> None:
    deadline = time.monotonic() + seconds
    while not condition():  # type: ignore[operator]
        assert time.monotonic() < deadline, "it did not come true in time"
        time.sleep(0.02)
