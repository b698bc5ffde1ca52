"""HAProxy in front of a fleet: one address, shares of traffic by weight, no dropped request.

The configuration is derived from the routing and its digest stands in it, so that what
the running proxy carries out can be told from what it should. A change starts a new
process, which takes the listening sockets over from the one before; that one finishes
what it has begun (``haproxy -x … -sf …``). Clients keep the instance that they were given,
by a cookie, as long as it has traffic.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Protocol
from urllib.parse import urlsplit

from pydantic import Field

from selfheal.artifacts.model import Model
from selfheal.delivery.processes import birth_of, is_alive
from selfheal.errors import ServiceError

DRAIN_SECONDS = 10.0
_READY_SECONDS = 10.0
_GREATEST_WEIGHT = 256

_CONFIGURATION = """\
global
    description {digest}
    stats socket {socket} mode 600 level admin expose-fd listeners
    hard-stop-after {drain}s
    maxconn 4000
defaults
    mode http
    timeout connect 2s
    timeout client 60s
    timeout server 60s
    timeout queue 5s
    timeout http-keep-alive 3s
    option idle-close-on-response
    option redispatch 1
    option http-keep-alive
    retries 3
    retry-on conn-failure empty-response
frontend service
    bind 127.0.0.1:{port}
    default_backend releases
backend releases
    balance roundrobin
    cookie selfheal-instance insert indirect nocache httponly
    # A connection that was refused may always be tried again, what was sent only if it is safe.
    http-request disable-l7-retry unless METH_GET
{servers}
"""


class Server(Protocol):
    """An instance that the proxy knows: where it listens and its share in percent."""

    @property
    def id(self) -> str: ...
    @property
    def url(self) -> str: ...
    @property
    def weight(self) -> float: ...


class Running(Model):
    """The proxy's processes: the present one, and those that finish what they have begun."""

    pid: int
    birth: int
    draining: list[tuple[int, int]] = Field(default_factory=list)


def find_haproxy() -> str | None:
    """The program, None where it is not installed."""
    return shutil.which("haproxy", path=f"{os.environ.get('PATH', '')}:/usr/sbin:/usr/local/sbin")


class Proxy:
    """The proxy of the fleet in `folder`, on a port of the loopback address."""

    def __init__(self, folder: Path, port: int) -> None:
        self.folder = folder / "proxy"
        self.port = port

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def apply(self, servers: Sequence[Server]) -> None:
        """Carry out the weights; returns when the new configuration serves.

        Raises ServiceError where HAProxy is not there or does not take the configuration.
        """
        text, digest = self._configuration(servers)
        if self.applied() == digest:
            return
        self.folder.mkdir(parents=True, exist_ok=True)
        configuration = self.folder / "haproxy.cfg"
        configuration.write_text(text)
        before = self._running()
        command = [_haproxy(), "-D", "-f", "haproxy.cfg", "-p", "haproxy.pid"]
        if before is not None and is_alive(before.pid, before.birth):
            command += ["-x", "admin.sock", "-sf", str(before.pid)]
        done = subprocess.run(
            command,
            cwd=self.folder,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
            start_new_session=True,
        )
        if done.returncode:
            raise ServiceError(
                f"HAProxy does not start: {done.stderr.strip().splitlines()[-1:]}",
                where=str(configuration),
            )
        self._note(before)
        deadline = time.monotonic() + _READY_SECONDS
        while self.applied() != digest:
            if time.monotonic() > deadline:
                raise ServiceError(
                    "HAProxy does not answer with its new configuration.", where=str(configuration)
                )
            time.sleep(0.01)

    def carries(self, servers: Sequence[Server]) -> bool:
        """Whether the running proxy has just these weights."""
        return self.applied() == self._configuration(servers)[1]

    def applied(self) -> str | None:
        """The digest of the configuration that serves now, None where no proxy answers."""
        for line in self._ask("show info").splitlines():
            name, _, value = line.partition(":")
            if name == "description":
                return value.strip()
        return None

    def drain(self) -> None:
        """Wait until earlier configurations have finished what they began, within limits."""
        running = self._running()
        deadline = time.monotonic() + DRAIN_SECONDS
        while running is not None and time.monotonic() < deadline:
            if not any(is_alive(pid, birth) for pid, birth in running.draining):
                return
            time.sleep(0.02)

    def stop(self) -> None:
        """End every process of the proxy."""
        running = self._running()
        if running is not None:
            for pid, birth in [(running.pid, running.birth), *running.draining]:
                if is_alive(pid, birth):
                    os.kill(pid, signal.SIGKILL)
            (self.folder / "running.json").unlink(missing_ok=True)

    def _configuration(self, servers: Sequence[Server]) -> tuple[str, str]:
        """The configuration for the instances that have traffic, and its digest."""
        serving = sorted((each for each in servers if each.weight > 0), key=lambda each: each.id)
        greatest = max((each.weight for each in serving), default=1.0)
        lines = [
            f"    server {each.id} {urlsplit(each.url).netloc} cookie {each.id} "
            f"weight {max(1, round(each.weight / greatest * _GREATEST_WEIGHT))}"
            for each in serving
        ]
        digest = hashlib.sha256("\n".join([str(self.port), *lines]).encode()).hexdigest()
        text = _CONFIGURATION.format(
            digest=digest,
            # Relative, for the path of a socket may not be longer than 107 bytes.
            socket="unix@admin.sock",
            drain=round(DRAIN_SECONDS),
            port=self.port,
            servers="\n".join(lines),
        )
        return text, digest

    def _note(self, before: Running | None) -> None:
        pid = int((self.folder / "haproxy.pid").read_text().split()[0])
        earlier = [*before.draining, (before.pid, before.birth)] if before else []
        draining = [each for each in earlier if is_alive(*each)]
        noted = Running(pid=pid, birth=birth_of(pid) or 0, draining=draining)
        temporary = self.folder / f".running.{os.getpid()}"
        temporary.write_text(noted.model_dump_json())
        temporary.replace(self.folder / "running.json")

    def _running(self) -> Running | None:
        try:
            return Running.model_validate_json((self.folder / "running.json").read_bytes())
        except FileNotFoundError:
            return None

    def _ask(self, command: str) -> str:
        """What the proxy answers on its administration socket, "" where none does."""
        try:
            folder = os.open(self.folder, os.O_RDONLY)
        except OSError:
            return ""
        try:
            with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
                connection.settimeout(2)
                connection.connect(f"/proc/self/fd/{folder}/admin.sock")
                connection.sendall(f"{command}\n".encode())
                parts = []
                while part := connection.recv(65536):
                    parts.append(part)
                return b"".join(parts).decode()
        except OSError:
            return ""
        finally:
            os.close(folder)


def _haproxy() -> str:
    found = find_haproxy()
    if found is None:
        raise ServiceError(
            "HAProxy is not installed, and this fleet is served through it.",
            hint="make proxy, or apt-get install haproxy",
        )
    return found
