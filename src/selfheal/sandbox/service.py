"""Starting, asking and stopping one real process of the service under care."""

from __future__ import annotations

import http.client
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from types import TracebackType
from typing import Self
from urllib.parse import quote, urlsplit

from selfheal.config import ServiceConfig
from selfheal.errors import ConfigurationError, ServiceError
from selfheal.sandbox.isolation import cleared_environment, confined, refusal
from selfheal.sandbox.process import Supervised, limits, spawn, totals

GRACE_SECONDS = 5.0
ATTEMPTS = 3


class ServiceProcess:
    """One instance of a release, checked out in `folder`; a context manager.

    It exports telemetry to the OTLP/HTTP `endpoint` (None: the SDK is disabled) under
    the given identity, and writes its output to `log`. `python` fills ``{python}``
    (default: this interpreter). `sandboxed` confines it as far as the machine allows.
    It has `grace_seconds` to end by itself when it is stopped. The process ends with
    this one, unless `detach` is called.
    """

    def __init__(
        self,
        service: ServiceConfig,
        *,
        folder: Path,
        release: str,
        instance: str,
        commit: str,
        log: Path,
        endpoint: str | None = None,
        python: str | None = None,
        sandboxed: bool = False,
        memory_megabytes: int | None = None,
        grace_seconds: float = GRACE_SECONDS,
    ) -> None:
        if not service.start:
            raise ConfigurationError(
                "the service has no start command.",
                where="service.start",
                hint="Set it to a command such as ['{python}', '-m', 'app', '--port', '{port}'].",
            )
        self.service = service
        self.folder = folder.absolute()
        self.release = release
        self.instance = instance
        self.commit = commit
        self.log = log.absolute()
        self.endpoint = endpoint
        self.python = python or sys.executable
        self.sandboxed = sandboxed
        self.memory_megabytes = memory_megabytes
        self.grace_seconds = grace_seconds
        self.port = 0
        self._running: Supervised | None = None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def pid(self) -> int:
        """The supervisor's process id, which leads the group: `stop_process` ends it all."""
        if self._running is None:
            raise ServiceError("the service is not running.", where=self.instance)
        return self._running.process.pid

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop()

    def start(self) -> None:
        """Start it on a free port and wait until it is healthy.

        Raises ServiceError with the last lines of the log when it ends or is not
        healthy after ``startup_seconds``. A port that someone else took in between is
        tried again.
        """
        if self.sandboxed and (reason := refusal()) is not None:
            raise ServiceError(reason, where=self.instance)
        for _ in range(ATTEMPTS):
            self.port = free_port()
            self._spawn()
            if self._ready():
                return
            ended = self._running is not None and self._running.process.poll() is not None
            self.stop()
            if not (ended and "in use" in self._log_tail()):
                break
        raise ServiceError(
            f"release {self.release} did not become healthy: {self._log_tail() or 'no output'}",
            where=" ".join(self.service.start),
        )

    def stop(self) -> None:
        """SIGTERM so that it can flush its telemetry, after its grace SIGKILL to what is left."""
        running, self._running = self._running, None
        if running is None:
            return
        stop_process(running.process.pid, self.grace_seconds)
        running.end()
        os.close(running.status)

    def healthy(self, timeout_seconds: float = 1.0) -> bool:
        """Whether its health address answers 200 now."""
        return healthy(self.url, self.service.health, timeout_seconds)

    def detach(self) -> None:
        """Let it outlive this process; from now on it is ended by `stop_process` with its pid."""
        if self._running is not None:
            self._running.release()

    def _spawn(self) -> None:
        home = Path(tempfile.mkdtemp(prefix="selfheal-home-"))
        values = {"python": self.python, "port": self.port, "release": self.release}
        command = [fill(part, values) for part in self.service.start]
        self.log.parent.mkdir(parents=True, exist_ok=True)
        if self.sandboxed:
            command = confined(
                command,
                cwd=self.folder,
                writable=(home,),
                network=True,
                ports=[self.port, *self._receiver_port()],
            )
        with self.log.open("ab") as log:
            self._running = spawn(
                command,
                cwd=self.folder,
                environment=cleared_environment(home) | self._environment(values),
                limits=limits(None, self.memory_megabytes) if self.sandboxed else {"CORE": 0},
                totals=(
                    totals(self.memory_megabytes, (self.folder, home)) if self.sandboxed else None
                ),
                remove=home,
                grace_seconds=self.grace_seconds,
                stdout=log,
                stderr=subprocess.STDOUT,
            )

    def _receiver_port(self) -> list[int]:
        port = urlsplit(self.endpoint).port if self.endpoint else None
        return [] if port is None else [port]

    def _environment(self, values: dict[str, object]) -> dict[str, str]:
        identity = {
            "service.version": self.release,
            "service.instance.id": self.instance,
            "vcs.ref.head.revision": self.commit,
        }
        telemetry = (
            {"OTEL_SDK_DISABLED": "true"}
            if self.endpoint is None
            else {
                "OTEL_EXPORTER_OTLP_ENDPOINT": self.endpoint,
                "OTEL_EXPORTER_OTLP_PROTOCOL": "http/protobuf",
            }
        )
        return {
            "PYTHONUNBUFFERED": "1",
            "PORT": str(self.port),
            "OTEL_SERVICE_NAME": self.service.name or "service",
            "OTEL_RESOURCE_ATTRIBUTES": ",".join(
                f"{key}={quote(value, safe='')}" for key, value in identity.items()
            ),
            **telemetry,
            **{name: fill(text, values) for name, text in self.service.environment.items()},
        }

    def _ready(self) -> bool:
        deadline = time.monotonic() + self.service.startup_seconds
        while time.monotonic() < deadline:
            if self._running is None or self._running.process.poll() is not None:
                return False
            if self.healthy():
                return True
            time.sleep(0.05)
        return False

    def _log_tail(self) -> str:
        if not self.log.is_file():
            return ""
        with self.log.open("rb") as file:
            file.seek(max(0, self.log.stat().st_size - 4000))
            return "\n".join(file.read().decode("utf-8", "replace").splitlines()[-12:])


def fill(text: str, values: dict[str, object]) -> str:
    """Replace ``{name}`` for the known names only; other braces stay."""
    for name, value in values.items():
        text = text.replace("{" + name + "}", str(value))
    return text


def free_port() -> int:
    """A TCP port on 127.0.0.1 that was free a moment ago."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def healthy(url: str, path: str, timeout_seconds: float = 1.0) -> bool:
    """Whether GET `path` of the service at `url` answers 200 within the time."""
    connection = http.client.HTTPConnection(urlsplit(url).netloc, timeout=timeout_seconds)
    try:
        connection.request("GET", path)
        return connection.getresponse().status == 200
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()


def running(pid: int) -> bool:
    """Whether a process is there and not a zombie."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return not Path("/proc/self/stat").exists()


def stop_process(pid: int, grace_seconds: float = GRACE_SECONDS) -> None:
    """End an instance by the pid that `ServiceProcess.pid` gave, from any process."""
    try:
        os.kill(pid, signal.SIGTERM)
        deadline = time.monotonic() + grace_seconds + 2
        while running(pid) and time.monotonic() < deadline:
            time.sleep(0.02)
        if running(pid):
            os.killpg(pid, signal.SIGKILL)
    except ProcessLookupError:
        return
