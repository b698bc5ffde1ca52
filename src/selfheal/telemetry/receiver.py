"""A real OTLP/HTTP receiver that keeps what it is sent, one export request a line.

It speaks OTLP 1.x over HTTP as the specification has it: POST /v1/traces, /v1/logs and
/v1/metrics, protobuf or JSON bodies, gzip or plain. Each accepted request is appended
to ``traces.jsonl``, ``logs.jsonl`` or ``metrics.jsonl`` as OTLP JSON with hex ids
before the sender gets its answer; a request that cannot be kept is answered with an
error that makes a conforming exporter retry (503) or give up (400, 413, 415).

    with Receiver(folder) as receiver:
        os.environ["OTEL_EXPORTER_OTLP_ENDPOINT"] = receiver.endpoint

As a process of its own: ``python -m selfheal.telemetry.receiver --folder F --port P``.
"""

from __future__ import annotations

import argparse
import json
import os
import signal as signals
import sys
import threading
import zlib
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from selfheal.errors import InvalidInput, MissingExtra
from selfheal.telemetry.otlp_protobuf import Signal, request_from_protobuf

PATHS: dict[str, Signal] = {
    "/v1/traces": "traces",
    "/v1/logs": "logs",
    "/v1/metrics": "metrics",
}
TOP_LEVEL: dict[Signal, str] = {
    "traces": "resourceSpans",
    "logs": "resourceLogs",
    "metrics": "resourceMetrics",
}
MAX_BODY_BYTES = 64 * 1024 * 1024


class Receiver:
    """An OTLP/HTTP server on `host`:`port` that appends to files in `folder`.

    Port 0 takes a free one. The server runs in threads of this process from `start` (or
    entering the context) to `stop`; whatever a sender was told is accepted is on disk.
    Raises InvalidInput where the port is taken.
    """

    def __init__(self, folder: Path, host: str = "127.0.0.1", port: int = 0) -> None:
        self.folder = folder
        folder.mkdir(parents=True, exist_ok=True)
        self._lock = threading.Lock()
        try:
            self._server = _Server((host, port), self)
        except OSError as error:
            raise InvalidInput(
                f"no OTLP receiver can listen there: {error.strerror}.",
                where=f"{host}:{port}",
                hint="Give another port, or 0 for a free one.",
            ) from error
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.1,), daemon=True)

    @property
    def endpoint(self) -> str:
        """The base address, as OTEL_EXPORTER_OTLP_ENDPOINT takes it."""
        host, port = self._server.server_address[:2]
        return f"http://{host!s}:{port}"

    def file(self, signal: Signal) -> Path:
        """Where the requests of a signal are appended."""
        return self.folder / f"{signal}.jsonl"

    def start(self) -> Self:
        self._thread.start()
        return self

    def stop(self) -> None:
        """Stop listening. What was answered as accepted is on disk."""
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.stop()

    def keep(self, signal: Signal, request: dict[str, Any]) -> None:
        """Append one export request. Raises OSError where it cannot be written."""
        if not request.get(TOP_LEVEL[signal]):
            return
        line = json.dumps(request, separators=(",", ":"), ensure_ascii=False) + "\n"
        content = line.encode("utf-8", "surrogatepass")
        with self._lock:
            # One write to a file opened for appending: a reader never meets half a
            # line but at the very end, and a restarted receiver goes on after it.
            descriptor = os.open(self.file(signal), os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
            try:
                written = os.write(descriptor, content)
                if written != len(content):
                    os.ftruncate(descriptor, os.fstat(descriptor).st_size - written)
                    raise OSError("the disk is full")
            finally:
                os.close(descriptor)


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False
    request_queue_size = 128

    def __init__(self, address: tuple[str, int], receiver: Receiver) -> None:
        self.receiver = receiver
        super().__init__(address, _RequestHandler)


class _Refused(Exception):
    """A request that is answered with an error status."""

    def __init__(self, status: HTTPStatus, reason: str) -> None:
        super().__init__(reason)
        self.status = status


class _RequestHandler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    timeout = 60
    disable_nagle_algorithm = True
    server: _Server

    def do_POST(self) -> None:
        try:
            signal = PATHS.get(self.path.partition("?")[0].rstrip("/"))
            body = self._body()
            if signal is None:
                raise _Refused(HTTPStatus.NOT_FOUND, f"OTLP paths are {', '.join(PATHS)}")
            self.server.receiver.keep(signal, self._decoded(signal, body))
        except _Refused as refused:
            self._answer(refused.status, str(refused))
        except OSError as error:
            self._answer(HTTPStatus.SERVICE_UNAVAILABLE, f"cannot be kept: {error}")
        else:
            self._answer(HTTPStatus.OK)

    def do_GET(self) -> None:
        """GET / answers 200, so that a starter can wait for the receiver."""
        known = self.path in ("/", "/health")
        self._answer(HTTPStatus.OK if known else HTTPStatus.NOT_FOUND, "" if known else "POST OTLP")

    def _body(self) -> bytes:
        try:
            length = int(self.headers.get("Content-Length", ""))
        except ValueError:
            self.close_connection = True
            raise _Refused(HTTPStatus.LENGTH_REQUIRED, "Content-Length is needed") from None
        if not 0 <= length <= MAX_BODY_BYTES:
            self.close_connection = True
            raise _Refused(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, f"more than {MAX_BODY_BYTES} bytes")
        body = self.rfile.read(length)
        match self.headers.get("Content-Encoding", "identity").lower():
            case "identity":
                return body
            case "gzip":
                return _gunzip(body)
            case encoding:
                raise _Refused(
                    HTTPStatus.UNSUPPORTED_MEDIA_TYPE, f"the encoding {encoding} is not read"
                )

    def _decoded(self, signal: Signal, body: bytes) -> dict[str, Any]:
        try:
            match self._media_type():
                case "application/x-protobuf":
                    return request_from_protobuf(signal, body)
                case "application/json":
                    request = json.loads(body) if body else {}
                    if not isinstance(request, dict):
                        raise ValueError("an export request is a JSON object")
                    return request
                case media:
                    raise _Refused(
                        HTTPStatus.UNSUPPORTED_MEDIA_TYPE,
                        f"the content type {media!r} is not application/x-protobuf or application/json",
                    )
        except ValueError as error:
            raise _Refused(HTTPStatus.BAD_REQUEST, str(error)) from error
        except MissingExtra as error:
            raise _Refused(HTTPStatus.UNSUPPORTED_MEDIA_TYPE, str(error)) from error

    def _media_type(self) -> str:
        return self.headers.get("Content-Type", "").partition(";")[0].strip().lower()

    def _answer(self, status: HTTPStatus, reason: str = "") -> None:
        """Answer in the sender's own encoding, as the specification asks."""
        if self._media_type() == "application/x-protobuf":
            media, content = "application/x-protobuf", _status_message(reason)
        else:
            media = "application/json"
            content = json.dumps({"message": reason} if reason else {}).encode()
        self.send_response(status)
        self.send_header("Content-Type", media)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, format: str, *args: Any) -> None:
        """Requests are not logged: they are kept."""


def _gunzip(body: bytes) -> bytes:
    inflater = zlib.decompressobj(wbits=16 + zlib.MAX_WBITS)
    try:
        content = inflater.decompress(body, MAX_BODY_BYTES)
    except zlib.error as error:
        raise _Refused(HTTPStatus.BAD_REQUEST, f"the body is not gzip: {error}") from error
    if inflater.unconsumed_tail:
        raise _Refused(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, f"more than {MAX_BODY_BYTES} bytes")
    if not inflater.eof:
        raise _Refused(HTTPStatus.BAD_REQUEST, "the gzip body ends early")
    return content


def _status_message(reason: str) -> bytes:
    """A google.rpc.Status with only its message (field 2, a string); empty where all is well."""
    if not reason:
        return b""
    text = reason.encode()[:127]
    return bytes((0x12, len(text))) + text


def main(arguments: list[str] | None = None) -> int:
    """Run a receiver until SIGTERM or SIGINT; its endpoint is the one line on stdout."""
    parser = argparse.ArgumentParser(prog="python -m selfheal.telemetry.receiver")
    parser.add_argument("--folder", type=Path, required=True, help="where the files are appended")
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=0, help="0 takes a free one")
    options = parser.parse_args(arguments)
    ended = threading.Event()
    signals.signal(signals.SIGTERM, lambda *_: ended.set())
    signals.signal(signals.SIGINT, lambda *_: ended.set())
    try:
        with Receiver(options.folder, options.host, options.port) as receiver:
            print(receiver.endpoint, flush=True)
            ended.wait()
    except InvalidInput as error:
        print(error, file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
