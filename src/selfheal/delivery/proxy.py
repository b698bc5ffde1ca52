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
from contextlib import suppress
from pathlib import Path
from typing import Protocol
from urllib.parse import urlsplit

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
        (self.folder / "haproxy.cfg").write_text(text)
        # The one before may die in between; then there are no sockets to take over.
        complaint = self._start() and self._start()
        if complaint:
            raise ServiceError(
                f"HAProxy does not start: {complaint}", where=str(self.folder / "haproxy.cfg")
            )
        deadline = time.monotonic() + _READY_SECONDS
        while self.applied() != digest:
            if time.monotonic() > deadline:
                raise ServiceError(
                    "HAProxy does not answer with its new configuration.", where=str(self.folder)
                )
            time.sleep(0.01)

    def _start(self) -> str:
        """Start a process that takes over from all others; its complaint, "" where it runs."""
        command = [_haproxy(), "-D", "-f", "haproxy.cfg", "-p", "haproxy.pid"]
        others = [str(pid) for pid in self.processes()]
        if others:
            owner = ["-x", "admin.sock"] if self.applied() is not None else []
            command += [*owner, "-sf", *others]
        done = subprocess.run(
            command,
            cwd=self.folder,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
            start_new_session=True,
        )
        lines = done.stderr.strip().splitlines()
        return (
            (lines[-1] if lines else f"it ended with {done.returncode}") if done.returncode else ""
        )

    def carries(self, servers: Sequence[Server]) -> bool:
        """Whether the running proxy has just these weights."""
        return self.applied() == self._configuration(servers)[1]

    def applied(self) -> str | None:
        """The digest of the configuration that serves now, None where no proxy answers."""
        return self._information().get("description")

    def pid(self) -> int | None:
        """The process that serves now, None where no proxy answers."""
        told = self._information().get("Pid")
        return None if told is None else int(told)

    def processes(self) -> list[int]:
        """Every process of this proxy, also those that finish what they have begun.

        They are looked up and not remembered: a crash may come between start and note.
        """
        return [
            int(entry.name)
            for entry in Path("/proc").iterdir()
            if entry.name.isdigit() and self._is_ours(entry)
        ]

    def drain(self) -> None:
        """Wait until earlier configurations have finished what they began, within limits."""
        deadline = time.monotonic() + DRAIN_SECONDS
        serving = self.pid()
        while any(pid != serving for pid in self.processes()) and time.monotonic() < deadline:
            time.sleep(0.05)

    def stop(self) -> None:
        """End every process of the proxy."""
        for pid in self.processes():
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)

    def _is_ours(self, entry: Path) -> bool:
        try:
            # A folder that was removed meanwhile is still told, with this at its end.
            place = str((entry / "cwd").readlink()).removesuffix(" (deleted)")
            named = (entry / "comm").read_text().strip()
        except OSError:
            return False
        return named == "haproxy" and place == str(self.folder.resolve())

    def _information(self) -> dict[str, str]:
        parted = (line.partition(":") for line in self._ask("show info").splitlines())
        return {name: value.strip() for name, _, value in parted}

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
